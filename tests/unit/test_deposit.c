/*
 * test_deposit - when a message is due, given up and told of.
 */
#include "relay/inbound/deposit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { NONE = 0, BY_R, BY_N };

static void a_message_s_times_follow_what_mail_asked_for(void **state)
{
    /* In seconds, received at 1000; -1: never. */
    static const struct {
        const char *sender;
        int64_t release, by;
        int mode;
        int64_t warn_after; /* of the settings */
        int64_t due, expire, warn;
    } rows[] = {
        { "a@b", 0, 0, NONE, 100, 0, 2000, 1100 },
        { "a@b", 0, 0, NONE, 0, 0, 2000, -1 },
        { "", 0, 0, NONE, 100, 0, 1500, -1 },
        { "a@b", 5000, 0, NONE, 100, 5000, 6000, 5100 },
        { "a@b", 0, 1200, BY_R, 100, 0, 1200, 1100 },
        { "a@b", 0, 9000, BY_R, 100, 0, 2000, 1100 },
        { "a@b", 0, 1050, BY_N, 100, 0, 2000, 1050 },
        { "a@b", 0, 1200, BY_N, 100, 0, 2000, 1100 },
        { "a@b", 0, 1200, BY_N, 0, 0, 2000, 1200 },
        /* over when it came: somebody else has told */
        { "a@b", 0, 900, BY_N, 100, 0, 2000, 1100 },
        { "a@b", 0, 1000, BY_N, 100, 0, 2000, 1100 },
        { "", 0, 1050, BY_N, 100, 0, 1500, -1 },
        { "", 0, 1050, BY_R, 100, 0, 1050, -1 },
        { "a@b", 5000, 5500, BY_R, 100, 5000, 5500, 5100 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct draft d = {
            .envelope = { .sender = span_of(rows[i].sender),
                          .received_ms = 1000000,
                          .release_ms = rows[i].release * 1000,
                          .deliver_by_ms = rows[i].by * 1000,
                          .deliver_by_mode = rows[i].mode == BY_R
                                                 ? DELIVER_BY_RETURN
                                                 : DELIVER_BY_NOTIFY },
        };
        struct retry_settings retry = {
            .expire_ms = 1000000,
            .expire_report_ms = 500000,
            .warn_ms = rows[i].warn_after * 1000,
        };
        struct deposit_terms t = deposit_terms(&d.envelope, &retry);

        assert_int_equal(t.due_ms, rows[i].due * 1000);
        assert_int_equal(t.expire_ms, rows[i].expire * 1000);
        assert_int_equal(t.warn_ms,
                         rows[i].warn < 0 ? INT64_MAX : rows[i].warn * 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_s_times_follow_what_mail_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
