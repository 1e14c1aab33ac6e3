/*
 * tls - TLS 1.2 and 1.3 over OpenSSL, as an engine between bytes and bytes.
 *
 *   HANDSHAKE --done--> OPEN --close_notify--> CLOSED
 *       |                 |
 *       +----- failed ----+--> BROKEN
 *
 * OpenSSL reads straight from the span that was fed and writes straight into the output;
 * between two calls it keeps at most a part of one record, and an idle conversation has no
 * buffers at all. Messages after the handshake are counted: who goes on changing keys
 * without sending anything is cut off.
 *
 * Holds its material; RFC 8446, 5246, 9266.
 */
#include "relay/net/tls_private.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/memory.h"

#include <openssl/err.h>
#include <stdlib.h>

enum {
    RECORD_MOST = 16384, /* plain text of one */
    RECORD_OVERHEAD = 64,
    MESSAGES_MOST = 64, /* after the handshake, and one more for each ... */
    BYTES_A_MESSAGE = 16384, /* ... so many bytes of plain text */
};

/* ------------------------------------------- what OpenSSL reads and writes ---- */

static int bio_read(BIO *b, char *to, int size)
{
    struct tls *t = BIO_get_data(b);
    struct span part = span_first(t->in, (size_t)size);

    BIO_clear_retry_flags(b);
    if (t->is_flooded)
        return -1;
    if (part.len == 0) {
        BIO_set_retry_read(b);
        return -1;
    }
    memcpy(to, part.at, part.len);
    t->in = span_skip(t->in, part.len);
    return (int)part.len;
}

static int bio_write(BIO *b, const char *from, int size)
{
    struct tls *t = BIO_get_data(b);

    BIO_clear_retry_flags(b);
    buffer_put(&t->out, span_make(from, (size_t)size));
    return size;
}

static long bio_control(BIO *b, int what, long number, void *pointer)
{
    (void)b;
    (void)number;
    (void)pointer;
    return what == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *b)
{
    BIO_set_init(b, 1);
    return 1;
}

BIO_METHOD *tls_bio_method(void)
{
    BIO_METHOD *m =
        BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "waypost");

    ASSERT(m);
    (void)BIO_meth_set_read(m, bio_read);
    (void)BIO_meth_set_write(m, bio_write);
    (void)BIO_meth_set_ctrl(m, bio_control);
    (void)BIO_meth_set_create(m, bio_create);
    return m;
}

/* Counts what the peer says besides data: messages it sends, and alerts that it makes us
 * send (a refused renegotiation). */
static void on_message(int is_written, int version, int type, const void *bytes,
                       size_t len, SSL *ssl, void *arg)
{
    struct tls *t = arg;

    (void)version;
    (void)bytes;
    (void)len;
    (void)ssl;
    if (t->state != OPEN ||
        type != (is_written ? SSL3_RT_ALERT : SSL3_RT_HANDSHAKE))
        return;
    t->messages++;
    t->is_flooded =
        t->messages > MESSAGES_MOST + t->plain_bytes / BYTES_A_MESSAGE;
}

/* ----------------------------------------------------------- beginning ---- */

static struct tls *new_tls(struct tls_material *m, SSL_CTX *context)
{
    struct tls *t = NEW(struct tls);
    BIO *b = BIO_new(m->bio);

    t->ssl = SSL_new(context);
    ASSERT(t->ssl && b);
    t->material = tls_material_hold(m);
    BIO_set_data(b, t);
    SSL_set_bio(t->ssl, b, b);
    (void)SSL_set_app_data(t->ssl, t);
    SSL_set_msg_callback(t->ssl, on_message);
    SSL_set_msg_callback_arg(t->ssl, t);
    return t;
}

struct tls *tls_accept(struct tls_material *m, size_t listener,
                       const struct host_address *client)
{
    const struct tls_listener *l = &m->listeners[listener];
    const struct networks *old = &m->settings->listeners[listener].legacy_tls;
    struct tls *t;

    ASSERT(listener < m->listener_count);
    if (!l->modern)
        return NULL;
    t = new_tls(m, l->legacy && client && networks_have(old, client)
                       ? l->legacy
                       : l->modern);
    t->is_server = true;
    SSL_set_accept_state(t->ssl);
    return t;
}

/* What is kept apart: whose certificate we show, and how much we ask. */
static void set_session_key(struct tls *t, const struct tls_wish *w,
                            size_t client)
{
    struct buffer key = { 0 };
    SSL_SESSION *s;

    if (w->session_key.len == 0)
        return;
    buffer_printf(&key, "%zu%c", client, w->dane ? 'd' : w->verify ? 'v' : 'l');
    buffer_put(&key, w->name);
    if (w->dane)
        tls_dane_put_key(&key, w->dane);
    buffer_put_byte(&key, ' ');
    buffer_put(&key, w->session_key);
    t->session_key = key.at;
    t->session_key_len = key.len;
    s = tls_cache_find(t->material->cache, buffer_span(&key));
    if (s)
        (void)SSL_set_session(t->ssl, s);
    SSL_SESSION_free(s);
}

static void set_server_name(struct tls *t, struct span name)
{
    char host[TLS_NAME_MOST + 1] = "";

    if (!tls_names_can_ask(name))
        return;
    memcpy(host, name.at, name.len - (name.at[name.len - 1] == '.'));
    (void)SSL_set_tlsext_host_name(t->ssl, host);
}

struct tls *tls_connect(struct tls_material *m, const struct tls_wish *w)
{
    const struct settings *s = m->settings;
    size_t client = w->route < s->route_count + s->fetch_count
                        ? m->client_of_route[w->route]
                        : 0;
    const struct tls_client *c = &m->clients[client];
    bool is_strict = w->verify || w->dane;
    struct tls *t = new_tls(m, is_strict ? c->strict : c->loose);

    t->is_strict = is_strict;
    t->is_dane = w->dane != NULL;
    t->policy = w->policy;
    if (w->name.len)
        t->name = span_dup(w->name);
    SSL_set_connect_state(t->ssl);
    set_server_name(t, w->dane ? w->dane->base : w->name);
    if (w->dane)
        tls_dane_expect(t->ssl, w->dane);
    else if (w->verify)
        tls_names_expect(SSL_get0_param(t->ssl), w->name);
    set_session_key(t, w, client);
    return t;
}

void tls_free(struct tls *t)
{
    if (!t)
        return;
    SSL_free(t->ssl);
    buffer_fini(&t->out);
    buffer_fini(&t->trouble);
    buffer_fini(&t->peer_name);
    free(t->session_key);
    free(t->name);
    X509_free(t->refused);
    tls_material_release(t->material);
    free(t);
}

void tls_keep_session(struct tls *t, SSL_SESSION *session)
{
    if (t->session_key && SSL_SESSION_is_resumable(session))
        tls_cache_put(t->material->cache,
                      span_make(t->session_key, t->session_key_len), session);
}

/* -------------------------------------------------------------- failing ---- */

static void break_up(struct tls *t, const char *why)
{
    t->state = BROKEN;
    buffer_clear(&t->trouble);
    buffer_put_string(&t->trouble, why);
}

static void fail(struct tls *t)
{
    unsigned long e = ERR_peek_last_error();

    if (t->state == HANDSHAKE && t->session_key)
        tls_cache_drop(t->material->cache,
                       span_make(t->session_key, t->session_key_len));
    if (t->is_flooded) {
        break_up(t, "too many messages besides data");
    } else if (t->is_foreign && t->state == HANDSHAKE) {
        break_up(t, "peer does not speak TLS");
    } else {
        t->state = BROKEN;
        tls_peer_reason(t, e, &t->trouble);
    }
    ERR_clear_error();
}

/* ---------------------------------------------------------- going on ---- */

/* The first byte of a record, or of an SSL 2 hello, which OpenSSL refuses in better
 * words. */
static void look_at_first(struct tls *t, struct span in)
{
    unsigned char c;

    if (t->has_input || in.len == 0)
        return;
    c = (unsigned char)in.at[0];
    t->has_input = true;
    t->is_foreign = c != SSL3_RT_HANDSHAKE && c != SSL3_RT_ALERT && c < 0x80;
}

static bool shake(struct tls *t)
{
    int rc = SSL_do_handshake(t->ssl);

    if (rc == 1) {
        /* Strict contexts keep no session but of a good certificate. */
        ASSERT(!t->is_strict || SSL_get_verify_result(t->ssl) == X509_V_OK);
        t->state = OPEN;
        tls_peer_learn(t);
        return true;
    }
    if (SSL_get_error(t->ssl, rc) != SSL_ERROR_WANT_READ)
        fail(t);
    return false;
}

static void read_records(struct tls *t, struct buffer *out_plain)
{
    for (;;) {
        char *room = buffer_room(out_plain, RECORD_MOST);
        int n, why;

        ASSERT(room);
        n = SSL_read(t->ssl, room, RECORD_MOST);
        if (n > 0) {
            buffer_grew(out_plain, (size_t)n);
            t->plain_bytes += (size_t)n;
            continue;
        }
        why = SSL_get_error(t->ssl, n);
        if (why == SSL_ERROR_ZERO_RETURN)
            t->state = CLOSED;
        else if (why != SSL_ERROR_WANT_READ)
            fail(t);
        return;
    }
}

enum tls_said tls_feed(struct tls *t, struct span in, struct buffer *out_plain)
{
    bool opened = false;

    look_at_first(t, in);
    t->in = in;
    ERR_clear_error();
    if (t->state == HANDSHAKE)
        opened = shake(t);
    if (t->state == OPEN && (in.len || opened))
        read_records(t, out_plain);
    t->in = (struct span){ NULL, 0 };
    if (opened)
        return TLS_OPENED; /* what came after it is told by the next call */
    return t->state == CLOSED   ? TLS_CLOSED
           : t->state == BROKEN ? TLS_BROKEN
                                : TLS_GOES_ON;
}

int tls_cut(struct tls *t)
{
    if (t->state == CLOSED)
        return 0;
    if (t->state == OPEN)
        return ERROR_TRUNCATED;
    if (t->state == HANDSHAKE)
        break_up(t, "the peer went away during the handshake");
    return ERROR_TLS;
}

int tls_write(struct tls *t, struct span plain)
{
    size_t records = plain.len / RECORD_MOST + 1;
    int n;

    if (t->state == BROKEN)
        return ERROR_TLS;
    ASSERT(t->state != HANDSHAKE && !t->has_ended);
    if (plain.len == 0)
        return 0;
    (void)buffer_room(&t->out, plain.len + records * RECORD_OVERHEAD);
    ERR_clear_error();
    while (plain.len) {
        n = SSL_write(t->ssl, plain.at,
                      (int)(plain.len < RECORD_MOST ? plain.len : RECORD_MOST));
        if (n <= 0) {
            fail(t);
            return ERROR_TLS;
        }
        plain = span_skip(plain, (size_t)n);
    }
    return 0;
}

void tls_end(struct tls *t)
{
    if (t->has_ended || (t->state != OPEN && t->state != CLOSED))
        return;
    t->has_ended = true;
    ERR_clear_error();
    (void)SSL_shutdown(t->ssl);
    ERR_clear_error();
}

struct buffer *tls_output(struct tls *t)
{
    return &t->out;
}

struct span tls_trouble(const struct tls *t)
{
    return buffer_span(&t->trouble);
}

bool tls_trouble_is_trust(const struct tls *t)
{
    return t->is_about_trust;
}
