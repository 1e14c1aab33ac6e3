/*
 * Webhooks in the configuration: what one says, and every way to get one wrong.
 */
#include "tests/unit/settings_faults.h"

#define BASE "listener \"edge\" { address = 127.0.0.1:25 }\n"
#define URL  "url = \"https://h.example/x\" "
#define KEY  "secret-file = /s "

static void a_webhook_is_told_all_outcomes_a_hundred_at_a_time(void **state)
{
    struct settings *s = read_well(BASE "webhook crm { " URL KEY "}\n");
    const struct webhook_settings *w = &s->webhooks[0];

    (void)state;
    assert_int_equal(s->webhook_count, 1);
    assert_true(span_is(w->title, SPAN("crm")));
    assert_true(span_is(w->url, SPAN("https://h.example/x")));
    assert_true(span_is(w->secret_file, SPAN("/s")));
    assert_int_equal(w->authorities.len, 0);
    assert_int_equal(w->batch, 100);
    assert_int_equal(w->events,
                     1 << WEBHOOK_DELIVERED | 1 << WEBHOOK_FAILED |
                         1 << WEBHOOK_EXPIRED | 1 << WEBHOOK_DISCARDED |
                         1 << WEBHOOK_DELETED | 1 << WEBHOOK_RETURNED);
    settings_release(s);
}

static void everything_about_a_webhook_can_be_said(void **state)
{
    struct settings *s = read_well(
        BASE "webhook a { url = \"http://127.0.0.1:8000/\" " KEY
             "events = {failed, expired, changed} batch = 1 authorities = /a }\n"
             "webhook b { " URL KEY "events = deleted batch = 1000 }\n");
    const struct webhook_settings *w = s->webhooks;

    (void)state;
    assert_int_equal(s->webhook_count, 2);
    assert_int_equal(w[0].events, 1 << WEBHOOK_FAILED | 1 << WEBHOOK_EXPIRED |
                                      1 << WEBHOOK_CHANGED);
    assert_int_equal(w[0].batch, 1);
    assert_true(span_is(w[0].authorities, SPAN("/a")));
    assert_int_equal(w[1].events, 1 << WEBHOOK_DELETED);
    assert_int_equal(w[1].batch, WEBHOOK_BATCH_MOST);
    settings_release(s);
}

static void a_webhook_that_cannot_work_is_a_fault(void **state)
{
    /* clang-format off */
    static const struct fault_row rows[] = {
        { BASE "webhook a { " KEY "}\n",
          { "w.conf:2:1: a webhook needs somebody to tell: url = \"https://HOST/\"" } },
        { BASE "webhook a { " URL "}\n",
          { "w.conf:2:1: a webhook signs what it says: secret-file = FILE" } },
        { BASE "webhook { " URL KEY "}\n",
          { "w.conf:2:1: a webhook needs a title: webhook \"NAME\" { ... }" } },
        { BASE "webhook a { " URL KEY "}\nwebhook a { " URL KEY "}\n",
          { "w.conf:3:9: there is a webhook \"a\" already, at w.conf:2:1" } },
        { BASE "webhook a { url = \"http://h.example/\" " KEY "}\n",
          { "w.conf:2:19: \"http://h.example/\" is not an https:// URL" } },
        { BASE "webhook a { url = \"ftp://h.example/\" " KEY "}\n",
          { "\"ftp://h.example/\" is not an https:// URL" } },
        { BASE "webhook a { url = \"\" " KEY "}\n",
          { "\"\" is not an https:// URL" } },
        { BASE "webhook a { " URL "secret-file = \"\" }\n",
          { "the name of a file is empty" } },
        { BASE "webhook a { " URL KEY "events = {sent, failed} }\n",
          { "w.conf:2:68: \"sent\" is not right for events, which takes one of: "
            "delivered, failed, expired, discarded, deleted, returned, changed" } },
        { BASE "webhook a { " URL KEY "events = {} }\n", { "list" } },
        { BASE "webhook a { " URL KEY "batch = 0 }\n",
          { "\"0\" is not right for batch, which takes a number, 1 to 1000" } },
        { BASE "webhook a { " URL KEY "batch = 1001 }\n",
          { "\"1001\" is not right for batch" } },
        { BASE "webhook a { " URL KEY "secret = x }\n",
          { "a webhook has no key \"secret\" that this version knows" } },
        { BASE "webhooks a { " URL KEY "}\n",
          { "there is no section \"webhooks\" that this version knows; \"webhook\" was "
            "meant?" } },
    };
    /* clang-format on */

    (void)state;
    CHECK_FAULTS(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_webhook_is_told_all_outcomes_a_hundred_at_a_time),
        cmocka_unit_test(everything_about_a_webhook_can_be_said),
        cmocka_unit_test(a_webhook_that_cannot_work_is_a_fault),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
