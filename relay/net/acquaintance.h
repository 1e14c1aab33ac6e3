/*
 * acquaintance - what deliveries to a destination came to, since the start.
 *
 * In memory, for people who look; nothing is decided by it. A table of ACQUAINTANCES places
 * that all workers share: a name has a few places where it may stand, and takes that of the
 * one that was met least lately, so that any number of destinations needs no more memory.
 * One lock for each part of the table, taken once for a delivery; nothing is allocated.
 */
#ifndef WAYPOST_ACQUAINTANCE_H
#define WAYPOST_ACQUAINTANCE_H

#include "policy/vocabulary/buffer.h"
#include "relay/net/tls.h"

enum {
    ACQUAINTANCES = 4096,
    ACQUAINTANCE_NAME = 255,  /* longer names are told apart by these and a hash */
    ACQUAINTANCE_REPLY = 255, /* of the last words */
};

struct acquaintance;

struct acquaintance *acquaintance_new(void);
void acquaintance_free(struct acquaintance *a);

/* What one delivery came to. */
struct acquaintance_news {
    uint32_t sent, deferred, bounced; /* recipients */
    int64_t delivery_ms;              /* connecting and sending; < 0: nothing was sent */
    const char *protocol;             /* "TLSv1.3", lasting; NULL: in clear text */
    enum tls_trust trust;
    const char *policy;               /* "DANE", "MTA-STS", lasting; NULL: of neither */
    bool is_connected;                /* the three above are known */
    struct span reply;                /* escaped; empty: none */
    int64_t now_ms;
};

/* Any thread. a may be NULL: nobody wants to know. */
void acquaintance_note(struct acquaintance *a, struct span destination,
                       const struct acquaintance_news *n);

struct acquaintance_row {
    uint64_t sent, deferred, bounced;
    int64_t delivery_ms;  /* smoothed; < 0: not known */
    const char *protocol; /* of the latest connection; NULL: in clear text */
    enum tls_trust trust;
    const char *policy;
    bool is_connected;
    char reply[ACQUAINTANCE_REPLY + 1];
    int64_t last_ms;
    int64_t sent_ms; /* when it last took mail; 0: never */
};

/* False: it was never met, or was forgotten. */
bool acquaintance_find(struct acquaintance *a, struct span destination,
                       struct acquaintance_row *out);
/* "Verified TLSv1.3", "Verified TLSv1.3 (DANE)", or "none". */
void acquaintance_put_tls(struct buffer *b, const struct acquaintance_row *r);

#endif
