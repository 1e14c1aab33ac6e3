/*
 * cache - content of small messages in memory, from acceptance to first delivery.
 *
 * Bounded by bytes. What does not fit is cold: its works stay in line, and the reader
 * loads their content before they are handed out. When room is short, destinations
 * that rest give theirs up. What is handed out is never taken away, so a slot's work
 * may go over the cap; that is bounded by the slots.
 */
#include "queue/cache.h"

#include "policy/vocabulary/memory.h"
#include "queue/sender.h"
#include "queue/slot.h"
#include "queue/works.h"

#include <stdlib.h>

enum { EVICT_MS = 200, COLD_DEPTH = 32 };

void cache_unref(struct queue *q, struct bundle *b)
{
    struct content *c = b->content;

    b->content = NULL;
    if (!c || --c->refs > 0)
        return;
    q->cached_bytes -= c->len;
    free(c->bytes);
    free(c);
}

void cache_ref(struct bundle *b, struct content *c)
{
    b->content = c;
    c->refs++;
}

struct content *cache_put(struct queue *q, char *take_bytes, size_t len)
{
    struct content *c = NEW(struct content);

    c->bytes = take_bytes;
    c->len = len;
    q->cached_bytes += len;
    return c;
}

void cache_end_put(struct queue *q, struct content *c)
{
    if (!c || c->refs > 0)
        return;
    q->cached_bytes -= c->len;
    free(c->bytes);
    free(c);
}

static void evict(struct queue *q, struct destination *d)
{
    struct sender *s, *next;
    struct bundle *b;

    for (s = TAILQ_FIRST(&d->senders); s; s = next) {
        next = TAILQ_NEXT(s, all);
        TAILQ_FOREACH(b, &s->line, line)
        {
            if (!b->content)
                continue;
            cache_unref(q, b);
            d->warm--;
            d->cold++;
        }
        sender_update(q, s);
    }
}

bool cache_has_room(struct queue *q, size_t len)
{
    int64_t now = queue_monotonic_ms();
    struct destination *d;

    if (q->cached_bytes + len <= q->cache_most)
        return true;
    if (queue_down(q) == 0 || now < q->evicted_ms + EVICT_MS)
        return false;
    q->evicted_ms = now;
    TAILQ_FOREACH(d, &q->all_destinations, all)
    {
        if (destination_is_down(d) && d->warm)
            evict(q, d);
    }
    return q->cached_bytes + len <= q->cache_most;
}

size_t cache_cold(const struct destination *d, struct cold *out, size_t most)
{
    const struct sender *s;
    size_t n = 0;

    TAILQ_FOREACH(s, &d->senders, all)
    {
        const struct bundle *b = TAILQ_FIRST(&s->line);

        for (int i = 0; b && i < COLD_DEPTH && n < most; i++) {
            if (!sender_is_warm(b))
                out[n++] = (struct cold){ b->work.message, b->stored.checksum };
            b = TAILQ_NEXT(b, line);
        }
    }
    return n;
}

void cache_warm(struct queue *q, uint64_t message, char *take_bytes, size_t len)
{
    struct content *c = cache_put(q, take_bytes, len);
    struct bundle *b;

    for (b = works_first(q, message); b; b = works_next(b)) {
        if (b->work.message != message || b->state != BUNDLE_WAITING ||
            sender_is_warm(b))
            continue;
        cache_ref(b, c);
        b->destination->cold--;
        b->destination->warm++;
        sender_update(q, b->sender);
        slot_run(q, b->destination);
    }
    cache_end_put(q, c);
}

void cache_give(struct queue *q, struct bundle *b, char *take_bytes, size_t len)
{
    cache_ref(b, cache_put(q, take_bytes, len));
    b->work.content = span_make(take_bytes, len);
}
