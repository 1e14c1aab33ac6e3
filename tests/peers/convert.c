/*
 * convert - the converter as a program, for test_convert.py.
 *
 * Content from standard input, the result to standard output; options are letters: a (even
 * signed), b (binary), f (folded at 76, nothing else). Handed over in pieces of as many bytes
 * as the second argument says. Ends with what the converter said.
 */
#include "relay/outbound/convert.h"

#include <stdio.h>
#include <stdlib.h>

int main(int count, char **arguments)
{
    const char *letters = count > 1 ? arguments[1] : "";
    size_t piece = count > 2 ? strtoul(arguments[2], NULL, 10) : 0;
    struct convert_options o = { .even_signed = strchr(letters, 'a'),
                                 .is_binary = strchr(letters, 'b'),
                                 .to_7bit = !strchr(letters, 'f'),
                                 .fold = strchr(letters, 'f') ? 76 : 0 };
    struct convert *c = convert_new(&o);
    struct buffer out = { 0 };
    enum convert_said said = CONVERT_FINE;
    char bytes[65536];
    size_t n;

    if (piece == 0 || piece > sizeof bytes)
        piece = sizeof bytes;
    while (said == CONVERT_FINE && (n = fread(bytes, 1, piece, stdin)) > 0)
        said = convert_feed(c, span_make(bytes, n), false, &out);
    if (said == CONVERT_FINE)
        said = convert_feed(c, SPAN(""), true, &out);
    (void)fwrite(out.at, 1, out.len, stdout);
    buffer_fini(&out);
    convert_free(c);
    return (int)said;
}
