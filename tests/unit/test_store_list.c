/*
 * Lists and counts: every filter, every state, pages, and the view for people.
 */
#include "tests/unit/store_bench.h"

struct listed {
    char text[400]; /* "id:recipients:state" of each row */
    bool active;    /* everything is in memory */
    int64_t rest_ms; /* example.org is down until then; 0: it is up */
    unsigned asked;  /* about lanes */
    const struct store_among *among;
};

static bool is_active(void *user, uint64_t message, uint32_t number)
{
    const struct listed *l = user;

    (void)number;
    return l->active && message == 1;
}

static bool is_resting(void *user, struct span lane, int64_t *out_due_ms,
                       struct buffer *out_reason)
{
    struct listed *l = user;

    l->asked++;
    if (!l->rest_ms || !span_is(lane, SPAN("example.org")))
        return false;
    *out_due_ms = l->rest_ms;
    buffer_put_string(out_reason, "4.4.1 Connection Refused");
    return true;
}

static void claimed(void *user, void (*each)(void *to, uint64_t message),
                    void *to)
{
    const struct listed *l = user;

    if (l->active)
        each(to, 1);
}

static struct store_view view_of(struct listed *l)
{
    return (struct store_view){ .is_active = is_active,
                                .claimed = claimed,
                                .now_ms = T0,
                                .is_resting = is_resting,
                                .user = l,
                                .among = l->among };
}

static void keep_row(void *user, const struct queue_row *row)
{
    struct listed *l = user;
    size_t len = strlen(l->text);

    (void)snprintf(l->text + len, sizeof l->text - len, "%s%llu:%zu:%u",
                   len ? " " : "", (unsigned long long)row->id, row->count,
                   row->state);
}

/* All pages of two rows, as text. */
static void list(struct bench *b, struct listed *l, struct queue_filter f)
{
    struct store_view view = view_of(l);
    uint64_t next = 0;

    l->text[0] = '\0';
    do {
        assert_int_equal(
            store_list(b->r, &f, next, 2, T0, &view, keep_row, l, &next), 0);
    } while (next);
}

static void fill(struct bench *b)
{
    struct works w = { 0 };
    struct sample p;

    put(b, sample_of(&p, 1, 1));
    put(b, sample_of(&p, 2, 3));
    sample_of(&p, 3, 1);
    p.recipients[0].held = true;
    p.message.envelope.sender = SPAN("");
    p.message.envelope.client = SPAN("2001:db8::1");
    p.message.envelope.login = SPAN("");
    p.message.envelope.received_ms = T0 - HOUR;
    put(b, &p);
    read_due(b, "example.net", T0, &w);
    settle(b, w.at[0], 0, OUTCOME_DEFERRED, T0);
    works_free(&w);
}

static void every_filter_means_what_it_says(void **state)
{
    struct bench *b = *state;
    struct listed l = { 0 };
    /* clang-format off */
    const struct { struct queue_filter filter; const char *rows; } cases[] = {
        { { 0 }, "1:1:2 2:3:2 3:1:8" },
        { { .id = 2 }, "2:3:2" },
        { { .id = 9 }, "" },
        { { .from = SPAN("sender@*") }, "1:1:2 2:3:2" },
        { { .from = SPAN("SENDER@EXAMPLE.C?M") }, "1:1:2 2:3:2" },
        { { .from = SPAN("<>") }, "3:1:8" },
        { { .to = SPAN("u2@example.net") }, "2:1:4" },
        { { .to = SPAN("u[12]@*") }, "2:2:2" },
        { { .domain = SPAN("example.net") }, "2:1:4" },
        { { .domain = SPAN("*.org") }, "1:1:2 2:2:2 3:1:8" },
        { { .domain = SPAN("ample.org") }, "" },
        { { .client = SPAN("192.0.2.*") }, "1:1:2 2:3:2" },
        { { .client = SPAN("Client.example.com") }, "1:1:2 2:3:2 3:1:8" },
        { { .client = SPAN("2001:DB8::*") }, "3:1:8" },
        { { .login = SPAN("Bob") }, "1:1:2 2:3:2" },
        { { .reason = SPAN("4.2.0*try*") }, "2:1:4" },
        { { .attempts = 1 }, "2:1:4" },
        { { .older_ms = T0 }, "3:1:8" },
        { { .newer_ms = T0 - 1 }, "1:1:2 2:3:2" },
        { { .states = STATE_HELD }, "3:1:8" },
        { { .states = STATE_DEFERRED }, "2:1:4" },
        { { .states = STATE_READY | STATE_HELD }, "1:1:2 2:2:2 3:1:8" },
        { { .states = STATE_DELETED }, "" },
    };
    /* clang-format on */

    fill(b);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct store_view view = view_of(&l);
        struct queue_count c = { 0 };
        uint64_t next = 0;
        size_t rows;

        list(b, &l, cases[i].filter);
        if (strcmp(l.text, cases[i].rows) != 0)
            fail_msg("case %zu: %s, expected %s", i, l.text, cases[i].rows);
        rows = 0;
        for (const char *at = l.text; *at; at++)
            rows += *at == ' ' || at == l.text;
        do {
            assert_int_equal(store_count(b->r, &cases[i].filter, T0, &view,
                                         next, 2, &c, &next),
                             0);
        } while (next);
        assert_int_equal(c.messages, rows);
    }
}

/* Each lane leads to a destination of its own. */
static void lead(void *user, struct span lane, struct buffer *out_name)
{
    (void)user;
    buffer_put_string(out_name, "X.");
    buffer_put(out_name, lane);
}

static struct store_among look_among(struct bench *b, struct queue_filter f)
{
    struct store_view view = { .destination = lead };
    struct store_among a = { 0 };

    while (!a.is_over)
        assert_int_equal(store_among_look(b->r, &f, &view, &a), 0);
    return a;
}

static void a_filter_by_lanes_means_the_same_of_fewer_messages(void **state)
{
    struct bench *b = *state;
    /* clang-format off */
    const struct { struct queue_filter filter; bool is_known; size_t count; } cases[] = {
        { { 0 }, false, 0 },
        { { .id = 2, .domain = SPAN("example.net") }, false, 0 },
        { { .domain = SPAN("Example.NET") }, true, 1 },
        { { .domain = SPAN("example.org"), .states = STATE_HELD }, true, 3 },
        { { .domain = SPAN("*.org") }, true, 3 },
        { { .domain = SPAN("*ample.net"), .to = SPAN("u2*") }, true, 1 },
        { { .domain = SPAN("ample.org") }, true, 0 },
        { { .domain = SPAN("ex*.org") }, false, 0 },
        { { .domain = SPAN("x@example.org") }, false, 0 },
        { { .domain = SPAN("ex\xc3\xa4mple.org") }, false, 0 },
        { { .via = SPAN("x.Example.net") }, true, 1 },
        { { .via = SPAN("*.org") }, true, 3 },
        { { .via = SPAN("example.net") }, true, 0 },
    };
    /* clang-format on */

    fill(b);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct store_among a = look_among(b, cases[i].filter);
        struct queue_filter f = cases[i].filter;
        struct listed all = { 0 }, few = { .among = &a };

        if (a.is_known != cases[i].is_known ||
            (a.is_known && a.count != cases[i].count))
            fail_msg("case %zu: %d, %zu", i, a.is_known, a.count);
        f.via = (struct span){ 0 }; /* nothing leads anywhere here */
        if (!cases[i].filter.via.len) {
            list(b, &all, f);
            list(b, &few, f);
            assert_string_equal(few.text, all.text);
        }
        store_among_fini(&a);
    }
}

static void count_row(void *user, const struct store_found *f)
{
    struct queue_count *c = user;

    c->recipients++;
    c->messages += f->is_first;
    c->bytes += f->is_first ? f->size_bytes : 0;
}

static void a_count_of_all_is_that_of_a_walk(void **state)
{
    struct bench *b = *state;
    struct queue_filter all = { 0 };
    struct queue_filter net = { .domain = SPAN("example.net") },
                        third = { .id = 3 };
    struct store_change c = { .change = CHANGE_DELETE, .now_ms = T0 };
    const struct queue_filter *const deleted[] = { NULL, &net, &third };

    fill(b);
    for (size_t i = 0; i < 3; i++) {
        struct queue_count changed = { 0 }, quick = { 0 }, walked = { 0 };
        uint64_t next = 0;

        c.filter = deleted[i];
        if (c.filter) {
            assert_int_equal(store_begin(b->s), 0);
            assert_int_equal(store_change(b->s, &c, 0, 10, &changed, &next), 0);
            assert_int_equal(store_commit(b->s), 0);
            assert_int_equal(changed.messages, 1);
        }
        assert_int_equal(store_count(b->r, &all, T0, NULL, 0, 1, &quick, &next),
                         0);
        assert_int_equal(next, 0);
        assert_int_equal(store_find(b->r, &all, T0, NULL, 0, 10, count_row,
                                    &walked, &next),
                         0);
        assert_int_equal(quick.messages, i < 2 ? 3 : 2);
        assert_int_equal(quick.messages, walked.messages);
        assert_int_equal(quick.recipients, walked.recipients);
        assert_int_equal(quick.bytes, walked.bytes);
    }
}

static void what_is_among_few_comes_in_pages(void **state)
{
    struct bench *b = *state;
    struct queue_filter f = { .domain = SPAN("example.org") };
    struct store_among a;
    struct store_view view = { .among = &a };
    struct queue_count c = { 0 };
    uint64_t next = 0;
    unsigned pages = 0;

    fill(b);
    a = look_among(b, f);
    do {
        assert_int_equal(store_count(b->r, &f, T0, &view, next, 1, &c, &next),
                         0);
        assert_int_equal(c.messages, ++pages);
    } while (next);
    assert_int_equal(pages, 3);
    assert_int_equal(c.recipients, 4);
    store_among_fini(&a);
}

static void what_is_in_memory_is_active(void **state)
{
    struct bench *b = *state;
    struct listed l = { .active = true };

    fill(b);
    list(b, &l, (struct queue_filter){ 0 });
    assert_string_equal(l.text, "1:1:1 2:3:2 3:1:8");
    list(b, &l, (struct queue_filter){ .states = STATE_ACTIVE });
    assert_string_equal(l.text, "1:1:1");
    list(b, &l, (struct queue_filter){ .states = STATE_READY });
    assert_string_equal(l.text, "2:2:2");
}

/* By what is due in each lane, whatever rests or is being sent. */
static void a_state_means_the_same_of_the_few_that_it_leads_to(void **state)
{
    static const int64_t rests[] = { 0, T0 - 1, T0, T0 + 5000 };
    static const struct queue_filter filters[] = {
        { .states = STATE_READY },
        { .states = STATE_ACTIVE },
        { .states = STATE_READY | STATE_ACTIVE },
        { .states = STATE_DEFERRED },
        { .states = STATE_DEFERRED, .domain = SPAN_INIT("*.org") },
        { .states = STATE_READY, .domain = SPAN_INIT("example.org") },
        { .states = STATE_DEFERRED, .from = SPAN_INIT("*") },
    };
    struct bench *b = *state;
    size_t n = sizeof filters / sizeof *filters;

    fill(b);
    for (size_t i = 0; i < 8 * n; i++) {
        struct queue_filter f = filters[i / 8];
        struct listed l = { .rest_ms = rests[i % 4], .active = i & 4 };
        struct listed few = l;
        struct store_view view = view_of(&l);
        struct store_among a = { 0 };

        while (!a.is_over)
            assert_int_equal(store_among_look(b->r, &f, &view, &a), 0);
        assert_true(a.is_known);
        if (f.states == STATE_ACTIVE)
            assert_int_equal(a.count, l.active);
        if (f.states == STATE_DEFERRED && l.rest_ms <= T0)
            assert_int_equal(a.count, f.domain.len ? 1 : 2); /* and held */
        few.among = &a;
        list(b, &l, f);
        list(b, &few, f);
        if (strcmp(few.text, l.text) != 0)
            fail_msg("%zu: %s, not %s", i, few.text, l.text);
        store_among_fini(&a);
    }
}

/* There are too many of them, and they begin late. */
static void a_walk_begins_with_the_first_that_may_be_meant(void **state)
{
    struct bench *b = *state;
    struct store_among a = { .is_over = true, .first = 3 };
    struct listed l = { .among = &a };

    fill(b);
    list(b, &l, (struct queue_filter){ 0 });
    assert_string_equal(l.text, "3:1:8");
    a.first = 2;
    list(b, &l, (struct queue_filter){ 0 });
    assert_string_equal(l.text, "2:3:2 3:1:8");
}

static void what_waits_for_a_next_hop_that_is_down_is_deferred(void **state)
{
    struct bench *b = *state;
    struct listed l = { .rest_ms = T0 + 5000 };
    /* clang-format off */
    const struct { struct queue_filter filter; const char *rows; } cases[] = {
        { { 0 }, "1:1:4 2:3:4 3:1:8" },
        { { .states = STATE_DEFERRED }, "1:1:4 2:3:4" },
        { { .states = STATE_READY }, "" },
        { { .reason = SPAN("*REFUSED") }, "1:1:4 2:2:4" },
        { { .reason = SPAN("*connection*"), .states = STATE_DEFERRED },
          "1:1:4 2:2:4" },
        { { .reason = SPAN("*refused"), .id = 2, .domain = SPAN("example.net") },
          "" },
        { { .reason = SPAN("4.2.0*") }, "2:1:4" },
    };
    /* clang-format on */

    fill(b);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        list(b, &l, cases[i].filter);
        if (strcmp(l.text, cases[i].rows) != 0)
            fail_msg("case %zu: %s, expected %s", i, l.text, cases[i].rows);
    }
}

static void check_rest(void *user, const struct queue_row *row)
{
    const struct listed *l = user;
    const struct queue_row_recipient *r = row->recipients;
    bool is_over = l->rest_ms <= T0;

    assert_int_equal(r[0].state, is_over ? STATE_READY : STATE_DEFERRED);
    assert_int_equal(r[0].due_ms, is_over ? T0 : l->rest_ms);
    assert_true(span_is(r[0].reason, SPAN("4.4.1 Connection Refused")));
    assert_true(span_is(r[2].reason, SPAN("4.2.0 450 try | later")));
    assert_int_equal(r[2].due_ms, T0 + HOUR);
}

static void a_rest_is_shown_with_its_end_and_its_reason(void **state)
{
    struct bench *b = *state;
    struct listed l = { .rest_ms = T0 + 5000 };
    struct store_view view = view_of(&l);
    struct queue_filter f = { .id = 2 };
    uint64_t next = 1;

    fill(b);
    assert_int_equal(
        store_list(b->r, &f, 0, 10, T0, &view, check_rest, &l, &next), 0);
    /* One that is over is being tried: the reason stays until that has ended. */
    l.rest_ms = T0;
    assert_int_equal(
        store_list(b->r, &f, 0, 10, T0, &view, check_rest, &l, &next), 0);
}

static void an_own_reason_goes_before_that_of_the_next_hop(void **state)
{
    struct bench *b = *state;
    struct listed l = { .rest_ms = T0 + 5000 };
    struct works w = { 0 };
    struct sample p;

    put(b, sample_of(&p, 1, 1));
    read_due(b, "example.org", T0, &w);
    settle(b, w.at[0], 0, OUTCOME_DEFERRED, T0 - HOUR);
    works_free(&w);
    list(b, &l, (struct queue_filter){ .states = STATE_DEFERRED });
    assert_string_equal(l.text, "1:1:4");
    list(b, &l, (struct queue_filter){ .reason = SPAN("4.2.0*") });
    assert_string_equal(l.text, "1:1:4");
    list(b, &l, (struct queue_filter){ .reason = SPAN("4.4.1*") });
    assert_string_equal(l.text, "");
}

static void a_lane_is_asked_for_once_in_a_slice(void **state)
{
    struct bench *b = *state;
    struct listed l = { .rest_ms = T0 + 5000 };
    struct store_view view = view_of(&l);
    struct queue_filter f = { .states = STATE_DEFERRED };
    struct queue_count c = { 0 };
    uint64_t next = 0;
    struct sample p;

    for (uint64_t id = 1; id <= 20; id++)
        put(b, sample_of(&p, id, 3));
    assert_int_equal(store_count(b->r, &f, T0, &view, 0, 100, &c, &next), 0);
    assert_int_equal(c.messages, 20);
    assert_int_equal(c.recipients, 40);
    assert_int_equal(l.asked, 2);
}

static void check_row(void *user, const struct queue_row *row)
{
    (void)user;
    assert_true(span_is(row->sender, SPAN("Sender@example.com")));
    assert_true(span_is(row->client, SPAN("192.0.2.7")));
    assert_true(span_is(row->login, SPAN("bob")));
    assert_true(span_is(row->helo, SPAN("helo.example.com")));
    assert_int_equal(row->received_ms, T0);
    assert_int_equal(row->expire_ms, T0 + 5 * (int64_t)DAY);
    assert_int_equal(row->size_bytes, sizeof sample_content - 1);
    assert_true(span_is(row->recipients[2].address, SPAN("U2@Example.NET")));
    assert_true(
        span_is(row->recipients[2].reason, SPAN("4.2.0 450 try | later")));
    assert_int_equal(row->recipients[2].attempts, 1);
    assert_int_equal(row->recipients[2].due_ms, T0 + HOUR);
    assert_int_equal(row->recipients[2].state, STATE_DEFERRED);
}

static void a_row_tells_all(void **state)
{
    struct bench *b = *state;
    struct queue_filter f = { .id = 2 };
    uint64_t next = 1;

    fill(b);
    assert_int_equal(
        store_list(b->r, &f, 0, 10, T0, NULL, check_row, NULL, &next), 0);
    assert_int_equal(next, 0);
}

static void a_page_has_at_most_so_many_rows(void **state)
{
    struct bench *b = *state;
    struct queue_filter f = { 0 };
    struct listed l = { 0 };
    uint64_t next = 0;

    fill(b);
    assert_int_equal(
        store_list(b->r, &f, 0, 2, T0, NULL, keep_row, &l, &next), 0);
    assert_string_equal(l.text, "1:1:2 2:3:2");
    assert_int_equal(next, 2);
}

static void an_overlong_pattern_is_refused(void **state)
{
    struct bench *b = *state;
    static char pattern[1001];
    struct queue_filter f = { .to = { pattern, sizeof pattern } };
    uint64_t next = 1;

    memset(pattern, '*', sizeof pattern);
    assert_int_equal(
        store_list(b->r, &f, 0, 10, T0, NULL, check_row, NULL, &next),
        ERROR_TOO_BIG);
    assert_int_equal(next, 1);
}

static void a_long_look_is_cut_into_slices(void **state)
{
    struct bench *b = *state;
    struct queue_filter f = { .to = SPAN("rare@*") };
    struct listed l = { 0 };
    struct store_among a;
    struct sample p;
    uint64_t next = 0;
    unsigned slices = 0;

    assert_int_equal(store_begin(b->s), 0);
    for (uint64_t id = 1; id <= 20001; id++) {
        sample_of(&p, id, 1);
        if (id == 20001)
            p.recipients[0].address = SPAN("rare@example.org");
        assert_int_equal(store_put(b->s, &p.message, &p.content), 0);
    }
    assert_int_equal(store_commit(b->s), 0);
    do {
        assert_int_equal(
            store_list(b->r, &f, next, 2, T0, NULL, keep_row, &l, &next), 0);
        slices++;
    } while (next);
    f = (struct queue_filter){ .domain = SPAN("example.org") };
    a = look_among(b, f);
    assert_false(a.is_known);
    store_among_fini(&a);
    assert_string_equal(l.text, "20001:1:2");
    assert_true(slices >= 6); /* 4000 messages are looked at in each */
}

static void the_view_of_the_queue_reads_like_a_list(void **state)
{
    struct bench *b = *state;

    fill(b);
    assert_query(b->path,
                 "SELECT queue_id,sender,recipient,lane,state,received,due,"
                 "expires_ms,attempts,reason FROM v_queue WHERE message=2 "
                 "AND recipient LIKE 'u2%'",
                 "0000000000002|Sender@example.com|U2@Example.NET|example.net|"
                 "waiting|1970-01-01T00:16:40.000Z|1970-01-01T01:16:40.000Z|"
                 "433000000|1|4.2.0 450 try | later");
    assert_query(b->path,
                 "SELECT state,due IS NULL FROM v_queue "
                 "WHERE message=3",
                 "held|1");
    assert_query(b->path, "SELECT lane,waiting,held,next_due_ms FROM v_lanes",
                 "example.org|3|1|1000000\nexample.net|1|0|4600000");
}

int main(void)
{
    /* clang-format off */
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, bench_new_open, bench_free)
        T(every_filter_means_what_it_says),
        T(a_filter_by_lanes_means_the_same_of_fewer_messages),
        T(what_is_among_few_comes_in_pages),
        T(a_count_of_all_is_that_of_a_walk),
        T(what_is_in_memory_is_active),
        T(a_state_means_the_same_of_the_few_that_it_leads_to),
        T(a_walk_begins_with_the_first_that_may_be_meant),
        T(what_waits_for_a_next_hop_that_is_down_is_deferred),
        T(a_rest_is_shown_with_its_end_and_its_reason),
        T(an_own_reason_goes_before_that_of_the_next_hop),
        T(a_lane_is_asked_for_once_in_a_slice),
        T(a_row_tells_all),
        T(a_page_has_at_most_so_many_rows),
        T(an_overlong_pattern_is_refused),
        T(a_long_look_is_cut_into_slices),
        T(the_view_of_the_queue_reads_like_a_list),
    };
    /* clang-format on */

    return cmocka_run_group_tests(tests, NULL, NULL);
}
