/*
 * turn - a customer fetches mail over a connection of his own.
 *
 * Lanes change places as after other routes: what waits in memory is dropped, and found
 * on disk again where they lead to now.
 */
#include "queue/turn.h"

#include "policy/vocabulary/memory.h"
#include "queue/active.h"
#include "queue/hasten.h"
#include "queue/sender.h"
#include "queue/slot.h"
#include "queue/standing.h"

#include <stdlib.h>

static bool is_chosen(const struct destination *part, struct span lane)
{
    for (size_t i = 0; i < part->chosen_count; i++)
        if (span_is(part->chosen[i], lane))
            return true;
    return part->chosen_count == 0;
}

struct destination *turn_way(struct destination *home, struct span lane)
{
    struct destination *part = home->turned;

    return part && is_chosen(part, lane) ? part : home;
}

/* All lanes that lead to `from` lead to where they should. */
static void move_lanes(struct queue *q, struct destination *from,
                       struct destination *home)
{
    struct bucket_link **all = buckets_all(&q->lanes);

    for (size_t i = 0; i < q->lanes.count; i++) {
        struct lane *l = OWNER(all[i], struct lane, by_key);

        if (l->destination == from)
            lane_move(q, l, turn_way(home, lane_span(l)));
    }
    free(all);
    if (TAILQ_EMPTY(&from->todo) && TAILQ_EMPTY(&from->skipped))
        sender_all_read(q, from);
}

/* -------------------------------------------------------------- begin ---- */

static bool any_has_mail(struct queue *q, const struct destination *d)
{
    struct bucket_link **all;
    bool has = false;

    if (q->is_counted)
        return d && d->waiting > 0;
    all = buckets_all(&q->lanes);
    for (size_t i = 0; i < q->lanes.count && d && !has; i++) {
        const struct lane *l = OWNER(all[i], struct lane, by_key);

        has = destination_home(l->destination) == d && lane_has_mail(q, l);
    }
    free(all);
    return has || !q->are_lanes_read;
}

static bool have_mail(struct queue *q, const struct destination *d,
                      const struct span *lanes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct lane *l = lane_find(q, lanes[i]);

        if (l ? destination_home(l->destination) == d && lane_has_mail(q, l)
              : !q->are_lanes_read)
            return true;
    }
    return count == 0 && any_has_mail(q, d);
}

static struct destination *part_new(struct queue *q, struct destination *home,
                                    const struct span *lanes, size_t count)
{
    struct destination *part = destination_new(q);

    part->home = home;
    part->connections = 1;
    part->chosen = NEW_ARRAY(struct span, count);
    part->chosen_count = count;
    for (size_t i = 0; i < count; i++)
        part->chosen[i] = span_make(span_dup(lanes[i]), lanes[i].len);
    feedback_start(&part->feedback, part->connections);
    standing_wait(q, part);
    return part;
}

static struct queue_slot *turn(struct queue_port *p, struct destination *home,
                               const struct span *lanes, size_t count)
{
    struct queue *q = p->queue;

    home->turned = part_new(q, home, lanes, count);
    slot_clear(q, home);
    if (home->is_on_demand)
        standing_wait(q, home);
    else
        active_drop_destination(q, home);
    move_lanes(q, home, home);
    hasten(q, home->turned);
    return slot_given(p, home->turned);
}

enum queue_turn queue_turn(struct queue_port *p, struct span destination,
                           const struct span *lanes, size_t count,
                           struct queue_slot **out_slot)
{
    struct queue *q = p->queue;
    struct destination *d;
    enum queue_turn answer = QUEUE_TURNED;

    ASSERT(p->events.slot_ended && destination.len > 0);
    queue_lock(q);
    d = destination_find(q, destination);
    if (!have_mail(q, d, lanes, count))
        answer = QUEUE_TURN_EMPTY;
    else if (d && d->turned)
        answer = QUEUE_TURN_TAKEN;
    else if (d && d->state == DESTINATION_SUSPENDED)
        answer = QUEUE_TURN_SUSPENDED;
    else
        *out_slot = turn(p, destination_get(q, destination), lanes, count);
    queue_unlock(q);
    return answer;
}

void turn_begin(struct queue *q, struct destination *part)
{
    if (part->state == DESTINATION_OFFLINE && !part->is_abandoned)
        standing_up(q, part);
}

/* ---------------------------------------------------------------- end ---- */

bool turn_is_over(const struct queue *q, const struct destination *part)
{
    return part->is_abandoned ||
           (part->state == DESTINATION_UP && standing_is_drained(q, part));
}

void turn_stop(struct queue *q, struct destination *home)
{
    struct destination *part = home->turned;

    if (!part || part->is_abandoned)
        return;
    part->is_abandoned = true;
    standing_wait(q, part);
    slot_end_parked(part);
}

struct destination *turn_end(struct queue *q, struct destination *part)
{
    struct destination *home = part->home;

    turn_stop(q, home);
    home->turned = NULL;
    move_lanes(q, part, home);
    /* What is on its way through the writer leaves it later; see destination_sweep. */
    part->home = NULL;
    if (part->count == 0 && TAILQ_EMPTY(&part->senders))
        destination_free(q, part);
    /* A release meanwhile made it UP. */
    if (home->state == DESTINATION_OFFLINE)
        standing_wait(q, home);
    destination_unskip(q, home);
    standing_look(q, home);
    writer_save_destination(q, home);
    return home;
}
