/*
 * report - delivery status notifications.
 *
 * Composes one report for one message and one outcome, however many recipients it
 * concerns. Pure: everything is a parameter, bytes come out. Of a message from <> only the
 * postmaster hears. RFC 3461 to 3464, RFC 6533, RFC 3834; texts as Postfix's users know them.
 */
#ifndef WAYPOST_REPORT_H
#define WAYPOST_REPORT_H

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/envelope.h"
#include "policy/vocabulary/reply.h"

enum report_kind {
    REPORT_FAILED, REPORT_DELAYED, REPORT_SUCCESS,
    REPORT_DOUBLE,                /* to the postmaster: a message from <> failed */
    REPORT_KINDS,
};

struct report_recipient {
    struct span address, orcpt;
    enum { REPORT_ACTION_FAILED, REPORT_ACTION_DELAYED, REPORT_ACTION_DELIVERED,
           REPORT_ACTION_RELAYED } action;
    struct status status;
    struct span reply;            /* "550 5.1.1 no such user"; may be our own words */
    bool is_remote;               /* reply was said by host: Diagnostic-Code smtp; */
    bool is_returned;             /* nothing was tried: an operator wants it so */
    struct span host;             /* "mx.example.org[192.0.2.1]:25" or empty */
    int64_t attempt_ms;           /* of the last attempt; 0: none */
    int64_t until_ms;             /* REPORT_DELAYED: Will-Retry-Until */
};

struct report {
    enum report_kind kind;
    struct span hostname;         /* ours */
    struct span to;               /* who gets it; empty: the envelope's sender */
    uint64_t id;                  /* of the report itself: Message-ID, boundary */
    uint64_t about;               /* of the message reported */
    const struct envelope *envelope; /* of the message reported */
    const struct report_recipient *recipients;
    size_t count;
    struct span content;          /* of the message; all of it, or only its beginning when
                                     it is large: headers are always enough */
    bool content_is_whole;
    int64_t now_ms;
};

/* The report's content, CRLF lines, our own headers first. Seven bits only, unless the
 * addressee needs SMTPUTF8 in any case. */
void report_compose(struct buffer *out, const struct report *r);

#endif
