/*
 * A backup is the queue of one moment, whatever happens meanwhile.
 */
#include "queue_world.h"

#include "policy/vocabulary/id.h"

#include <sched.h>
#include <sys/stat.h>

enum { LARGE = 3 * 1000 * 1000, MANY = 3000 };

struct taken {
    size_t parts, ends;
    int rc;
    struct buffer bytes;
    bool is_slow; /* the next part is not asked for */
};

/* The world is the port's user. */
static struct taken taken;

static void on_part(void *user, uint64_t token, int rc, struct span bytes,
                    bool is_end)
{
    struct world *w = user;

    (void)token;
    taken.parts++;
    taken.rc = rc;
    buffer_put(&taken.bytes, bytes);
    taken.ends += is_end;
    if (!is_end && !taken.is_slow)
        queue_backup_next(w->q);
}

static void forget(void)
{
    buffer_fini(&taken.bytes);
    taken = (struct taken){ 0 };
}

static bool has(const char *text)
{
    return memmem(taken.bytes.at, taken.bytes.len, text, strlen(text)) != NULL;
}

static void on_append(void *user, uint64_t token, int rc)
{
    (void)user;
    (void)token;
    (void)rc;
}

static uint64_t put_large(struct world *w)
{
    struct queue_recipient r = { .address = SPAN("r@example.org"),
                                 .lane = SPAN("example.org"),
                                 .expire_ms = INT64_MAX,
                                 .warn_ms = INT64_MAX };
    struct queue_message m = { .id = queue_new_id(w->q),
                               .envelope = { .size_bytes = LARGE },
                               .recipients = &r,
                               .recipient_count = 1 };
    char *bytes = memory_take(LARGE);

    memset(bytes, 'L', LARGE);
    m.take_body = queue_body_open(w->p, m.id);
    queue_body_append(m.take_body, bytes, LARGE, on_append, 0);
    queue_put(w->p, &m, world_on_put, 1);
    w->puts_asked++;
    world_until(w, &w->puts, w->puts_asked);
    assert_int_equal(w->last_rc, 0);
    return m.id;
}

static bool has_file(struct world *w, uint64_t id)
{
    char path[200];

    (void)snprintf(path, sizeof(path), "%s.content/%s", w->path,
                   id_print(id).at);
    return access(path, F_OK) == 0;
}

static void everything_is_in_it(void **state)
{
    struct world *w = world_new(0, false);
    uint64_t id;
    char line[100];

    (void)state;
    world_put(w, "s.test", "held.test", "small content");
    id = put_large(w);
    assert_true(queue_backup_begin(w->p, true, on_part, 1));
    assert_false(queue_backup_begin(w->p, true, on_part, 2));
    world_until(w, &taken.ends, 1);
    assert_int_equal(taken.rc, 0);
    assert_true(has("{\"file\":\"queue.db\",\"size\":"));
    assert_true(has("small content"));
    (void)snprintf(line, sizeof(line),
                   "{\"file\":\"queue.db.content/%s\",\"size\":%d}",
                   id_print(id).at, LARGE);
    assert_true(has(line));
    assert_true(has("{\"file\":\"history.db\""));
    assert_true(has("{\"end\":true,\"messages\":2,\"recipients\":2}\n"));
    forget();
    world_free(w);
}

/* The copy is slow, the queue is not; slices and batches take turns. */
static void what_changes_meanwhile_does_no_harm(void **state)
{
    struct world *w = world_new(0, false);
    char path[120];
    FILE *f;
    const char *at;
    unsigned long long size;
    sqlite3 *db;
    sqlite3_stmt *st;

    (void)state;
    for (int i = 0; i < MANY; i++)
        world_put(w, "s.test", "busy.test", "content of a message");
    world_until(w, &w->puts, w->puts_asked);
    taken.is_slow = true;
    assert_true(queue_backup_begin(w->p, false, on_part, 1));
    for (int i = 0; i < MANY; i++) {
        world_put(w, "s.test", "busy.test", "another");
        if (i % 100 == 0)
            queue_port_drain(w->p);
    }
    world_until(w, &w->puts, w->puts_asked);
    taken.is_slow = false;
    queue_backup_next(w->q);
    world_until(w, &taken.ends, 1);
    assert_int_equal(taken.rc, 0);
    /* Out of the stream: a line, and then pieces with a line each. */
    at = memmem(taken.bytes.at, taken.bytes.len, "{\"file\":\"queue.db\"", 18);
    assert_non_null(at);
    assert_int_equal(sscanf(at, "{\"file\":\"queue.db\",\"size\":%llu}", &size),
                     1);
    at = strchr(at, '\n') + 1;
    (void)snprintf(path, sizeof(path), "%s/copy.db", w->folder);
    f = fopen(path, "w");
    while (size > 0) {
        unsigned long long n;

        assert_int_equal(sscanf(at, "{\"bytes\":%llu}", &n), 1);
        at = strchr(at, '\n') + 1;
        assert_int_equal(fwrite(at, 1, n, f), n);
        at += n;
        size -= n;
    }
    (void)fclose(f);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &st, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(st, 0), "ok");
    (void)sqlite3_finalize(st);
    assert_int_equal(
        sqlite3_prepare_v2(db,
                           "SELECT count(*),sum(r.message IS NOT NULL),"
                           "sum(c.message IS NOT NULL) FROM message m"
                           " LEFT JOIN recipient r ON r.message=m.id"
                           " LEFT JOIN content c ON c.message=m.id",
                           -1, &st, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    assert_in_range(sqlite3_column_int(st, 0), MANY, 2 * MANY);
    assert_int_equal(sqlite3_column_int(st, 1), sqlite3_column_int(st, 0));
    assert_int_equal(sqlite3_column_int(st, 2), sqlite3_column_int(st, 0));
    (void)sqlite3_finalize(st);
    (void)sqlite3_close(db);
    forget();
    world_free(w);
}

/* Also a message that is delivered before its turn comes. */
static void a_file_stays_until_it_has_been_sent(void **state)
{
    struct world *w = world_new(0, false);
    uint64_t id = put_large(w);
    struct queue_work *work;

    (void)state;
    taken.is_slow = true;
    assert_true(queue_backup_begin(w->p, false, on_part, 1));
    world_until(w, &taken.parts,
                1); /* the snapshot has been taken, or is told of */
    while (w->slot_count == 0)
        world_moment(w);
    work = queue_slot_next(w->slots[0], 1);
    assert_non_null(work);
    world_settle(w, work, OUTCOME_DELIVERED, 0);
    world_until(w, &w->settles, w->settles_asked);
    world_settle_down(w);
    assert_true(has_file(w, id));
    taken.is_slow = false;
    queue_backup_next(w->q);
    world_until(w, &taken.ends, 1);
    assert_int_equal(taken.rc, 0);
    for (int i = 0; has_file(w, id); i++) {
        assert_true(i < 5000);
        world_moment(w);
    }
    forget();
    world_free(w);
}

static void who_goes_away_lets_the_next_one_in(void **state)
{
    struct world *w = world_new(0, false);

    (void)state;
    for (int i = 0; i < MANY; i++)
        world_put(w, "s.test", "busy.test", "content of a message");
    world_until(w, &w->puts, w->puts_asked);
    taken.is_slow = true;
    assert_true(queue_backup_begin(w->p, true, on_part, 1));
    world_until(w, &taken.parts, 1);
    queue_backup_cancel(w->q, 9); /* another's */
    assert_false(queue_backup_begin(w->p, true, on_part, 2));
    queue_backup_cancel(w->q, 1);
    world_until(w, &taken.ends, 1);
    assert_int_equal(taken.rc, ERROR_CLOSING);
    forget();
    assert_true(queue_backup_begin(w->p, true, on_part, 3));
    world_until(w, &taken.ends, 1);
    assert_int_equal(taken.rc, 0);
    forget();
    /* And a queue may be closed while one is made. */
    taken.is_slow = true;
    assert_true(queue_backup_begin(w->p, true, on_part, 4));
    world_free(w);
    forget();
}

/* Each begins where the one before it has hardly ended. */
static void one_after_the_other_is_made(void **state)
{
    struct world *w = world_new(0, false);

    (void)state;
    for (size_t i = 1; i <= 20; i++) {
        while (!queue_backup_begin(w->p, false, on_part, i))
            (void)sched_yield();
        world_until(w, &taken.ends, i);
        assert_int_equal(taken.rc, 0);
    }
    forget();
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_in_it),
        cmocka_unit_test(what_changes_meanwhile_does_no_harm),
        cmocka_unit_test(a_file_stays_until_it_has_been_sent),
        cmocka_unit_test(who_goes_away_lets_the_next_one_in),
        cmocka_unit_test(one_after_the_other_is_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
