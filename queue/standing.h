/*
 * standing - may a destination's mail go out now?
 *
 *            a whole cohort failed                 due: a probe is greeted
 *      UP --------------------------> RESTING ---------------------------> UP
 *
 *            all that was due is gone, a                 released; due: a
 *            cohort failed                               probe is greeted
 *      UP --------------------------> OFFLINE ---------------------------> UP
 *           (on demand only)
 *
 *      any --> SUSPENDED --> OFFLINE (on demand) | RESTING (due, when it failed before) | UP
 *          by a person      until it is over, or resumed
 *
 * Whatever the backlog, a move is one row. What waits is on disk: of an OFFLINE
 * destination no more is in memory than a probe needs, of a SUSPENDED one nothing but what
 * is being sent. Where it stands is not remembered across a restart, but for a rest and a
 * suspension: what is on demand waits. All under the queue's lock.
 */
#ifndef WAYPOST_STANDING_H
#define WAYPOST_STANDING_H

#include "queue/core.h"

/* A connection was greeted, or mail delivered: its backlog wakes. */
void standing_up(struct queue *q, struct destination *d);
/* It cannot be reached. On demand it waits, and rest_ms does not matter. */
void standing_down(struct queue *q, struct destination *d, int64_t rest_ms);
/* A probe ended and said nothing. */
void standing_undecided(struct queue *q, struct destination *d);
/* What a route says of it now. Nothing leaves memory before standing_rerouted. */
void standing_demand(struct queue *q, struct destination *d, bool is_on_demand,
                     int64_t probe_ms);
void standing_rerouted(struct queue *q, struct destination *d);
/* From now on it waits to be released. */
void standing_wait(struct queue *q, struct destination *d);
/* Nothing that is due is left, as far as can be known. */
bool standing_is_drained(const struct queue *q, const struct destination *d);
/* Perhaps nothing is left for which it was released. */
void standing_look(struct queue *q, struct destination *d);
/* Its due time has come. */
void standing_due(struct queue *q, struct destination *d);

/* What somebody wants of it; false: it does not stand so that this could be. */
bool standing_release(struct queue *q, struct destination *d);
bool standing_resume(struct queue *q, struct destination *d);
bool standing_probe(struct queue *q, struct destination *d);
void standing_suspend(struct queue *q, struct destination *d, int64_t until_ms,
                      struct span reason);

/* Why its mail waits, for people; nothing is put when it is up. */
void standing_reason(const struct destination *d, struct buffer *out);
/* What the store remembered. */
void standing_remember(struct queue *q, const struct store_destination *s,
                       int64_t now_ms);

#endif
