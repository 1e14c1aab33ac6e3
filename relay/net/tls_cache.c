/*
 * tls_cache - sessions that we as client may resume.
 *
 * The newest one of each key, as bytes (a session that lives keeps a whole chain of
 * certificates), at most so many and not for long; the oldest goes first. Any thread.
 */
#include "relay/net/tls_private.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/memory.h"

#include <stdlib.h>
#include <uthash.h>
#include <uv.h>

enum {
    SESSIONS_MOST = 1024,
    SESSION_BYTES_MOST = 16 * 1024, /* tickets are the peer's to size */
    SESSION_AGE_MS = 3600 * 1000,
};

struct kept_session {
    char *key;
    size_t key_len;
    unsigned char *bytes;
    long len;
    uint64_t kept_ms;
    UT_hash_handle hh;
};

struct tls_cache {
    uv_mutex_t lock;
    struct kept_session *sessions; /* in order of insertion */
};

static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

struct tls_cache *tls_cache_new(void)
{
    struct tls_cache *c = NEW(struct tls_cache);

    ASSERT(uv_mutex_init(&c->lock) == 0);
    return c;
}

/* The macros of uthash are long; what they do is one look-up, one insertion and one
 * removal. NOLINTBEGIN(readability-function-size) */
static struct kept_session *find(struct tls_cache *c, struct span key)
{
    struct kept_session *s;

    HASH_FIND(hh, c->sessions, key.at, key.len, s);
    return s;
}

static void forget(struct tls_cache *c, struct kept_session *s)
{
    if (!s)
        return;
    HASH_DEL(c->sessions, s);
    OPENSSL_cleanse(s->bytes, (size_t)s->len);
    free(s->bytes);
    free(s->key);
    free(s);
}

static void add(struct tls_cache *c, struct kept_session *s)
{
    forget(c, find(c, span_make(s->key, s->key_len)));
    if (HASH_COUNT(c->sessions) >= SESSIONS_MOST)
        forget(c, c->sessions);
    HASH_ADD_KEYPTR(hh, c->sessions, s->key, s->key_len, s);
}
/* NOLINTEND(readability-function-size) */

void tls_cache_free(struct tls_cache *c)
{
    if (!c)
        return;
    while (c->sessions)
        forget(c, c->sessions);
    uv_mutex_destroy(&c->lock);
    free(c);
}

SSL_SESSION *tls_cache_find(struct tls_cache *c, struct span key)
{
    SSL_SESSION *session = NULL;
    struct kept_session *s;

    uv_mutex_lock(&c->lock);
    s = find(c, key);
    if (s && now_ms() - s->kept_ms > SESSION_AGE_MS) {
        forget(c, s);
    } else if (s) {
        const unsigned char *at = s->bytes;

        session = d2i_SSL_SESSION(NULL, &at, s->len);
    }
    uv_mutex_unlock(&c->lock);
    return session;
}

void tls_cache_put(struct tls_cache *c, struct span key, SSL_SESSION *session)
{
    int len = i2d_SSL_SESSION(session, NULL);
    struct kept_session *s;
    unsigned char *at;

    if (len <= 0 || len > SESSION_BYTES_MOST)
        return;
    s = NEW(struct kept_session);
    s->key = span_dup(key);
    s->key_len = key.len;
    s->bytes = at = memory_take((size_t)len);
    s->len = i2d_SSL_SESSION(session, &at);
    s->kept_ms = now_ms();
    uv_mutex_lock(&c->lock);
    add(c, s);
    uv_mutex_unlock(&c->lock);
}

void tls_cache_drop(struct tls_cache *c, struct span key)
{
    uv_mutex_lock(&c->lock);
    forget(c, find(c, key));
    uv_mutex_unlock(&c->lock);
}
