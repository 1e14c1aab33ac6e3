/*
 * Explanations: at which stage a verdict falls, what each rule says, what is asked and what is
 * assumed.
 */
#include "policy/explanation.h"
#include "policy/showing.h"
#include "tests/unit/settings_text.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

#define TOP                                                                    \
    "hostname = \"mx.ok.test\"\n"                                              \
    "listener \"edge\" { address = \"127.0.0.1:2525\" }\n"                     \
    "route \"to.test\" { via = {\"smtp://192.0.2.1\"} }\n"

#define PM         "postmaster = \"ann@to.test\"\n"
#define POSTMASTER "<postmaster@mx.ok.test>"
#define OURS                                                                   \
    "rule \"ours\" { to = {\"to.test\", \"else.test\"}  action = relay }\n"

struct asked {
    const char *rules, *client, *helo, *from, *to, *login;
    uint64_t size;
    const char *message; /* NULL: none */
};

static struct address sender, recipient;
static struct settings *settings;

static void put_address(const char *text, enum path_kind kind,
                        struct address *out)
{
    struct span rest;

    assert_int_equal(address_parse_path(span_of(text), kind, true, out, &rest),
                     ADDRESS_OK);
}

static struct explanation *begin(const struct asked *q)
{
    struct buffer text = { 0 }, faults = { 0 }, warnings = { 0 };
    struct facts f = { .listener = SPAN("edge"),
                       .helo = span_of(q->helo ? q->helo : "client.test"),
                       .login = span_of(q->login),
                       .size_bytes = q->size };
    struct explanation *x;

    assert_true(host_address_parse(span_of(q->client ? q->client : "192.0.2.7"),
                                   &f.client));
    put_address(q->from ? q->from : "<s@from.test>", PATH_REVERSE, &sender);
    put_address(q->to ? q->to : "<r@to.test>", PATH_FORWARD, &recipient);
    f.sender = &sender;
    f.recipient = &recipient;
    buffer_printf(&text, "%s%s", TOP, q->rules);
    settings = settings_text(buffer_string(&text), &faults, &warnings);
    if (!settings)
        fail_msg("%s", buffer_string(&faults));
    buffer_fini(&text);
    buffer_fini(&faults);
    buffer_fini(&warnings);
    x = explanation_new(settings, &f);
    if (q->message)
        explanation_message(x, span_of(q->message));
    return x;
}

static void end(struct explanation *x)
{
    explanation_free(x);
    settings_release(settings);
}

/* Nobody is there to be asked. */
static void assume_all(struct explanation *x)
{
    const struct evidence_question *all;
    size_t count;

    while (!explanation_step(x, &all, &count))
        for (size_t i = 0; i < count; i++)
            explanation_assume(x, &all[i]);
}

/* "reject connect net 554 5.7.1 ..." */
static void put_verdict(struct buffer *b, const struct explanation *x)
{
    static const char *const kinds[] = { "relay", "reject", "defer",
                                         "discard" };
    const struct verdict *v = &x->verdict;

    buffer_printf(b, "%s %s %.*s", kinds[v->kind], showing_stage(x->stage),
                  v->rule ? (int)v->rule->title.len : 1,
                  v->rule ? v->rule->title.at : "-");
    if (v->reply.code) {
        buffer_put_byte(b, ' ');
        reply_print(b, &v->reply);
    }
}

static void verdicts_fall_at_their_stage(void **state)
{
    static const struct {
        struct asked q;
        const char *want;
    } rows[] = {
        { { OURS }, "relay recipient ours" },
        { { "" },
          "reject recipient - 554 5.7.1 <r@to.test>: Relay access denied" },
        { { "rule \"net\" { client = \"192.0.2.0/24\" action = reject reply = "
            "\"550 5.7.1 no\" }\n" OURS },
          "reject connect net 554 5.7.1 no" },
        { { "rule \"net\" { client = \"192.0.2.0/24\" action = defer "
            "}\n" OURS },
          "defer connect net 421 4.7.1 192.0.2.7: Try again later" },
        { { "rule \"h\" { helo = \"bad.test\" action = reject }\n" OURS,
            .helo = "bad.test" },
          "reject hello h 554 5.7.1 192.0.2.7: Access denied" },
        { { "rule \"s\" { from = \"from.test\" action = defer }\n" OURS },
          "defer sender s 450 4.7.1 192.0.2.7: Try again later" },
        { { OURS, .size = 60000000 },
          "reject sender - 552 5.3.4 Message size exceeds fixed limit" },
        { { OURS, .to = "<r@else.test>" },
          "defer recipient - 451 4.3.5 Server configuration problem" },
        { { "rule \"m\" { header = \"X-Bad\" action = reject }\n" OURS,
            .message = "X-Bad: 1\r\n\r\n" },
          "reject message m 554 5.7.1 <r@to.test>: Access denied" },
        { { "rule \"m\" { header = \"X-Bad\" action = reject }\n" OURS,
            .message = "X-Good: 1\r\n\r\n" },
          "relay recipient ours" },
        { { "rule \"m\" { header = \"X-Bad\" action = reject }\n" OURS },
          "relay recipient ours" },
        { { "", .to = "<postmaster>" },
          "defer recipient - 451 4.3.5 Server configuration problem" },
        { { "postmaster = \"ann@to.test\"\n", .to = "<postmaster>" },
          "relay recipient -" },
        /* our postmaster is spared by what refuses others */
        { { PM "rule \"no\" { to = \"*\" action = reject }\n" OURS, .to = POSTMASTER },
          "relay recipient -" },
        { { PM "rule \"no\" { to = \"*\" action = greylist }\n" OURS,
            .to = POSTMASTER },
          "relay recipient -" },
        { { PM "rule \"away\" { to = \"*\" action = discard }\n", .to = POSTMASTER },
          "relay recipient -" },
        { { PM "rule \"no\" { to = {\"x.test\", \"Postmaster@mx.ok.test\"} action = "
            "reject }\n" OURS,
            .to = POSTMASTER },
          "reject recipient no 554 5.7.1 <postmaster@mx.ok.test>: Access denied" },
        { { PM "rule \"no\" { to = {\"x.test\", \"postmaster@x.test\"} action = "
            "reject }\n" OURS,
            .to = POSTMASTER },
          "relay recipient -" },
        /* who names it means it, also without a domain */
        { { PM "rule \"no\" { to = {\"x.test\", \"Postmaster@mx.ok.test\"} action = "
            "reject }\n" OURS,
            .to = "<postmaster>" },
          "reject recipient no 554 5.7.1 <postmaster>: Access denied" },
        { { PM "origin = \"ok.test\"\nrule \"no\" { to = {\"postmaster@ok.test\"} "
            "action = reject }\n" OURS,
            .to = "<Postmaster>" },
          "reject recipient no 554 5.7.1 <Postmaster>: Access denied" },
        { { PM "rule \"no\" { to = {\"x.test\", \"postmaster@x.test\"} action = "
            "reject }\n" OURS,
            .to = "<postmaster>" },
          "relay recipient -" },
        { { PM "rule \"no\" { not-to = \"postmaster@mx.ok.test\" action = reject }\n"
            OURS,
            .to = "<postmaster>" },
          "relay recipient -" },
        /* and not by what looks into the message */
        { { PM "rule \"m\" { header = \"X-Bad\" action = reject }\n" OURS,
            .to = POSTMASTER, .message = "X-Bad: 1\r\n\r\n" },
          "reject message m 554 5.7.1 <postmaster@mx.ok.test>: Access denied" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct explanation *x = begin(&rows[i].q);
        struct buffer b = { 0 };

        assume_all(x);
        put_verdict(&b, x);
        assert_string_equal(buffer_string(&b), rows[i].want);
        assert_false(explanation_is_conditional(x));
        buffer_fini(&b);
        end(x);
    }
}

/* "fate: condition: fact" of a rule. */
static void put_rule(struct buffer *b, const struct explanation *x, size_t i)
{
    const struct explained_rule *r = &x->rules[i];

    buffer_clear(b);
    buffer_put_string(b, showing_fate(r->fate));
    if (!r->which)
        return;
    buffer_printf(b, ": %.*s: ", SPAN_FMT(r->which->text));
    showing_fact(b, x, r->which);
}

static void a_rule_tells_its_condition_and_the_fact(void **state)
{
    static const struct {
        const char *rule, *want;
    } rows[] = {
        { "client = {\"10.0.0.0/8\", \"192.0.3.0/24\"}",
          "not-matched: client = {\"10.0.0.0/8\", \"192.0.3.0/24\"}: client is "
          "192.0.2.7" },
        { "not-client = \"192.0.2.7\"",
          "not-matched: not-client = \"192.0.2.7\": client is 192.0.2.7" },
        { "login = {\"joe\"}", "not-matched: login = \"joe\": not logged in" },
        { "helo = \"x.test\"",
          "not-matched: helo = \"x.test\": helo is client.test" },
        { "tls = true", "not-matched: tls = \"true\": no TLS" },
        { "from = \"<>\"",
          "not-matched: from = \"<>\": sender is s@from.test" },
        { "to = \"a.test\"",
          "not-matched: to = \"a.test\": recipient is r@to.test" },
        { "tag = \"x\"", "not-matched: tag = \"x\": no tag is set" },
        { "certificate = \"a.test\"",
          "not-matched: certificate = \"a.test\": no client certificate" },
        { "time = \"02:00-03:00\"",
          "not-matched: time = \"02:00-03:00\": it is Sunday 00:00" },
        { "today = 5",
          "not-matched: today = \"5\": 0 recipients so far today" },
        { "client-name = \"a.test\"",
          "not-matched: client-name = \"a.test\": the client has no name" },
        { "dnsbl = {\"a.test\"}",
          "not-matched: dnsbl = \"a.test\": not listed" },
        { "attachment = {\"*.exe\"}",
          "set-aside: attachment = \"*.exe\": needs the message" },
        { "size = 10MB", "set-aside: size = \"10MB\": no size is declared" },
        { "from = {\"0.a.test\", \"1.a.test\", \"2.a.test\", \"3.a.test\", "
          "\"4.a.test\", \"5.a.test\", \"6.a.test\"}",
          "not-matched: from = {\"0.a.test\", \"1.a.test\", \"2.a.test\", "
          "\"3.a.test\", \"4.a.test\", ... 2 more}: sender is s@from.test" },
        { "client = \"192.0.2.0/24\"", "matched" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer text = { 0 }, b = { 0 };
        struct explanation *x;

        buffer_printf(&text, "rule \"a\" { %s  action = hold }\n" OURS,
                      rows[i].rule);
        x = begin(&(struct asked){ buffer_string(&text) });
        assume_all(x);
        put_rule(&b, x, 0);
        assert_string_equal(buffer_string(&b), rows[i].want);
        buffer_fini(&text);
        buffer_fini(&b);
        end(x);
    }
}

static void what_is_assumed_is_told_and_asked_once(void **state)
{
    const struct evidence_question *all;
    size_t count;
    struct explanation *x = begin(&(struct asked){
        "rule \"l\" { dnsbl = {\"bl.test\"} action = reject }\n"
        "rule \"b\" { action = limit per = client rate = {\"5/h\"} }\n" OURS });
    struct buffer b = { 0 };

    (void)state;
    assert_false(explanation_step(x, &all, &count));
    assert_int_equal(count, 1);
    assert_int_equal(all[0].kind, EVIDENCE_ADDRESSES);
    evidence_put(x->evidence, all[0].kind, all[0].key, EVIDENCE_ANSWERED,
                 SPAN(""));
    explanation_asked(x, all, count);
    assert_false(explanation_is_conditional(x));
    assume_all(x);
    assert_true(explanation_is_conditional(x));
    assert_int_equal(x->answer_count, 2);
    assert_int_equal(x->answers[0].how, TOLD_ASKED);
    assert_int_equal(x->answers[1].how, TOLD_ASSUMED);
    showing_question(&b, &x->answers[1]);
    buffer_put_byte(&b, ' ');
    showing_answer(&b, x, &x->answers[1]);
    assert_string_equal(buffer_string(&b), "192.0.2.7 5 left");
    buffer_fini(&b);
    end(x);
}

/* A name that cannot be found out defers, as in a session. */
static void what_has_no_answer_has_failed(void **state)
{
    const struct evidence_question *all;
    size_t count;
    struct explanation *x = begin(&(struct asked){
        "rule \"n\" { client-name = none action = reject }\n" OURS });

    (void)state;
    while (!explanation_step(x, &all, &count))
        explanation_asked(x, all, count);
    assert_int_equal(x->verdict.kind, VERDICT_DEFER);
    assert_int_equal(x->answers[0].how, TOLD_FAILED);
    assert_int_equal(x->rules[0].fate, RULE_UNKNOWN);
    end(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts_fall_at_their_stage),
        cmocka_unit_test(a_rule_tells_its_condition_and_the_fact),
        cmocka_unit_test(what_is_assumed_is_told_and_asked_once),
        cmocka_unit_test(what_has_no_answer_has_failed),
    };

    return cmocka_run_group_tests_name("explanation", tests, NULL, NULL);
}
