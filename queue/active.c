/*
 * active - the recipients that are in memory.
 *
 * Room: half of the set is for new mail. While the other half is not full, new mail
 * for a destination that is up comes in as it is; past that, and always for what the
 * reader fetches, a destination may hold its share and a sender a share of that.
 *
 * Order: once mail of a sender was left on disk, its newer mail is left there too
 * until everything has been read (has_spilled).
 *
 * Once: whatever comes in is held against what is in memory already (works.h).
 */
#include "queue/active.h"

#include "policy/vocabulary/memory.h"
#include "queue/cache.h"
#include "queue/quota.h"
#include "queue/sender.h"
#include "queue/slot.h"
#include "queue/standing.h"
#include "queue/works.h"

#include <stdlib.h>

/* All counts of a bundle that comes in (by 1) or leaves (by -1). */
static void count(struct queue *q, struct bundle *b, int by)
{
    uint32_t n = (uint32_t)((int)b->work.count * by);

    q->active += n;
    if (b->destination)
        b->destination->count += n;
    if (b->sender)
        b->sender->count += n;
    for (size_t i = 0; i < b->work.count; i++)
        b->lanes[i].lane->count += (uint32_t)by;
}

static void enter(struct queue *q, struct bundle *b, struct sender *s)
{
    b->sender = s;
    b->destination = s ? s->destination : NULL;
    b->work.active_ms = queue_now_ms(q);
    works_put(q, b);
    count(q, b, 1);
}

static bool has_room_for_put(const struct queue *q, const struct sender *s)
{
    const struct destination *d = s->destination;

    if (q->active >= q->active_most)
        return false;
    if ((destination_waits(d) || d->pace) &&
        d->count >= destination_share(q, d))
        return false;
    if (!destination_is_down(d) && q->active < q->active_most / 2)
        return true;
    if (s->count >= q->active_most / 16)
        return false;
    return d->count < q->active_most / 4 ||
           (!destination_is_down(d) && q->active < q->active_most / 4 * 3);
}

/* It is on disk, and the reader shall find it there. */
static void spill(struct queue *q, struct sender *s, struct bundle *take_b)
{
    s->has_spilled = true;
    for (size_t i = 0; i < take_b->work.count; i++)
        lane_has_more(q, take_b->lanes[i].lane);
    bundle_free(take_b);
}

/* All recipients of b lead to d. */
static void add_put_part(struct queue *q, struct destination *d,
                         struct bundle *take_b, struct content *c)
{
    struct sender *s = sender_get(q, d, &take_b->work.envelope);
    bool is_spilled = s->has_spilled || !has_room_for_put(q, s);

    for (size_t i = 0; i < take_b->work.count && !is_spilled; i++)
        is_spilled = take_b->lanes[i].lane->is_unread ||
                     works_has(q, take_b->work.message,
                               take_b->work.recipients[i].number);
    if (is_spilled) {
        spill(q, s, take_b);
        return;
    }
    enter(q, take_b, s);
    take_b->state = BUNDLE_WAITING;
    if (c)
        cache_ref(take_b, c);
    sender_append(s, take_b);
    sender_update(q, s);
    slot_run(q, d);
}

/* Which recipients from i on go where the i-th goes; they are marked as done. */
static size_t same_destination(const struct bundle *b, size_t i, bool *done,
                               uint32_t *index)
{
    const struct destination *d = b->lanes[i].lane->destination;
    size_t n = 0;

    for (size_t j = i; j < b->work.count; j++) {
        if (done[j] || b->lanes[j].lane->destination != d)
            continue;
        done[j] = true;
        index[n++] = (uint32_t)j;
    }
    return n;
}

static void add_put_parts(struct queue *q, struct bundle *take_b,
                          struct content *c)
{
    size_t count_all = take_b->work.count;
    uint32_t *index = NEW_ARRAY(uint32_t, count_all);
    bool *done = NEW_ARRAY(bool, count_all);
    int64_t now = queue_now_ms(q);

    for (size_t i = 0; i < count_all; i++) {
        struct queue_recipient *r = &take_b->work.recipients[i];
        struct bundle_lane *l = &take_b->lanes[i];

        l->lane = lane_get(q, r->lane, l->id);
        quota_put(l->lane, &take_b->work.envelope);
        done[i] = r->held || r->due_ms > now;
        if (r->due_ms > now && !r->held)
            lane_due_at(q, l->lane, r->due_ms);
    }
    for (size_t i = 0; i < count_all; i++) {
        struct destination *d = take_b->lanes[i].lane->destination;
        size_t n;

        if (done[i])
            continue;
        n = same_destination(take_b, i, done, index);
        if (n < count_all) {
            add_put_part(q, d, bundle_pick(take_b, index, n), c);
            continue;
        }
        add_put_part(q, d, take_b, c);
        take_b = NULL;
        break;
    }
    bundle_free(take_b);
    free(index);
    free(done);
}

void active_add_put(struct queue *q, struct bundle *take_b, char *take_bytes)
{
    size_t len = (size_t)take_b->work.envelope.size_bytes;
    struct content *c = NULL;

    if (take_bytes && cache_has_room(q, len))
        c = cache_put(q, take_bytes, len);
    else
        free(take_bytes);
    add_put_parts(q, take_b, c);
    cache_end_put(q, c);
}

/* Without those in memory already; NULL (b is freed) when none is left. */
static struct bundle *without(struct queue *q, struct bundle *take_b,
                              bool (*is_out)(const struct queue *q,
                                             uint64_t message, uint32_t number))
{
    uint32_t *index = NEW_ARRAY(uint32_t, take_b->work.count);
    struct bundle *rest = take_b;
    size_t n = 0;

    for (size_t i = 0; i < take_b->work.count; i++)
        if (!is_out(q, take_b->work.message, take_b->work.recipients[i].number))
            index[n++] = (uint32_t)i;
    if (n < take_b->work.count) {
        rest = n ? bundle_pick(take_b, index, n) : NULL;
        bundle_free(take_b);
    }
    free(index);
    return rest;
}

enum active_refill active_add_found(struct queue *q, struct lane *l,
                                    struct bundle *take_b)
{
    struct destination *d = l->destination;
    struct bundle *b = without(q, take_b, works_has);
    enum active_refill answer = REFILL_TAKEN;
    struct sender *s;

    if (!b)
        return REFILL_TAKEN;
    s = sender_get(q, d, &b->work.envelope);
    if (d->count >= destination_share(q, d) || q->active >= q->active_most / 2)
        answer = REFILL_FULL;
    else if (s->count >= sender_share(q, d) ||
             (s->passed_lane == l && s->passed_pass == l->pass))
        answer = REFILL_PASSED;
    if (answer == REFILL_PASSED) {
        s->passed_lane = l;
        s->passed_pass = l->pass;
    }
    if (answer != REFILL_TAKEN) {
        s->has_spilled = true;
        bundle_free(b);
        return answer;
    }
    for (size_t i = 0; i < b->work.count; i++)
        b->lanes[i].lane = l;
    enter(q, b, s);
    b->state = BUNDLE_WAITING;
    sender_insert(s, b);
    sender_update(q, s);
    return REFILL_TAKEN;
}

static void take_out(struct queue *q, struct bundle *b)
{
    struct destination *d = b->destination;
    struct sender *s = b->sender;

    count(q, b, -1);
    cache_unref(q, b);
    b->destination = NULL;
    b->sender = NULL;
    if (s) {
        if (s->has_spilled && !sender_is_waited_for(q, s))
            destination_unskip(q, d);
        sender_update(q, s);
    }
    if (d)
        destination_consider(q, d);
    if (b->work.is_alarm && --q->alarms == ALARMS_MOST / 2)
        reader_alarms(&q->reader);
    if (!TAILQ_EMPTY(&q->hungry) && q->active <= q->active_most / 8 * 3)
        reader_poke(&q->reader);
    works_remove(q, b);
    if (d)
        standing_look(q, d);
}

void active_remove(struct queue *q, struct bundle *take_b)
{
    ASSERT(take_b->state == BUNDLE_CLAIMED || take_b->state == BUNDLE_SETTLING);
    take_out(q, take_b);
}

/* Out of its line and of memory; when rows stay that are due, they are looked for
 * again. A row that is gone for good is not a ghost: nothing was settled. */
static void drop(struct queue *q, struct bundle *take_b, bool restart)
{
    struct lane *last = NULL;

    sender_take_out(take_b->sender, take_b);
    for (size_t i = 0; restart && i < take_b->work.count; i++) {
        struct lane *l = take_b->lanes[i].lane;

        if (l != last)
            lane_restart(q, l);
        last = l;
    }
    take_out(q, take_b);
}

static void drop_waiting(struct queue *q, uint64_t message, bool restart)
{
    struct bundle *b, *next;

    for (b = works_first(q, message); b; b = next) {
        next = works_next(b);
        if (b->work.message == message && b->state == BUNDLE_WAITING)
            drop(q, b, restart);
    }
}

void active_drop_waiting(struct queue *q, uint64_t message)
{
    drop_waiting(q, message, true);
}

void active_drop_destination(struct queue *q, struct destination *d)
{
    struct sender *s, *next;

    for (s = TAILQ_FIRST(&d->senders); s; s = next) {
        next = TAILQ_NEXT(s, all);
        s->has_spilled |= !TAILQ_EMPTY(&s->line);
        while (!TAILQ_EMPTY(&s->line))
            drop(q, TAILQ_FIRST(&s->line), true);
    }
}

void active_stand_behind(struct queue *q, struct lane *l)
{
    if (!destination_is_down(l->destination))
        return;
    active_drop_destination(q, l->destination);
    l->is_unread = true;
}

static bool is_rerouted(const struct bundle *b)
{
    for (size_t i = 0; i < b->work.count; i++)
        if (b->lanes[i].lane->destination != b->destination)
            return true;
    return false;
}

void active_drop_rerouted(struct queue *q)
{
    struct bucket_link **all = buckets_all(&q->works);
    size_t n = q->works.count;

    for (size_t i = 0; i < n; i++) {
        struct bundle *b = OWNER(all[i], struct bundle, by_message);

        if (b->state == BUNDLE_WAITING && is_rerouted(b))
            drop(q, b, true);
    }
    free(all);
}

struct bundle *active_add_alarm(struct queue *q, struct bundle *take_b)
{
    uint64_t message = take_b->work.message;
    struct bundle *b = NULL;

    /* A ghost's recipients may have been settled after the row was read. */
    if (works_has_ghost(q, message))
        bundle_free(take_b);
    else
        b = without(q, take_b, works_is_claimed);
    if (!b)
        return NULL;
    drop_waiting(q, message, false);
    for (size_t i = 0; i < b->work.count; i++)
        b->lanes[i].lane =
            lane_get(q, b->work.recipients[i].lane, b->lanes[i].id);
    b->work.is_alarm = true;
    enter(q, b, NULL);
    b->state = BUNDLE_CLAIMED;
    q->alarms++;
    return b;
}

struct bundle *active_peek(const struct destination *d)
{
    const struct sender *s = sender_next(d);

    return s ? TAILQ_FIRST(&s->line) : NULL;
}

struct bundle *active_claim(struct queue *q, struct destination *d,
                            uint32_t most)
{
    struct sender *s = sender_next(d);
    struct bundle *b = s ? TAILQ_FIRST(&s->line) : NULL, *part = b;

    if (!b)
        return NULL;
    if (most && b->work.count > most) {
        part = bundle_split(b, most);
        part->sender = s;
        part->destination = d;
        if (b->content)
            cache_ref(part, b->content);
        works_put(q, part);
    } else {
        sender_take_out(s, b);
    }
    part->state = BUNDLE_CLAIMED;
    if (part->content)
        part->work.content = span_make(
            part->content->len ? part->content->bytes : "", part->content->len);
    TAILQ_REMOVE(&d->turns, s, turn);
    s->has_turn = false;
    d->turns_taken++;
    sender_update(q, s);
    return part;
}

void active_unclaim(struct queue *q, struct bundle *b)
{
    struct sender *s = b->sender;

    b->work.content = (struct span){ 0 };
    b->slot = NULL;
    if (destination_waits(s->destination))
        s->has_spilled = true;
    if (is_rerouted(b) || destination_waits(s->destination)) {
        for (size_t i = 0; i < b->work.count; i++)
            lane_restart(q, b->lanes[i].lane);
        active_remove(q, b);
        return;
    }
    b->state = BUNDLE_WAITING;
    sender_insert(s, b);
    sender_update(q, s);
    slot_run(q, s->destination);
}

void active_fini(struct queue *q)
{
    struct bucket_link **all = buckets_all(&q->works);
    size_t n = q->works.count;

    ASSERT(!q->is_reading);
    for (size_t i = 0; i < n; i++) {
        struct bundle *b = OWNER(all[i], struct bundle, by_message);

        ASSERT(b->state == BUNDLE_WAITING || b->state == BUNDLE_CLAIMED);
        if (b->state == BUNDLE_WAITING)
            drop(q, b, false);
        else
            active_remove(q, b);
    }
    free(all);
    buckets_fini(&q->works);
}
