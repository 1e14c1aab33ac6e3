/*
 * Notes asked for one by one: what is not written yet, what is on disk, what expired.
 */
#include "queue_world.h"

struct answer {
    int rc;
    char text[64];
};

static struct answer answers[1000];
static size_t answered;

static void on_recall(void *user, uint64_t token, int rc, struct span value)
{
    struct answer *a = &answers[token];

    (void)user;
    assert_true(value.len < sizeof(a->text));
    a->rc = rc;
    (void)snprintf(a->text, sizeof(a->text), "%.*s", SPAN_FMT(value));
    answered++;
}

static void ask(struct world *w, const char *kind, const char *key,
                uint64_t token)
{
    (void)snprintf(answers[token].text, sizeof(answers[token].text), "unasked");
    queue_recall(w->p, span_of(kind), span_of(key), on_recall, token);
}

static const char *recall(struct world *w, const char *kind, const char *key)
{
    ask(w, kind, key, 0);
    assert_string_equal(answers[0].text, "unasked");
    world_until(w, &answered, answered + 1);
    assert_int_equal(answers[0].rc, 0);
    return answers[0].text;
}

static void put(struct world *w, const char *kind, const char *key,
                const char *value, int64_t expire_ms)
{
    queue_note_put(w->q, span_of(kind), span_of(key), span_of(value),
                   expire_ms);
}

/* Something that was put behind it is on disk, so it is too. */
static void until_written(struct world *w)
{
    world_put(w, "one.test", "example.org", "x");
    world_until(w, &w->puts, w->puts + 1);
    world_put(w, "one.test", "example.org", "x");
    world_until(w, &w->puts, w->puts + 1);
}

static void a_note_is_seen_before_and_after_it_is_written(void **state)
{
    struct world *w = world_new(0, true);

    (void)state;
    for (int i = 0; i < 200; i++) {
        char value[20];

        (void)snprintf(value, sizeof(value), "%d", i);
        put(w, "grey", "pair", value, INT64_MAX);
        assert_string_equal(recall(w, "grey", "pair"), value);
    }
    until_written(w);
    assert_string_equal(recall(w, "grey", "pair"), "199");
    world_reopen(w);
    assert_string_equal(recall(w, "grey", "pair"), "199");
    world_free(w);
}

static void kind_and_key_are_told_apart(void **state)
{
    struct world *w = world_new(0, true);

    (void)state;
    put(w, "ab", "c", "1", INT64_MAX);
    put(w, "a", "bc", "2", INT64_MAX);
    put(w, "", "abc", "3", INT64_MAX);
    put(w, "abc", "", "4", INT64_MAX);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(recall(w, "ab", "c"), "1");
        assert_string_equal(recall(w, "a", "bc"), "2");
        assert_string_equal(recall(w, "", "abc"), "3");
        assert_string_equal(recall(w, "abc", ""), "4");
        assert_string_equal(recall(w, "ab", "d"), "");
        assert_string_equal(recall(w, "a", "c"), "");
        until_written(w);
    }
    world_free(w);
}

static void a_note_that_expired_or_was_forgotten_is_none(void **state)
{
    struct world *w = world_new(0, true);

    (void)state;
    put(w, "k", "soon", "x", world_clock() + 1000);
    put(w, "k", "gone", "x", INT64_MAX);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(recall(w, "k", "soon"), "x");
        assert_string_equal(recall(w, "k", "gone"), "x");
        until_written(w);
    }
    put(w, "k", "gone", "", 0);
    assert_string_equal(recall(w, "k", "gone"), "");
    until_written(w);
    assert_string_equal(recall(w, "k", "gone"), "");
    atomic_fetch_add(&world_now_ms, 1000);
    assert_string_equal(recall(w, "k", "soon"), "");
    put(w, "k", "soon", "x", world_clock());
    assert_string_equal(recall(w, "k", "soon"), "");
    world_free(w);
}

static void many_questions_are_answered_in_few_turns(void **state)
{
    struct world *w = world_new(0, true);
    size_t before = answered;
    char key[20], value[20];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(key, sizeof(key), "key %d", i);
        (void)snprintf(value, sizeof(value), "%d", i * 7);
        put(w, "k", key, value, INT64_MAX);
    }
    world_reopen(w);
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(key, sizeof(key), "key %d", i);
        ask(w, "k", key, (uint64_t)i);
    }
    world_until(w, &answered, before + 1000);
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(value, sizeof(value), "%d", i * 7);
        assert_string_equal(answers[i].text, value);
    }
    world_free(w);
}

static void a_port_that_closes_takes_its_questions_along(void **state)
{
    struct world *w = world_new(0, true);
    size_t before = answered;

    (void)state;
    put(w, "k", "a", "x", INT64_MAX);
    for (uint64_t i = 0; i < 100; i++)
        ask(w, "k", i % 2 ? "a" : "b", i);
    world_close_queue(w);
    assert_int_equal(answered, before);
    world_free(w);
}

/* -------------------------------------------- several at the same time ---- */

enum { ASKERS = 4, ROUNDS = 500 };

struct asker {
    struct queue *q;
    struct queue_port *p;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool is_woken, is_answered;
    unsigned number;
    char expected[20];
};

static void asker_wake(void *user)
{
    struct asker *a = user;

    pthread_mutex_lock(&a->lock);
    a->is_woken = true;
    pthread_cond_signal(&a->cond);
    pthread_mutex_unlock(&a->lock);
}

static void asker_told(void *user, uint64_t token, int rc, struct span value)
{
    struct asker *a = user;

    (void)token;
    assert_int_equal(rc, 0);
    assert_true(span_is(value, span_of(a->expected)));
    a->is_answered = true;
}

/* Each has a key of its own, and all fight for another. */
static void *asker_main(void *user)
{
    static const struct queue_port_events events = { .wake = asker_wake };
    struct asker *a = user;
    char key[20];

    a->p = queue_port_open(a->q, &events, a);
    (void)snprintf(key, sizeof(key), "own %u", a->number);
    for (int i = 0; i < ROUNDS; i++) {
        (void)snprintf(a->expected, sizeof(a->expected), "%d", i);
        queue_note_put(a->q, SPAN("k"), span_of(key), span_of(a->expected),
                       INT64_MAX);
        queue_note_put(a->q, SPAN("k"), SPAN("shared"), span_of(key),
                       INT64_MAX);
        a->is_answered = false;
        queue_recall(a->p, SPAN("k"), span_of(key), asker_told, 0);
        while (!a->is_answered) {
            pthread_mutex_lock(&a->lock);
            while (!a->is_woken)
                pthread_cond_wait(&a->cond, &a->lock);
            a->is_woken = false;
            pthread_mutex_unlock(&a->lock);
            queue_port_drain(a->p);
        }
    }
    queue_port_close(a->p);
    return NULL;
}

static void each_port_sees_what_it_has_put(void **state)
{
    struct world *w = world_new(0, true);
    struct asker askers[ASKERS] = { { 0 } };
    const char *last;

    (void)state;
    for (unsigned i = 0; i < ASKERS; i++) {
        askers[i].q = w->q;
        askers[i].number = i;
        pthread_mutex_init(&askers[i].lock, NULL);
        pthread_cond_init(&askers[i].cond, NULL);
        assert_int_equal(
            pthread_create(&askers[i].thread, NULL, asker_main, &askers[i]), 0);
    }
    for (unsigned i = 0; i < ASKERS; i++)
        pthread_join(askers[i].thread, NULL);
    last = recall(w, "k", "shared");
    assert_int_equal(strncmp(last, "own ", 4), 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_note_is_seen_before_and_after_it_is_written),
        cmocka_unit_test(kind_and_key_are_told_apart),
        cmocka_unit_test(a_note_that_expired_or_was_forgotten_is_none),
        cmocka_unit_test(many_questions_are_answered_in_few_turns),
        cmocka_unit_test(a_port_that_closes_takes_its_questions_along),
        cmocka_unit_test(each_port_sees_what_it_has_put),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
