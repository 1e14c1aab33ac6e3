/*
 * test_parameters - what follows the path of MAIL and RCPT.
 */
#include "policy/vocabulary/limits.h"
#include "queue/queue.h"
#include "relay/inbound/moment.h"
#include "relay/inbound/parameters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum {
    OK = PARAMETER_OK,
    BAD = PARAMETER_SYNTAX,
    NO = PARAMETER_UNKNOWN,
    SOON = PARAMETER_TOO_SOON,
    LATE = PARAMETER_TOO_LATE,
};

/* 2023-11-14T22:13:20Z */
static const int64_t now_ms = 1700000000000;

static const struct parameter_terms everything = {
    .offers = OFFERS_EXTENSIONS | OFFERS_RELEASE | OFFERS_VERP,
    .smtputf8 = true,
    .now_ms = now_ms,
    .release_most_ms = 86400 * 1000,
};
static const struct parameter_terms plain = {
    .offers = OFFERS_EXTENSIONS,
    .now_ms = now_ms,
};
static const struct parameter_terms helo = { .now_ms = now_ms };

static void mail_parameters_are_read_or_refused(void **state)
{
    static const struct {
        const char *rest;
        int wanted, in_helo;
    } rows[] = {
        { "", OK, OK },
        { "   ", OK, OK },
        { " SIZE=0", OK, NO },
        { " size=1000  body=8bitmime", OK, NO },
        { " SIZE=18446744073709551615", OK, NO },
        { " SIZE=18446744073709551616", BAD, NO },
        { " SIZE=000000000000000000001", BAD, NO },
        { " SIZE=-1", BAD, NO },
        { " SIZE=", BAD, BAD },
        { " SIZE", BAD, NO },
        { " SIZE=1e9", BAD, NO },
        { " SIZE=0x10", BAD, NO },
        { " SIZE=1 SIZE=2", BAD, NO },
        { " BODY=7BIT BODY=7BIT", BAD, NO },
        { " BODY=", BAD, BAD },
        { " BODY=9BIT", BAD, NO },
        { " BODY=BinaryMime", OK, NO },
        { " SMTPUTF8", OK, NO },
        { " SMTPUTF8=1", BAD, NO },
        { " SMTPUTF8 SMTPUTF8", BAD, NO },
        { " FOO=BAR", NO, NO },
        { " FOO=", BAD, BAD },
        { " =X", BAD, BAD },
        { " -X=1", BAD, BAD },
        { " FOO=a=b", BAD, BAD },
        { " FOO=\xc3\xbc", BAD, BAD },
        { " x y", BAD, BAD },
        { " <c@d>", BAD, BAD },
        { ",<c@d>", BAD, BAD },
        { "x", BAD, BAD },
        { ">", BAD, BAD },
        { "\tSIZE=1", BAD, BAD },
        { " AUTH=<>", OK, NO },
        { " AUTH=a@b.test", OK, NO },
        { " AUTH=a+2Bb@b.test", OK, NO },
        { " AUTH=\\x{FC}@b.test", OK, NO },
        { " AUTH=+0Aevil", BAD, NO },
        { " AUTH=a+3Cb@b.test", OK, NO },
        { " AUTH=nobody", OK, NO },
        { " AUTH=a+", BAD, NO },
        { " AUTH=", BAD, BAD },
        { " AUTH", BAD, NO },
        { " AUTH=<> AUTH=<>", BAD, NO },
        { " RET=FULL", OK, NO },
        { " RET=hdrs", OK, NO },
        { " RET=HEADERS", BAD, NO },
        { " RET=FULL RET=HDRS", BAD, NO },
        { " ENVID=QQ314159", OK, NO },
        { " ENVID=a+3Db", OK, NO },
        { " ENVID=a=b", BAD, BAD },
        { " ENVID=a+0Ab", BAD, NO },
        { " ENVID=a+", BAD, NO },
        { " ENVID=a ENVID=b", BAD, NO },
        { " BY=120;R", OK, NO },
        { " BY=+120;rt", OK, NO },
        { " BY=-120;N", OK, NO },
        { " BY=0;NT", OK, NO },
        { " BY=999999999;N", OK, NO },
        { " BY=1000000000;N", BAD, NO },
        { " BY=0000000001;N", BAD, NO },
        { " BY=0;R", BAD, NO },
        { " BY=-1;R", BAD, NO },
        { " BY=59;R", SOON, NO },
        { " BY=60;R", OK, NO },
        { " BY=120", BAD, NO },
        { " BY=120;", BAD, NO },
        { " BY=120;X", BAD, NO },
        { " BY=120;RX", BAD, NO },
        { " BY=120;RTT", BAD, NO },
        { " BY=;R", BAD, NO },
        { " BY=-;N", BAD, NO },
        { " BY=--1;N", BAD, NO },
        { " BY=120;R BY=120;R", BAD, NO },
        { " HOLDFOR=0", OK, NO },
        { " HOLDFOR=86400", OK, NO },
        { " HOLDFOR=86401", LATE, NO },
        { " HOLDFOR=999999999", LATE, NO },
        { " HOLDFOR=9999999999", BAD, NO },
        { " HOLDFOR=-1", BAD, NO },
        { " HOLDUNTIL=2023-11-15T00:00:00Z", OK, NO },
        { " HOLDUNTIL=2023-11-15T00:00:00.5+01:00", OK, NO },
        { " HOLDUNTIL=2001-01-01T00:00:00Z", OK, NO },
        { " HOLDUNTIL=2023-11-15T22:13:20Z", OK, NO },
        { " HOLDUNTIL=2023-11-15T22:13:21Z", LATE, NO },
        { " HOLDUNTIL=9999-12-31T23:59:59Z", LATE, NO },
        { " HOLDUNTIL=2023-11-15", BAD, NO },
        { " HOLDUNTIL=tomorrow", BAD, NO },
        { " HOLDFOR=1 HOLDUNTIL=2023-11-15T00:00:00Z", BAD, NO },
        { " HOLDUNTIL=2001-01-01T00:00:00Z HOLDFOR=0", BAD, NO },
        { " MT-PRIORITY=9", OK, NO },
        { " mt-priority=-9", OK, NO },
        { " MT-PRIORITY=0", OK, NO },
        { " MT-PRIORITY=-0", BAD, NO },
        { " MT-PRIORITY=+1", BAD, NO },
        { " MT-PRIORITY=10", BAD, NO },
        { " MT-PRIORITY=-", BAD, NO },
        { " MT-PRIORITY=1 MT-PRIORITY=1", BAD, NO },
        { " XVERP", OK, NO },
        { " XVERP=+=", OK, NO },
        { " XVERP=--", OK, NO },
        { " XVERP=+", BAD, NO },
        { " XVERP=+=+", BAD, NO },
        { " XVERP=a=", BAD, NO },
        { " XVERP=", BAD, BAD },
        { " REQUIRETLS", NO, NO },
        { " NOTIFY=NEVER", NO, NO },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct mail_parameters p = { .size = 4711 };
        struct span rest = span_of(rows[i].rest);
        int got = (int)parameters_of_mail(rest, &everything, &p);

        if (got != rows[i].wanted)
            fail_msg("\"%s\": %d", rows[i].rest, got);
        if (got)
            assert_int_equal(p.size, 4711);
        got = (int)parameters_of_mail(rest, &helo, &p);
        if (got != rows[i].in_helo)
            fail_msg("\"%s\" after HELO: %d", rows[i].rest, got);
    }
}

static void what_is_not_offered_is_unknown(void **state)
{
    static const char *const rows[] = { " XVERP", " XVERP=+=", " HOLDFOR=1",
                                        " HOLDUNTIL=2023-11-15T00:00:00Z" };
    struct mail_parameters p;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(parameters_of_mail(span_of(rows[i]), &plain, &p), NO);
    assert_int_equal(parameters_of_mail(SPAN(" MT-PRIORITY=1"), &plain, &p),
                     OK);
}

static void what_mail_said_is_known(void **state)
{
    struct mail_parameters p;

    (void)state;
    assert_int_equal(
        parameters_of_mail(SPAN(" SIZE=7 BODY=BINARYMIME SMTPUTF8 RET=hdrs "
                                "ENVID=a+2Bb BY=-60;NT HOLDFOR=60 "
                                "MT-PRIORITY=-3 XVERP"),
                           &everything, &p),
        OK);
    assert_int_equal(p.size, 7);
    assert_int_equal(p.body, BODY_BINARYMIME);
    assert_true(p.smtputf8);
    assert_true(span_is(p.ret, SPAN("HDRS")));
    assert_true(span_is(p.envid, SPAN("a+2Bb")));
    assert_int_equal(p.deliver_by_ms, now_ms - 60000);
    assert_int_equal(p.deliver_by_mode, DELIVER_BY_NOTIFY);
    assert_true(p.deliver_by_trace);
    assert_int_equal(p.release_ms, now_ms + 60000);
    assert_int_equal(p.priority, -3);
    assert_true(span_is(p.verp, SPAN("+=")));
    assert_int_equal(
        parameters_of_mail(SPAN(" BY=600;R XVERP=-+"), &everything, &p), OK);
    assert_int_equal(p.deliver_by_ms, now_ms + 600000);
    assert_int_equal(p.deliver_by_mode, DELIVER_BY_RETURN);
    assert_false(p.deliver_by_trace);
    assert_int_equal(p.release_ms, 0);
    assert_true(span_is(p.verp, SPAN("-+")));
    assert_false(p.is_unvouched);
    assert_int_equal(parameters_of_mail(SPAN(" AUTH=<>"), &everything, &p), OK);
    assert_true(p.is_unvouched);
}

static void nothing_is_held_past_the_time_of_its_return(void **state)
{
    static const struct {
        const char *rest;
        int wanted;
    } rows[] = {
        { " BY=600;R HOLDFOR=599", OK },
        { " BY=600;R HOLDFOR=600", LATE },
        { " HOLDFOR=601 BY=600;R", LATE },
        { " HOLDFOR=601 BY=600;N", OK },
    };
    struct mail_parameters p;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(
            parameters_of_mail(span_of(rows[i].rest), &everything, &p),
            rows[i].wanted);
}

static void long_values_are_bounded(void **state)
{
    char line[600];
    struct mail_parameters p;
    struct rcpt_parameters q;

    (void)state;
    memset(line, 'x', sizeof line);
    memcpy(line, " ENVID=", 7);
    assert_int_equal(parameters_of_mail(span_make(line, 107), &everything, &p),
                     OK);
    assert_int_equal(parameters_of_mail(span_make(line, 108), &everything, &p),
                     BAD);
    memcpy(line, " ORCPT=rfc822;", 14);
    assert_int_equal(parameters_of_rcpt(span_make(line, 507), &everything, &q),
                     OK);
    assert_int_equal(parameters_of_rcpt(span_make(line, 508), &everything, &q),
                     BAD);
}

static void rcpt_parameters_are_read_or_refused(void **state)
{
    static const struct {
        const char *rest;
        int wanted;
        unsigned notify;
    } rows[] = {
        { "", OK, 0 },
        { "  ", OK, 0 },
        { " NOTIFY=NEVER", OK, NOTIFY_NEVER },
        { " notify=success", OK, NOTIFY_SUCCESS },
        { " NOTIFY=SUCCESS,FAILURE,DELAY", OK,
          NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY },
        { " NOTIFY=DELAY,DELAY", OK, NOTIFY_DELAY },
        { " NOTIFY=NEVER,DELAY", BAD, 0 },
        { " NOTIFY=", BAD, 0 },
        { " NOTIFY", BAD, 0 },
        { " NOTIFY=,DELAY", BAD, 0 },
        { " NOTIFY=DELAY,", BAD, 0 },
        { " NOTIFY=ALWAYS", BAD, 0 },
        { " NOTIFY=DELAY NOTIFY=DELAY", BAD, 0 },
        { " ORCPT=rfc822;a@b.test NOTIFY=DELAY", OK, NOTIFY_DELAY },
        { " ORCPT=utf-8;\xc3\xbc@b.test", OK, 0 },
        { " ORCPT=rfc822;\xc3\xbc@b.test", BAD, 0 },
        { " ORCPT=x", BAD, 0 },
        { " ORCPT=rfc822;a ORCPT=rfc822;a", BAD, 0 },
        { " ORCPT=rfc822;a=b", BAD, 0 },
        { " SIZE=1", NO, 0 },
        { " x y", BAD, 0 },
    };
    struct rcpt_parameters p;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        int got;

        p = (struct rcpt_parameters){ 0 };
        got = (int)parameters_of_rcpt(span_of(rows[i].rest), &everything, &p);
        if (got != rows[i].wanted)
            fail_msg("\"%s\": %d", rows[i].rest, got);
        assert_int_equal(p.notify, rows[i].notify);
    }
    assert_int_equal(
        parameters_of_rcpt(SPAN(" ORCPT=utf-8;\xc3\xbc@b.test"), &plain, &p),
        BAD);
    assert_int_equal(parameters_of_rcpt(SPAN(" NOTIFY=NEVER"), &helo, &p), NO);
}

static void moments_are_those_of_rfc_3339(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds; /* -1: none */
    } rows[] = {
        { "1970-01-01T00:00:00Z", 0 },
        { "2023-11-14T22:13:20Z", 1700000000 },
        { "2023-11-14t22:13:20z", 1700000000 },
        { "2023-11-14T23:13:20+01:00", 1700000000 },
        { "2023-11-14T14:43:20-07:30", 1700000000 },
        { "2023-11-14T22:13:20.999Z", 1700000000 },
        { "2024-02-29T00:00:00Z", 1709164800 },
        { "2023-02-29T00:00:00Z", -1 },
        { "2023-13-01T00:00:00Z", -1 },
        { "2023-11-14T24:00:00Z", -1 },
        { "2023-11-14T22:13:20", -1 },
        { "2023-11-14T22:13:20.Z", -1 },
        { "2023-11-14T22:13:20Zx", -1 },
        { "2023-11-14T22:13:20+0100", -1 },
        { "2023-11-14 22:13:20Z", -1 },
        { "23-11-14T22:13:20Z", -1 },
        { "", -1 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t ms = -1000;

        assert_int_equal(moment_parse(span_of(rows[i].text), &ms),
                         rows[i].seconds >= 0);
        assert_int_equal(ms, rows[i].seconds * 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_parameters_are_read_or_refused),
        cmocka_unit_test(what_is_not_offered_is_unknown),
        cmocka_unit_test(what_mail_said_is_known),
        cmocka_unit_test(nothing_is_held_past_the_time_of_its_return),
        cmocka_unit_test(long_values_are_bounded),
        cmocka_unit_test(rcpt_parameters_are_read_or_refused),
        cmocka_unit_test(moments_are_those_of_rfc_3339),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
