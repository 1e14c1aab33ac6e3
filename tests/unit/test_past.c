/*
 * What was decided once: waiting, gone or refused, each told once and as the client said it;
 * rulings as texts.
 */
#include "tests/unit/store_bench.h"

struct told {
    struct buffer text;
    size_t count, most;
};

static bool each(void *user, const struct queue_past *p)
{
    struct told *t = user;

    buffer_printf(
        &t->text, "%lld %s%s%s <%.*s> <%.*s> %.*s %.*s %.*s %.*s/%.*s %llu\n",
        (long long)p->at_ms, p->is_refusal ? "refused" : "accepted",
        p->is_verdict ? "!" : "", p->is_recorded ? "" : "?",
        SPAN_FMT(p->sender), SPAN_FMT(p->recipient), SPAN_FMT(p->client),
        SPAN_FMT(p->listener), SPAN_FMT(p->tls), SPAN_FMT(p->ruling.rule),
        SPAN_FMT(p->ruling.place), (unsigned long long)p->size_bytes);
    return ++t->count != t->most;
}

static const char *past_of(struct bench *b, int64_t since_ms, struct told *t)
{
    struct buffer why = { 0 };

    buffer_clear(&t->text);
    t->count = 0;
    assert_int_equal(queue_past(b->path, since_ms, each, t, &why), 0);
    assert_int_equal(why.len, 0);
    return buffer_string(&t->text);
}

#define ROW(to)                                                                \
    "1000000 accepted <Sender@example.com> <" to ">"                           \
    " 192.0.2.7 edge TLSv1.3 256 our domains/waypost.conf:7 17\n"

static void drain(struct bench *b, struct history *h)
{
    int64_t last;

    assert_int_equal(history_drain(h, b->r, 100, &last), 0);
}

static void what_waits_and_what_left_is_told_once(void **state)
{
    struct bench *b = *state;
    struct told t = { .most = 100 };
    struct works w = { 0 };
    struct history *h;
    struct sample p;

    assert_int_equal(history_open(&h, b->path), 0);
    put(b, sample_of(&p, 1, 2));
    assert_string_equal(past_of(b, T0, &t),
                        ROW("u0@alias.example") ROW("u0@alias.example"));
    read_due(b, "example.org", T0, &w);
    settle(b, w.at[0], 0, OUTCOME_DELIVERED, T0 + 9);
    /* on its way into the history, for a second */
    assert_string_equal(past_of(b, T0, &t), ROW("u0@alias.example"));
    drain(b, h);
    assert_string_equal(past_of(b, T0, &t),
                        ROW("u0@alias.example") ROW("u0@alias.example"));
    assert_string_equal(past_of(b, T0 + 1, &t), "");
    t.most = 1;
    assert_string_equal(past_of(b, T0, &t), ROW("u0@alias.example"));
    history_close(h);
    works_free(&w);
    buffer_fini(&t.text);
}

/* As if it had left after it was read among those that wait. */
static void what_leaves_meanwhile_is_not_told_twice(void **state)
{
    struct bench *b = *state;
    struct told t = { .most = 100 };
    struct works w = { 0 };
    struct history *h;
    struct sample p;

    assert_int_equal(history_open(&h, b->path), 0);
    put(b, sample_of(&p, 5, 1));
    read_due(b, "example.org", T0, &w);
    settle(b, w.at[0], 0, OUTCOME_DELIVERED, T0 + 9);
    drain(b, h);
    put(b, sample_of(&p, 5, 1));
    assert_string_equal(past_of(b, 0, &t), ROW("u0@alias.example"));
    history_close(h);
    works_free(&w);
    buffer_fini(&t.text);
}

static void our_own_mail_is_left_out(void **state)
{
    struct bench *b = *state;
    struct told t = { .most = 100 };
    struct history *h;
    struct sample p;

    assert_int_equal(history_open(&h, b->path), 0);
    sample_of(&p, 1, 1);
    p.message.envelope.client = SPAN("");
    put(b, &p);
    assert_string_equal(past_of(b, 0, &t), "");
    history_close(h);
    buffer_fini(&t.text);
}

static void refusals_are_told_in_pages(void **state)
{
    struct bench *b = *state;
    struct told t = { .most = 100000 };
    struct queue_refusal *rows = calloc(2500, sizeof *rows);
    struct history *h;

    for (int i = 0; i < 2500; i++)
        rows[i] = (struct queue_refusal){ .at_ms = T0 + i / 2,
                                          .client = SPAN("192.0.2.9"),
                                          .sender = SPAN("a@b"),
                                          .recipient = SPAN("c@d"),
                                          .rule = SPAN("list"),
                                          .place = SPAN("x:1"),
                                          .listener = SPAN("edge"),
                                          .is_verdict = true };
    assert_int_equal(history_open(&h, b->path), 0);
    assert_int_equal(history_refusals(h, rows, 2500), 0);
    (void)past_of(b, 0, &t);
    assert_int_equal(t.count, 2500);
    assert_string_equal(past_of(b, T0 + 1249, &t),
                        "1001249 refused! <a@b> <c@d> 192.0.2.9 edge  "
                        "list/x:1 0\n"
                        "1001249 refused! <a@b> <c@d> 192.0.2.9 edge  "
                        "list/x:1 0\n");
    history_close(h);
    free(rows);
    buffer_fini(&t.text);
}

static void what_cannot_be_read_is_told_in_a_sentence(void **state)
{
    struct bench *b = *state;
    struct told t = { .most = 100 };
    struct buffer why = { 0 };
    struct history *h;
    char path[120];
    sqlite3 *db;

    assert_true(queue_past(b->path, 0, each, &t, &why) < 0);
    assert_non_null(strstr(buffer_string(&why), "history.db: there is no"));
    assert_int_equal(history_open(&h, b->path), 0);
    history_close(h);
    (void)snprintf(path, sizeof path, "%s/history.db", b->folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db, "PRAGMA user_version=1", NULL, NULL, NULL), SQLITE_OK);
    buffer_clear(&why);
    assert_int_equal(queue_past(b->path, 0, each, &t, &why), ERROR_OLDER);
    assert_non_null(strstr(buffer_string(&why), "next start"));
    assert_int_equal(
        sqlite3_exec(db, "PRAGMA user_version=99", NULL, NULL, NULL),
        SQLITE_OK);
    buffer_clear(&why);
    assert_int_equal(queue_past(b->path, 0, each, &t, &why), ERROR_NEWER);
    assert_int_equal(
        sqlite3_exec(db, "PRAGMA application_id=5", NULL, NULL, NULL),
        SQLITE_OK);
    buffer_clear(&why);
    assert_int_equal(queue_past(b->path, 0, each, &t, &why), ERROR_FOREIGN);
    (void)sqlite3_close(db);
    assert_int_equal(t.count, 0);
    buffer_fini(&why);
}

static void a_ruling_is_read_as_it_was_put(void **state)
{
    static const struct {
        struct queue_ruling in;
        const char *text;
    } rows[] = {
        { { .rule = SPAN_INIT("") }, "" },
        { { .rule = SPAN_INIT("a b") }, "a b" },
        { { .rule = SPAN_INIT("a"), .place = SPAN_INIT("f:1") }, "a\tf:1" },
        { { .rule = SPAN_INIT("a"), .asked_from = SPAN_INIT("<>") },
          "a\t\t\t\t<>" },
        { { .held_by = SPAN_INIT("h"), .asked_to = SPAN_INIT("x@y") },
          "\t\th\tx@y" },
    };
    struct queue_ruling wild = { .rule = SPAN("a\tb\nc"), .place = SPAN("f") };
    struct buffer b = { 0 };
    struct queue_ruling r;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        buffer_clear(&b);
        queue_ruling_put(&b, &rows[i].in);
        assert_string_equal(buffer_string(&b), rows[i].text);
        queue_ruling_read(buffer_span(&b), &r);
        assert_true(span_is(r.rule, rows[i].in.rule));
        assert_true(span_is(r.place, rows[i].in.place));
        assert_true(span_is(r.held_by, rows[i].in.held_by));
        assert_true(span_is(r.asked_to, rows[i].in.asked_to));
        assert_true(span_is(r.asked_from, rows[i].in.asked_from));
    }
    buffer_clear(&b);
    queue_ruling_put(&b, &wild);
    assert_string_equal(buffer_string(&b), "a b c\tf");
    buffer_fini(&b);
}

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, bench_new_open, bench_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_waits_and_what_left_is_told_once),
        TEST(what_leaves_meanwhile_is_not_told_twice),
        TEST(our_own_mail_is_left_out),
        TEST(refusals_are_told_in_pages),
        TEST(what_cannot_be_read_is_told_in_a_sentence),
        cmocka_unit_test(a_ruling_is_read_as_it_was_put),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
