/*
 * test_roll_jobs - is what the roll counts what is on disk, whatever a queue with its threads
 * does? Random jobs, restarts among them; each answer is held against the walk's.
 */
#include "queue_world.h"
#include "roll_oracle.h"

enum { ROUNDS = 120, LANES = 6 };

static uint64_t seed = 42;

static uint32_t any(uint32_t below)
{
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    return (uint32_t)(seed >> 33) % below;
}

static const char *const lanes[LANES] = { "a.test",  "b.test",  "c.test",
                                          "x.group", "y.group", "z.away" };

static void put(struct world *w)
{
    struct queue_recipient r[9] = { 0 };
    size_t n = 1 + (any(3) ? 0 : any(9));
    char address[9][32], sender[32], login[32], client[32], name[32];
    struct queue_message m = { .id = queue_new_id(w->q),
                               .recipients = r,
                               .recipient_count = n };

    (void)snprintf(sender, sizeof sender, any(5) ? "s%u@x.test" : "", any(4));
    (void)snprintf(login, sizeof login, any(3) ? "bob%u" : "", any(4));
    (void)snprintf(client, sizeof client, "192.0.2.%u", any(4));
    (void)snprintf(name, sizeof name, any(2) ? "host%u.test" : "", any(3));
    for (size_t i = 0; i < n; i++) {
        const char *lane = lanes[any(LANES)];

        (void)snprintf(address[i], sizeof address[i], "%s%zu@%s",
                       any(2) ? "r" : "R", i, lane);
        r[i].number = (uint32_t)i;
        r[i].address = span_of(address[i]);
        r[i].lane = span_of(lane);
        r[i].expire_ms = r[i].warn_ms = INT64_MAX;
        r[i].held = any(6) == 0;
    }
    m.envelope.sender = span_of(sender);
    m.envelope.login = span_of(login);
    m.envelope.client = span_of(client);
    m.envelope.client_name = span_of(name);
    m.envelope.received_ms = queue_now_ms(w->q);
    m.envelope.size_bytes = 1 + any(20);
    m.take_content = memory_zero(21, 1);
    queue_put(w->p, &m, world_on_put, 7);
    w->puts_asked++;
}

static void settle_any(struct world *w, struct queue_work *work)
{
    static const enum queue_outcome outcomes[] = {
        OUTCOME_DELIVERED, OUTCOME_FAILED, OUTCOME_DEFERRED,  OUTCOME_DEFERRED,
        OUTCOME_DEFERRED,  OUTCOME_HELD,   OUTCOME_DISCARDED,
    };
    struct queue_result *r = NEW_ARRAY(struct queue_result, work->count);

    for (size_t i = 0; i < work->count; i++)
        r[i] = (struct queue_result){
            .outcome = outcomes[any(sizeof outcomes / sizeof *outcomes)],
            .due_ms = queue_now_ms(w->q) + DAY_MS,
            .expire_ms = INT64_MAX,
            .warn_ms = INT64_MAX,
            .status = STATUS(4, 2, 0),
            .reply = SPAN("450 later"),
        };
    queue_settle(w->p, work, r, NULL, 0, world_on_settled, 8);
    w->settles_asked++;
    free(r);
}

static void on_slot(struct world *w, struct queue_slot *slot)
{
    struct queue_work *work;

    queue_slot_connected(slot);
    while ((work = queue_slot_next(slot, 1 + any(4))))
        settle_any(w, work);
}

static void order(struct world *w)
{
    static const enum queue_change changes[] = {
        CHANGE_RETRY, CHANGE_DELETE,  CHANGE_UNDELETE, CHANGE_UNDELETE,
        CHANGE_HOLD,  CHANGE_RELEASE, CHANGE_MOVE,     CHANGE_BOUNCE,
    };
    static const struct queue_filter whose[] = {
        { .login = SPAN_INIT("bob1") }, { .domain = SPAN_INIT("b.test") },
        { .to = SPAN_INIT("r1*") },     { .via = SPAN_INIT("group") },
        { .from = SPAN_INIT("<>") },
    };
    struct queue_filter f = whose[any(sizeof whose / sizeof *whose)];
    struct queue_order o = {
        .change = changes[any(sizeof changes / sizeof *changes)],
        .filter = &f,
        .who = SPAN("ann"),
        .route = any(2) ? SPAN("spare.group") : SPAN("other"),
    };

    if (o.change == CHANGE_BOUNCE)
        f = (struct queue_filter){ .id = w->last_id }; /* alarms are few */
    f.newer_ms = any(2) ? 0 : queue_now_ms(w->q) - 1 - any(20);
    queue_order(w->p, &o, world_on_count, 1);
    world_until(w, &w->answers, w->answers + 1);
    assert_int_equal(w->last_rc, 0);
}

static void settle_alarms(struct world *w)
{
    struct queue_result r[9];

    while (w->alarm_count) {
        struct queue_work *work = w->alarms[--w->alarm_count];

        for (size_t i = 0; i < work->count; i++)
            r[i] = (struct queue_result){
                .outcome = work->recipients[i].is_returned ? OUTCOME_RETURNED
                                                           : OUTCOME_FREED,
            };
        queue_settle(w->p, work, r, NULL, 0, world_on_settled, 8);
        w->settles_asked++;
    }
}

/* All that was asked for has been written. */
static void rest(struct world *w)
{
    do {
        settle_alarms(w);
        world_until(w, &w->puts, w->puts_asked);
        world_until(w, &w->settles, w->settles_asked);
    } while (w->alarm_count || w->puts < w->puts_asked ||
             w->settles < w->settles_asked);
}

static void compare(struct world *w, struct oracle *o)
{
    o->q = w->q;
    assert_int_equal(store_reader_open(&o->db, w->path), 0);
    oracle_compare(o);
    store_reader_close(o->db);
}

static bool is_complete(struct world *w)
{
    return atomic_load(&w->q->roll.state) == ROLL_COMPLETE;
}

static void wait_complete(struct world *w)
{
    for (int i = 0; !is_complete(w); i++) {
        assert_true(i < WORLD_PATIENCE_S * 1000);
        world_moment(w);
    }
}

static void whatever_is_done_the_roll_says_what_the_walk_says(void **state)
{
    struct world *w = world_new(0, true);
    struct oracle o = { 0 };

    (void)state;
    w->connections = 4;
    w->opened = w->ready = on_slot;
    wait_complete(w);
    for (int i = 0; i < ROUNDS; i++) {
        for (uint32_t k = any(12); k; k--)
            put(w);
        if (any(2))
            order(w);
        if (any(8) == 0) {
            rest(w);
            world_reopen(w);
        }
        atomic_fetch_add(&world_now_ms, 5);
        if (any(2)) {
            rest(w);
            compare(w, &o);
        }
    }
    rest(w);
    wait_complete(w);
    compare(w, &o);
    assert_true(o.answered * 3 > o.asked);
    world_free(w);
}

/* The walk at the start goes on for many pages, and what comes and goes meanwhile counts. */
static void what_happens_while_it_is_filled_counts_once(void **state)
{
    enum { MANY = 3000 };
    struct world *w = world_new(0, true);
    struct oracle o = { 0 };

    (void)state;
    w->connections = 4;
    for (int i = 0; i < MANY; i++)
        put(w);
    w->opened = w->ready = on_slot;
    rest(w);
    for (int i = 0; i < 4; i++) {
        world_reopen(w);
        for (int k = 0; k < 20; k++) {
            put(w);
            if (k % 5 == i)
                order(w);
        }
        rest(w);
        wait_complete(w);
        rest(w);
        compare(w, &o);
    }
    assert_true(o.answered * 2 > o.asked);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_is_done_the_roll_says_what_the_walk_says),
        cmocka_unit_test(what_happens_while_it_is_filled_counts_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
