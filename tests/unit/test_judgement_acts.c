/*
 * What the judge has done besides: effects in their order, limits, greylisting, what a policy
 * server asks for.
 */
#include "tests/unit/judgement_bench.h"

static void what_acts_and_goes_on_leaves_effects_in_order(void **state)
{
    static const struct row rows[] = {
        { "rule \"t\" { action = tag set-tag = {\"x\", \"y\"} }\n"
          "rule \"h\" { tag = {\"Y\"} action = hold }\n"
          "rule \"n\" { not-tag = {\"x\"} action = reject }\n"
          "rule \"a\" { action = add-header add-header = "
          "{\"X-From: %{client} %{session}\"} }\n"
          "rule \"r\" { action = remove-header remove-header = {\"X-Old\"} }\n"
          "rule \"c\" { action = copy copy = {\"a@ar.test\"} }\n"
          "rule \"w\" { action = route route = \"slow\" }\n" OURS,
          .expected = "relay ours [tag x] [tag y] [hold] "
                      "[add X-From: 203.0.113.9 s1] [remove X-Old] "
                      "[copy a@ar.test] [route slow]" },
        { "rule \"w\" { action = rewrite rewrite-to = "
          "{'/^v@(.*)$/ w@$1'} }\n" OURS,
          .expected = "relay ours [to w@ok.test]" },
        { "rule \"w\" { action = rewrite rewrite-from = "
          "{'/^s@(.*)$/ t@$1'} }\n" OURS,
          .expected = "relay ours [from t@ext.test]" },
        { "rule \"w\" { action = rewrite rewrite-to = "
          "{'/^nobody@(.*)$/ w@$1'} }\n" OURS,
          .expected = "relay ours" },
        { "rule \"w\" { action = rewrite rewrite-to = "
          "{'/^(a+)+$/ w@x.test'} }\n" OURS "rule \"all\" { to = {\"test\"} "
          "action = reject }\n",
          .expected = "relay ours" },
        { "srs-secret-file = s\n"
          "rule \"w\" { action = rewrite rewrite-to = {\"srs\"} }\n" OURS,
          .to = "<SRS0=HHHH=TT=x.test=a@ok.test>",
          .expected = "defer w: 451 4.3.5 <SRS0=HHHH=TT=x.test=a@ok.test>: "
                      "Cannot tell now, try again later" },
        { "srs-secret-file = s\n"
          "rule \"w\" { action = rewrite rewrite-to = {\"srs\"} }\n" OURS,
          .to = "<SRS0=HHHH=TT=x.test=a@mx.ok.test>", .has_secrets = true,
          .expected = "reject w: 550 5.1.1 "
                      "<SRS0=HHHH=TT=x.test=a@mx.ok.test>: No such user here" },
        /* they are also said of a recipient who is refused below */
        { "rule \"h\" { action = hold }\n",
          .expected = "reject: 554 5.7.1 <v@ok.test>: Relay access denied "
                      "[hold]" },
    };

    (void)state;
    CHECK(rows);
}

static void a_rule_in_the_shadow_only_tells(void **state)
{
    static const struct row rows[] = {
        { "rule \"b\" { action = reject mode = shadow reply = "
          "\"550 5.7.1 No, %{sender}\" }\n" OURS,
          .expected = "relay ours [shadow 550 5.7.1 No, s@ext.test]" },
        { "rule \"b\" { client = {\"203.0.113.9\"} action = relay "
          "mode = shadow }\n",
          .expected = "reject: 554 5.7.1 <v@ok.test>: Relay access denied "
                      "[shadow relay]" },
        { "rule \"b\" { action = discard mode = shadow }\n" OURS,
          .expected = "relay ours [shadow discard]" },
        { "rule \"t\" { action = tag set-tag = {\"x\"} mode = shadow }\n"
          "rule \"h\" { tag = {\"x\"} action = reject }\n"
          "rule \"k\" { action = hold mode = shadow }\n"
          "rule \"c\" { action = copy copy = {\"a@ar.test\", \"b@ar.test\"} "
          "mode = shadow }\n" OURS,
          .expected = "relay ours [shadow tag x] [shadow hold] "
                      "[shadow copy a@ar.test, copy b@ar.test]" },
        { "rule \"g\" { action = greylist mode = shadow }\n" OURS,
          .answers = { "note greyclient|203.0.113.0/24=",
                       "note grey|203.0.113.0/24 s@ext.test v@ok.test=" },
          .expected = "relay ours [shadow 450 4.7.1 <v@ok.test>: "
                      "Greylisted, try again in "
                      "300 seconds]" },
        { "rule \"n\" { client-name = {\"x.test\"} action = reject "
          "mode = shadow }\n" OURS,
          .answers = { "name 203.0.113.9" },
          .expected = "relay ours [shadow cannot tell]" },
        { "rule \"l\" { action = limit per = client rate = {\"1/h\"} "
          "mode = shadow }\n" OURS,
          .answers = { "budget limit|l|203.0.113.9|0=5" },
          .expected = "relay ours end:l" },
        { "rule \"h\" { action = hold mode = shadow }\n"
          "rule \"l\" { action = limit per = client "
          "rate = {\"9/h\", \"20/d\"} count = recipients "
          "mode = shadow }\n"
          "rule \"k\" { action = hold }\n" OURS,
          .answers = { "budget limit|l|203.0.113.9|0=5",
                       "budget limit|l|203.0.113.9|1=5" },
          .expected = "relay ours [shadow hold] "
                      "[charge limit|l|203.0.113.9|0 1] "
                      "[charge limit|l|203.0.113.9|1 1] [hold]" },
        { "rule \"l\" { action = limit per = client rate = {\"1/h\"} "
          "mode = shadow }\n" OURS,
          .answers = { "budget limit|l|203.0.113.9|0=0" },
          .expected = "relay ours [shadow 450 4.7.1 <v@ok.test>: "
                      "Too much mail for now, try "
                      "again later]" },
    };

    (void)state;
    CHECK(rows);
}

#define LIMIT(more)  "rule \"l\" { action = limit " more " }\n" OURS
#define LEFT(who, n) "budget limit|l|" who "=" n

static void a_limit_is_asked_and_charged_or_goes_over(void **state)
{
    static const struct row rows[] = {
        { LIMIT("per = client rate = {\"1/h\"}"),
          .expected = "asks budget:limit|l|203.0.113.9|0" },
        { LIMIT("per = client count = recipients rate = {\"9/h\", \"20/d\"}"),
          .answers = { LEFT("203.0.113.9|0", "1"), LEFT("203.0.113.9|1", "7") },
          .expected = "relay ours [charge limit|l|203.0.113.9|0 1] "
                      "[charge limit|l|203.0.113.9|1 1]" },
        { LIMIT("per = client count = recipients rate = {\"9/h\", \"20/d\"}"),
          .answers = { LEFT("203.0.113.9|0", "1"), LEFT("203.0.113.9|1", "0") },
          .expected = "defer l: 450 4.7.1 <v@ok.test>: "
                      "Too much mail for now, try again "
                      "later" },
        { LIMIT("per = from count = recipients rate = {\"9/h\"} "
                "over = reject"),
          .from = "<S@EXT.test>", .answers = { LEFT("s@ext.test|0", "0") },
          .expected = "reject l: 554 5.7.1 <v@ok.test>: Too much mail" },
        { LIMIT("per = from-domain count = recipients rate = {\"9/h\"} "
                "over = hold"),
          .answers = { LEFT("ext.test|0", "0") },
          .expected = "relay ours [hold]" },
        { LIMIT("per = from-domain count = recipients rate = {\"9/h\"}"),
          .from = "<>", .answers = { LEFT("<>|0", "1") },
          .expected = "relay ours [charge limit|l|<>|0 1]" },
        { LIMIT("per = to-domain count = recipients rate = {\"9/h\"} "
                "reply = \"450 4.7.1 Slow down\""),
          .answers = { LEFT("ok.test|0", "0") },
          .expected = "defer l: 450 4.7.1 Slow down" },
        { LIMIT("per = login count = recipients rate = {\"9/h\"}"),
          .login = "Joe", .answers = { LEFT("joe|0", "3") },
          .expected = "relay ours [charge limit|l|joe|0 1]" },
        { LIMIT("per = login count = recipients rate = {\"9/h\"}"),
          .expected = "relay ours" },
        { LIMIT("per = client count = recipients rate = {\"9/h\"}"),
          .answers = { "budget limit|l|203.0.113.9|0" },
          .expected = "defer l: 451 4.3.5 <v@ok.test>: Cannot tell now, try "
                      "again later" },
        { LIMIT("per = client count = recipients rate = {\"9/h\"}"),
          .answers = { LEFT("203.0.113.9|0", "many") },
          .expected = "defer l: 451 4.3.5 <v@ok.test>: Cannot tell now, try "
                      "again later" },
        /* messages and bytes: looked at with the recipient, taken with the message */
        { LIMIT("per = client count = messages rate = {\"9/h\"}"),
          .answers = { LEFT("203.0.113.9|0", "1") },
          .expected = "relay ours end:l" },
        { LIMIT("per = client count = bytes rate = {\"9MB/h\"}"), .size = 500,
          .answers = { LEFT("203.0.113.9|0", "499") },
          .expected = "defer l: 450 4.7.1 <v@ok.test>: "
                      "Too much mail for now, try again "
                      "later" },
        { LIMIT("per = client count = messages rate = {\"9/h\"}"),
          STAGE_CONTENT, .content = "A: b\r\n\r\n",
          .answers = { LEFT("203.0.113.9|0", "1") },
          .expected = "open [charge limit|l|203.0.113.9|0 1]" },
        { LIMIT("per = client count = bytes rate = {\"9MB/h\"}"), STAGE_CONTENT,
          .content = "A: b\r\n\r\n", .answers = { LEFT("203.0.113.9|0", "8") },
          .expected = "open [charge limit|l|203.0.113.9|0 8]" },
        { LIMIT("per = client count = bytes rate = {\"9MB/h\"}"), STAGE_CONTENT,
          .content = "A: b\r\n\r\n", .answers = { LEFT("203.0.113.9|0", "7") },
          .expected = "defer l: 450 4.7.1 <v@ok.test>: "
                      "Too much mail for now, try again "
                      "later" },
        /* what is larger than the whole budget takes all of it */
        { LIMIT("per = client count = bytes rate = {\"100/h\"}"), .size = 500,
          .answers = { LEFT("203.0.113.9|0", "100") },
          .expected = "relay ours end:l" },
        /* a later rule refuses: nothing is charged, for nothing is accepted */
        { "rule \"l\" { action = limit per = client count = recipients "
          "rate = {\"9/h\"} }\nrule \"no\" { action = reject }\n",
          .answers = { LEFT("203.0.113.9|0", "5") },
          .expected = "reject no: 554 5.7.1 <v@ok.test>: Access denied "
                      "[charge limit|l|203.0.113.9|0 1]" },
    };

    (void)state;
    CHECK(rows);
}

static void recipients_of_today_are_counted(void **state)
{
#define TODAY "rule \"d\" { today = 5 action = defer }\n" OURS
    static const struct row rows[] = {
        { TODAY, .expected = "asks count:today|client 203.0.113.9" },
        { TODAY, .login = "Joe", .expected = "asks count:today|login joe" },
        { TODAY, .answers = { "count today|client 203.0.113.9=4" },
          .expected = "relay ours [count today|client 203.0.113.9]" },
        { TODAY, .answers = { "count today|client 203.0.113.9=5" },
          .expected = "defer d: 450 4.7.1 <v@ok.test>: Try again later" },
        { TODAY, .answers = { "count today|client 203.0.113.9=x" },
          .expected = "defer d: 451 4.3.5 <v@ok.test>: Cannot tell now, try "
                      "again later" },
        { TODAY, STAGE_CONNECT, .expected = "open" },
    };

    (void)state;
    CHECK(rows);
}

#define GREY   "rule \"g\" { action = greylist }\n" OURS
#define PAIR   "note grey|203.0.113.0/24 s@ext.test v@ok.test"
#define CLIENT "note greyclient|203.0.113.0/24"

static void a_stranger_knocks_twice(void **state)
{
    static const struct row rows[] = {
        { GREY, .expected = "asks note:greyclient|203.0.113.0/24 "
                            "note:grey|203.0.113.0/24 s@ext.test v@ok.test" },
        { GREY, .answers = { PAIR "=", CLIENT "=" },
          .expected = "defer g: 450 4.7.1 <v@ok.test>: "
                      "Greylisted, try again in 300 seconds "
                      "[note grey|203.0.113.0/24 s@ext.test v@ok.test="
                      "1000000000000 0 0]" },
        { GREY, .answers = { PAIR "=999999999000 0 0", CLIENT "=" },
          .expected = "defer g: 450 4.7.1 <v@ok.test>: "
                      "Greylisted, try again in 299 "
                      "seconds" },
        { GREY, .answers = { PAIR "=999999600000 0 0", CLIENT "=" },
          .expected = "relay ours [note grey|203.0.113.0/24 s@ext.test "
                      "v@ok.test=999999600000 1000000000000 1] "
                      "[note greyclient|203.0.113.0/24=1000000000000 1]" },
        { GREY, .answers = { PAIR "=", CLIENT "=999999990000 5" },
          .expected = "relay ours" },
        { GREY, .answers = { PAIR, CLIENT "=" },
          .expected = "defer g: 451 4.3.5 <v@ok.test>: Cannot tell now, try "
                      "again later" },
        { "rule \"g\" { action = greylist reply = \"450 4.2.0 Later\" "
          "trust-after = 0 }\n" OURS,
          .answers = { PAIR "=999999999000 0 0" },
          .expected = "defer g: 450 4.2.0 Later" },
        { GREY, .from = "<>",
          .answers = { "note grey|203.0.113.0/24 <> v@ok.test=999999999999 0 0",
                       CLIENT "=" },
          .expected = "defer g: 450 4.7.1 <v@ok.test>: "
                      "Greylisted, try again in 300 "
                      "seconds" },
    };

    (void)state;
    CHECK(rows);
}

#define ASK  "rule \"p\" { action = policy server = \"127.0.0.1:10023\" }\n"
#define NAME "name 203.0.113.9=a.test"

/* The request that the judge writes, answered with `action`; then what is said. */
static void check_server(const char *rules, const char *action,
                         const char *expected)
{
    struct settings *s = settings_of(rules);
    struct evidence *e = evidence_new();
    struct buffer said = { 0 };
    struct row row = { .stage = STAGE_RECIPIENT };
    struct address from, to;
    struct facts facts;
    struct verdict v;

    put_answer(e, NAME);
    fill_facts(&row, &facts, &from, &to);
    facts.evidence = e;
    v = judge(s, &facts, &arena, NULL);
    assert_int_equal(v.kind, VERDICT_ASKS);
    assert_int_equal(v.question_count, 1);
    assert_int_equal(v.questions[0].kind, EVIDENCE_SERVER);
    evidence_put(e, EVIDENCE_SERVER, v.questions[0].key,
                 action ? EVIDENCE_ANSWERED : EVIDENCE_FAILED, span_of(action));
    v = judge(s, &facts, &arena, NULL);
    put_verdict(&said, &v, &facts);
    assert_string_equal(buffer_string(&said), expected);
    buffer_fini(&said);
    evidence_free(e);
    settings_release(s);
    arena_reset(&arena);
}

static void a_policy_server_takes_away_and_adds_but_never_grants(void **state)
{
    static const struct row rows[] = {
        { ASK OURS, .expected = "asks name:203.0.113.9" },
        { ASK OURS, .answers = { NAME },
          .expected = "asks server:127.0.0.1:10023" },
        { ASK OURS, .answers = { "name 203.0.113.9" },
          .expected = "asks server:127.0.0.1:10023" },
        /* it is not asked while another rule may still decide */
        { LISTED ASK OURS, .answers = { NAME },
          .expected = "asks list:" QUERY },
        { ASK OURS, STAGE_SENDER, .expected = "open" },
    };
    static const struct {
        const char *rules, *action, *expected;
    } said[] = {
        { ASK OURS, "DUNNO", "relay ours" },
        { ASK OURS, "OK", "relay ours" },
        { ASK, "OK", "reject: 554 5.7.1 <v@ok.test>: Relay access denied" },
        { ASK OURS, "REJECT Not you",
          "reject p: 554 5.7.1 <v@ok.test>: Recipient address rejected: "
          "Not you" },
        { ASK OURS, "450 4.2.0 Greylisted",
          "defer p: 450 4.2.0 <v@ok.test>: Recipient address rejected: "
          "Greylisted" },
        { ASK OURS, "DEFER_IF_PERMIT Later",
          "defer p: 450 4.7.1 <v@ok.test>: Recipient address rejected: "
          "Later" },
        { ASK "rule \"no\" { action = reject }", "DEFER_IF_PERMIT Later",
          "reject no: 554 5.7.1 <v@ok.test>: Access denied" },
        { ASK "rule \"no\" { action = reject }", "DEFER_IF_REJECT Later",
          "defer p: 450 4.7.1 <v@ok.test>: Recipient address rejected: "
          "Later" },
        { ASK OURS, "DEFER_IF_REJECT Later", "relay ours" },
        { ASK OURS, "HOLD", "relay ours [hold]" },
        { ASK OURS, "DISCARD", "discard p" },
        { ASK OURS, "PREPEND X-SPF: pass", "relay ours [add X-SPF: pass]" },
        { ASK OURS, "REDIRECT x@y.test", "relay ours [to x@y.test]" },
        { ASK OURS, "BCC x@y.test", "relay ours [copy x@y.test]" },
        { ASK OURS, "WARN odd", "relay ours [log odd]" },
        { ASK OURS, "FILTER smtp:x",
          "defer p: 451 4.3.5 Server configuration problem" },
        { ASK OURS, NULL, "defer p: 451 4.3.5 Server configuration problem" },
    };

    (void)state;
    CHECK(rows);
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++)
        check_server(said[i].rules, said[i].action, said[i].expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_acts_and_goes_on_leaves_effects_in_order),
        cmocka_unit_test(a_rule_in_the_shadow_only_tells),
        cmocka_unit_test(a_limit_is_asked_and_charged_or_goes_over),
        cmocka_unit_test(recipients_of_today_are_counted),
        cmocka_unit_test(a_stranger_knocks_twice),
        cmocka_unit_test(a_policy_server_takes_away_and_adds_but_never_grants),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
