/*
 * proxy - the header that a balancer puts in front of a connection.
 */
#include "relay/inbound/proxy.h"

#include "policy/vocabulary/error.h"

enum {
    SIGNATURE_LENGTH = 12,
    HEAD_LENGTH = 16, /* of version 2, before its addresses */
    COMMAND_LOCAL = 0x20,
    COMMAND_PROXY = 0x21,
    FAMILY_UNSPECIFIED = 0x00,
    FAMILY_TCP4 = 0x11,
    FAMILY_TCP6 = 0x21,
    FAMILY_UNIX_STREAM = 0x31,
    ADDRESSES_TCP4 = 12,
    ADDRESSES_TCP6 = 36,
};

static const struct span signature = SPAN_INIT("\r\n\r\n\0\r\nQUIT\n");
static const struct span first_word = SPAN_INIT("PROXY ");

/* ----------------------------------------------------------- version 1 ---- */

static bool is_port(struct span s)
{
    uint64_t n;

    return span_number(s, &n) && n <= UINT16_MAX &&
           (s.len == 1 || s.at[0] != '0');
}

static bool read_address(struct span s, bool is_v6, struct host_address *out)
{
    return (span_find(s, ':') < s.len) == is_v6 && host_address_parse(s, out);
}

static enum proxy_said read_line(struct proxy *p, struct span rest)
{
    struct span family = span_split(rest, ' ', &rest);
    bool is_v6 = span_is(family, SPAN("TCP6"));
    struct host_address source, target;
    struct span words[4];

    if (span_is(family, SPAN("UNKNOWN")))
        return PROXY_DONE;
    if (!is_v6 && !span_is(family, SPAN("TCP4")))
        return PROXY_BAD;
    for (size_t i = 0; i < 4; i++)
        words[i] = span_split(rest, ' ', &rest);
    if (rest.at || !read_address(words[0], is_v6, &source) ||
        !read_address(words[1], is_v6, &target) || !is_port(words[2]) ||
        !is_port(words[3]))
        return PROXY_BAD;
    p->source = source;
    p->has_source = true;
    return PROXY_DONE;
}

static enum proxy_said line_grew(struct proxy *p)
{
    struct span line = { (const char *)p->bytes, p->len };

    ASSERT(p->len > 0);
    if (p->len <= first_word.len)
        return line.at[p->len - 1] == first_word.at[p->len - 1] ? PROXY_MORE
                                                                : PROXY_BAD;
    if (line.at[p->len - 1] != '\n')
        return p->len < PROXY_LINE_MOST ? PROXY_MORE : PROXY_BAD;
    if (line.at[p->len - 2] != '\r')
        return PROXY_BAD;
    return read_line(p, span_first(span_skip(line, first_word.len),
                                   p->len - 2 - first_word.len));
}

/* ----------------------------------------------------------- version 2 ---- */

static size_t binary_length(const struct proxy *p)
{
    return HEAD_LENGTH + ((size_t)p->bytes[14] << 8 | p->bytes[15]);
}

static enum proxy_said check_head(const struct proxy *p)
{
    unsigned command = p->bytes[12], family = p->bytes[13];
    size_t addresses = binary_length(p) - HEAD_LENGTH;

    if (binary_length(p) > PROXY_BINARY_MOST)
        return PROXY_BAD;
    if (command == COMMAND_LOCAL)
        return PROXY_MORE;
    if (command != COMMAND_PROXY)
        return PROXY_BAD;
    if (family == FAMILY_TCP4)
        return addresses >= ADDRESSES_TCP4 ? PROXY_MORE : PROXY_BAD;
    if (family == FAMILY_TCP6)
        return addresses >= ADDRESSES_TCP6 ? PROXY_MORE : PROXY_BAD;
    return family == FAMILY_UNSPECIFIED || family == FAMILY_UNIX_STREAM
               ? PROXY_MORE
               : PROXY_BAD;
}

static void read_source(struct proxy *p)
{
    const unsigned char *at = p->bytes + HEAD_LENGTH;

    if (p->bytes[12] != COMMAND_PROXY)
        return;
    if (p->bytes[13] == FAMILY_TCP4) {
        memset(p->source.bytes, 0, 10);
        memset(p->source.bytes + 10, 0xff, 2);
        memcpy(p->source.bytes + 12, at, 4);
        p->has_source = true;
    } else if (p->bytes[13] == FAMILY_TCP6) {
        memcpy(p->source.bytes, at, 16);
        p->has_source = true;
    }
}

static enum proxy_said binary_grew(struct proxy *p)
{
    enum proxy_said said;

    ASSERT(p->len > 0);
    if (p->len <= SIGNATURE_LENGTH)
        return p->bytes[p->len - 1] == (unsigned char)signature.at[p->len - 1]
                   ? PROXY_MORE
                   : PROXY_BAD;
    if (p->len < HEAD_LENGTH)
        return PROXY_MORE;
    if (p->len == HEAD_LENGTH && (said = check_head(p)) != PROXY_MORE)
        return said;
    if (p->len < binary_length(p))
        return PROXY_MORE;
    read_source(p);
    return PROXY_DONE;
}

enum proxy_said proxy_feed(struct proxy *p, struct span in, size_t *out_used)
{
    enum proxy_said said = PROXY_MORE;
    size_t n = 0;

    while (n < in.len && said == PROXY_MORE) {
        if (p->len < sizeof p->bytes)
            p->bytes[p->len] = (unsigned char)in.at[n];
        p->len++;
        n++;
        said = p->bytes[0] == 'P' ? line_grew(p) : binary_grew(p);
    }
    *out_used = n;
    return said;
}
