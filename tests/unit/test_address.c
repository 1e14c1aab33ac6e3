/*
 * Addresses: what is one, what is none, and what hostile ones look like.
 */
#include "policy/vocabulary/address.h"
#include "policy/vocabulary/error.h"
#include "policy/vocabulary/limits.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

struct row {
    const char *path;
    enum address_fault fault;
    const char *local, *domain, *rest;
};

static void check(enum path_kind kind, bool smtputf8, const struct row *rows,
                  size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct address a = { 0 };
        struct span rest = { 0 };
        enum address_fault fault = address_parse_path(
            span_of(rows[i].path), kind, smtputf8, &a, &rest);

        if (fault != rows[i].fault)
            fail_msg("%s: %d", rows[i].path, fault);
        if (fault)
            continue;
        if (!span_is(a.local, span_of(rows[i].local)) ||
            !span_is(a.domain, span_of(rows[i].domain)) ||
            !span_is(rest, span_of(rows[i].rest ? rows[i].rest : "")))
            fail_msg("%s: %.*s @ %.*s, then %.*s", rows[i].path,
                     SPAN_FMT(a.local), SPAN_FMT(a.domain), SPAN_FMT(rest));
    }
}

#define CHECK(kind, utf8, rows)                                                \
    check((kind), (utf8), (rows), sizeof(rows) / sizeof(rows)[0])

static void paths_are_read_up_to_their_end(void **state)
{
    static const struct row rows[] = {
        { "<a@b>", ADDRESS_OK, "a", "b", "" },
        { " <a@b> SIZE=5", ADDRESS_OK, "a", "b", " SIZE=5" },
        { "<a.b+c@ok.test>x", ADDRESS_OK, "a.b+c", "ok.test", "x" },
        { "<UsEr@OK.TEST>", ADDRESS_OK, "UsEr", "OK.TEST", "" },
        { "<!#$%&'*+-/=?^_`{|}~@b>", ADDRESS_OK, "!#$%&'*+-/=?^_`{|}~", "b" },
        { "<|/bin/sh@x>", ADDRESS_OK, "|/bin/sh", "x" },
        { "<%n%s%x%p@ok>", ADDRESS_OK, "%n%s%x%p", "ok" },
        { "<a@1.2.3.4>", ADDRESS_OK, "a", "1.2.3.4" },
        { "<a@b>,<c@d>", ADDRESS_OK, "a", "b", ",<c@d>" },
        { "<a@b>>", ADDRESS_OK, "a", "b", ">" },
    };

    (void)state;
    CHECK(PATH_FORWARD, false, rows);
    CHECK(PATH_REVERSE, false, rows);
}

static void quoted_local_parts_keep_their_quotes(void **state)
{
    static const struct row rows[] = {
        { "<\"a\\@b\"@ok>", ADDRESS_OK, "\"a\\@b\"", "ok" },
        { "<\"a b\"@ok>", ADDRESS_OK, "\"a b\"", "ok" },
        { "<\"\"@ok>", ADDRESS_OK, "\"\"", "ok" },
        { "<\"@\"@ok>", ADDRESS_OK, "\"@\"", "ok" },
        { "<\"\\\"\"@ok>", ADDRESS_OK, "\"\\\"\"", "ok" },
        { "<\"a>b\"@ok>", ADDRESS_OK, "\"a>b\"", "ok" },
        { "<\"abc@d>", ADDRESS_SYNTAX },
        { "<\"a\\\">", ADDRESS_SYNTAX },
        { "<\"a\"b@d>", ADDRESS_SYNTAX },
        { "<\"a\x01\"@d>", ADDRESS_SYNTAX },
        { "<\"a\\\x01\"@d>", ADDRESS_SYNTAX },
        { "<\"a\r\nDATA\r\n\"@b>", ADDRESS_SYNTAX },
        { "<\"a\"@b(c)>", ADDRESS_SYNTAX },
        { "<\"a\\\x7f\"@d>", ADDRESS_SYNTAX },
        { "<\"a\x7f\"@d>", ADDRESS_SYNTAX },
        { "<\"", ADDRESS_SYNTAX },
        { "<\"\\", ADDRESS_SYNTAX },
    };

    (void)state;
    CHECK(PATH_FORWARD, false, rows);
}

static void what_is_no_path_is_refused(void **state)
{
    static const struct row rows[] = {
        { "", ADDRESS_SYNTAX },
        { "a@b", ADDRESS_SYNTAX },
        { "a@b>", ADDRESS_SYNTAX },
        { "<a@b", ADDRESS_SYNTAX },
        { "<a\\>", ADDRESS_SYNTAX },
        { "<a>", ADDRESS_SYNTAX },
        { "<a@>", ADDRESS_SYNTAX },
        { "<@b>", ADDRESS_SYNTAX },
        { "<a@b..c>", ADDRESS_SYNTAX },
        { "<a@.b>", ADDRESS_SYNTAX },
        { "<a@b.>", ADDRESS_SYNTAX },
        { "<a@-b.c>", ADDRESS_SYNTAX },
        { "<a@b-.c>", ADDRESS_SYNTAX },
        { "<a@b_c.d>", ADDRESS_SYNTAX },
        { "<.a@b>", ADDRESS_SYNTAX },
        { "<a.@b>", ADDRESS_SYNTAX },
        { "<a..b@c>", ADDRESS_SYNTAX },
        { "<a b@c>", ADDRESS_SYNTAX },
        { "<;sleep 66;>", ADDRESS_SYNTAX },
        { "<a(comment)@b>", ADDRESS_SYNTAX },
        { "<<a@b>>", ADDRESS_SYNTAX },
        { "<a\rX-Evil: 1@b>", ADDRESS_SYNTAX },
        { "<a@b@c>", ADDRESS_SYNTAX },
        { "<a@b c>", ADDRESS_SYNTAX },
        { "<v@ext.test@[192.0.2.1]>", ADDRESS_SYNTAX },
        { "\t<a@b>", ADDRESS_SYNTAX },
        { "< a@b>", ADDRESS_SYNTAX },
        { "<a@b >", ADDRESS_SYNTAX },
        { "<", ADDRESS_SYNTAX },
        { "<a@"
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa>",
          ADDRESS_SYNTAX },
        { "<\"v@ext.test\">", ADDRESS_SYNTAX },
    };

    (void)state;
    CHECK(PATH_FORWARD, false, rows);
    CHECK(PATH_REVERSE, false, rows);
}

static void source_routes_are_thrown_away(void **state)
{
    static const struct row rows[] = {
        { "<@a,@b:c@ok>", ADDRESS_OK, "c", "ok" },
        { "<@ok:v@ext>", ADDRESS_OK, "v", "ext" },
        { "<@[192.0.2.1]:v@ext>", ADDRESS_OK, "v", "ext" },
        { "<@a:@b:v@ext.test>", ADDRESS_SYNTAX },
        { "<@a,b:c@d>", ADDRESS_SYNTAX },
        { "<@a,:c@d>", ADDRESS_SYNTAX },
        { "<@a>", ADDRESS_SYNTAX },
        { "<@:c@d>", ADDRESS_SYNTAX },
        { "<@[x]:c@d>", ADDRESS_SYNTAX },
        { "<@[:c@d>", ADDRESS_SYNTAX },
        { "<a:b@c>", ADDRESS_SYNTAX },
        { "<@a:>", ADDRESS_SYNTAX },
        { "<@a:postmaster>", ADDRESS_SYNTAX },
    };

    (void)state;
    CHECK(PATH_FORWARD, false, rows);
}

static void only_senders_are_null_and_only_postmaster_is_bare(void **state)
{
    static const struct row reverse[] = {
        { "<>", ADDRESS_OK, "", "" },
        { "<> SIZE=1", ADDRESS_OK, "", "", " SIZE=1" },
        { "<postmaster>", ADDRESS_SYNTAX },
        { "<s>", ADDRESS_SYNTAX },
    };
    static const struct row forward[] = {
        { "<>", ADDRESS_SYNTAX },
        { "<postmaster>", ADDRESS_OK, "postmaster", "" },
        { "<PostMaster> X", ADDRESS_OK, "PostMaster", "", " X" },
        { "<postmaster@ok>", ADDRESS_OK, "postmaster", "ok" },
        { "<postmasters>", ADDRESS_SYNTAX },
        { "<postmaster", ADDRESS_SYNTAX },
    };

    (void)state;
    CHECK(PATH_REVERSE, false, reverse);
    CHECK(PATH_FORWARD, false, forward);
}

static void literals_are_strict(void **state)
{
    static const struct row rows[] = {
        { "<a@[127.0.0.1]>", ADDRESS_OK, "a", "[127.0.0.1]" },
        { "<a@[IPv6:::1]>", ADDRESS_OK, "a", "[IPv6:::1]" },
        { "<a@[IPv6:::ffff:127.0.0.1]>", ADDRESS_OK, "a",
          "[IPv6:::ffff:127.0.0.1]" },
        { "<a@[0x7f.1]>", ADDRESS_SYNTAX },
        { "<a@[2130706433]>", ADDRESS_SYNTAX },
        { "<a@[127.1]>", ADDRESS_SYNTAX },
        { "<a@[999.1.1.1]>", ADDRESS_SYNTAX },
        { "<a@[x-tag:hello]>", ADDRESS_SYNTAX },
        { "<a@[127.0.0.1>", ADDRESS_SYNTAX },
        { "<a@[127.0.0.1].b>", ADDRESS_SYNTAX },
        { "<a@[]>", ADDRESS_SYNTAX },
    };
    struct address a;
    struct span rest;

    (void)state;
    CHECK(PATH_FORWARD, false, rows);
    assert_int_equal(address_parse_path(SPAN("<a@[127.0.0.1]>"), PATH_FORWARD,
                                        false, &a, &rest),
                     ADDRESS_OK);
    assert_true(a.is_literal);
}

/* "<" local "@" domain ">", of so many octets each. */
static enum address_fault of_lengths(size_t local, size_t domain)
{
    struct buffer b = { 0 };
    enum address_fault fault;
    struct address a;
    struct span rest;

    buffer_put_byte(&b, '<');
    for (size_t i = 0; i < local; i++)
        buffer_put_byte(&b, 'a');
    buffer_put_byte(&b, '@');
    for (size_t i = 0; i < domain; i++)
        buffer_put_byte(&b, i % 50 == 49 && i + 1 < domain ? '.' : 'd');
    buffer_put_byte(&b, '>');
    fault = address_parse_path(buffer_span(&b), PATH_FORWARD, false, &a, &rest);
    buffer_fini(&b);
    return fault;
}

static void lengths_end_where_the_rfc_says(void **state)
{
    struct buffer b = { 0 };

    (void)state;
    assert_int_equal(of_lengths(64, 10), ADDRESS_OK);
    assert_int_equal(of_lengths(65, 10), ADDRESS_TOO_LONG);
    assert_int_equal(of_lengths(255, 10), ADDRESS_TOO_LONG);
    assert_int_equal(of_lengths(1, 252), ADDRESS_OK);       /* path 256 */
    assert_int_equal(of_lengths(1, 253), ADDRESS_TOO_LONG); /* path 257 */
    assert_int_equal(of_lengths(1, 256), ADDRESS_TOO_LONG);
    assert_int_equal(of_lengths(64, 189), ADDRESS_OK);
    assert_int_equal(of_lengths(64, 190), ADDRESS_TOO_LONG);
    assert_int_equal(of_lengths(10000, 1), ADDRESS_TOO_LONG);
    assert_int_equal(of_lengths(1, 10000), ADDRESS_TOO_LONG);
    for (int i = 0; i < 51; i++)
        buffer_put_string(&b, i < 50 ? "aaaa." : "aaaaa");
    assert_true(domain_is_valid(buffer_span(&b), false)); /* 255 */
    buffer_put_byte(&b, 'a');
    assert_false(domain_is_valid(buffer_span(&b), false));
    buffer_fini(&b);
}

static void utf8_needs_to_be_said_and_to_be_sound(void **state)
{
    static const struct row without[] = {
        { "<gr\xc3\xbc\xc3\x9f@ok>", ADDRESS_NEEDS_UTF8 },
        { "<a@b\xc3\xbc.test>", ADDRESS_NEEDS_UTF8 },
        { "<a\xff@ok>", ADDRESS_SYNTAX },
        { "<a\xc3@ok>", ADDRESS_SYNTAX },
    };
    static const struct row with[] = {
        { "<gr\xc3\xbc\xc3\x9f@ok>", ADDRESS_OK, "gr\xc3\xbc\xc3\x9f", "ok" },
        { "<\"\xc3\xbc x\"@b\xc3\xbc.test>", ADDRESS_OK, "\"\xc3\xbc x\"",
          "b\xc3\xbc.test" },
        { "<a@b\xed\xa0\x80.test>", ADDRESS_SYNTAX }, /* a surrogate */
        { "<a\xc0\xaf@ok>", ADDRESS_SYNTAX },         /* overlong */
        { "<a@\xe2\x84\x80.test>", ADDRESS_SYNTAX },  /* maps to a/c */
        { "<a@\xcc\x81"
          "b.test>",
          ADDRESS_SYNTAX },                           /* begins with a mark */
        { "<a@x\xe3\x80\x82.test>", ADDRESS_SYNTAX }, /* maps to x..test */
        { "<a@\xe2\x80\x8e"
          "b.test>",
          ADDRESS_SYNTAX },
    };

    (void)state;
    CHECK(PATH_FORWARD, false, without);
    CHECK(PATH_FORWARD, true, with);
    CHECK(PATH_REVERSE, true, with);
}

static void bare_mailboxes_are_read_whole(void **state)
{
    struct address a;

    (void)state;
    assert_int_equal(address_parse(SPAN("a@b"), &a), ADDRESS_OK);
    assert_true(span_is(a.text, SPAN("a@b")));
    assert_int_equal(address_parse(SPAN("\xc3\xbc@b"), &a), ADDRESS_OK);
    assert_true(a.is_utf8);
    assert_int_equal(address_parse(SPAN("a@b>"), &a), ADDRESS_SYNTAX);
    assert_int_equal(address_parse(SPAN("a"), &a), ADDRESS_SYNTAX);
    assert_int_equal(address_parse(SPAN(""), &a), ADDRESS_SYNTAX);
    assert_int_equal(address_parse(SPAN("<a@b>"), &a), ADDRESS_SYNTAX);
}

static void domains_fold_to_one_form(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        { "EXAMPLE.Org", "example.org" },
        { "example.org.", "example.org" },
        { "B\xc3\x9c"
          "CHER.test",
          "xn--bcher-kva.test" },
        { "XN--BCHER-KVA.test", "xn--bcher-kva.test" },
        { "fa\xc3\x9f.test", "xn--fa-hia.test" }, /* non-transitional */
        { "\xef\xbd\x81.test", "a.test" },        /* full width */
        { "a\xe3\x80\x82test", "a.test" },        /* ideographic full stop */
        { "[IPv6:2001:DB8::1]", "[ipv6:2001:db8::1]" },
        { "", NULL },
        { ".", NULL },
        { "a..b", NULL },
        { "a_b", NULL },
        { "\xff", NULL },
        { "\xe2\x84\x80", NULL },
    };
    struct buffer b = { .cap = LIMIT_DOMAIN };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int rc;

        buffer_clear(&b);
        rc = domain_fold(span_of(rows[i].in), &b);
        if (rc != (rows[i].out ? 0 : ERROR_SYNTAX))
            fail_msg("%s: %d", rows[i].in, rc);
        assert_string_equal(buffer_string(&b), rows[i].out ? rows[i].out : "");
    }
    buffer_fini(&b);
    b.cap = 3;
    assert_int_equal(domain_fold(SPAN("abcd"), &b), ERROR_TOO_BIG);
    assert_int_equal(domain_fold(SPAN("\xc3\xbc.de"), &b), ERROR_TOO_BIG);
    assert_int_equal(domain_fold(span_make("\xc3\xbc\0.de", 6), &b),
                     ERROR_SYNTAX);
    buffer_fini(&b);
}

static void a_second_address_in_a_local_part_is_seen(void **state)
{
    (void)state;
    assert_true(local_part_is_routed(SPAN("v%ext.test")));
    assert_true(local_part_is_routed(SPAN("ext.test!v")));
    assert_true(local_part_is_routed(SPAN("\"v@ext.test\"")));
    assert_true(local_part_is_routed(SPAN("\"v\\%ext.test\"")));
    assert_false(local_part_is_routed(SPAN("v.ext+x=y-z")));
    assert_false(local_part_is_routed(SPAN("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_read_up_to_their_end),
        cmocka_unit_test(quoted_local_parts_keep_their_quotes),
        cmocka_unit_test(what_is_no_path_is_refused),
        cmocka_unit_test(source_routes_are_thrown_away),
        cmocka_unit_test(only_senders_are_null_and_only_postmaster_is_bare),
        cmocka_unit_test(literals_are_strict),
        cmocka_unit_test(lengths_end_where_the_rfc_says),
        cmocka_unit_test(utf8_needs_to_be_said_and_to_be_sound),
        cmocka_unit_test(bare_mailboxes_are_read_whole),
        cmocka_unit_test(domains_fold_to_one_form),
        cmocka_unit_test(a_second_address_in_a_local_part_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
