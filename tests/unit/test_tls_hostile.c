/*
 * tls: peers that do not keep to it.
 */
#include "tls_scene.h"

static void what_does_not_speak_tls_is_told_from_what_fails(void **state)
{
    static const struct {
        struct span said;
        const char *trouble;
    } rows[] = {
        { SPAN_INIT("EHLO x\r\n"), "peer does not speak TLS" },
        { SPAN_INIT("GET / HTTP/1.1\r\n\r\n"), "peer does not speak TLS" },
        { SPAN_INIT("250-x\r\n250 AUTH LOGIN\r\n"), "peer does not speak TLS" },
        { SPAN_INIT("\0\0\0\0\0\0\0\0"), "peer does not speak TLS" },
        { SPAN_INIT("\x16\x03\x01\x00\x02\x01\x00\x16\x03\x01\xff\xff"), NULL },
        { SPAN_INIT("\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10"), NULL },
    };
    struct scene c;

    (void)state;
    scene_simple(&c);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int is_client = 0; is_client < 2; is_client++) {
            struct side s = { .tls = is_client
                                         ? tls_connect(c.material, &mx_verified)
                                         : tls_accept(c.material, EDGE, NULL) };

            side_take(&s, SPAN(""));
            side_take(&s, rows[i].said);
            if (rows[i].trouble)
                assert_trouble(&s, rows[i].trouble);
            assert_int_equal(s.opened, 0);
            assert_false(tls_trouble_is_trust(s.tls));
            assert_int_equal(s.plain.len, 0);
            assert_int_equal(tls_cut(s.tls), ERROR_TLS);
            assert_true(tls_trouble(s.tls).len > 0);
            side_fini(&s);
        }
    scene_close(&c);
}

static void garbage_in_an_open_conversation_breaks_it(void **state)
{
    struct side a, b;
    struct scene c;

    (void)state;
    scene_simple(&c);
    pair_open(&c, &a, &b, EDGE, &mx_verified);
    side_take(&a, SPAN("250 2.0.0 Ok\r\n"));
    assert_int_equal(a.said, TLS_BROKEN);
    assert_int_equal(a.plain.len, 0);
    assert_true(tls_output(a.tls)->len > 0); /* the alert */
    assert_int_equal(tls_write(a.tls, SPAN("x")), ERROR_TLS);
    assert_int_equal(tls_cut(a.tls), ERROR_TLS);
    side_take(&a, SPAN("more"));
    assert_int_equal(a.said, TLS_BROKEN);
    assert_int_equal(tls_write(b.tls, SPAN("NOOP\r\n")), 0);
    tls_output(b.tls)->at[20] ^= 1; /* a bit on the way */
    pair_close(&a, &b);
    scene_close(&c);
}

static void a_changed_bit_breaks_it(void **state)
{
    struct side a, b;
    struct scene c;

    (void)state;
    scene_simple(&c);
    pair_open(&c, &a, &b, EDGE, &mx_verified);
    assert_int_equal(tls_write(a.tls, SPAN("NOOP\r\nNOOP\r\n")), 0);
    tls_output(a.tls)->at[9] ^= 1;
    carry(&a, &b, 65536);
    assert_trouble(&b, "decryption failed or bad record mac");
    assert_int_equal(b.plain.len, 0);
    pair_close(&a, &b);
    scene_close(&c);
}

static void what_is_not_meant_for_smtp_is_turned_away(void **state)
{
    static const struct {
        struct span offered;
        bool is_good;
    } rows[] = {
        { SPAN_INIT("\2h2\10http/1.1"), false },
        { SPAN_INIT("\2h2\4smtp"), true },
        { SPAN_INIT("\4smtp"), true },
        { SPAN_INIT("\5smtpx"), false },
    };
    struct scene c;

    (void)state;
    scene_simple(&c);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct raw r = raw_open(0);
        struct side s = { .tls = tls_accept(c.material, EDGE, NULL) };
        const unsigned char *chosen;
        unsigned len;

        assert_int_equal(SSL_set_alpn_protos(
                             r.ssl, (const unsigned char *)rows[i].offered.at,
                             (unsigned)rows[i].offered.len),
                         0);
        raw_meet(&r, &s);
        assert_int_equal(s.opened, rows[i].is_good);
        if (!rows[i].is_good)
            assert_trouble(&s, "no application protocol");
        SSL_get0_alpn_selected(r.ssl, &chosen, &len);
        assert_int_equal(len, rows[i].is_good ? 4 : 0);
        raw_close(&r);
        side_fini(&s);
    }
    scene_close(&c);
}

static void tls_1_0_is_for_named_networks_only(void **state)
{
    static const int versions[] = { TLS1_VERSION, TLS1_1_VERSION };
    struct network old = { 0 };
    struct host_address device = { 0 }, stranger = { 0 };
    struct arena arena = { 0 };
    struct scene c;

    (void)state;
    assert_true(network_parse(SPAN("192.0.2.0/24"), &old));
    assert_true(host_address_parse(SPAN("192.0.2.9"), &device));
    assert_true(host_address_parse(SPAN("198.51.100.9"), &stranger));
    scene_open(&c);
    networks_init(&c.listeners[EDGE].legacy_tls, &arena, &old, 1);
    scene_serve(&c, &(struct tls_order){ .file = "mx",
                                         .san = "DNS:mx.example",
                                         .by = &c.world.good,
                                         .is_rsa = true });
    scene_begin(&c);
    for (int i = 0; i < 8; i++) {
        const struct host_address *who = i & 2 ? &device : &stranger;
        size_t listener = i & 4 ? OTHER : EDGE;
        bool is_welcome = who == &device && listener == EDGE;
        struct raw r = raw_open(0);
        struct side s = { .tls = tls_accept(c.material, listener, who) };

        (void)SSL_set_max_proto_version(r.ssl, versions[i & 1]);
        raw_meet(&r, &s);
        assert_int_equal(s.opened, is_welcome);
        if (is_welcome)
            assert_string_equal(tls_facts(s.tls)->protocol,
                                i & 1 ? "TLSv1.1" : "TLSv1");
        else
            assert_trouble(&s, "the peer's TLS version is not allowed");
        raw_close(&r);
        side_fini(&s);
    }
    scene_close(&c);
    arena_reset(&arena);
}

static void old_ciphers_are_refused(void **state)
{
    static const char *const lists[] = { "kRSA", "aNULL:@SECLEVEL=0", "DHE",
                                         "CAMELLIA" };
    struct scene c;

    (void)state;
    scene_open(&c);
    scene_serve(&c, &(struct tls_order){ .file = "mx",
                                         .san = "DNS:mx.example",
                                         .by = &c.world.good,
                                         .is_rsa = true });
    scene_begin(&c);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct raw r = raw_open(0);
        struct side s = { .tls = tls_accept(c.material, EDGE, NULL) };

        assert_int_equal(SSL_set_cipher_list(r.ssl, lists[i]), 1);
        (void)SSL_set_max_proto_version(r.ssl, TLS1_2_VERSION);
        raw_meet(&r, &s);
        assert_trouble(&s, "no cipher in common");
        raw_close(&r);
        side_fini(&s);
    }
    scene_close(&c);
}

static void tls_1_2_has_a_channel_binding_too(void **state)
{
    unsigned char binding[32];
    struct raw r = raw_open(0);
    struct side s;
    struct scene c;

    (void)state;
    scene_simple(&c);
    s = (struct side){ .tls = tls_accept(c.material, EDGE, NULL) };
    (void)SSL_set_max_proto_version(r.ssl, TLS1_2_VERSION);
    raw_meet(&r, &s);
    assert_string_equal(tls_facts(s.tls)->protocol, "TLSv1.2");
    assert_int_equal(SSL_export_keying_material(r.ssl, binding, sizeof binding,
                                                "EXPORTER-Channel-Binding", 24,
                                                (const unsigned char *)"", 0,
                                                1),
                     1);
    assert_true(span_is(tls_facts(s.tls)->exporter,
                        span_make((const char *)binding, 32)));
    raw_close(&r);
    side_fini(&s);
    scene_close(&c);
}

static void renegotiation_is_refused(void **state)
{
    struct raw r = raw_open(0);
    struct side s;
    struct scene c;
    char hello[4096];
    int n;

    (void)state;
    scene_simple(&c);
    s = (struct side){ .tls = tls_accept(c.material, EDGE, NULL) };
    (void)SSL_set_max_proto_version(r.ssl, TLS1_2_VERSION);
    raw_meet(&r, &s);
    assert_int_equal(s.opened, 1);
    assert_int_equal(SSL_renegotiate(r.ssl), 1);
    (void)SSL_do_handshake(r.ssl);
    n = BIO_read(SSL_get_wbio(r.ssl), hello, sizeof hello);
    assert_true(n > 0);
    side_take(&s, span_make(hello, (size_t)n));
    assert_int_equal(s.said, TLS_GOES_ON);
    assert_in_range(tls_output(s.tls)->len, 1,
                    64); /* an alert, no ServerHello */
    raw_talk(&r, &s);
    assert_int_equal(s.opened, 1);
    assert_int_not_equal(s.said, TLS_OPENED);
    raw_close(&r);
    side_fini(&s);
    scene_close(&c);
}

static void a_flood_of_key_updates_is_cut_off(void **state)
{
    struct raw r = raw_open(0);
    struct side s;
    struct scene c;
    int updates = 0;

    (void)state;
    scene_simple(&c);
    s = (struct side){ .tls = tls_accept(c.material, EDGE, NULL) };
    raw_meet(&r, &s);
    assert_int_equal(s.opened, 1);
    while (s.said != TLS_BROKEN && updates < 10000) {
        char bytes[256];
        int n;

        assert_int_equal(SSL_key_update(r.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        (void)SSL_do_handshake(r.ssl);
        updates++;
        while ((n = BIO_read(SSL_get_wbio(r.ssl), bytes, sizeof bytes)) > 0)
            side_take(&s, span_make(bytes, (size_t)n));
    }
    assert_in_range(updates, 60, 70);
    assert_true(tls_output(s.tls)->len < 64 * 1024);
    assert_trouble(&s, "too many messages besides data");
    raw_close(&r);
    side_fini(&s);
    scene_close(&c);
}

static void key_updates_beside_data_are_welcome(void **state)
{
    static char block[16384];
    struct raw r = raw_open(0);
    struct side s;
    struct scene c;

    (void)state;
    scene_simple(&c);
    s = (struct side){ .tls = tls_accept(c.material, EDGE, NULL) };
    raw_meet(&r, &s);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(SSL_write(r.ssl, block, sizeof block), sizeof block);
        assert_int_equal(SSL_key_update(r.ssl, SSL_KEY_UPDATE_NOT_REQUESTED),
                         1);
        raw_talk(&r, &s);
    }
    assert_int_equal(s.said, TLS_GOES_ON);
    assert_int_equal(s.plain.len, 300 * sizeof block);
    raw_close(&r);
    side_fini(&s);
    scene_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_speak_tls_is_told_from_what_fails),
        cmocka_unit_test(garbage_in_an_open_conversation_breaks_it),
        cmocka_unit_test(a_changed_bit_breaks_it),
        cmocka_unit_test(what_is_not_meant_for_smtp_is_turned_away),
        cmocka_unit_test(tls_1_0_is_for_named_networks_only),
        cmocka_unit_test(old_ciphers_are_refused),
        cmocka_unit_test(tls_1_2_has_a_channel_binding_too),
        cmocka_unit_test(renegotiation_is_refused),
        cmocka_unit_test(a_flood_of_key_updates_is_cut_off),
        cmocka_unit_test(key_updates_beside_data_are_welcome),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
