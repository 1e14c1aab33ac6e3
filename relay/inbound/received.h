/*
 * received - the trace line in front of every message. RFC 5321 4.4.
 *
 *   Received: from HELO (NAME [IP])
 *           (using TLSv1.3 with cipher NAME (256/256 bits))
 *           by HOST (Waypost) with ESMTP id ID
 *           for <rcpt> PRIORITY -3; date
 *
 * or, of a user of this machine,
 *
 *   Received: by HOST (Waypost, from userid 1000)
 *           id ID; date
 *
 * PRIORITY (RFC 6710 6) stands there where it is not the usual one.
 */
#ifndef WAYPOST_RECEIVED_H
#define WAYPOST_RECEIVED_H

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/network.h"
#include "relay/net/tls.h"

struct received {
    struct span helo;        /* as said; made harmless here */
    struct span client_name; /* or "unknown" */
    const struct host_address *client;
    bool is_local;               /* of a user of this machine, */
    uint32_t uid;                /* who has this number */
    bool hides_client;           /* nothing of helo, name and address */
    const struct tls_facts *tls; /* NULL: in clear */
    struct span hostname;        /* ours */
    struct span protocol;        /* SMTP, ESMTP, UTF8SMTP ... */
    uint64_t id;
    struct span recipient; /* checked grammar; empty: not told */
    int priority;          /* granted; RFC 6710 */
    int64_t now_ms;
};

void received_write(struct buffer *b, const struct received *r);

#endif
