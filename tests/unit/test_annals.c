/*
 * The history read back: every filter by every way, pages that stay what they are while rows
 * arrive, and the outbox where no relay runs. Each question is asked without indexes too.
 */
#include "queue/annals_private.h"
#include "queue/history_index.h"
#include "tests/unit/store_bench.h"

struct told {
    char text[2000];
    uint32_t count, most; /* most 0: all */
};

static bool each(void *user, const struct queue_told *row)
{
    struct told *t = user;
    size_t used = strlen(t->text);

    if (t->most && t->count == t->most)
        return false;
    (void)snprintf(t->text + used, sizeof t->text - used, "%s%lld%.*s",
                   used ? " " : "", (long long)row->place.at_ms,
                   (int)(row->what == WHAT_REFUSED ||
                         (row->what == WHAT_DISCARDED && !row->message)),
                   "r");
    t->count++;
    return true;
}

static const char *history_of(struct bench *b)
{
    static char path[80];

    (void)snprintf(path, sizeof path, "%s/history.db", b->folder);
    return path;
}

static void run_sql(const char *path, const char *sql)
{
    char *why = NULL;
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", sql, why);
    (void)sqlite3_close(db);
}

static void put_row(struct bench *b, int at, const char *values)
{
    char sql[600];

    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO history(id,at_ms,kind,message,number,"
                   "received_ms,size,attempts,in_doubt,sender,recipient,client,"
                   "client_name,login,status,reply) VALUES(%d,%d,%s)",
                   at * 10, at, values);
    run_sql(history_of(b), sql);
}

static void put_refusal(struct bench *b, int at, const char *values)
{
    char sql[600];

    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO refusal(at_ms,sender,recipient,client,"
                   "client_name,login,stage,reply,is_verdict) VALUES(%d,%s,1)",
                   at, values);
    run_sql(history_of(b), sql);
}

static void build_indexes(struct bench *b)
{
    struct history *h;
    const char *name;

    assert_int_equal(history_open(&h, b->path), 0);
    do {
        assert_int_equal(history_index_step(h, NULL, NULL, NULL, &name), 0);
    } while (name);
    history_close(h);
}

/* clang-format off */
static void fill(struct bench *b)
{
    struct history *h;

    assert_int_equal(history_open(&h, b->path), 0);
    history_close(h);
    put_row(b, 1, "1,7,0,0,100,1,0,'Joe@Example.org','ann@example.net','192.0.2.7',"
                  "'a.example','joe',2000000,'250 ok'");
    put_row(b, 2, "2,7,1,0,100,3,0,'joe@example.org','Bob@Example.NET','192.0.2.7',"
                  "'a.example','joe',5001001,'550 no such user'");
    put_row(b, 3, "3,8,0,0,100,9,0,'','joe@example.org','192.0.2.8','b.example','',"
                  "4004001,'no answer'");
    put_row(b, 4, "6,8,0,0,0,0,0,'','','','','uid=0',0,'hold'");
    put_row(b, 5, "7,9,0,0,0,0,0,'\"a@b\"@x.test','\"c@d\"@y.test','2001:db8::1','','',0,''");
    put_row(b, 8, "1,10,0,0,100,1,0,'srs=a@us.test','inner@b.test','','','',0,''");
    run_sql(history_of(b), "UPDATE history SET asked_to='Outer@old.test',"
                           "asked_from='<>',orig_to='first@older.test' WHERE at_ms=8");
    put_row(b, 9, "1,11,0,0,100,1,0,'b@us.test','inner@b.test','','','',0,''");
    run_sql(history_of(b), "UPDATE history SET asked_to='inner@old.test',"
                           "asked_from='Old@us.test',orig_to='outer@OLD.test' WHERE at_ms=9");
    put_refusal(b, 2, "'spam@evil.test','ann@example.net','203.0.113.5','unknown','','RCPT',"
                      "'554 5.7.1 listed'");
    put_refusal(b, 6, "'','','203.0.113.5','unknown','','CONNECT','554 5.7.1 no'");
    put_refusal(b, 7, "'','bin@example.net','203.0.113.6','unknown','','RCPT','250 2.0.0 ok'");
}

static const struct { const char *what; struct queue_filter filter; const char *told; } rows[] = {
    { "all", { .id = 0 }, "9 8 7r 6r 5 4 3 2r 2 1" },
    { "what the client said", { .to = SPAN_INIT("outer@OLD.test") }, "9 8" },
    { "as it was first sent", { .to = SPAN_INIT("first@older.test") }, "8" },
    { "its domain", { .domain = SPAN_INIT("Old.test") }, "9 8" },
    { "its first domain", { .domain = SPAN_INIT("older.test") }, "8" },
    { "now and before", { .to = SPAN_INIT("inner@b.test"), .domain = SPAN_INIT("old.test") },
      "9 8" },
    { "former addresses", { .to = SPAN_INIT("*@old*.test") }, "9 8" },
    { "all of one domain", { .to = SPAN_INIT("*@Example.net") }, "7r 2r 2 1" },
    { "and it was there before", { .to = SPAN_INIT("*@old.test") }, "9 8" },
    { "a former sender", { .from = SPAN_INIT("old@us.test") }, "9" },
    { "both before", { .from = SPAN_INIT("OLD@us.test"), .to = SPAN_INIT("Inner@old.test") },
      "9" },
    { "a sender, whatever its capitals", { .from = SPAN_INIT("JOE@example.ORG") }, "2 1" },
    { "a recipient", { .to = SPAN_INIT("bob@example.net") }, "2" },
    { "both", { .from = SPAN_INIT("joe@example.org"), .to = SPAN_INIT("ann@example.net") }, "1" },
    { "in a time", { .older_ms = 5, .newer_ms = 2 }, "4 3" },
    { "both in a time", { .from = SPAN_INIT("joe@example.org"), .older_ms = 2 }, "1" },
    { "a domain", { .domain = SPAN_INIT("EXAMPLE.net") }, "7r 2r 2 1" },
    { "what is behind the last at sign", { .domain = SPAN_INIT("y.test") }, "5" },
    { "not what is between two", { .domain = SPAN_INIT("d\"@y.test") }, "" },
    { "domains", { .domain = SPAN_INIT("*.net") }, "7r 2r 2 1" },
    { "a client", { .client = SPAN_INIT("192.0.2.7") }, "2 1" },
    { "a client of the other family", { .client = SPAN_INIT("2001:DB8::1") }, "5" },
    { "a client by its name", { .client = SPAN_INIT("b.example") }, "3" },
    { "clients", { .client = SPAN_INIT("203.*") }, "7r 6r 2r" },
    { "a login", { .login = SPAN_INIT("Joe") }, "2 1" },
    { "an operator", { .login = SPAN_INIT("uid=0") }, "4" },
    { "the null sender", { .from = SPAN_INIT("<>") }, "8 7r 3" },
    { "senders", { .from = SPAN_INIT("*@evil.*") }, "2r" },
    { "any sender", { .from = SPAN_INIT("*@*") }, "9 8 5 2r 2 1" },
    { "a message", { .id = 7 }, "2 1" },
    { "a reply", { .reason = SPAN_INIT("*NO such*") }, "2" },
    { "an enhanced status code", { .reason = SPAN_INIT("*5.7.1*") }, "6r 2r" },
    { "one that stands apart", { .reason = SPAN_INIT("5.1.1 *") }, "2" },
    { "how often", { .attempts = 3 }, "3 2" },
    { "what became of it", { .states = WHAT_DELIVERED | WHAT_FAILED }, "9 8 2 1" },
    { "refused", { .states = WHAT_REFUSED }, "6r 2r" },
    { "discarded", { .states = WHAT_DISCARDED }, "7r" },
    { "returned", { .states = WHAT_RETURNED }, "5" },
    { "orders", { .states = WHAT_CHANGED }, "4" },
    { "what came to a bad end", { .states = WHAT_FAILED | WHAT_EXPIRED | WHAT_RETURNED },
      "5 3 2" },
    { "orders and refusals", { .states = WHAT_CHANGED | WHAT_REFUSED }, "6r 4 2r" },
    { "and delivered", { .attempts = 2, .states = WHAT_DELIVERED }, "" },
    { "one that has none", { .client = SPAN_INIT("unknown") }, "7r 6r 2r" },
    { "nobody's client", { .client = SPAN_INIT("c.example") }, "" },
    { "nothing", { .from = SPAN_INIT("nobody@example.org") }, "" },
};
/* clang-format on */

static void ask(struct bench *b, const struct queue_filter *f, struct told *t)
{
    struct annals_walk w;
    struct annals *a;
    bool more = true;

    t->text[0] = '\0';
    t->count = 0;
    assert_int_equal(annals_open(&a, b->path, false), 0);
    assert_int_equal(annals_walk_init(&w, f, NULL), 0);
    while (more)
        assert_int_equal(annals_slice(a, &w, 2, 1000, each, t, &more), 0);
    annals_walk_fini(&w);
    annals_close(a);
}

static void every_filter_means_the_same_with_and_without_indexes(void **state)
{
    struct bench *b = *state;
    struct told t = { .most = 0 };

    fill(b);
    for (int i = 0; i < 2; i++) {
        for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
            ask(b, &rows[r].filter, &t);
            if (strcmp(t.text, rows[r].told) != 0)
                fail_msg("%s%s: \"%s\", not \"%s\"", rows[r].what,
                         i ? ", with indexes" : "", t.text, rows[r].told);
        }
        build_indexes(b);
    }
    assert_query(history_of(b),
                 "SELECT count(*) FROM sqlite_schema WHERE name IN "
                 "('history_sender','refusal_recipient')",
                 "0");
}

/* clang-format off */
static const struct { struct queue_filter filter; enum annals_source source; const char *index; }
led[] = {
    { { .to = SPAN_INIT("inner@b.test") }, SOURCE_HISTORY, "history_to" },
    { { .domain = SPAN_INIT("b.test") }, SOURCE_HISTORY, "history_domain" },
    { { .to = SPAN_INIT("*@b.test") }, SOURCE_HISTORY, "history_domain" },
    { { .to = SPAN_INIT("*@*.test") }, SOURCE_HISTORY, "history_at" },
    { { .from = SPAN_INIT("old@us.test") }, SOURCE_HISTORY, "history_from" },
    { { .client = SPAN_INIT("192.0.2.7") }, SOURCE_HISTORY, "history_client" },
    { { .client = SPAN_INIT("b.EXAMPLE") }, SOURCE_HISTORY, "history_name" },
    { { .client = SPAN_INIT("nobody.example") }, SOURCE_REFUSAL, "refusal_name" },
    { { .states = WHAT_FAILED }, SOURCE_HISTORY, "history_kind" },
    { { .states = WHAT_EXPIRED | WHAT_CHANGED | WHAT_DISCARDED | WHAT_REFUSED }, SOURCE_HISTORY,
      "history_kind" },
    { { .states = WHAT_DISCARDED }, SOURCE_REFUSAL, "refusal_taken" },
    { { .attempts = 2 }, SOURCE_HISTORY, "history_tries" },
    { { .states = WHAT_FAILED, .from = SPAN_INIT("no@body.test") }, SOURCE_HISTORY,
      "history_from" },
    { { .states = WHAT_RETURNED, .from = SPAN_INIT("Joe@Example.org") }, SOURCE_HISTORY,
      "history_kind" },
    { { .states = WHAT_DELIVERED | WHAT_FAILED }, SOURCE_HISTORY, "history_at" },
    { { .states = WHAT_REFUSED }, SOURCE_REFUSAL, "refusal_at" },
};
/* clang-format on */

static void check_plan(struct annals *a, const char *sql, const char *index)
{
    char *text = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sql);
    bool is_led = false;
    sqlite3_stmt *st;

    assert_int_equal(sqlite3_prepare_v2(a->history.db, text, -1, &st, NULL),
                     SQLITE_OK);
    while (sqlite3_step(st) == SQLITE_ROW) {
        const char *detail = (const char *)sqlite3_column_text(st, 3);

        is_led = is_led || strstr(detail, index);
        if (strstr(detail, "TEMP B-TREE") ||
            (strstr(detail, "_at") && !strstr(index, "_at")))
            fail_msg("%s: %s", sql, detail);
    }
    if (!is_led)
        fail_msg("not by %s: %s", index, sql);
    (void)sqlite3_finalize(st);
    sqlite3_free(text);
}

/* Merged as they are read: nothing is sorted, however many there are. */
static void what_is_rare_is_found_by_an_index_without_a_sort(void **state)
{
    struct bench *b = *state;

    fill(b);
    build_indexes(b);
    for (size_t i = 0; i < sizeof led / sizeof led[0]; i++) {
        struct annals_walk w;
        struct annals *a;
        sqlite3_stmt *st;

        assert_int_equal(annals_open(&a, b->path, false), 0);
        assert_int_equal(annals_walk_init(&w, &led[i].filter, NULL), 0);
        assert_int_equal(annals_plan(a, &w), 0);
        assert_int_equal(annals_prepare(a, &w, led[i].source, &st), 0);
        assert_non_null(st);
        check_plan(a, sqlite3_sql(st), led[i].index);
        (void)sqlite3_finalize(st);
        annals_walk_fini(&w);
        annals_close(a);
    }
}

/* Who asks for refusals alone does not wait for all that was delivered to be passed over. */
static void refusals_alone_are_not_looked_for_among_what_left(void **state)
{
    const struct queue_filter f = { .states = WHAT_REFUSED };
    struct bench *b = *state;
    struct annals_walk w;
    struct annals *a;
    sqlite3_stmt *st;

    fill(b);
    assert_int_equal(annals_open(&a, b->path, false), 0);
    assert_int_equal(annals_walk_init(&w, &f, NULL), 0);
    assert_int_equal(annals_plan(a, &w), 0);
    assert_int_equal(annals_prepare(a, &w, SOURCE_HISTORY, &st), 0);
    assert_null(st);
    annals_walk_fini(&w);
    annals_close(a);
}

/* Reads pages of one row, and after each of them something arrives in front. */
static void pages_stay_what_they_are_while_rows_arrive(void **state)
{
    struct queue_place place = { 0 };
    struct told t = { .most = 0 };
    struct bench *b = *state;
    struct annals *a;
    bool more = true;
    int at = 100;

    fill(b);
    /* a second of each kind at the same moment */
    put_refusal(b, 2, "'x','y','z','','','RCPT','554 no'");
    run_sql(history_of(b), "INSERT INTO history(id,at_ms,kind,message) "
                           "VALUES(21,2,1,99)");
    assert_int_equal(annals_open(&a, b->path, false), 0);
    while (more) {
        struct annals_walk w;

        assert_int_equal(annals_walk_init(&w, &rows[0].filter, &place), 0);
        assert_int_equal(annals_slice(a, &w, 1, 1000, each, &t, &more), 0);
        place = w.place;
        annals_walk_fini(&w);
        put_row(b, at++, "1,7,0,0,1,1,0,'','','','','',0,''");
        put_refusal(b, at++, "'','','','','','','554 no'");
    }
    assert_string_equal(t.text, "9 8 7r 6r 5 4 3 2r 2r 2 2 1");
    annals_close(a);
}

static void what_is_not_taken_is_told_by_the_next_slice(void **state)
{
    struct bench *b = *state;
    struct told t = { .most = 3 };
    struct annals_walk w;
    struct annals *a;
    bool more = false;

    fill(b);
    assert_int_equal(annals_open(&a, b->path, false), 0);
    assert_int_equal(annals_walk_init(&w, &rows[0].filter, NULL), 0);
    assert_int_equal(annals_slice(a, &w, 100, 1000, each, &t, &more), 0);
    assert_true(more);
    t.most = 0;
    assert_int_equal(annals_slice(a, &w, 100, 1000, each, &t, &more), 0);
    assert_false(more);
    assert_string_equal(t.text, rows[0].told);
    annals_walk_fini(&w);
    annals_close(a);
}

static void a_row_is_told_with_all_its_facts(void **state)
{
    struct queue_filter f = { .id = 7 };
    struct bench *b = *state;
    struct annals_walk w;
    struct annals *a;
    struct told t = { .most = 0 };
    bool more;

    fill(b);
    run_sql(history_of(b),
            "UPDATE history SET trail='1000|mx|4.2.0|450 later\n',rule='r',"
            "dialogue='> QUIT',who='uid=0' WHERE id=20");
    assert_int_equal(annals_open(&a, b->path, false), 0);
    assert_int_equal(annals_walk_init(&w, &f, NULL), 0);
    assert_int_equal(annals_slice(a, &w, 1, 1000, each, &t, &more), 0);
    assert_string_equal(t.text, "2");
    annals_walk_fini(&w);
    annals_close(a);
}

static bool each_of_files(void *user, const struct queue_told *row,
                          const struct queue_place *at)
{
    assert_true(at->at_ms > 0);
    return !row || each(user, row);
}

/* Two outcomes are in the outbox; one of them was copied already. */
static void where_no_relay_runs_the_outbox_is_read_too(void **state)
{
    struct queue_filter f = { .to = SPAN("u0@example.org") };
    struct bench *b = *state;
    struct told t = { .most = 0 };
    struct buffer why = { 0 };
    struct works w = { 0 };
    struct history *h;
    struct sample p;
    int64_t last;

    put(b, sample_of(&p, 1, 1));
    put(b, sample_of(&p, 2, 1));
    read_due(b, "example.org", T0, &w);
    settle(b, w.at[0], 0, OUTCOME_DELIVERED, T0);
    settle(b, w.at[1], 0, OUTCOME_FAILED, T0 + 1);
    assert_true(queue_history_files(b->path, &f, each_of_files, &t, &why) < 0);
    assert_non_null(strstr(buffer_string(&why), "there is no such file"));
    assert_int_equal(history_open(&h, b->path), 0);
    assert_int_equal(history_drain(h, b->r, 1, &last), 0);
    assert_int_equal(queue_history_files(b->path, &f, each_of_files, &t, &why),
                     0);
    assert_string_equal(t.text, "1000001 1000000");
    t = (struct told){ .most = 1 };
    assert_int_equal(queue_history_files(b->path, &f, each_of_files, &t, &why),
                     0);
    assert_string_equal(t.text, "1000001");
    history_close(h);
    works_free(&w);
    buffer_fini(&why);
}

static void a_pattern_over_the_limit_is_refused(void **state)
{
    static char text[2000];
    struct queue_filter f = { .from = { text, sizeof text } };
    struct annals_walk w;

    (void)state;
    memset(text, 'a', sizeof text);
    assert_int_equal(annals_walk_init(&w, &f, NULL), ERROR_TOO_BIG);
    annals_walk_fini(&w);
}

static bool stops(void *user)
{
    (*(int *)user)++;
    return false;
}

static void an_index_that_is_given_up_leaves_nothing(void **state)
{
    struct bench *b = *state;
    struct history *h;
    const char *name = NULL;
    int asked = 0;

    fill(b);
    run_sql(history_of(b),
            "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i+1 FROM n "
            "WHERE i<9000) INSERT INTO history(id,at_ms,kind,sender,recipient)"
            " SELECT i*100,i,1,'a@b','c@d' FROM n");
    assert_int_equal(history_open(&h, b->path), 0);
    assert_true(history_index_step(h, NULL, stops, &asked, &name) < 0);
    assert_true(asked > 0);
    assert_query(history_of(b),
                 "SELECT count(*) FROM sqlite_schema WHERE name='history_to'",
                 "0");
    history_close(h);
}

int main(void)
{
    /* clang-format off */
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, bench_new_open, bench_free)
        T(every_filter_means_the_same_with_and_without_indexes),
        T(what_is_rare_is_found_by_an_index_without_a_sort),
        T(refusals_alone_are_not_looked_for_among_what_left),
        T(pages_stay_what_they_are_while_rows_arrive),
        T(what_is_not_taken_is_told_by_the_next_slice),
        T(a_row_is_told_with_all_its_facts),
        T(where_no_relay_runs_the_outbox_is_read_too),
        T(a_pattern_over_the_limit_is_refused),
        T(an_index_that_is_given_up_leaves_nothing),
    };
    /* clang-format on */

    return cmocka_run_group_tests(tests, NULL, NULL);
}
