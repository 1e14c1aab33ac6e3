/*
 * network - addresses of hosts and the networks that hold them.
 *
 * IPv4 lives in ::ffff:0:0/96, so one comparison serves both families. A
 * network of fewer than 96 bits can only have been written as IPv6 and never
 * holds an IPv4 host: who writes ::/0 does not mean 10.0.0.1.
 *
 * Owns nothing. RFC 4291, RFC 5321 4.1.3.
 */
#include "policy/vocabulary/network.h"

#include <arpa/inet.h>

enum { V4_BITS = 96, ALL_BITS = 128, LONGEST_ADDRESS = INET6_ADDRSTRLEN };

static const unsigned char v4_prefix[12] = { [10] = 0xff, [11] = 0xff };

bool host_address_parse(struct span s, struct host_address *out_address)
{
    char text[LONGEST_ADDRESS];
    struct host_address a = { 0 };
    bool is_v6 = span_find(s, ':') < s.len;

    if (s.len == 0 || s.len >= sizeof text || memchr(s.at, '\0', s.len))
        return false;
    memcpy(text, s.at, s.len);
    text[s.len] = '\0';
    if (!is_v6)
        memcpy(a.bytes, v4_prefix, sizeof v4_prefix);
    /* inet_pton takes neither hexadecimal, short forms nor zones. */
    if (inet_pton(is_v6 ? AF_INET6 : AF_INET, text,
                  is_v6 ? a.bytes : a.bytes + sizeof v4_prefix) != 1)
        return false;
    *out_address = a;
    return true;
}

bool host_literal_parse(struct span s, struct host_address *out_address)
{
    const struct span tag = SPAN("IPv6:");
    struct span inner;
    bool is_v6;

    if (s.len < 2 || s.at[0] != '[' || s.at[s.len - 1] != ']')
        return host_address_parse(s, out_address);
    inner = span_make(s.at + 1, s.len - 2);
    is_v6 = span_starts_nocase(inner, tag);
    if (is_v6)
        inner = span_skip(inner, tag.len);
    /* [IPv6:192.0.2.1] and [2001:db8::1] are neither the one nor the other */
    if (is_v6 != (span_find(inner, ':') < inner.len))
        return false;
    return host_address_parse(inner, out_address);
}

bool host_address_is_v4(const struct host_address *a)
{
    return memcmp(a->bytes, v4_prefix, sizeof v4_prefix) == 0;
}

bool host_address_is(const struct host_address *a, const struct host_address *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

void host_address_print(struct buffer *b, const struct host_address *a)
{
    char text[LONGEST_ADDRESS];
    bool v4 = host_address_is_v4(a);

    if (inet_ntop(v4 ? AF_INET : AF_INET6,
                  v4 ? a->bytes + sizeof v4_prefix : a->bytes, text,
                  sizeof text))
        buffer_put_string(b, text);
}

void host_literal_print(struct buffer *b, const struct host_address *a)
{
    if (!host_address_is_v4(a))
        buffer_put_string(b, "IPv6:");
    host_address_print(b, a);
}

/* The first `bits` bits of both are the same. */
static bool prefix_is(const unsigned char *a, const unsigned char *b,
                      unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;

    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

static bool has_bits_below(const struct network *n)
{
    for (unsigned i = n->bits; i < ALL_BITS; i++)
        if (n->base.bytes[i / 8] & (0x80u >> (i % 8)))
            return true;
    return false;
}

bool network_parse(struct span s, struct network *out_network)
{
    struct span bits_text, address = span_split(s, '/', &bits_text);
    bool is_v6 = span_find(address, ':') < address.len;
    uint64_t bits = is_v6 ? ALL_BITS : ALL_BITS - V4_BITS;
    uint64_t most = bits;
    struct network n;

    if (!host_address_parse(address, &n.base))
        return false;
    /* bits_text.at is NULL only where no slash was */
    if (bits_text.at &&
        (!span_number(bits_text, &bits) || bits_text.len > 3 || bits > most))
        return false;
    n.bits = (unsigned char)(is_v6 ? bits : bits + V4_BITS);
    if (has_bits_below(&n))
        return false;
    *out_network = n;
    return true;
}

void host_network_print(struct buffer *b, const struct host_address *a,
                        unsigned v4_bits, unsigned v6_bits)
{
    bool is_v4 = host_address_is_v4(a);
    unsigned kept = is_v4 ? V4_BITS + v4_bits : v6_bits;
    struct host_address base = *a;

    for (unsigned i = kept; i < ALL_BITS; i++)
        base.bytes[i / 8] &= (unsigned char)~(0x80u >> i % 8);
    host_address_print(b, &base);
    if (kept < ALL_BITS)
        buffer_printf(b, "/%u", is_v4 ? v4_bits : v6_bits);
}

void host_reversed_print(struct buffer *b, const struct host_address *a)
{
    bool is_v4 = host_address_is_v4(a);
    const char *dot = "";

    for (size_t i = sizeof a->bytes; i-- > (is_v4 ? 12U : 0U);) {
        if (is_v4)
            buffer_printf(b, "%s%u", dot, a->bytes[i]);
        else
            buffer_printf(b, "%s%x.%x", dot, a->bytes[i] & 15u,
                          a->bytes[i] >> 4u);
        dot = ".";
    }
}

static bool is_in(const struct host_address *a, const struct network *networks,
                  size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (prefix_is(networks[i].base.bytes, a->bytes, networks[i].bits))
            return true;
    return false;
}

/* clang-format off */
#define V4(a, b, c, d) \
    { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, (a), (b), (c), (d) } }

static const struct network unsafe[] = {
    { { { 0 } },            96 },       /* ::, ::1 and all of ::a.b.c.d */
    { { { 0xfe, 0x80 } },   10 },       /* link-local */
    { { { 0xff } },          8 },       /* multicast */
    { V4(0, 0, 0, 0),       V4_BITS + 8 },
    { V4(127, 0, 0, 0),     V4_BITS + 8 },
    { V4(169, 254, 0, 0),   V4_BITS + 16 },
    { V4(224, 0, 0, 0),     V4_BITS + 4 },
    { V4(255, 255, 255, 255), ALL_BITS },
};

static const struct network loopback[] = {
    { { { [15] = 1 } },     ALL_BITS },
    { V4(127, 0, 0, 0),     V4_BITS + 8 },
};
/* clang-format on */

bool host_address_is_unsafe_target(const struct host_address *a)
{
    return is_in(a, unsafe, sizeof unsafe / sizeof unsafe[0]);
}

bool host_address_is_loopback(const struct host_address *a)
{
    return is_in(a, loopback, sizeof loopback / sizeof loopback[0]);
}
