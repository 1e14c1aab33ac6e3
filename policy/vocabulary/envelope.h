/*
 * envelope - what SMTP says about a message besides its content.
 *
 * The names of RFC 5321 2.3.1. All spans are borrowed; who holds them is said
 * where an envelope is handed over.
 */
#ifndef WAYPOST_ENVELOPE_H
#define WAYPOST_ENVELOPE_H

#include "policy/vocabulary/span.h"

enum body_type { BODY_7BIT, BODY_8BITMIME, BODY_BINARYMIME };

enum deliver_by_mode { DELIVER_BY_NOTIFY, DELIVER_BY_RETURN };

struct envelope {
    struct span sender;       /* reverse-path without <>; empty: null */
    enum body_type body;      /* as declared in MAIL */
    bool smtputf8;            /* SMTPUTF8 was declared */
    bool has_8bit;            /* content has bytes over 127 */
    bool header_8bit;         /* and its header section too */
    struct span ret;          /* "", "FULL" or "HDRS"; RFC 3461 */
    struct span envid;        /* decoded; RFC 3461 */
    struct span client;       /* address of the client, as text */
    struct span client_name;  /* its name, or "unknown" */
    struct span helo;         /* as said */
    struct span login;        /* authenticated identity, or empty */
    struct span listener;     /* title of the listener it came in by */
    bool is_unvouched;        /* AUTH= was given, and we do not vouch for it; RFC 4954 5 */
    struct span protocol;     /* SMTP, ESMTP, UTF8SMTP ...; RFC 3848 */
    struct span tls;          /* "TLSv1.3 256 FINGERPRINT NAME", as far as there is any */
    struct span message_id;   /* of the header, for the log; may be empty */
    int64_t received_ms;      /* when its acceptance began */
    int64_t release_ms;       /* FUTURERELEASE: not before; 0: at once; RFC 4865 */
    uint64_t size_bytes;      /* of the content as stored */
    uint32_t header_bytes;    /* of it, up to and with the empty line */
    int priority;             /* MT-PRIORITY, -9 to 9; RFC 6710 */
    int64_t deliver_by_ms;    /* DELIVERBY: the point in time; 0: none; RFC 2852 */
    enum deliver_by_mode deliver_by_mode;
    bool deliver_by_trace;    /* T was asked for */
    struct span verp;         /* XVERP: the two delimiters, "+="; empty: none */
};

/* From when on it is tried: its age is counted from here. */
static inline int64_t envelope_begin_ms(const struct envelope *e)
{
    return e->release_ms ? e->release_ms : e->received_ms;
}

/* When its sender is to hear of a delay; 0: not by DELIVERBY. A time that was over when the
 * message came was the notice of the hop before. RFC 2852 4 */
static inline int64_t envelope_notify_by_ms(const struct envelope *e)
{
    return e->deliver_by_mode == DELIVER_BY_NOTIFY &&
                   e->deliver_by_ms > e->received_ms
               ? e->deliver_by_ms
               : 0;
}

#endif
