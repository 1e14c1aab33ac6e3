/*
 * criteria - a copy of a filter that outlives the call.
 */
#ifndef WAYPOST_CRITERIA_H
#define WAYPOST_CRITERIA_H

#include "policy/vocabulary/arena.h"
#include "queue/queue.h"

static inline struct queue_filter criteria_copy(struct arena *a,
                                              const struct queue_filter *f)
{
    struct queue_filter copy = *f;

    copy.from = arena_copy(a, f->from);
    copy.to = arena_copy(a, f->to);
    copy.domain = arena_copy(a, f->domain);
    copy.client = arena_copy(a, f->client);
    copy.login = arena_copy(a, f->login);
    copy.reason = arena_copy(a, f->reason);
    copy.via = arena_copy(a, f->via);
    return copy;
}

#endif
