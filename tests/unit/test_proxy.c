/*
 * test_proxy - PROXY headers, well formed and not.
 */
#include "relay/inbound/proxy.h"

#include <stdlib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define V2   "\r\n\r\n\0\r\nQUIT\n"
#define DOTS "................................................................"

/* source: NULL: the header is well formed and names nobody; "bad": refused;
 * "more": not whole. A DONE header leaves "!rest" untouched. */
static const struct {
    struct span header;
    const char *source;
} rows[] = {
    { SPAN_INIT("PROXY TCP4 192.0.2.1 192.0.2.2 1234 25\r\n"), "192.0.2.1" },
    { SPAN_INIT("PROXY TCP4 192.0.2.1 192.0.2.2 0 65535\r\n"), "192.0.2.1" },
    { SPAN_INIT("PROXY TCP6 2001:db8::1 ::1 1 2\r\n"), "2001:db8::1" },
    { SPAN_INIT("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n"), "192.0.2.1" },
    { SPAN_INIT("PROXY UNKNOWN\r\n"), NULL },
    { SPAN_INIT("PROXY UNKNOWN ffff::1 any thing 1\r\n"), NULL },
    { SPAN_INIT("PROXY TCP4 192.0.2.1 192.0.2.2 1234 65536\r\n"), "bad" },
    { SPAN_INIT("PROXY TCP4 192.0.2.1 192.0.2.2 01 25\r\n"), "bad" },
    { SPAN_INIT("PROXY TCP4 192.0.2.1 192.0.2.2 -1 25\r\n"), "bad" },
    { SPAN_INIT("PROXY TCP4 192.0.2.1 192.0.2.2 1234\r\n"), "bad" },
    { SPAN_INIT("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n"), "bad" },
    { SPAN_INIT("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n"), "bad" },
    { SPAN_INIT("PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n"), "bad" },
    { SPAN_INIT("PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n"), "bad" },
    { SPAN_INIT("PROXY TCP4 192.0.2.1 x 1 2\r\n"), "bad" },
    { SPAN_INIT("PROXY TCP4 ::1 ::1 1 2\r\n"), "bad" },
    { SPAN_INIT("PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n"), "bad" },
    { SPAN_INIT("PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n"), "bad" },
    { SPAN_INIT("PROXY TCP4\r\n"), "bad" },
    { SPAN_INIT("PROXY \r\n"), "bad" },
    { SPAN_INIT("PROXY UNKNOWN\n"), "bad" },
    { SPAN_INIT("PROXY UNKNOWN\r"), "more" },
    { SPAN_INIT("proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n"), "bad" },
    { SPAN_INIT("EHLO a\r\n"), "bad" },
    { SPAN_INIT("\x16\x03\x01"), "bad" },
    { SPAN_INIT("PROXY UNKNOWN " DOTS "12345678901234567890123456\r\n"), NULL },
    { SPAN_INIT("PROXY UNKNOWN " DOTS "123456789012345678901234567\r\n"),
      NULL },
    { SPAN_INIT("PROXY UNKNOWN " DOTS "1234567890123456789012345678\r\n"),
      "bad" },
    { SPAN_INIT(V2 "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\x04\xd2"
                   "\x00\x19"),
      "192.0.2.1" },
    { SPAN_INIT(V2 "\x21\x11\x00\x10\xc0\x00\x02\x01\xc0\x00\x02\x02\x04\xd2"
                   "\x00\x19\x04\x00\x01\x00"),
      "192.0.2.1" },
    { SPAN_INIT(V2 "\x21\x21\x00\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
                   "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x04\xd2\x00\x19"),
      "2001:db8::1" },
    { SPAN_INIT(V2 "\x20\x00\x00\x00"), NULL },
    { SPAN_INIT(V2 "\x20\x11\x00\x0c............"), NULL },
    { SPAN_INIT(V2 "\x21\x00\x00\x03..."), NULL },
    { SPAN_INIT(V2 "\x21\x31\x00\x03..."), NULL },
    { SPAN_INIT(V2 "\x21\x11\x00\x0b"), "bad" },
    { SPAN_INIT(V2 "\x21\x21\x00\x23"), "bad" },
    { SPAN_INIT(V2 "\x21\x12\x00\x0c"), "bad" },
    { SPAN_INIT(V2 "\x21\x41\x00\x0c"), "bad" },
    { SPAN_INIT(V2 "\x22\x11\x00\x0c"), "bad" },
    { SPAN_INIT(V2 "\x11\x11\x00\x0c"), "bad" },
    { SPAN_INIT(V2 "\x20\x00\xff\xff"), "bad" },
    { SPAN_INIT("\r\n\r\n\0\r\nQUIT\r"), "bad" },
    { SPAN_INIT(V2 "\x21\x11\x00\x0c..........."), "more" },
    { SPAN_INIT(""), "more" },
};

enum { ROWS = sizeof rows / sizeof rows[0] };

static enum proxy_said feed_all(struct proxy *p, struct span in, size_t piece,
                                size_t *out_used)
{
    enum proxy_said said = PROXY_MORE;

    *out_used = 0;
    while (in.len && said == PROXY_MORE) {
        size_t n;

        said = proxy_feed(p, span_first(in, piece), &n);
        *out_used += n;
        in = span_skip(in, n);
    }
    return said;
}

static void check_row(size_t i, size_t piece)
{
    struct buffer in = { 0 }, got = { 0 };
    struct proxy p = { 0 };
    const char *wanted = rows[i].source;
    bool is_more = wanted && strcmp(wanted, "more") == 0;
    bool is_bad = wanted && strcmp(wanted, "bad") == 0;
    enum proxy_said said;
    size_t used;

    buffer_put(&in, rows[i].header);
    if (!is_more && !is_bad)
        buffer_put(&in, SPAN("!rest\r\n"));
    said = feed_all(&p, buffer_span(&in), piece, &used);
    if (said != (is_more ? PROXY_MORE : is_bad ? PROXY_BAD : PROXY_DONE))
        fail_msg("row %zu in pieces of %zu: %d", i, piece, said);
    if (said == PROXY_DONE) {
        if (p.has_source)
            host_address_print(&got, &p.source);
        assert_int_equal(used, rows[i].header.len);
        assert_string_equal(buffer_string(&got), wanted ? wanted : "");
    }
    buffer_fini(&in);
    buffer_fini(&got);
}

static void headers_are_read_in_pieces_of_any_size(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        check_row(i, 1);
        check_row(i, 7);
        check_row(i, 1000);
    }
}

static void long_headers_are_skipped_without_being_kept(void **state)
{
    char header[PROXY_BINARY_MOST + 1] = V2 "\x20\x00\x0f\xf0";
    struct proxy p = { 0 };
    size_t used;

    (void)state;
    assert_int_equal(proxy_feed(&p, span_make(header, sizeof header), &used),
                     PROXY_DONE);
    assert_int_equal(used, PROXY_BINARY_MOST);
    header[15] = (char)0xf1;
    p = (struct proxy){ 0 };
    assert_int_equal(proxy_feed(&p, span_make(header, sizeof header), &used),
                     PROXY_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_read_in_pieces_of_any_size),
        cmocka_unit_test(long_headers_are_skipped_without_being_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
