/*
 * test_settlement - what becomes of recipients, and who is told of it.
 *
 * Moments are counted from now, with hours to spare. Reports are composed but
 * not put; ids for them come from a queue of the test's own.
 */
#include "policy/route.h"
#include "policy/vocabulary/id.h"
#include "policy/vocabulary/memory.h"
#include "relay/outbound/settlement_report.h"
#include "settings_faults.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define SIZE_OF(array) (sizeof(array) / sizeof((array)[0]))

enum { HOUR_MS = 3600 * 1000, PEOPLE_MOST = 4 };

#define CONTENT "Subject: hi\r\n\r\nbody\r\n"

/* clang-format off */
#define CONFIG \
    "hostname = relay.test\nqueue { path = \"/x/queue.db\" }\n" \
    "listener \"a\" { address = \"127.0.0.1:1\" }\n" \
    "rule \"r\" { client = {\"127.0.0.0/8\"} action = relay }\n" \
    "route \"*\" { via = {\"smtp://127.0.0.1:2\"} }\n" \
    "route \"slow.test\" { via = {\"smtp://127.0.0.1:3\"}  warn = \"1d\" }\n" \
    "retry { first = \"60s\"  most = \"1h\"  expire = \"5d\"  warn = \"4h\" }\n"
/* clang-format on */

static struct world {
    char folder[64];
    struct queue *queue;
    struct worker *worker;
    struct settings *plain, *with_postmaster;
} world;

struct scene {
    struct queue_work work;
    struct queue_recipient people[PEOPLE_MOST];
    struct settlement settlement;
    struct settlement_reports reports;
};

static int64_t hours(int n)
{
    return wall_ms() + (int64_t)n * HOUR_MS;
}

static void begin(struct scene *s, size_t count, unsigned notify,
                  const char *sender)
{
    *s = (struct scene){ .work = { .message = 17,
                                   .recipients = s->people,
                                   .count = count,
                                   .content = SPAN(CONTENT) } };
    s->work.envelope = (struct envelope){ .sender = span_of(sender),
                                          .protocol = SPAN("ESMTP"),
                                          .received_ms = hours(-1),
                                          .size_bytes = strlen(CONTENT),
                                          .header_bytes = 15 };
    for (size_t i = 0; i < count; i++)
        s->people[i] = (struct queue_recipient){
            .number = (uint32_t)i,
            .address = SPAN("a@b.test"),
            .notify = notify,
            .expire_ms = hours(100),
            .warn_ms = hours(3),
            .last_reply = SPAN("4.2.1 450 4.2.1 wait"),
        };
}

static void claim(struct scene *s, struct settings *settings)
{
    settlement_begin(&s->settlement, world.worker, settings, NULL, &s->work);
}

static void note(struct scene *s, size_t i, struct client_outcome o)
{
    if (!o.status.class)
        o.status = o.diagnosis == DIAGNOSIS_DELIVERED ? STATUS(2, 0, 0)
                                                      : STATUS(5, 1, 1);
    o.reply = SPAN("what it said");
    settlement_note(&s->settlement, i, &o, SPAN("mx.b.test[192.0.2.1]:25"),
                    true);
}

static size_t report(struct scene *s)
{
    settlement_report_make(&s->settlement, &s->reports);
    return s->reports.count;
}

static bool says(const struct scene *s, size_t i, const char *words)
{
    const struct queue_message *m = &s->reports.messages[i];

    return memmem(m->take_content, m->envelope.size_bytes, words,
                  strlen(words)) != NULL;
}

static void end(struct scene *s)
{
    for (size_t i = 0; i < s->reports.count; i++)
        free(s->reports.messages[i].take_content);
    settlement_report_fini(&s->reports);
    arena_reset(&s->settlement.texts);
}

#define DELIVERED                                                              \
    (struct client_outcome)                                                    \
    {                                                                          \
        .diagnosis = DIAGNOSIS_DELIVERED                                       \
    }
#define FAILED                                                                 \
    (struct client_outcome)                                                    \
    {                                                                          \
        .diagnosis = DIAGNOSIS_FAILED                                          \
    }
#define LATER                                                                  \
    (struct client_outcome)                                                    \
    {                                                                          \
        .diagnosis = DIAGNOSIS_LATER, .status = { 4, 2, 1 }                    \
    }

/* ---------------------------------------------------------------- notify ---- */

static void notify_is_obeyed(void **state)
{
    static const struct {
        unsigned notify;
        bool of_success, of_failure, of_delay;
    } rows[] = {
        { 0, false, true, true },
        { NOTIFY_NEVER, false, false, false },
        { NOTIFY_SUCCESS, true, false, false },
        { NOTIFY_FAILURE, false, true, false },
        { NOTIFY_DELAY, false, false, true },
        { NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY, true, true, true },
    };

    (void)state;
    for (size_t i = 0; i < SIZE_OF(rows); i++) {
        struct scene s;

        begin(&s, 1, rows[i].notify, "s@c.test");
        claim(&s, world.plain);
        note(&s, 0, DELIVERED);
        assert_int_equal(report(&s), rows[i].of_success);
        end(&s);

        begin(&s, 1, rows[i].notify, "s@c.test");
        claim(&s, world.plain);
        note(&s, 0, FAILED);
        assert_int_equal(report(&s), rows[i].of_failure);
        end(&s);

        begin(&s, 1, rows[i].notify, "s@c.test");
        s.people[0].warn_ms = hours(-1);
        claim(&s, world.plain);
        settlement_alarms(&s.settlement);
        assert_int_equal(report(&s), rows[i].of_delay);
        end(&s);
    }
}

static void one_settlement_can_owe_reports_of_each_kind(void **state)
{
    struct scene s;
    unsigned all = NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY;

    (void)state;
    begin(&s, 4, all, "s@c.test");
    s.people[1].address = SPAN("failed@b.test");
    s.people[2].address = SPAN("failed2@b.test");
    claim(&s, world.plain);
    note(&s, 0, DELIVERED);
    note(&s, 1, FAILED);
    note(&s, 2, FAILED);
    note(&s, 3, LATER);
    assert_int_equal(report(&s), 2);
    assert_true(says(&s, 0, "Subject: Undelivered Mail Returned to Sender"));
    assert_true(says(&s, 0, "rfc822; failed@b.test"));
    assert_true(says(&s, 0, "rfc822; failed2@b.test"));
    assert_false(says(&s, 0, "rfc822; a@b.test"));
    assert_true(says(&s, 1, "Subject: Successful Mail Delivery Report"));
    assert_true(s.reports.messages[0].id != s.reports.messages[1].id);
    for (size_t i = 0; i < 2; i++) {
        const struct queue_message *m = &s.reports.messages[i];

        assert_int_equal(m->recipients->notify, NOTIFY_NEVER);
        assert_true(span_is(m->recipients->address, SPAN("s@c.test")));
        assert_true(span_is(m->recipients->lane, SPAN("c.test")));
        assert_int_equal(m->envelope.sender.len, 0);
        assert_int_equal(m->envelope.body, BODY_7BIT);
    }
    end(&s);
}

static void with_verp_each_recipient_has_a_report_of_its_own(void **state)
{
    struct scene s;

    (void)state;
    begin(&s, 3, 0, "owner@c.test");
    s.work.envelope.verp = SPAN("+=");
    s.people[0].address = SPAN("one@b.test");
    s.people[2].address = SPAN(
        "a.name.that.is.rather.long.in.itself@and.has.a.long.domain.too.test");
    claim(&s, world.plain);
    note(&s, 0, FAILED);
    note(&s, 1, DELIVERED);
    note(&s, 2, FAILED);
    assert_int_equal(report(&s), 2);
    for (size_t i = 0; i < 2; i++) {
        const struct queue_message *m = &s.reports.messages[i];

        assert_true(says(&s, i, i ? "in.itself@and" : "rfc822; one@b.test"));
        assert_false(says(&s, i, i ? "one@b.test" : "in.itself"));
        assert_true(span_is(m->recipients->lane, SPAN("c.test")));
        assert_true(says(&s, i, i ? "To: <owner+a.name.that." : "To: <owner+one="
                                                               "b.test@c.test>"));
    }
    assert_true(span_is(s.reports.messages[0].recipients->address,
                        SPAN("owner+one=b.test@c.test")));
    assert_true(span_is(
        s.reports.messages[1].recipients->address,
        SPAN("owner+a.name.that.is.rather.long.in.itself="
             "and.has.a.long.domain.too.test@c.test")));
    end(&s);
}

/* --------------------------------------------------------------- success ---- */

static void success_is_told_by_who_is_the_last_to_know(void **state)
{
    static const struct {
        bool is_lmtp, dsn_passed, by_passed, trace;
        unsigned notify;
        const char *action;
    } rows[] = {
        { false, false, false, false, NOTIFY_SUCCESS, "Action: relayed\r\n" },
        { true, false, false, false, NOTIFY_SUCCESS, "Action: delivered\r\n" },
        { false, true, true, false, NOTIFY_SUCCESS, NULL },
        { true, true, false, false, NOTIFY_SUCCESS, NULL },
        { false, true, false, true, NOTIFY_SUCCESS, "Action: relayed\r\n" },
        { false, true, false, true, 0, "Action: relayed\r\n" },
        { false, true, true, true, 0, "Action: relayed\r\n" },
        { false, true, true, true, NOTIFY_NEVER, NULL },
        { false, true, true, false, 0, NULL },
        /* mode N, and the hop does not know of it */
        { false, true, false, false, 0, "Action: relayed\r\n" },
        { false, true, false, false, NOTIFY_NEVER, NULL },
        { false, false, false, true, NOTIFY_NEVER, NULL },
        { true, false, false, true, 0, NULL },
    };

    (void)state;
    for (size_t i = 0; i < SIZE_OF(rows); i++) {
        struct scene s;

        begin(&s, 1, rows[i].notify, "s@c.test");
        s.work.envelope.deliver_by_ms = hours(1);
        s.work.envelope.deliver_by_trace = rows[i].trace;
        claim(&s, world.plain);
        s.settlement.is_final = rows[i].is_lmtp;
        note(&s, 0,
             (struct client_outcome){ .diagnosis = DIAGNOSIS_DELIVERED,
                                      .dsn_passed = rows[i].dsn_passed,
                                      .by_passed = rows[i].by_passed });
        assert_int_equal(report(&s), rows[i].action != NULL);
        if (rows[i].action) {
            assert_true(says(&s, 0, rows[i].action));
            assert_true(says(&s, 0, "Status: 2.0.0\r\n"));
        }
        end(&s);
    }
}

/* ------------------------------------------------------------ deliver by ---- */

static void deliver_by_return_ends_it_in_time(void **state)
{
    struct scene s;

    (void)state;
    begin(&s, 1, 0, "s@c.test");
    s.work.envelope.deliver_by_ms = hours(2);
    s.work.envelope.deliver_by_mode = DELIVER_BY_RETURN;
    claim(&s, world.plain);
    note(&s, 0, LATER);
    assert_int_equal(s.settlement.results[0].outcome, OUTCOME_DEFERRED);
    assert_true(s.settlement.results[0].expire_ms ==
                s.work.envelope.deliver_by_ms);
    assert_int_equal(report(&s), 0);
    s.work.envelope.deliver_by_ms = hours(-1);
    note(&s, 0, LATER);
    assert_int_equal(s.settlement.results[0].outcome, OUTCOME_EXPIRED);
    assert_int_equal(report(&s), 1);
    assert_true(says(&s, 0, "Action: failed\r\nStatus: 5.4.7\r\n"));
    end(&s);

    begin(&s, 1, 0, "s@c.test");
    s.work.envelope.deliver_by_ms = s.people[0].expire_ms = hours(-1);
    s.work.envelope.deliver_by_mode = DELIVER_BY_RETURN;
    claim(&s, world.plain);
    settlement_alarms(&s.settlement);
    assert_int_equal(report(&s), 1);
    assert_true(says(&s, 0, "Action: failed\r\nStatus: 5.4.7\r\n"));
    end(&s);
}

static void deliver_by_notify_tells_and_goes_on(void **state)
{
    struct scene s;

    (void)state;
    begin(&s, 1, 0, "s@c.test");
    s.work.envelope.deliver_by_ms = hours(2);
    claim(&s, world.plain);
    note(&s, 0, LATER);
    assert_true(s.settlement.results[0].warn_ms ==
                s.work.envelope.deliver_by_ms);
    end(&s);

    begin(&s, 1, 0, "s@c.test");
    s.work.envelope.received_ms = hours(-1) - 600000;
    s.work.envelope.deliver_by_ms = s.people[0].warn_ms = hours(-1);
    claim(&s, world.plain);
    settlement_alarms(&s.settlement);
    assert_int_equal(s.settlement.results[0].outcome, OUTCOME_WARNED);
    /* The usual notice, at four hours, is still to come; then none. */
    assert_true(s.settlement.results[0].warn_ms > hours(2) &&
                s.settlement.results[0].warn_ms < hours(4));
    assert_int_equal(report(&s), 1);
    assert_true(says(&s, 0, "Action: delayed\r\nStatus: 4.4.7\r\n"));
    s.people[0].warn_ms = s.settlement.results[0].warn_ms;
    note(&s, 0, LATER);
    assert_true(s.settlement.results[0].warn_ms == s.people[0].warn_ms);
    end(&s);

    begin(&s, 1, 0, "s@c.test");
    s.work.envelope.received_ms = hours(-6);
    s.work.envelope.deliver_by_ms = hours(2);
    s.people[0].warn_ms = hours(-2);
    claim(&s, world.plain);
    settlement_alarms(&s.settlement);
    assert_true(s.settlement.results[0].warn_ms ==
                s.work.envelope.deliver_by_ms);
    s.people[0].warn_ms = s.work.envelope.deliver_by_ms;
    note(&s, 0, LATER);
    assert_true(s.settlement.results[0].warn_ms ==
                s.work.envelope.deliver_by_ms);
    s.people[0].warn_ms = INT64_MAX;
    note(&s, 0, LATER);
    assert_true(s.settlement.results[0].warn_ms == INT64_MAX);
    end(&s);
}

static void a_time_that_was_over_when_it_came_is_not_told_again(void **state)
{
    struct scene s;

    (void)state;
    begin(&s, 1, 0, "s@c.test");
    s.work.envelope.deliver_by_ms = s.work.envelope.received_ms - 1000;
    claim(&s, world.plain);
    note(&s, 0, LATER);
    assert_true(s.settlement.results[0].warn_ms > hours(2));
    end(&s);
}

/* ---------------------------------------------------------- future release ---- */

static void the_age_of_what_was_held_begins_with_its_release(void **state)
{
    struct scene s;

    (void)state;
    begin(&s, 1, 0, "s@c.test");
    s.work.envelope.received_ms = hours(-24 * 10);
    s.work.envelope.release_ms = hours(-1);
    claim(&s, world.plain);
    note(&s, 0, LATER);
    assert_int_equal(s.settlement.results[0].outcome, OUTCOME_DEFERRED);
    assert_true(s.settlement.results[0].expire_ms > hours(24 * 5 - 2));
    assert_true(s.settlement.results[0].warn_ms > hours(2));
    end(&s);
}

/* An alarm brings all recipients of a message, wherever they lead. */
static void each_recipient_is_told_of_by_its_own_route(void **state)
{
    struct scene s;

    (void)state;
    begin(&s, 2, 0, "s@c.test");
    s.work.envelope.received_ms = hours(-5);
    s.people[0].lane = SPAN("slow.test");
    s.people[0].warn_ms = hours(19);
    s.people[1].lane = SPAN("other.test");
    s.people[1].warn_ms = hours(-1);
    settlement_begin(&s.settlement, world.worker, world.plain,
                     route_of_lane(world.plain, s.people[0].lane), &s.work);
    settlement_alarms(&s.settlement);
    assert_int_equal(s.settlement.results[0].warn_ms, s.people[0].warn_ms);
    assert_true(s.settlement.results[1].warn_ms == INT64_MAX);
    assert_int_equal(report(&s), 1);
    end(&s);
}

/* ---------------------------------------------------------- double bounce ---- */

static void the_postmaster_hears_once_of_what_came_from_nobody(void **state)
{
    static const struct {
        const char *protocol;
        unsigned notify;
        bool has_postmaster, is_told;
    } rows[] = {
        { "report", NOTIFY_NEVER, true, true },
        { "report", NOTIFY_NEVER, false, false },
        { "notice", NOTIFY_NEVER, true, false },
        { "notice", NOTIFY_FAILURE, true, false },
        { "ESMTP", 0, true, true },
        { "ESMTP", NOTIFY_NEVER, true, false },
        { "ESMTP", NOTIFY_SUCCESS, true, false },
    };

    (void)state;
    for (size_t i = 0; i < SIZE_OF(rows); i++) {
        struct scene s;

        begin(&s, 1, rows[i].notify, "");
        s.work.envelope.protocol = span_of(rows[i].protocol);
        claim(&s, rows[i].has_postmaster ? world.with_postmaster : world.plain);
        note(&s, 0, FAILED);
        assert_int_equal(report(&s), rows[i].is_told);
        if (rows[i].is_told) {
            const struct queue_message *m = &s.reports.messages[0];

            assert_true(says(&s, 0,
                             "To: <ops@us.test>\r\nSubject: "
                             "Postmaster Notice: "));
            assert_true(span_is(m->envelope.protocol, SPAN("notice")));
            assert_int_equal(m->envelope.sender.len, 0);
            assert_int_equal(m->recipients->notify, NOTIFY_NEVER);
            assert_true(span_is(m->recipients->address, SPAN("ops@us.test")));
        }
        end(&s);
    }
}

static void nobody_hears_that_what_came_from_nobody_arrived(void **state)
{
    struct scene s;

    (void)state;
    begin(&s, 1, NOTIFY_SUCCESS, "");
    claim(&s, world.with_postmaster);
    note(&s, 0, DELIVERED);
    assert_int_equal(report(&s), 0);
    end(&s);
}

static void the_postmaster_is_not_told_of_other_bounces(void **state)
{
    struct scene s;

    (void)state;
    begin(&s, 1, 0, "s@c.test");
    claim(&s, world.with_postmaster);
    note(&s, 0, FAILED);
    assert_int_equal(report(&s), 1);
    assert_true(span_is(s.reports.to[0].address, SPAN("s@c.test")));
    assert_true(
        span_is(s.reports.messages[0].envelope.protocol, SPAN("report")));
    end(&s);
}

static void only_an_international_sender_needs_smtputf8(void **state)
{
    struct scene s;

    (void)state;
    begin(&s, 1, 0, "s@c.test");
    s.work.envelope.smtputf8 = true;
    s.work.content = SPAN("Subject: \xc3\xa4\r\n\r\nx\r\n");
    s.people[0].address = SPAN("\xc3\xb6@b.test");
    claim(&s, world.plain);
    note(&s, 0, FAILED);
    assert_int_equal(report(&s), 1);
    assert_false(s.reports.messages[0].envelope.smtputf8);
    assert_false(s.reports.messages[0].envelope.has_8bit);
    end(&s);

    begin(&s, 1, 0, "\xc3\xa4@c.test");
    s.work.envelope.smtputf8 = true;
    claim(&s, world.plain);
    note(&s, 0, FAILED);
    assert_int_equal(report(&s), 1);
    assert_true(s.reports.messages[0].envelope.smtputf8);
    assert_int_equal(s.reports.messages[0].envelope.body, BODY_8BITMIME);
    end(&s);
}

/* ------------------------------------------------------------------ world ---- */

static void no_route(void *user, struct span lane,
                     struct queue_destination *out)
{
    (void)user;
    (void)lane;
    buffer_put_string(&out->name, "none");
    out->connections = 1;
}

static void no_notice(void *user, enum queue_notice kind, const char *text)
{
    (void)user;
    (void)kind;
    (void)text;
}

static int open_world(void **state)
{
    struct buffer why = { 0 };
    char path[80];
    int rc;

    (void)state;
    (void)snprintf(world.folder, sizeof world.folder,
                   "/tmp/test_settlement.XXXXXX");
    if (!mkdtemp(world.folder))
        return -1;
    (void)snprintf(path, sizeof path, "%s/queue.db", world.folder);
    rc = queue_open(&world.queue,
                    &(struct queue_options){
                        .path = path, .route = no_route, .notice = no_notice },
                    &why);
    buffer_fini(&why);
    world.worker = NEW(struct worker);
    world.worker->queue = world.queue;
    world.plain = read_well(CONFIG);
    world.with_postmaster = read_well("postmaster = \"ops@us.test\"\n" CONFIG);
    return rc < 0 || !world.plain || !world.with_postmaster ? -1 : 0;
}

static int remove_one(const char *path, const struct stat *st, int kind,
                      struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

static int close_world(void **state)
{
    (void)state;
    queue_close(world.queue);
    settings_release(world.plain);
    settings_release(world.with_postmaster);
    free(world.worker);
    return nftw(world.folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notify_is_obeyed),
        cmocka_unit_test(one_settlement_can_owe_reports_of_each_kind),
        cmocka_unit_test(with_verp_each_recipient_has_a_report_of_its_own),
        cmocka_unit_test(success_is_told_by_who_is_the_last_to_know),
        cmocka_unit_test(deliver_by_return_ends_it_in_time),
        cmocka_unit_test(deliver_by_notify_tells_and_goes_on),
        cmocka_unit_test(a_time_that_was_over_when_it_came_is_not_told_again),
        cmocka_unit_test(the_age_of_what_was_held_begins_with_its_release),
        cmocka_unit_test(each_recipient_is_told_of_by_its_own_route),
        cmocka_unit_test(the_postmaster_hears_once_of_what_came_from_nobody),
        cmocka_unit_test(nobody_hears_that_what_came_from_nobody_arrived),
        cmocka_unit_test(the_postmaster_is_not_told_of_other_bounces),
        cmocka_unit_test(only_an_international_sender_needs_smtputf8),
    };

    return cmocka_run_group_tests(tests, open_world, close_world);
}
