/*
 * works - which recipients are in memory? By message.
 *
 * A message has a few bundles at most; a bundle's recipients are looked through. Rows
 * that the reader read before a settle and brings after it meet a ghost: what is
 * settled while it reads stays until it has held its page against it.
 */
#include "queue/works.h"

struct bundle *works_first(const struct queue *q, uint64_t message)
{
    struct bucket_link *l =
        buckets_first(&q->works, buckets_hash_number(message));

    return l ? OWNER(l, struct bundle, by_message) : NULL;
}

struct bundle *works_next(const struct bundle *b)
{
    struct bucket_link *l = buckets_next(&b->by_message);

    return l ? OWNER(l, struct bundle, by_message) : NULL;
}

static _Atomic uint32_t *trace_of(struct queue *q, uint64_t message)
{
    return &q->traces[buckets_hash_number(message) & (WORKS_TRACES - 1)];
}

bool works_may_have(struct queue *q, uint64_t message)
{
    return atomic_load_explicit(trace_of(q, message), memory_order_relaxed);
}

static void take_out(struct queue *q, struct bundle *b)
{
    buckets_remove(&q->works, &b->by_message);
    (void)atomic_fetch_sub_explicit(trace_of(q, b->work.message), 1,
                                    memory_order_relaxed);
}

void works_put(struct queue *q, struct bundle *b)
{
    (void)atomic_fetch_add_explicit(trace_of(q, b->work.message), 1,
                                    memory_order_relaxed);
    buckets_put(&q->works, &b->by_message,
                buckets_hash_number(b->work.message));
}

void works_remove(struct queue *q, struct bundle *take_b)
{
    if (q->is_reading) {
        take_b->state = BUNDLE_GHOST;
        take_b->next_ghost = q->ghosts;
        q->ghosts = take_b;
        return;
    }
    take_out(q, take_b);
    bundle_free(take_b);
}

bool works_has_ghost(const struct queue *q, uint64_t message)
{
    const struct bundle *b;

    for (b = works_first(q, message); b; b = works_next(b))
        if (b->work.message == message && b->state == BUNDLE_GHOST)
            return true;
    return false;
}

static bool bundle_has(const struct bundle *b, uint64_t message,
                       uint32_t number)
{
    if (b->work.message != message)
        return false;
    for (size_t i = 0; i < b->work.count; i++)
        if (b->work.recipients[i].number == number)
            return true;
    return false;
}

static const struct bundle *works_find(const struct queue *q, uint64_t message,
                                       uint32_t number)
{
    const struct bundle *b = works_first(q, message);

    while (b && !bundle_has(b, message, number))
        b = works_next(b);
    return b;
}

bool works_has(const struct queue *q, uint64_t message, uint32_t number)
{
    return works_find(q, message, number) != NULL;
}

bool works_is_claimed(const struct queue *q, uint64_t message, uint32_t number)
{
    const struct bundle *b = works_find(q, message, number);

    return b && bundle_is_claimed(b);
}

void works_reading_begin(struct queue *q)
{
    ASSERT(!q->is_reading);
    q->is_reading = true;
}

void works_reading_end(struct queue *q)
{
    struct bundle *b;

    q->is_reading = false;
    while ((b = q->ghosts)) {
        q->ghosts = b->next_ghost;
        take_out(q, b);
        bundle_free(b);
    }
}
