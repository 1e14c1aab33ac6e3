/*
 * test_convert - content for hops that take seven bits, and short lines.
 */
#include "relay/outbound/convert.h"

#include "policy/vocabulary/limits.h"
#include "policy/vocabulary/utf8.h"
#include "relay/outbound/folding.h"
#include "relay/outbound/transfer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SIZE_OF(array) (sizeof(array) / sizeof((array)[0]))

/* clang-format off */
#define TEXT8 "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
#define TEXTQ "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n"
#define MIXED "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b 1\"\r\n"
#define SIGNED "MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=s\r\n"

static const struct convert_case {
    const char *name;
    struct convert_options options;
    enum convert_said said;
    struct span in, out;
} cases[] = {
#define TO7 { .to_7bit = true }
#define ROW(name, in, out) { name, TO7, CONVERT_FINE, SPAN_INIT(in), SPAN_INIT(out) }
#define SAME(name, in) ROW(name, in, in)
#define NOT(name, said, in) { name, TO7, said, SPAN_INIT(in), { NULL, 0 } }
    ROW("text becomes quoted-printable",
        "A: b\r\nMIME-Version: 1.0\r\n" TEXT8 "C: d\r\n\r\n\xc3\xa4 =\r\nx \r\n",
        "A: b\r\nMIME-Version: 1.0\r\n" TEXTQ "C: d\r\n\r\n=C3=A4 =3D\r\nx=20\r\n"),
    ROW("8-bit text of which nothing is said is told to be some",
        "A: b\r\n\r\n.\xe4\r\nFrom x\r\n--\r\n",
        "A: b\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n=2E=E4\r\nFrom=20x\r\n-=2D\r\n"),
    ROW("a part that lies is found out",
        "MIME-Version: 1.0\r\nContent-Transfer-Encoding: 7bit\r\nContent-Type: text/html\r\n\r\nx\r\n\xe4\r\n",
        "MIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Type: text/html\r\n\r\nx\r\n=E4\r\n"),
    SAME("seven bits pass", "A: b\r\n\r\n.x=\r\nFrom y \r\n"),
    SAME("a header alone passes", "A: b\r\nContent-Transfer-Encoding: 8bit\r\n"),
    SAME("nothing stays nothing", ""),
    SAME("no header and no body either", "\r\n"),
    SAME("a body that came too early passes", "A: b\r\nthis is no field\r\nx\r\n"),
    ROW("a body that came too early is parted from its header",
        "A: b\r\nno field\r\n\xe4\r\n",
        "A: b\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\nno field\r\n=E4\r\n"),
    ROW("no line end at the end is made up", "A: b\r\n\r\n\xe4",
        "A: b\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n=E4=\r\n"),
    ROW("other types become base64",
        "MIME-Version: 1.0\r\nContent-Type: image/x\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xff\r\n",
        "MIME-Version: 1.0\r\nContent-Type: image/x\r\nContent-Transfer-Encoding: base64\r\n\r\n/w0K\r\n"),
    ROW("only the parts that need it, and their multipart",
        MIXED "Content-Transfer-Encoding:\r\n (so) 8BIT\r\n\r\npre\xe4\r\n--b 1\r\n" TEXT8
        "\r\n\xc3\xa4\r\n--b 1  \r\n\r\nas it is \r\n--b 1\r\nContent-Type: a/b\r\n\r\n\xe4\r\n\r\n--b 1--\r\nepi\xe4\r\n",
        MIXED "Content-Transfer-Encoding: 7bit\r\n\r\npre?\r\n--b 1\r\n" TEXTQ
        "\r\n=C3=A4\r\n--b 1  \r\n\r\nas it is \r\n--b 1\r\nContent-Type: a/b\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\n5A0K\r\n--b 1--\r\nepi?\r\n"),
    ROW("an outer delimiter ends an inner multipart, and the end may be missing",
        MIXED "\r\n--b 1\r\nContent-Type: multipart/x; boundary=in\r\n\r\n--in\r\n" TEXT8
        "\r\n\xc3\xa4\r\n--b 1\r\n\r\n--in\r\n\xe4\r\n",
        MIXED "\r\n--b 1\r\nContent-Type: multipart/x; boundary=in\r\n\r\n--in\r\n" TEXTQ
        "\r\n=C3=A4\r\n--b 1\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n-=2Din\r\n=E4\r\n"),
    ROW("a message in a message",
        "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\nMIME-Version: 1.0\r\n\r\n"
        "B: c\r\n\r\n\xe4\r\n",
        "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\nMIME-Version: 1.0\r\n\r\n"
        "B: c\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n=E4\r\n"),
    ROW("the parts of a digest are messages",
        "MIME-Version: 1.0\r\nContent-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\nB: c\r\n" TEXT8
        "MIME-Version: 1.0\r\n\r\n\xc3\xa4\r\n--d--\r\n",
        "MIME-Version: 1.0\r\nContent-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\nB: c\r\n" TEXTQ
        "MIME-Version: 1.0\r\n\r\n=C3=A4\r\n--d--\r\n"),
    ROW("what is encoded already is mended",
        MIXED "\r\n--b 1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=41\xe4\r\n--b 1\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\nQU\xe4JD\r\n--b 1--\r\n",
        MIXED "\r\n--b 1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=41=E4\r\n--b 1\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\nQUJD\r\n--b 1--\r\n"),
    SAME("what only looks like a delimiter is none",
        MIXED "\r\n--b 1\r\n\r\n--b 1x\r\n --b 1\r\n--b\r\n--b 1-\r\n--b 1--\r\n"),
    ROW("a boundary without quotes",
        "MIME-Version: 1.0\r\nContent-Type: multipart/x; (b) a=\"boundary=z\\\"\"; boundary=_=a;c\r\n\r\n--_=a\r\n" TEXT8
        "\r\n\xc3\xa4\r\n--_=a--\r\n",
        "MIME-Version: 1.0\r\nContent-Type: multipart/x; (b) a=\"boundary=z\\\"\"; boundary=_=a;c\r\n\r\n--_=a\r\n" TEXTQ
        "\r\n=C3=A4\r\n--_=a--\r\n"),
    SAME("signed seven bits pass", SIGNED "\r\n--s\r\nContent-Transfer-Encoding: 8bit\r\n\r\nx\r\n--s--\r\n"),
    NOT("what is signed stays", CONVERT_SIGNED, SIGNED "\r\n--s\r\n\r\n\xe4\r\n--s--\r\n"),
    NOT("signed is also what is below", CONVERT_SIGNED,
        SIGNED "\r\n--s\r\nContent-Type: multipart/x; boundary=t\r\n\r\n--t\r\n\r\n\xe4\r\n--t--\r\n--s--\r\n"),
    ROW("beside a signed part things go on",
        MIXED "\r\n--b 1\r\nContent-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\nx\r\n--s--\r\n--b 1\r\n" TEXT8
        "\r\n\xc3\xa4\r\n--b 1--\r\n",
        MIXED "\r\n--b 1\r\nContent-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\nx\r\n--s--\r\n--b 1\r\n" TEXTQ
        "\r\n=C3=A4\r\n--b 1--\r\n"),
    NOT("encrypted", CONVERT_SIGNED, "Content-Type: application/pkcs7-mime; smime-type=x\r\n\r\n\xe4\r\n"),
    NOT("signed by a domain", CONVERT_SIGNED, "DKIM-Signature: v=1\r\n" TEXT8 "\r\n\xc3\xa4\r\n"),
    { "signed, converted even so", { .to_7bit = true, .even_signed = true }, CONVERT_FINE,
      SPAN_INIT("DKIM-Signature: v=1\r\nMIME-Version: 1.0\r\n" TEXT8 "\r\n\xc3\xa4\r\n"),
      SPAN_INIT("DKIM-Signature: v=1\r\nMIME-Version: 1.0\r\n" TEXTQ "\r\n=C3=A4\r\n") },
    NOT("a header field with 8 bits", CONVERT_HEADER, "Subject: \xc3\xa4\r\n\r\nx\r\n"),
    NOT("one of a part", CONVERT_HEADER, MIXED "\r\n--b 1\r\nSubject: \xc3\xa4\r\n\r\nx\r\n--b 1--\r\n"),
    NOT("a multipart without boundary", CONVERT_TOO_DEEP, "Content-Type: multipart/x\r\n\r\n\xe4\r\n"),
    { "text with bare line ends becomes base64", { .to_7bit = true, .is_binary = true },
      CONVERT_FINE,
      SPAN_INIT("MIME-Version: 1.0\r\nContent-Type: text/x\r\nContent-Transfer-Encoding: binary\r\n\r\na\n"),
      SPAN_INIT("MIME-Version: 1.0\r\nContent-Type: text/x\r\nContent-Transfer-Encoding: base64\r\n\r\nYQo=\r\n") },
    { "binary text without them does not", { .to_7bit = true, .is_binary = true },
      CONVERT_FINE,
      SPAN_INIT("MIME-Version: 1.0\r\nContent-Type: text/x\r\nContent-Transfer-Encoding: binary\r\n\r\na\r\n"),
      SPAN_INIT("MIME-Version: 1.0\r\nContent-Type: text/x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\na\r\n") },
    { "a delimiter with a bare CR is none", { .to_7bit = true, .is_binary = true }, CONVERT_FINE,
      SPAN_INIT(MIXED "\r\n--b 1\r\n\r\n--b 1\r.\r\n--b 1--\r\n"),
      SPAN_INIT(MIXED "\r\n--b 1\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\nLS1iIDENLg==\r\n--b 1--\r\n") },
    { "bare line ends in a header", { .to_7bit = true, .is_binary = true }, CONVERT_HEADER,
      SPAN_INIT("A: b\nC: d\r\n\r\nx"), { NULL, 0 } },
    { "only folded", { .fold = 76 }, CONVERT_FINE,
      SPAN_INIT("A: 0123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789\r\n\r\n"
        "\xc3\xa4" "23456789 123456789 123456789 123456789 123456789 123456789 123456789 1234\xc3\xa4" "789\r\nx"),
      SPAN_INIT("A: 0123456789 123456789 123456789 123456789 123456789 123456789 123456789\r\n 123456789\r\n\r\n"
        "\xc3\xa4" "23456789 123456789 123456789 123456789 123456789 123456789 123456789 1234\r\n \xc3\xa4" "789\r\nx") },
};
/* clang-format on */

static enum convert_said run(const struct convert_options *o, struct span in,
                             size_t cut, struct buffer *out)
{
    struct convert *c = convert_new(o);
    enum convert_said said = convert_feed(c, span_first(in, cut), false, out);

    if (said == CONVERT_FINE)
        said = convert_feed(c, span_skip(in, cut), true, out);
    convert_free(c);
    return said;
}

static void all_of_it_comes_out_as_it_should(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZE_OF(cases); i++) {
        const struct convert_case *c = &cases[i];

        /* Wherever the input is cut. */
        for (size_t cut = 0; cut <= c->in.len; cut++) {
            struct buffer out = { 0 };
            enum convert_said said = run(&c->options, c->in, cut, &out);

            if (said != c->said || (said == CONVERT_FINE &&
                                    !span_is(buffer_span(&out), c->out))) {
                print_error("%s, cut at %zu: said %d\n%s\n", c->name, cut, said,
                            buffer_string(&out));
                fail();
            }
            buffer_fini(&out);
        }
    }
}

static void depth_has_an_end(void **state)
{
    (void)state;
    for (unsigned depth = 99; depth <= 101; depth++) {
        struct buffer in = { 0 }, out = { 0 };

        for (unsigned i = 0; i < depth; i++)
            buffer_printf(&in,
                          "Content-Type: multipart/x; boundary=%u\r\n\r\n"
                          "--%u\r\n",
                          i, i);
        buffer_put_string(&in, "\r\nx\r\n");
        assert_int_equal(run(&cases[0].options, buffer_span(&in), 0, &out),
                         CONVERT_FINE);
        assert_true(span_is(buffer_span(&in), buffer_span(&out)));
        buffer_put_string(&in, "\xe4\r\n");
        assert_int_equal(run(&cases[0].options, buffer_span(&in), 0, &out),
                         depth > 100 ? CONVERT_TOO_DEEP : CONVERT_FINE);
        buffer_fini(&in);
        buffer_fini(&out);
    }
}

static void a_header_section_has_an_end(void **state)
{
    struct buffer in = { 0 }, out = { 0 };

    (void)state;
    while (in.len <= LIMIT_HEADER)
        buffer_put_string(&in, "A: b\r\n");
    assert_int_equal(run(&cases[0].options, buffer_span(&in), 0, &out),
                     CONVERT_TOO_DEEP);
    buffer_fini(&in);
    buffer_fini(&out);
}

/* More than is looked at before the header has to go out. */
static void long_text_that_lies_at_its_end_is_encoded_too(void **state)
{
    struct buffer in = { 0 }, out = { 0 };

    (void)state;
    buffer_put_string(&in, "A: b\r\n\r\n");
    while (in.len <= LIMIT_HEADER + 5000)
        buffer_put_string(&in, "0123456789\r\n");
    buffer_put_string(&in, "\xe4\r\n");
    assert_int_equal(run(&cases[0].options, buffer_span(&in), 7, &out),
                     CONVERT_FINE);
    assert_non_null(strstr(buffer_string(&out), "quoted-printable"));
    assert_non_null(strstr(buffer_string(&out), "\r\n=E4\r\n"));
    assert_false(utf8_has_high(buffer_span(&out)));
    buffer_fini(&in);
    buffer_fini(&out);
}

static void encoded_lines_are_short_and_lose_nothing(void **state)
{
    (void)state;
    /* Every length, so that each kind of character meets each column. */
    for (size_t len = 60; len < 330; len++) {
        struct buffer in = { 0 }, out = { 0 };
        struct span rest;
        size_t letters = 0;

        for (size_t i = 0; i < len; i++)
            buffer_put_byte(&in, ". --x\xe4\t"[(i * i + len) % 7]);
        transfer_whole(TRANSFER_QUOTED, &out, buffer_span(&in));
        rest = buffer_span(&out);
        while (rest.len) {
            struct span line = span_split(rest, '\n', &rest);

            assert_true(line.len >= 2 && line.len <= TRANSFER_LINE + 1);
            assert_true(line.at[0] != '.' && line.at[line.len - 2] != ' ' &&
                        line.at[line.len - 2] != '\t');
            assert_true(memcmp(line.at, "--", 2) != 0);
            for (size_t i = 0; i < line.len; i++)
                letters += line.at[i] == 'x';
        }
        for (size_t i = 0; i < in.len; i++)
            letters -= in.at[i] == 'x';
        assert_int_equal(letters, 0);
        buffer_fini(&in);
        buffer_fini(&out);
    }
}

static void folded_lines_are_short_whatever_they_are_made_of(void **state)
{
    struct folding f;
    struct buffer in = { 0 }, out = { 0 };
    struct span rest;

    (void)state;
    for (size_t i = 0; i < 9000; i++)
        buffer_put_byte(&in, "ab \r\xa4\xe4"[i * i % 997 % 6]);
    buffer_put_string(&in, "\r\n");
    folding_init(&f, 100);
    folding_put(&f, &out, buffer_span(&in));
    folding_end(&f, &out);
    rest = buffer_span(&out);
    while (rest.len) {
        struct span line = span_split(rest, '\n', &rest);

        assert_true(line.len >= 1 && line.len <= 101);
    }
    folding_fini(&f);
    buffer_fini(&in);
    buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_it_comes_out_as_it_should),
        cmocka_unit_test(depth_has_an_end),
        cmocka_unit_test(a_header_section_has_an_end),
        cmocka_unit_test(long_text_that_lies_at_its_end_is_encoded_too),
        cmocka_unit_test(encoded_lines_are_short_and_lose_nothing),
        cmocka_unit_test(folded_lines_are_short_whatever_they_are_made_of),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
