/*
 * Destinies: the last rule that says where mail goes is obeyed.
 */
#include "policy/destinies.h"
#include "policy/route.h"
#include "tests/unit/settings_faults.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static const char text[] =
    "rule \"0\" { client = {\"10.0.0.0/8\"} action = relay }\n"
    "rule \"1\" { client = {\"10.0.0.0/8\"} action = relay }\n"
    "rule \"2\" { client = {\"10.0.0.0/8\"} action = relay }\n"
    "route \"a.test\" { via = \"smtp://a\" }\n"
    "route \"news\" { to = {\"a.test\"} from = {\"news.test\"}\n"
    "  via = \"smtp://n\" }\n"
    "route \"slow\" { to = {\"slow.test\"} via = \"smtp://s\" }\n"
    "route \"other\" { to = {\"other.test\"} via = \"smtp://o\" }\n";

/* An effect of rule number `rule`, at RCPT or with the message. */
struct said {
    enum effect_kind kind;
    unsigned rule;
    const char *text;
    bool at_content;
};

static void put(struct buffer *b, const struct settings *s, struct span from,
                const struct destiny *all, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buffer_printf(b, "%s%.*s by %.*s in ", i ? "; " : "",
                      SPAN_FMT(all[i].address.text),
                      SPAN_FMT(all[i].route ? all[i].route->title
                                            : SPAN("none")));
        assert_int_equal(destinies_lane(s, from, &all[i], b), 0);
    }
}

static void the_last_rule_says_where_mail_goes(void **state)
{
    /* clang-format off */
    static const struct {
        const char *to;
        struct said said[4];
        const char *from, *where;
    } rows[] = {
        { "x@a.test", { { 0 } }, "joe@b.test", "x@a.test by a.test in a.test" },
        { "x@nowhere.test", { { 0 } }, "joe@b.test",
          "x@nowhere.test by none in nowhere.test" },
        { "x@a.test", { { EFFECT_REWRITE_TO, 1, "y@slow.test" } }, "joe@b.test",
          "y@slow.test by slow in slow.test" },
        { "x@a.test", { { EFFECT_REWRITE_TO, 1, "y@slow.test" },
                        { EFFECT_REWRITE_TO, 1, "z@other.test" } }, "joe@b.test",
          "y@slow.test by slow in slow.test; z@other.test by other in other.test" },
        { "x@a.test", { { EFFECT_REWRITE_TO, 0, "y@slow.test" },
                        { EFFECT_REWRITE_TO, 2, "z@other.test" } }, "joe@b.test",
          "z@other.test by other in other.test" },
        /* a rule that waited stands further up: it acted before */
        { "x@a.test", { { EFFECT_REWRITE_TO, 1, "y@slow.test" },
                        { EFFECT_REWRITE_TO, 0, "z@other.test", true } },
          "joe@b.test", "y@slow.test by slow in slow.test" },
        { "x@a.test", { { EFFECT_ROUTE, 0, "slow" },
                        { EFFECT_ROUTE, 1, "other", true } }, "joe@b.test",
          "x@a.test by other in a.test\tother" },
        { "x@A.test", { { EFFECT_ROUTE, 0, "a.test" } }, "joe@b.test",
          "x@A.test by a.test in a.test" },
        { "x@a.test", { { EFFECT_ROUTE, 0, "other" },
                        { EFFECT_REWRITE_TO, 1, "y@slow.test" } }, "joe@b.test",
          "y@slow.test by other in slow.test\tother" },
        { "x@a.test", { { EFFECT_ROUTE, 0, "gone" } }, "joe@b.test",
          "x@a.test by a.test in a.test" },
        { "x@a.test", { { EFFECT_TAG, 0, "slow" } }, "joe@b.test",
          "x@a.test by a.test in a.test" },
        { "x@a.test", { { EFFECT_REWRITE_FROM, 0, "l@news.test" } }, "l@news.test",
          "x@a.test by news in a.test\tnews" },
    };
    /* clang-format on */
    struct settings *s = read_well(text);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct effect effects[2][4];
        struct verdict verdicts[2] = { { .kind = VERDICT_RELAY },
                                       { .kind = VERDICT_OPEN } };
        struct arena arena = { 0 };
        struct buffer b = { 0 };
        struct destiny *all;
        struct address to;
        struct span from = SPAN("joe@b.test"), sender;
        size_t count;

        for (size_t n = 0; n < 4 && rows[i].said[n].text; n++) {
            const struct said *said = &rows[i].said[n];
            struct verdict *v = &verdicts[said->at_content];

            effects[said->at_content][v->effect_count++] =
                (struct effect){ .kind = said->kind,
                                 .rule = &s->rules[said->rule],
                                 .text = span_of(said->text) };
        }
        verdicts[0].effects = effects[0];
        verdicts[1].effects = effects[1];
        assert_int_equal(address_parse(span_of(rows[i].to), &to), ADDRESS_OK);
        count = destinies_find(s, from, &to, &verdicts[0],
                               verdicts[1].effect_count ? &verdicts[1] : NULL,
                               &arena, &all);
        sender = destinies_sender(from, &verdicts[0], &verdicts[1]);
        put(&b, s, sender, all, count);
        assert_string_equal(buffer_string(&b), rows[i].where);
        assert_true(span_is(sender, span_of(rows[i].from)));
        buffer_fini(&b);
        arena_reset(&arena);
    }
    settings_release(s);
}

static void a_route_is_found_by_its_title(void **state)
{
    struct settings *s = read_well(text);

    (void)state;
    assert_ptr_equal(route_titled(s, SPAN("slow")), &s->routes[2]);
    assert_null(route_titled(s, SPAN("gone")));
    settings_release(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_rule_says_where_mail_goes),
        cmocka_unit_test(a_route_is_found_by_its_title),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
