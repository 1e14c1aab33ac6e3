/*
 * judgement_bench - rules and facts in rows, verdicts as text.
 *
 * A row holds rules, what is known of client and mail, what the world answers, and the
 * verdict that must come of it, with its questions, effects and rules set aside.
 */
#ifndef WAYPOST_JUDGEMENT_BENCH_H
#define WAYPOST_JUDGEMENT_BENCH_H

#include "policy/digest.h"
#include "policy/judge.h"
#include "policy/srs.h"
#include "tests/unit/settings_text.h"

#include <stdarg.h>
#include <setjmp.h>
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

static inline struct settings *settings_of(const char *rules)
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

static inline void put_answer(struct evidence *e, const char *line)
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
static inline void put_key(struct buffer *out, struct span key)
{
    key = span_first(key, span_find(key, '\n'));
    for (size_t i = 0; i < key.len; i++)
        buffer_put_byte(out, key.at[i] == '\t' ? '|' : key.at[i]);
}

static inline void put_list(struct buffer *out, const char *what,
                            const struct rule *const *rules, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buffer_printf(out, "%s%.*s", i ? "," : what, SPAN_FMT(rules[i]->title));
}

static inline void put_effect(struct buffer *out, const struct effect *e)
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

static inline void put_verdict(struct buffer *out, const struct verdict *v,
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

static inline void read_path(const char *text, enum path_kind kind,
                             struct address *a)
{
    struct span rest;

    assert_int_equal(address_parse_path(span_of(text), kind, true, a, &rest),
                     ADDRESS_OK);
}

static inline void hash_nothing(struct span secret, struct span text,
                                unsigned char out_hash[SRS_HASH])
{
    (void)secret;
    (void)text;
    memset(out_hash, 0, SRS_HASH);
}

static inline void fill_facts(const struct row *row, struct facts *f,
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
static inline struct verdict with_message(const struct row *row,
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
static inline bool check_row(const struct row *row, size_t number)
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

static inline void check_rows(const struct row *rows, size_t count)
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

#endif
