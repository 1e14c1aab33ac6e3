/*
 * The judge in the course of a session: what is decided when, what is asked, what waits for
 * the message, and what is to be done besides.
 */
#include "policy/condition.h"
#include "policy/digest.h"
#include "policy/judge.h"
#include "policy/srs.h"
#include "tests/unit/settings_text.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct arena arena;

static const char *const kinds[EVIDENCE_KINDS] = {
    [EVIDENCE_NAME] = "name",       [EVIDENCE_ADDRESSES] = "list",
    [EVIDENCE_NOTE] = "note",       [EVIDENCE_BUDGET] = "budget",
    [EVIDENCE_COUNT] = "count",     [EVIDENCE_SERVER] = "server",
    [EVIDENCE_MAILBOX] = "mailbox",
};

enum { ANSWERS = 8 };

struct row {
    const char *rules;
    enum stage stage;
    const char *login, *to, *from, *listener, *content;
    const char *client, *helo, *certificate, *certificate_name;
    bool tls, has_secrets;
    uint64_t size;
    const char *answers[ANSWERS]; /* "KIND KEY=ANSWER"; without = it failed */
    const char *expected;
};

static const char *const tail =
    "listener \"in\" { address = \"127.0.0.1:25\""
    " auth = optional tls = optional }\n"
    "listener \"edge\" { address = \"127.0.0.1:26\""
    " auth = none tls = none }\n"
    "users { pam = \"p\" }\n"
    "tls { certificate = \"c\" key = \"k\" }\n"
    "route \"*\" { via = mx }\n"
    "route \"slow\" { via = {\"smtp://s.test\"} }\n";

static struct settings *settings_of(const char *rules)
{
    struct buffer text = { 0 }, faults = { 0 }, warnings = { 0 };
    struct settings_text_file files[] = {
        { "w.conf", NULL },
        { "nets", "203.0.113.0/24\n10.0.0.0/8\n" },
        { "mails", "ok.test\n*.b.test\ns@ext.test\n" },
        { "wild", "/^(a+)+$/\n" },
        { "texts", "joe\nx\nmail.c.test\nsha256:11\nbad.exe\nspam\n" },
        { NULL, NULL },
    };
    struct settings_source source = { .path = "w.conf",
                                      .machine_name = "mx.ok.test",
                                      .state_folder = "/state",
                                      .read_file = settings_text_read,
                                      .user = files };
    struct settings *s;

    buffer_put_string(&text, rules);
    buffer_put_string(&text, "\n");
    buffer_put_string(&text, tail);
    files[0].text = buffer_string(&text);
    s = settings_read(&source, &faults, &warnings);
    if (!s)
        fail_msg("%s", buffer_string(&faults));
    buffer_fini(&text);
    buffer_fini(&faults);
    buffer_fini(&warnings);
    return s;
}

static void put_answer(struct evidence *e, const char *line)
{
    struct span answer, key = span_split(span_of(line), '=', &answer);
    struct span kind = span_split(key, ' ', &key);
    struct buffer whole = { 0 };

    for (size_t i = 0; i < key.len; i++)
        buffer_put_byte(&whole, key.at[i] == '|' ? '\t' : key.at[i]);
    for (unsigned k = 0; k < EVIDENCE_KINDS; k++)
        if (span_is(kind, span_of(kinds[k])))
            evidence_put(e, k, buffer_span(&whole),
                         answer.at ? EVIDENCE_ANSWERED : EVIDENCE_FAILED,
                         answer);
    buffer_fini(&whole);
}

/* One line, tabs as |, of a server's key the address alone. */
static void put_key(struct buffer *out, struct span key)
{
    key = span_first(key, span_find(key, '\n'));
    for (size_t i = 0; i < key.len; i++)
        buffer_put_byte(out, key.at[i] == '\t' ? '|' : key.at[i]);
}

static void put_list(struct buffer *out, const char *what,
                     const struct rule *const *rules, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buffer_printf(out, "%s%.*s", i ? "," : what, SPAN_FMT(rules[i]->title));
}

static void put_effect(struct buffer *out, const struct effect *e)
{
    static const char *const names[] = {
        [EFFECT_HOLD] = "hold",         [EFFECT_TAG] = "tag",
        [EFFECT_ADD_HEADER] = "add",    [EFFECT_REMOVE_HEADER] = "remove",
        [EFFECT_REWRITE_FROM] = "from", [EFFECT_REWRITE_TO] = "to",
        [EFFECT_COPY] = "copy",         [EFFECT_ROUTE] = "route",
        [EFFECT_CHARGE] = "charge",     [EFFECT_COUNT] = "count",
        [EFFECT_NOTE] = "note",         [EFFECT_LOG] = "log",
        [EFFECT_SHADOW] = "shadow",
    };

    buffer_printf(out, " [%s", names[e->kind]);
    if (e->text.len) {
        buffer_put_byte(out, ' ');
        put_key(out, e->text);
    }
    if (e->value.len)
        buffer_printf(out, "=%.*s", SPAN_FMT(e->value));
    if (e->kind == EFFECT_CHARGE)
        buffer_printf(out, " %llu", (unsigned long long)e->amount);
    buffer_put_byte(out, ']');
}

static void put_verdict(struct buffer *out, const struct verdict *v,
                        const struct facts *facts)
{
    static const char *const verdicts[] = { "relay",   "reject", "defer",
                                            "discard", "open",   "asks" };

    buffer_put_string(out, verdicts[v->kind]);
    if (v->rule)
        buffer_printf(out, " %.*s", SPAN_FMT(v->rule->title));
    if (v->reply.code) {
        struct reply reply = v->reply;
        struct buffer text = { 0 };

        verdict_text(&text, reply.text, facts, v->rule);
        reply.text = buffer_span(&text);
        buffer_put_string(out, ": ");
        reply_print(out, &reply);
        buffer_fini(&text);
    }
    for (size_t i = 0; i < v->question_count; i++) {
        buffer_printf(out, " %s:", kinds[v->questions[i].kind]);
        put_key(out, v->questions[i].key);
        assert_non_null(v->questions[i].rule);
    }
    for (size_t i = 0; i < v->effect_count; i++)
        put_effect(out, &v->effects[i]);
    put_list(out, " aside:", v->set_aside, v->set_aside_count);
    put_list(out, " end:", v->at_end, v->at_end_count);
}

static void read_path(const char *text, enum path_kind kind, struct address *a)
{
    struct span rest;

    assert_int_equal(address_parse_path(span_of(text), kind, true, a, &rest),
                     ADDRESS_OK);
}

static void hash_nothing(struct span secret, struct span text,
                         unsigned char out_hash[SRS_HASH])
{
    (void)secret;
    (void)text;
    memset(out_hash, 0, SRS_HASH);
}

static void fill_facts(const struct row *row, struct facts *f,
                       struct address *from, struct address *to)
{
    static const struct span secret = SPAN_INIT("secret");
    static const struct srs_secrets secrets = { &secret, 1, hash_nothing };

    *f = (struct facts){
        .srs_secrets = row->has_secrets ? &secrets : NULL,
        .stage = row->stage == STAGE_CONTENT ? STAGE_RECIPIENT : row->stage,
        .helo = span_of(row->helo ? row->helo : "client.test"),
        .login = span_of(row->login),
        .certificate = span_of(row->certificate),
        .certificate_name = span_of(row->certificate_name),
        .listener = span_of(row->listener ? row->listener : "in"),
        .tls = row->tls,
        .tls_version = row->tls ? SPAN("TLSv1.2") : SPAN(""),
        .tls_bits = row->tls ? 128 : 0,
        .size_bytes = row->size,
        .now_ms = 1000000000000,
        .minute = 600,
        .weekday = 6,
        .session = SPAN("s1"),
    };
    assert_true(host_address_parse(
        span_of(row->client ? row->client : "203.0.113.9"), &f->client));
    read_path(row->from ? row->from : "<s@ext.test>", PATH_REVERSE, from);
    read_path(row->to ? row->to : "<v@ok.test>", PATH_FORWARD, to);
    if (row->stage == STAGE_SENDER || row->stage == STAGE_RECIPIENT ||
        row->stage == STAGE_CONTENT)
        f->sender = from;
    if (row->stage == STAGE_RECIPIENT || row->stage == STAGE_CONTENT)
        f->recipient = to;
}

/* At CONTENT: granted first, without a word of it, then judged with the message. */
static struct verdict with_message(const struct row *row,
                                   const struct settings *s,
                                   struct facts *facts)
{
    struct verdict granted = judge(s, facts, &arena, NULL), v;
    struct digest *d = digest_new(s);

    assert_int_equal(granted.kind, VERDICT_RELAY);
    digest_feed(d, span_of(row->content));
    digest_end(d);
    facts->stage = STAGE_CONTENT;
    facts->size_bytes = strlen(row->content);
    facts->message = d;
    v = judge_content(s, facts, &granted, &arena, NULL);
    digest_free(d);
    return v;
}

/* False: it was another, and is printed. */
static bool check_row(const struct row *row, size_t number)
{
    bool ok;
    struct settings *s = settings_of(row->rules);
    struct evidence *e = evidence_new();
    struct buffer said = { 0 };
    struct address from, to;
    struct facts facts;
    struct verdict v;

    for (size_t i = 0; i < ANSWERS && row->answers[i]; i++)
        put_answer(e, row->answers[i]);
    fill_facts(row, &facts, &from, &to);
    facts.evidence = e;
    if (row->stage == STAGE_CONTENT)
        v = with_message(row, s, &facts);
    else
        v = judge(s, &facts, &arena, NULL);
    put_verdict(&said, &v, &facts);
    ok = strcmp(buffer_string(&said), row->expected) == 0;
    if (!ok)
        print_error("row %zu: %s\n%s\nnot\n%s\n", number, row->rules,
                    buffer_string(&said), row->expected);
    buffer_fini(&said);
    evidence_free(e);
    settings_release(s);
    arena_reset(&arena);
    return ok;
}

static void check_rows(const struct row *rows, size_t count)
{
    size_t wrong = 0;

    for (size_t i = 0; i < count; i++)
        wrong += !check_row(&rows[i], i);
    assert_int_equal(wrong, 0);
}

#define CHECK(rows) check_rows(rows, sizeof(rows) / sizeof(rows)[0])

#define OURS   "rule \"ours\" { to = {\"ok.test\"} action = relay }\n"
#define LISTED "rule \"listed\" { dnsbl = {\"bl.test\"} action = reject }\n"
#define QUERY  "9.113.0.203.bl.test"

static void what_is_known_is_decided_at_once_and_nothing_out_of_order(
    void **state)
{
    static const char bad[] = "rule \"bad\" { client = {\"203.0.113.9\"} "
                              "action = reject }\n";
    static const struct row rows[] = {
        { bad, STAGE_CONNECT,
          .expected = "reject bad: 554 5.7.1 203.0.113.9: Access denied" },
        { "rule \"slow\" { client = {\"203.0.113.9\"} action = defer }",
          STAGE_CONNECT,
          .expected = "defer slow: 450 4.7.1 203.0.113.9: Try again later" },
        { "rule \"h\" { helo = {\"client.test\"} action = reject }",
          STAGE_CONNECT, .expected = "open" },
        { "rule \"h\" { helo = {\"client.test\"} action = reject }",
          STAGE_HELLO,
          .expected = "reject h: 554 5.7.1 203.0.113.9: Access denied" },
        /* who may yet log in is not turned away before */
        { "rule \"staff\" { login = {\"*\"} action = relay }\n"
          "rule \"all\" { action = reject }",
          STAGE_HELLO, .expected = "open" },
        { "rule \"staff\" { login = {\"*\"} action = relay }\n"
          "rule \"all\" { action = reject }",
          STAGE_HELLO, .login = "joe", .expected = "open" },
        { "rule \"staff\" { login = {\"*\"} action = relay }\n"
          "rule \"all\" { action = reject }",
          STAGE_CONNECT, .listener = "edge",
          .expected = "reject all: 554 5.7.1 203.0.113.9: Access denied" },
        { "rule \"staff\" { login = {\"*\"} action = relay }\n"
          "rule \"all\" { action = reject }",
          STAGE_SENDER,
          .expected = "reject all: 554 5.7.1 203.0.113.9: Access denied" },
        { "rule \"clear\" { tls = false action = reject }", STAGE_HELLO,
          .expected = "open" },
        { "rule \"clear\" { tls = false action = reject }", STAGE_HELLO,
          .listener = "edge",
          .expected = "reject clear: 554 5.7.1 203.0.113.9: Access denied" },
        { "rule \"f\" { from = {\"ext.test\"} action = reject }", STAGE_HELLO,
          .expected = "open" },
        { "rule \"f\" { from = {\"ext.test\"} action = reject }", STAGE_SENDER,
          .expected = "reject f: 554 5.7.1 203.0.113.9: Access denied" },
        /* a rule that is not known yet stands above */
        { "rule \"f\" { from = {\"x.test\"} action = defer }\n"
          "rule \"bad\" { client = {\"203.0.113.9\"} action = reject }\n",
          STAGE_CONNECT, .expected = "open" },
        /* ... but one that only adds something does not stand in the way */
        { "rule \"f\" { from = {\"x.test\"} action = hold }\n"
          "rule \"t\" { from = {\"x.test\"} action = tag set-tag = {\"x\"} }\n"
          "rule \"bad\" { client = {\"203.0.113.9\"} action = reject }\n",
          STAGE_CONNECT,
          .expected = "reject bad: 554 5.7.1 203.0.113.9: Access denied" },
        { "rule \"t\" { from = {\"x.test\"} action = tag set-tag = {\"x\"} }\n"
          "rule \"x\" { tag = {\"x\"} action = defer }\n"
          "rule \"bad\" { client = {\"203.0.113.9\"} action = reject }\n",
          STAGE_CONNECT, .expected = "open" },
        { "rule \"drop\" { client = {\"203.0.113.9\"} action = discard }\n"
          "rule \"all\" { action = reject }",
          STAGE_CONNECT, .expected = "open" },
        { "rule \"l\" { action = limit per = client rate = {\"1/h\"} }\n"
          "rule \"all\" { action = reject }",
          STAGE_SENDER, .expected = "open" },
        { "", STAGE_SENDER, .expected = "open" },
        { "", STAGE_RECIPIENT,
          .expected = "reject: 554 5.7.1 <v@ok.test>: Relay access denied" },
    };

    (void)state;
    CHECK(rows);
}

static void the_facts_say_what_they_hold(void **state)
{
#define IF(condition) "rule \"r\" { " condition " action = discard }\n" OURS
    static const struct row rows[] = {
        { IF("tls = \"TLSv1.2\""), .tls = true, .expected = "discard r" },
        { IF("tls = \"TLSv1.3\""), .tls = true, .expected = "relay ours" },
        { IF("tls = 128"), .tls = true, .expected = "discard r" },
        { IF("tls = 256"), .tls = true, .expected = "relay ours" },
        { IF("not-tls = \"TLSv1.3\""), .expected = "discard r" },
        { IF("listener = {\"IN\"}"), .expected = "discard r" },
        { IF("listener = {\"edge\"}"), .expected = "relay ours" },
        { IF("not-listener = {\"edge\"}"), .expected = "discard r" },
        { IF("time = {\"09:00-11:00\"}"), .expected = "discard r" },
        { IF("time = {\"22:00-06:00\"}"), .expected = "relay ours" },
        { IF("time = {\"sat-sun\"}"), .expected = "discard r" },
        { IF("time = {\"mon-fri 09:00-11:00\"}"), .expected = "relay ours" },
        /* what began on Friday evening goes on until Saturday at eleven */
        { IF("time = {\"fri 22:00-11:00\"}"), .expected = "discard r" },
        { IF("time = {\"sat 22:00-11:00\"}"), .expected = "relay ours" },
        { IF("size = 10KB"), .size = 10240, .expected = "discard r" },
        { IF("size = 10KB"), .size = 10, .expected = "relay ours aside:r" },
        { IF("size = 10KB"), .expected = "relay ours aside:r" },
        { IF("not-size = 10KB"), .size = 20480, .expected = "relay ours" },
        { "rule \"small\" { client = {\"203.0.113.9\"} not-size = 10KB "
          "action = relay }",
          .size = 10, .to = "<a@ext.test>", .expected = "relay small" },
    };

    (void)state;
    CHECK(rows);
}

static void tables_stand_beside_any_list(void **state)
{
#define LONG_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"
#define UNTOLD(rule)                                                           \
    "defer " rule ": 451 4.3.5 <v@ok.test>: Cannot tell now, try again later"
    static const struct row rows[] = {
        { IF("client = {\"192.0.2.1\", \"table:nets\"}"),
          .expected = "discard r" },
        { IF("client = {\"table:nets\"}"), .client = "192.0.2.1",
          .expected = "relay ours" },
        { IF("not-client = {\"table:nets\"}"), .client = "2001:db8::1",
          .expected = "discard r" },
        { IF("to = {\"x.test\", \"table:mails\"}"), .expected = "discard r" },
        { IF("from = {\"table:mails\"}"), .expected = "discard r" },
        { IF("from = {\"table:mails\"}"), .from = "<t@ext.test>",
          .expected = "relay ours" },
        { IF("from = {\"table:mails\"}"), .from = "<>",
          .expected = "relay ours" },
        { IF("login = {\"ann\", \"table:texts\"}"), .login = "JOE",
          .expected = "discard r" },
        { IF("login = {\"table:texts\"}"), .expected = "relay ours" },
        { IF("helo = {\"table:wild\"}"), .helo = "aaa",
          .expected = "discard r" },
        { IF("helo = {\"table:wild\"}"), .helo = LONG_A,
          .expected = UNTOLD("r") },
        { IF("helo = {\"x\", \"table:wild\", \"table:mails\"}"), .helo = LONG_A,
          .expected = UNTOLD("r") },
        { IF("login = {\"table:wild\"}"), .login = LONG_A,
          .expected = UNTOLD("r") },
        { IF("certificate = {\"table:texts\"}"), .tls = true,
          .certificate_name = "mail.C.test", .expected = "discard r" },
        { IF("certificate = {\"table:texts\"}"), .tls = true,
          .certificate = "sha256:11", .expected = "discard r" },
        { IF("certificate = {\"table:texts\"}"), .tls = true,
          .certificate = "sha256:22", .certificate_name = "sha256:11",
          .expected = "relay ours" },
        { IF("certificate = {\"*\"}"), STAGE_HELLO, .expected = "open" },
        { "rule \"t\" { action = tag set-tag = {\"x\"} }\n" IF(
              "tag = {\"table:texts\"}"),
          .expected = "discard r [tag x]" },
        { "rule \"t\" { action = tag set-tag = {\"" LONG_A
          "\"} }\n" IF("tag = {\"table:wild\"}"),
          .expected = UNTOLD("r") " [tag " LONG_A "]" },
        { IF("header = {'Subject: table:texts'}"), STAGE_CONTENT,
          .content = "Subject: spam\r\n\r\n", .expected = "discard r" },
        { IF("header = {'Subject: table:texts'}"), STAGE_CONTENT,
          .content = "Subject: spam!\r\n\r\n", .expected = "open" },
        { IF("header = {'Subject: table:wild', '/Subject: /x/'}"),
          STAGE_CONTENT, .content = "Subject: " LONG_A "\r\n\r\n",
          .expected = UNTOLD("r") },
        { IF("attachment = {\"table:texts\"}"), STAGE_CONTENT,
          .content = "Content-Type: a/b; name=BAD.exe\r\n\r\n",
          .expected = "discard r" },
        { IF("attachment = {\"table:wild\", '/^(b+)+$/'}"), STAGE_CONTENT,
          .content = "Content-Type: a/b; name=" LONG_A "\r\n\r\n",
          .expected = UNTOLD("r") },
    };

    (void)state;
    CHECK(rows);
}

static void what_was_not_seen_whole_is_not_denied(void **state)
{
    static const char rules[] =
        "rule \"r\" { attachment = {\"*.exe\"} action = discard }\n"
        "rule \"h\" { header = {'Subject: /never/'} action = discard }\n" OURS;
    struct buffer text = { 0 };
    struct row row = { rules, STAGE_CONTENT, .expected = UNTOLD("r") };

    (void)state;
    /* more than are remembered */
    buffer_put_string(&text, "Content-Type: multipart/x; boundary=b\r\n\r\n");
    for (int i = 0; i < 1100; i++)
        buffer_printf(&text, "--b\r\nContent-Type: a/b%d\r\n\r\n", i);
    row.content = buffer_string(&text);
    assert_true(check_row(&row, 0));
    buffer_clear(&text);
    for (int i = 0; i < 5000; i++)
        buffer_put_string(&text, "Subject:x\r\n");
    row.content = buffer_string(&text);
    row.expected = UNTOLD("h");
    assert_true(check_row(&row, 1));
    buffer_fini(&text);
}

static void a_client_has_the_name_that_leads_back_to_it(void **state)
{
#define NAMED(values)                                                          \
    "rule \"n\" { client-name = {" values "} action = discard }\n" OURS
    static const struct row rows[] = {
        { NAMED("\"*.ext.test\""), .expected = "asks name:203.0.113.9" },
        { NAMED("\"*.ext.test\""), .answers = { "name 203.0.113.9=a.EXT.test" },
          .expected = "discard n" },
        { NAMED("\"*.ext.test\""), .answers = { "name 203.0.113.9=ext.test" },
          .expected = "relay ours" },
        { NAMED("\"*.ext.test\""), .answers = { "name 203.0.113.9=" },
          .expected = "relay ours" },
        { NAMED("\"none\""), .answers = { "name 203.0.113.9=" },
          .expected = "discard n" },
        { NAMED("\"none\""), .answers = { "name 203.0.113.9=a.test" },
          .expected = "relay ours" },
        { NAMED("\"*.ext.test\""), .answers = { "name 203.0.113.9" },
          .expected = "defer n: 451 4.3.5 <v@ok.test>: Cannot tell now, try "
                      "again later" },
        /* of the session nothing is said that is not certain */
        { NAMED("\"*.ext.test\""), STAGE_CONNECT,
          .answers = { "name 203.0.113.9" }, .expected = "open" },
        { "rule \"n\" { client-name = {\"a.test\"} to = {\"x.test\"} "
          "action = reject }\n" OURS,
          .expected = "relay ours" },
    };

    (void)state;
    CHECK(rows);
}

static void lists_of_senders_are_weighed(void **state)
{
#define LISTS(values)                                                          \
    "rule \"l\" { dnsbl = {" values "} action = reject }\n" OURS
#define DENIED "reject l: 554 5.7.1 <v@ok.test>: Access denied"
    static const struct row rows[] = {
        { LISTS("\"bl.test\""), .expected = "asks list:" QUERY },
        { LISTS("\"bl.test\""), .answers = { "list " QUERY "=127.0.0.2" },
          .expected = DENIED },
        { LISTS("\"bl.test\""), .answers = { "list " QUERY "=" },
          .expected = "relay ours" },
        /* a dead list, a domain that was sold, a complaint about us */
        { LISTS("\"bl.test\""), .answers = { "list " QUERY },
          .expected = "relay ours" },
        { LISTS("\"bl.test\""), .answers = { "list " QUERY "=192.0.2.1" },
          .expected = "relay ours" },
        { LISTS("\"bl.test\""), .answers = { "list " QUERY "=127.255.255.254" },
          .expected = "relay ours" },
        { LISTS("\"bl.test=127.0.0.3\""),
          .answers = { "list " QUERY "=127.0.0.2" }, .expected = "relay ours" },
        { LISTS("\"bl.test=127.0.0.[2..4]\""),
          .answers = { "list " QUERY "=127.0.0.10 127.0.0.4" },
          .expected = DENIED },
        { LISTS("\"bl.test*2\", \"w.test*-1\""),
          .answers = { "list " QUERY "=127.0.0.2" },
          .expected = "asks list:9.113.0.203.w.test" },
        { "rule \"l\" { dnsbl = {\"bl.test*2\", \"w.test*-1\"} "
          "dnsbl-threshold = 2 action = reject }\n" OURS,
          .answers = { "list " QUERY "=127.0.0.2",
                       "list 9.113.0.203.w.test=127.0.0.2" },
          .expected = "relay ours" },
        { "rule \"l\" { dnsbl = {\"bl.test*2\", \"w.test*-1\"} "
          "dnsbl-threshold = 2 action = reject }\n" OURS,
          .answers = { "list " QUERY "=127.0.0.2", "list 9.113.0.203.w.test" },
          .expected = DENIED },
    };

    (void)state;
    CHECK(rows);
}

static void questions_are_gathered_but_only_those_that_matter(void **state)
{
    static const struct row rows[] = {
        /* two rules in one go */
        { "rule \"a\" { dnsbl = {\"a.test\"} action = reject }\n"
          "rule \"n\" { client-name = {\"none\"} action = reject }\n" LISTED
              OURS,
          .expected = "asks list:9.113.0.203.a.test name:203.0.113.9 "
                      "list:" QUERY },
        /* at the earliest stage at which the rest of the rule holds */
        { LISTED OURS, STAGE_CONNECT, .expected = "asks list:" QUERY },
        { "rule \"l\" { dnsbl = {\"bl.test\"} from = {\"x.test\"} "
          "action = reject }\n" OURS,
          STAGE_CONNECT, .expected = "open" },
        { "rule \"l\" { dnsbl = {\"bl.test\"} from = {\"x.test\"} "
          "action = reject }\n" OURS,
          STAGE_SENDER, .expected = "open" },
        { "rule \"l\" { dnsbl = {\"bl.test\"} from = {\"ext.test\"} "
          "action = reject }\n" OURS,
          STAGE_SENDER, .expected = "asks list:" QUERY },
        /* below what decides nothing is asked */
        { "rule \"lan\" { client = {\"203.0.113.0/24\"} action = relay "
          "}\n" LISTED,
          .expected = "relay lan" },
        { "rule \"lan\" { client = {\"203.0.113.0/24\"} action = relay "
          "}\n" LISTED,
          STAGE_CONNECT, .expected = "open" },
        { "rule \"a\" { dnsbl = {\"a.test\"} action = reject }\n"
          "rule \"lan\" { client = {\"203.0.113.0/24\"} action = relay "
          "}\n" LISTED,
          .expected = "asks list:9.113.0.203.a.test" },
        /* what is only added is not asked for who is refused anyway */
        { "rule \"h\" { dnsbl = {\"a.test\"} action = hold }\n"
          "rule \"no\" { to = {\"ok.test\"} action = reject }\n",
          .expected = "reject no: 554 5.7.1 <v@ok.test>: Access denied" },
        { "rule \"h\" { dnsbl = {\"a.test\"} action = hold }\n" OURS,
          .expected = "asks list:9.113.0.203.a.test" },
        { "rule \"h\" { dnsbl = {\"a.test\"} action = hold }\n" OURS,
          STAGE_CONNECT, .expected = "open" },
        { "rule \"h\" { dnsbl = {\"a.test\"} action = hold }\n" LISTED,
          STAGE_CONNECT, .expected = "asks list:" QUERY },
        /* a grant is of no use before there is a recipient, but to what is below it */
        { "rule \"g\" { client = {\"203.0.113.9\"} dnsbl = {\"a.test\"} "
          "action = relay }\n" OURS,
          STAGE_CONNECT, .expected = "open" },
        { "rule \"g\" { client = {\"203.0.113.9\"} dnsbl = {\"a.test\"} "
          "action = relay }\nrule \"all\" { action = reject }\n",
          STAGE_CONNECT, .expected = "asks list:9.113.0.203.a.test" },
        /* a tag that an answer may set */
        { "rule \"t\" { dnsbl = {\"a.test\"} action = tag set-tag = {\"x\"} }\n"
          "rule \"x\" { tag = {\"x\"} action = reject }\n" OURS,
          STAGE_CONNECT, .expected = "asks list:9.113.0.203.a.test" },
        { "rule \"t\" { dnsbl = {\"a.test\"} action = tag set-tag = {\"x\"} }\n"
          "rule \"x\" { tag = {\"x\"} action = reject }\n" OURS,
          STAGE_CONNECT, .answers = { "list 9.113.0.203.a.test=127.0.0.2" },
          .expected =
              "reject x: 554 5.7.1 203.0.113.9: Access denied [tag x]" },
        { "rule \"t\" { dnsbl = {\"a.test\"} action = tag set-tag = {\"x\"} }\n"
          "rule \"x\" { tag = {\"x\"} action = defer }\n"
          "rule \"no\" { to = {\"ok.test\"} action = reject }\n",
          .expected = "asks list:9.113.0.203.a.test" },
        /* a limit may decide, so what is below it waits */
        { "rule \"l\" { client-name = {\"none\"} action = limit per = client "
          "rate = {\"1/h\"} }\n" LISTED,
          STAGE_CONNECT, .expected = "open" },
    };

    (void)state;
    CHECK(rows);
}

static void what_needs_the_message_is_set_aside(void **state)
{
#define SUBJECT(value, action)                                                 \
    "rule \"s\" { header = {'Subject: /" value "/'} " action " }\n"
    static const struct row rows[] = {
        { SUBJECT("spam", "action = reject") OURS,
          .expected = "relay ours aside:s" },
        { SUBJECT("spam", "action = reject"),
          .expected = "reject: 554 5.7.1 <v@ok.test>: Relay access denied" },
        { "rule \"s\" { to = {\"x.test\"} header = {\"Subject\"} "
          "action = reject }\n" OURS,
          .expected = "relay ours" },
        { OURS SUBJECT("spam", "action = reject"), .expected = "relay ours" },
        { SUBJECT("spam", "action = reject mode = shadow") OURS,
          .expected = "relay ours end:s" },
        /* a tag that is set with the message */
        { SUBJECT(
              "spam",
              "action = tag set-tag = {\"x\"}") "rule \"x\" { tag = {\"x\"} "
                                                "action = reject }\n" OURS,
          .expected = "relay ours aside:s,x" },
        { SUBJECT("spam", "action = reject") OURS, STAGE_CONTENT,
          .content = "Subject: spam\r\n\r\nx\r\n",
          .expected = "reject s: 554 5.7.1 <v@ok.test>: Access denied" },
        { SUBJECT("spam", "action = reject") OURS, STAGE_CONTENT,
          .content = "Subject: ham\r\n\r\nSubject: spam\r\n",
          .expected = "open" },
        { SUBJECT(
              "spam",
              "action = tag set-tag = {\"x\"}") "rule \"x\" { tag = {\"x\"} "
                                                "action = hold }\n" OURS,
          STAGE_CONTENT, .content = "Subject: a\r\n spam\r\n\r\n",
          .expected = "open [tag x] [hold]" },
        { SUBJECT("spam",
                  "action = discard") "rule \"t\" { header = {\"X-Never\"} "
                                      "action = reject }\n" OURS,
          STAGE_CONTENT, .content = "subject:spam\r\nx-never: 1\r\n\r\n",
          .expected = "discard s" },
        /* tags from before hold still; order is that of the rules */
        { "rule \"t\" { action = tag set-tag = {\"x\"} }\n"
          "rule \"w\" { header = {\"A\"} action = reject mode = shadow }\n"
          "rule \"s\" { tag = {\"x\"} header = {\"A\"} action = defer }\n" OURS,
          STAGE_CONTENT, .content = "A: 1\r\n\r\n",
          .expected = "defer s: 450 4.7.1 <v@ok.test>: Try again later "
                      "[shadow 554 5.7.1 <v@ok.test>: Access denied]" },
        { "rule \"s\" { attachment = {\"*.exe\"} action = reject }\n" OURS,
          STAGE_CONTENT,
          .content = "Content-Type: application/x; name=A.EXE\r\n\r\n",
          .expected = "reject s: 554 5.7.1 <v@ok.test>: Access denied" },
        { "rule \"s\" { attachment = {\"application/*\"} action = reject "
          "}\n" OURS,
          STAGE_CONTENT, .content = "Content-Type: application/x\r\n\r\n",
          .expected = "reject s: 554 5.7.1 <v@ok.test>: Access denied" },
        { "rule \"s\" { attachment = {'/^a.*z$/'} action = reject }\n" OURS,
          STAGE_CONTENT,
          .content = "Content-Type: application/x; name=Abcz\r\n\r\n",
          .expected = "reject s: 554 5.7.1 <v@ok.test>: Access denied" },
        { "rule \"s\" { attachment = {\"*.exe\"} action = reject }\n" OURS,
          STAGE_CONTENT, .content = "A: b\r\n\r\na.exe\r\n",
          .expected = "open" },
        { "rule \"s\" { size = 10 action = reject }\n" OURS, STAGE_CONTENT,
          .content = "A: b\r\n\r\nxx\r\n",
          .expected = "reject s: 554 5.7.1 <v@ok.test>: Access denied" },
        { "rule \"s\" { size = 10KB action = reject }\n" OURS, STAGE_CONTENT,
          .content = "A: b\r\n\r\nxx\r\n", .expected = "open" },
    };

    (void)state;
    CHECK(rows);
}

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

/* --- explained --------------------------------------------------------------- */

static void note_fate(void *user, const struct rule *r, enum rule_fate fate,
                      const struct condition *which)
{
    static const char *const names[] = { "matched", "not", "unknown", "aside",
                                         "unreached" };

    buffer_printf(user, "%.*s:%s", SPAN_FMT(r->title), names[fate]);
    if (which)
        buffer_printf(user, "(%d)", (int)(which - r->conditions));
    buffer_put_byte(user, ' ');
}

static void who_watches_hears_of_every_rule(void **state)
{
    struct settings *s =
        settings_of("rule \"a\" { client = {\"203.0.113.9\"} to = {\"x.test\"} "
                    "action = reject }\n"
                    "rule \"b\" { header = {\"X\"} action = reject }\n"
                    "rule \"c\" { dnsbl = {\"b.test\"} action = hold }\n" OURS
                    "rule \"d\" { action = reject }\n");
    struct row row = { 0 };
    struct buffer said = { 0 };
    struct judge_watch watch = { note_fate, &said };
    struct address from, to;
    struct facts facts;
    struct verdict v;
    struct digest *d = digest_new(s);

    (void)state;
    fill_facts(&row, &facts, &from, &to);
    facts.evidence = evidence_new();
    (void)judge(s, &facts, &arena, &watch);
    assert_string_equal(buffer_string(&said),
                        "a:not(1) b:aside(0) c:unknown(0) ours:matched "
                        "d:unreached ");
    evidence_put((struct evidence *)facts.evidence, EVIDENCE_ADDRESSES,
                 SPAN("9.113.0.203.b.test"), EVIDENCE_ANSWERED, SPAN(""));
    v = judge(s, &facts, &arena, NULL);
    buffer_clear(&said);
    digest_feed(d, SPAN("X: 1\r\n\r\n"));
    digest_end(d);
    facts.stage = STAGE_CONTENT;
    facts.message = d;
    v = judge_content(s, &facts, &v, &arena, &watch);
    assert_int_equal(v.kind, VERDICT_REJECT);
    assert_string_equal(buffer_string(&said), "b:matched ");
    digest_free(d);
    evidence_free((struct evidence *)facts.evidence);
    buffer_fini(&said);
    settings_release(s);
    arena_reset(&arena);
}

/* --- the index leaves out nothing that matters ------------------------------- */

static void ignore(void *user, const struct rule *r, enum rule_fate fate,
                   const struct condition *which)
{
    (void)user;
    (void)r;
    (void)fate;
    (void)which;
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 16;
}

static void put_condition(struct buffer *b, uint32_t *seed, unsigned fact)
{
    static const char *const values[][6] = {
        { "client", "203.0.113.0/24", "203.0.113.9", "0.0.0.0/0", "::/0",
          "table:nets" },
        { "from", "ext.test", "*", "<>", "*.test", "s@ext.test" },
        { "to", "ok.test", "*.test", "v@ok.test", "/^v@/", "table:mails" },
        { "login", "joe", "*", "j*", "ann", "table:texts" },
        { "helo", "client.test", "*.test", "/cl/", "*", "x" },
        { "listener", "in", "edge", "in", "edge", "in" },
    };

    buffer_printf(b, " %s%s = {'%s', '%s'}",
                  next_random(seed) % 4 ? "" : "not-", values[fact][0],
                  values[fact][1 + next_random(seed) % 3],
                  values[fact][3 + next_random(seed) % 3]);
}

static void the_index_changes_no_verdict(void **state)
{
    static const char *const actions[] = { "reject", "defer", "discard", "hold",
                                           "tag set-tag = {\"x\"}" };
    static const enum stage stages[] = { STAGE_CONNECT, STAGE_HELLO,
                                         STAGE_SENDER, STAGE_RECIPIENT };
    static const struct judge_watch watch = { ignore, NULL };
    uint32_t seed = 7;

    (void)state;
    for (int round = 0; round < 60; round++) {
        struct buffer text = { 0 };
        struct settings *s;

        for (int i = 0; i < 130; i++) {
            buffer_printf(&text, "rule \"r%d\" {", i);
            for (unsigned fact = 0; fact < 6; fact++)
                if (next_random(&seed) % 3 == 0)
                    put_condition(&text, &seed, fact);
            buffer_printf(&text, " action = %s }\n",
                          actions[next_random(&seed) % 5]);
        }
        s = settings_of(buffer_string(&text));
        for (int i = 0; i < 32; i++) {
            struct row row = {
                .stage = stages[i % 4],
                .login = i & 4 ? "joe" : NULL,
                .from = i & 8 ? "<>" : NULL,
                .to = i & 16 ? "<w@sub.ok.test>" : NULL,
            };
            struct buffer with = { 0 }, without = { 0 };
            struct address from, to;
            struct facts facts;
            struct verdict v;

            fill_facts(&row, &facts, &from, &to);
            v = judge(s, &facts, &arena, NULL);
            put_verdict(&with, &v, &facts);
            v = judge(s, &facts, &arena, &watch);
            put_verdict(&without, &v, &facts);
            assert_string_equal(buffer_string(&with), buffer_string(&without));
            buffer_fini(&with);
            buffer_fini(&without);
        }
        arena_reset(&arena);
        settings_release(s);
        buffer_fini(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            what_is_known_is_decided_at_once_and_nothing_out_of_order),
        cmocka_unit_test(the_facts_say_what_they_hold),
        cmocka_unit_test(tables_stand_beside_any_list),
        cmocka_unit_test(what_was_not_seen_whole_is_not_denied),
        cmocka_unit_test(a_client_has_the_name_that_leads_back_to_it),
        cmocka_unit_test(lists_of_senders_are_weighed),
        cmocka_unit_test(questions_are_gathered_but_only_those_that_matter),
        cmocka_unit_test(what_needs_the_message_is_set_aside),
        cmocka_unit_test(what_acts_and_goes_on_leaves_effects_in_order),
        cmocka_unit_test(a_rule_in_the_shadow_only_tells),
        cmocka_unit_test(a_limit_is_asked_and_charged_or_goes_over),
        cmocka_unit_test(recipients_of_today_are_counted),
        cmocka_unit_test(a_stranger_knocks_twice),
        cmocka_unit_test(a_policy_server_takes_away_and_adds_but_never_grants),
        cmocka_unit_test(who_watches_hears_of_every_rule),
        cmocka_unit_test(the_index_changes_no_verdict),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
