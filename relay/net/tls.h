/*
 * tls - TLS 1.2 and 1.3 over OpenSSL, as an engine between bytes and bytes.
 *
 * struct tls_material is what a configuration gives: certificates, keys, authorities and
 * one context for each listener and purpose. It is immutable, made on the main thread,
 * held by count and shared by the workers (OpenSSL's contexts lock for themselves).
 * struct tls is one conversation: ciphertext in and out, plain text out and in; no socket.
 *
 *   HANDSHAKE --done--> OPEN --close_notify--> CLOSED
 *       |                 |
 *       +----- failed ----+--> BROKEN
 *
 * Security: TLS 1.2 up (1.0 for a listener's legacy-tls networks), no compression, no
 * renegotiation, bounded key updates, ALPN refused unless it says smtp, session tickets
 * with keys of their own for each listener. RFC 8446, 5246, 8996, 9525, 7817, 5929, 9266.
 */
#ifndef WAYPOST_TLS_H
#define WAYPOST_TLS_H

#include "policy/settings.h"
#include "policy/tlsa.h"
#include "policy/vocabulary/buffer.h"

struct tls_material;
struct tls;

/* Reads and checks every file the settings name. Faults ("FILE: text") in out_faults, one a
 * line; NULL when there is any. */
struct tls_material *tls_material_new(const struct settings *s,
                                      struct buffer *out_faults);
struct tls_material *tls_material_hold(struct tls_material *m);
void tls_material_release(struct tls_material *m);
/* Have its files changed since? Looks at them (stat); for the main loop's timer. */
bool tls_material_is_stale(const struct tls_material *m);
/* All of our certificates, those of routes too; borrowed for the call. names: "a, b". */
typedef void tls_certificate_fn(void *user, struct span file,
                                struct span names, int64_t ends_ms);
void tls_material_each(const struct tls_material *m, tls_certificate_fn *each,
                       void *user);
/* A certificate ends soon: it is warned of. */
enum { TLS_SOON_DAYS = 14 };
/* What a person should see to, "FILE: text" one a line: certificates that end soon, keys that
 * others can read. */
void tls_material_warn(const struct tls_material *m, int64_t now_ms,
                       struct buffer *out);

/* We are the server. listener: index in the settings the material was made of; client: for
 * legacy-tls. NULL: that listener has no TLS. */
struct tls *tls_accept(struct tls_material *m, size_t listener,
                       const struct host_address *client);

/* Whom TLSA records vouch for. All borrowed, for the call. RFC 7672 3 */
struct tls_dane {
    struct span base;             /* the records' host: SNI, and one of the names below */
    const struct span *names;     /* of DANE-TA's certificates any of these will do */
    size_t name_count;
    const struct tlsa *records;   /* each of them usable */
    size_t count;
};
/* Policy finds it usable; can it be read, too (a whole certificate or key)? */
bool tls_takes_tlsa(const struct tlsa *t);

/* We are the client. */
struct tls_wish {
    struct span name;             /* SNI, and what is verified; empty: neither */
    bool verify;                  /* else any certificate will do (but trust is told) */
    const struct tls_dane *dane;  /* what is verified instead; NULL: nothing */
    const char *policy;           /* whose wish that is: see tls_facts; NULL: the route's */
    struct span session_key;      /* sessions are resumed among equals: address, port, name
                                     and policy; empty: none */
    size_t route;                 /* index in the settings: its client certificate; of a
                                     fetch: its own behind the routes' */
};
struct tls *tls_connect(struct tls_material *m, const struct tls_wish *w);
void tls_free(struct tls *take_t);

enum tls_said {
    TLS_GOES_ON,                  /* wants input (after its output was sent) */
    TLS_OPENED,                   /* the handshake is done; once */
    TLS_CLOSED,                   /* close_notify */
    TLS_BROKEN,                   /* see tls_trouble; there may be an alert to send */
};
/* Takes ciphertext; plain text is appended to out_plain, ciphertext to be sent to
 * tls_output. An empty `in` begins a handshake. */
enum tls_said tls_feed(struct tls *t, struct span in, struct buffer *out_plain);
/* The peer's bytes are at an end: 0 where its close_notify came before, ERROR_TRUNCATED, or
 * ERROR_TLS in the handshake. */
int tls_cut(struct tls *t);
/* Encrypts into tls_output; only when open, or when the peer alone has closed. */
MUST int tls_write(struct tls *t, struct span plain);
/* close_notify into tls_output. */
void tls_end(struct tls *t);
struct buffer *tls_output(struct tls *t);
/* Words for a person: "certificate has expired", "peer does not speak TLS" ...: of the
 * failure; empty: none. */
struct span tls_trouble(const struct tls *t);
/* Did the failure concern the peer's certificate (4.7.5), not TLS as such? */
bool tls_trouble_is_trust(const struct tls *t);

enum tls_trust { TLS_ANONYMOUS, TLS_UNTRUSTED, TLS_TRUSTED, TLS_VERIFIED };

/* Of an open conversation; text lives as long as the tls. */
struct tls_facts {
    const char *protocol;         /* "TLSv1.3" */
    const char *cipher;           /* "TLS_AES_256_GCM_SHA384" */
    int bits;
    bool is_resumed;
    enum tls_trust trust;         /* of the peer's certificate */
    const char *policy;           /* VERIFIED: who demanded it, "DANE" or "MTA-STS"; NULL: the
                                     route */
    struct span fingerprint;      /* of it: "sha256:HEX", or empty */
    struct span name;             /* a name in it, when its chain verified; or empty */
    struct span exporter;         /* tls-exporter channel binding; empty: none */
};
const struct tls_facts *tls_facts(const struct tls *t);

/* What stands in a peer's certificate, for people; all escaped. */
struct tls_certificate {
    struct buffer subject, issuer; /* "CN=mail.example.org" */
    struct buffer names;           /* a few, with commas */
    int64_t from_ms, until_ms;     /* it is valid */
    struct buffer trouble;         /* why its chain is not trusted; empty: it is */
};
/* Of the peer, also when the handshake failed because of it; false: none was seen. */
bool tls_certificate_read(const struct tls *t, struct tls_certificate *out);
void tls_certificate_fini(struct tls_certificate *c);

#endif
