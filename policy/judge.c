/*
 * judge - may this recipient be accepted from this client?
 *
 *   for each rule, from the top:
 *       conditions do not all hold       -> next
 *       hold                             -> remember, next
 *       relay, by domain alone, and the
 *       local part is routed (%, !, @)   -> next
 *       relay, reject, defer, discard    -> that is the verdict
 *   no rule left                         -> 554 5.7.1 Relay access denied
 *
 * A rule whose expression ran into its limits can neither be passed over (it
 * might refuse) nor obeyed (it might grant): 451, and it is named. Owns
 * nothing.
 */
#include "policy/judge.h"

#include "policy/condition.h"
#include "policy/vocabulary/utf8.h"

static const struct reply denied =
    REPLY(554, 5, 7, 1, "<%{recipient}>: Relay access denied");
static const struct reply rejected =
    REPLY(554, 5, 7, 1, "<%{recipient}>: Access denied");
static const struct reply deferred =
    REPLY(450, 4, 7, 1, "<%{recipient}>: Try again later");
static const struct reply undecided =
    REPLY(451, 4, 3, 5, "<%{recipient}>: Cannot tell now, try again later");

static enum answer rule_holds(const struct rule *r, struct question *q)
{
    enum answer all = ANSWER_YES;

    for (size_t i = 0; i < r->condition_count; i++) {
        enum answer one = condition_holds(&r->conditions[i], q);

        if (one == ANSWER_NO)
            return ANSWER_NO;
        if (one == ANSWER_UNKNOWN)
            all = ANSWER_UNKNOWN;
    }
    return all;
}

static bool grants_by_domain_alone(const struct rule *r)
{
    for (size_t i = 0; i < r->condition_count; i++)
        if (condition_names_somebody(&r->conditions[i]))
            return false;
    return true;
}

static void decide(struct verdict *v, const struct rule *r)
{
    v->rule = r;
    switch (r->action) {
    case ACTION_RELAY:
        v->kind = VERDICT_RELAY;
        break;
    case ACTION_DISCARD:
        v->kind = VERDICT_DISCARD;
        break;
    case ACTION_DEFER:
        v->kind = VERDICT_DEFER;
        v->reply = r->reply.code ? r->reply : deferred;
        break;
    case ACTION_REJECT:
    case ACTION_HOLD:
    case ACTION_LIMIT:
    case ACTION_GREYLIST:
    case ACTION_TAG:
    case ACTION_ADD_HEADER:
    case ACTION_REMOVE_HEADER:
    case ACTION_REWRITE:
    case ACTION_COPY:
    case ACTION_ROUTE:
    case ACTION_POLICY:
        v->kind = VERDICT_REJECT;
        v->reply = r->reply.code ? r->reply : rejected;
        break;
    }
}

struct verdict judge(const struct settings *s, const struct facts *facts,
                     struct arena *arena, const struct judge_watch *watch)
{
    struct verdict v = { .kind = VERDICT_REJECT, .reply = denied };
    bool is_routed = local_part_is_routed(facts->recipient->local);
    struct question q;

    (void)arena;
    (void)watch;
    question_init(&q, facts);
    for (size_t i = 0; i < s->rule_count; i++) {
        const struct rule *r = &s->rules[i];
        enum answer answer = rule_holds(r, &q);

        if (answer == ANSWER_NO)
            continue;
        if (answer == ANSWER_UNKNOWN) {
            v.kind = VERDICT_DEFER;
            v.reply = undecided;
            v.rule = r;
            return v;
        }
        if (r->action == ACTION_HOLD) {
            v.hold = true;
            v.hold_rule = v.hold_rule ? v.hold_rule : r;
            continue;
        }
        if (r->action == ACTION_RELAY && is_routed && grants_by_domain_alone(r))
            continue;
        decide(&v, r);
        return v;
    }
    return v;
}

/* --- reply texts --------------------------------------------------------- */

/* What a name in %{name} stands for; false: there is no such name. */
static bool find_value(struct span name, const struct facts *facts,
                       const struct rule *rule, struct buffer *client,
                       struct span *out_value)
{
    const struct {
        struct span name, value;
    } values[] = {
        { SPAN("recipient"), facts->recipient->text },
        { SPAN("sender"), facts->sender->text },
        { SPAN("client"), buffer_span(client) },
        { SPAN("helo"), facts->helo },
        { SPAN("login"), facts->login },
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
