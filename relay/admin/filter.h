/*
 * filter - which messages do you mean?
 *
 * The one filter language: the same keys with the same meaning as options of a command
 * (--older 2h), as query parameters (older=2h) and as members of a JSON object
 * ({"older": "2h"}). One table of keys serves all three, for waiting mail and for the history.
 *
 * Durations count back from `now_ms`, which the caller gives; dates are the local clock's
 * (instant.h). What `state` may be depends on what is looked at.
 */
#ifndef WAYPOST_FILTER_H
#define WAYPOST_FILTER_H

#include "policy/vocabulary/arena.h"
#include "policy/vocabulary/buffer.h"
#include "queue/queue.h"
#include "relay/admin/instant.h"

#include <jansson.h>

enum filter_language {
    FILTER_QUEUE,   /* state: active, ready ... (enum queue_state) */
    FILTER_HISTORY, /* state: delivered, failed ... (enum queue_what) */
};

/* All text lives in the arena. */
struct filter {
    enum filter_language language; /* set after filter_init, if not the queue's */
    struct queue_filter queue;
    unsigned seen; /* a bit for each key that was given; 0: everything
                      matches */
    struct arena arena;
};

void filter_init(struct filter *f);
void filter_fini(struct filter *f);

/* The value as it is told to a relay whose clock may show another hour: a date becomes one of
 * UTC, anything else stays. NULL: it is not UTF-8. */
json_t *filter_value(struct span key, const char *value);

/* The key's name without dashes, or NULL where there is none such. */
const char *filter_key(struct span name);

/*
 * Adds one condition. False with one sentence in out_why: unknown key, bad
 * value, or the key was given before.
 */
bool filter_add(struct filter *f, struct span key, struct span value,
                int64_t now_ms, struct buffer *out_why);

/* Adds every member of a JSON object whose value is a string or an integer; the
 * members named in `except` (ended by NULL) are somebody else's. out_why begins with the
 * path of the fault: "$.older: should be ...". */
bool filter_add_json(struct filter *f, json_t *object,
                     const char *const *except, int64_t now_ms,
                     struct buffer *out_why);

/* "90", "90s", "10min", "2h", "3d", "1w" in milliseconds. */
static inline bool filter_duration(struct span s, int64_t *out_ms)
{
    return instant_duration(s, out_ms);
}

/* "deferred" and so on, of one state. */
const char *filter_state_name(enum queue_state state);
/* "delivered" and so on. */
const char *filter_what_name(enum queue_what what);

#endif
