/*
 * tls_dane - a certificate that the DNS vouches for.
 *
 * OpenSSL does the matching, with its own agility between digests. What holds for mail is
 * said here: a record for the host's own certificate (DANE-EE) is all that is needed, be the
 * certificate of any name and long expired; one for an authority (DANE-TA) asks for a chain
 * that is in time and for one of the names. A key that its owner has published is as good as
 * any, so that weaker ones are taken than where an authority vouches.
 *
 * A resumed session was verified when it began, by the same records: they are part of the
 * session's key.
 *
 * RFC 7671 5, RFC 7672 3.1, 3.2.
 */
#include "relay/net/tls_private.h"

#include "policy/vocabulary/error.h"

#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

enum { LEVEL_DANE = 1, WHOLE = 0, CERTIFICATE = 0 };

bool tls_takes_tlsa(const struct tlsa *t)
{
    const unsigned char *at = (const unsigned char *)t->data.at;
    bool is_read;

    if (t->matching != WHOLE)
        return true;
    if (t->selector == CERTIFICATE) {
        X509 *x = d2i_X509(NULL, &at, (long)t->data.len);

        is_read = x != NULL && X509_get0_pubkey(x) != NULL;
        X509_free(x);
    } else {
        EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)t->data.len);

        is_read = key != NULL;
        EVP_PKEY_free(key);
    }
    return is_read && at == (const unsigned char *)t->data.at + t->data.len;
}

void tls_dane_expect(SSL *ssl, const struct tls_dane *dane)
{
    char *base = span_dup(dane->base);
    size_t added = 0;

    ASSERT(SSL_dane_enable(ssl, base) > 0);
    free(base);
    (void)SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    SSL_set_security_level(ssl, LEVEL_DANE);
    for (size_t i = 0; i < dane->name_count; i++) {
        char *name = span_dup(dane->names[i]);

        if (tls_names_can_ask(dane->names[i]))
            (void)SSL_add1_host(ssl, name);
        free(name);
    }
    for (size_t i = 0; i < dane->count; i++) {
        const struct tlsa *t = &dane->records[i];

        added += SSL_dane_tlsa_add(ssl, t->usage, t->selector, t->matching,
                                   (const unsigned char *)t->data.at,
                                   t->data.len) > 0;
    }
    if (added == 0) /* never an authority's word in their place */
        tls_names_expect(SSL_get0_param(ssl), SPAN(""));
}

void tls_dane_put_key(struct buffer *b, const struct tls_dane *dane)
{
    struct buffer all = { 0 };
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    buffer_put(&all, dane->base);
    for (size_t i = 0; i < dane->name_count; i++) {
        buffer_put_byte(&all, ' ');
        buffer_put(&all, dane->names[i]);
    }
    for (size_t i = 0; i < dane->count; i++) {
        const struct tlsa *t = &dane->records[i];

        buffer_printf(&all, "\n%u %u %u %zu ", t->usage, t->selector,
                      t->matching, t->data.len);
        buffer_put(&all, t->data);
    }
    ASSERT(EVP_Digest(all.at, all.len, digest, &len, EVP_sha256(), NULL) == 1);
    buffer_put(b, span_make((const char *)digest, len));
    buffer_fini(&all);
}
