/*
 * value - what one text of a configuration says, by kind.
 */
#include "policy/config/value.h"

#include "policy/vocabulary/limits.h"

struct unit {
    struct span name;
    uint64_t factor;
};

static const struct unit durations[] = {
    { SPAN_INIT("s"), 1000 },
    { SPAN_INIT("min"), 60 * 1000ull },
    { SPAN_INIT("h"), 3600 * 1000ull },
    { SPAN_INIT("d"), 24ull * 3600 * 1000 },
};

static const struct unit sizes[] = {
    { SPAN_INIT(""), 1 },
    { SPAN_INIT("KB"), 1ull << 10 },
    { SPAN_INIT("MB"), 1ull << 20 },
    { SPAN_INIT("GB"), 1ull << 30 },
    { SPAN_INIT("TB"), 1ull << 40 },
};

/* Digits and one of the units; at most INT64_MAX in all. */
static bool with_unit(struct span s, const struct unit *units, size_t count,
                      uint64_t *out)
{
    size_t digits = 0;
    uint64_t n;

    while (digits < s.len && s.at[digits] >= '0' && s.at[digits] <= '9')
        digits++;
    if (!span_number(span_first(s, digits), &n))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!span_is_nocase(span_skip(s, digits), units[i].name))
            continue;
        if (__builtin_mul_overflow(n, units[i].factor, &n) || n > INT64_MAX)
            return false;
        *out = n;
        return true;
    }
    return false;
}

bool value_duration(struct span s, int64_t *out_ms)
{
    uint64_t ms = 0;

    if (!span_is(s, SPAN("0")) &&
        !with_unit(s, durations, sizeof durations / sizeof durations[0], &ms))
        return false;
    *out_ms = (int64_t)ms;
    return true;
}

bool value_size(struct span s, uint64_t *out_bytes)
{
    return with_unit(s, sizes, sizeof sizes / sizeof sizes[0], out_bytes);
}

bool value_boolean(struct span s, bool *out_value)
{
    bool yes = span_is(s, SPAN("true"));

    if (!yes && !span_is(s, SPAN("false")))
        return false;
    *out_value = yes;
    return true;
}

enum { DAY = 24 * 60 };

/* H:MM or HH:MM */
static bool read_minute(struct span s, uint16_t *out_minute)
{
    struct span minutes, hours = span_split(s, ':', &minutes);
    uint64_t h, m;

    if (hours.len > 2 || minutes.len != 2 || !span_number(hours, &h) ||
        !span_number(minutes, &m) || m > 59 || h * 60 + m > DAY)
        return false;
    *out_minute = (uint16_t)(h * 60 + m);
    return true;
}

bool value_day_span(struct span s, uint16_t *out_from, uint16_t *out_to)
{
    struct span end, start = span_split(s, '-', &end);
    uint16_t from, to;

    if (!read_minute(start, &from) || !read_minute(end, &to) || from == DAY ||
        from == to)
        return false;
    *out_from = from;
    *out_to = to;
    return true;
}

bool value_port(struct span s, uint16_t *out_port)
{
    uint64_t n;

    if (s.len > 5 || !span_number(s, &n) || n == 0 || n > UINT16_MAX)
        return false;
    *out_port = (uint16_t)n;
    return true;
}

bool value_is_loopback(struct span host)
{
    struct host_address address;

    return span_is_nocase(host, SPAN("localhost")) ||
           (host_address_parse(host, &address) &&
            host_address_is_loopback(&address));
}

static bool is_name_byte(char c)
{
    c = ascii_lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
}

bool value_host_port(struct span s, struct span *out_host, uint16_t *out_port)
{
    size_t colon = span_find_last(s, ':');
    struct span host = span_first(s, colon);
    size_t dot = span_find_last(host, '.');
    struct span end = span_skip(host, dot < host.len ? dot + 1 : 0);
    struct host_address address;
    uint64_t ignored;

    if (value_endpoint(s, &address, out_port)) {
        bool in_brackets = host.at[0] == '[';

        *out_host = in_brackets ? span_make(host.at + 1, host.len - 2) : host;
        return true;
    }
    for (size_t i = 0; i < host.len; i++)
        if (!is_name_byte(host.at[i]))
            return false;
    if (host.len == 0 || host.len > LIMIT_DOMAIN || host.at[0] == '.' ||
        span_number(end, &ignored) || colon == s.len || !value_port(span_skip(s, colon + 1), out_port))
        return false;
    *out_host = host;
    return true;
}

bool value_endpoint(struct span s, struct host_address *out_host,
                    uint16_t *out_port)
{
    size_t colon = span_find_last(s, ':');
    struct span host = span_first(s, colon);
    bool in_brackets =
        host.len > 2 && host.at[0] == '[' && host.at[host.len - 1] == ']';
    struct host_address address;

    if (colon == s.len)
        return false;
    if (in_brackets)
        host = span_make(host.at + 1, host.len - 2);
    /* an IPv6 address needs brackets and only it has them */
    if (in_brackets != (span_find(host, ':') < host.len) ||
        !host_address_parse(host, &address) ||
        !value_port(span_skip(s, colon + 1), out_port))
        return false;
    *out_host = address;
    return true;
}
