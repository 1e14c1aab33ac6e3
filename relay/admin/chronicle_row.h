/*
 * chronicle_row - one thing that happened, as a JSON object.
 *
 * {"cursor", "at", "at_ms", "what", "queue_id", "sender", "recipient", "status", "reply",
 *  "host", "received", "size", "client", "client_name", "helo", "login", "listener",
 *  "protocol", "message_id", "attempts", "in_doubt", "delays": [before the queue, in it,
 *  connecting, sending], "tries": [{"at", "host", "status", "reply"}], "rule", "place",
 *  "held_by", "tls", "stage"}, and where there is any: "asked_to", "asked_from", "orig_to", "who",
 * "dialogue": ["> EHLO ..."]. Times and delays in seconds; "received" null: it never was.
 * "what" is one of delivered, failed, expired, discarded, deleted, returned, refused, and
 * changed: then "who" ordered what "reply" says. The null sender is empty.
 */
#ifndef WAYPOST_CHRONICLE_ROW_H
#define WAYPOST_CHRONICLE_ROW_H

#include "policy/vocabulary/buffer.h"
#include "queue/queue.h"

#include <jansson.h>

/* One line, with its end. */
void chronicle_row_put(struct buffer *b, const struct queue_told *t);
/* The same as an object. */
json_t *chronicle_row(const struct queue_told *t);

/* Attempts, as they are stored: [{"at", "host", "status", "reply"}]. */
json_t *chronicle_row_tries(struct span trail);
/* One text for each line. */
json_t *chronicle_row_lines(struct span text);

/* A place in the history, from the text that a row's "cursor" is; false: it is none. */
bool chronicle_row_read_cursor(struct span s, struct queue_place *out);

#endif
