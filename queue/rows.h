/*
 * rows - a row of a list that outlives the call.
 */
#ifndef WAYPOST_ROWS_H
#define WAYPOST_ROWS_H

#include "policy/vocabulary/arena.h"
#include "queue/queue.h"

static inline void rows_copy(struct arena *a, const struct queue_row *row,
                             struct queue_row *out)
{
    struct queue_row_recipient *to =
        arena_take(a, row->count * sizeof(struct queue_row_recipient));

    *out = *row;
    out->sender = arena_copy(a, row->sender);
    out->client = arena_copy(a, row->client);
    out->login = arena_copy(a, row->login);
    out->helo = arena_copy(a, row->helo);
    for (size_t i = 0; i < row->count; i++) {
        to[i] = row->recipients[i];
        to[i].address = arena_copy(a, to[i].address);
        to[i].reason = arena_copy(a, to[i].reason);
        to[i].deed.who = arena_copy(a, to[i].deed.who);
        to[i].deed.why = arena_copy(a, to[i].deed.why);
    }
    out->recipients = to;
}

#endif
