/*
 * tls_context - OpenSSL's contexts: what is offered, asked for and refused.
 *
 * Each listener has contexts of its own, and so ticket keys of its own: what was
 * agreed on one door opens no other. A listener's legacy context serves only clients of
 * its legacy networks. As client there are two for each certificate of ours: strict,
 * which ends the handshake when the peer's certificate does not hold, and loose, which
 * only tells.
 *
 * RFC 9325, 8996; RFC 7301 for the name "smtp".
 */
#include "relay/net/tls_private.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/memory.h"

#include <openssl/err.h>

/* Forward secrecy for all. The last ones (CBC) are for peers of before 2013, which would
 * otherwise send in clear. */
#define SERVER_CIPHERS                                                         \
    "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!aNULL:!eNULL:!kPSK:!AESCCM"
/* A next hop's choice is not ours: without forward secrecy it is still not clear text. */
#define CLIENT_CIPHERS                                                         \
    "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ECDHE+AES:DHE+AES:"   \
    "RSA+AES:!aNULL:!eNULL:!kPSK:!kSRP"
#define LEGACY_CIPHERS "ALL:!aNULL:!eNULL:!kPSK:!kSRP:!RC4:!EXPORT"

enum { LEVEL_ANY = 0, LEVEL_SOUND = 2 };

const char *tls_context_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    return reason ? reason : "TLS failed";
}

/* A client that speaks of protocols must know that this is SMTP: what was meant for a web
 * server is turned away. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *arg)
{
    static const unsigned char smtp[] = "\4smtp";
    unsigned char *chosen;

    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto(&chosen, out_len, smtp, sizeof smtp - 1, in,
                              in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* Trust is a fact, told afterwards. */
static int on_any_certificate(int ok, X509_STORE_CTX *ctx)
{
    (void)ok;
    (void)ctx;
    return 1;
}

/* OpenSSL keeps no certificate that it did not like; who explains wants its names. */
static int on_verified(int ok, X509_STORE_CTX *ctx)
{
    SSL *ssl =
        X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());

    if (!ok)
        tls_see_unverified(SSL_get_app_data(ssl),
                           X509_STORE_CTX_get0_cert(ctx));
    return ok;
}

static bool has_type(const struct tls_pair *const *chosen, size_t count,
                     const struct tls_pair *p)
{
    for (size_t i = 0; i < count; i++)
        if (EVP_PKEY_get_base_id(chosen[i]->key) ==
            EVP_PKEY_get_base_id(p->key))
            return true;
    return false;
}

enum { TYPES_MOST = 5 };

/* For the name that was asked for, the first pair of each type that has it. */
static int on_certificate_wanted(SSL *ssl, void *arg)
{
    const struct tls_material *m = arg;
    const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const struct tls_pair *chosen[TYPES_MOST];
    size_t count = 0;
    bool all_default = true;

    if (!asked || m->default_count == m->pair_count)
        return 1;
    for (size_t i = 0; i < m->pair_count && count < TYPES_MOST; i++) {
        const struct tls_pair *p = &m->pairs[i];

        if (!tls_names_serve(p->certificate, span_of(asked)) ||
            has_type(chosen, count, p))
            continue;
        all_default &= p->is_default;
        chosen[count++] = p;
    }
    if (count == 0 || (all_default && count == m->default_count))
        return 1;
    SSL_certs_clear(ssl);
    for (size_t i = 0; i < count; i++)
        if (SSL_use_cert_and_key(ssl, chosen[i]->certificate, chosen[i]->key,
                                 chosen[i]->chain, 1) != 1)
            return 0;
    return 1;
}

static SSL_CTX *new_context(const SSL_METHOD *method, int level, int oldest)
{
    SSL_CTX *c = SSL_CTX_new(method);

    ASSERT(c);
    SSL_CTX_set_security_level(c, level);
    (void)SSL_CTX_set_min_proto_version(c, oldest);
    (void)SSL_CTX_set_max_proto_version(c, 0);
    (void)SSL_CTX_clear_options(c,
                                SSL_OP_LEGACY_SERVER_CONNECT |
                                    SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION);
    (void)SSL_CTX_set_options(c, SSL_OP_NO_COMPRESSION |
                                     SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_CLEANSE_PLAINTEXT);
    (void)SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(c, 0);
    return c;
}

static bool use_pair(SSL_CTX *c, const struct tls_pair *p)
{
    return SSL_CTX_use_cert_and_key(c, p->certificate, p->key, p->chain, 1) ==
           1;
}

static void use_default_pairs(SSL_CTX *c, const struct tls_material *m)
{
    for (size_t i = 0; i < m->pair_count; i++)
        if (m->pairs[i].is_default)
            ASSERT(use_pair(c, &m->pairs[i])); /* it was taken before */
}

bool tls_context_takes(const struct tls_pair *p)
{
    SSL_CTX *probe =
        new_context(TLS_server_method(), LEVEL_SOUND, TLS1_2_VERSION);
    bool ok;

    ERR_clear_error();
    ok = use_pair(probe, p);
    SSL_CTX_free(probe);
    return ok;
}

/* A ticket names its listener, besides being under its key. */
static void name_sessions(SSL_CTX *c, struct span title)
{
    unsigned char id[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    ASSERT(EVP_Digest(title.at ? title.at : "", title.len, id, &len,
                      EVP_sha256(), NULL) == 1);
    ASSERT(SSL_CTX_set_session_id_context(c, id, len) == 1);
    (void)SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_num_tickets(c, 1);
}

static void ask_for_certificate(SSL_CTX *c, const struct tls_material *m)
{
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER, on_any_certificate);
    SSL_CTX_set_verify_depth(c, TLS_CLIENT_DEPTH);
    SSL_CTX_set1_cert_store(c, m->client_authorities);
}

SSL_CTX *tls_context_server(struct tls_material *m, size_t listener,
                            bool is_legacy)
{
    const struct listener_settings *l = &m->settings->listeners[listener];
    SSL_CTX *c =
        new_context(TLS_server_method(), is_legacy ? LEVEL_ANY : LEVEL_SOUND,
                    is_legacy ? TLS1_VERSION : TLS1_2_VERSION);

    (void)SSL_CTX_set_options(c, SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_max_cert_list(c, TLS_CLIENT_CHAIN_MOST);
    SSL_CTX_set_alpn_select_cb(c, on_alpn, NULL);
    SSL_CTX_set_cert_cb(c, on_certificate_wanted, m);
    name_sessions(c, l->title);
    if (is_legacy)
        (void)SSL_CTX_set_dh_auto(c, 1);
    if (l->client_certificate != CERTIFICATE_NONE)
        ask_for_certificate(c, m);
    ASSERT(SSL_CTX_set_cipher_list(c, is_legacy ? LEGACY_CIPHERS
                                                : SERVER_CIPHERS) == 1);
    use_default_pairs(c, m);
    return c;
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    tls_keep_session(SSL_get_app_data(ssl), session);
    return 0; /* the reference stays OpenSSL's */
}

SSL_CTX *tls_context_client(struct tls_material *m, const struct tls_pair *pair,
                            bool is_strict)
{
    SSL_CTX *c =
        new_context(TLS_client_method(), is_strict ? LEVEL_SOUND : LEVEL_ANY,
                    TLS1_2_VERSION);

    if (!is_strict)
        (void)SSL_CTX_set_options(c, SSL_OP_LEGACY_SERVER_CONNECT);
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER,
                       is_strict ? on_verified : on_any_certificate);
    SSL_CTX_set1_cert_store(c, m->authorities);
    (void)SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT |
                                                SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c, on_session);
    if (is_strict) /* for conversations that TLSA records vouch for; see tls_dane.c */
        ASSERT(SSL_CTX_dane_enable(c) == 1);
    ASSERT(SSL_CTX_set_cipher_list(c, CLIENT_CIPHERS) == 1);
    if (pair->certificate)
        ASSERT(use_pair(c, pair));
    return c;
}
