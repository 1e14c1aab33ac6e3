/*
 * test_login - SCRAM against libgsasl's server side, and what a server could try.
 */
#include "relay/outbound/login.h"

#include "policy/vocabulary/error.h"

#include <gsasl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SIZE_OF(array) (sizeof(array) / sizeof((array)[0]))

/* base64 of the exporter below */
#define BINDING "MDEyMzQ1Njc4OWFiY2RlZg=="

static const struct tls_facts facts = { .exporter =
                                            SPAN_INIT("0123456789abcdef") };

static const struct client_options options = {
    .login = SPAN_INIT("user"),
    .secret = SPAN_INIT("pencil, case="),
    .host = SPAN_INIT("mx.test"),
};

/* What the server knows. */
struct keeper {
    const char *password, *binding;
    bool is_impostor; /* knows no verifier, and makes up a signature */
};

static int answer_gsasl(Gsasl *ctx, Gsasl_session *session, Gsasl_property p)
{
    const struct keeper *k = gsasl_callback_hook_get(ctx);

    switch ((int)p) {
    case GSASL_PASSWORD:
        return gsasl_property_set(session, p, k->password);
    case GSASL_SCRAM_ITER:
        return gsasl_property_set(session, p, "4096");
    case GSASL_CB_TLS_EXPORTER:
        if (!k->binding)
            return GSASL_NO_CALLBACK;
        return gsasl_property_set(session, p, k->binding);
    default:
        return GSASL_NO_CALLBACK;
    }
}

enum ended {
    IN_BY_PROOF,
    REFUSED_BY_SERVER,
    CANCELLED_BY_US,
    IN_WITHOUT_PROOF
};

/* Speaks until one of the two has enough. */
static enum ended converse(struct login *l, const struct keeper *k)
{
    Gsasl *ctx;
    Gsasl_session *session;
    struct buffer out = { 0 };
    char *challenge = NULL;
    enum ended ended = REFUSED_BY_SERVER;
    int rc;

    assert_int_equal(gsasl_init(&ctx), GSASL_OK);
    gsasl_callback_set(ctx, answer_gsasl);
    gsasl_callback_hook_set(ctx, (void *)k);
    assert_int_equal(
        gsasl_server_start(ctx, mechanism_name(login_mechanism(l)), &session),
        GSASL_OK);
    buffer_put(&out, login_initial(l));
    for (int i = 0; i < 5; i++) {
        rc = gsasl_step64(session, buffer_string(&out), &challenge);
        if (rc != GSASL_OK && rc != GSASL_NEEDS_MORE)
            break;
        if (rc == GSASL_OK && (!challenge || !*challenge)) {
            ended = login_is_complete(l) ? IN_BY_PROOF : IN_WITHOUT_PROOF;
            break;
        }
        if (k->is_impostor && i == 1)
            challenge[5] ^= 1;
        buffer_clear(&out);
        if (!login_answer(l, span_of(challenge), &out)) {
            ended = CANCELLED_BY_US;
            break;
        }
        gsasl_free(challenge);
        challenge = NULL;
        if (rc == GSASL_OK) {
            ended = login_is_complete(l) ? IN_BY_PROOF : IN_WITHOUT_PROOF;
            break;
        }
    }
    gsasl_free(challenge);
    gsasl_finish(session);
    gsasl_done(ctx);
    buffer_fini(&out);
    return ended;
}

static void scram_logs_in_only_where_both_sides_know_the_password(void **state)
{
    /* clang-format off */
    static const struct {
        unsigned mechanism;
        struct keeper keeper;
        enum ended ended;
    } rows[] = {
        { MECHANISM_SCRAM_SHA_256, { "pencil, case=", NULL, false }, IN_BY_PROOF },
        { MECHANISM_SCRAM_SHA_1, { "pencil, case=", NULL, false }, IN_BY_PROOF },
        { MECHANISM_SCRAM_SHA_256_PLUS, { "pencil, case=", BINDING, false }, IN_BY_PROOF },
        { MECHANISM_SCRAM_SHA_1_PLUS, { "pencil, case=", BINDING, false }, IN_BY_PROOF },
        { MECHANISM_SCRAM_SHA_256, { "other", NULL, false }, REFUSED_BY_SERVER },
        { MECHANISM_SCRAM_SHA_256, { "pencil, case=", NULL, true }, CANCELLED_BY_US },
        /* somebody in between has another channel */
        { MECHANISM_SCRAM_SHA_256_PLUS, { "pencil, case=", "MDEy", false },
          REFUSED_BY_SERVER },
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < SIZE_OF(rows); i++) {
        struct login *l = login_new(rows[i].mechanism, &options, &facts);

        assert_non_null(l);
        assert_int_equal(converse(l, &rows[i].keeper), rows[i].ended);
        login_free(l);
    }
}

/* "r=...,s=...,i=N" that begins with our nonce, in base64. */
static void put_challenge(struct login *l, const char *iterations,
                          struct buffer *out)
{
    struct buffer text = { 0 };
    struct span initial = login_initial(l);
    char *clear = NULL, *encoded = NULL;
    const char *nonce;
    size_t len;

    assert_int_equal(gsasl_base64_from(initial.at, initial.len, &clear, &len),
                     GSASL_OK);
    nonce = memmem(clear, len, ",r=", 3);
    buffer_put(&text, span_make(nonce + 1, len - (size_t)(nonce + 1 - clear)));
    buffer_printf(&text, "xyz,s=QSXCR+Q6sek8bf92,i=%s", iterations);
    assert_int_equal(gsasl_base64_to(text.at, text.len, &encoded, &len),
                     GSASL_OK);
    buffer_put(out, span_make(encoded, len));
    gsasl_free(clear);
    gsasl_free(encoded);
    buffer_fini(&text);
}

static void a_235_before_the_signature_is_worth_nothing(void **state)
{
    struct login *l = login_new(MECHANISM_SCRAM_SHA_256, &options, &facts);
    struct buffer challenge = { 0 }, out = { 0 };

    (void)state;
    assert_false(login_is_complete(l));
    put_challenge(l, "4096", &challenge);
    assert_true(login_answer(l, buffer_span(&challenge), &out));
    assert_true(out.len > 0);
    assert_false(login_is_complete(l));
    buffer_fini(&challenge);
    buffer_fini(&out);
    login_free(l);
}

static void a_server_may_not_make_us_count_for_ever(void **state)
{
    static const struct {
        const char *iterations;
        bool is_fine;
    } rows[] = {
        { "4096", true },         { "600001", false }, { "2147483647", false },
        { "99999999999", false }, { "-1", false },     { "", false },
    };

    (void)state;
    for (size_t i = 0; i < SIZE_OF(rows); i++) {
        struct login *l = login_new(MECHANISM_SCRAM_SHA_256, &options, &facts);
        struct buffer challenge = { 0 }, out = { 0 };

        put_challenge(l, rows[i].iterations, &challenge);
        assert_int_equal(login_answer(l, buffer_span(&challenge), &out),
                         rows[i].is_fine);
        buffer_fini(&challenge);
        buffer_fini(&out);
        login_free(l);
    }
}

static void nonsense_is_no_challenge(void **state)
{
    static const char *const challenges[] = {
        "=",     "====",
        "A",     "AAAA",
        "cj0=",  "cj14LHM9eCxpPTE=",
        "a\nb=", "\xff\xff\xff\xff",
    };

    (void)state;
    for (size_t i = 0; i < SIZE_OF(challenges); i++) {
        struct login *l = login_new(MECHANISM_SCRAM_SHA_256, &options, &facts);
        struct buffer out = { 0 };

        assert_false(login_answer(l, span_of(challenges[i]), &out));
        assert_int_equal(out.len, 0);
        buffer_fini(&out);
        login_free(l);
    }
}

static void the_best_mechanism_that_is_safe_is_chosen(void **state)
{
    static const struct tls_facts unbound = { .protocol = "TLSv1.2" };
    /* clang-format off */
    static const struct {
        struct client_options o;
        unsigned offered;
        const struct tls_facts *facts;
        unsigned chosen;
    } rows[] = {
#define PASSWORD .login = SPAN_INIT("u"), .secret = SPAN_INIT("p")
        { { PASSWORD }, MECHANISM_ALL, &facts, MECHANISM_SCRAM_SHA_256_PLUS },
        { { PASSWORD }, MECHANISM_ALL, &unbound, MECHANISM_SCRAM_SHA_256 },
        { { PASSWORD }, MECHANISM_ALL, NULL, MECHANISM_SCRAM_SHA_256 },
        { { PASSWORD }, MECHANISM_PLAIN | MECHANISM_CRAM_MD5, NULL, MECHANISM_CRAM_MD5 },
        { { PASSWORD }, MECHANISM_PLAIN | MECHANISM_LOGIN, &facts, MECHANISM_PLAIN },
        { { PASSWORD, .mechanisms = MECHANISM_LOGIN }, MECHANISM_ALL, &facts,
          MECHANISM_LOGIN },
        { { PASSWORD, .mechanisms = MECHANISM_LOGIN }, MECHANISM_PLAIN, &facts, 0 },
        { { PASSWORD }, MECHANISM_EXTERNAL | MECHANISM_XOAUTH2, &facts, 0 },
        { { PASSWORD, .mechanisms = MECHANISM_ALL }, MECHANISM_ALL, &facts,
          MECHANISM_EXTERNAL },
        { { PASSWORD, .mechanisms = MECHANISM_EXTERNAL }, MECHANISM_ALL, NULL, 0 },
        { { PASSWORD, .secret_is_token = true }, MECHANISM_ALL, &facts,
          MECHANISM_OAUTHBEARER },
        { { PASSWORD, .secret_is_token = true },
          MECHANISM_ALL & ~MECHANISM_OAUTHBEARER, &facts, MECHANISM_XOAUTH2 },
        { { .login = SPAN_INIT("u") }, MECHANISM_ALL, &facts, MECHANISM_EXTERNAL },
        { { .login = SPAN_INIT("u\0v"), .secret = SPAN_INIT("p") }, MECHANISM_ALL,
          &facts, 0 },
        { { PASSWORD }, 0, &facts, 0 },
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < SIZE_OF(rows); i++)
        assert_int_equal(
            login_choose(&rows[i].o, rows[i].offered, rows[i].facts),
            rows[i].chosen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scram_logs_in_only_where_both_sides_know_the_password),
        cmocka_unit_test(a_235_before_the_signature_is_worth_nothing),
        cmocka_unit_test(a_server_may_not_make_us_count_for_ever),
        cmocka_unit_test(nonsense_is_no_challenge),
        cmocka_unit_test(the_best_mechanism_that_is_safe_is_chosen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
