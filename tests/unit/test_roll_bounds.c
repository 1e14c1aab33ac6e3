/*
 * test_roll_bounds - what the roll may cost whatever happens: a page of its walk, what is kept
 * while somebody asks for long, and rows that are few again.
 */
#include "queue/core.h"
#include "queue/roll_private.h"
#include "queue/store_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { MANY = 40, LIMIT = 7 };

struct stage {
    struct store *s;
    char folder[48], path[64];
    uint32_t seen, deleted;
};

static int stage_new(void **state)
{
    struct stage *t = NEW(struct stage);
    struct buffer why = { 0 }, notices = { 0 };

    (void)snprintf(t->folder, sizeof t->folder, "/tmp/test-roll-bounds-XXXXXX");
    if (!mkdtemp(t->folder))
        return -1;
    (void)snprintf(t->path, sizeof t->path, "%s/queue.db", t->folder);
    assert_int_equal(store_open(&t->s, t->path, &why, &notices), 0);
    buffer_fini(&why);
    buffer_fini(&notices);
    *state = t;
    return 0;
}

static int stage_free(void **state)
{
    struct stage *t = *state;
    char command[80];

    store_close(t->s);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", t->folder);
    free(t);
    return system(command);
}

/* All of them, deleted but the last. */
static void put_deleted(struct stage *t)
{
    for (uint64_t id = 1; id <= MANY; id++) {
        struct queue_recipient one = { .address = SPAN("r@a.test"),
                                       .lane = SPAN("a.test"),
                                       .expire_ms = INT64_MAX,
                                       .warn_ms = INT64_MAX };
        struct queue_message m = { .id = id,
                                   .envelope.size_bytes = 5,
                                   .recipients = &one,
                                   .recipient_count = 1 };

        assert_int_equal(
            store_put(t->s, &m, &(struct store_content){ .has_file = true }),
            0);
    }
    assert_int_equal(
        database_exec(&t->s->db,
                      "UPDATE recipient SET state=2 WHERE message<40"),
        0);
}

static void on_waiting(void *user, const struct store_waiting *w)
{
    struct stage *t = user;

    t->seen++;
    t->deleted += w->is_deleted;
}

static void on_size(void *user, struct span lane, uint64_t size_bytes,
                    int64_t received_ms)
{
    struct stage *t = user;

    (void)received_ms;
    t->seen++;
    assert_true(span_is(lane, SPAN("a.test")));
    assert_int_equal(size_bytes, 5);
}

static void a_page_ends_however_much_of_what_it_looks_at_is_deleted(
    void **state)
{
    struct stage *t = *state;
    struct store_cursor at = { 0 };
    bool has_more = true;
    int pages = 0;

    put_deleted(t);
    assert_int_equal(
        store_read_waiting(t->s, 0, 0, INT64_MAX, LIMIT, on_waiting, t), 0);
    assert_int_equal(t->seen, LIMIT);
    assert_int_equal(t->deleted, LIMIT);
    t->seen = 0;
    for (; has_more; pages++)
        assert_int_equal(store_read_sizes(t->s, &at, INT64_MAX, LIMIT, on_size,
                                          t, &has_more),
                         0);
    assert_int_equal(pages, MANY / LIMIT + 1);
    assert_int_equal(at.message, MANY);
    assert_int_equal(t->seen, 1);
}

/* The walk goes on behind them, and none of them has a row. */
static void the_roll_is_filled_past_what_is_deleted(void **state)
{
    struct stage *t = *state;
    struct queue *q = NEW(struct queue);
    struct roll *r = &q->roll;

    put_deleted(t);
    pthread_mutex_init(&q->lock, NULL);
    q->writer.queue = q;
    q->writer.store = t->s;
    roll_init(r, true);
    while (atomic_load(&r->state) != ROLL_COMPLETE)
        roll_step(&q->writer, false);
    assert_int_equal(r->live, 1);
    roll_fini(r);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

static void publish_much(struct roll *r)
{
    struct buffer notes = { 0 };
    char sender[200] = "";

    for (int i = 0; i < 5000; i++)
        roll_note_message(
            &notes, &(struct roll_facts){
                        .id = 1, .who = { span_make(sender, sizeof sender) } });
    roll_again(r, &notes);
    roll_publish(r);
    buffer_fini(&notes);
}

/* Whatever waits: its rows have room. */
static void what_lost_its_news_is_filled_anew(void **state)
{
    struct stage *t = *state;
    struct queue *q = NEW(struct queue);
    struct roll *r = &q->roll;

    pthread_mutex_init(&q->lock, NULL);
    q->writer.queue = q;
    q->writer.store = t->s;
    roll_init(r, true);
    r->again_ms = 0;
    while (atomic_load(&r->state) != ROLL_COMPLETE)
        roll_step(&q->writer, false);
    put_deleted(t);
    atomic_store(&q->ready, 1000 * 1000);
    pthread_mutex_lock(&r->lock); /* somebody asks */
    for (int i = 0; i < 40; i++)
        publish_much(r);
    assert_true(r->inbox.len < 20 * 1024 * 1024);
    pthread_mutex_unlock(&r->lock);
    assert_false(roll_lock(r));
    for (int i = 0; i < 100 && atomic_load(&r->state) != ROLL_COMPLETE; i++)
        roll_step(&q->writer, false);
    assert_int_equal(atomic_load(&r->state), ROLL_COMPLETE);
    assert_int_equal(r->live, 1);
    roll_fini(r);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

/* The newest first: each chunk dies in front of one that is all but dead. */
static void few_rows_need_little_memory_in_whatever_order_others_left(
    void **state)
{
    enum { ROWS = 50 * ROLL_ROWS };
    const int64_t far_ms = 1700000000000; /* from what the ids say */
    struct roll *r = NEW(struct roll);

    (void)state;
    roll_init(r, true);
    for (uint64_t id = 1; id <= ROWS; id++)
        roll_row_add(r, &(struct roll_facts){ .id = id, .received_ms = far_ms },
                     0, roll_name_take(r, ROLL_LANE, SPAN("a.test")), false);
    assert_int_equal(r->chunk_count, 50);
    for (uint64_t id = ROWS; id; id--)
        if (id % ROLL_ROWS)
            roll_row_remove(r, id, 0);
    assert_int_equal(r->live, 50);
    assert_int_equal(r->strange, 50);
    assert_true(r->chunk_count < 6);
    for (uint64_t id = ROLL_ROWS; id <= ROWS; id += ROLL_ROWS)
        roll_row_remove(r, id, 0);
    assert_int_equal(r->live, 0);
    assert_int_equal(r->strange, 0);
    assert_int_equal(r->chunk_count, 1);
    roll_fini(r);
    free(r);
}

/* A limit may allow them. */
static void large_messages_have_their_size(void **state)
{
    static const uint64_t sizes[] = { 1, UINT32_MAX, 5ULL << 30, 1ULL << 40 };
    static const struct queue_filter all = { 0 };
    struct queue *q = NEW(struct queue);
    struct queue_count count = { 0 };
    uint64_t sum = 0;

    (void)state;
    pthread_mutex_init(&q->lock, NULL);
    roll_init(&q->roll, true);
    for (uint64_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        roll_row_add(
            &q->roll,
            &(struct roll_facts){ .id = i + 1, .size_bytes = sizes[i] }, 0,
            roll_name_take(&q->roll, ROLL_LANE, SPAN("a.test")), false);
        sum += sizes[i];
    }
    atomic_store(&q->roll.state, ROLL_COMPLETE);
    assert_true(roll_count(q, &all, &count));
    assert_int_equal(count.bytes, sum);
    roll_fini(&q->roll);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

/* Then a walk begins with the first of them, or the lanes may lead to fewer. */
static void of_too_many_the_first_is_told(void **state)
{
    enum { ROWS = 30000, PER_MS = 256000, LATE = 5000 };
    const struct queue_filter late = { .newer_ms = LATE - 1 };
    const struct queue_filter ready = { .newer_ms = LATE - 1,
                                        .states = STATE_READY };
    const struct queue_filter last = { .newer_ms = ROWS - 1 };
    struct queue *q = NEW(struct queue);
    struct store_among a = { 0 }, of_state = { 0 }, few = { 0 };

    (void)state;
    pthread_mutex_init(&q->lock, NULL);
    roll_init(&q->roll, true);
    for (uint64_t ms = 1; ms <= ROWS; ms++)
        roll_row_add(&q->roll,
                     &(struct roll_facts){ .id = ms * PER_MS,
                                           .received_ms = (int64_t)ms },
                     0, roll_name_take(&q->roll, ROLL_LANE, SPAN("a.test")),
                     false);
    atomic_store(&q->roll.state, ROLL_COMPLETE);
    assert_true(roll_among(q, &late, &a));
    assert_true(a.is_over && !a.is_known);
    assert_int_equal(a.first, (uint64_t)LATE * PER_MS);
    assert_false(roll_among(q, &ready, &of_state));
    assert_false(of_state.is_over);
    assert_int_equal(of_state.count, 0);
    assert_int_equal(of_state.first, (uint64_t)LATE * PER_MS);
    assert_true(roll_among(q, &last, &few));
    assert_true(few.is_known && few.count == 1 && few.first == 0);
    store_among_fini(&a);
    store_among_fini(&of_state);
    store_among_fini(&few);
    roll_fini(&q->roll);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_page_ends_however_much_of_what_it_looks_at_is_deleted, stage_new,
            stage_free),
        cmocka_unit_test_setup_teardown(the_roll_is_filled_past_what_is_deleted,
                                        stage_new, stage_free),
        cmocka_unit_test_setup_teardown(what_lost_its_news_is_filled_anew,
                                        stage_new, stage_free),
        cmocka_unit_test(
            few_rows_need_little_memory_in_whatever_order_others_left),
        cmocka_unit_test(large_messages_have_their_size),
        cmocka_unit_test(of_too_many_the_first_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
