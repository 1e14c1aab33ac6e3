/*
 * witness - who looks on while a host is met.
 */
#include "relay/outbound/witness.h"

#include "policy/vocabulary/buffer.h"

/* "AUTH PLAIN [secret]"; a line that only answers a challenge is one as a whole. */
static void show_login(const struct witness *w, struct span line)
{
    struct buffer b = { 0 };
    struct span rest, name;

    if (!span_starts_nocase(line, SPAN("AUTH "))) {
        w->said(w->user, SPAN("[secret]"));
        return;
    }
    name = span_split(span_skip(line, 5), ' ', &rest);
    buffer_put_string(&b, "AUTH ");
    buffer_put(&b, name);
    if (rest.at)
        buffer_put_string(&b, " [secret]");
    w->said(w->user, buffer_span(&b));
    buffer_fini(&b);
}

void witness_show(const struct witness *w, struct span out, bool is_login)
{
    while (out.len) {
        struct span line = span_split(out, '\n', &out);

        if (line.len && line.at[line.len - 1] == '\r')
            line.len--;
        if (is_login)
            show_login(w, line);
        else
            w->said(w->user, line);
    }
}
