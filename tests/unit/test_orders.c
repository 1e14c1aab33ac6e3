/*
 * test_orders - what people want of waiting mail, with a queue's threads: moved, bounced,
 * previewed, looked at, read, and where it waits.
 */
#include "queue_world.h"

#include "policy/vocabulary/id.h"
#include "queue/reader.h"

#include <sqlite3.h>

static void order(struct world *w, enum queue_change change,
                  struct queue_filter f, const char *words)
{
    const struct queue_order o = {
        .change = change,
        .filter = &f,
        .who = SPAN("ann"),
        .route = change == CHANGE_MOVE ? span_of(words) : SPAN(""),
        .why = change == CHANGE_BOUNCE ? span_of(words) : SPAN(""),
    };

    queue_order(w->p, &o, world_on_count, 1);
    world_until(w, &w->answers, w->answers + 1);
    assert_int_equal(w->last_rc, 0);
}

/* A destination is called as its lane; who would deliver does not. */
static void keep(struct world *w, struct queue_slot *slot)
{
    (void)w;
    (void)slot;
}

static void a_move_leads_to_another_destination_at_once(void **state)
{
    enum { MESSAGES = 1500 };
    struct world *w = world_new(200, false);
    char content[16];

    (void)state;
    w->opened = keep;
    for (int i = 0; i < MESSAGES; i++) {
        (void)snprintf(content, sizeof content, "%d", i);
        (void)world_put(w, "from.test", "dead.away", content);
    }
    world_until(w, &w->puts, MESSAGES);
    w->is_on_demand = false;
    order(w, CHANGE_HOLD, (struct queue_filter){ .id = w->last_id }, "");
    w->opened = w->ready = world_take_all;
    order(w, CHANGE_MOVE, (struct queue_filter){ .domain = SPAN("dead.away") },
          "spare.group");
    /* What slots had in hand was left alone, and nothing has: none was claimed. */
    assert_int_equal(w->count.messages, MESSAGES);
    world_until(w, &w->settles, MESSAGES - 1);
    assert_int_equal(world_count(w, STATE_HELD).messages, 1);
    assert_int_equal(world_count(w, 0).messages, 1);
    for (int i = 0; i < MESSAGES; i++)
        assert_in_range(w->got[i], 0, 1);
    world_free(w);
}

static void a_move_survives_a_restart_and_leaves_alone_what_is_sent(
    void **state)
{
    struct world *w = world_new(0, false);
    struct queue_work *work;
    struct queue_filter via = { .via = SPAN("GROUP") };

    (void)state;
    (void)world_put(w, "from.test", "a.test", "1");
    world_until(w, &w->slot_count, 1);
    work = queue_slot_next(w->slots[0], 10);
    assert_non_null(work);
    order(w, CHANGE_MOVE, (struct queue_filter){ 0 }, "x.group");
    assert_int_equal(w->count.messages, 0);
    world_settle(w, work, OUTCOME_DEFERRED, queue_now_ms(w->q) + DAY_MS);
    world_until(w, &w->settles, 1);
    order(w, CHANGE_MOVE, (struct queue_filter){ 0 }, "x.group");
    assert_int_equal(w->count.messages, 1);
    world_reopen(w);
    world_until(w, &w->slot_count, 1);
    assert_true(span_is(queue_slot_destination(w->slots[0]), SPAN("group")));
    assert_true(span_is(queue_slot_lane(w->slots[0]), SPAN("a.test\tx.group")));
    queue_count(w->p, &via, world_on_count, 1);
    world_until(w, &w->answers, w->answers + 1);
    assert_int_equal(w->count.messages, 1);
    via.via = SPAN("a.*");
    queue_count(w->p, &via, world_on_count, 1);
    world_until(w, &w->answers, w->answers + 1);
    assert_int_equal(w->count.messages, 0);
    world_free(w);
}

static void what_is_bounced_comes_back_until_it_is_settled(void **state)
{
    struct world *w = world_new(0, false);
    struct queue_work *work;

    (void)state;
    w->opened = keep;
    (void)world_put(w, "from.test", "a.test", "1");
    world_until(w, &w->puts, 1);
    order(w, CHANGE_HOLD, (struct queue_filter){ 0 }, "");
    order(w, CHANGE_BOUNCE, (struct queue_filter){ 0 }, "spam");
    assert_int_equal(w->count.messages, 1);
    world_until(w, &w->alarm_count, 1);
    work = w->alarms[0];
    assert_true(work->recipients[0].is_returned);
    assert_true(span_is(work->recipients[0].returned_by, SPAN("ann")));
    assert_true(span_ends_nocase(work->recipients[0].last_reply,
                                 SPAN("by an operator: spam")));
    /* We go down before it is settled: it comes again. */
    world_settle(w, work, OUTCOME_FREED, 0);
    world_settle_down(w);
    while (w->alarm_count > 1) /* it came again meanwhile */
        world_settle(w, w->alarms[--w->alarm_count], OUTCOME_FREED, 0);
    w->alarm_count = 0;
    world_reopen(w);
    world_until(w, &w->alarm_count, 1);
    work = w->alarms[0];
    assert_true(work->recipients[0].is_returned);
    world_settle(w, work, OUTCOME_RETURNED, 0);
    world_until(w, &w->removed, 1);
    assert_int_equal(world_count(w, ~0U).messages, 0);
    world_free(w);
}

static void two_orders_at_once_are_carried_out_one_after_the_other(void **state)
{
    enum { MESSAGES = 700 };
    struct world *w = world_new(0, false);
    const struct queue_filter all = { 0 };
    size_t before;

    (void)state;
    w->opened = keep;
    for (int i = 0; i < MESSAGES; i++)
        (void)world_put(w, "from.test", "a.test", "x");
    world_until(w, &w->puts, MESSAGES);
    before = w->answers;
    world_order(w, &all, CHANGE_HOLD);
    world_order(w, &all, CHANGE_DELETE);
    world_until(w, &w->answers, before + 2);
    assert_int_equal(world_count(w, STATE_DELETED).messages, MESSAGES);
    assert_int_equal(world_count(w, 0).messages, 0);
    world_free(w);
}

static void defer_all(struct world *w, struct queue_slot *slot)
{
    struct queue_work *work = NULL;

    queue_slot_connected(slot);
    for (int i = 0; i < 20 && (work = queue_slot_next(slot, 50)); i++)
        world_settle(w, work, OUTCOME_DEFERRED, queue_now_ms(w->q) + 3);
    world_close_slot(w, slot); /* another is opened for what is left */
}

/* Deliveries begin and end all the while: a message is sent, or moved, never both. */
static void orders_and_deliveries_do_not_meet(void **state)
{
    enum { MESSAGES = 600, ROUNDS = 25 };
    struct world *w = world_new(100, false);
    const struct queue_filter all = { 0 };

    (void)state;
    w->opened = defer_all;
    for (int i = 0; i < MESSAGES; i++)
        (void)world_put(w, "from.test", i % 2 ? "a.test" : "b.group", "x");
    for (int i = 0; i < ROUNDS; i++) {
        const struct queue_order o = { .change = CHANGE_MOVE,
                                       .filter = &all,
                                       .route = i % 2 ? SPAN("x.group")
                                                      : SPAN("y") };
        size_t before = w->answers;

        queue_order(w->p, &o, world_on_count, 1);
        world_order(w, &all, CHANGE_DELETE);
        world_until(w, &w->answers, before + 2);
        order(w, CHANGE_UNDELETE, all, "");
    }
    w->opened = w->ready = world_take_all;
    order(w, CHANGE_RETRY, all, "");
    world_until(w, &w->removed, MESSAGES);
    assert_int_equal(world_count(w, ~0U).messages, 0);
    world_free(w);
}

/* Else it could be claimed as it was, after the order has looked at it. */
static void nothing_is_read_while_an_order_is_being_written(void **state)
{
    struct world *w = world_new(0, false);
    struct queue_work *work;

    (void)state;
    (void)world_put(w, "from.test", "a.test", "1");
    world_until(w, &w->slot_count, 1);
    work = queue_slot_next(w->slots[0], 10);
    queue_lock(w->q);
    w->q->changing++;
    queue_unlock(w->q);
    world_settle(w, work, OUTCOME_DEFERRED, queue_now_ms(w->q));
    world_settle_down(w);
    assert_null(queue_slot_next(w->slots[0], 10));
    queue_lock(w->q);
    w->q->changing--;
    queue_unlock(w->q);
    reader_poke(&w->q->reader);
    world_until(w, &w->readies, 1);
    work = queue_slot_next(w->slots[0], 10);
    assert_non_null(work);
    world_settle(w, work, OUTCOME_DELIVERED, 0);
    world_until(w, &w->removed, 1);
    world_free(w);
}

/* ------------------------------------------------------------- looking ---- */

static size_t told;

static void on_preview(void *user, uint64_t token, int rc,
                       const struct queue_preview *p)
{
    (void)user;
    (void)token;
    assert_int_equal(rc, 0);
    assert_int_equal(p->count.messages, 12);
    assert_int_equal(p->count.recipients, 24);
    assert_int_equal(p->row_count, PREVIEW_ROWS);
    assert_int_equal(p->destinations, 2);
    assert_true(span_is(p->busiest[0].name, SPAN("a.test")));
    assert_int_equal(p->busiest[0].recipients, 12);
    assert_true(span_is(p->busiest[1].name, SPAN("group")));
    told++;
}

static void on_story(void *user, uint64_t token, int rc,
                     const struct queue_story *s)
{
    struct world *w = user;

    (void)token;
    assert_int_equal(rc, 0);
    told++;
    if (!s) {
        w->eased = 1000; /* there is none */
        return;
    }
    assert_int_equal(s->count, 2);
    assert_true(span_is(s->recipients[1].row.address, SPAN("r1@x.group")));
    assert_true(span_is(s->recipients[1].destination, SPAN("group")));
    assert_true(span_is(s->envelope.sender, SPAN("a@from.test")));
}

static void on_heat(void *user, const struct queue_heat *h)
{
    struct queue_heat *out = user;

    *out = *h;
    if (h->is_complete && h->count == 2)
        assert_int_equal(h->rows[0].total, 12);
}

static void people_see_what_waits(void **state)
{
    static const char *const lanes[] = { "a.test", "x.group" };
    struct world *w = world_new(0, false);
    struct queue_filter all = { 0 };
    struct queue_heat heat = { 0 };

    (void)state;
    w->opened = keep;
    for (int i = 0; i < 12; i++)
        (void)world_put_many(w, "from.test", lanes, 2, "x", INT64_MAX);
    world_until(w, &w->puts, 12);
    told = 0;
    queue_preview(w->p, &all, on_preview, 1);
    world_until(w, &told, 1);
    queue_story(w->p, w->last_id, on_story, 1);
    world_until(w, &told, 2);
    queue_story(w->p, 77, on_story, 1);
    world_until(w, &told, 3);
    assert_int_equal(w->eased, 1000);
    /* The first picture may be of a moment when nothing had come yet. */
    world_reopen(w);
    for (int i = 0; i < WORLD_PATIENCE_S * 1000 && !heat.is_complete; i++) {
        queue_heat(w->q, 50, on_heat, &heat);
        world_moment(w);
    }
    assert_true(heat.is_complete);
    assert_int_equal(heat.total, 24);
    world_free(w);
}

/* ----------------------------------------------- a picture that fails ---- */

enum { DRAWINGS = 200 };

struct drawer {
    struct reader reader;
    _Atomic bool has_ended;
};

/* As the reader does it; the next one begins at once. */
static void *draw(void *user)
{
    struct drawer *d = user;
    struct heat *h = &d->reader.queue->heat;

    for (int i = 0; i < DRAWINGS; i++) {
        h->next_ms = 0;
        while (heat_step(&d->reader) && h->is_drawing)
            ;
    }
    atomic_store(&d->has_ended, true);
    return NULL;
}

/* Whoever reads the key of c.test fails. */
static void damage_a_lane(struct world *w)
{
    static const char sql[] =
        "ALTER TABLE lane RENAME TO whole;"
        "CREATE TABLE lane(id INTEGER PRIMARY KEY, told TEXT,"
        " key TEXT AS (told));"
        "INSERT INTO lane(id, told) SELECT id, key FROM whole;"
        "PRAGMA writable_schema=ON;"
        "UPDATE sqlite_schema SET sql=replace(sql, '(told)', '(iif(told LIKE"
        " ''c.test%'', abs(-9223372036854775807 - (id > 0)), told))')"
        " WHERE name='lane'";
    sqlite3 *db;

    assert_int_equal(sqlite3_open(w->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void a_first_picture_that_fails_can_be_looked_at(void **state)
{
    static const char *const lanes[] = { "a.test", "b.test", "c.test" };
    struct world *w = world_new(0, false);
    struct drawer d = { 0 };
    struct queue_heat heat = { 0 };
    pthread_t thread;

    (void)state;
    w->opened = keep;
    (void)world_put_many(w, "from.test", lanes, 3, "x", INT64_MAX);
    world_until(w, &w->puts, 1);
    world_close_queue(w);
    damage_a_lane(w);
    w->options.read_only = true; /* its reader does not draw */
    world_open_queue(w);
    d.reader.queue = w->q;
    assert_int_equal(store_reader_open(&d.reader.db, w->path), 0);
    assert_int_equal(pthread_create(&thread, NULL, draw, &d), 0);
    while (!atomic_load(&d.has_ended))
        queue_heat(w->q, 50, on_heat, &heat);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_false(heat.is_complete);
    queue_heat(w->q, 50, on_heat, &heat);
    assert_int_equal(heat.total, 2); /* as far as it came */
    store_reader_close(d.reader.db);
    world_free(w);
}

/* ------------------------------------------------------------ its bytes ---- */

static struct queue_copy *copy;
static int copy_rc;
static struct buffer got;

static void on_copy(void *user, uint64_t token, int rc,
                    struct queue_copy *take_c)
{
    (void)user;
    (void)token;
    copy_rc = rc;
    copy = take_c;
    told++;
}

static void on_part(void *user, uint64_t token, int rc, struct span bytes)
{
    (void)user;
    (void)token;
    copy_rc = rc;
    if (rc == 0)
        buffer_put(&got, bytes);
    told++;
}

static void content_can_be_read_also_while_the_message_leaves(void **state)
{
    struct world *w = world_new(0, false);
    uint64_t id = world_put(w, "from.test", "a.test", "0123456789");

    (void)state;
    world_until(w, &w->puts, 1);
    told = 0;
    queue_copy_open(w->p, id, on_copy, 1);
    world_until(w, &told, 1);
    assert_int_equal(copy_rc, 0);
    assert_int_equal(queue_copy_size(copy), 10);
    queue_copy_read(w->p, copy, 0, 4, on_part, 1);
    world_until(w, &told, 2);
    world_until(w, &w->slot_count, 1);
    world_take_all(w, w->slots[0]);
    world_until(w, &w->removed, 1);
    queue_copy_read(w->p, copy, 4, 100, on_part, 1);
    world_until(w, &told, 3);
    assert_true(span_is(buffer_span(&got), SPAN("0123456789")));
    queue_copy_close(copy);
    queue_copy_open(w->p, id, on_copy, 1);
    world_until(w, &told, 4);
    assert_int_equal(copy_rc, ERROR_GONE);
    buffer_fini(&got);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_move_leads_to_another_destination_at_once),
        cmocka_unit_test(
            a_move_survives_a_restart_and_leaves_alone_what_is_sent),
        cmocka_unit_test(what_is_bounced_comes_back_until_it_is_settled),
        cmocka_unit_test(
            two_orders_at_once_are_carried_out_one_after_the_other),
        cmocka_unit_test(orders_and_deliveries_do_not_meet),
        cmocka_unit_test(nothing_is_read_while_an_order_is_being_written),
        cmocka_unit_test(people_see_what_waits),
        cmocka_unit_test(a_first_picture_that_fails_can_be_looked_at),
        cmocka_unit_test(content_can_be_read_also_while_the_message_leaves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
