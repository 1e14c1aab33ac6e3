/*
 * turn_world - a queue whose mail for "away" is fetched, for the tests of queue/turn.h.
 *
 * A customer's slot is asked by the test itself; what the queue opens besides is in the
 * world's slots and closes when it is told to.
 */
#ifndef WAYPOST_TURN_WORLD_H
#define WAYPOST_TURN_WORLD_H

#include "queue_world.h"

static struct queue_slot *ended;
static size_t ended_count;

/* One that the queue opened: not the customer's. */
static inline bool is_ordinary(const struct world *w,
                               const struct queue_slot *slot)
{
    for (size_t i = 0; i < w->slot_count; i++)
        if (w->slots[i] == slot)
            return true;
    return false;
}

static inline void others_take_all(struct world *w, struct queue_slot *slot)
{
    if (is_ordinary(w, slot))
        world_take_all(w, slot);
}

static inline void note_ended(struct world *w, struct queue_slot *slot)
{
    if (is_ordinary(w, slot)) {
        world_close_slot(w, slot);
        return;
    }
    ended = slot;
    ended_count++;
}

/* Lanes under "away" wait to be fetched. */
static inline struct world *fetch_new(uint32_t active_most)
{
    struct world *w = world_new(active_most, true);

    w->is_on_demand = true;
    w->ended = note_ended;
    ended = NULL;
    ended_count = 0;
    return w;
}

static inline enum queue_turn turn(struct world *w, const char *destination,
                                   const char *one, const char *two,
                                   struct queue_slot **out)
{
    struct span lanes[] = { span_of(one), span_of(two) };
    size_t n = one ? two ? 2 : 1 : 0;

    return queue_turn(w->p, span_of(destination), lanes, n, out);
}

static inline struct queue_slot *fetch(struct world *w, const char *one,
                                       const char *two)
{
    struct queue_slot *slot = NULL;

    ended = NULL;
    assert_int_equal(turn(w, "away", one, two, &slot), QUEUE_TURNED);
    assert_non_null(slot);
    return slot;
}

static inline void put(struct world *w, const char *lane, int number)
{
    char text[16];

    (void)snprintf(text, sizeof(text), "%d", number);
    world_put(w, "one.test", lane, text);
    world_until(w, &w->puts_ok, w->puts + 1);
}

static inline void put_range(struct world *w, const char *lane, int first,
                             int last)
{
    size_t before = w->puts_ok;
    char text[16];

    for (int i = first; i <= last; i++) {
        (void)snprintf(text, sizeof(text), "%d", i);
        world_put(w, "one.test", lane, text);
    }
    world_until(w, &w->puts_ok, before + (size_t)(last - first + 1));
}

/* The next work, waited for; NULL when the slot was told to end. */
static inline struct queue_work *next(struct world *w, struct queue_slot *slot)
{
    struct queue_work *work;

    for (int i = 0; !(work = queue_slot_next(slot, 50)); i++) {
        assert_true(i < WORLD_PATIENCE_S * 1000);
        world_moment(w);
        if (ended == slot)
            return NULL;
    }
    return work;
}

static inline uint64_t number_of(const struct queue_work *work)
{
    uint64_t n;

    assert_true(span_number(work->content, &n));
    return n;
}

/* Takes the next, which has this number, as delivered. */
static inline void take(struct world *w, struct queue_slot *slot,
                        uint64_t number)
{
    struct queue_work *work = next(w, slot);

    assert_non_null(work);
    assert_int_equal(number_of(work), number);
    world_settle(w, work, OUTCOME_DELIVERED, 0);
}

static inline void take_to_the_end(struct world *w, struct queue_slot *slot,
                                   uint64_t first, uint64_t last)
{
    for (uint64_t n = first; n <= last; n++)
        take(w, slot, n);
    assert_null(next(w, slot));
    assert_null(queue_slot_next(slot, 50));
    assert_int_equal(ended_count, 1);
    ended = NULL;
    ended_count = 0;
}

struct seen {
    const char *name;
    struct queue_destination_row row;
    char error[128];
    bool is_there;
};

static inline void each_row(void *user, const struct queue_destination_row *row)
{
    struct seen *s = user;

    if (!span_is(row->name, span_of(s->name)))
        return;
    assert_false(s->is_there);
    s->is_there = true;
    s->row = *row;
    (void)snprintf(s->error, sizeof(s->error), "%.*s", SPAN_FMT(row->error));
}

static inline struct seen look(struct world *w, const char *name)
{
    struct seen s = { .name = name };
    size_t n = queue_destinations(w->q, 0, 100, each_row, &s);

    assert_in_range(n, 0, 5);
    return s;
}

static inline uint64_t active(struct world *w)
{
    struct queue_stats stats;

    queue_stats(w->q, &stats);
    return stats.active;
}

static inline void wait_offline(struct world *w)
{
    for (int i = 0; look(w, "away").row.state != DESTINATION_OFFLINE; i++) {
        assert_true(i < WORLD_PATIENCE_S * 1000);
        world_moment(w);
    }
}

static inline int64_t backoff(void *user, unsigned n)
{
    (void)user;
    return 60000 * (int64_t)n;
}

#endif
