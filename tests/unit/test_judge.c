/*
 * The judge: which rule decides, what a pattern matches, and that none of the
 * classic probes gets through.
 */
#include "policy/judge.h"
#include "tests/unit/settings_faults.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* What verdicts point to; given back at the end of each test. */
static struct arena arena;

struct asked {
    const char *client, *helo, *from, *to; /* NULL: something usual */
    const char *login, *certificate, *certificate_name; /* NULL: none */
    bool tls;
};

static int give_back(void **state)
{
    (void)state;
    arena_reset(&arena);
    return 0;
}

/* false: one of the two paths is no path at all. */
static bool facts_of(const struct asked *q, struct facts *facts,
                     struct address *from, struct address *to)
{
    struct span rest;

    memset(facts, 0, sizeof *facts);
    assert_true(host_address_parse(
        span_of(q->client ? q->client : "203.0.113.9"), &facts->client));
    facts->helo = span_of(q->helo ? q->helo : "client.test");
    facts->login = span_of(q->login);
    facts->certificate = span_of(q->certificate);
    facts->certificate_name = span_of(q->certificate_name);
    facts->tls = q->tls;
    facts->sender = from;
    facts->recipient = to;
    return address_parse_path(span_of(q->from ? q->from : "<s@ext.test>"),
                              PATH_REVERSE, true, from, &rest) == ADDRESS_OK &&
           rest.len == 0 &&
           address_parse_path(span_of(q->to ? q->to : "<v@ext.test>"),
                              PATH_FORWARD, true, to, &rest) == ADDRESS_OK &&
           rest.len == 0;
}

/* "relay a", "reject", "refused" for what is no address, "hold(h) relay a" */
static void answer(const struct settings *s, const struct asked *q,
                   struct buffer *out)
{
    static const char *const kinds[] = { "relay", "reject", "defer",
                                         "discard" };
    struct address from, to;
    struct facts facts;
    struct verdict v;

    buffer_clear(out);
    if (!facts_of(q, &facts, &from, &to)) {
        buffer_put_string(out, "refused");
        return;
    }
    v = judge(s, &facts, &arena, NULL);
    if (v.hold)
        buffer_printf(out, "hold(%.*s) ", SPAN_FMT(v.hold_rule->title));
    buffer_put_string(out, kinds[v.kind]);
    if (v.rule)
        buffer_printf(out, " %.*s", SPAN_FMT(v.rule->title));
}

static void check(const struct settings *s, const struct asked *q,
                  const char *expected)
{
    struct buffer said = { 0 };

    answer(s, q, &said);
    if (strcmp(buffer_string(&said), expected) != 0)
        fail_msg("client=%s helo=%s from=%s to=%s: %s, not %s",
                 q->client ? q->client : "", q->helo ? q->helo : "",
                 q->from ? q->from : "", q->to ? q->to : "",
                 buffer_string(&said), expected);
    buffer_fini(&said);
}

struct row {
    struct asked asked;
    const char *expected;
};

static void check_rows(const char *text, const struct row *rows, size_t count)
{
    struct settings *s = read_well(text);

    for (size_t i = 0; i < count; i++)
        check(s, &rows[i].asked, rows[i].expected);
    settings_release(s);
}

#define CHECK(text, rows) check_rows(text, rows, sizeof(rows) / sizeof(rows)[0])

static void without_rules_nothing_is_relayed(void **state)
{
    struct settings *s = read_well("route \"*\" { via = mx }");
    struct address from, to;
    struct facts facts;
    struct asked q = { .client = "127.0.0.1" };
    struct verdict v;
    struct buffer text = { 0 };

    (void)state;
    assert_true(facts_of(&q, &facts, &from, &to));
    v = judge(s, &facts, &arena, NULL);
    assert_int_equal(v.kind, VERDICT_REJECT);
    assert_null(v.rule);
    assert_int_equal(v.reply.code, 554);
    verdict_text(&text, v.reply.text, &facts, v.rule);
    v.reply.text = buffer_span(&text);
    assert_string_equal(buffer_string(&text),
                        "<v@ext.test>: Relay access denied");
    buffer_fini(&text);
    settings_release(s);
}

static void the_first_rule_that_holds_decides(void **state)
{
    static const char text[] =
        "rule \"keep\" { from = {\"odd.test\"} action = hold }\n"
        "rule \"keep2\" { from = {\"*.odd.test\", \"odd.test\"} action = hold "
        "}\n"
        "rule \"bad\" { client = {\"192.0.2.66\"} action = reject }\n"
        "rule \"slow\" { client = {\"192.0.2.77\"} action = defer }\n"
        "rule \"drop\" { to = {\"void.test\"} action = discard }\n"
        "rule \"ours\" { client = {\"192.0.2.0/24\"} action = relay }\n"
        "rule \"never\" { client = {\"192.0.2.0/25\"} action = reject }\n"
        "rule \"mine\" { to = {\"ok.test\"} action = relay }\n"
        "rule \"rest\" { action = reject }\n";
    static const struct row rows[] = {
        { { .client = "192.0.2.1" }, "relay ours" },
        { { .client = "::ffff:192.0.2.1" }, "relay ours" },
        { { .client = "192.0.2.66" }, "reject bad" },
        { { .client = "192.0.2.77" }, "defer slow" },
        { { .to = "<a@void.test>" }, "discard drop" },
        { { .to = "<a@OK.test>" }, "relay mine" },
        { { .to = "<a@sub.ok.test>" }, "reject rest" },
        { { .client = "2001:db8::1" }, "reject rest" },
        { { .from = "<a@odd.test>", .to = "<a@ok.test>" },
          "hold(keep) relay mine" },
        { { .from = "<a@x.odd.test>", .to = "<a@ok.test>" },
          "hold(keep2) relay mine" },
        { { .from = "<a@odd.test>" }, "hold(keep) reject rest" },
        { { .client = "192.0.2.1", .to = "<a%b@c.test>" }, "relay ours" },
    };

    (void)state;
    CHECK(text, rows);
}

static void patterns_match_what_they_say(void **state)
{
    static const char text[] =
        "rule \"null\" { from = {\"<>\"} action = hold }\n"
        "hostname = mx.pm.test\n"
        "rule \"any\" { from = {\"*\"} to = {\"any.test\"} action = reject }\n"
        "rule \"pm\" { to = {\"postmaster@MX.pm.test\"} action = reject }\n"
        "rule \"one\" { to = {\"Some.Body@X.test\"} action = reject }\n"
        "rule \"quoted\" { to = {'\"a b\"@x.test'} action = reject }\n"
        "rule \"below\" { to = {\"*.b.test\", \"*.c.b.test\"} action = reject "
        "}\n"
        "rule \"idn\" { to = {\"b\xc3\xbc"
        "cher.test\"} action = reject }\n"
        "rule \"literal\" { to = {\"[192.0.2.1]\"} action = reject }\n"
        "rule \"regex\" { to = {'/^v[0-9]+@y\\.test$/', '/never/'}\n"
        "   action = reject }\n"
        "rule \"not\" { not-to = {\"ext.test\", \"ok.test\"} action = defer }\n"
        "rule \"all\" { to = {\"*\"} action = discard }\n";
    static const struct row rows[] = {
        { { .from = "<>" }, "hold(null) discard all" },
        { { .from = "<>", .to = "<a@any.test>" }, "hold(null) defer not" },
        { { .to = "<a@any.test>" }, "reject any" },
        { { .to = "<sOME.body@x.TEST>" }, "reject one" },
        { { .to = "<\"some.body\"@x.test>" }, "reject one" },
        { { .to = "<\"some\\.body\"@x.test>" }, "reject one" },
        { { .to = "<other@x.test>" }, "defer not" },
        { { .to = "<\"A b\"@x.test>" }, "reject quoted" },
        { { .to = "<a@a.b.test>" }, "reject below" },
        { { .to = "<a@a.a.b.test>" }, "reject below" },
        { { .to = "<a@c.b.test>" }, "reject below" },
        { { .to = "<a@b.test>" }, "defer not" },
        { { .to = "<a@ab.test>" }, "defer not" },
        { { .to = "<a@XN--bcher-kva.test>" }, "reject idn" },
        { { .to = "<a@B\xc3\x9c"
                  "CHER.test>" },
          "reject idn" },
        { { .to = "<a@[192.0.2.1]>" }, "reject literal" },
        { { .to = "<V12@Y.test>" }, "reject regex" },
        { { .to = "<v@y.test>" }, "defer not" },
        { { .to = "<a@ok.test>" }, "discard all" },
        { { .to = "<Postmaster>" }, "reject pm" },
        { { .to = "<postmaster@pm.test>" }, "defer not" },
    };

    (void)state;
    CHECK(text, rows);
}

static void helo_is_a_name_not_a_mailbox(void **state)
{
    static const char text[] =
        "rule \"pc\" { helo = {\"my_pc\", \"*.Dyn.test\", \"[192.0.2.1]\"}\n"
        "  action = reject }\n"
        "rule \"rx\" { helo = {'/friend/'} action = defer }\n"
        "rule \"none\" { not-helo = {\"*\"} action = hold }\n"
        "rule \"ok\" { to = {\"ext.test\"} action = relay }\n";
    static const struct row rows[] = {
        { { .helo = "MY_PC" }, "reject pc" },
        { { .helo = "a.dyn.test" }, "reject pc" },
        { { .helo = "dyn.test" }, "relay ok" },
        { { .helo = "[192.0.2.1]" }, "reject pc" },
        { { .helo = "my friend" }, "defer rx" },
        { { .helo = "" }, "relay ok" },
        { { .helo = "\xff\xfe" }, "relay ok" },
    };
    struct settings *s = read_well(text);
    char long_helo[600];

    (void)state;
    CHECK(text, rows);
    memset(long_helo, 'a', sizeof long_helo);
    memcpy(long_helo + 590, ".dyn.test", 10);
    check(s, &(struct asked){ .helo = long_helo }, "relay ok");
    memcpy(long_helo, "friend", 6);
    check(s, &(struct asked){ .helo = long_helo }, "defer rx");
    settings_release(s);
}

static void who_logged_in_may_decide(void **state)
{
    static const char text[] =
        "rule \"bad\" { login = {\"Mallory\", \"spam*\"} action = reject }\n"
        "rule \"staff\" { login = {\"*@Example.org\"} action = relay }\n"
        "rule \"others\" { login = {\"*\"} not-login = {\"guest\"}\n"
        "  action = relay }\n"
        "rule \"strangers\" { not-login = {\"*\"} to = {\"x.test\"}\n"
        "  action = defer }\n"
        "rule \"not joe\" { not-login = {\"joe\"} to = {\"y.test\"}\n"
        "  action = discard }\n";
    static const struct row rows[] = {
        { { .login = "joe@example.ORG" }, "relay staff" },
        { { .login = "joe@example.org.test" }, "relay others" },
        { { .login = "mallory" }, "reject bad" },
        { { .login = "spammer" }, "reject bad" },
        { { .login = "mallory2" }, "relay others" },
        /* who may send as he likes may also use routed local parts */
        { { .login = "joe", .to = "<a%b@c.test>" }, "relay others" },
        { { .login = "guest" }, "reject" },
        { { .login = "Guest", .to = "<a@x.test>" }, "reject" },
        { { .to = "<a@x.test>" }, "defer strangers" },
        { { .login = "" }, "reject" },
        /* nobody is not joe either */
        { { .to = "<a@y.test>" }, "discard not joe" },
        { { .login = "guest", .to = "<a@y.test>" }, "discard not joe" },
    };

    (void)state;
    CHECK(text, rows);
}

#define PRINT                                                                  \
    "sha256:00112233445566778899aabbccddeeff"                                  \
    "00112233445566778899aabbccddeeff"

static void a_certificate_is_known_by_fingerprint_or_verified_name(void **state)
{
    static const char text[] =
        "rule \"print\" { certificate = {\"SHA256:00:11:22:33:44:55:66:77:88:"
        "99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff"
        "\"} action = relay }\n"
        "rule \"name\" { certificate = {\"Mail.ok.test\", \"*.sub.test\"}\n"
        "  action = relay }\n"
        "rule \"verified\" { certificate = {\"*\"} to = {\"x.test\"}\n"
        "  action = relay }\n"
        "rule \"none\" { not-certificate = {\"*\"} to = {\"x.test\"}\n"
        "  action = defer }\n";
    static const struct row rows[] = {
        { { .certificate = PRINT }, "relay print" },
        { { .certificate = PRINT "0" }, "reject" },
        { { .certificate = "sha256:11" }, "reject" },
        /* whoever issues certificates may write anything as a name */
        { { .certificate = "sha256:11", .certificate_name = PRINT }, "reject" },
        { { .certificate = "mail.ok.test" }, "reject" },
        { { .certificate_name = "MAIL.ok.test" }, "relay name" },
        { { .certificate_name = "mail.ok.test.evil.test" }, "reject" },
        { { .certificate_name = "a.b.sub.test" }, "relay name" },
        { { .certificate_name = "sub.test" }, "reject" },
        { { .certificate_name = "any", .to = "<a@x.test>" }, "relay verified" },
        /* shown, but not verified */
        { { .certificate = "sha256:11", .to = "<a@x.test>" }, "defer none" },
        { { .to = "<a@x.test>" }, "defer none" },
        { { .certificate = PRINT, .to = "<a%b@c.test>" }, "relay print" },
        { { .login = "mail.ok.test" }, "reject" },
    };

    (void)state;
    CHECK(text, rows);
}

static void tls_is_a_fact_like_others(void **state)
{
    static const char text[] =
        "rule \"clear\" { tls = false to = {\"x.test\"} action = reject }\n"
        "rule \"safe\" { tls = true login = {\"*\"} action = relay }\n";
    static const struct row rows[] = {
        { { .to = "<a@x.test>" }, "reject clear" },
        { { .to = "<a@x.test>", .tls = true }, "reject" },
        { { .login = "joe" }, "reject" },
        { { .login = "joe", .tls = true }, "relay safe" },
    };

    (void)state;
    CHECK(text, rows);
}

static void many_patterns_are_all_found(void **state)
{
    struct buffer text = { 0 };
    struct settings *s;

    (void)state;
    buffer_put_string(&text, "rule \"many\" { to = {\"last.test\"");
    for (int i = 0; i < 3000; i++)
        buffer_printf(&text, ", \"d%d.test\", \"*.s%d.test\", \"u@a%d.test\"",
                      i, i, i);
    buffer_put_string(&text, "} action = relay }\n");
    s = read_well(buffer_string(&text));
    for (int i = 0; i < 3000; i += 7) {
        char to[64];

        (void)snprintf(to, sizeof to, "<x@d%d.test>", i);
        check(s, &(struct asked){ .to = to }, "relay many");
        (void)snprintf(to, sizeof to, "<x@y.s%d.test>", i);
        check(s, &(struct asked){ .to = to }, "relay many");
        (void)snprintf(to, sizeof to, "<u@a%d.test>", i);
        check(s, &(struct asked){ .to = to }, "relay many");
        (void)snprintf(to, sizeof to, "<v@a%d.test>", i);
        check(s, &(struct asked){ .to = to }, "reject");
    }
    check(s, &(struct asked){ .to = "<x@d3000.test>" }, "reject");
    settings_release(s);
    buffer_fini(&text);
}

static void an_expression_that_runs_away_decides_nothing(void **state)
{
    static const char text[] =
        "rule \"wild\" { helo = {'/^(a+)+$/', '/^(a|aa)+$/'} action = reject "
        "}\n"
        "rule \"ok\" { to = {\"ext.test\"} action = relay }\n";
    static const struct row rows[] = {
        { { .helo = "aaaa" }, "reject wild" },
        { { .helo = "b" }, "relay ok" },
        { { .helo =
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab" },
          "defer wild" },
    };

    (void)state;
    CHECK(text, rows);
}

static void replies_are_the_rules_own_or_the_usual_ones(void **state)
{
    static const struct {
        const char *rule, *line;
    } rows[] = {
        { "action = reject", "554 5.7.1 <v@ext.test>: Access denied" },
        { "action = defer", "450 4.7.1 <v@ext.test>: Try again later" },
        { "action = reject reply = \"550 5.1.1 %{recipient} %{sender} "
          "%{client} %{helo} %{rule} %{login}.\"",
          "550 5.1.1 v@ext.test s@ext.test 203.0.113.9 client.test x me." },
        { "action = defer reply = \"421 100% %x %\"", "421 4.0.0 100% %x %" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer b = { 0 };
        struct address from, to;
        struct facts facts;
        struct settings *s;
        struct verdict v;

        buffer_printf(&b, "rule \"x\" { %s }", rows[i].rule);
        s = read_well(buffer_string(&b));
        buffer_clear(&b);
        assert_true(facts_of(&(struct asked){ 0 }, &facts, &from, &to));
        facts.login = SPAN("me");
        v = judge(s, &facts, &arena, NULL);
        verdict_text(&b, v.reply.text, &facts, v.rule);
        v.reply.text = span_of(span_dup(buffer_span(&b)));
        buffer_clear(&b);
        reply_print(&b, &v.reply);
        assert_string_equal(buffer_string(&b), rows[i].line);
        free((void *)(uintptr_t)v.reply.text.at);
        buffer_fini(&b);
        settings_release(s);
    }
}

static void texts_never_break_a_line(void **state)
{
    struct buffer b = { 0 };
    struct address from, to;
    struct facts facts;

    (void)state;
    assert_true(facts_of(&(struct asked){ 0 }, &facts, &from, &to));
    facts.helo = span_make("a\r\nb\0c\xff\xc3\xbc", 9);
    verdict_text(&b, SPAN("x\n%{helo}%{nobody}%{"), &facts, NULL);
    assert_string_equal(buffer_string(&b), "x?a??b?c?\xc3\xbc%{nobody}%{");
    buffer_clear(&b);
    verdict_text(&b, SPAN("%{rule}"), &facts, NULL);
    assert_int_equal(b.len, 0);
    buffer_fini(&b);
}

/* --- the open-relay probes
 * ---------------------------------------------------- */

#define IP "192.0.2.25"

static void no_open_relay_probe_gets_through(void **state)
{
    static const char text[] =
        "hostname = mx.ok.test\n"
        "rule \"lan\" { client = {\"10.0.0.0/8\"} action = relay }\n"
        "rule \"own\" { to = {\"ok.test\", \"*.ok.test\", \"[" IP "]\"}\n"
        "  action = relay }\n";
    static const struct asked probes[] = {
        { .from = "<s@ext.test>", .to = "<v@ext.test>" }, /* F01 */
        { .from = "<>", .to = "<v@ext.test>" },           /* F02 */
        { .from = "<s@ok.test>", .to = "<v@ext.test>" },  /* F03 */
        { .from = "<s@[" IP "]>", .to = "<v@ext.test>" }, /* F04 */
        { .from = "<s@localhost>", .to = "<v@ext.test>" },
        { .from = "<s>", .to = "<v@ext.test>" },
        { .from = "<s@mx.ok.test>", .to = "<v%ext.test@mx.ok.test>" },
        { .from = "<s@[" IP "]>", .to = "<v%ext.test@[" IP "]>" }, /* F06 */
        { .from = "<s@[" IP "]>", .to = "<\"v@ext.test\">" },      /* F07 */
        { .from = "<s@[" IP "]>", .to = "<\"v%ext.test\">" },
        { .from = "<s@[" IP "]>", .to = "<v@ext.test@[" IP "]>" },
        { .from = "<s@[" IP "]>", .to = "<\"v@ext.test\"@[" IP "]>" },
        { .from = "<s@[" IP "]>", .to = "<v@ext.test@mx.ok.test>" },
        { .from = "<s@[" IP "]>", .to = "<@[" IP "]:v@ext.test>" }, /* F12 */
        { .from = "<s@[" IP "]>", .to = "<@mx.ok.test:v@ext.test>" },
        { .from = "<s@[" IP "]>", .to = "<ext.test!v>" },
        { .from = "<s@[" IP "]>", .to = "<ext.test!v@[" IP "]>" },
        { .from = "<s@[" IP "]>", .to = "<ext.test!v@mx.ok.test>" },
        { .to = "<v%ext.test@ok.test>" }, /* F17 */
        { .to = "<\"v@ext.test\"@ok.test>" },
        { .to = "<\"v\\%ext.test\"@ok.test>" },
        { .to = "<ext.test!x!v@ok.test>" }, /* F18 */
        { .to = "<@a:@b:v@ext.test>" },
        { .helo = "localhost" }, /* F19 */
        { .helo = "mx.ok.test" },
        { .helo = "[127.0.0.1]" },
        { .to = "<v@ext.test>", .client = "::ffff:11.0.0.1" }, /* F21 */
    };
    struct settings *s = read_well(text);
    struct buffer said = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof probes / sizeof probes[0]; i++) {
        answer(s, &probes[i], &said);
        if (strcmp(buffer_string(&said), "reject") != 0 &&
            strcmp(buffer_string(&said), "refused") != 0)
            fail_msg("%s %s: %s", probes[i].from, probes[i].to,
                     buffer_string(&said));
    }
    /* the same relay is not simply shut */
    check(s, &(struct asked){ .to = "<v@ok.test>" }, "relay own");
    check(s, &(struct asked){ .to = "<v@mx.ok.test>" }, "relay own");
    check(s, &(struct asked){ .client = "10.1.2.3" }, "relay lan");
    buffer_fini(&said);
    settings_release(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_rules_nothing_is_relayed),
        cmocka_unit_test(the_first_rule_that_holds_decides),
        cmocka_unit_test(patterns_match_what_they_say),
        cmocka_unit_test(helo_is_a_name_not_a_mailbox),
        cmocka_unit_test(who_logged_in_may_decide),
        cmocka_unit_test(
            a_certificate_is_known_by_fingerprint_or_verified_name),
        cmocka_unit_test(tls_is_a_fact_like_others),
        cmocka_unit_test(many_patterns_are_all_found),
        cmocka_unit_test(an_expression_that_runs_away_decides_nothing),
        cmocka_unit_test(replies_are_the_rules_own_or_the_usual_ones),
        cmocka_unit_test(texts_never_break_a_line),
        cmocka_unit_test(no_open_relay_probe_gets_through),
    };

    return cmocka_run_group_tests(tests, NULL, give_back);
}
