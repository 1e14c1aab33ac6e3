/*
 * limits - every cap on what a stranger can make us hold.
 *
 * What a configuration may change is a default here and a field of struct
 * limits; the rest is fixed. Nothing a peer controls is allocated before it was
 * held against one of these.
 */
#ifndef WAYPOST_LIMITS_H
#define WAYPOST_LIMITS_H

#include <stdint.h>

enum {
    LIMIT_COMMAND_LINE = 2048,        /* with CRLF */
    LIMIT_RECIPIENTS = 1000,          /* of one transaction */
    LIMIT_MESSAGE = 50 * 1024 * 1024, /* after unstuffing, line ends included */
    LIMIT_HEADER = 256 * 1024,        /* of the header section */
    LIMIT_HOPS = 100,                 /* Received: lines */
    LIMIT_SESSIONS_PER_CLIENT = 50,
    LIMIT_ERRORS = 20,                /* 4xx and 5xx of one session, then 421 */
    LIMIT_JUNK = 100,                 /* NOOP, RSET, VRFY, HELP without mail */
    LIMIT_SILENCE_S = 300,
    LIMIT_DATA_RATE = 500,            /* bytes a second */
    LIMIT_HANDSHAKE_S = 60,
    LIMIT_LINE = 1024 * 1024,         /* of content */
    LIMIT_MIME_DEPTH = 100,           /* of parts that are looked into */
    LIMIT_MIME_FIELD = 16 * 1024,     /* of a field that says what a part is */
    LIMIT_MIME_PARAMETERS = 100,      /* of one field */
    LIMIT_ATTACHMENTS = 1000,         /* of one message that are remembered */
    LIMIT_LOGIN_FAILURES = 5,         /* of one session, then 421 */
    LIMIT_AUTH_LINE = 12 * 1024,      /* base64, without line end; RFC 4954 */
    LIMIT_LOGIN = 255,
    LIMIT_PASSWORD = 1024,
    LIMIT_FUTURE_RELEASE_S = 30 * 24 * 3600,
    LIMIT_DELIVER_BY_MIN_S = 60,      /* offered as DELIVERBY's least */

    LIMIT_LOCAL_PART = 64,
    LIMIT_DOMAIN = 255,
    LIMIT_PATH = 256,
    LIMIT_SOCKET_PATH = 107,          /* of a unix socket; unix(7) */

    LIMIT_REPLY_BYTES = 64 * 1024,    /* of a next hop's whole reply */
    LIMIT_REPLY_LINES = 512,
    LIMIT_REPLY_STORED = 1000,        /* of it in store, log and report */

    LIMIT_MX_HOSTS = 10,              /* of one MX set that are looked at */
    LIMIT_ADDRESSES = 5,              /* tried in one attempt, Postfix's number */
    LIMIT_TRANSACTION_RECIPIENTS = 50,

    LIMIT_EVIDENCE_ANSWERS = 1024,    /* that one session remembers */
    LIMIT_EVIDENCE_BYTES = 256 * 1024, /* of them, with their questions */
    LIMIT_EVIDENCE_KEY = 16 * 1024,
    LIMIT_EVIDENCE_ANSWER = 16 * 1024,

    CONTENT_SMALL = 128 * 1024,       /* larger content leaves memory in parts */
    CONTENT_PART = 256 * 1024,        /* bytes in one part, at most */
};

/* The settable ones. */
struct limits {
    uint64_t message_bytes;
    uint64_t header_bytes;
    uint32_t command_line;
    uint32_t recipients;
    uint32_t hops;
    uint32_t sessions_per_client;
    uint32_t errors;
    uint32_t login_failures;
    int64_t handshake_ms;
    int64_t future_release_ms;        /* FUTURERELEASE on submission listeners; 0: off */
    int64_t silence_ms;
    uint32_t data_rate;
};

#endif
