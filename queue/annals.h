/*
 * annals - the history, read from its newest row back.
 *
 * One stream out of several tables, each walked along an index in the order of time: what
 * became of mail, what was refused, and, where no relay runs, what has not been copied yet.
 * The rows come sorted by (time, source, id), so that a place between two of them stays what
 * it is while others arrive.
 *
 *   event (rank 0) --+
 *   refusal (1) -----+--> the latest of the three --filter--> row
 *   history (2) -----+
 *
 * A value without a wildcard that an index leads to is looked up, the rarest first; everything
 * else is compared row by row. A slice is one short read transaction, ended by the clock.
 *
 * A connection belongs to one thread. Failures are those of the database.
 */
#ifndef WAYPOST_ANNALS_H
#define WAYPOST_ANNALS_H

#include "queue/database.h"
#include "queue/queue.h"

enum { ANNALS_SOURCES = 3 };

struct annals;

/* queue_path: of queue.db. with_events: its outbox is read too. */
MUST int annals_open(struct annals **out_a, const char *queue_path,
                     bool with_events);
void annals_close(struct annals *a);
/* The file that failed last. */
const char *annals_path(const struct annals *a);

/* Text of a filter, ready to be compared. */
struct annals_pattern {
    struct buffer text; /* in small letters */
    bool is_given, is_exact;
};

/* One question, over several slices. */
struct annals_walk {
    struct queue_filter filter; /* borrowed texts */
    struct annals_pattern from, to, domain, client, login, reason;
    struct annals_pattern to_domain; /* `to` is "*@" and this */
    struct queue_place place; /* what comes next is behind it */
    bool is_planned;
    int ways[ANNALS_SOURCES]; /* the index for each; see annals_plan.c */
    struct buffer scratch;
};

/* ERROR_TOO_BIG: a pattern over the limit. */
MUST int annals_walk_init(struct annals_walk *w, const struct queue_filter *f,
                          const struct queue_place *after);
void annals_walk_fini(struct annals_walk *w);

/* False: enough, this row was not yet taken. */
typedef bool annals_fn(void *user, const struct queue_told *row);

/*
 * Goes on from w->place for at most slice_ms: until `limit` rows were found, or the clock
 * or `each` says so. *out_more: there may be more behind w->place.
 */
MUST int annals_slice(struct annals *a, struct annals_walk *w, uint32_t limit,
                      int64_t slice_ms, annals_fn *each, void *user,
                      bool *out_more);

#endif
