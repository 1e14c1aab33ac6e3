/*
 * test_mtasts - what a domain says of TLS to its mail exchangers.
 */
#include "policy/mtasts.h"

#include "policy/vocabulary/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TXT(text)    SPAN_INIT(text)

static void one_record_announces_one_policy(void **state)
{
    static const struct {
        struct span records[3]; /* lengths in front of each string */
        const char *id;         /* NULL: none */
    } rows[] = {
        { { TXT("\x12v=STSv1; id=2024a;") }, "2024a" },
        { { TXT("\x11v=STSv1; id=2024a") }, "2024a" },
        { { TXT("\x10v=STSv1;id=2024a") }, "2024a" },
        { { TXT("\x10v=STSv1 ; id = 1") }, "1" },
        { { TXT("\x0av=STSv1; i\x04"
                "d=7;") },
          "7" },
        { { TXT("\x13v=STSv1; x=y; id=8;") }, "8" },
        { { TXT("\x0cv=spf1 -all "), TXT("\x0ev=STSv1; id=9;") }, "9" },
        { { { NULL, 0 } }, NULL },
        { { TXT("\x0bv=spf1 -all") }, NULL },
        { { TXT("\x0ev=STSv1; id=9;"), TXT("\x0ev=STSv1; id=9;") }, NULL },
        { { TXT("\x0ev=STSv1; id=9;"), TXT("\x08v=STSv1;") }, NULL },
        { { TXT("\x0ev=STSv2; id=9;") }, NULL },
        { { TXT("\x0eV=STSv1; id=9;") }, NULL },
        { { TXT("\x0cid=9; v=STSv") }, NULL },
        { { TXT("\x07v=STSv1") }, NULL },
        { { TXT("\x0dv=STSv1; id=;") }, NULL },
        { { TXT("\x10v=STSv1; id=a-b;") }, NULL },
        { { TXT("\xffv=STSv1; id=9;") }, NULL },
        { { TXT("\x2e"
                "v=STSv1; id=123456789012345678901234567890123;") },
          NULL },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char id[MTASTS_ID_MOST + 1] = "untouched";
        size_t count = 0;
        bool found;

        while (count < COUNT(rows[i].records) && rows[i].records[count].at)
            count++;
        found = mtasts_record_find(rows[i].records, count, id);
        if (found != (rows[i].id != NULL))
            print_message("row %zu\n", i);
        assert_int_equal(found, rows[i].id != NULL);
        assert_string_equal(id, found ? rows[i].id : "untouched");
    }
}

#define HEAD "version: STSv1\nmode: enforce\nmax_age: 86400\n"

static void policies_are_read_whole_or_not_at_all(void **state)
{
    static const struct {
        const char *text, *fault; /* NULL: none */
        struct mtasts_policy policy;
    } rows[] = {
        { HEAD "mx: mx.example\n",
          NULL,
          { MTASTS_ENFORCE, 86400, .count = 1 } },
        { "version: STSv1\r\nmode: testing\r\nmx: a.example\r\n"
          "mx: *.b.example.\r\nmax_age: 99999999999\r\n",
          "number",
          { 0 } },
        { "version: STSv1\r\nmode: testing\r\nmx: a.example\r\n"
          "mx: *.b.example.\r\nmax_age: 9999999999\r\n",
          NULL,
          { MTASTS_TESTING, MTASTS_AGE_MOST_S, .count = 2 } },
        { "mode: none\nversion: STSv1\nmax_age: 0",
          NULL,
          { MTASTS_NONE, 0, .count = 0 } },
        { "\n  version :  STSv1  \n\nmode:none\nmax_age:7\n\n",
          NULL,
          { MTASTS_NONE, 7, .count = 0 } },
        { HEAD "new: thing\nmx: a_b.example\n",
          NULL,
          { MTASTS_ENFORCE, 86400, .count = 1 } },
        { HEAD "mode: none\nmax_age: 1\nmx: a\n",
          NULL,
          { MTASTS_ENFORCE, 86400, .count = 1 } },
        { "", "no version", { 0 } },
        { HEAD, "names no mx", { 0 } },
        { "version: STSv1\nmode: enforce\nmx: a\n", "no max_age", { 0 } },
        { "version: STSv1\nmax_age: 1\nmx: a\n", "no mode", { 0 } },
        { "version: STSv2\nmode: none\nmax_age: 1\n", "not STSv1", { 0 } },
        { "version: STSv1\nmode: Enforce\nmax_age: 1\nmx: a\n", "mode", { 0 } },
        { "version: STSv1\nmode: none\nmax_age: -1\n", "number", { 0 } },
        { HEAD "mx: a b\n", "no host's name", { 0 } },
        { HEAD "mx: *\n", "no host's name", { 0 } },
        { HEAD "mx: *.\n", "no host's name", { 0 } },
        { HEAD "mx: a.*.example\n", "no host's name", { 0 } },
        { HEAD "mx: f*.example\n", "no host's name", { 0 } },
        { HEAD "mx: .example\n", "no host's name", { 0 } },
        { HEAD "mx: a..example\n", "no host's name", { 0 } },
        { HEAD "mx:\n", "no host's name", { 0 } },
        { HEAD "mx a\n", "has no", { 0 } },
        { "<html>not found</html>", "has no", { 0 } },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct mtasts_policy p = { 0 };
        const char *fault = mtasts_policy_read(span_of(rows[i].text), &p);

        if (!fault != !rows[i].fault)
            print_message("row %zu: %s\n", i, fault ? fault : "no fault");
        assert_int_equal(!fault, !rows[i].fault);
        if (fault) {
            assert_non_null(strstr(fault, rows[i].fault));
            continue;
        }
        assert_int_equal(p.mode, rows[i].policy.mode);
        assert_int_equal(p.max_age_s, rows[i].policy.max_age_s);
        assert_int_equal(p.count, rows[i].policy.count);
    }
}

static void hosts_are_matched_label_by_label(void **state)
{
    static const struct {
        const char *host;
        bool has;
    } rows[] = {
        { "mx.example.org", true },
        { "MX.Example.ORG.", true },
        { "a.mail.example", true },
        { "A.Mail.Example", true },
        { "a.b.mail.example", false },
        { "mail.example", false },
        { ".mail.example", false },
        { "xmx.example.org", false },
        { "mx.example.orgx", false },
        { "a.mail.example.org", false },
        { "", false },
        { "*.mail.example", true },
    };
    struct mtasts_policy p;

    (void)state;
    assert_null(mtasts_policy_read(
        SPAN(HEAD "mx: mx.example.org\nmx: *.mail.example\n"), &p));
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(mtasts_policy_has(&p, span_of(rows[i].host)),
                         rows[i].has);
}

static void what_is_kept_reads_as_the_same(void **state)
{
    struct mtasts_policy p, again;
    struct buffer b = { 0 }, twice = { 0 };

    (void)state;
    assert_null(mtasts_policy_read(
        SPAN("mx: *.a.example\r\nother: 1\r\nmode: testing\r\n"
             "version: STSv1\r\nmax_age: 604800\r\nmx: b.example\r\n"),
        &p));
    mtasts_policy_print(&b, &p);
    assert_string_equal(buffer_string(&b),
                        "version: STSv1\nmode: testing\nmax_age: 604800\n"
                        "mx: *.a.example\nmx: b.example\n");
    assert_null(mtasts_policy_read(buffer_span(&b), &again));
    mtasts_policy_print(&twice, &again);
    assert_string_equal(buffer_string(&b), buffer_string(&twice));
    buffer_fini(&b);
    buffer_fini(&twice);
}

static void a_policy_has_a_hundred_hosts_at_most(void **state)
{
    struct buffer b = { 0 };
    struct mtasts_policy p;

    (void)state;
    buffer_put_string(&b, HEAD);
    for (int i = 0; i < MTASTS_PATTERNS; i++)
        buffer_printf(&b, "mx: h%d.example\n", i);
    assert_null(mtasts_policy_read(buffer_span(&b), &p));
    assert_int_equal(p.count, MTASTS_PATTERNS);
    buffer_put_string(&b, "mx: more.example\n");
    assert_non_null(mtasts_policy_read(buffer_span(&b), &p));
    buffer_clear(&b);
    buffer_put_string(&b, HEAD "mx: a.example\n");
    while (b.len <= MTASTS_TEXT_MOST)
        buffer_put_string(&b, "other: thing\n");
    assert_non_null(mtasts_policy_read(buffer_span(&b), &p));
    buffer_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_record_announces_one_policy),
        cmocka_unit_test(policies_are_read_whole_or_not_at_all),
        cmocka_unit_test(hosts_are_matched_label_by_label),
        cmocka_unit_test(what_is_kept_reads_as_the_same),
        cmocka_unit_test(a_policy_has_a_hundred_hosts_at_most),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
