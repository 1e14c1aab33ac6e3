/*
 * test_content - the bytes between 354 and the final dot, cut everywhere.
 *
 * Each row is fed whole, cut in two at every position, and byte by byte; what
 * comes out must be the same each time. A plain second reader, written from
 * the RFC and not from our table, is held against it on random input.
 */
#include "relay/inbound/content.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct content_options ordinary = {
    .size_most = 1000000,
    .line_most = 2000,
    .header_most = 4000,
    .hops_most = 3,
};

struct outcome {
    struct buffer out;
    struct content content;
    size_t taken;
    bool ended;
};

static size_t feed_some(struct outcome *o, struct span in)
{
    if (o->ended)
        return 0;
    return content_feed(&o->content, in, &o->out, &o->ended);
}

/* Cut at two places. */
static void read_cut(struct outcome *o, const struct content_options *options,
                     struct span in, size_t first, size_t second)
{
    *o = (struct outcome){ 0 };
    content_init(&o->content, options);
    o->taken += feed_some(o, span_first(in, first));
    if (o->taken == first)
        o->taken += feed_some(o, span_first(span_skip(in, first),
                                            second - first));
    if (o->taken == second)
        o->taken += feed_some(o, span_skip(in, second));
}

static void read_bytewise(struct outcome *o,
                          const struct content_options *options,
                          struct span in)
{
    *o = (struct outcome){ 0 };
    content_init(&o->content, options);
    for (size_t i = 0; i < in.len && !o->ended; i++)
        o->taken += feed_some(o, span_make(in.at + i, 1));
}

static void same(const struct outcome *a, const struct outcome *b)
{
    assert_int_equal(a->taken, b->taken);
    assert_int_equal(a->ended, b->ended);
    assert_int_equal(a->content.is_bare, b->content.is_bare);
    assert_int_equal(a->content.has_8bit, b->content.has_8bit);
    assert_int_equal(a->content.fault, b->content.fault);
    assert_int_equal(a->content.size, b->content.size);
    assert_int_equal(a->content.line, b->content.line);
    if (content_is_refused(&a->content))
        return;
    assert_int_equal(a->content.header.hops, b->content.header.hops);
    assert_true(span_is(header_scan_id(&a->content.header),
                        header_scan_id(&b->content.header)));
    if (a->ended)
        assert_int_equal(a->content.header.bytes, b->content.header.bytes);
    assert_true(span_is(buffer_span(&a->out), buffer_span(&b->out)));
}

/* Leaves the outcome of the whole, and has seen it with every cut. */
static void read_all_ways(struct outcome *whole,
                          const struct content_options *options,
                          struct span in)
{
    struct outcome other;

    read_cut(whole, options, in, in.len, in.len);
    read_bytewise(&other, options, in);
    same(whole, &other);
    buffer_fini(&other.out);
    for (size_t i = 0; i <= in.len; i++) {
        for (size_t j = i; j <= in.len && j <= i + 3; j++) {
            read_cut(&other, options, in, i, j);
            same(whole, &other);
            buffer_fini(&other.out);
        }
    }
}

enum end { RUNS, ENDS, ENDS_BARE };

struct row {
    struct span in;
    enum end strict;
    struct span out;              /* strict, when not bare */
    struct span normalized;       /* at == NULL: as strict */
    size_t left;                  /* bytes behind the end */
};

/* clang-format off */
static const struct row rows[] = {
    /* plain */
    { SPAN_INIT(".\r\n"), ENDS, SPAN_INIT(""), { 0 }, 0 },
    { SPAN_INIT("\r\n.\r\n"), ENDS, SPAN_INIT("\r\n"), { 0 }, 0 },
    { SPAN_INIT("X\r\n.\r\n"), ENDS, SPAN_INIT("X\r\n"), { 0 }, 0 },
    { SPAN_INIT("X\r\n.\r\nQUIT\r\n"), ENDS, SPAN_INIT("X\r\n"), { 0 }, 6 },
    { SPAN_INIT("X\r\n.\r\n.\r\n"), ENDS, SPAN_INIT("X\r\n"), { 0 }, 3 },
    { SPAN_INIT("a.b\r\n.c\r\n"), RUNS, SPAN_INIT("a.b\r\nc\r\n"), { 0 }, 0 },
    /* A16: dots at the beginning of lines */
    { SPAN_INIT("..a\r\n.b\r\n....\r\n...\r\n.\r\n"), ENDS,
      SPAN_INIT(".a\r\nb\r\n...\r\n..\r\n"), { 0 }, 0 },
    { SPAN_INIT("..\r\n.\r\n"), ENDS, SPAN_INIT(".\r\n"), { 0 }, 0 },
    /* A01 to A08, A13: what must not end it */
    { SPAN_INIT("X\n.\nY\r\n.\r\n"), ENDS_BARE, { 0 },
      SPAN_INIT("X\r\n.\r\nY\r\n"), 0 },
    { SPAN_INIT("X\n.\r\nY\r\n.\r\n"), ENDS_BARE, { 0 },
      SPAN_INIT("X\r\n.\r\nY\r\n"), 0 },
    { SPAN_INIT("X\r\n.\nY\r\n.\r\n"), ENDS_BARE, { 0 },
      SPAN_INIT("X\r\n.\r\nY\r\n"), 0 },
    { SPAN_INIT("X\r.\r\nY\r\n.\r\n"), ENDS_BARE, { 0 },
      SPAN_INIT("X\r\n.\r\nY\r\n"), 0 },
    { SPAN_INIT("X\r.\rY\r\n.\r\n"), ENDS_BARE, { 0 },
      SPAN_INIT("X\r\n.\r\nY\r\n"), 0 },
    { SPAN_INIT("X\r.\nY\r\n.\r\n"), ENDS_BARE, { 0 },
      SPAN_INIT("X\r\n.\r\nY\r\n"), 0 },
    { SPAN_INIT("X\n.\rY\r\n.\r\n"), ENDS_BARE, { 0 },
      SPAN_INIT("X\r\n.\r\nY\r\n"), 0 },
    { SPAN_INIT("X\r\n.\rY\r\n.\r\n"), ENDS_BARE, { 0 },
      SPAN_INIT("X\r\n.\r\nY\r\n"), 0 },
    { SPAN_INIT("X\r\n.\r.\r\n.\r\n"), ENDS_BARE, { 0 },
      SPAN_INIT("X\r\n.\r\n.\r\n"), 0 },
    { SPAN_INIT("X\r\n.\r\r\n.\r\n"), ENDS_BARE, { 0 },
      SPAN_INIT("X\r\n.\r\n\r\n"), 0 },
    { SPAN_INIT("\n\n.\r\n\r\n.\r\n"), ENDS_BARE, { 0 },
      SPAN_INIT("\r\n\r\n.\r\n\r\n"), 0 },
    /* A10: a NUL in between */
    { SPAN_INIT("X\r\n\0.\r\n.\r\n"), ENDS, SPAN_INIT("X\r\n\0.\r\n"), { 0 }, 0 },
    /* A15: at the very beginning */
    { SPAN_INIT(".\n"), RUNS, { 0 }, SPAN_INIT(".\r\n"), 0 },
    { SPAN_INIT(".\rX"), RUNS, { 0 }, SPAN_INIT(".\r\nX"), 0 },
    { SPAN_INIT("\n.\n"), RUNS, { 0 }, SPAN_INIT("\r\n.\r\n"), 0 },
    { SPAN_INIT("\r.\r\n"), RUNS, { 0 }, SPAN_INIT("\r\n.\r\n"), 0 },
    /* A22, A23: stray ends within a header */
    { SPAN_INIT("Subject: a\rBcc: v@x\r\n.\r\n"), ENDS_BARE, { 0 },
      SPAN_INIT("Subject: a\r\nBcc: v@x\r\n"), 0 },
    { SPAN_INIT("Subject: a\nBcc: v@x\r\n.\r\n"), ENDS_BARE, { 0 },
      SPAN_INIT("Subject: a\r\nBcc: v@x\r\n"), 0 },
    { SPAN_INIT("a\r\r\n\r\n.\r\n"), ENDS_BARE, { 0 },
      SPAN_INIT("a\r\n\r\n\r\n"), 0 },
    { SPAN_INIT("a\n..b\n.c\n.\r\n\r\n.\r\n"), ENDS_BARE, { 0 },
      SPAN_INIT("a\r\n.b\r\nc\r\n.\r\n\r\n"), 0 },
    /* A25: NULs and high bytes pass */
    { SPAN_INIT("a\0b\r\n.\r\n"), ENDS, SPAN_INIT("a\0b\r\n"), { 0 }, 0 },
    { SPAN_INIT("\xc3\xbc\xff\r\n.\r\n"), ENDS, SPAN_INIT("\xc3\xbc\xff\r\n"),
      { 0 }, 0 },
    /* around the block that is looked at in one go */
    { SPAN_INIT("123456789012345678901234567890123456789012345678901234567890"
                "12\r\n.\r\n"), ENDS,
      SPAN_INIT("123456789012345678901234567890123456789012345678901234567890"
                "12\r\n"), { 0 }, 0 },
    { SPAN_INIT("123456789012345678901234567890123456789012345678901234567890"
                "123\r\n..67\r\n123456789012345678901234567890123456789012345"
                "6789012345678901234567890\r\n.\r\n"), ENDS,
      SPAN_INIT("123456789012345678901234567890123456789012345678901234567890"
                "123\r\n.67\r\n123456789012345678901234567890123456789012345"
                "6789012345678901234567890\r\n"), { 0 }, 0 },
};
/* clang-format on */

static void only_a_true_end_ends_it_wherever_input_is_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct row *r = &rows[i];
        struct outcome o;

        read_all_ways(&o, &ordinary, r->in);
        assert_int_equal(o.ended, r->strict != RUNS);
        assert_int_equal(o.taken, r->in.len - r->left);
        assert_int_equal(o.content.is_bare,
                         r->strict == ENDS_BARE || r->out.at == NULL);
        if (!o.content.is_bare)
            assert_true(span_is(buffer_span(&o.out), r->out));
        buffer_fini(&o.out);
    }
}

static void normalized_content_has_only_whole_line_ends(void **state)
{
    struct content_options options = ordinary;

    (void)state;
    options.normalize = true;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct row *r = &rows[i];
        struct outcome o;

        read_all_ways(&o, &options, r->in);
        assert_int_equal(o.ended, r->strict != RUNS);
        assert_int_equal(o.content.fault, CONTENT_FINE);
        assert_true(span_is(buffer_span(&o.out),
                            r->normalized.at ? r->normalized : r->out));
        buffer_fini(&o.out);
    }
}

/* ------------------------------------------------------ a second reader ---- */

/* Where the end is by the letter of RFC 5321, or SIZE_MAX. */
static size_t true_end(struct span in)
{
    if (in.len >= 3 && memcmp(in.at, ".\r\n", 3) == 0)
        return 3;
    for (size_t i = 0; i + 5 <= in.len; i++)
        if (memcmp(in.at + i, "\r\n.\r\n", 5) == 0)
            return i + 5;
    return SIZE_MAX;
}

static bool has_bare(struct span in)
{
    for (size_t i = 0; i < in.len; i++) {
        if (in.at[i] == '\n' && (i == 0 || in.at[i - 1] != '\r'))
            return true;
        if (in.at[i] == '\r' && i + 1 < in.len && in.at[i + 1] != '\n')
            return true;
    }
    return false;
}

static void unstuff(struct buffer *out, struct span in)
{
    for (size_t i = 0; i < in.len; i++)
        if (in.at[i] != '.' || (i > 0 && in.at[i - 1] != '\n'))
            buffer_put_byte(out, in.at[i]);
}

static void random_input_is_read_as_a_plain_reader_does(void **state)
{
    static const char bytes[] = { '\r', '\n', '.', '\r', '\n', 'a',
                                  ':',  ' ',  'b', '\0', '\xff' };
    unsigned seed = 1;

    (void)state;
    for (int round = 0; round < 60000; round++) {
        char raw[200];
        size_t len = (size_t)(rand_r(&seed) % 200);
        size_t end, first, second;
        struct buffer expected = { 0 };
        struct outcome o;
        struct span in, body;

        for (size_t i = 0; i < len; i++) {
            /* Long quiet stretches between, so that both gears are used. */
            bool quiet = round % 3 && rand_r(&seed) % 8;

            raw[i] = quiet ? 'x' : bytes[rand_r(&seed) % sizeof bytes];
            if (raw[i] == '\n' && round % 2 && i)
                raw[i - 1] = '\r';
        }
        in = span_make(raw, len);
        end = true_end(in);
        first = len ? (size_t)rand_r(&seed) % len : 0;
        second = first + (size_t)rand_r(&seed) % (len - first + 1);
        read_cut(&o, &ordinary, in, first, second);
        assert_int_equal(o.ended, end != SIZE_MAX);
        assert_int_equal(o.taken, o.ended ? end : len);
        body = span_first(in, o.ended ? end - 3 : 0);
        if (o.ended) {
            assert_int_equal(o.content.is_bare, has_bare(body));
            unstuff(&expected, body);
            if (!content_is_refused(&o.content))
                assert_true(
                    span_is(buffer_span(&o.out), buffer_span(&expected)));
        }
        buffer_fini(&o.out);
        buffer_fini(&expected);
    }
}

static void nothing_bare_ever_leaves_a_normalizing_reader(void **state)
{
    static const char bytes[] = "\r\n.\r\n.ab";
    struct content_options options = ordinary;
    unsigned seed = 2;

    (void)state;
    options.normalize = true;
    for (int round = 0; round < 20000; round++) {
        char raw[60];
        struct outcome o;
        size_t len;

        for (size_t i = 0; i < sizeof raw; i++)
            raw[i] = bytes[rand_r(&seed) % (sizeof bytes - 1)];
        read_cut(&o, &options, span_make(raw, sizeof raw), 20, 40);
        len = o.out.len;
        assert_int_equal(o.ended,
                         true_end(span_make(raw, sizeof raw)) != SIZE_MAX);
        assert_false(has_bare(buffer_span(&o.out)));
        assert_true(len == 0 || o.out.at[len - 1] != '\r');
        buffer_fini(&o.out);
    }
}

/* --------------------------------------------------------------- limits ---- */

static struct buffer repeated(const char *front, char c, size_t n,
                              const char *back)
{
    struct buffer b = { 0 };

    buffer_put_string(&b, front);
    for (size_t i = 0; i < n; i++)
        buffer_put_byte(&b, c);
    buffer_put_string(&b, back);
    return b;
}

static void expect_fault(const struct content_options *options,
                         struct buffer *take_in, enum content_fault fault)
{
    struct outcome o;
    struct span in = buffer_span(take_in);

    for (size_t cut = 0; cut < in.len; cut += 1 + in.len / 50) {
        read_cut(&o, options, in, cut, in.len - (in.len - cut) / 2);
        assert_true(o.ended);
        assert_int_equal(o.taken, in.len);
        assert_int_equal(o.content.fault, fault);
        buffer_fini(&o.out);
    }
    buffer_fini(take_in);
}

static void size_counts_line_ends_but_no_stuffed_dots(void **state)
{
    struct content_options options = ordinary;
    struct buffer in;

    (void)state;
    options.size_most = 100;
    in = repeated("\r\n", 'x', 96, "\r\n.\r\n");
    expect_fault(&options, &in, CONTENT_FINE);
    in = repeated("\r\n.", 'x', 96, "\r\n.\r\n");
    expect_fault(&options, &in, CONTENT_FINE);
    in = repeated("\r\n", 'x', 97, "\r\n.\r\n");
    expect_fault(&options, &in, CONTENT_TOO_LARGE);
}

static void a_line_is_held_against_its_limit_without_its_end(void **state)
{
    struct buffer in;

    (void)state;
    in = repeated("a: b\r\n\r\n", 'x', 2000, "\r\n.\r\n");
    expect_fault(&ordinary, &in, CONTENT_FINE);
    in = repeated("a: b\r\n\r\n", 'x', 2001, "\r\n.\r\n");
    expect_fault(&ordinary, &in, CONTENT_LINE_TOO_LONG);
    in = repeated("a: b\r\n\r\nshort\r\n", 'x', 1999, "\r\nx\r\n.\r\n");
    expect_fault(&ordinary, &in, CONTENT_FINE);
}

static void a_header_is_held_against_its_limit(void **state)
{
    struct content_options options = ordinary;
    struct buffer in;

    (void)state;
    options.header_most = 100;
    in = repeated("a: ", 'x', 93, "\r\n\r\n.\r\n");
    expect_fault(&options, &in, CONTENT_FINE);
    in = repeated("a: ", 'x', 94, "\r\n\r\n.\r\n");
    expect_fault(&options, &in, CONTENT_HEADER_TOO_LARGE);
    in = repeated("a: b\r\n\r\n", 'x', 1000, "\r\n.\r\n");
    expect_fault(&options, &in, CONTENT_FINE);
    /* no header at all: that is a body */
    in = repeated("not a header\r\n", 'x', 1000, "\r\n.\r\n");
    expect_fault(&options, &in, CONTENT_FINE);
    in = repeated(" first line begins with a space\r\n", 'x', 1000,
                  "\r\n.\r\n");
    expect_fault(&options, &in, CONTENT_FINE);
}

static void hops_are_counted_in_the_header_alone(void **state)
{
    static const struct {
        struct span in;
        enum content_fault fault;
        uint32_t hops;
    } loops[] = {
        { SPAN_INIT("Received: a\r\nRECEIVED : b\r\n c\r\nreceived:\r\n\r\n"
                    ".\r\n"),
          CONTENT_FINE, 3 },
        { SPAN_INIT("Received: a\r\nReceived: b\r\nReceived: c\r\n"
                    "Received: d\r\n.\r\n"),
          CONTENT_LOOPS, 4 },
        { SPAN_INIT("Received: a\r\n\r\nReceived: b\r\nReceived: c\r\n"
                    "Received: d\r\n.\r\n"),
          CONTENT_FINE, 1 },
        { SPAN_INIT("X-Received: a\r\nReceivedx: b\r\nA: b\r\n Received: c\r\n"
                    "\r\n.\r\n"),
          CONTENT_FINE, 0 },
        { SPAN_INIT("no header\r\nReceived: b\r\n\r\n.\r\n"), CONTENT_FINE,
          0 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(loops); i++) {
        struct outcome o;

        read_all_ways(&o, &ordinary, loops[i].in);
        assert_int_equal(o.content.fault, loops[i].fault);
        assert_int_equal(o.content.header.hops, loops[i].hops);
        buffer_fini(&o.out);
    }
}

static void the_message_id_is_found_folded_or_not(void **state)
{
    static const struct {
        struct span in;
        struct span id;
        uint64_t header_bytes;
    } ids[] = {
        { SPAN_INIT("Message-ID: <a@b>\r\n\r\nbody\r\n.\r\n"),
          SPAN_INIT("<a@b>"), 21 },
        { SPAN_INIT("A: b\r\nmessage-id:\r\n\t<c@d> \r\n\r\n.\r\n"),
          SPAN_INIT("<c@d>"), 30 },
        { SPAN_INIT("Message-Id: <1>\r\nMessage-Id: <2>\r\n.\r\n"),
          SPAN_INIT("<1>"), 34 },
        { SPAN_INIT("A: b\r\n\r\nMessage-ID: <x>\r\n.\r\n"), SPAN_INIT(""),
          8 },
        { SPAN_INIT(".\r\n"), SPAN_INIT(""), 0 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(ids); i++) {
        struct outcome o;

        read_all_ways(&o, &ordinary, ids[i].in);
        assert_true(span_is(header_scan_id(&o.content.header), ids[i].id));
        assert_int_equal(o.content.header.bytes, ids[i].header_bytes);
        buffer_fini(&o.out);
    }
}

static void eight_bit_is_seen_wherever_it_stands(void **state)
{
    (void)state;
    for (size_t i = 0; i < 200; i++) {
        struct buffer in = repeated("a: b\r\n\r\n", 'x', 200, "\r\n.\r\n");
        struct outcome o;

        read_cut(&o, &ordinary, buffer_span(&in), i, in.len);
        assert_false(o.content.has_8bit);
        buffer_fini(&o.out);
        in.at[8 + i] = '\x80';
        read_cut(&o, &ordinary, buffer_span(&in), i, in.len);
        assert_true(o.content.has_8bit);
        buffer_fini(&o.out);
        buffer_fini(&in);
    }
}

static void eight_bit_in_the_header_is_told_from_the_body_s(void **state)
{
    static const struct {
        struct span in;
        bool in_header, at_all;
    } texts[] = {
        { SPAN_INIT("a: b\r\n\r\nx\r\n.\r\n"), false, false },
        { SPAN_INIT("a: b\r\n\r\n\xc3\xa4\r\n.\r\n"), false, true },
        { SPAN_INIT("a: \xc3\xa4\r\n\r\nx\r\n.\r\n"), true, true },
        { SPAN_INIT("a: b\r\n \xc3\xa4\r\nc: d\r\n\r\nx\r\n.\r\n"), true, true },
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        for (size_t cut = 0; cut < texts[i].in.len; cut++) {
            struct outcome o;

            read_cut(&o, &ordinary, texts[i].in, cut, texts[i].in.len);
            assert_int_equal(o.content.header.has_8bit, texts[i].in_header);
            assert_int_equal(o.content.has_8bit, texts[i].at_all);
            buffer_fini(&o.out);
        }
}

static void refused_content_takes_no_memory(void **state)
{
    struct content_options options = ordinary;
    struct buffer in = repeated("", 'x', 5000, "");
    struct outcome o;

    (void)state;
    options.line_most = UINT32_MAX;
    options.size_most = 4000;
    read_cut(&o, &options, buffer_span(&in), 5000, 5000);
    buffer_fini(&o.out);
    for (int i = 0; i < 100; i++)
        assert_int_equal(feed_some(&o, buffer_span(&in)), in.len);
    assert_null(o.out.at);
    assert_int_equal(feed_some(&o, SPAN("\r\n.\r\n")), 5);
    assert_true(o.ended);
    assert_int_equal(o.content.fault, CONTENT_TOO_LARGE);
    buffer_fini(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_true_end_ends_it_wherever_input_is_cut),
        cmocka_unit_test(normalized_content_has_only_whole_line_ends),
        cmocka_unit_test(random_input_is_read_as_a_plain_reader_does),
        cmocka_unit_test(nothing_bare_ever_leaves_a_normalizing_reader),
        cmocka_unit_test(size_counts_line_ends_but_no_stuffed_dots),
        cmocka_unit_test(a_line_is_held_against_its_limit_without_its_end),
        cmocka_unit_test(a_header_is_held_against_its_limit),
        cmocka_unit_test(hops_are_counted_in_the_header_alone),
        cmocka_unit_test(the_message_id_is_found_folded_or_not),
        cmocka_unit_test(eight_bit_is_seen_wherever_it_stands),
        cmocka_unit_test(eight_bit_in_the_header_is_told_from_the_body_s),
        cmocka_unit_test(refused_content_takes_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
