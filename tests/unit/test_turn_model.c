/*
 * Customers who come, take, give back and vanish at random, while mail arrives, is released,
 * suspended and routed elsewhere, and the queue restarts: each message leaves once, and
 * while somebody fetches nothing of that destination goes to anybody else.
 */
#include "turn_world.h"

enum { STEPS = 4000, RUNS = 6, LANES = 4 };

static const char *const lanes[LANES] = { "a.away", "b.away", "c.away",
                                          "d.away" };

struct model {
    struct world *w;
    uint32_t random;
    int count;               /* messages put */
    struct queue_slot *slot; /* the customer's, or NULL */
    bool wants[LANES];
    struct queue_work *held;
    size_t taken; /* works that customers delivered */
};

static struct model m;
/* Of the routes, which any thread may ask. */
static _Atomic bool is_moved, is_always_on;

static uint32_t pick(uint32_t n)
{
    m.random = m.random * 1664525 + 1013904223;
    return (m.random >> 8) % n;
}

/* Slots of the queue's own: what they are given while somebody fetches is a fault. */
static void other_takes(struct world *w, struct queue_slot *slot)
{
    struct queue_work *work;

    if (!is_ordinary(w, slot))
        return;
    queue_slot_connected(slot);
    for (uint32_t i = pick(5); i < 5; i++) {
        work = queue_slot_next(slot, 50);
        if (!work)
            return;
        assert_false(m.slot &&
                     span_is(queue_slot_destination(slot), SPAN("away")));
        w->got[number_of(work)]++;
        world_settle(w, work, OUTCOME_DELIVERED, 0);
    }
    world_close_slot(w, slot);
}

static void answer_held(enum queue_outcome outcome)
{
    if (!m.held)
        return;
    if (outcome == OUTCOME_DELIVERED) {
        m.w->got[number_of(m.held)]++;
        m.taken++;
    }
    world_settle(m.w, m.held, outcome, world_clock() + 1000);
    m.held = NULL;
}

static void ask(void)
{
    bool is_his = false;

    answer_held(OUTCOME_DELIVERED);
    m.held = queue_slot_next(m.slot, 50);
    if (!m.held)
        return;
    for (int i = 0; i < LANES; i++)
        is_his |= m.wants[i] &&
                  span_is(m.held->recipients[0].lane, span_of(lanes[i]));
    assert_true(is_his);
}

static void come(void)
{
    struct span wanted[LANES];
    size_t n = 0;
    bool all = pick(3) == 0;

    for (int i = 0; i < LANES; i++) {
        m.wants[i] = all || pick(2);
        if (m.wants[i])
            wanted[n++] = span_of(lanes[i]);
    }
    if (n == 0)
        return;
    (void)queue_turn(m.w->p, SPAN("away"), wanted, all ? 0 : n, &m.slot);
}

static void leave(void)
{
    answer_held(pick(2) ? OUTCOME_FREED : OUTCOME_DEFERRED);
    if (pick(2))
        queue_slot_failed(m.slot, SPAN("4.4.2 lost"), backoff, NULL);
    queue_slot_close(m.slot);
    m.slot = NULL;
}

static void moved(void *user, struct span lane, struct queue_destination *out)
{
    world_route(user, lane, out);
    if (is_always_on)
        out->is_on_demand = false;
    if (!is_moved || span_is(lane, SPAN("d.away")))
        return;
    buffer_clear(&out->name);
    buffer_put_string(&out->name, "elsewhere");
}

static void disturb(struct world *w)
{
    switch (pick(7)) {
    case 0:
        (void)queue_release(w->q, SPAN("away"));
        break;
    case 1:
        (void)queue_probe(w->q, SPAN("away"));
        break;
    case 2:
        (void)queue_suspend(w->q, SPAN("away"), world_clock() + 3000, SPAN(""));
        break;
    case 3:
        (void)queue_resume(w->q, SPAN("away"));
        break;
    case 4:
        is_always_on = pick(2);
        is_moved = pick(4) == 0;
        queue_reroute(w->q, moved, w);
        break;
    case 5:
        atomic_fetch_add(&world_now_ms, 500);
        break;
    case 6:
        if (pick(8) == 0 && !m.slot) {
            world_until(w, &w->puts_ok, (size_t)m.count);
            world_reopen(w);
            queue_reroute(w->q, moved, w);
        }
        break;
    }
}

static void step(struct world *w)
{
    uint32_t what = pick(100);
    char text[16];

    if (what < 30) {
        (void)snprintf(text, sizeof(text), "%d", ++m.count);
        world_put(w, pick(2) ? "one.test" : "two.test", lanes[pick(LANES)],
                  text);
    } else if (what < 40 && !m.slot) {
        come();
    } else if (what < 80 && m.slot) {
        ask();
    } else if (what < 83 && m.slot) {
        leave();
    } else if (what < 90) {
        disturb(w);
    } else if (what < 93) {
        world_moment(w);
    }
    queue_port_drain(w->p);
    if (m.slot && ended == m.slot) {
        assert_null(queue_slot_next(m.slot, 50));
        leave();
    }
    ended = m.slot ? ended : NULL;
}

static void run(uint32_t seed)
{
    struct world *w = fetch_new(pick(2) ? 200 : 0);

    m = (struct model){ .w = w, .random = seed };
    w->connections = 1 + pick(6);
    w->probe_ms = pick(2) ? 2000 : 0;
    w->opened = w->ready = other_takes;
    is_always_on = is_moved = false;
    queue_reroute(w->q, moved, w);
    for (int i = 0; i < STEPS; i++)
        step(w);
    if (m.slot)
        leave();
    is_always_on = true;
    is_moved = false;
    queue_reroute(w->q, moved, w);
    (void)queue_resume(w->q, SPAN("away"));
    atomic_fetch_add(&world_now_ms, 5000);
    w->opened = w->ready = others_take_all;
    while (w->slot_count)
        world_close_slot(w, w->slots[0]);
    world_until(w, &w->puts_ok, (size_t)m.count);
    /* the rows are gone a moment before the queue knows */
    for (int i = 0;
         world_count(w, 0).recipients > 0 || look(w, "away").row.waiting > 0;
         i++) {
        assert_true(i < WORLD_PATIENCE_S * 1000);
        world_moment(w);
    }
    for (int i = 1; i <= m.count; i++)
        assert_int_equal(w->got[i], 1);
    print_message("seed %u: %d messages, %zu fetched\n", (unsigned)seed,
                  m.count, m.taken);
    world_free(w);
}

static void whatever_happens_each_message_leaves_once(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= RUNS; seed++)
        run(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_happens_each_message_leaves_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
