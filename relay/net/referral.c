/*
 * referral - reads as much of a DNS message as tells NS from SOA in its second part.
 *
 * Every step is held against the length. Names are only stepped over, so pointers in them
 * are never followed. RFC 1035 4.1.
 */
#include "relay/net/referral.h"

enum { HEADER = 12, TYPE_NS = 2, TYPE_SOA = 6 };

static unsigned read16(struct span s, size_t at)
{
    return (unsigned)(unsigned char)s.at[at] << 8 | (unsigned char)s.at[at + 1];
}

static bool take(struct span *s, size_t n)
{
    if (n > s->len)
        return false;
    *s = span_skip(*s, n);
    return true;
}

static bool take_name(struct span *s)
{
    while (s->len > 0) {
        unsigned char length = (unsigned char)s->at[0];

        if (length >= 0xc0)
            return take(s, 2);
        if (!take(s, (size_t)length + 1))
            return false;
        if (length == 0)
            return true;
    }
    return false;
}

/* name, type, class, TTL, length, data */
static bool take_record(struct span *s, unsigned *out_type)
{
    size_t length;

    if (!take_name(s) || s->len < 10)
        return false;
    *out_type = read16(*s, 0);
    length = read16(*s, 8);
    return take(s, 10 + length);
}

bool referral_is(struct span packet)
{
    struct span rest = packet;
    unsigned questions, answers, authorities, type;
    bool has_ns = false;

    if (!take(&rest, HEADER))
        return false;
    questions = read16(packet, 4);
    answers = read16(packet, 6);
    authorities = read16(packet, 8);
    while (questions-- > 0) {
        if (!take_name(&rest) || !take(&rest, 4))
            return false;
    }
    while (answers-- > 0) {
        if (!take_record(&rest, &type))
            return false;
    }
    while (authorities-- > 0) {
        if (!take_record(&rest, &type) || type == TYPE_SOA)
            return false;
        has_ns = has_ns || type == TYPE_NS;
    }
    return has_ns;
}
