/*
 * test_table - values by the hundred thousand, from a file of their own.
 */
#include "policy/table.h"
#include "policy/vocabulary/memory.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct table *read_bytes(struct span text, struct buffer *out_faults,
                                struct buffer *out_warnings)
{
    struct buffer lines = { 0 };

    buffer_put(&lines, text);
    return table_new(SPAN("big"), &lines, out_faults, out_warnings);
}

/* Without a fault or a warning. */
static struct table *read_well(const char *text)
{
    struct buffer faults = { 0 }, warnings = { 0 };
    struct table *t = read_bytes(span_of(text), &faults, &warnings);

    assert_string_equal(buffer_string(&faults), "");
    assert_string_equal(buffer_string(&warnings), "");
    buffer_fini(&faults);
    buffer_fini(&warnings);
    return t;
}

/* What a question finds: the value, "" for none; NULL: no; "?": it cannot tell. */
static const char *answer(enum answer a, struct span value)
{
    static char text[256];

    if (a == ANSWER_NO)
        return NULL;
    if (a == ANSWER_UNKNOWN)
        return "?";
    assert_true(value.len < sizeof text);
    memcpy(text, value.at ? value.at : "", value.len);
    text[value.len] = '\0';
    return text;
}

static const char *of_mailbox(const struct table *t, const char *mailbox)
{
    struct address a = { .text = SPAN("") };
    struct span value = SPAN("");
    struct subject s;

    if (*mailbox)
        assert_int_equal(address_parse(span_of(mailbox), &a), ADDRESS_OK);
    subject_of_address(&s, &a);
    return answer(table_has_subject(t, &s, &value), value);
}

static const char *of_name(const struct table *t, const char *name)
{
    struct span value = SPAN("");
    struct subject s;

    subject_of_name(&s, span_of(name));
    return answer(table_has_subject(t, &s, &value), value);
}

static const char *of_host(const struct table *t, const char *host)
{
    struct span value = SPAN("");
    struct host_address a;

    assert_true(host_address_parse(span_of(host), &a));
    return answer(table_has_network(t, &a, &value), value);
}

static const char *of_text(const struct table *t, const char *text)
{
    struct span value = SPAN("");

    return answer(table_has_text(t, span_of(text), &value), value);
}

typedef const char *ask_fn(const struct table *t, const char *what);

struct row {
    ask_fn *ask;
    const char *what, *expected;
};

static void check(const char *text, const struct row *rows, size_t count)
{
    struct table *t = read_well(text);

    for (size_t i = 0; i < count; i++) {
        const char *got = rows[i].ask(t, rows[i].what);

        if (!got != !rows[i].expected || (got && strcmp(got, rows[i].expected)))
            fail_msg("%s: %s instead of %s", rows[i].what, got ? got : "no",
                     rows[i].expected ? rows[i].expected : "no");
    }
    table_free(t);
}

#define CHECK(text, rows) check(text, rows, sizeof(rows) / sizeof(rows)[0])

static void one_table_holds_all_kinds(void **state)
{
    static const char text[] = "# partners\n"
                               "\n"
                               "10.0.0.0/8      inside\n"
                               "10.1.0.0/16     lab # narrower\n"
                               "192.0.2.1\n"
                               "2001:db8::/32   six\r\n"
                               "Example.ORG     domain\n"
                               "*.example.org   below\n"
                               "*.deep.example.org deeper\n"
                               "Joe@Example.org address\n"
                               "@at.test        at\n"
                               "b\xc3\xbc"
                               "cher.test     books\n"
                               "/^sales\\+/     plus\n"
                               "'/^it''s /'     quoted\n"
                               "\"two.test\"    'a # b'\n"
                               "three.test      a@b.test, c@d.test  # both\n"
                               "joe             login\n"
                               "*@staff.test    staff\n"
                               "<>              null";
    static const struct row rows[] = {
        { of_host, "10.2.3.4", "inside" },
        { of_host, "10.1.3.4", "lab" },
        { of_host, "::ffff:10.1.3.4", "lab" },
        { of_host, "10.2.0.0", "inside" },
        { of_host, "192.0.2.1", "" },
        { of_host, "192.0.2.2", NULL },
        { of_host, "2001:db8::9", "six" },
        { of_host, "2001:db9::9", NULL },
        { of_mailbox, "x@EXAMPLE.org", "domain" },
        { of_mailbox, "JOE@example.org", "address" },
        { of_mailbox, "\"joe\"@example.org", "address" },
        { of_mailbox, "x@a.example.org", "below" },
        { of_mailbox, "x@a.deep.example.org", "deeper" },
        { of_mailbox, "x@deep.example.org", "below" },
        { of_mailbox, "x@at.test", "at" },
        { of_mailbox, "x@xn--bcher-kva.test", "books" },
        { of_mailbox,
          "x@b\xc3\xbc"
          "cher.test",
          "books" },
        { of_mailbox, "sales+1@other.test", "plus" },
        { of_mailbox, "asales+1@other.test", NULL },
        { of_mailbox, "x@two.test", "a # b" },
        { of_mailbox, "x@three.test", "a@b.test, c@d.test" },
        { of_mailbox, "", "null" },
        { of_mailbox, "x@other.test", NULL },
        { of_mailbox, "x@sub.at.test", NULL },
        { of_name, "example.org", "domain" },
        { of_name, "mail.example.org", "below" },
        { of_name, "10.1.2.3", "lab" },
        { of_name, "[10.1.2.3]", "lab" },
        { of_name, "it's me", "quoted" },
        { of_name, "", NULL },
        { of_text, "JOE", "login" },
        { of_text, "joe@example.org", "address" },
        { of_text, "any@staff.test", "staff" },
        { of_text, "any@sub.staff.test", NULL },
        { of_text,
          "b\xc3\xbc"
          "cher.test",
          "books" },
        { of_text, "jo", NULL },
        { of_text, "", NULL },
    };

    (void)state;
    CHECK(text, rows);
}

static void a_star_is_any_domain_and_any_login(void **state)
{
    static const struct row rows[] = {
        { of_mailbox, "a@b.test", "all" }, { of_mailbox, "", NULL },
        { of_text, "joe", "all" },         { of_mailbox, "a@c.test", "c" },
        { of_host, "10.0.0.1", NULL },
    };

    (void)state;
    CHECK("* all\nc.test c\n", rows);
}

static void expressions_are_tried_in_order_and_in_groups(void **state)
{
    struct buffer text = { 0 };
    struct table *t;

    (void)state;
    for (unsigned i = 0; i < 200; i++)
        buffer_printf(&text, "/^u%u@/ %u\n", i, i);
    buffer_put_string(&text, "/(a)\\1@/ twice\n/^u1/ later\n/(?i)^zz/ z\n"
                             "/[/]x|y@/ bar\n");
    t = read_well(buffer_string(&text));
    assert_string_equal(of_mailbox(t, "u0@x.test"), "0");
    assert_string_equal(of_mailbox(t, "u63@x.test"), "63");
    assert_string_equal(of_mailbox(t, "u64@x.test"), "64");
    assert_string_equal(of_mailbox(t, "u199@x.test"), "199");
    assert_string_equal(of_mailbox(t, "u1xx@x.test"), "later");
    assert_string_equal(of_mailbox(t, "baa@x.test"), "twice");
    assert_string_equal(of_mailbox(t, "ZZ@x.test"), "z");
    assert_string_equal(of_mailbox(t, "by@x.test"), "bar");
    assert_null(of_mailbox(t, "u200@x.test"));
    assert_null(of_mailbox(t, ""));
    table_free(t);
    buffer_fini(&text);
}

static void an_expression_that_runs_away_cannot_tell(void **state)
{
    struct table *t = read_well("/^(a+)+[bc]@/ x\n/^c/ c\n");

    (void)state;
    assert_string_equal(
        of_mailbox(t, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@x.test"),
        "?");
    assert_string_equal(of_mailbox(t, "c@x.test"), "c");
    table_free(t);
}

/* --- what is wrong -------------------------------------------------------- */

struct wrong {
    struct span text;
    const char *faults, *warnings, *strays, *unroutable;
};

#define BYTES(s) SPAN_INIT(s)
#define NO_NETWORK                                                             \
    "is not a network such as 10.0.0.0/8, 192.0.2.1 or 2001:db8::/32 (no "     \
    "bits set below its length)\n"
#define NO_ROUTE                                                               \
    "is not what a route can be found by: a domain, *.domain, an address, or " \
    "*\n"

static void what_is_wrong_is_told_with_its_line(void **state)
{
    static const struct wrong rows[] = {
        { BYTES(""), "", "1:1: the table is empty\n", "", "" },
        { BYTES("# nothing\n\n"), "", "1:1: the table is empty\n", "", "" },
        { BYTES("\xef\xbb\xbfgood.test\n"), "", "", "", "" },
        { BYTES("a.test\n\nb.test\0x\n"),
          "3:7: \"b.test\\x00x\" has a control character\n", "", "", "" },
        { BYTES("a.test\n b\rc\n"),
          "2:3: \" b\\x0Dc\" has a control character\n", "", "", "" },
        { BYTES("'open\n"), "1:1: \"'open\" has a quote that is not closed\n",
          "", "", "" },
        { BYTES("\"joe s\"@a.test\n"),
          "1:8: \"\"joe s\"@a.test\" goes on after the quote; what has quotes "
          "in it is written between ' and '\n",
          "", "", "" },
        { BYTES("a.test 'v' w\n"),
          "1:12: \"a.test 'v' w\" goes on after the value's quote\n", "", "",
          "" },
        { BYTES("''\n"), "1:1: \"''\" has an empty key\n", "", "", "" },
        { BYTES("\xff.test\n"),
          "1:1: \"\\xFF.test\" has a key that is not UTF-8\n", "", "", "" },
        { BYTES("/(/ x\n"),
          "1:1: \"/(/\" is not an expression: missing closing parenthesis, at "
          "character 2\n",
          "", "", "" },
        { BYTES("a.test\nb.test\nA.test x\n"), "",
          "3:1: \"a.test\" stands a second time, first on line 1, which "
          "holds\n",
          "", "" },
        { BYTES("10.0.0.0/8 a\n10.0.0.0/8 b\n"), "",
          "2:1: \"10.0.0.0/8\" stands a second time, first on line 1, which "
          "holds\n",
          "", "" },
        { BYTES("b\xc3\xbc.test\nxn--b-eha.test\n"), "",
          "2:1: \"xn--b-eha.test\" stands a second time, first on line 1, "
          "which holds\n",
          "", "" },
        { BYTES("/x/\n/x/\n"), "",
          "2:1: \"x\" stands a second time, first on line 1, which holds\n", "",
          "1:1: \"/x/\" " NO_ROUTE "2:1: \"/x/\" " NO_ROUTE },
        { BYTES("10.0.0.1/8\n"), "", "", "1:1: \"10.0.0.1/8\" " NO_NETWORK,
          "1:1: \"10.0.0.1/8\" " NO_NETWORK },
        { BYTES("10.0.0.256\n"), "", "", "1:1: \"10.0.0.256\" " NO_NETWORK,
          "1:1: \"10.0.0.256\" " NO_NETWORK },
        { BYTES("  2001::g\n"), "", "", "1:3: \"2001::g\" " NO_NETWORK,
          "1:3: \"2001::g\" " NO_NETWORK },
        { BYTES("a@b@c\n"), "", "", "1:1: \"a@b@c\" is not an address\n",
          "1:1: \"a@b@c\" is not an address\n" },
        { BYTES(".a.test\n"), "", "",
          "1:1: \".a.test\" is not a domain; *.domain is what is below one\n",
          "1:1: \".a.test\" is not a domain; *.domain is what is below one\n" },
        { BYTES("<>\n"), "", "", "", "1:1: \"<>\" " NO_ROUTE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer faults = { 0 }, warnings = { 0 }, flaws = { 0 };
        struct table *t = read_bytes(rows[i].text, &faults, &warnings);

        assert_string_equal(buffer_string(&faults), rows[i].faults);
        assert_string_equal(buffer_string(&warnings), rows[i].warnings);
        buffer_put(&flaws, table_flaws(t, TABLE_OF_MAILBOXES));
        assert_string_equal(buffer_string(&flaws), rows[i].strays);
        buffer_clear(&flaws);
        buffer_put(&flaws, table_flaws(t, TABLE_OF_ROUTES));
        assert_string_equal(buffer_string(&flaws), rows[i].unroutable);
        assert_int_equal(table_flaws(t, TABLE_OF_TEXTS).len, 0);
        table_free(t);
        buffer_fini(&faults);
        buffer_fini(&warnings);
        buffer_fini(&flaws);
    }
}

static size_t lines_in(const struct buffer *b)
{
    size_t n = 0;

    for (size_t i = 0; i < b->len; i++)
        n += b->at[i] == '\n';
    return n;
}

static void very_long_lines_and_very_many_mistakes_stay_readable(void **state)
{
    struct buffer text = { 0 }, faults = { 0 }, warnings = { 0 };
    struct table *t;

    (void)state;
    for (size_t i = 0; i < 2000; i++)
        buffer_put_byte(&text, 'x');
    buffer_put_string(&text, "\nlong.test ");
    for (size_t i = 0; i < 65536; i++)
        buffer_put_byte(&text, 'v');
    buffer_put_byte(&text, '\n');
    for (size_t i = 0; i < 100000; i++)
        buffer_put_string(&text, "'\n");
    t = read_bytes(buffer_span(&text), &faults, &warnings);
    assert_int_equal(lines_in(&faults), TABLE_FAULTS + 1);
    assert_non_null(
        strstr(buffer_string(&faults), "has a key longer than 1024 bytes\n"));
    assert_non_null(strstr(buffer_string(&faults),
                           "has a value longer than 65535 bytes\n"));
    assert_non_null(strstr(buffer_string(&faults),
                           "100002:1: and 99982 lines more like these\n"));
    assert_true(faults.len < 4000);
    table_free(t);
    buffer_fini(&text);
    buffer_fini(&faults);
    buffer_fini(&warnings);
}

/* --- size ----------------------------------------------------------------- */

static void a_hundred_thousand_lines_are_all_found(void **state)
{
    struct buffer text = { 0 };
    char what[64];
    struct table *t;

    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        if (i % 4 == 0)
            buffer_printf(&text, "10.%u.%u.%u v%u\n", i >> 16, i >> 8 & 255,
                          i & 255, i);
        else if (i % 4 == 1)
            buffer_printf(&text, "d%u.test v%u\n", i, i);
        else if (i % 4 == 2)
            buffer_printf(&text, "user%u@many.test v%u\n", i, i);
        else
            buffer_printf(&text, "*.d%u.test v%u\n", i, i);
    }
    t = read_well(buffer_string(&text));
    assert_int_equal(table_size(t), 100000);
    for (unsigned i = 0; i < 100000; i++) {
        char expected[16];

        (void)snprintf(expected, sizeof expected, "v%u", i);
        if (i % 4 == 0)
            (void)snprintf(what, sizeof what, "10.%u.%u.%u", i >> 16,
                           i >> 8 & 255, i & 255);
        else
            (void)snprintf(what, sizeof what, "%s%u%s",
                           i % 4 == 1   ? "x@d"
                           : i % 4 == 2 ? "USER"
                                        : "x@y.d",
                           i, i % 4 == 2 ? "@many.test" : ".test");
        assert_string_equal(i % 4 ? of_mailbox(t, what) : of_host(t, what),
                            expected);
    }
    assert_null(of_mailbox(t, "user1@many.test"));
    assert_null(of_mailbox(t, "x@d0.test"));
    assert_null(of_host(t, "10.0.0.1"));
    table_free(t);
    buffer_fini(&text);
}

static void nested_networks_are_found_from_the_inside_out(void **state)
{
    static const struct row rows[] = {
        { of_host, "10.0.0.1", "32" },      { of_host, "10.0.0.2", "30" },
        { of_host, "10.0.0.9", "24" },      { of_host, "10.0.1.0", "8" },
        { of_host, "10.0.0.0", "30" },      { of_host, "10.255.255.255", "8" },
        { of_host, "11.0.0.0", NULL },      { of_host, "9.255.255.255", NULL },
        { of_host, "2001:db8::1", "all6" }, { of_host, "10.9.9.9", "8" },
    };

    (void)state;
    CHECK("::/0 all6\n10.0.0.1 32\n10.0.0.0/8 8\n10.0.0.0/24 24\n"
          "10.0.0.0/30 30\n10.0.2.0/24 other\n",
          rows);
}

static void what_a_table_is_for_is_known(void **state)
{
    static const struct {
        const char *text;
        bool names_domains, holds_everybody, hosts, mailboxes, texts, routes;
    } rows[] = {
        { "a.test\n*.b.test\nc@d.test\n", true, false, false, true, true,
          true },
        { "a.test\n/x/\n", false, false, false, true, true, true },
        { "a.test\n*\n", false, false, false, true, true, true },
        { "a.test\n<>\n", false, false, false, true, true, true },
        { "10.0.0.0/8\n", true, false, true, false, false, false },
        { "0.0.0.0/0\n", true, true, true, false, false, false },
        { "0.0.0.0/1\n128.0.0.0/2\n192.0.0.0/3\n1.2.3.4\n", true, true, true,
          false, false, false },
        { "0.0.0.0/1\n128.0.0.0/2\n208.0.0.0/4\n", true, false, true, false,
          false, false },
        { "::/0\n", true, true, true, false, false, false },
        { "'joe smith'\n", true, false, false, false, true, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct table *t = read_well(rows[i].text);

        assert_int_equal(table_names_domains(t), rows[i].names_domains);
        assert_int_equal(table_holds_everybody(t), rows[i].holds_everybody);
        assert_int_equal(table_serves(t, TABLE_OF_HOSTS), rows[i].hosts);
        assert_int_equal(table_serves(t, TABLE_OF_MAILBOXES),
                         rows[i].mailboxes);
        assert_int_equal(table_serves(t, TABLE_OF_TEXTS), rows[i].texts);
        assert_int_equal(table_serves(t, TABLE_OF_ROUTES), rows[i].routes);
        table_free(t);
    }
}

static void domains_are_told_one_by_one(void **state)
{
    struct table *t = read_well("a.test\n*.x.test\nb@c.test\nB.test\n");
    struct span domain;
    size_t at = 0;

    (void)state;
    assert_true(table_next_domain(t, &at, &domain));
    assert_true(span_is(domain, SPAN("a.test")));
    assert_true(table_next_domain(t, &at, &domain));
    assert_true(span_is(domain, SPAN("b.test")));
    assert_false(table_next_domain(t, &at, &domain));
    table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_table_holds_all_kinds),
        cmocka_unit_test(a_star_is_any_domain_and_any_login),
        cmocka_unit_test(expressions_are_tried_in_order_and_in_groups),
        cmocka_unit_test(an_expression_that_runs_away_cannot_tell),
        cmocka_unit_test(what_is_wrong_is_told_with_its_line),
        cmocka_unit_test(very_long_lines_and_very_many_mistakes_stay_readable),
        cmocka_unit_test(a_hundred_thousand_lines_are_all_found),
        cmocka_unit_test(nested_networks_are_found_from_the_inside_out),
        cmocka_unit_test(what_a_table_is_for_is_known),
        cmocka_unit_test(domains_are_told_one_by_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
