/*
 * tls: both ends of a conversation in one process, and peers that do not keep to it.
 */
#include "relay/net/tls.h"

#include "tls_world.h"

#include <malloc.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sys/stat.h>

enum { PAIRS_MOST = 6, LISTENERS = 3, EDGE = 0, OTHER = 1, CLEAR = 2 };

/* ------------------------------------------------------------ the scene ---- */

struct scene {
    struct tls_world world;
    struct settings *settings;
    struct listener_settings listeners[LISTENERS];
    struct span certificates[PAIRS_MOST], keys[PAIRS_MOST];
    struct route route;
    struct tls_material *material;
};

static void scene_open(struct scene *c)
{
    struct settings *s = NEW(struct settings);

    *c = (struct scene){ .settings = s };
    world_open(&c->world);
    atomic_init(&s->holders, 1);
    s->listeners = c->listeners;
    s->listener_count = LISTENERS;
    c->listeners[EDGE] =
        (struct listener_settings){ .title = SPAN("edge"),
                                    .tls = LISTENER_TLS_OPTIONAL };
    c->listeners[OTHER] =
        (struct listener_settings){ .title = SPAN("other"),
                                    .tls = LISTENER_TLS_REQUIRED };
    c->listeners[CLEAR] =
        (struct listener_settings){ .title = SPAN("clear"),
                                    .tls = LISTENER_TLS_NONE };
    s->tls.certificates = c->certificates;
    s->tls.keys = c->keys;
    s->tls.authorities = span_of(c->world.authorities);
    s->routes = &c->route;
    s->route_count = 1;
}

static void scene_serve(struct scene *c, const struct tls_order *o)
{
    size_t n = c->settings->tls.certificate_count++;

    c->settings->tls.key_count++;
    world_order(&c->world, o, &c->certificates[n], &c->keys[n]);
}

static void scene_begin(struct scene *c)
{
    struct buffer faults = { 0 };

    c->material = tls_material_new(c->settings, &faults);
    assert_string_equal(buffer_string(&faults), "");
    assert_non_null(c->material);
    buffer_fini(&faults);
}

static void scene_close(struct scene *c)
{
    tls_material_release(c->material);
    settings_release(c->settings);
    world_close(&c->world);
}

/* A scene with one good certificate for mx.example. */
static void scene_simple(struct scene *c)
{
    scene_open(c);
    scene_serve(c, &(struct tls_order){ .file = "mx",
                                        .cn = "mx.example",
                                        .san = "DNS:mx.example",
                                        .by = &c->world.good });
    scene_begin(c);
}

struct side {
    struct tls *tls;
    struct buffer plain;
    enum tls_said said;
    int opened;
};

static void side_take(struct side *s, struct span in)
{
    s->said = tls_feed(s->tls, in, &s->plain);
    if (s->said != TLS_OPENED)
        return;
    s->opened++;
    s->said = tls_feed(s->tls, SPAN(""), &s->plain);
}

static void side_fini(struct side *s)
{
    tls_free(s->tls);
    buffer_fini(&s->plain);
}

/* One way, in pieces of so many bytes. */
static size_t carry(struct side *from, struct side *to, size_t piece)
{
    struct buffer *out = tls_output(from->tls);
    struct span left = buffer_span(out);

    for (; left.len; left = span_skip(left, piece))
        side_take(to, span_first(left, piece));
    piece = out->len;
    buffer_fini(out);
    return piece;
}

static void converse(struct side *a, struct side *b, size_t piece)
{
    for (int i = 0; i < 20; i++)
        if (carry(a, b, piece) + carry(b, a, piece) == 0)
            return;
}

static void meet(struct side *client, struct side *server, size_t piece)
{
    side_take(client, SPAN(""));
    side_take(server, SPAN(""));
    converse(client, server, piece);
}

/* Client and server of the scene; the client wants this. */
static void pair_open(struct scene *c, struct side *client, struct side *server,
                      size_t listener, const struct tls_wish *w)
{
    *client = (struct side){ .tls = tls_connect(c->material, w) };
    *server = (struct side){ .tls = tls_accept(c->material, listener, NULL) };
    meet(client, server, 4096);
}

static const struct tls_wish mx_verified = { .name = SPAN_INIT("mx.example"),
                                             .verify = true };

static void pair_close(struct side *client, struct side *server)
{
    side_fini(client);
    side_fini(server);
}

#define assert_trouble(side, words)                                            \
    do {                                                                       \
        struct buffer said_ = { 0 };                                           \
        assert_int_equal((side)->said, TLS_BROKEN);                            \
        buffer_put(&said_, tls_trouble((side)->tls));                          \
        assert_string_equal(buffer_string(&said_), words);                     \
        buffer_fini(&said_);                                                   \
    } while (0)

/* ------------------------------------------------------- conversations ---- */

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

/* --------------------------------------------------------- certificates ---- */

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

/* A client of its own making, to do what ours would not. */
struct raw {
    SSL_CTX *context;
    SSL *ssl;
};

static struct raw raw_open(int is_server)
{
    struct raw r = { .context = SSL_CTX_new(is_server ? TLS_server_method()
                                                      : TLS_client_method()) };
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());

    SSL_CTX_set_security_level(r.context, 0);
    (void)SSL_CTX_set_min_proto_version(r.context, TLS1_VERSION);
    r.ssl = SSL_new(r.context);
    SSL_set_bio(r.ssl, in, out);
    if (is_server)
        SSL_set_accept_state(r.ssl);
    else
        SSL_set_connect_state(r.ssl);
    return r;
}

static void raw_close(struct raw *r)
{
    SSL_free(r->ssl);
    SSL_CTX_free(r->context);
}

/* What it has written goes to the other side, and the answers back. */
static void raw_talk(struct raw *r, struct side *s)
{
    char bytes[4096];

    for (int i = 0; i < 20; i++) {
        int n = BIO_read(SSL_get_wbio(r->ssl), bytes, sizeof bytes);
        struct buffer *out = tls_output(s->tls);

        if (n <= 0 && out->len == 0)
            return;
        if (n > 0)
            side_take(s, span_make(bytes, (size_t)n));
        if (out->len)
            (void)BIO_write(SSL_get_rbio(r->ssl), out->at, (int)out->len);
        buffer_clear(out);
        if (!SSL_is_init_finished(r->ssl))
            (void)SSL_do_handshake(r->ssl);
    }
}

static void raw_meet(struct raw *r, struct side *s)
{
    (void)SSL_do_handshake(r->ssl);
    raw_talk(r, s);
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

/* --------------------------------------------------------- hostile peers ---- */

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

/* ------------------------------------------------------------- material ---- */

static void faults_name_their_file(void **state)
{
    struct buffer faults = { 0 }, wanted = { 0 };
    struct span spare_certificate, spare_key;
    struct scene c;

    (void)state;
    scene_open(&c);
    scene_serve(&c, &(struct tls_order){ .file = "a", .cn = "a" });
    world_order(&c.world, &(struct tls_order){ .file = "b", .cn = "b" },
                &spare_certificate, &spare_key);
    c.certificates[1] = SPAN("/nowhere/cert.pem");
    c.keys[1] = spare_key;
    c.certificates[2] = spare_key;
    c.keys[2] = spare_certificate;
    c.settings->tls.certificate_count = c.settings->tls.key_count = 3;
    c.keys[0] = spare_key;
    assert_null(tls_material_new(c.settings, &faults));
    buffer_printf(&wanted, "%s/b.key: is not the key of %s/a.pem\n",
                  c.world.folder, c.world.folder);
    buffer_printf(&wanted, "/nowhere/cert.pem: No such file or directory: put "
                           "it there, or name another path\n");
    buffer_printf(&wanted, "%s/b.key: there is no certificate in it\n",
                  c.world.folder);
    buffer_printf(&wanted, "%s/b.pem: there is no key in it\n", c.world.folder);
    assert_string_equal(buffer_string(&faults), buffer_string(&wanted));
    buffer_fini(&faults);
    buffer_fini(&wanted);
    scene_close(&c);
}

static void each_end(void *user, struct span file, struct span names,
                     int64_t ends_ms)
{
    (void)file;
    (void)names;
    *(int64_t *)user = ends_ms;
}

static void warnings_come_before_the_end(void **state)
{
    struct buffer said = { 0 };
    struct scene c;
    int64_t end = 0;

    (void)state;
    scene_open(&c);
    scene_serve(
        &c, &(struct tls_order){
                .file = "a", .cn = "a", .begins_day = -1, .ends_day = 100 });
    scene_begin(&c);
    tls_material_each(c.material, each_end, &end);
    tls_material_warn(c.material, end - (int64_t)15 * WORLD_DAY_S * 1000,
                      &said);
    assert_string_equal(buffer_string(&said), "");
    tls_material_warn(c.material, end - (int64_t)5 * WORLD_DAY_S * 1000, &said);
    assert_non_null(
        strstr(buffer_string(&said), "/a.pem: the certificate ends on "));
    assert_non_null(strstr(buffer_string(&said), ", in 5 days\n"));
    buffer_clear(&said);
    tls_material_warn(c.material, end + 1000, &said);
    assert_non_null(
        strstr(buffer_string(&said), ": the certificate ended on "));
    buffer_clear(&said);
    assert_int_equal(chmod(c.world.files[2], 0644), 0);
    tls_material_warn(c.material, end - (int64_t)15 * WORLD_DAY_S * 1000,
                      &said);
    assert_non_null(
        strstr(buffer_string(&said),
               "/a.key: everybody on this machine can read the key\n"));
    buffer_fini(&said);
    scene_close(&c);
}

static void a_changed_file_makes_it_stale(void **state)
{
    struct scene c;
    FILE *f;

    (void)state;
    scene_simple(&c);
    assert_false(tls_material_is_stale(c.material));
    f = fopen(c.world.files[1], "a");
    assert_non_null(f);
    (void)fputs("\n", f);
    (void)fclose(f);
    assert_true(tls_material_is_stale(c.material));
    scene_close(&c);
}

static void conversations_outlive_their_configuration(void **state)
{
    struct side a, b;
    struct scene c;

    (void)state;
    scene_simple(&c);
    pair_open(&c, &a, &b, EDGE, &mx_verified);
    tls_material_release(c.material);
    c.material = NULL;
    assert_int_equal(tls_write(a.tls, SPAN("NOOP\r\n")), 0);
    converse(&a, &b, 65536);
    assert_true(span_is(buffer_span(&b.plain), SPAN("NOOP\r\n")));
    pair_close(&a, &b);
    scene_close(&c);
}

static void a_listener_without_tls_has_none(void **state)
{
    struct scene c;

    (void)state;
    scene_simple(&c);
    assert_null(tls_accept(c.material, CLEAR, NULL));
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
        cmocka_unit_test(a_certificate_is_verified_as_it_should_be),
        cmocka_unit_test(the_name_asked_for_picks_the_certificate),
        cmocka_unit_test(both_types_of_key_serve_the_same_name),
        cmocka_unit_test(a_client_certificate_is_a_fact_and_no_condition),
        cmocka_unit_test(a_session_is_resumed_among_equals_only),
        cmocka_unit_test(a_ticket_of_one_listener_is_nothing_on_another),
        cmocka_unit_test(what_was_not_verified_is_not_resumed_where_it_must_be),
        cmocka_unit_test(routes_with_other_certificates_share_no_session),
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
        cmocka_unit_test(faults_name_their_file),
        cmocka_unit_test(warnings_come_before_the_end),
        cmocka_unit_test(a_changed_file_makes_it_stale),
        cmocka_unit_test(conversations_outlive_their_configuration),
        cmocka_unit_test(a_listener_without_tls_has_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
