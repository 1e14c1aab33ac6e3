/*
 * listing - waiting mail as programs and people read it.
 *
 * The server turns a queue's row into a JSON object of one line, with the keys
 * of `postqueue -j` and a few more; the command line turns that object into
 * text. Text of strangers is JSON-escaped in the one (pure ASCII) and escaped
 * for terminals in the other.
 */
#ifndef WAYPOST_LISTING_H
#define WAYPOST_LISTING_H

#include "policy/vocabulary/buffer.h"
#include "queue/queue.h"

#include <jansson.h>

/*
 * {"queue_id", "arrival_time", "message_size", "sender", "state", "recipients":
 * [{"address", "state", "attempts", "due", "delay_reason",
 * "ordered_by", "ordered_at", "ordered_why"}]}, times in seconds,
 * and a line end; "due" is null for what is not tried by itself. The null
 * sender is MAILER-DAEMON, as Postfix has it. delay_reason stands only where an attempt has
 * failed; ordered_... only of what a person holds or has deleted. in_full adds client, helo, login and expire_time.
 */
void listing_put_json(struct buffer *b, const struct queue_row *row,
                      bool in_full);
/* The same as an object. */
json_t *listing_row(const struct queue_row *row, bool in_full);
/* One of its recipients. */
json_t *listing_recipient(const struct queue_row_recipient *r);
/* {"messages", "recipients", "bytes"} */
json_t *listing_count(const struct queue_count *n);

/* A JSON string of any bytes: exact where they are UTF-8, else with \xHH in the
 * place of what is not showable. */
json_t *listing_text(struct span s);
/* A member of an object; the value must be there. */
void listing_set(json_t *object, const char *key, json_t *take_value);
/* Seconds; null: never. */
json_t *listing_moment(int64_t ms);
/* JSON in its shortest form, ASCII only; an object is a line of an answer. */
void listing_put_value(struct buffer *b, json_t *take_v);
void listing_put_object(struct buffer *b, json_t *take_o);

/* The columns' names, in at most `width` columns (0: uncut). */
void listing_put_head(struct buffer *b, size_t width);
/* One line of at most `width` columns (0: uncut), with its line end. */
void listing_put_line(struct buffer *b, const json_t *message, int64_t now_s,
                      size_t width);
/* A cell of so many columns (negative: at their left), emptied, and the gap behind it. */
void listing_put_cell(struct buffer *b, struct buffer *cell, int columns);
/* "34.5K"; "12s", "5min", "3h", "4d" */
void listing_put_size(struct buffer *b, int64_t bytes);
void listing_put_duration(struct buffer *b, int64_t s);
/* "12 messages, 13 recipients, 34.5K" */
void listing_put_count(struct buffer *b, const json_t *count);

#endif
