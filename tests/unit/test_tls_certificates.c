/*
 * tls: whom we believe, and what we show to whom.
 */
#include "tls_scene.h"

#define WRONG_NAME "the certificate is for "

static void a_certificate_is_verified_as_it_should_be(void **state)
{
    static const struct {
        const char *what, *asked, *cn, *san, *usage;
        struct span raw;
        int begins, ends;
        enum { GOOD, UNKNOWN, SELF } by;
        const char *trouble; /* NULL: good */
    } rows[] = {
        /* clang-format off */
        { "exact", "mx.example", NULL, "DNS:mx.example", NULL, { 0 }, 0, 0, GOOD, NULL },
        { "other case, with a dot", "MX.Example.", NULL, "DNS:mx.example", NULL, { 0 }, 0, 0, GOOD, NULL },
        { "second name", "b.example", NULL, "DNS:a.example,DNS:b.example", NULL, { 0 }, 0, 0, GOOD, NULL },
        { "server usage", "mx.example", NULL, "DNS:mx.example", "serverAuth,clientAuth", { 0 }, 0, 0, GOOD, NULL },
        { "wildcard", "a.b.example", NULL, "DNS:*.b.example", NULL, { 0 }, 0, 0, GOOD, NULL },
        { "wildcard for an A-label", "xn--bcher-kva.b.example", NULL, "DNS:*.b.example", NULL, { 0 }, 0, 0, GOOD, NULL },
        { "address", "192.0.2.1", NULL, "IP:192.0.2.1", NULL, { 0 }, 0, 0, GOOD, NULL },
        { "IPv6", "2001:db8::1", NULL, "IP:2001:db8::1", NULL, { 0 }, 0, 0, GOOD, NULL },
        { "other name", "mx.example", NULL, "DNS:other.example", NULL, { 0 }, 0, 0, GOOD, WRONG_NAME "other.example" },
        { "wildcard over two labels", "a.b.example.com", NULL, "DNS:*.example.com", NULL, { 0 }, 0, 0, GOOD, WRONG_NAME "*.example.com" },
        { "wildcard for its base", "example.com", NULL, "DNS:*.example.com", NULL, { 0 }, 0, 0, GOOD, WRONG_NAME "*.example.com" },
        { "wildcard for all of com", "example.com", NULL, "DNS:*.com", NULL, { 0 }, 0, 0, GOOD, WRONG_NAME "*.com" },
        { "part of a label", "foo.b.example", NULL, "DNS:f*o.b.example", NULL, { 0 }, 0, 0, GOOD, WRONG_NAME "f*o.b.example" },
        { "start of a label", "foo.b.example", NULL, "DNS:f*.b.example", NULL, { 0 }, 0, 0, GOOD, WRONG_NAME "f*.b.example" },
        { "wildcard in the middle", "a.b.c.example", NULL, "DNS:a.*.c.example", NULL, { 0 }, 0, 0, GOOD, WRONG_NAME "a.*.c.example" },
        { "CN alone", "mx.example", "mx.example", NULL, NULL, { 0 }, 0, 0, GOOD, WRONG_NAME "no host at all" },
        { "CN beside another name", "mx.example", "mx.example", "DNS:o.example", NULL, { 0 }, 0, 0, GOOD, WRONG_NAME "o.example" },
        { "CN beside a mail address", "mx.example", "mx.example", "email:a@o.example", NULL, { 0 }, 0, 0, GOOD, WRONG_NAME "no host at all" },
        { "NUL in a name", "mx.example", NULL, NULL, NULL, SPAN_INIT("mx.example\0.evil.example"), 0, 0, GOOD, WRONG_NAME "mx.example\\x00.evil.example" },
        { "NUL at its end", "mx.example", NULL, NULL, NULL, SPAN_INIT("mx.example\0"), 0, 0, GOOD, WRONG_NAME "mx.example\\x00" },
        { "address as DNS name", "192.0.2.1", NULL, "DNS:192.0.2.1", NULL, { 0 }, 0, 0, GOOD, WRONG_NAME "192.0.2.1" },
        { "other address", "192.0.2.1", NULL, "IP:192.0.2.2", NULL, { 0 }, 0, 0, GOOD, WRONG_NAME "no host at all" },
        { "name that is a suffix", ".b.example", NULL, "DNS:a.b.example", NULL, { 0 }, 0, 0, GOOD, WRONG_NAME "a.b.example" },
        { "no name", "", NULL, "DNS:a.b.example", NULL, { 0 }, 0, 0, GOOD, WRONG_NAME "a.b.example" },
        { "expired", "mx.example", NULL, "DNS:mx.example", NULL, { 0 }, -9, -2, GOOD, "certificate has expired" },
        { "not yet valid", "mx.example", NULL, "DNS:mx.example", NULL, { 0 }, 2, 9, GOOD, "certificate is not yet valid" },
        { "self-signed", "mx.example", NULL, "DNS:mx.example", NULL, { 0 }, 0, 0, SELF, "self-signed certificate" },
        { "unknown CA", "mx.example", NULL, "DNS:mx.example", NULL, { 0 }, 0, 0, UNKNOWN, "unable to get local issuer certificate" },
        { "for clients only", "mx.example", NULL, "DNS:mx.example", "clientAuth", { 0 }, 0, 0, GOOD, "unsuitable certificate purpose" },
        /* clang-format on */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tls_wish w = { .name = span_of(rows[i].asked), .verify = true };
        struct side a, b;
        struct scene c;

        scene_open(&c);
        scene_serve(&c, &(struct tls_order){
                            .file = "row",
                            .cn = rows[i].cn,
                            .san = rows[i].san,
                            .raw_dns = rows[i].raw,
                            .usage = rows[i].usage,
                            .begins_day = rows[i].begins,
                            .ends_day = rows[i].ends,
                            .by = rows[i].by == GOOD      ? &c.world.good
                                  : rows[i].by == UNKNOWN ? &c.world.unknown
                                                          : NULL });
        scene_begin(&c);
        print_message("%s\n", rows[i].what);
        pair_open(&c, &a, &b, EDGE, &w);
        if (rows[i].trouble) {
            assert_trouble(&a, rows[i].trouble);
            assert_true(tls_trouble_is_trust(a.tls));
            assert_int_equal(a.opened, 0);
            assert_int_equal(b.said, TLS_BROKEN);
        } else {
            assert_int_equal(tls_trouble(a.tls).len, 0);
            assert_int_equal(a.opened, 1);
            assert_int_equal(tls_facts(a.tls)->trust, TLS_VERIFIED);
        }
        pair_close(&a, &b);
        w.verify = false; /* who does not verify goes on, and knows */
        pair_open(&c, &a, &b, EDGE, &w);
        assert_int_equal(a.opened + b.opened, 2);
        if (rows[i].trouble)
            assert_int_equal(tls_facts(a.tls)->trust,
                             strncmp(rows[i].trouble, WRONG_NAME, 4) == 0
                                 ? TLS_TRUSTED
                                 : TLS_UNTRUSTED);
        else
            assert_int_equal(tls_facts(a.tls)->trust, TLS_VERIFIED);
        pair_close(&a, &b);
        scene_close(&c);
    }
}

static void the_name_asked_for_picks_the_certificate(void **state)
{
    static const struct {
        const char *asked, *wanted;
    } rows[] = {
        { "mx.example", "mx.example" },
        { "other.example", "other.example" },
        { "in.wild.example", "*.wild.example" },
        { "old.example", "old.example" },
        { "", "mx.example" },
        { "nobody.example", "mx.example" },
        { "192.0.2.1", "mx.example" },
    };
    struct scene c;

    (void)state;
    scene_open(&c);
    scene_serve(&c, &(struct tls_order){ .file = "mx",
                                         .san = "DNS:mx.example",
                                         .by = &c.world.good });
    scene_serve(&c, &(struct tls_order){ .file = "other",
                                         .san = "DNS:other.example",
                                         .by = &c.world.good });
    scene_serve(&c, &(struct tls_order){ .file = "wild",
                                         .san = "DNS:*.wild.example",
                                         .by = &c.world.good });
    scene_serve(&c, &(struct tls_order){ .file = "old",
                                         .cn = "old.example",
                                         .by = &c.world.good });
    scene_begin(&c);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tls_wish w = { .name = span_of(rows[i].asked) };
        struct side a, b;

        pair_open(&c, &a, &b, EDGE, &w);
        assert_int_equal(a.opened + b.opened, 2);
        assert_true(span_is(tls_facts(a.tls)->name, span_of(rows[i].wanted)));
        pair_close(&a, &b);
    }
    scene_close(&c);
}

static void both_types_of_key_serve_the_same_name(void **state)
{
    static const char *const algorithms[] = { "ECDSA+SHA256",
                                              "RSA-PSS+SHA256:RSA+SHA256" };
    static const int types[] = { EVP_PKEY_EC, EVP_PKEY_RSA };
    struct scene c;

    (void)state;
    scene_open(&c);
    scene_serve(&c, &(struct tls_order){ .file = "ec",
                                         .san = "DNS:mx.example",
                                         .by = &c.world.good });
    scene_serve(&c, &(struct tls_order){ .file = "rsa",
                                         .san = "DNS:mx.example",
                                         .by = &c.world.good,
                                         .is_rsa = true });
    scene_serve(&c, &(struct tls_order){ .file = "x",
                                         .san = "DNS:x.example",
                                         .by = &c.world.good });
    scene_serve(&c, &(struct tls_order){ .file = "xr",
                                         .san = "DNS:x.example",
                                         .by = &c.world.good,
                                         .is_rsa = true });
    scene_begin(&c);
    for (int i = 0; i < 4; i++) {
        struct raw r = raw_open(0);
        struct side s = { .tls = tls_accept(c.material, EDGE, NULL) };

        (void)SSL_set1_sigalgs_list(r.ssl, algorithms[i % 2]);
        if (i >= 2)
            (void)SSL_set_tlsext_host_name(r.ssl, "x.example");
        raw_meet(&r, &s);
        assert_int_equal(s.opened, 1);
        assert_int_equal(EVP_PKEY_get_base_id(X509_get0_pubkey(
                             SSL_get0_peer_certificate(r.ssl))),
                         types[i % 2]);
        assert_int_equal(X509_check_host(SSL_get0_peer_certificate(r.ssl),
                                         i < 2 ? "mx.example" : "x.example", 0,
                                         0, NULL),
                         1);
        raw_close(&r);
        side_fini(&s);
    }
    scene_close(&c);
}

/* -------------------------------------------------- clients' certificates ---- */

static void a_client_certificate_is_a_fact_and_no_condition(void **state)
{
    static const struct {
        enum { BY_GOOD, BY_UNKNOWN, BY_SELF } by;
        const char *usage;
        bool is_asked, are_trusted;
        enum tls_trust wanted;
    } rows[] = {
        { BY_GOOD, NULL, true, true, TLS_TRUSTED },
        { BY_GOOD, "serverAuth", true, true, TLS_UNTRUSTED },
        { BY_UNKNOWN, NULL, true, true, TLS_UNTRUSTED },
        { BY_SELF, NULL, true, true, TLS_UNTRUSTED },
        { BY_GOOD, NULL, true, false, TLS_UNTRUSTED },
        { BY_GOOD, NULL, false, true, TLS_ANONYMOUS },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tls_wish w = mx_verified;
        struct side a, b;
        struct scene c;

        scene_open(&c);
        scene_serve(&c, &(struct tls_order){ .file = "mx",
                                             .san = "DNS:mx.example",
                                             .by = &c.world.good });
        world_order(&c.world,
                    &(struct tls_order){
                        .file = "us",
                        .cn = "us.example",
                        .usage = rows[i].usage,
                        .by = rows[i].by == BY_GOOD      ? &c.world.good
                              : rows[i].by == BY_UNKNOWN ? &c.world.unknown
                                                         : NULL },
                    &c.route.certificate, &c.route.certificate_key);
        if (rows[i].is_asked)
            c.listeners[EDGE].client_certificate = CERTIFICATE_OPTIONAL;
        if (rows[i].are_trusted)
            c.settings->tls.client_authorities = span_of(c.world.authorities);
        scene_begin(&c);
        for (int again = 0; again < 2; again++) {
            w.session_key = SPAN("here");
            pair_open(&c, &a, &b, EDGE, &w);
            assert_int_equal(a.opened + b.opened, 2);
            assert_int_equal(tls_facts(b.tls)->is_resumed, again);
            assert_int_equal(tls_facts(b.tls)->trust, rows[i].wanted);
            assert_int_equal(tls_facts(b.tls)->fingerprint.len,
                             rows[i].wanted == TLS_ANONYMOUS ? 0 : 71);
            assert_true(span_is(
                tls_facts(b.tls)->name,
                rows[i].wanted == TLS_TRUSTED ? SPAN("us.example") : SPAN("")));
            pair_close(&a, &b);
        }
        scene_close(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_is_verified_as_it_should_be),
        cmocka_unit_test(the_name_asked_for_picks_the_certificate),
        cmocka_unit_test(both_types_of_key_serve_the_same_name),
        cmocka_unit_test(a_client_certificate_is_a_fact_and_no_condition),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
