/*
 * sender - whose turn is it at a destination?
 *
 * Past SENDERS_MOST senders of one destination newcomers share names: a flood of
 * strangers costs them their own turns, not our memory.
 */
#include "queue/sender.h"

#include "policy/vocabulary/memory.h"
#include "queue/core.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SENDER_KEY_MOST = 300,
    SENDER_SHARE_LEAST = 16,
    LEAST_PRIORITY_EVERY = 8, /* every so many turns, so that nobody starves */
};

uint32_t sender_share(const struct queue *q, const struct destination *d)
{
    uint32_t share = q->active_most / 16;

    if (destination_is_down(d))
        return destination_share(q, d);
    return share < SENDER_SHARE_LEAST ? SENDER_SHARE_LEAST : share;
}

bool sender_is_waited_for(const struct queue *q, const struct sender *s)
{
    return s->has_spilled && s->count > sender_share(q, s->destination) / 2;
}

bool sender_any_waited_for(const struct queue *q, const struct destination *d)
{
    const struct sender *s;

    TAILQ_FOREACH(s, &d->senders, all)
    {
        if (sender_is_waited_for(q, s))
            return true;
    }
    return false;
}

static struct span sender_name(const struct envelope *e)
{
    struct span name = e->sender;
    size_t at;

    if (e->login.len)
        return e->login;
    if (e->client.len)
        return e->client;
    at = span_find_last(name, '@');
    return at < name.len ? span_skip(name, at + 1) : name;
}

struct sender *sender_get(struct queue *q, struct destination *d,
                          const struct envelope *e)
{
    struct span key = span_first(sender_name(e), SENDER_KEY_MOST);
    uint64_t hash = buckets_hash(key) ^ buckets_hash_number((uintptr_t)d);
    struct bucket_link *l = buckets_first(&q->senders, hash);
    struct sender *s;
    char shared[32];

    for (; l; l = buckets_next(l)) {
        s = OWNER(l, struct sender, by_key);
        if (s->destination == d && s->priority == e->priority &&
            span_is(span_make(s->key, s->key_len), key))
            return s;
    }
    if (d->sender_count >= SENDERS_MOST && key.len && key.at[0] != '\n') {
        struct envelope crowd = { .login = { shared, 0 },
                                  .priority = e->priority };

        crowd.login.len = (size_t)snprintf(shared, sizeof(shared), "\n%u",
                                           (unsigned)(hash % SENDERS_MOST));
        return sender_get(q, d, &crowd);
    }
    s = NEW(struct sender);
    s->destination = d;
    s->priority = e->priority;
    s->key = span_dup(key);
    s->key_len = key.len;
    TAILQ_INIT(&s->line);
    TAILQ_INSERT_TAIL(&d->senders, s, all);
    d->sender_count++;
    buckets_put(&q->senders, &s->by_key, hash);
    return s;
}

bool sender_is_warm(const struct bundle *b)
{
    return b->stored.has_file || b->content;
}

static void sender_free(struct queue *q, struct sender *s)
{
    TAILQ_REMOVE(&s->destination->senders, s, all);
    s->destination->sender_count--;
    buckets_remove(&q->senders, &s->by_key);
    free(s->key);
    free(s);
}

/* Behind all with as much priority. */
static void take_place(struct destination *d, struct sender *s)
{
    struct sender *at = TAILQ_LAST(&d->turns, sender_turns);

    while (at && at->priority < s->priority)
        at = TAILQ_PREV(at, sender_turns, turn);
    if (at)
        TAILQ_INSERT_AFTER(&d->turns, at, s, turn);
    else
        TAILQ_INSERT_HEAD(&d->turns, s, turn);
}

struct sender *sender_next(const struct destination *d)
{
    struct sender *s = TAILQ_FIRST(&d->turns), *last, *before;

    if (!s || d->turns_taken % LEAST_PRIORITY_EVERY < LEAST_PRIORITY_EVERY - 1)
        return s;
    last = TAILQ_LAST(&d->turns, sender_turns);
    if (s->priority == last->priority)
        return s;
    for (before = last; before && before->priority == last->priority;
         before = TAILQ_PREV(before, sender_turns, turn))
        s = before;
    return s;
}

void sender_update(struct queue *q, struct sender *s)
{
    struct destination *d = s->destination;
    struct bundle *first = TAILQ_FIRST(&s->line);
    bool has_turn = first && sender_is_warm(first);
    bool is_blocked = first && !has_turn;

    if (has_turn && !s->has_turn)
        take_place(d, s);
    if (!has_turn && s->has_turn)
        TAILQ_REMOVE(&d->turns, s, turn);
    s->has_turn = has_turn;
    if (is_blocked != s->is_blocked)
        d->blocked += is_blocked ? 1 : -1U;
    s->is_blocked = is_blocked;
    if (!first && s->count == 0 && !s->has_spilled)
        sender_free(q, s);
}

void sender_all_read(struct queue *q, struct destination *d)
{
    struct sender *s, *next;

    for (s = TAILQ_FIRST(&d->senders); s; s = next) {
        next = TAILQ_NEXT(s, all);
        s->has_spilled = false;
        sender_update(q, s);
    }
}

static void sender_count_line(struct sender *s, const struct bundle *b,
                              uint32_t by)
{
    if (sender_is_warm(b))
        s->destination->warm += by;
    else
        s->destination->cold += by;
}

void sender_append(struct sender *s, struct bundle *b)
{
    TAILQ_INSERT_TAIL(&s->line, b, line);
    sender_count_line(s, b, 1);
}

void sender_insert(struct sender *s, struct bundle *b)
{
    struct bundle *at = TAILQ_LAST(&s->line, bundle_line);

    while (at && at->work.message > b->work.message)
        at = TAILQ_PREV(at, bundle_line, line);
    if (at)
        TAILQ_INSERT_AFTER(&s->line, at, b, line);
    else
        TAILQ_INSERT_HEAD(&s->line, b, line);
    sender_count_line(s, b, 1);
}

void sender_take_out(struct sender *s, struct bundle *b)
{
    TAILQ_REMOVE(&s->line, b, line);
    sender_count_line(s, b, -1U);
}
