/*
 * test_diagnosis - what a reply means, stage by stage.
 */
#include "relay/outbound/diagnosis.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SIZE_OF(array) (sizeof(array) / sizeof((array)[0]))

#define OTHER_HOST DIAGNOSIS_OTHER_HOST
#define LATER      DIAGNOSIS_LATER
#define FAILED     DIAGNOSIS_FAILED
#define AGAIN_NOW  DIAGNOSIS_AGAIN_NOW
#define DELIVERED  DIAGNOSIS_DELIVERED
#define IN_DOUBT   DIAGNOSIS_IN_DOUBT

/* clang-format off */
/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): reads in this order */
static const struct row {
    enum client_stage stage;
    short code;
    struct status given;
    size_t accepted_before;
    enum diagnosis diagnosis;
    struct status status;
} rows[] = {
    { STAGE_GREETING, 421, { 4, 3, 2 }, 0, OTHER_HOST, { 4, 3, 2 } },
    { STAGE_GREETING, 450, { 0 },       0, OTHER_HOST, { 4, 2, 0 } },
    { STAGE_GREETING, 554, { 0 },       0, OTHER_HOST, { 5, 0, 0 } },
    { STAGE_HELO,     550, { 5, 7, 1 }, 0, OTHER_HOST, { 5, 7, 1 } },
    { STAGE_MAIL,     421, { 0 },       0, OTHER_HOST, { 4, 3, 2 } },
    { STAGE_MAIL,     451, { 0 },       0, LATER,      { 4, 3, 0 } },
    { STAGE_MAIL,     452, { 0 },       0, LATER,      { 4, 3, 1 } },
    { STAGE_MAIL,     552, { 0 },       0, FAILED,     { 5, 3, 4 } },
    { STAGE_MAIL,     553, { 0 },       0, FAILED,     { 5, 1, 7 } },
    { STAGE_RCPT,     553, { 0 },       0, FAILED,     { 5, 1, 3 } },
    { STAGE_RCPT,     450, { 0 },       3, LATER,      { 4, 2, 0 } },
    { STAGE_RCPT,     550, { 0 },       3, FAILED,     { 5, 0, 0 } },
    { STAGE_RCPT,     550, { 5, 1, 1 }, 3, FAILED,     { 5, 1, 1 } },
    /* the code wins over a status of another class */
    { STAGE_RCPT,     550, { 4, 1, 1 }, 3, FAILED,     { 5, 0, 0 } },
    { STAGE_RCPT,     450, { 5, 1, 1 }, 3, LATER,      { 4, 2, 0 } },
    { STAGE_RCPT,     421, { 0 },       3, LATER,      { 4, 3, 2 } },
    /* too many recipients, and what only looks like it */
    { STAGE_RCPT,     452, { 0 },       1, AGAIN_NOW,  { 4, 3, 1 } },
    { STAGE_RCPT,     452, { 0 },       0, LATER,      { 4, 3, 1 } },
    { STAGE_RCPT,     452, { 4, 5, 3 }, 1, AGAIN_NOW,  { 4, 5, 3 } },
    { STAGE_RCPT,     452, { 4, 5, 3 }, 0, LATER,      { 4, 5, 3 } },
    { STAGE_RCPT,     452, { 4, 2, 2 }, 1, LATER,      { 4, 2, 2 } },
    { STAGE_RCPT,     552, { 5, 5, 3 }, 1, AGAIN_NOW,  { 5, 5, 3 } },
    { STAGE_RCPT,     552, { 0 },       1, AGAIN_NOW,  { 5, 2, 2 } },
    { STAGE_RCPT,     552, { 5, 2, 2 }, 1, FAILED,     { 5, 2, 2 } },
    { STAGE_RCPT,     552, { 0 },       0, FAILED,     { 5, 2, 2 } },
    { STAGE_DATA,     451, { 0 },       1, LATER,      { 4, 3, 0 } },
    { STAGE_DATA,     554, { 0 },       1, FAILED,     { 5, 0, 0 } },
    { STAGE_CONTENT,  552, { 0 },       1, FAILED,     { 5, 3, 4 } },
    { STAGE_DOT,      250, { 0 },       1, DELIVERED,  { 2, 0, 0 } },
    { STAGE_DOT,      250, { 2, 6, 0 }, 1, DELIVERED,  { 2, 6, 0 } },
    { STAGE_DOT,      250, { 5, 6, 0 }, 1, DELIVERED,  { 2, 0, 0 } },
    { STAGE_DOT,      451, { 0 },       1, LATER,      { 4, 3, 0 } },
    { STAGE_DOT,      452, { 0 },       1, LATER,      { 4, 3, 1 } },
    { STAGE_DOT,      554, { 5, 7, 1 }, 1, FAILED,     { 5, 7, 1 } },
    { STAGE_DOT,      421, { 0 },       1, LATER,      { 4, 3, 2 } },
    { STAGE_CHUNK,    451, { 0 },       1, LATER,      { 4, 3, 0 } },
    { STAGE_CHUNK,    552, { 0 },       1, FAILED,     { 5, 3, 4 } },
    { STAGE_CHUNK,    421, { 0 },       1, LATER,      { 4, 3, 2 } },
    { STAGE_LAST,     250, { 0 },       1, DELIVERED,  { 2, 0, 0 } },
    { STAGE_LAST,     452, { 0 },       1, LATER,      { 4, 3, 1 } },
    { STAGE_LAST,     554, { 5, 7, 1 }, 1, FAILED,     { 5, 7, 1 } },
    { STAGE_STARTTLS, 454, { 0 },       0, OTHER_HOST, { 4, 0, 0 } },
    { STAGE_STARTTLS, 502, { 0 },       0, OTHER_HOST, { 5, 5, 1 } },
    { STAGE_AUTH,     535, { 5, 7, 8 }, 0, OTHER_HOST, { 5, 7, 8 } },
    { STAGE_XFORWARD, 421, { 0 },       0, OTHER_HOST, { 4, 3, 2 } },
    { STAGE_RESET,    502, { 0 },       0, OTHER_HOST, { 5, 5, 1 } },
    { STAGE_IDLE,     421, { 4, 4, 2 }, 0, OTHER_HOST, { 4, 4, 2 } },
};
/* clang-format on */

static void a_reply_means_one_thing_at_each_stage(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZE_OF(rows); i++) {
        const struct row *row = &rows[i];
        struct reply r = { row->code, row->given, SPAN("x") };
        struct status s = diagnose_status(row->stage, &r);

        if (diagnose(row->stage, &r, row->accepted_before) != row->diagnosis)
            print_error("row %zu: %d at stage %d\n", i, row->code, row->stage);
        assert_int_equal(diagnose(row->stage, &r, row->accepted_before),
                         row->diagnosis);
        assert_int_equal(s.class, row->status.class);
        assert_int_equal(s.subject, row->status.subject);
        assert_int_equal(s.detail, row->status.detail);
    }
}

/* All of the content has been handed over. */
static bool is_end(int stage)
{
    return stage == STAGE_DOT || stage == STAGE_LAST;
}

static void nothing_but_a_2xx_to_the_dot_is_a_delivery(void **state)
{
    (void)state;
    for (int stage = STAGE_CONNECT; stage <= STAGE_IDLE; stage++)
        for (short code = 200; code < 600; code++) {
            struct reply r = { .code = code };
            enum diagnosis d = diagnose((enum client_stage)stage, &r, 1);

            assert_int_equal(d == DELIVERED, is_end(stage) && code < 300);
            assert_true(d != FAILED || code >= 500);
        }
}

static void only_after_the_dot_is_there_a_doubt(void **state)
{
    (void)state;
    for (int stage = STAGE_CONNECT; stage <= STAGE_IDLE; stage++) {
        enum diagnosis d = diagnose_trouble((enum client_stage)stage);

        assert_int_equal(d == IN_DOUBT, is_end(stage));
        assert_true(d != FAILED && d != DELIVERED);
        assert_non_null(stage_words((enum client_stage)stage));
        assert_non_null(stage_doing((enum client_stage)stage));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_means_one_thing_at_each_stage),
        cmocka_unit_test(nothing_but_a_2xx_to_the_dot_is_a_delivery),
        cmocka_unit_test(only_after_the_dot_is_there_a_doubt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
