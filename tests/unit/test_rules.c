/*
 * What a rule may say: each condition and action as the judge gets it.
 */
#include "tests/unit/settings_faults.h"

#include "policy/condition.h"
#include "policy/rewriting.h"

#include <stdlib.h>

#define LISTENER "listener \"l\" { address = \"127.0.0.1:25\" }\n"
#define GRANT    "rule \"g\" { client = {\"10.0.0.0/8\"} action = relay }\n"
#define ROUTE    "route \"*\" { via = {\"mx\"} }\n"

/* The only condition of a rule with this line in it. */
static const struct condition *condition_of(struct settings **s,
                                            const char *line)
{
    struct buffer text = { 0 };

    buffer_printf(&text, LISTENER "rule \"r\" { %s action = hold }\n" ROUTE,
                  line);
    *s = read_well(buffer_string(&text));
    buffer_fini(&text);
    assert_int_equal((*s)->rules[0].condition_count, 1);
    return &(*s)->rules[0].conditions[0];
}

static const struct rule *rule_of(struct settings **s, const char *line)
{
    struct buffer text = { 0 };

    buffer_printf(&text,
                  "srs-secret-file = \"/s\"\n" LISTENER
                  "rule \"r\" { %s }\n" ROUTE,
                  line);
    *s = read_well(buffer_string(&text));
    buffer_fini(&text);
    return &(*s)->rules[0];
}

static void times_are_days_and_minutes(void **state)
{
    static const struct {
        const char *line;
        struct moment moment;
    } rows[] = {
        { "time = \"22:00-06:00\"", { 0x7f, 22 * 60, 6 * 60 } },
        { "time = \"Sat-sun\"", { 0x41, 0, 24 * 60 } },
        { "time = \"wed\"", { 0x08, 0, 24 * 60 } },
        { "time = \" mon-fri  8:00-18:30 \"", { 0x3e, 480, 18 * 60 + 30 } },
        { "time = \"sun-sat 00:00-24:00\"", { 0x7f, 0, 24 * 60 } },
        { "time = \"fri-mon\"", { 0x63, 0, 24 * 60 } },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct settings *s;
        const struct condition *c = condition_of(&s, rows[i].line);

        assert_int_equal(c->fact, FACT_TIME);
        assert_int_equal(c->moment_count, 1);
        assert_int_equal(c->moments[0].days, rows[i].moment.days);
        assert_int_equal(c->moments[0].from, rows[i].moment.from);
        assert_int_equal(c->moments[0].to, rows[i].moment.to);
        settings_release(s);
    }
}

static void lists_in_the_dns_have_answers_and_weights(void **state)
{
    static const struct {
        const char *line;
        unsigned char low[4], high[4];
        int weight, threshold;
    } rows[] = {
        { "dnsbl = \"Zen.Test\"", { 127 }, { 127, 255, 254, 255 }, 1, 1 },
        { "dnsbl = \"zen.test.=127.0.0.2\"",
          { 127, 0, 0, 2 },
          { 127, 0, 0, 2 },
          1,
          1 },
        { "dnsbl = \"zen.test=127.0.0.4..7*3\" dnsbl-threshold = 3",
          { 127, 0, 0, 4 },
          { 127, 0, 0, 7 },
          3,
          3 },
        { "dnsbl = \"zen.test = 127.0.[1..2].[0..255] * 5\"",
          { 127, 0, 1, 0 },
          { 127, 0, 2, 255 },
          5,
          1 },
    };
    struct settings *s;
    const struct condition *c;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        c = condition_of(&s, rows[i].line);
        assert_int_equal(c->zone_count, 1);
        assert_true(span_is(c->zones[0].zone, SPAN("zen.test")));
        assert_memory_equal(c->zones[0].low, rows[i].low, 4);
        assert_memory_equal(c->zones[0].high, rows[i].high, 4);
        assert_int_equal(c->zones[0].weight, rows[i].weight);
        assert_int_equal(c->threshold, rows[i].threshold);
        settings_release(s);
    }
    c = condition_of(&s, "not-dnsbl = {\"a.test*2\", \"good.test*-3\"}"
                         " dnsbl-threshold = 2");
    assert_true(c->is_negated);
    assert_int_equal(c->zones[1].weight, -3);
    assert_int_equal(c->threshold, 2);
    settings_release(s);
}

static void tls_may_be_a_version_or_bits(void **state)
{
    static const struct {
        const char *line;
        bool is_negated;
        const char *version;
        unsigned bits;
    } rows[] = {
        { "tls = true", false, "", 0 },
        { "tls = false", true, "", 0 },
        { "not-tls = true", true, "", 0 },
        { "not-tls = false", false, "", 0 },
        { "tls = \"TLSv1.2\"", false, "TLSv1.2", 0 },
        { "not-tls = TLSv1.3", true, "TLSv1.3", 0 },
        { "tls = 256", false, "", 256 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct settings *s;
        const struct condition *c = condition_of(&s, rows[i].line);

        assert_int_equal(c->is_negated, rows[i].is_negated);
        assert_int_equal(c->tls_version,
                         condition_tls_version(span_of(rows[i].version)));
        assert_int_equal(c->tls_bits, rows[i].bits);
        settings_release(s);
    }
}

static void single_values_are_kept(void **state)
{
    struct settings *s;
    const struct condition *c = condition_of(&s, "size = 10MB");

    (void)state;
    assert_int_equal(c->at_least, 10 << 20);
    settings_release(s);
    c = condition_of(&s, "not-today = 1000");
    assert_int_equal(c->at_least, 1000);
    assert_true(c->is_negated);
    settings_release(s);
    c = condition_of(&s, "client-name = {none, \"*.dyn.test\", '/dsl/'}");
    assert_true(c->or_none);
    assert_int_equal(c->patterns.count, 2);
    settings_release(s);
    c = condition_of(&s, "listener = {L, \"m*\", \"l\"}"
                         " action = hold }\n"
                         "listener \"mx\" { address = \"127.0.0.1:26\" }\n"
                         "rule \"x\" {");
    assert_int_equal(c->names.exact_count, 2);
    assert_int_equal(c->names.glob_count, 1);
    assert_false(s->rules[0].needs_message);
    settings_release(s);
    c = condition_of(&s, "tag = {\"spf=pass\", \"x*\", \"a_b-c.d:1\"}");
    assert_true(names_have(&c->names, SPAN("SPF=pass")));
    settings_release(s);
}

static void the_message_is_asked_by_field_and_by_attachment(void **state)
{
    struct settings *s;
    const struct condition *c =
        condition_of(&s, "header = {List-Id, 'Subject: /a: b/', 'X:/y/'}");

    (void)state;
    assert_true(s->rules[0].needs_message);
    assert_int_equal(c->header_count, 3);
    assert_true(span_is(c->headers[0].name, SPAN("List-Id")));
    assert_false(c->headers[0].has_value);
    assert_true(span_is(c->headers[1].name, SPAN("Subject")));
    assert_true(c->headers[1].has_value);
    assert_int_equal(c->headers[1].values.count, 1);
    assert_true(span_is(c->headers[1].values.all[0].text, SPAN("a: b")));
    settings_release(s);
    c = condition_of(&s, "attachment = {\"*.EXE\", \"application/zip\","
                         " \"image/*\", '/\\.(js|vbs)$/'}");
    assert_true(s->rules[0].needs_message);
    assert_true(names_have(&c->names, SPAN("a.exe")));
    assert_false(names_have(&c->names, SPAN("application/zip")));
    assert_true(names_have(&c->types, SPAN("application/zip")));
    assert_true(names_have(&c->types, SPAN("image/png")));
    assert_int_equal(c->patterns.count, 1);
    settings_release(s);
}

static void actions_are_told_what_they_need(void **state)
{
    struct settings *s;
    const struct rule *r = rule_of(
        &s, "action = limit per = from-domain rate = {\"100/h\", \"5MB/10min\"}"
            " count = bytes over = reject reply = \"552 5.7.1 %{session}\"");

    (void)state;
    assert_int_equal(r->action, ACTION_LIMIT);
    assert_int_equal(r->limit.per, LIMIT_PER_FROM_DOMAIN);
    assert_int_equal(r->limit.count, LIMIT_OF_BYTES);
    assert_int_equal(r->limit.over, LIMIT_REJECTS);
    assert_int_equal(r->limit.rate_count, 2);
    assert_int_equal(r->limit.rates[0].amount, 100);
    assert_int_equal(r->limit.rates[0].period_ms, 3600000);
    assert_int_equal(r->limit.rates[1].amount, 5 << 20);
    assert_int_equal(r->limit.rates[1].period_ms, 600000);
    assert_int_equal(r->reply.code, 552);
    settings_release(s);

    r = rule_of(&s, "action = limit per = client rate = \"1/s\"");
    assert_int_equal(r->limit.count, LIMIT_OF_MESSAGES);
    assert_int_equal(r->limit.over, LIMIT_DEFERS);
    settings_release(s);

    r = rule_of(&s, "action = greylist");
    assert_int_equal(r->greylist.delay_ms, 300000);
    assert_int_equal(r->greylist.window_ms, 2 * 86400000);
    assert_int_equal(r->greylist.keep_ms, 35ll * 86400000);
    assert_int_equal(r->greylist.clients_after, 5);
    settings_release(s);
    r = rule_of(&s, "action = greylist retry-after = 1min retry-within = 4h"
                    " remember = 7d trust-after = 0 mode = shadow");
    assert_int_equal(r->greylist.delay_ms, 60000);
    assert_int_equal(r->greylist.window_ms, 4 * 3600000);
    assert_int_equal(r->greylist.keep_ms, 7 * 86400000);
    assert_int_equal(r->greylist.clients_after, 0);
    assert_true(r->is_shadow);
    settings_release(s);

    r = rule_of(&s, "action = tag set-tag = {a, b} mode = enforce");
    assert_int_equal(r->text_count, 2);
    assert_true(span_is(r->texts[1], SPAN("b")));
    assert_false(r->is_shadow);
    settings_release(s);
    r = rule_of(&s, "action = add-header add-header = {\"X-A: by %{rule}\"}");
    assert_true(span_is(r->texts[0], SPAN("X-A: by %{rule}")));
    settings_release(s);
    r = rule_of(&s, "action = remove-header"
                    " remove-header = {X-Spam, 'Subject: /x/'}");
    assert_int_equal(r->text_count, 2);
    assert_true(span_is(r->removals[0].name, SPAN("X-Spam")));
    assert_true(r->removals[1].has_value);
    settings_release(s);
    r = rule_of(&s, "action = copy copy = {\"a@ok.test\", \"b@ok.test\"}");
    assert_int_equal(r->text_count, 2);
    settings_release(s);
    r = rule_of(&s, "action = route route = \"*\"");
    assert_true(span_is(r->texts[0], SPAN("*")));
    settings_release(s);
    r = rule_of(&s, "action = policy server = \"[::1]:10023\"");
    assert_true(span_is(r->texts[0], SPAN("[::1]:10023")));
    settings_release(s);
    r = rule_of(&s, "action = policy server = /run/postgrey.sock");
    assert_int_equal(r->text_count, 1);
    settings_release(s);
    r = rule_of(&s, "action = rewrite rewrite-from = {srs}");
    assert_true(rewriting_is_of_sender(r->rewriting));
    assert_true(rewriting_is_srs(r->rewriting));
    assert_true(span_is(s->srs.domain, SPAN("mx.ok.test")));
    settings_release(s);
    r = rule_of(&s, "action = rewrite rewrite-to = {'/^a@x$/ b@y.test'}");
    assert_false(rewriting_is_of_sender(r->rewriting));
    assert_false(rewriting_is_srs(r->rewriting));
    settings_release(s);
}

static void a_banner_may_wait(void **state)
{
    struct settings *s = read_well(
        "srs-domain = Srs.Ok.Test\n"
        "listener \"l\" { address = \"127.0.0.1:25\" greet-delay = 5s }\n" GRANT
            ROUTE);

    (void)state;
    assert_int_equal(s->listeners[0].greet_delay_ms, 5000);
    assert_true(span_is(s->srs.domain, SPAN("srs.ok.test")));
    settings_release(s);
}

static void a_rewriting_has_an_end(void **state)
{
    struct buffer text = { 0 }, faults = { 0 }, warnings = { 0 };

    (void)state;
    buffer_put_string(&text, "rule \"a\" { action = rewrite rewrite-to = {\n");
    for (int i = 0; i <= REWRITE_MEMBERS; i++)
        buffer_put_string(&text, "'/a/ b@c.test',\n");
    buffer_put_string(&text, "} }\n");
    assert_null(settings_text(buffer_string(&text), &faults, &warnings));
    assert_non_null(strstr(buffer_string(&faults),
                           "w.conf:34:1: \"/a/ b@c.test\" is one too many"));
    buffer_fini(&text);
    buffer_fini(&faults);
    buffer_fini(&warnings);
}

/* --- tables that say what becomes of an address ---------------------------- */

/* What is said of a configuration with such a table; "" for nothing. */
static void check_table(const char *rule, const char *lines,
                        const char *const expected[4])
{
    struct settings_text_file files[] = { { "w.conf", rule },
                                          { "t", lines },
                                          { NULL, NULL } };
    struct settings_source source = { .path = "w.conf",
                                      .machine_name = "mx.ok.test",
                                      .state_folder = "/state",
                                      .read_file = settings_text_read,
                                      .user = files };
    struct buffer faults = { 0 }, warnings = { 0 };
    struct settings *s = settings_read(&source, &faults, &warnings);
    size_t n = 0;

    for (; n < 4 && expected[n]; n++)
        if (!strstr(buffer_string(&faults), expected[n]))
            fail_msg("%s\nlacks: %s\nsaid: %s", lines, expected[n],
                     buffer_string(&faults));
    if (lines_of(&faults) != n)
        fail_msg("%s\nsaid: %s", lines, buffer_string(&faults));
    assert_true(!s == (n > 0));
    settings_release(s);
    buffer_fini(&faults);
    buffer_fini(&warnings);
}

static void tables_of_a_rewriting_lead_somewhere(void **state)
{
    static const char to[] = LISTENER ROUTE
        "rule \"a\" { action = rewrite rewrite-to = {\"table:t\"} }\n"
        "rule \"b\" { action = rewrite rewrite-to = {\"table:t\", \"table:t\"} "
        "}\n" GRANT;
    static const char from[] = LISTENER ROUTE
        "rule \"a\" { action = rewrite rewrite-from = \"table:t\" }\n" GRANT;
    static const struct {
        const char *rule, *lines, *expected[4];
    } rows[] = {
        { to,
          "a@ok.test a@ok.test, b@x.test\nold.test @ok.test\n"
          "*.x.test who@x.test\n/^c/ d@x.test\n* e@x.test\n",
          { NULL } },
        { to,
          "a@ok.test\nb@ok.test joe\nc@ok.test x@y.test,\n/x/ @\n",
          { "t:1:1: \"a@ok.test\" becomes nothing", "t:2:1: \"joe\" is not an",
            "t:3:1: \"\" is not an address, or @domain, that",
            "t:4:1: \"@\" is not" } },
        { from,
          "a@ok.test b@x.test\nc@ok.test b@x.test,d@x.test\n",
          { "t:2:1: \"c@ok.test\" becomes several, and a message has one" } },
        /* circles */
        { to,
          "a@ok.test b@ok.test\nb@ok.test c@ok.test,d@ok.test\n"
          "d@ok.test A@ok.test\n",
          { "t:1:1: \"A@ok.test\" leads back to where it began" } },
        { to,
          "one.test @two.test\ntwo.test @one.test\n",
          { "t:1:1: \"x@one.test\" leads back",
            "t:2:1: \"x@two.test\" leads back" } },
        { to,
          "ok.test @old.test\njoe@old.test joe@ok.test\n",
          { "t:2:1: \"joe@old.test\" leads back" } },
    };
    struct buffer chain = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_table(rows[i].rule, rows[i].lines, rows[i].expected);
    for (int i = 0; i <= REWRITE_DEPTH; i++)
        buffer_printf(&chain, "a%d@ok.test a%d@ok.test\n", i, i + 1);
    check_table(
        to, buffer_string(&chain),
        (const char *const[4]){ "t:1:1: \"a0@ok.test\" leads on for too "
                                "many steps" });
    buffer_clear(&chain);
    for (int i = REWRITE_DEPTH + 3; i >= 0; i--)
        buffer_printf(&chain, "a%d@ok.test a%d@ok.test\n", i, i + 1);
    check_table(to, buffer_string(&chain),
                (const char *const[4]){ "t:21:1: \"a3@ok.test\" leads on" });
    check_table(LISTENER ROUTE
                "rule \"a\" { action = rewrite rewrite-to = \"table:u\" }\n",
                "", (const char *const[4]){ "w.conf:3:42: cannot read" });
    buffer_fini(&chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_days_and_minutes),
        cmocka_unit_test(lists_in_the_dns_have_answers_and_weights),
        cmocka_unit_test(tls_may_be_a_version_or_bits),
        cmocka_unit_test(single_values_are_kept),
        cmocka_unit_test(the_message_is_asked_by_field_and_by_attachment),
        cmocka_unit_test(actions_are_told_what_they_need),
        cmocka_unit_test(a_banner_may_wait),
        cmocka_unit_test(a_rewriting_has_an_end),
        cmocka_unit_test(tables_of_a_rewriting_lead_somewhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
