/*
 * callout_private - what callout.c and caller.c share.
 */
#ifndef WAYPOST_CALLOUT_PRIVATE_H
#define WAYPOST_CALLOUT_PRIVATE_H

#include "relay/outbound/callout.h"
#include "relay/outbound/caller.h"

enum { CALLOUT_RESTING = 32 };

struct callout_waiter;

/* One address at one destination. */
struct callout_question {
    struct callout_question *next, **here; /* oldest first */
    struct settings *settings;    /* held */
    const struct route *route;    /* of these */
    struct arena arena;           /* for what follows */
    struct span key;              /* of the note: "ROUTE KEY\tADDRESS" */
    struct span place;            /* the destination's name */
    struct span recipient, domain;
    struct span lane;
    struct callout_waiter *waiters;
    uint64_t token;               /* in the delivery's registry while it is recalled */
    int64_t deadline_ms;
    struct caller *caller;        /* who asks; NULL: nobody yet */
    bool was_lost;                /* by a caller that had been here before */
};

struct callouts {
    struct delivery *delivery;
    struct callout_question *first, **end;
    size_t asked;                 /* questions that are not being recalled */
    struct caller *callers;
    size_t caller_count;
    struct { uint32_t hash; int64_t until_ms; } resting[CALLOUT_RESTING];
    size_t rested;                /* the next place of resting */
    bool is_down;
};

/* The question is gone after it. */
void callout_answer(struct callouts *all, struct callout_question *take_q,
                    enum callout_answer answer, struct span reply);
/* The destination cannot be asked: neither this question nor any that waits for it can. */
void callout_fail_place(struct callouts *all, struct span place,
                        struct span why);
/* The next that waits to be asked there, with a caller of these settings; or NULL. */
struct callout_question *callout_next(struct callouts *all, struct span place,
                                      const struct settings *settings);
/* A caller is gone, or has lost its question: others may be due. */
void callout_dispatch(struct callouts *all);

#endif
