/*
 * capabilities - what a next hop says it can do.
 *
 * One row for each keyword; a row with a reader decides by the keyword's value.
 */
#include "relay/outbound/capabilities.h"

#include "policy/vocabulary/mechanism.h"

/* False: the value makes no sense, the keyword counts as not offered. */
typedef bool value_fn(struct capabilities *c, bool again, struct span value);

static value_fn read_size, read_limits, read_auth, read_deliver_by,
    read_xforward;

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
    { SPAN_INIT("STARTTLS"),            CAN_STARTTLS,     NULL },
    { SPAN_INIT("AUTH"),                CAN_AUTH,         read_auth },
    { SPAN_INIT("CHUNKING"),            CAN_CHUNKING,     NULL },
    { SPAN_INIT("BINARYMIME"),          CAN_BINARYMIME,   NULL },
    { SPAN_INIT("DELIVERBY"),           CAN_DELIVERBY,    read_deliver_by },
    { SPAN_INIT("MT-PRIORITY"),         CAN_MT_PRIORITY,  NULL },
    { SPAN_INIT("FUTURERELEASE"),       CAN_FUTURERELEASE, NULL },
    { SPAN_INIT("XFORWARD"),            CAN_XFORWARD,     read_xforward },
    { SPAN_INIT("ATRN"),                CAN_ATRN,         NULL },
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
        else if (span_is_nocase(name, SPAN("RCPTDOMAINMAX")))
            keep_larger(&c->domains, number);
    }
    return true;
}

/* Some offer different mechanisms on "AUTH" and on "AUTH=". */
static bool read_auth(struct capabilities *c, bool again, struct span value)
{
    (void)again;
    while (value.at)
        c->mechanisms |= mechanism_find(span_split(value, ' ', &value));
    return true;
}

/* RFC 2852 3: the least by-time follows, or nothing. */
static bool read_deliver_by(struct capabilities *c, bool again,
                            struct span value)
{
    uint64_t n = 0;

    if (value.len && !span_number(value, &n))
        return false;
    if (!again || n < c->least_by_s)
        c->least_by_s = n;
    return true;
}

static bool read_xforward(struct capabilities *c, bool again, struct span value)
{
    static const struct {
        struct span name;
        enum xforward bit;
    } attributes[] = {
        { SPAN_INIT("NAME"), XFORWARD_NAME },
        { SPAN_INIT("ADDR"), XFORWARD_ADDR },
        { SPAN_INIT("PROTO"), XFORWARD_PROTO },
        { SPAN_INIT("HELO"), XFORWARD_HELO },
        { SPAN_INIT("SOURCE"), XFORWARD_SOURCE },
    };

    (void)again;
    while (value.at) {
        struct span one = span_split(value, ' ', &value);

        for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++)
            if (span_is_nocase(one, attributes[i].name))
                c->xforward |= attributes[i].bit;
    }
    return true;
}

static void read_line(struct capabilities *c, struct span line)
{
    struct span value, name;

    line = span_trim(line);
    name = span_split(line, ' ', &value);
    if (span_starts_nocase(name, SPAN("AUTH="))) {
        name = SPAN("AUTH");
        value = span_skip(line, name.len + 1);
    }
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
