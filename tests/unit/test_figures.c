/*
 * test_figures - what the metrics tell of the queue.
 */
#include "tests/unit/queue_world.h"

/* One message to recipients at d0.test ... of which all are held: nothing is sent. */
static void put_held(struct world *w, const char *domain, size_t first,
                     size_t n, const char *content)
{
    struct queue_recipient *r = NEW_ARRAY(struct queue_recipient, n);
    char(*text)[32] = memory_zero(n, 32);
    struct queue_message m = { .id = queue_new_id(w->q) };

    for (size_t i = 0; i < n; i++) {
        (void)snprintf(text[i], sizeof text[i], "%s%zu.test", domain,
                       first + i);
        r[i] = (struct queue_recipient){ .number = (uint32_t)i,
                                         .address = span_of(text[i]),
                                         .lane = span_of(text[i]),
                                         .expire_ms = INT64_MAX,
                                         .warn_ms = INT64_MAX,
                                         .held = true };
    }
    m.envelope.sender = SPAN("a@from.test");
    m.envelope.received_ms = queue_now_ms(w->q);
    m.envelope.size_bytes = strlen(content);
    m.recipients = r;
    m.recipient_count = n;
    m.take_content = span_dup(span_of(content));
    queue_put(w->p, &m, world_on_put, 0);
    world_until(w, &w->puts, w->puts + 1);
    assert_int_equal(w->last_rc, 0);
    free(r);
    free(text);
}

struct found {
    size_t count;
    uint64_t most;
    char busiest[64];
};

static void note(void *user, const struct queue_destination_row *row)
{
    struct found *f = user;

    f->count++;
    if (row->waiting > f->most) {
        f->most = row->waiting;
        (void)snprintf(f->busiest, sizeof f->busiest, "%.*s",
                       SPAN_FMT(row->name));
    }
}

static struct found found(const struct queue_busy *b)
{
    struct found f = { 0 };

    queue_busy_each(b, note, &f);
    return f;
}

static void the_busiest_are_found_however_many_there_are(void **state)
{
    struct world *w = world_new(0, false);
    struct queue_busy *b = queue_busy_new(100);
    struct found f;

    (void)state;
    queue_busy_look(w->q, b);
    assert_int_equal(found(b).count, 0);
    put_held(w, "d", 0, 40, "x");
    queue_busy_look(w->q, b);
    assert_int_equal(found(b).count, 40);
    put_held(w, "d", 0, 300, "x");
    put_held(w, "d", 277, 1, "x");
    put_held(w, "d", 277, 1, "x");
    queue_busy_look(w->q, b);
    f = found(b);
    assert_int_equal(f.count, 100);
    assert_string_equal(f.busiest, "d277.test");
    assert_int_equal(f.most, 3);
    queue_busy_free(b);
    world_free(w);
}

static void a_round_takes_several_looks_and_is_told_when_it_is_whole(
    void **state)
{
    struct world *w = world_new(0, false);
    struct queue_busy *b = queue_busy_new(3);

    (void)state;
    queue_busy_look(w->q, b);
    put_held(w, "d", 0, 9000, "x");
    put_held(w, "d", 8999, 1, "x");
    queue_busy_look(w->q, b);
    assert_int_equal(found(b).count, 0);
    queue_busy_look(w->q, b);
    assert_int_equal(found(b).count, 3);
    assert_string_equal(found(b).busiest, "d8999.test");
    queue_busy_free(b);
    world_free(w);
}

static void wait_survey(struct world *w, uint64_t messages,
                        struct queue_figures *out)
{
    const struct timespec moment = { 0, 10 * 1000 * 1000 };

    for (int i = 0; i < WORLD_PATIENCE_S * 100; i++) {
        queue_figures(w->q, out);
        if (out->surveys[SURVEY_HELD].messages == messages)
            return;
        (void)nanosleep(&moment, NULL);
    }
    fail_msg("it was not counted");
}

static void what_waits_is_surveyed_with_its_age_and_size(void **state)
{
    struct world *w = world_new(0, false);
    struct queue_figures f;
    const struct queue_survey *held = &f.surveys[SURVEY_HELD];
    int64_t before = queue_now_ms(w->q);

    (void)state;
    put_held(w, "a", 0, 3, "four");
    put_held(w, "b", 0, 2, "four");
    wait_survey(w, 2, &f);
    assert_int_equal(held->recipients, 5);
    assert_int_equal(held->bytes, 8);
    assert_int_equal(held->sizes.counts[0], 2);
    assert_int_equal(held->sizes.sum, 8);
    assert_int_equal(histogram_count(&held->ages), 2);
    assert_true(held->oldest_ms >= before &&
                held->oldest_ms <= queue_now_ms(w->q));
    assert_int_equal(f.surveys[SURVEY_READY].messages, 0);
    assert_int_equal(f.surveys[SURVEY_READY].oldest_ms, 0);
    world_free(w);
}

static void commits_are_measured(void **state)
{
    struct world *w = world_new(0, false);
    struct queue_figures f;
    struct queue_stats stats;

    (void)state;
    put_held(w, "a", 0, 1, "x");
    put_held(w, "b", 0, 1, "x");
    queue_figures(w->q, &f);
    queue_stats(w->q, &stats);
    assert_true(histogram_count(&f.commit_us) >= 2);
    assert_true(f.commit_jobs.sum >= 2);
    assert_true(f.commit_us.sum > 0);
    assert_true(stats.commits >= 2);
    assert_int_equal(f.reserve_bytes, 1);
    assert_int_equal(f.destinations[DESTINATION_UP], 2);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_busiest_are_found_however_many_there_are),
        cmocka_unit_test(
            a_round_takes_several_looks_and_is_told_when_it_is_whole),
        cmocka_unit_test(what_waits_is_surveyed_with_its_age_and_size),
        cmocka_unit_test(commits_are_measured),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
