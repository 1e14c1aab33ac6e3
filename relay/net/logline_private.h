/*
 * logline_private - what the files of logline share.
 *
 *   logline_events.c   the table of fields, and the table of events
 *   logline.c          an event in Postfix's words
 *   logline_json.c     ... and as a JSON object
 *
 * An event is a row of pieces; a piece is a field with what stands before and
 * behind it, and one marked MAY_MISS is left out, words and all, when the field
 * is empty. A field is a row with its JSON name, what kind of thing it is, and
 * where it is in struct log_line.
 */
#ifndef WAYPOST_LOGLINE_PRIVATE_H
#define WAYPOST_LOGLINE_PRIVATE_H

#include "relay/net/logline.h"

enum logline_kind {
    K_SPAN,
    K_MESSAGE_ID,
    K_ID,
    K_PEER,
    K_PEER_PORT,
    K_PLACE,
    K_STATUS,
    K_DELAY,
    K_DELAYS,
    K_NUMBER,
    K_USE,
    K_TRUST,
    K_PROTOCOL,
    K_CIPHER,
    K_BITS,
    K_RESUMED,
    K_TLS_POLICY,
};

enum logline_field {
    F_ID,
    F_OTHER_ID,
    F_ORIG_ID,
    F_PEER,
    F_NEXT_HOP,
    F_LISTENER,
    F_LOGIN,
    F_HELO,
    F_PROTOCOL,
    F_SENDER,
    F_RECIPIENT,
    F_MESSAGE_ID,
    F_RELAY,
    F_STATUS,
    F_STAGE,
    F_TEXT,
    F_RULE,
    F_PLACE,
    F_DSN,
    F_DELAY,
    F_DELAYS,
    F_SIZE,
    F_COUNT,
    F_COMMANDS,
    F_CONN_USE,
    F_ORIG_TO,
    F_MECHANISM,
    F_TRUST,
    F_TLS,
    F_CIPHER,
    F_BITS,
    F_RESUMED,
    F_TLS_POLICY,
    F_SESSION,
};

/* ------------------------------------------------- logline_events.c ---- */

enum { LOGLINE_PIECES = 13, LOGLINE_MAY_MISS = 1 };

struct logline_row {
    const char *name;
    enum logline_kind kind;
    size_t at;
};

struct logline_event {
    const char *name, *daemon;
    unsigned flags;
    const char *before; /* in front of the first piece */
    struct logline_piece {
        const char *before; /* NULL: the row ends here */
        enum logline_field field;
        const char *after;
        unsigned flags;
    } pieces[LOGLINE_PIECES];
};

extern const struct logline_row logline_fields[];
extern const struct logline_event logline_events[LOG_EVENTS];

/* -------------------------------------------------------- logline.c ---- */

/* Never NULL. value: where a field of TLS is. */
const struct tls_facts *logline_facts_of(const void *value);
int64_t logline_sum_of(const int64_t *delay_ms);
/* As buffer_put_escaped, with a short way for what nearly everything is. */
void logline_put_clean(struct buffer *b, struct span s);
void logline_put_value(struct buffer *b, const struct log_line *line,
                       const struct logline_row *f);
bool logline_is_left_out(const struct log_line *line,
                         const struct logline_piece *p);

#endif
