/*
 * capabilities - what a next hop says it can do.
 *
 * One row for each keyword; a row with a reader decides by the keyword's value.
 */
#include "relay/outbound/capabilities.h"

/* False: the value makes no sense, the keyword counts as not offered. */
typedef bool value_fn(struct capabilities *c, bool again, struct span value);

static value_fn read_size, read_limits;

static const struct keyword {
    struct span name;
    enum capability bit;
    value_fn *read; /* NULL: any value, none is looked at */
} keywords[] = {
    /* clang-format off */
    { SPAN_INIT("PIPELINING"),          CAN_PIPELINING,   NULL },
    { SPAN_INIT("SIZE"),                CAN_SIZE,         read_size },
    { SPAN_INIT("8BITMIME"),            CAN_8BITMIME,     NULL },
    { SPAN_INIT("SMTPUTF8"),            CAN_SMTPUTF8,     NULL },
    { SPAN_INIT("ENHANCEDSTATUSCODES"), CAN_STATUS_CODES, NULL },
    { SPAN_INIT("DSN"),                 CAN_DSN,          NULL },
    { SPAN_INIT("LIMITS"),              CAN_LIMITS,       read_limits },
    /* clang-format on */
};

/* "SIZE", "SIZE 0": no limit is said. RFC 1870 4. */
static bool read_size(struct capabilities *c, bool again, struct span value)
{
    uint64_t n = 0;

    if (value.len && !span_number(value, &n))
        return false;
    if (!again || n == 0 || (c->size_bytes && n > c->size_bytes))
        c->size_bytes = n;
    return true;
}

/* The larger of two limits, 0 meaning none was said so far. RFC 9422 3: each is
 * one to six digits, not zero. */
static void keep_larger(uint32_t *limit, struct span value)
{
    uint64_t n;

    if (value.len <= 6 && span_number(value, &n) && n > *limit)
        *limit = (uint32_t)n;
}

static bool read_limits(struct capabilities *c, bool again, struct span value)
{
    (void)again;
    while (value.at) {
        struct span one = span_split(value, ' ', &value), number;
        struct span name = span_split(one, '=', &number);

        if (span_is_nocase(name, SPAN("RCPTMAX")))
            keep_larger(&c->recipients, number);
        else if (span_is_nocase(name, SPAN("MAILMAX")))
            keep_larger(&c->messages, number);
    }
    return true;
}

static void read_line(struct capabilities *c, struct span line)
{
    struct span value, name = span_split(span_trim(line), ' ', &value);

    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++) {
        const struct keyword *k = &keywords[i];

        if (!span_is_nocase(name, k->name))
            continue;
        if (!k->read || k->read(c, c->has & k->bit, span_trim(value)))
            c->has |= k->bit;
        return;
    }
}

void capabilities_read(struct capabilities *out, struct span text)
{
    struct span rest;

    *out = (struct capabilities){ 0 };
    span_split(text, '\n', &rest);
    while (rest.at) {
        struct span line = span_split(rest, '\n', &rest);

        read_line(out, line);
    }
}
