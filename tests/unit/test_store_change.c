/*
 * People's orders: retry, hold, release, delete, undelete; and the purge a day
 * later.
 */
#include "tests/unit/store_bench.h"

#include "queue/store_private.h"

struct told {
    uint64_t changed[16];
    size_t count;
    uint64_t skip_message;
    uint32_t skip_number;
};

static bool skip_one(void *user, uint64_t message, uint32_t number)
{
    const struct told *t = user;

    return t->skip_message == message && t->skip_number == number;
}

static void tell(void *user, uint64_t message)
{
    struct told *t = user;

    assert_true(t->count < 16);
    t->changed[t->count++] = message;
}

static struct queue_count change_as(struct bench *b, struct told *told,
                                    enum queue_change change,
                                    struct queue_filter f, int64_t now_ms)
{
    struct store_change c = {
        .filter = &f,
        .change = change,
        .who = SPAN("ann"),
        .now_ms = now_ms,
        .skip = skip_one,
        .each = tell,
        .user = told,
    };
    struct queue_count count = { 0 };
    uint64_t last = 0;

    do {
        assert_int_equal(store_begin(b->s), 0);
        assert_int_equal(store_change(b->s, &c, last, 2, &count, &last), 0);
        assert_int_equal(store_commit(b->s), 0);
    } while (last);
    return count;
}

static bool org_is_down(void *user, struct span lane, int64_t *out_due_ms,
                        struct buffer *out_reason)
{
    (void)user;
    if (!span_is(lane, SPAN("example.org")))
        return false;
    *out_due_ms = T0 + DAY;
    buffer_put_string(out_reason, "4.4.1 no answer");
    return true;
}

static void note_lane(void *user, struct span key)
{
    struct buffer *lanes = user;

    buffer_put(lanes, key);
    buffer_put_byte(lanes, ' ');
}

static struct queue_count change(struct bench *b, enum queue_change what,
                                 struct queue_filter f, int64_t now_ms)
{
    struct told told = { 0 };

    return change_as(b, &told, what, f, now_ms);
}

static void put_three(struct bench *b)
{
    struct sample p;

    for (uint64_t id = 1; id <= 3; id++)
        put(b, sample_of(&p, id, 3));
}

static size_t due_count(struct bench *b, const char *lane, int64_t now_ms)
{
    struct works w = { 0 };
    size_t count = 0;

    read_due(b, lane, now_ms, &w);
    for (size_t i = 0; i < w.count; i++)
        count += w.at[i]->count;
    works_free(&w);
    return count;
}

static void retry_makes_what_waits_due_now(void **state)
{
    struct bench *b = *state;
    struct told told = { 0 };
    struct works w = { 0 };
    struct queue_count c;

    put_three(b);
    read_due(b, "example.org", T0, &w);
    settle(b, w.at[0], 0, OUTCOME_DEFERRED, T0);
    assert_int_equal(due_count(b, "example.org", T0 + 5), 5);
    c = change_as(b, &told, CHANGE_RETRY, (struct queue_filter){ 0 }, T0 + 5);
    assert_int_equal(c.messages, 3);
    assert_int_equal(c.recipients, 9);
    assert_int_equal(c.bytes, 3 * (sizeof sample_content - 1));
    assert_int_equal(told.count, 3);
    assert_int_equal(told.changed[2], 3);
    assert_int_equal(due_count(b, "example.org", T0 + 5), 6);
    works_free(&w);
}

static void an_order_means_the_recipients_of_its_filter_only(void **state)
{
    struct bench *b = *state;
    struct queue_count c;

    put_three(b);
    c = change(b, CHANGE_HOLD,
               (struct queue_filter){ .id = 2, .domain = SPAN("EXAMPLE.net") },
               T0);
    assert_int_equal(c.messages, 1);
    assert_int_equal(c.recipients, 1);
    assert_query(b->path, "SELECT message,number FROM recipient WHERE state=1",
                 "2|2");
}

static void an_order_means_what_a_count_means(void **state)
{
    struct bench *b = *state;
    const struct store_view view = { .is_resting = org_is_down };
    const struct queue_filter filters[] = {
        { .states = STATE_DEFERRED },
        { .states = STATE_READY },
        { .reason = SPAN("*NO ANSWER") },
    };
    const uint64_t recipients[] = { 6, 3, 6 };
    const char *const lanes[] = {
        "example.org ",
        "example.net ",
        "example.org ",
    };

    put_three(b);
    for (size_t i = 0; i < 3; i++) {
        struct buffer told = { 0 };
        struct store_change c = {
            .filter = &filters[i],
            .change = CHANGE_RETRY,
            .now_ms = T0 + 5,
            .view = &view,
            .lane = note_lane,
            .user = &told,
        };
        struct queue_count preview = { 0 }, done = { 0 };
        uint64_t last = 0;

        assert_int_equal(store_count(b->r, &filters[i], T0 + 5, &view, 0, 10,
                                     &preview, &last),
                         0);
        assert_int_equal(store_begin(b->s), 0);
        assert_int_equal(store_change(b->s, &c, 0, 10, &done, &last), 0);
        assert_int_equal(store_commit(b->s), 0);
        assert_int_equal(done.recipients, recipients[i]);
        assert_int_equal(preview.recipients, recipients[i]);
        /* The same lane in a row is told once. */
        assert_string_equal(buffer_string(&told), lanes[i]);
        buffer_fini(&told);
    }
    /* Where the order waited for a next hop, its own due time stays. */
    assert_query(b->path, "SELECT DISTINCT due_ms FROM recipient", "1000000");
}

static void what_is_being_sent_is_left_alone(void **state)
{
    struct bench *b = *state;
    struct told told = { .skip_message = 1, .skip_number = 0 };
    struct queue_count c;

    put_three(b);
    c = change_as(b, &told, CHANGE_DELETE, (struct queue_filter){ .id = 1 },
                  T0);
    assert_int_equal(c.recipients, 2);
    assert_query(b->path,
                 "SELECT number FROM recipient WHERE state=0 AND "
                 "message=1",
                 "0");
    assert_int_equal(c.active, 1);
    assert_query(b->path, "SELECT reply LIKE '%: 1 message, 2 recipients, 1 "
                          "being sent left alone' FROM event",
                 "1");
}

static void holding_stops_the_clock(void **state)
{
    struct bench *b = *state;
    struct works w = { 0 };
    struct sample p;

    put(b, sample_of(&p, 1, 1));
    change(b, CHANGE_HOLD, (struct queue_filter){ 0 }, T0 + HOUR);
    assert_int_equal(due_count(b, "example.org", INT64_MAX - 1), 0);
    assert_int_equal(
        store_read_alarms(b->r, INT64_MAX - 1, 0, 32, keep_work, &w), 0);
    assert_int_equal(w.count, 0);
    change(b, CHANGE_RELEASE, (struct queue_filter){ 0 }, T0 + 11 * HOUR);
    assert_int_equal(due_count(b, "example.org", T0 + 11 * HOUR), 1);
    assert_query(b->path,
                 "SELECT expire_ms-1000000,warn_ms-1000000,alarm_ms-1000000 "
                 "FROM recipient,message",
                 "468000000|50400000|50400000");
}

static void a_deleted_message_can_be_brought_back_for_a_day(void **state)
{
    struct bench *b = *state;
    struct queue_count c;

    put_three(b);
    change(b, CHANGE_DELETE, (struct queue_filter){ .id = 2 }, T0);
    assert_int_equal(due_count(b, "example.org", T0), 4);
    assert_int_equal(store_begin(b->s), 0);
    assert_int_equal(store_purge(b->s, T0 + DAY - 1, 10, NULL, NULL), 0);
    assert_int_equal(store_commit(b->s), 0);
    c = change(b, CHANGE_UNDELETE, (struct queue_filter){ 0 }, T0 + HOUR);
    assert_int_equal(c.messages, 1);
    assert_int_equal(c.recipients, 3);
    assert_int_equal(due_count(b, "example.org", T0 + HOUR), 6);
    assert_int_equal(store_begin(b->s), 0);
    assert_int_equal(store_purge(b->s, T0 + 9 * (int64_t)DAY, 10, NULL, NULL),
                     0);
    assert_int_equal(store_commit(b->s), 0);
    assert_query(b->path, "SELECT count(*) FROM message", "3");
}

static void what_was_held_before_its_deletion_is_held_after(void **state)
{
    struct bench *b = *state;
    struct sample p;

    sample_of(&p, 1, 1);
    p.recipients[0].held = true;
    put(b, &p);
    change(b, CHANGE_DELETE, (struct queue_filter){ 0 }, T0);
    change(b, CHANGE_UNDELETE, (struct queue_filter){ 0 }, T0 + 1);
    assert_query(b->path, "SELECT state FROM recipient", "1");
    assert_int_equal(due_count(b, "example.org", INT64_MAX - 1), 0);
}

static void order_all(struct bench *b, const char *who, const char *why,
                      enum queue_change what, int64_t now_ms)
{
    const struct queue_filter all = { 0 };
    struct store_change c = {
        .filter = &all,
        .change = what,
        .who = span_of(who),
        .why = span_of(why),
        .now_ms = now_ms,
    };
    struct queue_count count = { 0 };
    uint64_t last;

    assert_int_equal(store_begin(b->s), 0);
    assert_int_equal(store_change(b->s, &c, 0, 10, &count, &last), 0);
    assert_int_equal(store_commit(b->s), 0);
    assert_int_equal(last, 0);
}

static void keep_deed(void *user, const struct queue_row *row)
{
    const struct queue_row_recipient *r = &row->recipients[0];
    struct buffer *b = user;

    buffer_put(b, r->reason);
    buffer_put_byte(b, '/');
    buffer_put(b, r->deed.who);
    buffer_printf(b, "/%lld/", (long long)r->deed.at_ms);
    buffer_put(b, r->deed.why);
}

static void assert_deed(struct bench *b, const char *want)
{
    const struct queue_filter any = { .states = ~0U };
    struct buffer told = { 0 };
    uint64_t next;

    assert_int_equal(
        store_list(b->r, &any, 0, 10, T0, NULL, keep_deed, &told, &next), 0);
    assert_string_equal(buffer_string(&told), want);
    buffer_fini(&told);
}

static void a_list_says_whose_order_keeps_it_and_what_was_said_last(void **state)
{
    struct bench *b = *state;
    struct works w = { 0 };
    struct sample p;

    put(b, sample_of(&p, 1, 1));
    read_due(b, "example.org", T0, &w);
    settle(b, w.at[0], 0, OUTCOME_DEFERRED, T0);
    works_free(&w);
    assert_deed(b, "4.2.0 450 try | later//0/");
    order_all(b, "ada", "spam\nrun", CHANGE_HOLD, T0 + 1);
    assert_deed(b, "4.2.0 450 try | later/ada/1000001/spam\\x0Arun");
    order_all(b, "bob", "", CHANGE_DELETE, T0 + 2);
    assert_deed(b, "4.2.0 450 try | later/bob/1000002/");
    change(b, CHANGE_UNDELETE, (struct queue_filter){ 0 }, T0 + 3);
    assert_deed(b, "4.2.0 450 try | later/ada/1000001/spam\\x0Arun");
    change(b, CHANGE_RELEASE, (struct queue_filter){ 0 }, T0 + 4);
    assert_deed(b, "4.2.0 450 try | later//0/");
    assert_query(b->path, "SELECT held_by='' AND deleted_by='' FROM recipient",
                 "1");
}

static void the_history_of_the_deleted_says_who_it_was(void **state)
{
    struct bench *b = *state;
    struct sample p;

    put(b, sample_of(&p, 1, 1));
    order_all(b, "bob", "a\nb", CHANGE_DELETE, T0);
    assert_int_equal(store_begin(b->s), 0);
    assert_int_equal(store_purge(b->s, T0 + DAY, 10, NULL, NULL), 0);
    assert_int_equal(store_commit(b->s), 0);
    assert_query(b->path, "SELECT who FROM event WHERE kind=5", "bob");
}

static void note_file(void *user, uint64_t message)
{
    *(uint64_t *)user += message;
}

static void a_day_later_the_deleted_is_gone(void **state)
{
    struct bench *b = *state;
    uint64_t files = 0;
    struct sample p;

    put_three(b);
    sample_of(&p, 40, 1)->message.take_content = NULL;
    put(b, &p);
    change(b, CHANGE_DELETE, (struct queue_filter){ .to = SPAN("u0@*") }, T0);
    change(b, CHANGE_DELETE, (struct queue_filter){ .id = 3 }, T0);
    assert_int_equal(store_begin(b->s), 0);
    assert_int_equal(store_purge(b->s, T0 + DAY, 10, note_file, &files), 0);
    assert_int_equal(store_commit(b->s), 0);
    assert_int_equal(files, 40);
    assert_query(b->path, "SELECT id,purge_ms IS NULL FROM message",
                 "1|1\n2|1");
    assert_query(b->path, "SELECT message FROM content", "1\n2");
    assert_query(b->path,
                 "SELECT kind,message,recipient,sender,login FROM event "
                 "WHERE kind=5 ORDER BY id LIMIT 2",
                 "5|1|u0@example.org|Sender@example.com|bob\n"
                 "5|2|u0@example.org|Sender@example.com|bob");
    assert_query(b->path, "SELECT count(*) FROM event WHERE kind=5", "6");
}

static void an_order_is_written_down_with_who_gave_it(void **state)
{
    struct bench *b = *state;

    put_three(b);
    change(b, CHANGE_DELETE,
           (struct queue_filter){ .from = SPAN("*@example.com\n") }, T0);
    assert_query(b->path, "SELECT kind,login,reply FROM event",
                 "6|ann|delete from=*@example.com\\x0A: 0 messages, 0 "
                 "recipients");
}

static void a_long_order_is_written_down_before_and_after(void **state)
{
    struct bench *b = *state;

    put_three(b);
    change(b, CHANGE_HOLD, (struct queue_filter){ .states = STATE_READY }, T0);
    assert_query(b->path, "SELECT reply FROM event ORDER BY id",
                 "hold state=ready: begun\n"
                 "hold state=ready: 3 messages, 9 recipients");
}

static const struct store_change *as_move(struct store_change *c,
                                          const struct queue_filter *f,
                                          int64_t now_ms)
{
    *c = (struct store_change){ .filter = f,
                                .change = CHANGE_MOVE,
                                .route = SPAN("spare"),
                                .now_ms = now_ms };
    return c;
}

static struct queue_count run_change(struct bench *b,
                                     const struct store_change *c)
{
    struct queue_count count = { 0 };
    uint64_t last = 0;

    do {
        assert_int_equal(store_begin(b->s), 0);
        assert_int_equal(store_change(b->s, c, last, 2, &count, &last), 0);
        assert_int_equal(store_commit(b->s), 0);
    } while (last);
    return count;
}

static void a_move_goes_to_another_lane_and_is_due(void **state)
{
    struct bench *b = *state;
    const struct queue_filter org = { .domain = SPAN("example.org") };
    struct store_change c;
    struct works w = { 0 };

    put_three(b);
    read_due(b, "example.org", T0, &w);
    settle(b, w.at[0], 0, OUTCOME_DEFERRED, T0);
    change(b, CHANGE_HOLD, (struct queue_filter){ .id = 3 }, T0);
    assert_int_equal(run_change(b, as_move(&c, &org, T0 + 5)).recipients, 6);
    assert_int_equal(due_count(b, "example.org", INT64_MAX - 1), 0);
    /* What is held stays so, in its new lane. */
    assert_int_equal(due_count(b, "example.org\tspare", T0 + 5), 4);
    change(b, CHANGE_RELEASE, (struct queue_filter){ 0 }, T0 + 5);
    assert_int_equal(due_count(b, "example.org\tspare", T0 + 5), 6);
    assert_int_equal(due_count(b, "example.net", T0 + 5), 3);
    /* Once more: the old title goes. */
    c.route = SPAN("other");
    assert_int_equal(run_change(b, &c).recipients, 6);
    assert_int_equal(due_count(b, "example.org\tother", T0 + 5), 6);
    works_free(&w);
}

static void what_is_bounced_is_an_alarm_until_it_is_settled(void **state)
{
    struct bench *b = *state;
    const struct queue_filter all = { 0 };
    struct store_change c = { .filter = &all,
                              .change = CHANGE_BOUNCE,
                              .why = SPAN("spam\r\n"),
                              .who = SPAN("ann"),
                              .now_ms = T0 };
    struct works w = { 0 };

    put_three(b);
    change(b, CHANGE_HOLD, (struct queue_filter){ .id = 3 }, T0);
    change(b, CHANGE_DELETE, (struct queue_filter){ .id = 2 }, T0);
    assert_int_equal(run_change(b, &c).messages, 2);
    assert_int_equal(due_count(b, "example.org", INT64_MAX - 1), 0);
    /* Nothing else meets it any more. */
    for (int i = CHANGE_RETRY; i <= CHANGE_BOUNCE; i++)
        if (i != CHANGE_UNDELETE)
            assert_int_equal(change(b, (enum queue_change)i, all, T0).messages,
                             0);
    assert_int_equal(store_read_alarms(b->r, T0, 0, 32, keep_work, &w), 0);
    assert_int_equal(w.count, 2);
    assert_int_equal(w.at[1]->count, 3);
    assert_true(w.at[1]->recipients[0].is_returned);
    assert_true(span_is(w.at[1]->recipients[0].last_reply,
                        SPAN("5.7.0 returned to the sender by an operator: "
                             "spam\\x0D\\x0A")));
    assert_true(span_is(w.at[1]->recipients[0].returned_by, SPAN("ann")));
    /* An attempt that was under way all the same changes nothing of it. */
    settle(b, w.at[0], 0, OUTCOME_DEFERRED, T0);
    works_free(&w);
    w = (struct works){ 0 };
    assert_int_equal(store_read_alarms(b->r, T0, 0, 32, keep_work, &w), 0);
    assert_int_equal(w.at[0]->count, 3);
    for (size_t i = 0; i < 3; i++)
        settle(b, w.at[0], i, OUTCOME_RETURNED, T0);
    assert_query(b->path,
                 "SELECT count(*),min(attempts) FROM event WHERE kind=7 AND "
                 "message=1 AND who='ann'",
                 "3|0");
    assert_query(b->path, "SELECT count(*) FROM message", "2");
    works_free(&w);
}

static void name_of(void *user, struct span lane, struct buffer *out_name)
{
    size_t *asked = user;

    ++*asked;
    buffer_put_string(out_name, "mx:");
    buffer_put(out_name, lane);
    buffer_put_string(out_name, " most=9s");
}

static void via_is_asked_once_for_each_lane(void **state)
{
    static const struct {
        const char *via;
        uint64_t recipients;
    } rows[] = {
        { "mx:example.org", 6 },    { "MX:*", 9 },      { "*.net *", 3 },
        { "mx:example", 0 },        { "mx:[e]xample.org*", 6 },
        { "mx:example.org most=9s", 6 },
    };
    struct bench *b = *state;

    put_three(b);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct queue_filter f = { .via = span_of(rows[i].via) };
        size_t asked = 0;
        const struct store_view view = { .destination = name_of,
                                         .user = &asked };
        struct queue_count count = { 0 };
        uint64_t next;

        assert_int_equal(
            store_count(b->r, &f, T0, &view, 0, 100, &count, &next), 0);
        assert_int_equal(count.recipients, rows[i].recipients);
        assert_int_equal(asked, 2);
    }
}

static void a_deferral_does_not_wake_what_was_held_meanwhile(void **state)
{
    struct bench *b = *state;
    struct works w = { 0 };
    struct sample p;

    put(b, sample_of(&p, 1, 1));
    read_due(b, "example.org", T0, &w);
    change(b, CHANGE_HOLD, (struct queue_filter){ 0 }, T0);
    settle(b, w.at[0], 0, OUTCOME_DEFERRED, T0);
    assert_int_equal(due_count(b, "example.org", INT64_MAX - 1), 0);
    works_free(&w);
}

int main(void)
{
    /* clang-format off */
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, bench_new_open, bench_free)
        T(retry_makes_what_waits_due_now),
        T(an_order_means_the_recipients_of_its_filter_only),
        T(an_order_means_what_a_count_means),
        T(what_is_being_sent_is_left_alone),
        T(holding_stops_the_clock),
        T(a_deleted_message_can_be_brought_back_for_a_day),
        T(what_was_held_before_its_deletion_is_held_after),
        T(a_list_says_whose_order_keeps_it_and_what_was_said_last),
        T(the_history_of_the_deleted_says_who_it_was),
        T(a_day_later_the_deleted_is_gone),
        T(an_order_is_written_down_with_who_gave_it),
        T(a_deferral_does_not_wake_what_was_held_meanwhile),
        T(a_long_order_is_written_down_before_and_after),
        T(a_move_goes_to_another_lane_and_is_due),
        T(what_is_bounced_is_an_alarm_until_it_is_settled),
        T(via_is_asked_once_for_each_lane),
    };
    /* clang-format on */

    return cmocka_run_group_tests(tests, NULL, NULL);
}
