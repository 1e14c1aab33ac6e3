/*
 * policyreply - what a policy server sends back, out of a stream of bytes.
 *
 * Read from its beginning each time more has come: it is short, or garbage.
 */
#include "relay/inbound/policyreply.h"

static struct span without_cr(struct span line)
{
    if (line.len && line.at[line.len - 1] == '\r')
        line.len--;
    return line;
}

static bool is_attribute(struct span line, struct span *out_name,
                         struct span *out_value)
{
    size_t sign = span_find(line, '=');

    *out_name = span_first(line, sign);
    *out_value = span_skip(line, sign + 1);
    return sign > 0 && sign < line.len && span_find(line, '\0') == line.len;
}

enum policyreply policyreply_read(struct span in, struct span *out_action,
                                  size_t *out_used)
{
    struct span action = { 0 }, rest = span_first(in, POLICYREPLY_MOST);
    size_t end;

    while ((end = span_find(rest, '\n')) < rest.len) {
        struct span line = without_cr(span_first(rest, end));
        struct span name, value;

        rest = span_skip(rest, end + 1);
        if (line.len == 0) {
            if (!action.at)
                return POLICYREPLY_GARBAGE;
            *out_action = action;
            *out_used = (size_t)(rest.at - in.at);
            return POLICYREPLY_WHOLE;
        }
        if (!is_attribute(line, &name, &value))
            return POLICYREPLY_GARBAGE;
        if (!action.at && span_is(name, SPAN("action")))
            action = value;
    }
    return in.len < POLICYREPLY_MOST ? POLICYREPLY_UNFINISHED
                                     : POLICYREPLY_GARBAGE;
}
