/*
 * fields - a header section, field by field.
 */
#include "relay/inbound/fields.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static struct span without_line_end(struct span s)
{
    if (s.len && s.at[s.len - 1] == '\n')
        s.len--;
    if (s.len && s.at[s.len - 1] == '\r')
        s.len--;
    return s;
}

bool fields_next(struct span *rest, struct field *out_field)
{
    struct span all = *rest;
    size_t n = 0, colon;

    do
        n += span_find(span_skip(all, n), '\n') + 1;
    while (n < all.len && is_space(all.at[n]));
    all = span_first(all, n);
    colon = span_find(all, ':');
    if (colon == all.len)
        return false;
    *rest = span_skip(*rest, all.len);
    *out_field = (struct field){
        .whole = all,
        .name = span_trim(span_first(all, colon)),
        .value = without_line_end(span_skip(all, colon + 1)),
    };
    return true;
}
