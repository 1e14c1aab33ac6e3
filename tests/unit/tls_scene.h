/*
 * tls_scene - a configuration with its certificates, and both ends of a conversation in one
 * process, or a peer that does not keep to it.
 */
#ifndef WAYPOST_TLS_SCENE_H
#define WAYPOST_TLS_SCENE_H

#include "relay/net/tls.h"

#include "tls_world.h"

#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

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

static inline void scene_open(struct scene *c)
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

static inline void scene_serve(struct scene *c, const struct tls_order *o)
{
    size_t n = c->settings->tls.certificate_count++;

    c->settings->tls.key_count++;
    world_order(&c->world, o, &c->certificates[n], &c->keys[n]);
}

static inline void scene_begin(struct scene *c)
{
    struct buffer faults = { 0 };

    c->material = tls_material_new(c->settings, &faults);
    assert_string_equal(buffer_string(&faults), "");
    assert_non_null(c->material);
    buffer_fini(&faults);
}

static inline void scene_close(struct scene *c)
{
    tls_material_release(c->material);
    settings_release(c->settings);
    world_close(&c->world);
}

/* A scene with one good certificate for mx.example. */
static inline void scene_simple(struct scene *c)
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

static inline void side_take(struct side *s, struct span in)
{
    s->said = tls_feed(s->tls, in, &s->plain);
    if (s->said != TLS_OPENED)
        return;
    s->opened++;
    s->said = tls_feed(s->tls, SPAN(""), &s->plain);
}

static inline void side_fini(struct side *s)
{
    tls_free(s->tls);
    buffer_fini(&s->plain);
}

/* One way, in pieces of so many bytes. */
static inline size_t carry(struct side *from, struct side *to, size_t piece)
{
    struct buffer *out = tls_output(from->tls);
    struct span left = buffer_span(out);

    for (; left.len; left = span_skip(left, piece))
        side_take(to, span_first(left, piece));
    piece = out->len;
    buffer_fini(out);
    return piece;
}

static inline void converse(struct side *a, struct side *b, size_t piece)
{
    for (int i = 0; i < 20; i++)
        if (carry(a, b, piece) + carry(b, a, piece) == 0)
            return;
}

static inline void meet(struct side *client, struct side *server, size_t piece)
{
    side_take(client, SPAN(""));
    side_take(server, SPAN(""));
    converse(client, server, piece);
}

/* Client and server of the scene; the client wants this. */
static inline void pair_open(struct scene *c, struct side *client,
                             struct side *server, size_t listener,
                             const struct tls_wish *w)
{
    *client = (struct side){ .tls = tls_connect(c->material, w) };
    *server = (struct side){ .tls = tls_accept(c->material, listener, NULL) };
    meet(client, server, 4096);
}

static const struct tls_wish mx_verified = { .name = SPAN_INIT("mx.example"),
                                             .verify = true };

static inline void pair_close(struct side *client, struct side *server)
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

/* A client of its own making, to do what ours would not. */
struct raw {
    SSL_CTX *context;
    SSL *ssl;
};

static inline struct raw raw_open(int is_server)
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

static inline void raw_close(struct raw *r)
{
    SSL_free(r->ssl);
    SSL_CTX_free(r->context);
}

/* What it has written goes to the other side, and the answers back. */
static inline void raw_talk(struct raw *r, struct side *s)
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

static inline void raw_meet(struct raw *r, struct side *s)
{
    (void)SSL_do_handshake(r->ssl);
    raw_talk(r, s);
}

#endif
