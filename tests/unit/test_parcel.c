/*
 * parcel against a real client engine and scripted replies: who stays, who moves, who is
 * settled, and that it always ends.
 */
#include "policy/vocabulary/memory.h"
#include "relay/outbound/parcel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { PEOPLE_MOST = LIMIT_TRANSACTION_RECIPIENTS };

struct world {
    struct worker *worker;
    struct delivery delivery;
    struct settings settings;
    struct queue_work work;
    struct route route; /* zeroed: convert = never */
    struct queue_recipient people[PEOPLE_MOST];
    struct parcel parcel;
    struct client *client;
};

static void hear(struct world *w, const char *replies)
{
    client_feed(w->client, span_of(replies), 0);
    buffer_clear(client_output(w->client));
}

/* A greeted connection to a host that says this to EHLO. */
static void connect_to(struct world *w, const char *ehlo)
{
    client_free(w->client);
    w->client = client_new(
        &(struct client_options){ .hostname = SPAN("us.test"),
                                  .timeouts = &client_timeouts_default },
        0);
    hear(w, "220 peer.test ESMTP\r\n");
    hear(w, ehlo);
    parcel_meet(&w->parcel, 1, 0);
}

static void begin(struct world *w, size_t count, const char *ehlo)
{
    *w = (struct world){ .worker = NEW(struct worker) };
    w->delivery.worker = w->worker;
    w->settings.retry =
        (struct retry_settings){ .first_ms = 1000,
                                 .most_ms = 1000,
                                 .expire_ms = INT64_MAX / 4,
                                 .expire_report_ms = INT64_MAX / 4 };
    w->route.retry = w->settings.retry;
    for (size_t i = 0; i < count; i++)
        w->people[i] = (struct queue_recipient){ .number = (uint32_t)i,
                                                 .address = SPAN("a@b") };
    w->work = (struct queue_work){ .message = 1,
                                   .recipients = w->people,
                                   .count = count,
                                   .content = SPAN("x\r\n") };
    w->work.envelope.sender = SPAN("s@from.test");
    w->work.envelope.size_bytes = 3;
    parcel_init(&w->parcel, &w->delivery, NULL, NULL, NULL);
    parcel_take(&w->parcel, &w->settings, &w->route, &w->work);
    connect_to(w, ehlo);
}

static void end(struct world *w)
{
    arena_reset(&w->parcel.settlement.texts);
    w->parcel.is_held = false; /* no queue here to settle with */
    packing_fini(&w->parcel.packing);
    packing_fini(&w->parcel.packing);
    parcel_fini(&w->parcel);
    client_free(w->client);
    free(w->worker);
}

/* One transaction; replies come as the engine asks for them. */
static enum parcel_fate attempt(struct world *w, const char *replies,
                                const char *to_dot, bool has_other)
{
    enum parcel_fate fate;

    parcel_start(&w->parcel, w->client);
    hear(w, replies);
    if (client_wants(w->client) == CLIENT_SENDS) {
        parcel_send(&w->parcel, w->client);
        hear(w, to_dot);
    }
    assert_int_equal(client_wants(w->client), CLIENT_DONE);
    fate = parcel_collect(&w->parcel, w->client, SPAN("h"), has_other);
    client_next(w->client, 0);
    buffer_clear(client_output(w->client));
    if (client_wants(w->client) == CLIENT_READS)
        hear(w, "250 reset\r\n");
    return fate;
}

static enum queue_outcome outcome(const struct world *w, size_t i)
{
    return w->parcel.settlement.results[i].outcome;
}

#define PIPELINING "250-peer\r\n250 PIPELINING\r\n"

static void a_host_with_a_small_rcptmax_is_given_few_at_a_time(void **state)
{
    struct world w;

    (void)state;
    begin(&w, 3, "250-peer\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=1\r\n");
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            attempt(&w, "250 a\r\n250 b\r\n354 c\r\n", "250 d\r\n", false),
            PARCEL_STAYS);
    assert_int_equal(
        attempt(&w, "250 a\r\n250 b\r\n354 c\r\n", "250 d\r\n", false),
        PARCEL_DONE);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(outcome(&w, i), OUTCOME_DELIVERED);
    end(&w);
}

static void what_was_one_too_many_stays_here(void **state)
{
    struct world w;

    (void)state;
    begin(&w, 3, PIPELINING);
    assert_int_equal(attempt(&w,
                             "250 m\r\n250 a\r\n452 4.5.3 enough\r\n"
                             "550 5.1.1 no\r\n354 c\r\n",
                             "250 d\r\n", true),
                     PARCEL_STAYS);
    assert_int_equal(w.parcel.here_count, 1);
    assert_int_equal(w.parcel.here[0], 1);
    assert_int_equal(outcome(&w, 0), OUTCOME_DELIVERED);
    assert_int_equal(outcome(&w, 2), OUTCOME_FAILED);
    assert_int_equal(
        attempt(&w, "250 m\r\n250 a\r\n354 c\r\n", "250 d\r\n", true),
        PARCEL_DONE);
    end(&w);
}

static void a_4xx_moves_to_a_second_host_and_no_third(void **state)
{
    static const char later[] = "250 m\r\n450 4.2.0 later\r\n554 none\r\n";
    struct world w;

    (void)state;
    begin(&w, 1, PIPELINING);
    assert_int_equal(attempt(&w, later, "", true), PARCEL_MOVES);
    assert_int_equal(w.parcel.here_count, 0);
    parcel_moves(&w.parcel);
    assert_int_equal(w.parcel.here_count, 1);
    connect_to(&w, PIPELINING);
    assert_int_equal(attempt(&w, later, "", true), PARCEL_DONE);
    assert_int_equal(outcome(&w, 0), OUTCOME_DEFERRED);
    end(&w);
}

static void what_the_last_host_cannot_take_fails_and_elsewhere_waits(
    void **state)
{
    struct world w;

    (void)state;
    begin(&w, 1, PIPELINING);
    w.work.envelope.has_8bit = true;
    assert_int_equal(attempt(&w, "", "", true), PARCEL_MOVES);
    assert_int_equal(outcome(&w, 0), OUTCOME_DEFERRED);
    assert_int_equal(w.parcel.settlement.results[0].status.class, 4);
    parcel_moves(&w.parcel);
    connect_to(&w, PIPELINING);
    assert_int_equal(attempt(&w, "", "", false), PARCEL_DONE);
    assert_int_equal(outcome(&w, 0), OUTCOME_FAILED);
    end(&w);
}

/* The first recipient is put off, then the connection is closed: over and over that would
 * never end. */
static void a_dead_kept_connection_is_tried_afresh_once(void **state)
{
    static const enum parcel_fate fates[] = { PARCEL_STALE, PARCEL_MOVES };
    static const char one_each[] =
        "250-peer\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=1\r\n";
    struct world w;

    (void)state;
    begin(&w, 2, one_each);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(
            attempt(&w, "250 m\r\n450 4.2.0 x\r\n554 none\r\n", "", true),
            PARCEL_STAYS);
        assert_int_equal(attempt(&w, "421 4.3.2 bye\r\n", "", true), fates[i]);
        if (fates[i] != PARCEL_STALE)
            break;
        assert_true(parcel_may_go_afresh(&w.parcel));
        parcel_goes_afresh(&w.parcel);
        parcel_moves(&w.parcel);
        connect_to(&w, one_each);
    }
    assert_int_equal(outcome(&w, 0), OUTCOME_DEFERRED);
    assert_int_equal(outcome(&w, 1), OUTCOME_DEFERRED);
    end(&w);
}

/* Who comes for his mail comes again; what he refused has a time of its own. */
static void what_a_customer_did_not_hear_of_is_due_as_before(void **state)
{
    static const struct {
        const char *replies;
        bool is_lost;
        enum queue_outcome outcomes[2];
    } rows[] = {
        { "", true, { OUTCOME_FREED, OUTCOME_FREED } },
        { "421 4.3.2 bye\r\n", false, { OUTCOME_FREED, OUTCOME_FREED } },
        { "451 4.3.0 no\r\n503 a\r\n503 b\r\n503 c\r\n", false,
          { OUTCOME_DEFERRED, OUTCOME_DEFERRED } },
        { "250 m\r\n450 4.2.0 x\r\n", true,
          { OUTCOME_DEFERRED, OUTCOME_FREED } },
        { "250 m\r\n550 5.1.1 x\r\n421 4.3.2 bye\r\n", false,
          { OUTCOME_FAILED, OUTCOME_FREED } },
        { "250 m\r\n250 a\r\n250 b\r\n", true,
          { OUTCOME_FREED, OUTCOME_FREED } },
        { "250 m\r\n250 a\r\n250 b\r\n354 c\r\n", true,
          { OUTCOME_DEFERRED, OUTCOME_DEFERRED } }, /* in doubt */
        { "what?\r\n", false, { OUTCOME_DEFERRED, OUTCOME_DEFERRED } },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world w;

        begin(&w, 2, PIPELINING);
        w.parcel.frees_lost = true;
        parcel_start(&w.parcel, w.client);
        hear(&w, rows[i].replies);
        if (client_wants(w.client) == CLIENT_SENDS) {
            parcel_send(&w.parcel, w.client);
            buffer_clear(client_output(w.client));
        }
        if (rows[i].is_lost)
            client_lost(w.client, SPAN("connection reset by peer"), 0);
        assert_int_equal(parcel_collect(&w.parcel, w.client, SPAN("h"), false),
                         PARCEL_DONE);
        assert_false(parcel_was_taken(&w.parcel));
        for (size_t k = 0; k < 2; k++)
            assert_int_equal(outcome(&w, k), rows[i].outcomes[k]);
        end(&w);
    }
}

static void lost_content_holds_only_who_has_no_other_outcome(void **state)
{
    struct world w;

    (void)state;
    begin(&w, 4, "250-peer\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=2\r\n");
    assert_int_equal(attempt(&w, "250 m\r\n250 a\r\n450 4.2.0 x\r\n354 c\r\n",
                             "250 d\r\n", true),
                     PARCEL_STAYS);
    parcel_start(&w.parcel, w.client);
    hear(&w, "250 m\r\n550 5.1.1 no\r\n250 a\r\n354 c\r\n");
    parcel_send_part(&w.parcel, w.client, ERROR_GONE, SPAN(""));
    assert_int_equal(parcel_collect(&w.parcel, w.client, SPAN("h"), true),
                     PARCEL_DONE);
    assert_int_equal(outcome(&w, 0), OUTCOME_DELIVERED);
    assert_int_equal(outcome(&w, 1), OUTCOME_HELD);
    assert_int_equal(outcome(&w, 2), OUTCOME_FAILED);
    assert_int_equal(outcome(&w, 3), OUTCOME_HELD);
    end(&w);
}

static void content_that_cannot_be_read_just_now_is_tried_later(void **state)
{
    struct world w;

    (void)state;
    begin(&w, 1, PIPELINING);
    parcel_content_failed(&w.parcel, -EMFILE);
    assert_int_equal(outcome(&w, 0), OUTCOME_DEFERRED);
    end(&w);
}

static void what_no_host_takes_is_reencoded_where_the_route_allows_it(void **state)
{
    struct world w;

    (void)state;
    begin(&w, 1, PIPELINING);
    w.route.convert = CONVERT_UNSIGNED;
    w.work.envelope.has_8bit = true;
    w.work.content = SPAN("Subject: a\r\n\r\n\xc3\xa4\r\n");
    w.work.envelope.size_bytes = w.work.content.len;
    parcel_start(&w.parcel, w.client);
    assert_int_equal(client_wants(w.client), CLIENT_DONE);
    assert_int_equal(parcel_collect(&w.parcel, w.client, SPAN("h"), false),
                     PARCEL_STAYS);
    client_next(w.client, 0);
    parcel_start(&w.parcel, w.client);
    hear(&w, "250 a\r\n250 b\r\n354 c\r\n");
    parcel_send(&w.parcel, w.client);
    assert_non_null(strstr(buffer_string(client_output(w.client)), "=C3=A4\r\n"));
    hear(&w, "250 d\r\n");
    assert_int_equal(parcel_collect(&w.parcel, w.client, SPAN("h"), false),
                     PARCEL_DONE);
    assert_int_equal(outcome(&w, 0), OUTCOME_DELIVERED);
    end(&w);
}

static void a_signature_is_not_broken(void **state)
{
    struct world w;

    (void)state;
    begin(&w, 1, PIPELINING);
    w.route.convert = CONVERT_UNSIGNED;
    w.work.envelope.has_8bit = true;
    w.work.content =
        SPAN("DKIM-Signature: v=1\r\nSubject: a\r\n\r\n\xc3\xa4\r\n");
    w.work.envelope.size_bytes = w.work.content.len;
    assert_int_equal(attempt(&w, "", "", false), PARCEL_DONE);
    assert_int_equal(outcome(&w, 0), OUTCOME_FAILED);
    assert_int_equal(w.parcel.settlement.results[0].status.detail, 3);
    end(&w);
}

static void verp_gives_each_recipient_a_reverse_path_of_its_own(void **state)
{
    struct world w;

    (void)state;
    begin(&w, 2, PIPELINING);
    w.work.envelope.verp = SPAN("+=");
    w.people[1].address = SPAN("who@there.test");
    assert_int_equal(
        attempt(&w, "250 a\r\n250 b\r\n354 c\r\n", "250 d\r\n", false),
        PARCEL_STAYS);
    parcel_start(&w.parcel, w.client);
    assert_int_equal(w.parcel.transaction.count, 1);
    assert_non_null(strstr(buffer_string(client_output(w.client)),
                           "MAIL FROM:<s+who=there.test@from.test>"));
    end(&w);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_with_a_small_rcptmax_is_given_few_at_a_time),
        cmocka_unit_test(what_was_one_too_many_stays_here),
        cmocka_unit_test(a_4xx_moves_to_a_second_host_and_no_third),
        cmocka_unit_test(
            what_the_last_host_cannot_take_fails_and_elsewhere_waits),
        cmocka_unit_test(a_dead_kept_connection_is_tried_afresh_once),
        cmocka_unit_test(what_a_customer_did_not_hear_of_is_due_as_before),
        cmocka_unit_test(lost_content_holds_only_who_has_no_other_outcome),
        cmocka_unit_test(content_that_cannot_be_read_just_now_is_tried_later),
        cmocka_unit_test(what_no_host_takes_is_reencoded_where_the_route_allows_it),
        cmocka_unit_test(a_signature_is_not_broken),
        cmocka_unit_test(verp_gives_each_recipient_a_reverse_path_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
