/*
 * test_sequel - what comes behind an event is read in order, all of it, and no more than that.
 */
#include "tests/unit/queue_world.h"

#include <sqlite3.h>

struct reading {
    size_t count, answers;
    int rc;
    uint64_t ids[2048], last, oldest, newest;
    char recipients[2048][24];
};

static void on_read(void *user, uint64_t token, int rc,
                    const struct queue_sequel *s)
{
    struct world *w = user;
    struct reading *r = w->user;

    assert_int_equal(token, 7);
    r->answers++;
    r->rc = rc;
    r->last = s->last;
    r->oldest = s->oldest;
    r->newest = s->newest;
    for (size_t i = 0; i < s->count; i++, r->count++) {
        r->ids[r->count] = (uint64_t)s->rows[i].place.id;
        (void)snprintf(r->recipients[r->count], 24, "%.*s",
                       SPAN_FMT(s->rows[i].recipient));
    }
}

static void read_on(struct world *w, struct reading *r, uint64_t after,
                    unsigned what, uint32_t limit)
{
    *r = (struct reading){ 0 };
    w->user = r;
    queue_sequel(w->p, after, what, limit, on_read, 7);
    world_until(w, &r->answers, 1);
    assert_int_equal(r->rc, 0);
}

/* Events first..last; the kind of each is its number, modulo 7, of enum event_kind. */
static void fill(struct world *w, int first, int last)
{
    struct buffer path = { 0 }, sql = { 0 };
    sqlite3 *db = NULL;

    buffer_printf(&path, "%s/history.db", w->folder);
    buffer_printf(&sql,
                  "WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i+1 FROM "
                  "n WHERE i<%d) INSERT INTO history(id,at_ms,kind,recipient,"
                  "sender) SELECT i,1000+i,i%%7+1,'r'||i,'s' FROM n",
                  first, last);
    assert_int_equal(sqlite3_open(buffer_string(&path), &db), SQLITE_OK);
    (void)sqlite3_busy_timeout(db, 5000);
    assert_int_equal(sqlite3_exec(db, buffer_string(&sql), NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    buffer_fini(&path);
    buffer_fini(&sql);
}

static const unsigned everything = WHAT_DELIVERED | WHAT_FAILED | WHAT_EXPIRED |
                                   WHAT_DISCARDED | WHAT_DELETED |
                                   WHAT_CHANGED | WHAT_RETURNED;

static void an_empty_history_has_no_bounds_and_no_rows(void **state)
{
    struct world *w = world_new(0, false);
    struct reading *r = NEW(struct reading);

    (void)state;
    read_on(w, r, 5, everything, 10);
    assert_int_equal(r->count, 0);
    assert_int_equal(r->last, 5);
    assert_int_equal(r->oldest, 0);
    assert_int_equal(r->newest, 0);
    free(r);
    world_free(w);
}

static void pages_hold_each_event_once_and_oldest_first(void **state)
{
    struct world *w = world_new(0, false);
    struct reading *r = NEW(struct reading);
    uint64_t after = 0, expected = 101;

    (void)state;
    fill(w, 101, 350);
    do {
        read_on(w, r, after, everything, 60);
        assert_int_equal(r->oldest, 101);
        assert_int_equal(r->newest, 350);
        for (size_t i = 0; i < r->count; i++, expected++) {
            char name[24];

            (void)snprintf(name, sizeof name, "r%d", (int)expected);
            assert_int_equal(r->ids[i], expected);
            assert_string_equal(r->recipients[i], name);
        }
        assert_true(r->count == 60 || expected == 351);
        after = r->last;
    } while (after < r->newest);
    assert_int_equal(expected, 351);
    fill(w, 351, 351);
    read_on(w, r, after, everything, 60);
    assert_int_equal(r->count, 1);
    assert_int_equal(r->ids[0], 351);
    read_on(w, r, INT64_MAX, everything, 60);
    assert_int_equal(r->count, 0);
    assert_int_equal(r->newest, 351);
    free(r);
    world_free(w);
}

static void what_is_not_wanted_is_passed_over_a_bounded_look_at_a_time(
    void **state)
{
    struct world *w = world_new(0, false);
    struct reading *r = NEW(struct reading);
    uint64_t after = 0;
    size_t found = 0, looks = 0;

    (void)state;
    fill(w, 1, 7000);
    do {
        read_on(w, r, after, WHAT_RETURNED, 1000);
        for (size_t i = 0; i < r->count; i++)
            assert_int_equal(r->ids[i] % 7, 6);
        assert_true(r->last - after <= 2000);
        after = r->last;
        found += r->count;
        looks++;
    } while (after < r->newest);
    assert_int_equal(found, 1000);
    assert_int_equal(looks, 4);
    read_on(w, r, 0, WHAT_REFUSED, 1000);
    assert_int_equal(r->count, 0);
    free(r);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_history_has_no_bounds_and_no_rows),
        cmocka_unit_test(pages_hold_each_event_once_and_oldest_first),
        cmocka_unit_test(
            what_is_not_wanted_is_passed_over_a_bounded_look_at_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
