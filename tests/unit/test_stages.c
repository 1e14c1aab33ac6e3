/*
 * Stages: nothing is asked before there is a recipient, but where a rule could refuse then.
 */
#include "policy/rule_index.h"
#include "policy/stages.h"
#include "tests/unit/settings_text.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define OURS "rule \"ours\" { to = {\"ok.test\"} action = relay }\n"

static void only_stages_that_may_refuse_are_asked(void **state)
{
    /* clang-format off */
    static const struct {
        const char *rules;
        const char *stages; /* connect, hello, sender */
    } rows[] = {
        { OURS, "" },
        { "rule \"a\" { client = {\"10.0.0.1\"} action = relay }" OURS, "" },
        { "rule \"a\" { client = {\"10.0.0.1\"} action = reject }" OURS, "c" },
        { "rule \"a\" { client = {\"10.0.0.1\"} action = defer }" OURS, "c" },
        { "rule \"a\" { client = {\"10.0.0.1\"} action = reject mode = shadow }" OURS, "" },
        { "rule \"a\" { client = {\"10.0.0.1\"} action = hold }" OURS, "" },
        { "rule \"a\" { dnsbl = {\"bl.test\"} action = reject }" OURS, "c" },
        { "rule \"a\" { time = {\"22:00-06:00\"} action = reject }" OURS, "c" },
        { "rule \"a\" { action = reject }", "c" },
        { "rule \"a\" { helo = {\"x.test\"} action = reject }" OURS, "h" },
        { "rule \"a\" { helo = {\"x.test\"} client = {\"10.0.0.1\"} action = reject }" OURS, "h" },
        { "rule \"a\" { from = {\"x.test\"} action = reject }" OURS, "s" },
        { "rule \"a\" { size = \"1MB\" action = reject }" OURS, "s" },
        { "rule \"a\" { to = {\"x.test\"} action = reject }" OURS, "" },
        { "rule \"a\" { to = {\"x.test\"} client = {\"10.0.0.1\"} action = reject }" OURS, "" },
        { "rule \"a\" { header = {\"X\"} client = {\"10.0.0.1\"} action = reject }" OURS, "" },
        { "rule \"a\" { not-login = {\"*\"} action = reject }" OURS, "chs" },
        { "rule \"a\" { not-login = {\"*\"} from = {\"x.test\"} action = reject }" OURS, "s" },
        /* what stands above may have been waited for */
        { "rule \"w\" { from = {\"x.test\"} action = discard }"
          "rule \"a\" { client = {\"10.0.0.1\"} action = reject }" OURS, "cs" },
        { "rule \"a\" { client = {\"10.0.0.1\"} action = reject }"
          "rule \"w\" { from = {\"x.test\"} action = discard }" OURS, "c" },
        { "rule \"w\" { helo = {\"x.test\"} to = {\"y.test\"} action = discard }"
          "rule \"a\" { from = {\"x.test\"} action = reject }" OURS, "s" },
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer faults = { 0 }, warnings = { 0 };
        struct settings *s = settings_text(rows[i].rules, &faults, &warnings);
        char said[4] = "", *at = said;

        if (!s)
            fail_msg("%zu: %s", i, buffer_string(&faults));
        if (rule_index_may_refuse(s->rule_index, STAGE_CONNECT))
            *at++ = 'c';
        if (rule_index_may_refuse(s->rule_index, STAGE_HELLO))
            *at++ = 'h';
        if (rule_index_may_refuse(s->rule_index, STAGE_SENDER))
            *at++ = 's';
        if (strcmp(said, rows[i].stages) != 0)
            fail_msg("%s: \"%s\", not \"%s\"", rows[i].rules, said,
                     rows[i].stages);
        buffer_fini(&faults);
        buffer_fini(&warnings);
        settings_release(s);
    }
    assert_false(rule_index_may_refuse(NULL, STAGE_CONNECT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_stages_that_may_refuse_are_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
