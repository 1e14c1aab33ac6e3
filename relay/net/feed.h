/*
 * feed - what is being logged, for those who look on.
 *
 * A reader says which kinds of events it wants, and a text that must be in them. Each
 * thread that logs puts what it wants into a buffer of the reader's, from which the main
 * loop takes it a few times a second. Nobody waits for a reader: what is more than FEED_RATE
 * a second, or more than its buffer holds, is left out and counted by kind.
 *
 * What is rare goes before what is frequent: see the table of shares in feed.c. Without a
 * reader the log costs what it did.
 */
#ifndef WAYPOST_FEED_H
#define WAYPOST_FEED_H

#include "relay/net/log.h"

enum {
    FEED_READERS_MOST = 32,
    FEED_RATE = 200,         /* events a second and reader */
    FEED_HOLDS = 256 * 1024, /* bytes, for each reader */
    FEED_MATCH_MOST = 200,   /* bytes of a text */
};

struct feed_reader;

/* Which events; the end of a delivery has kinds of its own. */
struct feed_filter {
    uint64_t kinds;    /* bits; 0: all */
    struct span match; /* in any field, no case; empty: all */
};

/* "delivery,refused": names of events, and "sent", "deferred", "bounced" of deliveries.
 * False: why says which is none. */
bool feed_read_kinds(struct span names, uint64_t *out_kinds,
                     struct buffer *why);

/* From now on. NULL: there are FEED_READERS_MOST already. */
struct feed_reader *feed_open(const struct feed_filter *f);
void feed_close(struct feed_reader *take_r);

/* What has come since: "data: {...}" and an empty line each (text/event-stream). out is
 * empty; its memory changes hands. */
void feed_take(struct feed_reader *r, struct buffer *out);
/* What was left out since this was asked last: "event: omitted" ..., or nothing. */
void feed_put_omitted(struct feed_reader *r, struct buffer *out);

/* One event; the log's lines come this way while there are readers. now_ms: of a clock that
 * does not go back. Any thread. */
void feed_offer(const struct log_line *line, int64_t now_ms);

#endif
