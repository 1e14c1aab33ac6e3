/*
 * referral: NS without SOA in the authority section, and nothing read past the end.
 */
#include "relay/net/referral.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

/* Header with 1 question and these counts of answers and authorities; a.b MX IN. */
#define HEAD(answers, authorities)                                             \
    "\1\2\201\200\0\1\0" answers "\0" authorities "\0\0\1a\1b\0\0\17\0\1"
#define RECORD(name, type, length, data)                                       \
    name "\0" type "\0\1\0\0\1\54\0" length data
#define CNAME RECORD("\300\14", "\5", "\4", "\1c\300\16")
#define NS    RECORD("\300\16", "\2", "\4", "\1n\300\16")
#define SOA                                                                    \
    RECORD("\1b\0", "\6", "\30",                                               \
           "\1n\0\1h\0"                                                        \
           "\0\0\0\1\0\0\0\1\0\0\0\1\0\0")
#define DS    RECORD("\300\16", "\53", "\2", "\1\2")

static const struct {
    struct span packet;
    bool is_referral;
} rows[] = {
    { SPAN_INIT(HEAD("\0", "\0")), false },
    { SPAN_INIT(HEAD("\0", "\1") NS), true },
    { SPAN_INIT(HEAD("\0", "\3") NS DS NS), true },
    { SPAN_INIT(HEAD("\1", "\1") CNAME NS), true },
    { SPAN_INIT(HEAD("\0", "\1") SOA), false },
    { SPAN_INIT(HEAD("\0", "\2") NS SOA), false },
    { SPAN_INIT(HEAD("\0", "\2") SOA NS), false },
    { SPAN_INIT(HEAD("\0", "\1") DS), false },
    { SPAN_INIT(HEAD("\1", "\0") NS), false },
    { SPAN_INIT(HEAD("\2", "\1") NS NS), false }, /* counts lie */
    { SPAN_INIT(HEAD("\0", "\2") NS), false },
    { SPAN_INIT(""), false },
};

static void only_ns_without_soa_is_a_referral(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(referral_is(rows[i].packet), rows[i].is_referral);
}

/* Exact heap copies, so that a sanitizer sees a step too far. */
static void a_message_cut_anywhere_is_none(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t n = 1; n < rows[i].packet.len; n++) {
            char *copy = malloc(n);

            assert_non_null(copy);
            memcpy(copy, rows[i].packet.at, n);
            assert_false(referral_is(span_make(copy, n)));
            free(copy);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_ns_without_soa_is_a_referral),
        cmocka_unit_test(a_message_cut_anywhere_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
