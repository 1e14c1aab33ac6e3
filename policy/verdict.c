/*
 * verdict - the texts of a verdict, for the client and for headers.
 *
 * Owns nothing.
 */
#include "policy/judge.h"

#include "policy/vocabulary/utf8.h"

static struct span text_of(const struct address *a)
{
    return a ? a->text : SPAN("");
}

/* What a name in %{name} stands for; false: there is no such name. */
static bool find_value(struct span name, const struct facts *facts,
                       const struct rule *rule, struct buffer *client,
                       struct span *out_value)
{
    const struct {
        struct span name, value;
    } values[] = {
        { SPAN("recipient"), text_of(facts->recipient) },
        { SPAN("sender"), text_of(facts->sender) },
        { SPAN("client"), buffer_span(client) },
        { SPAN("helo"), facts->helo },
        { SPAN("login"), facts->login },
        { SPAN("session"), facts->session },
        { SPAN("queue-id"), facts->queue_id },
        { SPAN("rule"), rule ? rule->title : SPAN("") },
    };

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        if (span_is(values[i].name, name)) {
            *out_value = values[i].value;
            return true;
        }
    }
    return false;
}

/* What cannot be shown becomes '?': this is text for a person, not evidence. */
static void put_shown(struct buffer *b, struct span s)
{
    while (s.len) {
        size_t n = utf8_is_showable(s);

        if (n)
            buffer_put(b, span_first(s, n));
        else
            buffer_put_byte(b, '?');
        s = span_skip(s, n ? n : 1);
    }
}

void verdict_text(struct buffer *b, struct span text, const struct facts *facts,
                  const struct rule *rule)
{
    struct buffer client = { 0 };

    host_address_print(&client, &facts->client);
    while (text.len) {
        size_t n = span_find(text, '%');
        struct span name, after, value;

        put_shown(b, span_first(text, n));
        text = span_skip(text, n);
        if (text.len == 0)
            break;
        name = span_split(span_skip(text, 2), '}', &after);
        if (text.len > 2 && text.at[1] == '{' && after.at &&
            find_value(name, facts, rule, &client, &value)) {
            put_shown(b, value);
            text = after;
        } else {
            buffer_put_byte(b, '%');
            text = span_skip(text, 1);
        }
    }
    buffer_fini(&client);
}
