/*
 * seal - who gets something of ours can know that it is ours, and of when.
 */
#include "relay/main/seal.h"

#include "policy/vocabulary/error.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdio.h>

enum { HASH_BYTES = 32 };

static void add(EVP_MAC_CTX *c, struct span s)
{
    ASSERT(EVP_MAC_update(c, (const unsigned char *)s.at, s.len) == 1);
}

/* HMAC of the two, one behind the other. */
static void hash(struct span secret, struct span head, struct span body,
                 unsigned char out[HASH_BYTES])
{
    static char digest[] = "SHA256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *c = EVP_MAC_CTX_new(mac);
    size_t len = 0;

    ASSERT(mac && c);
    ASSERT(EVP_MAC_init(c, (const unsigned char *)secret.at, secret.len,
                        parameters) == 1);
    add(c, head);
    add(c, body);
    ASSERT(EVP_MAC_final(c, out, &len, HASH_BYTES) == 1 && len == HASH_BYTES);
    EVP_MAC_CTX_free(c);
    EVP_MAC_free(mac);
}

void seal_put(struct buffer *b, struct span secret, int64_t unix_s,
              struct span body)
{
    unsigned char bytes[HASH_BYTES];
    char head[32];

    (void)snprintf(head, sizeof head, "%lld.", (long long)unix_s);
    hash(secret, span_of(head), body, bytes);
    buffer_printf(b, "t=%lld,v1=", (long long)unix_s);
    for (size_t i = 0; i < HASH_BYTES; i++)
        buffer_printf(b, "%02x", bytes[i]);
}
