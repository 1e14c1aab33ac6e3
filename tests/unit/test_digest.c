/*
 * The digest of a message: fields and attachments as a rule sees them, whatever the pieces
 * it comes in, and whatever a stranger builds.
 */
#include "policy/digest.h"
#include "policy/vocabulary/limits.h"
#include "tests/unit/settings_text.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

static struct settings *settings;

static int begin(void **state)
{
    struct buffer faults = { 0 }, warnings = { 0 };

    (void)state;
    settings = settings_text("rule \"a\" { header = {\"Subject\", \"x-many\"} "
                             "action = hold }\n"
                             "rule \"b\" { attachment = {\"*.exe\"} "
                             "action = hold }\n"
                             "route \"*\" { via = mx }\n",
                             &faults, &warnings);
    buffer_fini(&faults);
    buffer_fini(&warnings);
    return settings ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    settings_release(settings);
    return 0;
}

/* "name type; name type; ", with "+" at the end where there was more */
static void put_all(struct buffer *out, const struct digest *d)
{
    const struct attachment *a;

    for (size_t n = 0; (a = digest_attachment(d, n)); n++)
        buffer_printf(out, "%.*s %.*s; ", SPAN_FMT(a->name), SPAN_FMT(a->type));
    if (digest_has_more(d))
        buffer_put_byte(out, '+');
}

static struct digest *digest_of(struct span content, size_t piece)
{
    struct digest *d = digest_new(settings);

    while (content.len) {
        digest_feed(d, span_first(content, piece));
        content = span_skip(content, piece);
    }
    digest_end(d);
    return d;
}

static void check(const char *content, const char *expected)
{
    static const size_t pieces[] = { 1, 2, 3, 7, 64, 1 << 20 };

    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct digest *d = digest_of(span_of(content), pieces[i]);
        struct buffer said = { 0 };

        put_all(&said, d);
        if (strcmp(buffer_string(&said), expected) != 0)
            fail_msg("in pieces of %zu:\n%s\n%s\nnot\n%s", pieces[i], content,
                     buffer_string(&said), expected);
        buffer_fini(&said);
        digest_free(d);
    }
}

#define MIXED "Content-Type: multipart/mixed; boundary=b\r\n\r\n"

static void a_name_is_found_in_every_form_it_is_shown_in(void **state)
{
#define NAMED(more) "Content-Type: a/b" more "\r\n\r\n"
#define SHOWN(more) "Content-Disposition: attachment" more "\r\n\r\n"
    static const struct {
        const char *content, *expected;
    } rows[] = {
        { NAMED("; name=x.exe"), "x.exe a/b; " },
        { NAMED("; NAME=\"X.EXE\""), "x.exe a/b; " },
        { NAMED("; name=\"a\\\"b.exe\""), "a\"b.exe a/b; " },
        { NAMED(";\r\n name=\"a\r\n b.exe\""), "a b.exe a/b; " },
        { NAMED("; name=my x.exe"), "my x.exe a/b; my a/b; " },
        { NAMED("; name=x.exe (a comment)"),
          "x.exe (a comment) a/b; x.exe a/b; " },
        { NAMED(" (c;d) ; (e) name (f) = (g) x.exe"), "x.exe a/b; " },
        { NAMED("; name=\"x.exe"), "x.exe a/b; " },
        { NAMED("; name=\"x.exe. \""), "x.exe a/b; " },
        { NAMED("; name=\"=?utf-8?B?eC5leGU=?=\""), "x.exe a/b; " },
        { NAMED("; name==?utf-8?q?x=2Eexe?="), "x.exe a/b; " },
        { NAMED("; name=\"=?utf-8?Q?x?= =?iso-8859-1*de?b?LmV4ZQ?=\""),
          "x.exe a/b; " },
        { NAMED("; name=\"=?iso-8859-1?Q?=FC_.exe?=\""),
          "\xc3\xbc .exe a/b; " },
        /* UTF-16: the ASCII in it is what counts */
        { NAMED("; name=\"=?utf-16le?B?eAAuAGUAeABlAA==?=\""), "x.exe a/b; " },
        { NAMED("; name=\"=?x?y?z?= =?utf-8?Q?a\""),
          "=?x?y?z?= =?utf-8?q?a a/b; " },
        { SHOWN("; filename=x.exe"), "x.exe ; " },
        { SHOWN("; filename*=utf-8''x%2Eexe"), "x.exe ; " },
        { SHOWN("; filename*=iso-8859-1'de'%fc.exe"), "\xc3\xbc.exe ; " },
        { SHOWN("; filename*=x%2eexe"), "x.exe ; " },
        { SHOWN("; filename*0=x.; filename*1=exe"), "x.exe ; " },
        { SHOWN("; filename*1=exe; filename*0=\"x.\""), "x.exe ; " },
        { SHOWN("; filename*0*=utf-8''x%2e; filename*1*=e%78; filename*2=e"),
          "x.exe ; " },
        { SHOWN("; filename*0=a; filename*x=b; filename*=c"), "c ; a ; " },
        { SHOWN("; filename=good.txt; filename=bad.exe"),
          "good.txt ; bad.exe ; " },
        { "Content-Type: a/b; name=bad.exe\r\n"
          "Content-Disposition: inline; filename=good.txt\r\n\r\n",
          "bad.exe a/b; good.txt a/b; " },
        { "Content-Type: a/b; name=x\r\nContent-Type: c/d; name=y\r\n\r\n",
          "x a/b; y a/b; " },
        /* no attachments, and some without a name */
        { "Content-Type: text/plain\r\n\r\n", "" },
        { "Subject: a\r\n\r\n", "" },
        { "Content-Type: text/html; charset=x\r\n\r\n", "" },
        { "Content-Type: text/calendar\r\n\r\n", " text/calendar; " },
        { "Content-Type: APPLICATION / Zip\r\n\r\n", " application/zip; " },
        { "Content-Type: zip\r\n\r\n", "" },
        { "Content-Type: zip/\r\n\r\n", "" },
        { SHOWN(""), " ; " },
        { "Content-Disposition: inline\r\n\r\n", "" },
        { "content-type : a/b\r\n\r\n", " a/b; " },
        { "From somebody\r\nContent-Type: a/b\r\n\r\n", " a/b; " },
        { "Content-Type: a/b", " a/b; " },
        { "Content-Type: a/b\r\nno field at all\r\n\r\n", " a/b; " },
        { "", "" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check(rows[i].content, rows[i].expected);
}

static void parts_are_found_wherever_they_are(void **state)
{
    static const struct {
        const char *content, *expected;
    } rows[] = {
        { MIXED "preamble\r\n--b\r\n\r\ntext\r\n--b\r\n"
                "Content-Type: a/b; name=x.exe\r\n\r\nMZ\r\n--b--\r\n",
          "x.exe a/b; " },
        /* a part's header may end with the part */
        { MIXED "--b\r\nContent-Type: a/b\r\n--b\r\nContent-Type: c/d\r\n--b--",
          " a/b;  c/d; " },
        { MIXED "--b \t\r\nContent-Type: a/b\r\n\r\n", " a/b; " },
        { MIXED "--bb\r\nContent-Type: a/b\r\n\r\n--\r\n-b\r\nb\r\n", "" },
        /* behind the end some readers go on */
        { MIXED "--b--\r\n--b\r\nContent-Type: a/b\r\n\r\n", " a/b; " },
        { "Content-Type: multipart/mixed; boundary=\"a\"\r\n\r\n--a\r\n"
          "Content-Type: multipart/x; boundary=\"a--\"\r\n\r\n--a--\r\n"
          "Content-Type: i/j\r\n\r\n--a\r\nContent-Type: k/l\r\n\r\n",
          " i/j;  k/l; " },
        /* an outer delimiter ends all within */
        { MIXED "--b\r\nContent-Type: multipart/x; boundary=c\r\n\r\n--c\r\n"
                "Content-Type: a/b\r\n\r\n--b\r\n\r\n--c\r\n"
                "Content-Type: never/it\r\n\r\n",
          " a/b; " },
        { "Content-Type: multipart/mixed\r\n\r\n--b\r\nContent-Type: a/b\r\n",
          "" },
        { "Content-Type: multipart/mixed; name=m; boundary=\r\n\r\n",
          "m multipart/mixed; " },
        /* messages in messages */
        { "Content-Type: message/rfc822\r\n\r\n"
          "Content-Type: message/global; name=m\r\n\r\n"
          "Content-Type: a/b; name=x.exe\r\n\r\n",
          " message/rfc822; m message/global; x.exe a/b; " },
        { "Content-Type: message/rfc822\r\n"
          "Content-Transfer-Encoding: base64\r\n\r\n"
          "Content-Type: a/b; name=x.exe\r\n\r\n",
          " message/rfc822; " },
        { "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n"
          "Content-Type: a/b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n"
          "Content-Type: c/d\r\n\r\n",
          " message/rfc822;  a/b; " },
        /* the same twice is said once */
        { MIXED "--b\r\nContent-Type: a/b\r\n\r\n--b\r\nContent-Type: A/B\r\n"
                "\r\n--b--\r\n",
          " a/b; " },
        /* bare LF ends a line too where it was let through */
        { "Content-Type: multipart/mixed; boundary=b\n\n--b\n"
          "Content-Type: a/b\n\n",
          " a/b; " },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check(rows[i].content, rows[i].expected);
}

static void a_boundary_that_is_too_long_is_told(void **state)
{
    struct buffer text = { 0 };

    (void)state;
    buffer_put_string(&text, "Content-Type: multipart/x; boundary=");
    for (int i = 0; i < 300; i++)
        buffer_put_byte(&text, 'b');
    buffer_put_string(&text, "\r\n\r\n");
    check(buffer_string(&text), "+");
    buffer_fini(&text);
}

static void a_delimiter_is_a_whole_line_however_long(void **state)
{
    struct buffer text = { 0 };

    (void)state;
    buffer_put_string(&text, MIXED "--b");
    for (int i = 0; i < 5000; i++)
        buffer_put_byte(&text, ' ');
    buffer_put_string(&text, "\r\nContent-Type: a/b\r\n\r\n--b");
    for (int i = 0; i < 5000; i++)
        buffer_put_byte(&text, ' ');
    buffer_put_string(&text, "x\r\nContent-Type: c/d\r\n\r\n");
    check(buffer_string(&text), " a/b; ");
    buffer_fini(&text);
}

static void fields_are_unfolded_and_decoded(void **state)
{
    static const char text[] = "Subject:  one\r\n\ttwo  \r\n"
                               "X-Other: no\r\n"
                               "SUBJECT: =?utf-8?B?dGhyZWU=?= four\r\n"
                               "X-Many:\r\n\r\nSubject: body\r\n";

    (void)state;
    for (size_t piece = 1; piece < 50; piece++) {
        struct digest *d = digest_of(span_of(text), piece);
        struct span s = digest_field(d, SPAN("subject"), 0);

        assert_true(span_is(s, SPAN("one\ttwo")));
        s = digest_field(d, SPAN("Subject"), 1);
        assert_true(span_is(s, SPAN("three four")));
        assert_null(digest_field(d, SPAN("Subject"), 2).at);
        s = digest_field(d, SPAN("X-Many"), 0);
        assert_non_null(s.at);
        assert_int_equal(s.len, 0);
        assert_null(digest_field(d, SPAN("X-Other"), 0).at);
        assert_false(digest_is_cut(d));
        digest_free(d);
    }
}

static void too_much_of_a_field_is_told(void **state)
{
    struct buffer text = { 0 };
    struct digest *d;

    (void)state;
    buffer_put_string(&text, "Subject: ");
    for (int i = 0; i < LIMIT_HEADER; i++)
        buffer_put_byte(&text, 'x');
    buffer_put_string(&text, "yy\r\n\r\n");
    d = digest_of(buffer_span(&text), 1000);
    assert_true(digest_is_cut(d));
    digest_free(d);
    buffer_clear(&text);
    for (int i = 0; i < 5000; i++)
        buffer_put_string(&text, "X-Many:1\r\n");
    buffer_put_string(&text, "\r\n");
    d = digest_of(buffer_span(&text), 1000);
    assert_true(digest_is_cut(d));
    assert_non_null(digest_field(d, SPAN("X-Many"), 4095).at);
    assert_null(digest_field(d, SPAN("X-Many"), 4096).at);
    digest_free(d);
    /* what nobody asks for may be as long as it likes */
    buffer_clear(&text);
    buffer_put_string(&text, "X-Other: ");
    for (int i = 0; i < 100000; i++)
        buffer_put_byte(&text, 'x');
    buffer_put_string(&text, "\r\nSubject: y\r\n\r\n");
    d = digest_of(buffer_span(&text), 1000);
    assert_false(digest_is_cut(d));
    assert_non_null(digest_field(d, SPAN("Subject"), 0).at);
    digest_free(d);
    buffer_fini(&text);
}

static void a_field_with_too_many_parameters_is_told(void **state)
{
    struct buffer text = { 0 };

    (void)state;
    buffer_put_string(&text, "Content-Type: a/b");
    for (int i = 0; i < 120; i++)
        buffer_printf(&text, "; p%d=x", i);
    buffer_put_string(&text, "; name=x.exe\r\n\r\n");
    check(buffer_string(&text), " a/b; +");
    buffer_clear(&text);
    buffer_put_string(&text, "Content-Type: a/b; x=");
    for (int i = 0; i < LIMIT_MIME_FIELD; i++)
        buffer_put_byte(&text, 'x');
    buffer_put_string(&text, "; name=x.exe\r\n\r\n");
    check(buffer_string(&text), " a/b; +");
    buffer_fini(&text);
}

static void a_name_that_is_very_long_keeps_its_end(void **state)
{
    struct buffer text = { 0 };
    struct digest *d;
    const struct attachment *a;

    (void)state;
    buffer_put_string(&text, "Content-Type: a/b; name=");
    for (int i = 0; i < 5000; i++)
        buffer_put_byte(&text, 'x');
    buffer_put_string(&text, ".exe\r\n\r\n");
    d = digest_of(buffer_span(&text), 100);
    a = digest_attachment(d, 0);
    assert_non_null(a);
    assert_int_equal(a->name.len, 1024);
    assert_true(span_ends_nocase(a->name, SPAN(".exe")));
    digest_free(d);
    buffer_fini(&text);
}

static void there_is_an_end_to_what_is_remembered(void **state)
{
    struct buffer text = { 0 };
    struct digest *d;

    (void)state;
    buffer_put_string(&text, MIXED);
    for (int i = 0; i < 1500; i++)
        buffer_printf(&text, "--b\r\nContent-Type: a/b; name=n%d\r\n\r\n", i);
    d = digest_of(buffer_span(&text), 4096);
    assert_true(digest_has_more(d));
    assert_non_null(digest_attachment(d, 999));
    assert_null(digest_attachment(d, 1000));
    digest_free(d);
    buffer_fini(&text);
}

/* Seconds of processor time for so many levels of `level`. */
static double bomb(const char *level, int count)
{
    struct buffer text = { 0 };
    struct digest *d;
    clock_t start;

    for (int i = 0; i < count; i++) {
        buffer_printf(&text, level, i, i);
        buffer_put_string(&text, "\r\n");
    }
    start = clock();
    d = digest_of(buffer_span(&text), 8192);
    assert_true(digest_has_more(d));
    assert_true(digest_attachment(d, 0) == NULL ||
                digest_attachment(d, 1000) == NULL);
    digest_free(d);
    buffer_fini(&text);
    return (double)(clock() - start) / CLOCKS_PER_SEC;
}

static void a_bomb_of_ten_thousand_levels_is_no_work(void **state)
{
    (void)state;
    /* a second is a hundred times what it takes; squared it would be minutes */
    assert_true(bomb("Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d",
                     10000) < 1);
    assert_true(bomb("Content-Type: message/rfc822\r\nX%d: %d\r\n", 10000) < 1);
}

static void many_words_that_are_none_take_no_time(void **state)
{
    struct buffer text = { 0 };
    struct digest *d;

    (void)state;
    buffer_put_string(&text, "Subject: ");
    for (int i = 0; i < 30000; i++)
        buffer_put_string(&text, "=?a?b?c");
    buffer_put_string(&text, "\r\n\r\n");
    d = digest_of(buffer_span(&text), 8192);
    assert_int_equal(digest_field(d, SPAN("Subject"), 0).len, 30000 * 7);
    digest_free(d);
    buffer_fini(&text);
}

static void nobody_asks_nothing_is_kept(void **state)
{
    struct buffer faults = { 0 }, warnings = { 0 };
    struct settings *s = settings_text("rule \"a\" { header = {\"X\"} "
                                       "action = hold }\n",
                                       &faults, &warnings);
    struct settings *none = settings_text("rule \"a\" { size = 5 "
                                          "action = hold }\n",
                                          &faults, &warnings);
    struct digest *d;

    (void)state;
    assert_true(digest_is_wanted(settings));
    assert_true(digest_is_wanted(s));
    assert_false(digest_is_wanted(none));
    d = digest_new(s);
    digest_feed(d, SPAN("Content-Type: a/b; name=x\r\nX: 1\r\n\r\nX: 2\r\n"));
    digest_end(d);
    assert_null(digest_attachment(d, 0));
    assert_non_null(digest_field(d, SPAN("X"), 0).at);
    assert_null(digest_field(d, SPAN("X"), 1).at);
    digest_free(d);
    digest_free(NULL);
    settings_release(s);
    settings_release(none);
    buffer_fini(&faults);
    buffer_fini(&warnings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_found_in_every_form_it_is_shown_in),
        cmocka_unit_test(parts_are_found_wherever_they_are),
        cmocka_unit_test(a_boundary_that_is_too_long_is_told),
        cmocka_unit_test(a_delimiter_is_a_whole_line_however_long),
        cmocka_unit_test(fields_are_unfolded_and_decoded),
        cmocka_unit_test(too_much_of_a_field_is_told),
        cmocka_unit_test(a_field_with_too_many_parameters_is_told),
        cmocka_unit_test(a_name_that_is_very_long_keeps_its_end),
        cmocka_unit_test(there_is_an_end_to_what_is_remembered),
        cmocka_unit_test(a_bomb_of_ten_thousand_levels_is_no_work),
        cmocka_unit_test(many_words_that_are_none_take_no_time),
        cmocka_unit_test(nobody_asks_nothing_is_kept),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
