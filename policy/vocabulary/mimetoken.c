/*
 * mimetoken - the pieces that structured header fields of MIME are made of.
 */
#include "policy/vocabulary/mimetoken.h"

bool mimetoken_is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct span mimetoken_skip(struct span s)
{
    unsigned depth = 0;

    for (; s.len; s = span_skip(s, 1)) {
        if (s.at[0] == '(')
            depth++;
        else if (depth && s.at[0] == ')')
            depth--;
        else if (depth && s.at[0] == '\\')
            s = span_skip(s, 1);
        else if (!depth && !mimetoken_is_space(s.at[0]))
            break;
    }
    return s;
}

struct span mimetoken_take(struct span *s)
{
    struct span all;

    all = *s = mimetoken_skip(*s);
    while (s->len && s->at[0] > ' ' && !strchr("()<>@,;:\\\"/[]?=", s->at[0]))
        *s = span_skip(*s, 1);
    return span_first(all, all.len - s->len);
}

bool mimetoken_take_char(struct span *s, char c)
{
    struct span rest = mimetoken_skip(*s);

    if (rest.len == 0 || rest.at[0] != c)
        return false;
    *s = span_skip(rest, 1);
    return true;
}
