/*
 * tls_private - what the files of tls share.
 *
 *   tls.c           the engine: one conversation
 *   tls_peer.c      what it learns of the peer, and why it failed
 *   tls_material.c  files, pairs and authorities, held together
 *   tls_pem.c       what stands in these files
 *   tls_context.c   OpenSSL's contexts: what is offered, asked for and refused
 *   tls_names.c     names in certificates
 *   tls_dane.c      what TLSA records vouch for
 *   tls_cache.c     sessions to be resumed by us as client
 *
 * Only these include OpenSSL's TLS.
 */
#ifndef WAYPOST_TLS_PRIVATE_H
#define WAYPOST_TLS_PRIVATE_H

#include "relay/net/tls.h"

#include <openssl/ssl.h>
#include <stdatomic.h>

enum {
    TLS_CHAIN_MOST = 16,             /* certificates in one file of ours */
    TLS_CLIENT_DEPTH = 8,            /* of a client's chain */
    TLS_CLIENT_CHAIN_MOST = 64 << 10, /* bytes of it on the wire */
    TLS_NAME_MOST = 255,
    TLS_DIGEST_TEXT = 7 + 64,        /* "sha256:" and hex */
    TLS_EXPORTER_BYTES = 32,
};

struct tls_cache;

/* A certificate, what leads from it to a root, and its key. */
struct tls_pair {
    X509 *certificate;
    STACK_OF(X509) *chain;
    EVP_PKEY *key;
    bool is_default;                 /* shown to who asks for no name of ours */
    char *path;                      /* of the certificate */
};

/* A file that was read, as it was then. */
struct tls_file {
    char *path;
    bool is_key;
    int64_t changed_ns;
    uint64_t size, inode;
};

struct tls_listener {
    SSL_CTX *modern, *legacy;        /* NULL: no TLS; legacy only where it is allowed */
};

/* Of routes with the same client certificate. */
struct tls_client {
    struct span certificate, key;    /* paths, in the settings */
    struct tls_pair pair;
    SSL_CTX *strict, *loose;
};

struct tls_material {
    atomic_uint holders;
    struct settings *settings;       /* held */
    BIO_METHOD *bio;                 /* see tls.c */
    struct tls_pair *pairs;
    size_t pair_count, default_count;
    X509_STORE *authorities, *client_authorities;
    struct tls_listener *listeners;
    size_t listener_count;
    struct tls_client *clients;      /* the first is without a certificate */
    size_t client_count;
    size_t *client_of_route;
    struct tls_cache *cache;
    struct tls_file *files;
    size_t file_count;
    int64_t made_ms;
};

/* ------------------------------------------------------------- tls.c ---- */

/* See tls.c; no other file writes it. */
enum tls_state { HANDSHAKE, OPEN, CLOSED, BROKEN };

struct tls {
    SSL *ssl;
    struct tls_material *material;
    enum tls_state state;
    bool is_server, is_strict, is_dane;
    const char *policy; /* of the wish */
    bool is_foreign; /* the peer's first byte is none of TLS */
    bool has_input;  /* the peer has sent something */
    bool is_flooded;
    bool has_ended; /* our close_notify was written */
    bool is_about_trust;
    struct span in; /* what OpenSSL has not taken yet */
    struct buffer out;
    uint64_t plain_bytes;
    uint64_t messages; /* after the handshake */
    char *session_key; /* of the cache; NULL: none */
    size_t session_key_len;
    char *name; /* that is looked for; NULL: none */
    X509 *refused; /* by a strict verification; NULL: none was */
    struct buffer trouble;
    struct buffer peer_name; /* of facts; or, not verified, what it is for */
    struct tls_facts facts;
    char digest[TLS_DIGEST_TEXT + 1];
    unsigned char exporter[TLS_EXPORTER_BYTES];
};

/* How the engine reads and writes; the caller's. */
BIO_METHOD *tls_bio_method(void);
/* A new session of this conversation, to be kept; see SSL_CTX_sess_set_new_cb. */
void tls_keep_session(struct tls *t, SSL_SESSION *session);

/* --------------------------------------------------------- tls_pem.c ---- */

/* Faults are lines, "PATH: text". */
void tls_pem_certificates(struct tls_pair *p, const char *path,
                          struct buffer *faults);
/* One in clear: nobody is there who could be asked for a passphrase. */
void tls_pem_key(struct tls_pair *p, const char *path, struct buffer *faults);
/* The caller's, and never NULL. */
X509_STORE *tls_pem_authorities(const char *path, struct buffer *faults);
/* Those that this machine trusts, read when they are wanted where that can be. */
X509_STORE *tls_pem_system_authorities(void);

/* -------------------------------------------------------- tls_peer.c ---- */

/* The certificate that a strict verification is about to refuse. */
void tls_see_unverified(struct tls *t, X509 *x);
/* The peer's, also a refused one (NULL: none was seen), and what verification said. */
X509 *tls_peer(const struct tls *t, long *out_verified);
/* After the handshake: the facts. */
void tls_peer_learn(struct tls *t);
/* OpenSSL's error in words about the peer. */
void tls_peer_reason(struct tls *t, unsigned long error, struct buffer *b);

/* ----------------------------------------------------- tls_context.c ---- */

/* Is the pair fit for use? false: see tls_context_reason. */
bool tls_context_takes(const struct tls_pair *p);
/* Of pairs that were taken. */
SSL_CTX *tls_context_server(struct tls_material *m, size_t listener,
                            bool is_legacy);
SSL_CTX *tls_context_client(struct tls_material *m,
                            const struct tls_pair *pair, bool is_strict);
/* The last error of OpenSSL in this thread as words. */
const char *tls_context_reason(void);

/* ------------------------------------------------------- tls_names.c ---- */

/* Does the certificate serve for this name, when clients ask for it? CN counts where there
 * are no DNS names. */
bool tls_names_serve(X509 *x, struct span name);
/* RFC 9525: DNS names in subjectAltName only, a wildcard only as the whole left-most label
 * for exactly one label; an address against iPAddress. */
bool tls_names_match(X509 *x, struct span name);
/* The same for a verification. What can be no host's name is in no certificate. */
void tls_names_expect(X509_VERIFY_PARAM *p, struct span name);
/* May the name be asked for by SNI: a host name, no address? */
bool tls_names_can_ask(struct span name);
/* The first name in it: DNS name, mail address, or CN. Nothing where none is clean. */
void tls_names_first(X509 *x, struct buffer *out);
/* A few of its names, with commas, for a person. */
void tls_names_list(X509 *x, struct buffer *out);
/* "sha256:HEX" */
void tls_names_digest(X509 *x, char out[TLS_DIGEST_TEXT + 1]);

/* -------------------------------------------------------- tls_dane.c ---- */

/* For a conversation of a strict context that has not begun. */
void tls_dane_expect(SSL *ssl, const struct tls_dane *dane);
/* What tells apart two of them, for the key of sessions. */
void tls_dane_put_key(struct buffer *b, const struct tls_dane *dane);

/* ------------------------------------------------------- tls_cache.c ---- */

struct tls_cache *tls_cache_new(void);
void tls_cache_free(struct tls_cache *c);
/* Any thread. The newest session of a key; NULL: none. The caller's. */
SSL_SESSION *tls_cache_find(struct tls_cache *c, struct span key);
void tls_cache_put(struct tls_cache *c, struct span key, SSL_SESSION *s);
void tls_cache_drop(struct tls_cache *c, struct span key);

#endif
