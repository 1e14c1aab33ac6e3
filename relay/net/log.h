/*
 * log - what happened, one line each.
 *
 * One table of events gives the line in Postfix's shape (people's tools read it) and the
 * JSON object alike. Bytes from peers are always escaped; secrets have no field. Lines are
 * gathered for each thread and written by one write(2) a batch; any thread may log.
 */
#ifndef WAYPOST_LOG_H
#define WAYPOST_LOG_H

#include "policy/settings.h"
#include "policy/vocabulary/buffer.h"
#include "relay/net/tls.h"

enum log_event {
    LOG_STARTED,          /* qmgr: started, listening ... */
    LOG_STOPPED,
    LOG_NOTE,             /* qmgr: text of ours */
    LOG_WARNING,          /* qmgr: warning: text */
    LOG_FATAL,            /* qmgr: fatal: text */
    LOG_CONNECT,          /* smtpd: connect from host[ip] */
    LOG_DISCONNECT,       /* smtpd: disconnect from host[ip] commands=N messages=N session=NAME */
    LOG_LOST,             /* smtpd: lost connection after STAGE from host[ip] (text) */
    LOG_CLIENT,           /* smtpd: ID: client=host[ip], listener=NAME, login=USER,
                             orig_queue_id=ID (of the message it was split from),
                             rule="NAME" FILE:LINE (of the first recipient) */
    LOG_MESSAGE_ID,       /* smtpd: ID: message-id=<..> */
    LOG_QUEUED,           /* qmgr: ID: from=<a>, size=N, nrcpt=N (queue active) */
    LOG_VERDICT,          /* smtpd: ID: hold: RCPT from host[ip]: text; from=<> to=<> ...;
                             status: what a rule did: hold, discard, tag */
    LOG_REMARK,           /* smtpd: NOQUEUE: shadow: RCPT from host[ip]: 554 5.7.1 ...; from=<>
                             to=<> ...: of a rule that does nothing; status: shadow, info */
    LOG_REFUSED,          /* smtpd: NOQUEUE: reject: RCPT from host[ip]: 554 5.7.1 ...;
                             from=<> to=<> proto=ESMTP helo=<> rule="NAME" FILE:LINE session=NAME */
    LOG_DELIVERY,         /* smtp: ID: to=<b>, orig_to=<c>, relay=host[ip]:25, conn_use=N,
                             delay=1.2, delays=a/b/c/d, dsn=2.0.0, status=sent (reply) */
    LOG_REMOVED,          /* qmgr: ID: removed */
    LOG_REPORT,           /* bounce: ID: sender non-delivery notification: ID2;
                             status: non-delivery, delay, delivery status */
    LOG_CONNECT_FAILED,   /* smtp: connect to host[ip]:25: text */
    LOG_TLS_IN,           /* smtpd: Anonymous TLS connection established from host[ip]:
                             TLSv1.3 with cipher X (256/256 bits), resumed */
    LOG_TLS_OUT,          /* smtp: ... established to host[ip]:25: ... */
    LOG_LOGIN,            /* smtpd: host[ip]: logged in as USER by MECHANISM */
    LOG_LOGIN_FAILED,     /* smtpd: warning: host[ip]: SASL MECHANISM authentication failed:
                             text, sasl_username=USER (where it may be told) */
    LOG_EVENTS
};

/* Which fields an event uses is said in the table in log.c; others are ignored. */
struct log_line {
    enum log_event event;
    uint64_t id;                  /* message; 0: none */
    uint64_t other_id;            /* LOG_REPORT, LOG_CLIENT */
    struct span host;             /* client or next hop name, "unknown" */
    struct span address;          /* its IP */
    uint16_t port;
    struct span listener, login, helo, protocol;
    struct span sender, recipient, message_id;
    struct span orig_to;          /* LOG_DELIVERY: as it was first addressed, or empty */
    struct span mechanism;        /* LOG_LOGIN...: "PLAIN" */
    struct span session;          /* its name, as in replies */
    const struct tls_facts *tls;  /* LOG_TLS_... */
    struct span relay;            /* LOG_DELIVERY: "host[ip]:25" or "none" */
    struct span status;           /* sent, deferred, bounced, expired, held ... */
    struct span stage;
    struct span text;             /* reply, reason, our own words */
    struct span rule;
    struct place place;           /* of the rule */
    struct status dsn;
    int64_t delay_ms[4];          /* before the queue, in it, connecting, sending */
    uint64_t size, count, commands;
    uint32_t conn_use;
};

/* To stderr (with time and tag), or syslog or a file when set; may be called again on a
 * reload. A file that cannot be opened is warned of where the log was until then, and it
 * stays there. */
void log_open(enum log_form form, struct span tag, bool to_syslog,
              struct span file);
/* The file, if there is one, is opened again by its name; on failure the old one stays. */
MUST int log_reopen(void);
void log_put(const struct log_line *line);
/* "name: text" shortcuts for LOG_NOTE, LOG_WARNING, LOG_FATAL. */
void log_text(enum log_event event, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Who looks on: called with each line, on the thread that puts it, before it is written;
 * NULL: nobody, which costs one load. */
typedef void log_tap_fn(const struct log_line *line);
void log_tap(log_tap_fn *tap);
/* The JSON object of a line, with time and tag, whatever form the log has. */
void log_put_object(struct buffer *b, const struct log_line *line);
/* Writes out what was gathered; each loop calls it once a turn, and before the end. */
void log_flush(void);

/* One line without time, process and line end: "waypost/smtp: ID: to=<...". For tests, which
 * cannot know the others. */
void log_render(struct buffer *b, enum log_form form, struct span tag,
                const struct log_line *line);

#endif
