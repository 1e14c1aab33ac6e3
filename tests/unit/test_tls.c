/*
 * tls: both ends of a conversation in one process, and the next one between them.
 */
#include "tls_scene.h"

#include <malloc.h>

static void plain_text_arrives_however_the_bytes_are_cut(void **state)
{
    static const size_t pieces[] = { 1, 2, 3, 5, 7, 64, 1000, 65536 };
    struct scene c;

    (void)state;
    scene_simple(&c);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct side a = { .tls = tls_connect(c.material, &mx_verified) };
        struct side b = { .tls = tls_accept(c.material, EDGE, NULL) };
        struct buffer text = { 0 };

        for (int n = 0; n < 5000; n++)
            buffer_printf(&text, "line %d\r\n", n);
        meet(&a, &b, pieces[i]);
        assert_int_equal(a.opened, 1);
        assert_int_equal(b.opened, 1);
        assert_int_equal(tls_write(a.tls, buffer_span(&text)), 0);
        assert_int_equal(tls_write(b.tls, SPAN("250 Ok\r\n")), 0);
        converse(&a, &b, pieces[i]);
        assert_true(span_is(buffer_span(&b.plain), buffer_span(&text)));
        assert_true(span_is(buffer_span(&a.plain), SPAN("250 Ok\r\n")));
        tls_end(a.tls);
        converse(&a, &b, pieces[i]);
        assert_int_equal(b.said, TLS_CLOSED);
        assert_int_equal(tls_cut(b.tls), 0);
        buffer_fini(&text);
        pair_close(&a, &b);
    }
    scene_close(&c);
}

/* The stream of the client is cut at every byte, the server gets two pieces. */
static void a_cut_at_any_byte_is_no_trouble_and_an_end_there_is(void **state)
{
    struct scene c;
    size_t at = 0;
    bool more = true;

    (void)state;
    scene_simple(&c);
    for (; more; at++) {
        struct side a = { .tls = tls_connect(c.material, &mx_verified) };
        struct side b = { .tls = tls_accept(c.material, EDGE, NULL) };
        struct span out;

        side_take(&a, SPAN(""));
        out = buffer_span(tls_output(a.tls));
        more = at < out.len;
        side_take(&b, span_first(out, at));
        if (more)
            assert_int_equal(tls_output(b.tls)->len, 0);
        if (more)
            assert_int_equal(b.said, TLS_GOES_ON);
        side_take(&b, span_skip(out, at));
        buffer_clear(tls_output(a.tls));
        converse(&b, &a, at + 1);
        assert_int_equal(a.opened + b.opened, 2);
        assert_int_equal(tls_cut(a.tls), ERROR_TRUNCATED);
        pair_close(&a, &b);
    }
    assert_true(at > 100);
    scene_close(&c);
}

static void what_follows_the_handshake_at_once_is_not_lost(void **state)
{
    struct scene c;
    struct side a, b;

    (void)state;
    scene_simple(&c);
    a = (struct side){ .tls = tls_connect(c.material, &mx_verified) };
    b = (struct side){ .tls = tls_accept(c.material, EDGE, NULL) };
    side_take(&a, SPAN(""));
    carry(&a, &b, 65536);
    carry(&b, &a, 65536);
    assert_int_equal(a.opened, 1);
    assert_int_equal(tls_write(a.tls, SPAN("EHLO a\r\n")), 0);
    tls_end(a.tls);
    carry(&a, &b, 65536); /* Finished, data and close_notify together */
    assert_int_equal(b.opened, 1);
    assert_int_equal(b.said, TLS_CLOSED);
    assert_true(span_is(buffer_span(&b.plain), SPAN("EHLO a\r\n")));
    assert_int_equal(tls_write(b.tls, SPAN("221 Bye\r\n")), 0);
    converse(&b, &a, 65536);
    assert_true(span_is(buffer_span(&a.plain), SPAN("221 Bye\r\n")));
    pair_close(&a, &b);
    scene_close(&c);
}

static void both_sides_know_the_same_of_their_channel(void **state)
{
    struct scene c;
    struct side a, b;
    const struct tls_facts *f, *g;

    (void)state;
    scene_simple(&c);
    pair_open(&c, &a, &b, EDGE, &mx_verified);
    f = tls_facts(a.tls);
    g = tls_facts(b.tls);
    assert_string_equal(f->protocol, "TLSv1.3");
    assert_string_equal(f->cipher, g->cipher);
    assert_int_equal(f->bits, 256);
    assert_int_equal(f->exporter.len, 32);
    assert_true(span_is(f->exporter, g->exporter));
    assert_int_equal(f->trust, TLS_VERIFIED);
    assert_int_equal(f->fingerprint.len, 7 + 64);
    assert_true(span_is(f->name, SPAN("mx.example")));
    assert_int_equal(g->trust, TLS_ANONYMOUS);
    assert_int_equal(g->fingerprint.len, 0);
    pair_close(&a, &b);
    scene_close(&c);
}

static void an_idle_conversation_is_small(void **state)
{
    enum { MANY = 64, MOST = 40 * 1024 };
    struct side a[MANY], b[MANY];
    struct scene c;
    size_t before, after;

    (void)state;
    scene_simple(&c);
    pair_open(&c, &a[0], &b[0], EDGE, &mx_verified);
    before = mallinfo2().uordblks;
    for (int i = 1; i < MANY; i++) {
        pair_open(&c, &a[i], &b[i], EDGE, &mx_verified);
        assert_int_equal(tls_write(a[i].tls, SPAN("NOOP\r\n")), 0);
        assert_int_equal(tls_write(b[i].tls, SPAN("250 2.0.0 Ok\r\n")), 0);
        converse(&a[i], &b[i], 4096);
        buffer_fini(&a[i].plain);
        buffer_fini(&b[i].plain);
    }
    after = mallinfo2().uordblks;
    /* Both sides of it are here; nothing where a sanitizer allocates. */
    print_message("an idle pair of conversations: %zu bytes\n",
                  (after - before) / (MANY - 1));
    assert_true((after - before) / (MANY - 1) < 2 * MOST);
    for (int i = 0; i < MANY; i++)
        pair_close(&a[i], &b[i]);
    scene_close(&c);
}

/* ------------------------------------------------------------ sessions ---- */

static bool resumes(struct scene *c, size_t listener, const struct tls_wish *w)
{
    struct side a, b;
    bool is_resumed;

    pair_open(c, &a, &b, listener, w);
    assert_int_equal(a.opened + b.opened, 2);
    is_resumed = tls_facts(a.tls)->is_resumed;
    assert_int_equal(is_resumed, tls_facts(b.tls)->is_resumed);
    assert_int_equal(tls_facts(a.tls)->exporter.len, 32);
    if (w->verify)
        assert_int_equal(tls_facts(a.tls)->trust, TLS_VERIFIED);
    pair_close(&a, &b);
    return is_resumed;
}

static void a_session_is_resumed_among_equals_only(void **state)
{
    struct tls_wish w = mx_verified, other;
    struct scene c;

    (void)state;
    scene_simple(&c);
    assert_false(resumes(&c, EDGE, &w)); /* without a key nothing is kept */
    assert_false(resumes(&c, EDGE, &w));
    w.session_key = SPAN("192.0.2.1:25 mx.example verify");
    assert_false(resumes(&c, EDGE, &w));
    assert_true(resumes(&c, EDGE, &w));
    assert_true(resumes(&c, EDGE, &w));
    other = w;
    other.session_key = SPAN("192.0.2.2:25 mx.example verify");
    assert_false(resumes(&c, EDGE, &other));
    other = w;
    other.verify = false;
    assert_false(resumes(&c, EDGE, &other));
    assert_true(resumes(&c, EDGE, &w));
    scene_close(&c);
}

static void a_ticket_of_one_listener_is_nothing_on_another(void **state)
{
    struct tls_wish w = mx_verified;
    struct scene c;

    (void)state;
    scene_simple(&c);
    w.session_key = SPAN("same");
    assert_false(resumes(&c, EDGE, &w));
    assert_false(resumes(&c, OTHER, &w));
    assert_true(resumes(&c, OTHER, &w));
    assert_false(resumes(&c, EDGE, &w));
    scene_close(&c);
}

static void what_was_not_verified_is_not_resumed_where_it_must_be(void **state)
{
    struct tls_wish w = { .name = SPAN("mx.example"),
                          .session_key = SPAN("k") };
    struct side a, b;
    struct scene c;

    (void)state;
    scene_open(&c);
    scene_serve(&c,
                &(struct tls_order){ .file = "self", .san = "DNS:mx.example" });
    scene_begin(&c);
    assert_false(resumes(&c, EDGE, &w));
    assert_true(resumes(&c, EDGE, &w));
    w.verify = true;
    pair_open(&c, &a, &b, EDGE, &w);
    assert_trouble(&a, "self-signed certificate");
    pair_close(&a, &b);
    scene_close(&c);
}

static void routes_with_other_certificates_share_no_session(void **state)
{
    struct tls_wish w = mx_verified;
    struct scene c;

    (void)state;
    scene_open(&c);
    scene_serve(&c, &(struct tls_order){ .file = "mx",
                                         .san = "DNS:mx.example",
                                         .by = &c.world.good });
    world_order(
        &c.world,
        &(struct tls_order){ .file = "us", .cn = "us", .by = &c.world.good },
        &c.route.certificate, &c.route.certificate_key);
    scene_begin(&c);
    w.session_key = SPAN("same");
    assert_false(resumes(&c, EDGE, &w));
    assert_true(resumes(&c, EDGE, &w));
    w.route = 1; /* none of ours: the one without a certificate */
    assert_false(resumes(&c, EDGE, &w));
    scene_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_text_arrives_however_the_bytes_are_cut),
        cmocka_unit_test(a_cut_at_any_byte_is_no_trouble_and_an_end_there_is),
        cmocka_unit_test(what_follows_the_handshake_at_once_is_not_lost),
        cmocka_unit_test(both_sides_know_the_same_of_their_channel),
        cmocka_unit_test(an_idle_conversation_is_small),
        cmocka_unit_test(a_session_is_resumed_among_equals_only),
        cmocka_unit_test(a_ticket_of_one_listener_is_nothing_on_another),
        cmocka_unit_test(what_was_not_verified_is_not_resumed_where_it_must_be),
        cmocka_unit_test(routes_with_other_certificates_share_no_session),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
