/*
 * password_cache - who was right a moment ago?
 *
 * A digest has one place, told by its first bytes; a newer one takes it over.
 */
#include "relay/inbound/password_cache.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/memory.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>

enum { DIGEST = 32 };

struct place {
    unsigned char digest[DIGEST];
    int64_t until_ms; /* 0: free */
};

struct password_cache {
    pthread_mutex_t lock;
    unsigned char key[DIGEST];
    struct place places[PASSWORD_CACHE_MOST];
};

struct password_cache *password_cache_new(void)
{
    struct password_cache *c = NEW(struct password_cache);

    ASSERT(pthread_mutex_init(&c->lock, NULL) == 0);
    ASSERT(RAND_bytes(c->key, sizeof c->key) == 1);
    return c;
}

void password_cache_free(struct password_cache *take_c)
{
    if (!take_c)
        return;
    (void)pthread_mutex_destroy(&take_c->lock);
    OPENSSL_cleanse(take_c, sizeof *take_c);
    free(take_c);
}

/* A login has no NUL, so that what is before it and behind it cannot be confused. */
static struct place *digest(struct password_cache *c, struct span login,
                            struct span password, unsigned char *out)
{
    size_t len = login.len + 1 + password.len;
    unsigned char *text = memory_zero(1, len);

    memcpy(text, login.at, login.len);
    if (password.len)
        memcpy(text + login.len + 1, password.at, password.len);
    ASSERT(HMAC(EVP_sha256(), c->key, sizeof c->key, text, len, out, NULL));
    OPENSSL_cleanse(text, len);
    free(text);
    return &c->places[(out[0] | out[1] << 8) % PASSWORD_CACHE_MOST];
}

bool password_cache_has(struct password_cache *c, struct span login,
                        struct span password, int64_t now_ms)
{
    unsigned char mine[DIGEST];
    struct place *p = digest(c, login, password, mine);
    bool has;

    (void)pthread_mutex_lock(&c->lock);
    has = now_ms < p->until_ms && CRYPTO_memcmp(p->digest, mine, DIGEST) == 0;
    (void)pthread_mutex_unlock(&c->lock);
    return has;
}

void password_cache_put(struct password_cache *c, struct span login,
                        struct span password, int64_t now_ms)
{
    unsigned char mine[DIGEST];
    struct place *p = digest(c, login, password, mine);

    (void)pthread_mutex_lock(&c->lock);
    memcpy(p->digest, mine, DIGEST);
    p->until_ms = now_ms + PASSWORD_CACHE_MS;
    (void)pthread_mutex_unlock(&c->lock);
}
