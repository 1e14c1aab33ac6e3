/*
 * test_roll - the roll on a store, step by step: random changes while it is filled, asked,
 * given up and filled anew, each answer held against the walk on disk; and what it may cost.
 */
#include "queue/store_private.h"
#include "roll_oracle.h"

#include "queue/bundle.h"

#include <unistd.h>

enum {
    STEPS = 3000,
    IDS = 5000,
    FEW = 250,
    PEOPLE = 4,
    LANES = 5,
    NUMBERS = 6
};

#define T_FAR ((int64_t)1700000000000) /* weeks from what the ids say */

struct stage {
    struct queue *q;
    struct store *s;
    struct store_reader *r;
    struct oracle oracle;
    char folder[40], path[64];
    uint64_t seed, next_id;
    uint64_t ids[IDS]; /* of what was put, some of it gone */
    size_t id_count, most;
};

static const char *const lanes[LANES] = { "a.test", "b.test", "b.test\tother",
                                          "x.group", "y.group" };

static uint32_t any(struct stage *t, uint32_t below)
{
    t->seed = t->seed * 6364136223846793005U + 1442695040888963407U;
    return (uint32_t)(t->seed >> 33) % below;
}

static void route(void *user, struct span lane, struct queue_destination *out)
{
    (void)user;
    if (span_ends_nocase(lane, SPAN(".group")))
        buffer_put_string(&out->name, "group");
    else
        buffer_put(&out->name, lane);
}

static void sql(struct stage *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void sql(struct stage *t, const char *format, ...)
{
    char text[300];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    assert_int_equal(database_exec(&t->s->db, text), 0);
}

static int stage_new(void **state)
{
    struct stage *t = NEW(struct stage);
    struct buffer why = { 0 }, notices = { 0 };

    t->seed = 7;
    t->next_id = 1000;
    t->most = FEW;
    (void)snprintf(t->folder, sizeof t->folder, "/tmp/test-roll-XXXXXX");
    if (!mkdtemp(t->folder))
        return -1;
    (void)snprintf(t->path, sizeof t->path, "%s/queue.db", t->folder);
    assert_int_equal(store_open(&t->s, t->path, &why, &notices), 0);
    assert_int_equal(store_reader_open(&t->r, t->path), 0);
    buffer_fini(&why);
    buffer_fini(&notices);
    sql(t, "PRAGMA synchronous=OFF");
    t->q = NEW(struct queue);
    pthread_mutex_init(&t->q->lock, NULL);
    TAILQ_INIT(&t->q->all_destinations);
    t->q->route = route;
    t->q->writer.queue = t->q;
    t->q->writer.store = t->s;
    roll_init(&t->q->roll, true);
    t->q->roll.page = 3;
    t->oracle = (struct oracle){ .q = t->q, .db = t->r };
    *state = t;
    return 0;
}

static int stage_free(void **state)
{
    struct stage *t = *state;
    char command[80];

    roll_fini(&t->q->roll);
    pthread_mutex_destroy(&t->q->lock);
    free(t->q);
    store_reader_close(t->r);
    store_close(t->s);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", t->folder);
    free(t);
    return system(command);
}

static enum roll_state roll_state(const struct stage *t)
{
    return (enum roll_state)atomic_load(&t->q->roll.state);
}

/* ------------------------------------------------------ what happens ----- */

static void put(struct stage *t, uint64_t id, const char *sender, size_t n)
{
    struct queue_recipient r[NUMBERS] = { 0 };
    char address[NUMBERS][40], login[16], client[16], name[16];
    struct queue_message m = { .id = id,
                               .recipients = r,
                               .recipient_count = n };
    struct store_content c = { .has_file = true };
    struct bundle *b;

    (void)snprintf(login, sizeof login, any(t, 3) ? "Bob%u" : "",
                   any(t, PEOPLE));
    (void)snprintf(client, sizeof client, "192.0.2.%u", any(t, PEOPLE));
    (void)snprintf(name, sizeof name, any(t, 2) ? "host%u.test" : "",
                   any(t, PEOPLE));
    for (size_t i = 0; i < n; i++) {
        const char *lane = lanes[any(t, LANES)];
        bool is_odd = any(t, 300) == 0;

        (void)snprintf(address[i], sizeof address[i],
                       is_odd ? "\"x@a\"@%.*s" : "r@%.*s",
                       (int)strcspn(lane, "\t"), lane);
        r[i] = (struct queue_recipient){ .number = (uint32_t)i,
                                         .address = span_of(address[i]),
                                         .lane = span_of(lane),
                                         .expire_ms = INT64_MAX,
                                         .warn_ms = INT64_MAX,
                                         .held = any(t, 4) == 0 };
    }
    m.envelope =
        (struct envelope){ .sender = span_of(sender),
                           .login = span_of(login),
                           .client = span_of(client),
                           .client_name = span_of(name),
                           .received_ms = any(t, 400) ? any(t, 6) : T_FAR,
                           .size_bytes = 1 + any(t, 9) };
    assert_int_equal(store_put(t->s, &m, &c), 0);
    b = bundle_of_message(&m);
    roll_put(&t->q->roll, b);
    bundle_free(b);
}

static void put_any(struct stage *t)
{
    char sender[20];

    if (t->id_count == t->most) /* one that is mostly gone is forgotten */
        t->ids[any(t, FEW)] = t->ids[--t->id_count];
    (void)snprintf(sender, sizeof sender, any(t, 5) ? "s%u@x.test" : "",
                   any(t, PEOPLE));
    t->next_id += 1 + any(t, 3);
    t->ids[t->id_count++] = t->next_id;
    put(t, t->next_id, sender, 1 + (any(t, 2) ? 0 : any(t, NUMBERS)));
}

/* -1: there is none. */
static int64_t number_of(struct stage *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int64_t number_of(struct stage *t, const char *format, ...)
{
    char text[300];
    int64_t n = -1;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (database_number(&t->s->db, text, &n) < 0)
        return -1;
    return n;
}

static void settle(struct stage *t, uint64_t id, uint32_t number)
{
    sql(t, "DELETE FROM recipient WHERE message=%llu AND number=%u",
        (unsigned long long)id, number);
    sql(t,
        "DELETE FROM message WHERE id=%llu AND NOT EXISTS"
        "(SELECT 1 FROM recipient WHERE message=%llu)",
        (unsigned long long)id, (unsigned long long)id);
    roll_gone(&t->q->roll, id, number);
}

static void move(struct stage *t, uint64_t id, uint32_t number)
{
    int64_t lane = 0;
    char was[80] = "";
    char key[100];
    struct buffer text = { 0 };

    lane = number_of(t,
                     "SELECT lane FROM recipient WHERE message=%llu AND "
                     "number=%u",
                     (unsigned long long)id, number);
    assert_int_equal(store_read_lane_key(t->r, lane, &text), 0);
    (void)snprintf(was, sizeof was, "%.*s",
                   SPAN_FMT(span_first(buffer_span(&text),
                                       span_find(buffer_span(&text), '\t'))));
    buffer_fini(&text);
    (void)snprintf(key, sizeof key, "%s\troute%u", was, any(t, 2));
    assert_int_equal(store_lane(t->s, span_of(key), &lane), 0);
    sql(t, "UPDATE recipient SET lane=%lld WHERE message=%llu AND number=%u",
        (long long)lane, (unsigned long long)id, number);
    roll_moved(&t->q->roll, id, number, span_of(key));
}

static void come_back(struct stage *t, uint64_t id)
{
    struct buffer notes = { 0 };

    sql(t, "UPDATE recipient SET state=state&~2 WHERE message=%llu",
        (unsigned long long)id);
    assert_int_equal(roll_read_again(t->s, id, &notes), 0);
    roll_again(&t->q->roll, &notes);
    buffer_fini(&notes);
}

static void change_any(struct stage *t)
{
    uint64_t id = t->id_count ? t->ids[any(t, (uint32_t)t->id_count)] : 0;
    uint32_t number = any(t, NUMBERS), what = any(t, 9);
    int64_t stored = number_of(t,
                               "SELECT state FROM recipient WHERE "
                               "message=%llu AND number=%u",
                               (unsigned long long)id, number);

    if (what == 0) {
        come_back(t, id);
    } else if (stored < 0 || (stored & STORED_DELETED)) {
        return;
    } else if (what < 4) {
        settle(t, id, number);
    } else if (what == 4) {
        sql(t,
            "UPDATE recipient SET state=state|2 WHERE message=%llu AND "
            "number=%u",
            (unsigned long long)id, number);
        roll_gone(&t->q->roll, id, number);
    } else if (what == 5) {
        move(t, id, number);
    } else {
        sql(t, "UPDATE recipient SET state=%u WHERE message=%llu AND number=%u",
            what % 2, (unsigned long long)id, number);
        roll_held(&t->q->roll, id, number, what % 2);
    }
}

/* A day later what was deleted goes, of which the roll hears nothing. */
static void purge(struct stage *t)
{
    sql(t, "DELETE FROM recipient WHERE state&2");
    sql(t, "DELETE FROM message WHERE NOT EXISTS"
           "(SELECT 1 FROM recipient WHERE message=message.id)");
}

static void batch(struct stage *t)
{
    assert_int_equal(store_begin(t->s), 0);
    for (uint32_t i = any(t, 6); i; i--) {
        if (any(t, 3) == 0)
            put_any(t);
        else
            change_any(t);
    }
    assert_int_equal(store_commit(t->s), 0);
    roll_publish(&t->q->roll);
}

/* --------------------------------------------------------------- tests --- */

static void fill(struct stage *t)
{
    for (int i = 0; roll_state(t) != ROLL_COMPLETE; i++) {
        assert_true(i < 100000);
        roll_step(&t->q->writer, false);
    }
}

/* Gone without a word: it begins anew. */
static void empty_all(struct stage *t)
{
    sql(t, "DELETE FROM recipient");
    sql(t, "DELETE FROM message");
    roll_stop(&t->q->roll);
    t->id_count = 0;
}

/* The sums of all, also within the writer's transaction. */
static void compare_all(struct stage *t)
{
    static const struct queue_filter all = { 0 };
    struct queue_count count;

    if (!roll_count(t->q, &all, &count))
        return;
    assert_int_equal(count.recipients,
                     number_of(t, "SELECT count(*) FROM recipient WHERE "
                                  "state&2=0"));
    assert_int_equal(count.messages,
                     number_of(t, "SELECT count(DISTINCT message) FROM "
                                  "recipient WHERE state&2=0"));
}

static void it_says_what_the_walk_says_however_it_came_to_it(void **state)
{
    struct stage *t = *state;
    struct roll *r = &t->q->roll;

    for (int i = 0; i < STEPS; i++) {
        bool is_asked = any(t, 6) == 0; /* somebody has the rows meanwhile */

        if (is_asked)
            pthread_mutex_lock(&r->lock);
        batch(t);
        for (uint32_t k = any(t, 8); roll_state(t) != ROLL_COMPLETE && k; k--)
            roll_step(&t->q->writer, any(t, 2));
        if (is_asked)
            pthread_mutex_unlock(&r->lock);
        if (any(t, 100) == 0)
            purge(t);
        if (any(t, 600) == 0)
            roll_stop(r);
        compare_all(t);
        if (any(t, 60) == 0)
            oracle_compare(&t->oracle);
        if (any(t, 500) == 0)
            empty_all(t);
    }
    fill(t);
    oracle_compare(&t->oracle);
    assert_true(t->oracle.answered * 3 > t->oracle.asked);
}

/* Rows come back in the middle of full chunks, and mostly empty ones are joined. */
static void rows_go_and_come_back_in_any_order(void **state)
{
    struct stage *t = *state;
    struct roll *r = &t->q->roll;

    t->most = IDS;
    r->page = 500;
    fill(t);
    assert_int_equal(store_begin(t->s), 0);
    while (t->id_count < IDS)
        put_any(t);
    roll_publish(r);
    for (int i = 0; i < 4; i++) {
        sql(t, "UPDATE recipient SET state=state|2 WHERE message%%10<%d",
            i % 2 ? 5 : 9);
        for (size_t k = 0; k < IDS; k++)
            for (uint32_t n = 0; n < NUMBERS; n++)
                if (t->ids[k] % 10 < (i % 2 ? 5 : 9))
                    roll_gone(r, t->ids[k], n);
        roll_publish(r);
        compare_all(t);
        for (size_t k = any(t, 3); k < IDS; k += 1 + any(t, 3))
            come_back(t, t->ids[IDS - 1 - k]);
        roll_publish(r);
        compare_all(t);
    }
    assert_int_equal(store_commit(t->s), 0);
    oracle_compare(&t->oracle);
    for (size_t k = 1; k < r->chunk_count; k++)
        assert_true(r->chunks[k]->rows[0].id >
                    r->chunks[k - 1]->rows[r->chunks[k - 1]->used - 1].id);
}

static void what_is_over_its_cap_is_given_up_until_far_less_waits(void **state)
{
    static const struct queue_filter all = { 0 };
    struct stage *t = *state;
    struct roll *r = &t->q->roll;
    struct queue_count count = { 0 };
    char sender[40];

    fill(t);
    r->most_bytes = 300 * 1024;
    assert_int_equal(store_begin(t->s), 0);
    for (uint64_t i = 0; i < 3000; i++) {
        (void)snprintf(sender, sizeof sender, "sender-%llu@x.test",
                       (unsigned long long)i);
        put(t, 5000 + i, sender, 1);
        roll_publish(r);
    }
    assert_int_equal(store_commit(t->s), 0);
    assert_int_equal(roll_state(t), ROLL_OFF);
    assert_int_equal(r->bytes, 0);
    assert_false(roll_count(t->q, &all, &count));
    atomic_store(&t->q->deferred, 3000);
    for (int i = 0; i < 10; i++)
        roll_step(&t->q->writer, false);
    assert_int_equal(roll_state(t), ROLL_OFF);
    assert_true(roll_wait_ms(&t->q->writer) > 0);
    empty_all(t);
    atomic_store(&t->q->deferred, 0);
    put_any(t);
    roll_publish(r);
    fill(t);
    assert_true(roll_count(t->q, &all, &count));
    assert_int_equal(count.messages, 1);
    oracle_compare(&t->oracle);
}

/* Who asks has the rows for long, and the writer does not wait. */
static void too_many_notes_are_the_end_of_it_and_it_begins_anew(void **state)
{
    struct stage *t = *state;
    struct roll *r = &t->q->roll;

    fill(t);
    pthread_mutex_lock(&r->lock);
    for (uint64_t i = 0; i < 400 * 1000; i++) {
        roll_gone(r, i, 0);
        if (i % 1000 == 0)
            roll_publish(r);
    }
    roll_publish(r);
    assert_true(r->inbox.size <= 32 * 1024 * 1024);
    pthread_mutex_unlock(&r->lock);
    batch(t);
    roll_gone(r, 1, 0);
    roll_publish(r);
    assert_int_equal(roll_state(t), ROLL_OFF);
    fill(t);
    oracle_compare(&t->oracle);
}

static void note_many(struct roll *r, uint64_t first, uint64_t count)
{
    char sender[60], lane[40], client[20], login[20], address[60];

    for (uint64_t i = first; i < first + count; i++) {
        struct queue_recipient one = { .address = span_of(address) };
        struct queue_message m = { .id = i,
                                   .recipients = &one,
                                   .recipient_count = 1 };
        struct bundle *b;

        (void)snprintf(sender, sizeof sender, "user%u@company%u.example",
                       (unsigned)(i * 7919 % 8000), (unsigned)(i * 31 % 1500));
        (void)snprintf(client, sizeof client, "10.0.%u.%u", (unsigned)(i % 8),
                       (unsigned)(i % 250));
        (void)snprintf(login, sizeof login, "login%u", (unsigned)(i % 3000));
        (void)snprintf(lane, sizeof lane, "customer%u.example",
                       (unsigned)(i % 1500));
        (void)snprintf(address, sizeof address, "r@%s", lane);
        one.address = span_of(address);
        one.lane = span_of(lane);
        m.envelope.sender = span_of(sender);
        m.envelope.client = span_of(client);
        m.envelope.login = span_of(login);
        b = bundle_of_message(&m);
        roll_put(r, b);
        bundle_free(b);
        if (i % 500 == 0)
            roll_publish(r);
    }
    roll_publish(r);
}

/* A fifth of a million messages of 24,000 senders to 1,500 domains. */
static void a_million_messages_fit_and_what_is_gone_costs_nothing(void **state)
{
    enum { MANY = 200 * 1000 };
    struct stage *t = *state;
    struct roll *r = &t->q->roll;

    fill(t);
    note_many(r, 1, MANY);
    assert_int_equal(r->live, MANY);
    assert_true(r->bytes * 5 < ROLL_BYTES);
    for (uint64_t i = 1; i <= MANY; i++)
        if (i % 50)
            roll_gone(r, i, 0);
    roll_publish(r);
    assert_int_equal(r->live, MANY / 50);
    assert_true(r->bytes < 2 * 1024 * 1024);
    for (uint64_t i = 50; i <= MANY; i += 50)
        roll_gone(r, i, 0);
    roll_publish(r);
    assert_int_equal(r->live, 0);
    assert_true(r->bytes < 64 * 1024);
    assert_int_equal(roll_state(t), ROLL_COMPLETE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            it_says_what_the_walk_says_however_it_came_to_it, stage_new,
            stage_free),
        cmocka_unit_test_setup_teardown(rows_go_and_come_back_in_any_order,
                                        stage_new, stage_free),
        cmocka_unit_test_setup_teardown(
            what_is_over_its_cap_is_given_up_until_far_less_waits, stage_new,
            stage_free),
        cmocka_unit_test_setup_teardown(
            too_many_notes_are_the_end_of_it_and_it_begins_anew, stage_new,
            stage_free),
        cmocka_unit_test_setup_teardown(
            a_million_messages_fit_and_what_is_gone_costs_nothing, stage_new,
            stage_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
