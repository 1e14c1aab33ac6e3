/*
 * Who watches the judge hears of every rule, and no verdict is another for it.
 */
#include "policy/condition.h"
#include "tests/unit/judgement_bench.h"

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
        cmocka_unit_test(who_watches_hears_of_every_rule),
        cmocka_unit_test(the_index_changes_no_verdict),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
