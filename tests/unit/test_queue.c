/*
 * The queue's promises, one message at a time; the numbers are those of queue.h.
 */
#include "queue_world.h"

#include <fcntl.h>
#include <semaphore.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void put_is_answered_and_then_handed_out(void **state)
{
    struct world *w = world_new(0, true);
    uint64_t id = world_put(w, "one.test", "example.org", "hello");
    struct queue_work *work;

    (void)state;
    world_until(w, &w->puts_ok, 1);
    world_until(w, &w->slot_count, 1);
    assert_true(
        span_is(queue_slot_destination(w->slots[0]), SPAN("example.org")));
    assert_true(span_is(queue_slot_lane(w->slots[0]), SPAN("example.org")));
    work = queue_slot_next(w->slots[0], 50);
    assert_non_null(work);
    assert_int_equal(work->message, id);
    assert_true(span_is(work->content, SPAN("hello")));
    assert_true(span_is(work->recipients[0].address, SPAN("r0@example.org")));
    assert_true(span_is(work->envelope.sender, SPAN("a@one.test")));
    assert_null(queue_slot_next(w->slots[0], 50));
    world_settle(w, work, OUTCOME_DELIVERED, 0);
    world_until(w, &w->settles, 1);
    assert_int_equal(w->removed, 1);
    assert_int_equal(world_count(w, 0).messages, 0);
    world_free(w);
}

/* Has twenty answered and one in hand, and dies without a word. */
static void child_claims_and_dies(struct world *w)
{
    world_open_queue(w);
    for (int i = 0; i < 20; i++)
        world_put(w, "one.test", "example.org", "x");
    world_until(w, &w->puts_ok, 20);
    world_until(w, &w->slot_count, 1);
    _exit(queue_slot_next(w->slots[0], 50) ? 0 : 1);
}

static void q1_q3_what_was_answered_is_there_after_a_crash_and_unclaimed(
    void **state)
{
    struct world *w = world_new(0, true);
    int status;
    pid_t child;

    (void)state;
    world_close_queue(w);
    child = fork();
    if (child == 0)
        child_claims_and_dies(w);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    w->opened = w->ready = world_take_all;
    world_open_queue(w);
    world_until(w, &w->settles, 20);
    world_free(w);
}

/* In a process that dies without a word; what it was told goes through a pipe. */
static void child_puts_and_dies(int to, struct world *w)
{
    world_open_queue(w);
    for (int i = 0; i < 200; i++)
        world_put(w, "one.test", "example.org", "x");
    world_until(w, &w->puts_ok, 50);
    if (write(to, &w->puts_ok, sizeof(w->puts_ok)) < 0)
        _exit(1);
    _exit(0);
}

static void q1_a_killed_process_has_lost_nothing_it_answered(void **state)
{
    struct world *w = world_new(0, true);
    size_t answered = 0;
    int ends[2], status;
    pid_t child;

    (void)state;
    world_close_queue(w);
    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0)
        child_puts_and_dies(ends[1], w);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(read(ends[0], &answered, sizeof(answered)),
                     sizeof(answered));
    close(ends[0]);
    close(ends[1]);
    world_open_queue(w);
    assert_true(world_count(w, 0).messages >= answered);
    world_free(w);
}

static void q2_a_failure_and_its_report_are_one(void **state)
{
    struct world *w = world_new(0, true);
    struct queue_recipient r = { .address = SPAN("a@one.test"),
                                 .lane = SPAN("one.test"),
                                 .expire_ms = INT64_MAX,
                                 .warn_ms = INT64_MAX };
    struct queue_result result = { .outcome = OUTCOME_FAILED,
                                   .status = STATUS(5, 1, 1),
                                   .reply = SPAN("no such user") };
    struct queue_message report = { .recipients = &r, .recipient_count = 1 };
    struct queue_work *work;

    (void)state;
    world_put(w, "one.test", "example.org", "x");
    world_until(w, &w->slot_count, 1);
    work = queue_slot_next(w->slots[0], 50);
    report.id = queue_new_id(w->q);
    report.envelope.size_bytes = 6;
    report.take_content = span_dup(SPAN("report"));
    queue_settle(w->p, work, &result, &report, 1, world_on_settled, 0);
    world_until(w, &w->settles, 1);
    assert_int_equal(w->removed, 1);
    world_until(w, &w->slot_count, 2);
    work = queue_slot_next(w->slots[1], 50);
    assert_int_equal(work->message, report.id);
    assert_true(span_is(work->content, SPAN("report")));
    world_settle(w, work, OUTCOME_DELIVERED, 0);
    world_until(w, &w->settles, 2);
    assert_int_equal(world_count(w, 0).messages, 0);
    world_free(w);
}

/* Keeps the writer in a transaction until it is let go. */
struct blocker {
    struct job job; /* first */
    sem_t begun, go;
};

static int run_blocker(struct queue *q, struct job *j)
{
    struct blocker *b = (struct blocker *)j;

    (void)q;
    (void)sem_post(&b->begun);
    while (sem_wait(&b->go) < 0)
        continue;
    return 0;
}

static void open_blocker(struct letter *take_l, bool is_dropped)
{
    (void)take_l;
    (void)is_dropped;
}

static void block(struct world *w, struct blocker *b)
{
    static const struct job_kind kind = { .name = "block", .run = run_blocker };

    *b = (struct blocker){ .job = { .kind = &kind } };
    b->job.letter.port = w->p;
    b->job.letter.open = open_blocker;
    (void)sem_init(&b->begun, 0, 0);
    (void)sem_init(&b->go, 0, 0);
    writer_submit(&w->q->writer, &b->job);
    while (sem_wait(&b->begun) < 0)
        continue;
}

static size_t puts_before_the_settle;

static void on_settled_among_puts(void *user, uint64_t token, int rc,
                                  uint64_t message, bool is_removed)
{
    puts_before_the_settle = ((struct world *)user)->puts;
    world_on_settled(user, token, rc, message, is_removed);
}

static void q4_a_delivery_is_committed_ahead_of_new_mail(void **state)
{
    const struct queue_result r = { .outcome = OUTCOME_DELIVERED };
    struct world *w = world_new(0, true);
    struct queue_work *work;
    struct blocker b;

    (void)state;
    world_put(w, "one.test", "example.org", "x");
    world_until(w, &w->puts_ok, 1);
    world_until(w, &w->slot_count, 1);
    work = queue_slot_next(w->slots[0], 50);
    assert_non_null(work);
    block(w, &b);
    for (int i = 0; i < 20; i++)
        world_put(w, "one.test", "example.net", "x");
    queue_settle(w->p, work, &r, NULL, 0, on_settled_among_puts, 8);
    (void)sem_post(&b.go);
    world_until(w, &w->settles, 1);
    assert_int_equal(puts_before_the_settle, 1);
    world_until(w, &w->puts_ok, 21);
    world_free(w);
    (void)sem_destroy(&b.begun);
    (void)sem_destroy(&b.go);
}

static void a_deferred_recipient_comes_back_when_it_is_due(void **state)
{
    struct world *w = world_new(0, true);
    struct queue_work *work;

    (void)state;
    world_put(w, "one.test", "example.org", "x");
    world_until(w, &w->slot_count, 1);
    queue_slot_connected(w->slots[0]);
    work = queue_slot_next(w->slots[0], 50);
    world_settle(w, work, OUTCOME_DEFERRED, world_clock() + 60000);
    world_until(w, &w->settles, 1);
    assert_null(queue_slot_next(w->slots[0], 50));
    assert_int_equal(world_count(w, STATE_DEFERRED).messages, 1);
    w->ready = world_take_all;
    atomic_fetch_add(&world_now_ms, 61000);
    world_until(w, &w->settles, 2);
    assert_int_equal(w->removed, 1);
    world_free(w);
}

static void freed_work_is_first_in_line_again(void **state)
{
    struct world *w = world_new(0, true);
    struct queue_work *work;
    uint64_t first;

    (void)state;
    w->connections = 1;
    first = world_put(w, "one.test", "example.org", "1");
    world_put(w, "one.test", "example.org", "2");
    world_until(w, &w->puts_ok, 2);
    world_until(w, &w->slot_count, 1);
    work = queue_slot_next(w->slots[0], 50);
    assert_int_equal(work->message, first);
    world_settle(w, work, OUTCOME_FREED, 0);
    work = queue_slot_next(w->slots[0], 50);
    assert_int_equal(work->message, first);
    world_settle(w, work, OUTCOME_DELIVERED, 0);
    world_until(w, &w->settles, 2);
    world_free(w);
}

static void recipients_of_one_message_share_a_work_by_destination(void **state)
{
    const char *lanes[] = { "a.group", "example.org", "b.group", "a.group" };
    struct world *w = world_new(0, true);
    size_t recipients = 0;

    (void)state;
    world_put_many(w, "one.test", lanes, 4, "x", INT64_MAX);
    world_until(w, &w->slot_count, 2);
    for (size_t i = 0; i < 2; i++) {
        struct queue_work *work = queue_slot_next(w->slots[i], 50);
        bool is_group =
            span_is(queue_slot_destination(w->slots[i]), SPAN("group"));

        assert_int_equal(work->count, is_group ? 3 : 1);
        recipients += work->count;
        world_settle(w, work, OUTCOME_DELIVERED, 0);
    }
    assert_int_equal(recipients, 4);
    world_until(w, &w->settles, 2);
    assert_int_equal(w->removed, 1);
    world_free(w);
}

static void a_work_is_split_where_the_next_hop_takes_fewer(void **state)
{
    const char *lanes[] = { "example.org", "example.org", "example.org" };
    struct world *w = world_new(0, true);
    struct queue_work *one, *two;

    (void)state;
    world_put_many(w, "one.test", lanes, 3, "x", INT64_MAX);
    world_until(w, &w->slot_count, 1);
    one = queue_slot_next(w->slots[0], 2);
    assert_int_equal(one->count, 2);
    two = queue_slot_next(w->slots[0], 2);
    assert_int_equal(two->count, 1);
    assert_int_equal(two->recipients[0].number, 2);
    assert_true(span_is(two->content, SPAN("x")));
    world_settle(w, one, OUTCOME_DELIVERED, 0);
    world_settle(w, two, OUTCOME_DELIVERED, 0);
    world_until(w, &w->settles, 2);
    assert_int_equal(w->removed, 1);
    world_free(w);
}

/* ---------------------------------------------------------- large content ---- */

static void on_append(void *user, uint64_t token, int rc)
{
    (void)token;
    assert_int_equal(rc, 0);
    ((struct world *)user)->answers++;
}

static size_t large_put(struct world *w, uint64_t id, size_t parts)
{
    struct queue_recipient r = { .address = SPAN("a@example.org"),
                                 .lane = SPAN("example.org"),
                                 .expire_ms = INT64_MAX,
                                 .warn_ms = INT64_MAX };
    struct queue_message m = { .id = id,
                               .recipients = &r,
                               .recipient_count = 1 };
    struct queue_body *b = queue_body_open(w->p, id);

    for (size_t i = 0; i < parts; i++) {
        char *part = memory_take(100000);

        memset(part, (int)('a' + i), 100000);
        queue_body_append(b, part, 100000, on_append, i);
    }
    m.envelope.size_bytes = parts * 100000;
    m.take_body = b;
    queue_put(w->p, &m, world_on_put, 0);
    return parts * 100000;
}

static bool has_file(struct world *w, const char *what)
{
    char command[300];

    (void)snprintf(command, sizeof(command), "test -n \"$(ls %s.content/%s)\"",
                   w->path, what);
    return system(command) == 0;
}

static void on_read(void *user, uint64_t token, int rc, struct span bytes)
{
    struct world *w = user;

    w->last_rc = rc;
    for (size_t i = 0; rc == 0 && i < bytes.len; i++)
        assert_int_equal(bytes.at[i], 'a' + (char)((token + i) / 100000));
    w->count.bytes += bytes.len;
    w->answers++;
}

static void read_all(struct world *w, struct queue_work *work, size_t size)
{
    w->count.bytes = 0;
    for (size_t at = 0; at < size && w->last_rc == 0; at += 70000) {
        queue_read(w->p, work, at, 70000, on_read, at);
        world_until(w, &w->answers, w->answers + 1);
    }
}

static void q1_large_content_is_a_file_until_it_is_delivered(void **state)
{
    struct world *w = world_new(0, true);
    uint64_t id = queue_new_id(w->q);
    size_t size = large_put(w, id, 5);
    struct queue_work *work;

    (void)state;
    world_until(w, &w->puts_ok, 1);
    assert_true(has_file(w, ""));
    world_until(w, &w->slot_count, 1);
    work = queue_slot_next(w->slots[0], 50);
    assert_int_equal(work->message, id);
    assert_null(work->content.at);
    read_all(w, work, size);
    assert_int_equal(w->last_rc, 0);
    assert_int_equal(w->count.bytes, size);
    world_settle(w, work, OUTCOME_DELIVERED, 0);
    world_until(w, &w->settles, 1);
    assert_int_equal(w->removed, 1);
    world_reopen(w);
    assert_false(has_file(w, ""));
    world_free(w);
}

static void on_read_damaged(void *user, uint64_t token, int rc,
                            struct span bytes)
{
    struct world *w = user;

    (void)token;
    (void)bytes;
    w->last_rc = rc;
    w->answers++;
}

static void q6_large_content_that_was_changed_is_not_delivered(void **state)
{
    struct world *w = world_new(0, true);
    size_t size = large_put(w, queue_new_id(w->q), 2);
    struct queue_work *work;
    char command[300];

    (void)state;
    world_until(w, &w->slot_count, 1);
    work = queue_slot_next(w->slots[0], 50);
    (void)snprintf(command, sizeof(command),
                   "for f in %s.content/*; do printf a | dd of=$f bs=1 "
                   "seek=150000 conv=notrunc status=none; done",
                   w->path);
    assert_int_equal(system(command), 0);
    for (size_t at = 0; at < size; at += 100000) {
        queue_read(w->p, work, at, 100000, on_read_damaged, at);
        world_until(w, &w->answers, w->answers + 1);
    }
    assert_int_equal(w->last_rc, ERROR_CHECKSUM);
    world_settle(w, work, OUTCOME_FREED, 0);
    world_until(w, &w->settles, 1);
    world_free(w);
}

static void q5_content_that_no_put_named_is_removed(void **state)
{
    struct world *w = world_new(0, true);
    struct queue_body *b = queue_body_open(w->p, queue_new_id(w->q));
    char command[300];

    (void)state;
    queue_body_append(b, memory_zero(1, 1000), 1000, on_append, 0);
    world_until(w, &w->answers, 1);
    assert_true(has_file(w, ""));
    queue_body_abandon(b);
    world_close_queue(w);
    assert_false(has_file(w, ""));
    (void)snprintf(command, sizeof(command),
                   "echo half > %s.content/01ABCDEFGHJKM", w->path);
    assert_int_equal(system(command), 0);
    world_open_queue(w);
    large_put(w, queue_new_id(w->q), 1);
    world_until(w, &w->puts_ok, 1);
    world_reopen(w);
    assert_false(has_file(w, "01ABCDEFGHJKM 2>/dev/null"));
    assert_true(has_file(w, ""));
    world_free(w);
}

/* --------------------------------------------------------------- trouble ---- */

static void q6_a_second_process_is_refused(void **state)
{
    struct world *w = world_new(0, true);
    struct buffer why = { 0 };
    struct queue *second;

    (void)state;
    assert_int_equal(queue_open(&second, &w->options, &why), ERROR_LOCKED);
    assert_true(why.len > 0);
    buffer_fini(&why);
    world_free(w);
}

static void q7_under_the_reserve_puts_are_refused_for_a_while(void **state)
{
    struct world *w = world_new(0, true);

    (void)state;
    world_close_queue(w);
    w->options.reserve_bytes = UINT64_MAX / 4;
    world_open_queue(w);
    assert_false(queue_has_room(w->q, 1));
    world_put(w, "one.test", "example.org", "x");
    world_until(w, &w->puts, 1);
    assert_int_equal(w->last_rc, ERROR_FULL);
    assert_int_equal(world_count(w, 0).messages, 0);
    world_close_queue(w);
    w->options.reserve_bytes = 1;
    world_open_queue(w);
    assert_true(queue_has_room(w->q, 1));
    world_put(w, "one.test", "example.org", "x");
    world_until(w, &w->puts_ok, 1);
    world_free(w);
}

static void ids_are_new_and_sorted_across_a_restart(void **state)
{
    struct world *w = world_new(0, true);
    uint64_t last = world_put(w, "one.test", "example.org", "x"), id;

    (void)state;
    world_until(w, &w->puts_ok, 1);
    atomic_fetch_sub(&world_now_ms, 300000);
    world_reopen(w);
    for (int i = 0; i < 1000; i++) {
        id = queue_new_id(w->q);
        assert_true(id > last);
        last = id;
    }
    atomic_fetch_add(&world_now_ms, 300000);
    world_free(w);
}

static void after_stop_claims_nothing_is_handed_out_but_settles_go_on(
    void **state)
{
    struct world *w = world_new(0, true);
    struct queue_work *work;

    (void)state;
    w->connections = 1;
    world_put(w, "one.test", "example.org", "1");
    world_put(w, "one.test", "example.org", "2");
    world_until(w, &w->puts_ok, 2);
    world_until(w, &w->slot_count, 1);
    work = queue_slot_next(w->slots[0], 50);
    queue_stop_claims(w->q);
    assert_null(queue_slot_next(w->slots[0], 50));
    world_settle(w, work, OUTCOME_DELIVERED, 0);
    world_until(w, &w->settles, 1);
    world_until(w, &w->told_ended, 1);
    world_put(w, "one.test", "example.org", "3");
    world_until(w, &w->puts_ok, 3);
    assert_int_equal(world_count(w, 0).messages, 2);
    world_free(w);
}

static void an_alarm_takes_the_message_even_while_its_lane_rests(void **state)
{
    const char *lane = "example.org";
    struct world *w = world_new(0, true);
    uint64_t id =
        world_put_many(w, "one.test", &lane, 1, "x", world_clock() + 600000);
    struct queue_work *work;

    (void)state;
    world_until(w, &w->slot_count, 1);
    queue_slot_connected(w->slots[0]);
    work = queue_slot_next(w->slots[0], 50);
    world_settle(w, work, OUTCOME_DEFERRED, world_clock() + DAY_MS);
    world_until(w, &w->settles, 1);
    atomic_fetch_add(&world_now_ms, 600001);
    world_until(w, &w->alarm_count, 1);
    assert_int_equal(w->alarms[0]->message, id);
    assert_true(w->alarms[0]->is_alarm);
    assert_true(span_is(w->alarms[0]->content, SPAN("x")));
    world_settle(w, w->alarms[0], OUTCOME_EXPIRED, 0);
    world_until(w, &w->settles, 2);
    assert_int_equal(w->removed, 1);
    world_free(w);
}

static void a_port_that_closes_takes_no_late_callbacks(void **state)
{
    struct world *w = world_new(0, true);

    (void)state;
    for (int i = 0; i < 50; i++)
        world_put(w, "one.test", "example.org", "x");
    queue_port_close(w->p);
    assert_int_equal(w->puts, 0);
    w->p = queue_port_open(w->q, &world_events, w);
    w->opened = w->ready = world_take_all;
    world_until(w, &w->settles, 50);
    assert_int_equal(w->puts, 0);
    world_free(w);
}

static void on_note(void *user, struct span key, struct span value)
{
    struct world *w = user;

    assert_true(span_is(key, SPAN("key")));
    assert_true(span_is(value, SPAN("two")));
    w->answers++;
}

static void notes_are_read_back_after_a_restart(void **state)
{
    struct world *w = world_new(0, true);

    (void)state;
    queue_note_put(w->q, SPAN("kind"), SPAN("key"), SPAN("one"), INT64_MAX);
    queue_note_put(w->q, SPAN("kind"), SPAN("key"), SPAN("two"), INT64_MAX);
    queue_note_put(w->q, SPAN("other"), SPAN("k"), SPAN("v"), INT64_MAX);
    world_reopen(w);
    assert_int_equal(queue_notes(w->q, SPAN("kind"), on_note, w), 0);
    assert_int_equal(w->answers, 1);
    world_free(w);
}

static void a_notice_leaves_mail_in_its_order(void **state)
{
    struct world *w = world_new(0, true);
    const char *lane = "x.away";
    const int count = 40; /* more than is read for a probe */
    char text[16];

    (void)state;
    w->is_on_demand = true;
    w->probe_ms = DAY_MS;
    world_put_many(w, "one.test", &lane, 1, "1", world_clock() + 1000);
    for (int n = 2; n <= count; n++) {
        (void)snprintf(text, sizeof(text), "%d", n);
        world_put(w, "one.test", lane, text);
    }
    world_until(w, &w->puts_ok, (size_t)count);
    atomic_fetch_add(&world_now_ms, 2000);
    world_until(w, &w->alarm_count, 1);
    w->alarms[0]->recipients[0].expire_ms = INT64_MAX;
    world_settle(w, w->alarms[0], OUTCOME_WARNED, world_clock() - 2000);
    world_until(w, &w->settles, 1);
    assert_true(queue_release(w->q, SPAN("away")));
    world_until(w, &w->slot_count, 1);
    queue_slot_connected(w->slots[0]);
    for (int n = 1; n <= count; n++) {
        struct queue_work *work;

        while (!(work = queue_slot_next(w->slots[0], 50)))
            (void)world_count(w, 0);
        (void)snprintf(text, sizeof(text), "%d", n);
        assert_true(span_is(work->content, span_of(text)));
        world_settle(w, work, OUTCOME_DELIVERED, 0);
    }
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(put_is_answered_and_then_handed_out),
        cmocka_unit_test(
            q1_q3_what_was_answered_is_there_after_a_crash_and_unclaimed),
        cmocka_unit_test(q1_a_killed_process_has_lost_nothing_it_answered),
        cmocka_unit_test(q2_a_failure_and_its_report_are_one),
        cmocka_unit_test(q4_a_delivery_is_committed_ahead_of_new_mail),
        cmocka_unit_test(a_deferred_recipient_comes_back_when_it_is_due),
        cmocka_unit_test(freed_work_is_first_in_line_again),
        cmocka_unit_test(recipients_of_one_message_share_a_work_by_destination),
        cmocka_unit_test(a_work_is_split_where_the_next_hop_takes_fewer),
        cmocka_unit_test(q1_large_content_is_a_file_until_it_is_delivered),
        cmocka_unit_test(q6_large_content_that_was_changed_is_not_delivered),
        cmocka_unit_test(q5_content_that_no_put_named_is_removed),
        cmocka_unit_test(q6_a_second_process_is_refused),
        cmocka_unit_test(q7_under_the_reserve_puts_are_refused_for_a_while),
        cmocka_unit_test(ids_are_new_and_sorted_across_a_restart),
        cmocka_unit_test(
            after_stop_claims_nothing_is_handed_out_but_settles_go_on),
        cmocka_unit_test(an_alarm_takes_the_message_even_while_its_lane_rests),
        cmocka_unit_test(a_notice_leaves_mail_in_its_order),
        cmocka_unit_test(a_port_that_closes_takes_no_late_callbacks),
        cmocka_unit_test(notes_are_read_back_after_a_restart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
