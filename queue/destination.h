/*
 * destination - next hops, the lanes that lead to them, the senders that wait.
 *
 *   lane --+
 *   lane --+--> destination <-- sender <-- sender     (a line of works each)
 *   lane --+        |
 *                 slots
 *
 * A lane is a row of the store; here are only those with something in memory or
 * waiting on disk. All of this is under the queue's lock.
 */
#ifndef WAYPOST_DESTINATION_H
#define WAYPOST_DESTINATION_H

#include "queue/bundle.h"
#include "queue/feedback.h"
#include "queue/store.h"
#include "queue/timers.h"

enum timer_kind { TIMER_LANE, TIMER_DESTINATION, TIMER_PACE };

struct lane {
    struct bucket_link by_key;
    struct timer timer; /* the earliest due time on disk after now */
    int64_t id;         /* the store's */
    char *key;
    size_t key_len;
    struct destination *destination;
    uint32_t count; /* its recipients in memory */
    /* Recipients that wait or are held, in memory or not; see quota.h. */
    uint64_t waiting, waiting_bytes;
    int64_t since_ms; /* it has had such without a break; 0: it has none */

    /* Due recipients that may be on disk only. */
    bool has_more;   /* then it is in its destination's todo or skipped */
    bool has_news;   /* has_more was set again while a page was read */
    bool is_unread;  /* what was on disk at start has not been looked through */
    bool is_skipped; /* in `skipped`, not in `todo` */
    struct store_cursor cursor; /* where the next page begins */
    struct store_cursor resume; /* in front of the first that was passed over */
    uint32_t passed;       /* recipients passed over since resume was set */
    uint32_t pass;         /* counts how often reading went back */
    int64_t due_meanwhile; /* earliest due time set while a page was read */
    TAILQ_ENTRY(lane) todo_link;
};

TAILQ_HEAD(lane_list, lane);

/* Who sent it: login, else client, else sender domain; within one destination, and with one
 * priority (RFC 6710). */
struct sender {
    struct bucket_link by_key;
    TAILQ_ENTRY(sender) all;
    TAILQ_ENTRY(sender) turn;
    struct destination *destination;
    TAILQ_HEAD(bundle_line, bundle) line; /* in order of arrival */
    int priority;
    uint32_t count;   /* recipients in memory, claimed ones too */
    bool has_turn;    /* in the destination's turns */
    bool is_blocked;  /* the first in line has no content in memory */
    bool has_spilled; /* has mail on disk only: new mail goes there too */
    const struct lane *passed_lane; /* its mail was passed over there ... */
    uint32_t passed_pass; /* ... in that pass: what follows is as well */
    char *key;
    size_t key_len;
};

struct destination {
    struct bucket_link by_name;
    TAILQ_ENTRY(destination) all;
    char *name;
    size_t name_len;
    uint32_t connections;
    uint32_t lanes; /* that lead here, also those that somebody fetches */
    uint32_t lanes_with_mail; /* see roster.c */
    uint64_t waiting, waiting_bytes; /* of its lanes */
    int64_t since_ms;

    /* What is known of it; moved by standing.c alone. */
    enum queue_destination_state state;
    bool is_on_demand;
    int64_t probe_ms; /* on demand: tried so often; 0: not */
    int64_t change_ms; /* of that, for people */
    int64_t due_ms;   /* while it is not up; TIMER_NEVER: not by itself */
    struct feedback feedback;
    uint32_t downs;
    int64_t last_good_ms;
    char *last_error;  /* or NULL */
    char *suspend_why; /* or NULL */
    struct timer timer; /* due_ms */
    struct pace *pace;  /* of those with a rate; or NULL */

    /* Works. */
    TAILQ_HEAD(, sender) senders;
    TAILQ_HEAD(sender_turns, sender) turns; /* whose first work can go out: those with
                                               more priority in front */
    uint32_t turns_taken;
    uint32_t sender_count;
    uint32_t count;      /* recipients in memory */
    uint32_t warm, cold; /* works waiting, with content at hand or without */
    uint32_t blocked;    /* senders that are */

    /* Slots. */
    TAILQ_HEAD(, queue_slot) parked;
    uint32_t slots; /* all of them */
    uint32_t parked_count;
    uint32_t leaving;  /* told to close */
    uint32_t promised; /* told that there is work, not yet asked for it */
    struct queue_slot *probe;

    /* A customer fetches its mail, or a part of it; see turn.h. */
    struct destination *turned; /* what he fetches; NULL: nobody does */
    struct destination *home; /* this is what one fetches of it, and has no name; or NULL */
    struct span *chosen; /* its lanes, owned; none: all of home's */
    size_t chosen_count;

    /* What the reader is to do. */
    struct lane_list todo, skipped;
    TAILQ_ENTRY(destination) hungry_link, load_link, slot_link;

    uint32_t hastening; /* orders under way that make its mail due; see hasten.h */
    uint32_t marks; /* the relay's; of home */
    bool is_wanted;    /* down, and a person wants its mail tried again */
    uint64_t wanted_by; /* the order that last said so: each ends one rest */
    bool is_dirty;     /* to be written */
    bool is_abandoned; /* no route leads here any more */
    bool is_hungry, is_loading, is_queued; /* in the queue's lists */
};

static inline bool destination_is_down(const struct destination *d)
{
    return d->state != DESTINATION_UP;
}

/* Not for want of an answer: its mail is not to go out now, or only to who fetches it. */
static inline bool destination_waits(const struct destination *d)
{
    return d->state == DESTINATION_OFFLINE ||
           d->state == DESTINATION_SUSPENDED || d->turned;
}

/* The one with a name. */
static inline struct destination *destination_home(struct destination *d)
{
    return d->home ? d->home : d;
}

static inline struct span lane_span(const struct lane *l)
{
    return span_make(l->key, l->key_len);
}

static inline struct span destination_span(const struct destination *d)
{
    return span_make(d->name, d->name_len);
}

/* Found or made, its destination asked for when new. id: 0 when not known. */
struct lane *lane_get(struct queue *q, struct span key, int64_t id);
struct lane *lane_find(struct queue *q, struct span key);
/* Due recipients are on disk that are not in memory. */
void lane_has_more(struct queue *q, struct lane *l);
/* From its beginning, whatever was read already. */
void lane_restart(struct queue *q, struct lane *l);
/* All that was due is in memory now; it may be that nothing is left to wait for. */
void lane_is_read(struct queue *q, struct lane *l);
/* Waits until a sender that holds its share of memory has less. */
void lane_skip(struct queue *q, struct lane *l);
/* It leads there now; nothing of it waits in memory. */
void lane_move(struct queue *q, struct lane *l, struct destination *to);
/* A recipient on disk is due then. */
void lane_due_at(struct queue *q, struct lane *l, int64_t due_ms);
/* Has it mail, as far as is known in memory? */
bool lane_has_mail(const struct queue *q, const struct lane *l);

/* Where it stands, for people: what is reserved for somebody waits as it did. */
const struct destination *lane_standing(const struct lane *l);

struct destination *destination_get(struct queue *q, struct span name);
/* One without a name. */
struct destination *destination_new(struct queue *q);
void destination_free(struct queue *q, struct destination *take_d);
struct destination *destination_find(struct queue *q, struct span name);
/* A sender of it has come under its share, or its rest is over. */
void destination_unskip(struct queue *q, struct destination *d);
/* Shall the reader fetch more for it? */
void destination_consider(struct queue *q, struct destination *d);
/* How many recipients of it may be in memory. */
uint32_t destination_share(const struct queue *q, const struct destination *d);

/* Every lane's destination is asked for again. Works that led elsewhere are to be
 * dropped by the caller first. */
void destination_reroute(struct queue *q);
/* What nobody needs any more is forgotten. */
void destination_sweep(struct queue *q, int64_t now_ms);
void destination_fini(struct queue *q);

#endif
