/*
 * fuzz_convert - content made fit for seven bits.
 *
 * The first byte chooses options and where the rest is cut in two. Cut or not,
 * the same must come out; nothing over 127 and, of binary content, no CR or LF
 * alone; folded lines keep their limit; what came out passes once more as it is.
 */
#include "relay/outbound/convert.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FOLD = 76 };

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

static void check_lines(struct span out, bool is_binary, bool is_folded)
{
    size_t begin = 0;

    for (size_t i = 0; i < out.len; i++) {
        if (is_binary && out.at[i] == '\n')
            ASSERT(i > 0 && out.at[i - 1] == '\r');
        if (is_binary && out.at[i] == '\r')
            ASSERT(i + 1 < out.len && out.at[i + 1] == '\n');
        if (is_folded)
            ASSERT(i - begin <= FOLD + 1);
        if (out.at[i] == '\n')
            begin = i + 1;
    }
}

/* Only binary content may have a CR or LF alone. */
static bool has_bare(struct span in)
{
    for (size_t i = 0; i < in.len; i++)
        if ((in.at[i] == '\n' && (i == 0 || in.at[i - 1] != '\r')) ||
            (in.at[i] == '\r' && (i + 1 == in.len || in.at[i + 1] != '\n')))
            return true;
    return false;
}

static void check_once_more(const struct convert_options *o, struct span out)
{
    struct convert_options again = *o;
    struct buffer same = { 0 };

    again.fold = 0;
    ASSERT(run(&again, out, 0, &same) == CONVERT_FINE);
    ASSERT(o->fold || span_is(buffer_span(&same), out));
    buffer_fini(&same);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer whole = { 0 }, cut = { 0 };
    struct convert_options options;
    enum convert_said said;
    struct span in;

    if (size < 1)
        return 0;
    in = span_make((const char *)data + 1, size - 1);
    options =
        (struct convert_options){ .even_signed = data[0] & 1,
                                  .is_binary = (data[0] & 2) || has_bare(in),
                                  .to_7bit = !(data[0] & 4),
                                  .fold = data[0] & 8 ? FOLD : 0 };
    said = run(&options, in, 0, &whole);
    ASSERT(run(&options, in, in.len ? (data[0] >> 4) * in.len / 16 : 0, &cut) ==
           said);
    if (said == CONVERT_FINE) {
        struct span out = buffer_span(&whole);

        ASSERT(span_is(out, buffer_span(&cut)));
        check_lines(out, options.is_binary && options.to_7bit, options.fold);
        ASSERT(!options.to_7bit || !utf8_has_high(out));
        if (options.to_7bit)
            check_once_more(&options, out);
    }
    buffer_fini(&whole);
    buffer_fini(&cut);
    return 0;
}
