/*
 * fuzz_content - the reader of message content.
 *
 * The first byte chooses where the rest is cut in two and whether line ends are
 * normalized. Cut or not, the same must come out; the end must be where RFC
 * 5321 has it; no CR or LF may ever come out alone.
 */
#include "relay/inbound/content.h"

#include "policy/vocabulary/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    struct content content;
    struct buffer out;
    size_t taken;
    bool ended;
};

static void feed(struct outcome *o, struct span in)
{
    if (!o->ended)
        o->taken += content_feed(&o->content, in, &o->out, &o->ended);
}

static bool ends_there(struct span in)
{
    return (in.len == 3 && memcmp(in.at, ".\r\n", 3) == 0) ||
           (in.len >= 5 && memcmp(in.at + in.len - 5, "\r\n.\r\n", 5) == 0);
}

static void check_line_ends(struct span out)
{
    for (size_t i = 0; i < out.len; i++) {
        if (out.at[i] == '\n')
            ASSERT(i > 0 && out.at[i - 1] == '\r');
        if (out.at[i] == '\r')
            ASSERT(i + 1 < out.len && out.at[i + 1] == '\n');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole = { .taken = 0 }, cut = { .taken = 0 };
    struct content_options options = {
        .size_most = 4000,
        .line_most = 1000,
        .header_most = 500,
        .hops_most = 5,
    };
    struct span in;
    size_t at;

    if (size < 1)
        return 0;
    in = span_make((const char *)data + 1, size - 1);
    at = in.len ? (data[0] >> 1) % (in.len + 1) : 0;
    options.normalize = data[0] & 1;
    content_init(&whole.content, &options);
    content_init(&cut.content, &options);
    feed(&whole, in);
    feed(&cut, span_first(in, at));
    feed(&cut, span_skip(in, at));

    ASSERT(whole.taken == cut.taken && whole.ended == cut.ended);
    ASSERT(whole.content.is_bare == cut.content.is_bare);
    ASSERT(whole.content.has_8bit == cut.content.has_8bit);
    ASSERT(whole.content.fault == cut.content.fault);
    ASSERT(whole.content.size == cut.content.size);
    ASSERT(whole.ended == ends_there(span_first(in, whole.taken)));
    ASSERT(whole.ended || whole.taken == in.len);
    if (!content_is_refused(&whole.content)) {
        ASSERT(span_is(buffer_span(&whole.out), buffer_span(&cut.out)));
        ASSERT(whole.out.len == whole.content.size);
        ASSERT(whole.content.header.bytes <= whole.out.len);
        check_line_ends(buffer_span(&whole.out));
    }
    buffer_fini(&whole.out);
    buffer_fini(&cut.out);
    return 0;
}
