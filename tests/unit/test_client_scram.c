/*
 * test_client_scram - the answer of SCRAM is computed beside the dialogue.
 */
#include "client_play.h"

#include <gsasl.h>

static const struct client_options options = {
    .hostname = SPAN_INIT("us"),
    .timeouts = &client_timeouts_default,
    .login = SPAN_INIT("user"),
    .secret = SPAN_INIT("pencil-case"),
    .login_without_tls = true,
};

/* A client that has asked to log in by SCRAM. */
static struct client *begin(void)
{
    struct client *c = client_new(&options, 1000);

    client_feed(c, SPAN("220 mx\r\n"), 1000);
    buffer_clear(client_output(c));
    client_feed(c, SPAN("250-mx\r\n250 AUTH SCRAM-SHA-256\r\n"), 1000);
    return c;
}

/* "334 BASE64 CRLF" of a challenge that begins with the client's nonce. */
static void put_challenge(struct client *c, struct buffer *out)
{
    struct span line = buffer_span(client_output(c)), initial;
    struct buffer text = { 0 };
    char *clear = NULL, *encoded = NULL;
    const char *nonce;
    size_t len;

    initial = span_skip(line, strlen("AUTH SCRAM-SHA-256 "));
    initial.len -= 2;
    assert_int_equal(gsasl_base64_from(initial.at, initial.len, &clear, &len),
                     GSASL_OK);
    nonce = memmem(clear, len, ",r=", 3);
    buffer_put(&text, span_make(nonce + 1, len - (size_t)(nonce + 1 - clear)));
    buffer_put_string(&text, "xyz,s=QSXCR+Q6sek8bf92,i=4096");
    assert_int_equal(gsasl_base64_to(text.at, text.len, &encoded, &len),
                     GSASL_OK);
    buffer_printf(out, "334 %s\r\n", encoded);
    gsasl_free(clear);
    gsasl_free(encoded);
    buffer_fini(&text);
}

/* It has heard the challenge, and all it said before was taken. */
static struct client *begin_computing(void)
{
    struct client *c = begin();
    struct buffer challenge = { 0 };

    put_challenge(c, &challenge);
    buffer_clear(client_output(c));
    client_feed(c, buffer_span(&challenge), 1000);
    buffer_fini(&challenge);
    assert_int_equal(client_wants(c), CLIENT_COMPUTES);
    assert_int_equal(client_output(c)->len, 0);
    return c;
}

static void the_answer_goes_out_when_it_was_computed(void **state)
{
    struct client *c = begin_computing();
    struct span said;

    (void)state;
    play_compute(c, 2000);
    assert_int_equal(client_wants(c), CLIENT_READS);
    said = buffer_span(client_output(c));
    assert_true(said.len > 50);
    assert_memory_equal(said.at + said.len - 2, "\r\n", 2);
    assert_true(client_deadline_ms(c) == 2000 + client_timeouts_default.helo);
    /* without its signature it may say yes as often as it likes */
    client_feed(c, SPAN("235 2.7.0 welcome\r\n"), 2000);
    assert_true(client_login_was_refused(c));
    client_free(c);
}

static void a_challenge_that_makes_no_sense_is_not_computed(void **state)
{
    struct client *c = begin();

    (void)state;
    buffer_clear(client_output(c));
    client_feed(c, SPAN("334 =\r\n"), 1000);
    assert_int_equal(client_wants(c), CLIENT_CLOSES);
    assert_true(client_login_was_refused(c));
    client_free(c);

    /* no nonce of ours: seen only when it is computed */
    c = begin();
    buffer_clear(client_output(c));
    client_feed(c, SPAN("334 cj14LHM9eCxpPTE=\r\n"), 1000);
    assert_int_equal(client_wants(c), CLIENT_COMPUTES);
    play_compute(c, 1000);
    assert_int_equal(client_wants(c), CLIENT_CLOSES);
    assert_true(span_is(buffer_span(client_output(c)), SPAN("*\r\n")));
    assert_true(client_login_was_refused(c));
    client_free(c);
}

static void a_peer_that_does_not_wait_for_the_answer_is_left(void **state)
{
    static const char *const impatient[] = {
        "S:235 2.7.0 welcome\r\n", "S:334 cj14\r\n", "S:421 bye\r\n",
        "S:535 5.7.8 no\r\n",      "lost:",          "timeout",
    };

    (void)state;
    for (size_t i = 0; i < SIZE_OF(impatient); i++) {
        struct play p = { .name = impatient[i], .now_ms = 1000 };
        struct login *l;

        p.client = begin_computing();
        l = client_take_login(p.client);
        play_line(&p, impatient[i]);
        assert_int_equal(client_wants(p.client), CLIENT_CLOSES);
        assert_int_equal(client_trouble(p.client)->status.class, 4);
        assert_false(client_is_greeted(p.client));
        buffer_clear(client_output(p.client));
        /* the answer comes late, and is nobody's */
        login_compute(l);
        client_computed(p.client, l, 3000);
        assert_int_equal(client_wants(p.client), CLIENT_CLOSES);
        assert_int_equal(client_output(p.client)->len, 0);
        client_free(p.client);
    }
}

static void the_answer_outlives_the_client(void **state)
{
    struct client *c = begin_computing();
    struct login *l = client_take_login(c);
    struct buffer out = { 0 };

    (void)state;
    client_free(c);
    login_compute(l); /* reads nothing of what was the client's */
    assert_true(login_tell(l, &out));
    buffer_fini(&out);
    login_free(l);
    /* and the other way round: nobody has computed anything */
    client_free(begin_computing());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answer_goes_out_when_it_was_computed),
        cmocka_unit_test(a_challenge_that_makes_no_sense_is_not_computed),
        cmocka_unit_test(a_peer_that_does_not_wait_for_the_answer_is_left),
        cmocka_unit_test(the_answer_outlives_the_client),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
