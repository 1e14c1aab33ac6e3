/*
 * test_tables - configurations that name tables.
 */
#include "policy/condition.h"
#include "policy/route.h"
#include "policy/table.h"
#include "tests/unit/settings_faults.h"

static struct settings *read_files(struct settings_text_file *files,
                                   struct buffer *out_faults,
                                   struct buffer *out_warnings)
{
    struct settings_source source = { .path = "etc/w.conf",
                                      .machine_name = "mx.ok.test",
                                      .state_folder = "/state",
                                      .read_file = settings_text_read,
                                      .user = files };

    return settings_read(&source, out_faults, out_warnings);
}

static struct settings *read_good(struct settings_text_file *files)
{
    struct buffer faults = { 0 }, warnings = { 0 };
    struct settings *s = read_files(files, &faults, &warnings);

    if (!s)
        fail_msg("%s", buffer_string(&faults));
    buffer_fini(&faults);
    buffer_fini(&warnings);
    return s;
}

static void check_route(const struct settings *s, const char *sender,
                        const char *to, struct span expected)
{
    struct address a;
    const struct route *r;

    assert_int_equal(address_parse(span_of(to), &a), ADDRESS_OK);
    r = route_find(s, span_of(sender), &a);
    assert_non_null(r);
    if (!span_is(r->title, expected))
        fail_msg("%s takes %.*s", to, SPAN_FMT(r->title));
}

static void each_file_is_read_once_and_beside_the_one_that_names_it(
    void **state)
{
    struct settings_text_file files[] = {
        { "etc/w.conf",
          "rule \"a\" { from = {\"table:big\", \"x.test\"} action = reject }\n"
          "rule \"b\" { not-to = {\"table:/abs/big\"} action = reject }\n"
          "include = \"sub/more.conf\"\n" },
        { "etc/sub/more.conf",
          "rule \"c\" { client = {\"table:../big\", \"table:big\"}\n"
          "           to = {\"table:big\"} action = reject }\n" },
        { "etc/big", "one.test\n" },
        { "/abs/big", "two.test\nthree.test\n" },
        { "etc/sub/../big", "10.0.0.0/8\n" },
        { "etc/sub/big", "10.0.0.0/8\nfour.test\n" },
        { NULL, NULL },
    };
    struct settings *s = read_good(files);

    (void)state;
    assert_int_equal(s->table_count, 4);
    assert_true(span_is(table_name(s->tables[0]), SPAN("etc/big")));
    assert_true(span_is(table_name(s->tables[1]), SPAN("/abs/big")));
    assert_int_equal(table_size(s->tables[1]), 2);
    assert_int_equal(s->rules[0].conditions[0].table_count, 1);
    assert_ptr_equal(s->rules[0].conditions[0].tables[0], s->tables[0]);
    assert_int_equal(s->rules[0].conditions[0].patterns.count, 1);
    assert_int_equal(s->rules[2].conditions[0].table_count, 2);
    assert_ptr_equal(s->rules[2].conditions[0].tables[1],
                     s->rules[2].conditions[1].tables[0]);
    settings_release(s);
}

static void the_most_specific_key_wins_wherever_it_stands(void **state)
{
    struct settings_text_file files[] = {
        { "etc/w.conf",
          "route \"star\" { to = {\"*\"} via = {\"mx\"} }\n"
          "route \"written\" { to = {\"a.test\", \"*.b.test\", \"x@c.test\"}\n"
          "                  via = {\"smtp://w\"} }\n"
          "route \"table\" { to = {\"table:t\"} via = {\"smtp://t\"} }\n"
          "route \"both\" { to = {\"table:u\", \"d.test\"} via = "
          "{\"smtp://b\"} }\n"
          "route \"sender\" { to = {\"table:u\"} from = {\"vip.test\"}\n"
          "                 via = {\"smtp://s\"} }\n" },
        { "etc/t", "c.test\nx@a.test\n*.deep.b.test\na.test\nd.test\n" },
        { "etc/u", "c.test\ne.test\n*\n" },
        { NULL, NULL },
    };
    struct settings *s = read_good(files);

    (void)state;
    check_route(s, "s@any.test", "y@a.test", SPAN("written"));
    check_route(s, "s@any.test", "X@a.test", SPAN("table"));
    check_route(s, "s@any.test", "x@c.test", SPAN("written"));
    check_route(s, "s@any.test", "y@c.test", SPAN("table"));
    check_route(s, "s@vip.test", "y@c.test", SPAN("sender"));
    check_route(s, "s@any.test", "y@z.b.test", SPAN("written"));
    check_route(s, "s@any.test", "y@z.deep.b.test", SPAN("table"));
    check_route(s, "s@any.test", "y@d.test", SPAN("table"));
    check_route(s, "s@any.test", "y@e.test", SPAN("both"));
    check_route(s, "s@any.test", "y@other.test", SPAN("star"));
    check_route(s, "s@vip.test", "y@other.test", SPAN("sender"));
    settings_release(s);
}

static void own_domains_may_be_in_tables(void **state)
{
    struct settings_text_file files[] = {
        { "etc/w.conf",
          "rule \"a\" { to = {\"a.test\", \"table:t\"} action = relay }\n"
          "rule \"b\" { to = {\"table:u\"} login = {\"*\"} action = relay "
          "}\n" },
        { "etc/t", "b.test\n" },
        { "etc/u", "c.test\n" },
        { NULL, NULL },
    };
    struct settings *s = read_good(files);

    (void)state;
    assert_int_equal(s->own_domain_count, 1);
    assert_int_equal(s->own_table_count, 1);
    assert_true(span_is(table_name(s->own_tables[0]), SPAN("etc/t")));
    settings_release(s);
}

struct said {
    const char *conf, *table, *faults[3],
        *warnings[3]; /* parts of single lines */
};

static void check_lines(const char *conf, struct buffer *lines,
                        const char *const *expected)
{
    size_t n = 0;

    for (; n < 3 && expected[n]; n++)
        if (!strstr(buffer_string(lines), expected[n]))
            fail_msg("%s\nlacks: %s\nsaid: %s", conf, expected[n],
                     buffer_string(lines));
    if (lines_of(lines) != n)
        fail_msg("%s\nsaid: %s", conf, buffer_string(lines));
}

static void what_is_wrong_with_a_table_is_told_where_it_is(void **state)
{
#define LISTENER                                                               \
    "listener \"l\" { address = \"127.0.0.1:25\" auth = optional "             \
    "auth-without-tls = true }\n"                                              \
    "users { pam = \"x\" }\nroute \"*\" { via = {\"smtp://h\"} }\n"
#define RULE(condition, action)                                                \
    LISTENER "rule \"r\" { " condition " action = " action " }\n"
    static const struct said rows[] = {
        { RULE("to = {\"table:none\"}", "reject"),
          "",
          { "etc/w.conf:4:18: cannot read the table \"etc/none\": No such" },
          { 0 } },
        { RULE("to = {\"table:\"}", "reject"),
          "",
          { "etc/w.conf:4:18: \"table:\" names no table" },
          { 0 } },
        { RULE("to = {\"table:t\"}", "reject"),
          "a.test\n10.0.0.1/8\n",
          { "etc/t:2:1: \"10.0.0.1/8\" is not a network" },
          { 0 } },
        { RULE("client = {\"table:t\"} to = {\"table:t\"}", "reject"),
          "10.0.0.0/8\na.test\nb@@c\n",
          { "etc/t:3:1: \"b@@c\" is not an address" },
          { 0 } },
        /* a login may be anything */
        { RULE("login = {\"table:t\"}", "relay"),
          "DOMAIN/joe\na@b@c\n",
          { 0 },
          { 0 } },
        { RULE("client = {\"table:t\"}", "reject"),
          "a.test\n",
          { 0 },
          { "etc/w.conf:4:22: warning: no line of the table \"etc/t\" is a "
            "network" } },
        { RULE("to = {\"table:t\"}", "reject"),
          "# none\n",
          { 0 },
          { "etc/t:1:1: warning: the table is empty" } },
        { RULE("to = {\"table:t\"}", "reject"),
          "a.test\nA.test\n",
          { 0 },
          { "etc/t:2:1: warning: \"a.test\" stands a second time, first on "
            "line "
            "1" } },
        /* what would open the relay */
        { RULE("to = {\"table:t\"}", "relay"),
          "a.test\n*\n",
          { "this opens the relay: say who" },
          { 0 } },
        { RULE("to = {\"table:t\"}", "relay"),
          "a.test\n/x/\n",
          { "this opens the relay: say who" },
          { 0 } },
        { RULE("from = {\"table:t\"}", "relay"),
          "a.test\n",
          { "this opens the relay: say who" },
          { 0 } },
        { RULE("client = {\"table:t\"}", "relay"),
          "10.0.0.0/8\n0.0.0.0/0\n",
          { "this opens the relay: these networks hold everybody" },
          { 0 } },
        /* routes */
        { LISTENER "route \"r\" { to = {\"table:t\"} via = {\"mx\"} }\n",
          "a.test\n/x/\n<>\n",
          { "etc/t:2:1: \"/x/\" is not what a route",
            "etc/t:3:1: \"<>\" is not" },
          { 0 } },
        { LISTENER "route \"r\" { to = {\"a.test\"} from = {\"table:t\"}\n"
                   "via = {\"mx\"} }\n",
          "a.test\n",
          { "\"table:t\" names a table, which has no place here" },
          { 0 } },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer faults = { 0 }, warnings = { 0 };
        struct settings_text_file files[] = { { "etc/w.conf", rows[i].conf },
                                              { "etc/t", rows[i].table },
                                              { NULL, NULL } };
        struct settings *s = read_files(files, &faults, &warnings);

        check_lines(rows[i].conf, &faults, rows[i].faults);
        if (rows[i].faults[0] == NULL)
            check_lines(rows[i].conf, &warnings, rows[i].warnings);
        assert_true(!s == (rows[i].faults[0] != NULL));
        settings_release(s);
        buffer_fini(&faults);
        buffer_fini(&warnings);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            each_file_is_read_once_and_beside_the_one_that_names_it),
        cmocka_unit_test(the_most_specific_key_wins_wherever_it_stands),
        cmocka_unit_test(own_domains_may_be_in_tables),
        cmocka_unit_test(what_is_wrong_with_a_table_is_told_where_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
