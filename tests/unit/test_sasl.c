/*
 * sasl: logins by password, by certificate and by SCRAM, against a users file; libgsasl's
 * own client speaks the other side.
 */
#include "sasl_users.h"

static void plain_is_read_to_the_letter(void **state)
{
    static const struct {
        const char *at;
        size_t len;
        enum sasl_said said;
    } rows[] = {
        { TEXT("\0user\0pencil"), SASL_OK },
        { TEXT("user\0user\0pencil"), SASL_OK },
        { TEXT("other\0user\0pencil"), SASL_WRONG },
        { TEXT("\0user\0pencil2"), SASL_WRONG },
        { TEXT("\0user\0"), SASL_WRONG },
        { TEXT("\0user\0p"), SASL_WRONG },
        { TEXT("\0nobody\0pencil"), SASL_WRONG },
        { TEXT("\0USER\0pencil"), SASL_WRONG },
        { TEXT("\0user\0\xff\xfe"), SASL_WRONG },
        { TEXT("\0us\xff\0pencil"), SASL_WRONG },
        { TEXT("userpencil"), SASL_BAD },
        { TEXT("user\0pencil"), SASL_BAD },
        { TEXT("\0user\0pencil\0"), SASL_BAD },
        { TEXT("\0user\0pen\0cil"), SASL_BAD },
        { TEXT("\0\0pencil"), SASL_BAD },
        { TEXT("\0\0"), SASL_BAD },
        { TEXT(""), SASL_BAD },
        { TEXT("*"), SASL_BAD },
    };
    struct sasl_desk *d = desk_with(users);
    struct talk t;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (talk_once(&t, d, MECHANISM_PLAIN, rows[i].at, rows[i].len) !=
            rows[i].said)
            print_error("row %zu: %d\n", i, t.said);
        assert_int_equal(t.said, rows[i].said);
        assert_string_equal(t.login, t.said == SASL_OK ? "user" : "");
        assert_int_equal(t.text_len, 0);
    }
    sasl_desk_close(d);
}

static void an_empty_password_is_none(void **state)
{
    struct sasl_desk *d =
        desk_with("open:"
                  "$5$rounds=1000$saltsalt$Naw4j7Jsi9DJmo461n8iSYTXTcY98Ufoq."
                  "Xsn7KkFN7\n");
    struct talk t;

    (void)state;
    assert_int_equal(talk_plain(&t, d, "open", ""), SASL_WRONG);
    sasl_desk_close(d);
}

static void a_hash_of_crypt_is_enough_for_a_password(void **state)
{
    struct sasl_desk *d = desk_with(hashes);
    struct talk t;

    (void)state;
    assert_int_equal(sasl_mechanisms(d), MECHANISM_PLAIN | MECHANISM_LOGIN);
    assert_int_equal(talk_plain(&t, d, "old", "secret"), SASL_OK);
    assert_int_equal(talk_plain(&t, d, "old", "Secret"), SASL_WRONG);
    assert_int_equal(talk_plain(&t, d, "locked", "secret"), SASL_WRONG);
    assert_int_equal(
        talk_once(&t, d, MECHANISM_SCRAM_SHA_256, TEXT("n,,n=old,r=abc")),
        SASL_UNAVAILABLE);
    sasl_desk_close(d);
}

static void login_asks_for_the_name_and_the_password(void **state)
{
    static const struct {
        const char *first, *name, *password;
        enum sasl_said said;
    } rows[] = {
        { NULL, "user", "pencil", SASL_OK },
        { "user", NULL, "pencil", SASL_OK },
        { NULL, "user", "pencil2", SASL_WRONG },
        { NULL, "nobody", "pencil", SASL_WRONG },
        { NULL, "user", "", SASL_WRONG },
        { NULL, "", NULL, SASL_BAD },
        { "", NULL, NULL, SASL_BAD },
    };
    struct sasl_desk *d = desk_with(users);
    struct talk t;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *name = rows[i].name ? rows[i].name : rows[i].first;

        talk_begin(&t, d,
                   &(struct sasl_question){ .mechanism = MECHANISM_LOGIN });
        if (!rows[i].first) {
            assert_int_equal(talk_step(&t, NULL, 0), SASL_MORE);
            assert_string_equal(t.text, "Username:");
        }
        (void)talk_step(&t, name, strlen(name));
        if (rows[i].password) {
            assert_int_equal(t.said, SASL_MORE);
            assert_string_equal(t.text, "Password:");
            (void)talk_step(&t, rows[i].password, strlen(rows[i].password));
        }
        assert_int_equal(t.said, rows[i].said);
        assert_string_equal(t.login, t.said == SASL_OK ? "user" : "");
        /* a line too many */
        assert_int_equal(talk_step(&t, "more", 4), SASL_BAD);
        talk_end(&t);
    }
    sasl_desk_close(d);
}

/* What a client of the library's is told; and how it spoke. */
struct client {
    const char *login, *password, *authzid;
    const char *exporter; /* base64; NULL: it cannot bind */
};

static int client_callback(Gsasl *g, Gsasl_session *s, Gsasl_property what)
{
    const struct client *c = gsasl_session_hook_get(s);
    const char *value = what == GSASL_AUTHID            ? c->login
                        : what == GSASL_PASSWORD        ? c->password
                        : what == GSASL_AUTHZID         ? c->authzid
                        : what == GSASL_CB_TLS_EXPORTER ? c->exporter
                                                        : NULL;

    (void)g;
    if (!value)
        return GSASL_NO_CALLBACK;
    return gsasl_property_set(s, what, value);
}

static const unsigned char channel[32] = "the channel's 32 exported bytes";

/* The whole exchange; the client must be content with our last words too. */
static enum sasl_said converse(struct talk *t, struct sasl_desk *d,
                               const struct sasl_question *q,
                               const struct client *c)
{
    Gsasl *g;
    Gsasl_session *s;
    char *out = NULL;
    size_t len = 0;
    int rc;

    assert_int_equal(gsasl_init(&g), GSASL_OK);
    gsasl_callback_set(g, client_callback);
    assert_int_equal(gsasl_client_start(g, mechanism_name(q->mechanism), &s),
                     GSASL_OK);
    gsasl_session_hook_set(s, (void *)(uintptr_t)c);
    talk_begin(t, d, q);
    if (q->mechanism == MECHANISM_CRAM_MD5)
        assert_int_equal(talk_step(t, NULL, 0), SASL_MORE);
    do {
        rc = gsasl_step(s, t->text, t->text_len, &out, &len);
        if (rc != GSASL_OK && rc != GSASL_NEEDS_MORE)
            fail_msg("client: %s", gsasl_strerror(rc));
        (void)talk_step(t, out ? out : "", len);
        gsasl_free(out);
    } while (t->said == SASL_MORE);
    if (t->said == SASL_OK && t->text_len) {
        assert_int_equal(gsasl_step(s, t->text, t->text_len, &out, &len),
                         GSASL_OK);
        gsasl_free(out);
    }
    talk_end(t);
    gsasl_finish(s);
    gsasl_done(g);
    return t->said;
}

static void a_client_of_the_library_logs_in_by_each_mechanism(void **state)
{
    static const unsigned mechanisms[] = {
        MECHANISM_PLAIN,         MECHANISM_SCRAM_SHA_1,
        MECHANISM_SCRAM_SHA_256, MECHANISM_SCRAM_SHA_1_PLUS,
        MECHANISM_CRAM_MD5,      MECHANISM_SCRAM_SHA_256_PLUS,
    };
    static const struct {
        struct client client;
        enum sasl_said said;
    } rows[] = {
        { { "user", "pencil", NULL }, SASL_OK },
        { { "one", "pencil", NULL }, SASL_OK },
        { { "user", "pencil", "user" }, SASL_OK },
        { { "user", "pencil", "one" }, SASL_WRONG },
        { { "user", "pencils", NULL }, SASL_WRONG },
        { { "user", "p", NULL }, SASL_WRONG },
        { { "nobody", "pencil", NULL }, SASL_WRONG },
        { { "n=o,body", "pencil", NULL }, SASL_WRONG },
        /* prepared: a soft hyphen is nothing */
        { { "user",
            "pen\xc2\xad"
            "cil",
            NULL },
          SASL_OK },
    };
    struct tls_facts tls = { .exporter = { (const char *)channel, 32 } };
    struct sasl_desk *d;
    struct talk t;
    char *binding;

    (void)state;
    bench_write("users", users);
    bench_write("cram", "user:pencil\none:pencil\n");
    d = bench_desk(
        &(struct users_settings){ .file = span_of(bench_path("users")),
                                  .cram_file = span_of(bench_path("cram")) });
    assert_int_equal(gsasl_base64_to((const char *)channel, 32, &binding, NULL),
                     GSASL_OK);
    for (size_t m = 0; m < sizeof mechanisms / sizeof *mechanisms; m++)
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            struct client c = rows[i].client;
            bool is_plus = mechanisms[m] & MECHANISMS_BOUND;

            assert_true(sasl_mechanisms(d) & mechanisms[m]);
            if (mechanisms[m] == MECHANISM_CRAM_MD5 && c.authzid)
                continue; /* it has none */
            c.exporter = is_plus ? binding : NULL;
            (void)converse(&t, d,
                           &(struct sasl_question){ .mechanism = mechanisms[m],
                                                    .tls = &tls,
                                                    .offered = MECHANISM_ALL },
                           &c);
            if (t.said != rows[i].said)
                print_error("%s, row %zu: %d %s\n",
                            mechanism_name(mechanisms[m]), i, t.said, t.text);
            assert_int_equal(t.said, rows[i].said);
            assert_string_equal(t.login, t.said == SASL_OK ? c.login : "");
        }
    gsasl_free(binding);
    sasl_desk_close(d);
}

static void what_binds_the_channel_must_bind_this_one(void **state)
{
    static const char other[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    struct tls_facts tls = { .exporter = { (const char *)channel, 32 } };
    const struct client c = { "user", "pencil", NULL, other };
    struct sasl_question q = { .mechanism = MECHANISM_SCRAM_SHA_256_PLUS,
                               .tls = &tls,
                               .offered = MECHANISM_ALL };
    struct sasl_desk *d = desk_with(users);
    struct talk t;

    (void)state;
    assert_int_equal(converse(&t, d, &q, &c), SASL_WRONG);
    q.mechanism = MECHANISM_SCRAM_SHA_1_PLUS;
    assert_int_equal(converse(&t, d, &q, &c), SASL_WRONG);
    tls.exporter.len = 0; /* as of TLS that has none */
    assert_int_equal(converse(&t, d, &q, &c), SASL_WRONG);
    sasl_desk_close(d);
}

static void the_first_words_of_scram_are_judged(void **state)
{
    static const unsigned plain = MECHANISM_PLAIN,
                          plus = MECHANISM_SCRAM_SHA_256_PLUS;
    static const struct {
        const char *at;
        size_t len;
        unsigned mechanism, offered;
        enum sasl_said said;
    } rows[] = {
        { TEXT("n,,n=user,r=abc"), 0, MECHANISM_ALL, SASL_MORE },
        { TEXT("n,,n=nobody,r=abc"), 0, MECHANISM_ALL, SASL_MORE },
        /* "you did not offer to bind": true, or not */
        { TEXT("y,,n=user,r=abc"), 0, plain, SASL_MORE },
        { TEXT("y,,n=user,r=abc"), 0, plus, SASL_WRONG },
        /* binds without saying so in the mechanism's name, and the reverse */
        { TEXT("p=tls-exporter,,n=user,r=abc"), 0, plus, SASL_WRONG },
        { TEXT("n,,n=user,r=abc"), plus, plus, SASL_WRONG },
        { TEXT("y,,n=user,r=abc"), plus, plus, SASL_WRONG },
        { TEXT("p=tls-unique,,n=user,r=abc"), plus, plus, SASL_WRONG },
        { TEXT("p=tls-exporter,,n=user,r=abc"), plus, plus, SASL_MORE },
        { TEXT("p=,,n=user,r=abc"), plus, plus, SASL_WRONG },
        /* broken */
        { TEXT(""), 0, plain, SASL_BAD },
        { TEXT("n"), 0, plain, SASL_BAD },
        { TEXT("n,,"), 0, plain, SASL_BAD },
        { TEXT("n,,n=,r=abc"), 0, plain, SASL_BAD },
        { TEXT("n,,n=user"), 0, plain, SASL_BAD },
        { TEXT("n,,n=us\0er,r=abc"), 0, plain, SASL_BAD },
        { TEXT("n,,n=\xff\xfe,r=abc"), 0, plain, SASL_WRONG },
        { TEXT("\0user\0pencil"), 0, plain, SASL_BAD },
    };
    struct tls_facts tls = { .exporter = { (const char *)channel, 32 } };
    struct sasl_desk *d = desk_with(users);
    struct talk t;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        talk_begin(&t, d,
                   &(struct sasl_question){
                       .mechanism = rows[i].mechanism ? rows[i].mechanism
                                                      : MECHANISM_SCRAM_SHA_256,
                       .tls = &tls,
                       .offered = rows[i].offered });
        if (talk_step(&t, rows[i].at, rows[i].len) != rows[i].said)
            print_error("row %zu: %d\n", i, t.said);
        assert_int_equal(t.said, rows[i].said);
        if (t.said == SASL_MORE) { /* and a last word that is none */
            assert_int_equal(talk_step(&t, TEXT("c=biws,r=abc")), SASL_BAD);
            assert_int_equal(talk_step(&t, TEXT("c=biws,r=abc")), SASL_BAD);
        }
        talk_end(&t);
    }
    sasl_desk_close(d);
}

/* The server's first words without its nonce. */
static void salt_of(struct sasl_desk *d, const char *login, char *out,
                    size_t size)
{
    char words[300];
    const char *at;
    struct talk t;
    int n = snprintf(words, sizeof words, "n,,n=%s,r=abc", login);

    assert_int_equal(
        talk_once(&t, d, MECHANISM_SCRAM_SHA_256, words, (size_t)n), SASL_MORE);
    at = strstr(t.text, ",s=");
    assert_non_null(at);
    (void)snprintf(out, size, "%s", at);
}

static void an_unknown_login_is_shown_a_salt_that_stays(void **state)
{
    struct sasl_desk *d = desk_with(users);
    char known[128], a[128], b[128];

    (void)state;
    salt_of(d, "user", known, sizeof known);
    assert_string_equal(known, ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
    salt_of(d, "nobody", a, sizeof a);
    salt_of(d, "nobody", b, sizeof b);
    assert_string_equal(a, b);
    assert_string_not_equal(a, known);
    assert_int_equal(strlen(a), strlen(known));
    assert_non_null(strstr(a, ",i=4096"));
    salt_of(d, "somebody", b, sizeof b);
    assert_string_not_equal(a, b);
    sasl_desk_close(d);
}

static void a_certificate_says_who_it_is(void **state)
{
#define PRINT "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    static const struct {
        const char *fingerprint, *name, *authzid, *login;
        enum sasl_said said;
    } rows[] = {
        { "sha256:" PRINT, "", "", "printer", SASL_OK },
        { "sha256:" PRINT, "", "printer", "printer", SASL_OK },
        { "sha256:" PRINT, "", "user", "", SASL_WRONG },
        { "sha256:" OTHER, "", "", "", SASL_WRONG },
        { "sha256:" OTHER, "Mail.Example", "", "mail", SASL_OK },
        { "sha256:" PRINT, "mail.example", "", "printer", SASL_OK },
        { "", "", "printer", "", SASL_WRONG },
        { "", PRINT, "", "", SASL_WRONG },
    };
    struct sasl_desk *d;
    struct talk t;

    (void)state;
    bench_write("certificates", "sha256:" PRINT " printer\n"
                                "mail.example\tmail\n");
    d = bench_desk(&(struct users_settings){
        .certificates = span_of(bench_path("certificates")) });
    assert_int_equal(sasl_mechanisms(d), MECHANISM_EXTERNAL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tls_facts tls = { .fingerprint = span_of(rows[i].fingerprint),
                                 .name = span_of(rows[i].name) };
        struct sasl_question q = { .mechanism = MECHANISM_EXTERNAL,
                                   .tls = &tls };

        if (!*rows[i].fingerprint && !*rows[i].name)
            q.tls = NULL;
        talk_begin(&t, d, &q);
        if (i % 2) { /* with and without an initial response */
            assert_int_equal(talk_step(&t, NULL, 0), SASL_MORE);
            assert_int_equal(t.text_len, 0);
        }
        (void)talk_step(&t, rows[i].authzid, strlen(rows[i].authzid));
        assert_int_equal(t.said, rows[i].said);
        assert_string_equal(t.login, rows[i].login);
        talk_end(&t);
    }
    sasl_desk_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_is_read_to_the_letter),
        cmocka_unit_test(an_empty_password_is_none),
        cmocka_unit_test(a_hash_of_crypt_is_enough_for_a_password),
        cmocka_unit_test(login_asks_for_the_name_and_the_password),
        cmocka_unit_test(a_client_of_the_library_logs_in_by_each_mechanism),
        cmocka_unit_test(what_binds_the_channel_must_bind_this_one),
        cmocka_unit_test(the_first_words_of_scram_are_judged),
        cmocka_unit_test(an_unknown_login_is_shown_a_salt_that_stays),
        cmocka_unit_test(a_certificate_says_who_it_is),
    };

    return cmocka_run_group_tests(tests, bench_setup, bench_teardown);
}
