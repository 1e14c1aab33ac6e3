/*
 * tls_peer - what a conversation learns of its peer: the facts, its certificate, also a refused
 * one, and why there is no conversation with it.
 */
#include "relay/net/tls_private.h"

#include <openssl/err.h>

/* ------------------------------------------------------------- trouble ---- */

void tls_see_unverified(struct tls *t, X509 *x)
{
    buffer_clear(&t->peer_name);
    if (!x)
        return;
    tls_names_list(x, &t->peer_name);
    X509_free(t->refused);
    t->refused = X509_up_ref(x) == 1 ? x : NULL;
}

X509 *tls_peer(const struct tls *t, long *out_verified)
{
    *out_verified = SSL_get_verify_result(t->ssl);
    return t->refused ? t->refused : SSL_get0_peer_certificate(t->ssl);
}

static void say_why_not_trusted(struct tls *t, struct buffer *b)
{
    long why = SSL_get_verify_result(t->ssl);

    t->is_about_trust = true;
    if (why == X509_V_ERR_HOSTNAME_MISMATCH ||
        why == X509_V_ERR_IP_ADDRESS_MISMATCH) {
        buffer_put_string(b, "the certificate is for ");
        buffer_put(b, buffer_span(&t->peer_name));
    } else {
        buffer_put_string(b, X509_verify_cert_error_string(why));
    }
}

void tls_peer_reason(struct tls *t, unsigned long e, struct buffer *b)
{
    int reason = ERR_GET_REASON(e);

    if (ERR_GET_LIB(e) != ERR_LIB_SSL)
        reason = 0; /* numbers of another table */
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED && !t->is_server) {
        say_why_not_trusted(t, b);
    } else if (reason >= SSL_AD_REASON_OFFSET) {
        buffer_printf(
            b, "the peer says: %s",
            SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET));
    } else if (reason == SSL_R_UNSUPPORTED_PROTOCOL ||
               reason == SSL_R_VERSION_TOO_LOW) {
        buffer_put_string(b, "the peer's TLS version is not allowed");
    } else if (reason == SSL_R_NO_SHARED_CIPHER) {
        buffer_put_string(b, "no cipher in common");
    } else {
        buffer_put_string(b, tls_context_reason());
    }
}

/* --------------------------------------------------------------- facts ---- */

static enum tls_trust trust_of(struct tls *t, X509 *x)
{
    if (!x)
        return TLS_ANONYMOUS;
    if (SSL_get_verify_result(t->ssl) != X509_V_OK)
        return TLS_UNTRUSTED;
    if (t->is_dane)
        return TLS_VERIFIED;
    return t->name && tls_names_match(x, span_of(t->name)) ? TLS_VERIFIED
                                                           : TLS_TRUSTED;
}

/* RFC 9266 4.2: before TLS 1.3 only with the extended master secret. */
static void export_binding(struct tls *t)
{
    static const char label[] = "EXPORTER-Channel-Binding";

    if (SSL_version(t->ssl) < TLS1_3_VERSION &&
        SSL_get_extms_support(t->ssl) != 1)
        return;
    if (SSL_export_keying_material(t->ssl, t->exporter, sizeof t->exporter,
                                   label, sizeof label - 1,
                                   (const unsigned char *)"", 0, 1) == 1)
        t->facts.exporter =
            span_make((const char *)t->exporter, sizeof t->exporter);
}

void tls_peer_learn(struct tls *t)
{
    X509 *x = SSL_get0_peer_certificate(t->ssl);
    struct tls_facts *f = &t->facts;

    f->protocol = SSL_get_version(t->ssl);
    f->cipher = SSL_get_cipher_name(t->ssl);
    f->bits = SSL_get_cipher_bits(t->ssl, NULL);
    f->is_resumed = SSL_session_reused(t->ssl) == 1;
    f->trust = trust_of(t, x);
    f->policy = f->trust == TLS_VERIFIED ? t->policy : NULL;
    if (x) {
        tls_names_digest(x, t->digest);
        f->fingerprint = span_of(t->digest);
    }
    if (f->trust >= TLS_TRUSTED) {
        tls_names_first(x, &t->peer_name);
        f->name = buffer_span(&t->peer_name);
    }
    export_binding(t);
}

const struct tls_facts *tls_facts(const struct tls *t)
{
    return &t->facts;
}
