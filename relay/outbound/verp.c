/*
 * verp - a reverse-path of its own for each recipient, as XVERP asks for.
 */
#include "relay/outbound/verp.h"

bool verp_is_asked(const struct envelope *e)
{
    return e->verp.len == 2 && span_find(e->sender, '@') < e->sender.len;
}

static bool is_quoted(struct span local)
{
    return local.len >= 2 && local.at[0] == '"';
}

static void put_local(struct buffer *out, struct span local)
{
    if (is_quoted(local))
        local = span_first(span_skip(local, 1), local.len - 2);
    buffer_put(out, local);
}

/* A quoted part, or a domain that is an address, makes a quoted whole. */
void verp_put(struct buffer *out, const struct envelope *e,
              struct span recipient)
{
    size_t at = span_find_last(e->sender, '@');
    size_t to_at = span_find_last(recipient, '@');
    struct span owner = span_first(e->sender, at);
    struct span user = span_first(recipient, to_at);
    struct span domain = span_skip(recipient, to_at + 1);
    const char *quote = is_quoted(owner) || is_quoted(user) ||
                                (domain.len && domain.at[0] == '[')
                            ? "\""
                            : "";

    buffer_put_string(out, quote);
    put_local(out, owner);
    buffer_put(out, span_first(e->verp, 1));
    put_local(out, user);
    if (domain.len) {
        buffer_put(out, span_skip(e->verp, 1));
        buffer_put(out, domain);
    }
    buffer_put_string(out, quote);
    buffer_put(out, span_skip(e->sender, at));
}
