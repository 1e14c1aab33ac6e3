/*
 * effects - what a rule that holds does.
 *
 * One row for each action. Those that decide say so at once; those that add something leave
 * an effect, in the order of the rules; three have a file of their own. Texts with %{name}
 * are expanded here, since the facts are gone when the message is written.
 *
 * Owns nothing.
 */
#include "policy/asking.h"
#include "policy/judgement.h"
#include "policy/rewriting.h"
#include "policy/showing.h"

static const struct reply rejected =
    REPLY(554, 5, 7, 1, "<%{recipient}>: Access denied");
static const struct reply deferred =
    REPLY(450, 4, 7, 1, "<%{recipient}>: Try again later");
/* before there is a recipient */
static const struct reply rejected_client =
    REPLY(554, 5, 7, 1, "%{client}: Access denied");
static const struct reply deferred_client =
    REPLY(450, 4, 7, 1, "%{client}: Try again later");
static const struct reply forged =
    REPLY(550, 5, 1, 1, "<%{recipient}>: No such user here");

void effects_set_tag(struct judgement *j, struct span tag)
{
    struct question *q = &j->q;

    if (q->tag_count == q->tag_room) {
        size_t room = q->tag_room ? q->tag_room * 2 : 8;
        struct span *all = arena_take(q->arena, room * sizeof *all);

        if (q->tag_count)
            memcpy(all, q->tags, q->tag_count * sizeof *all);
        q->tags = all;
        q->tag_room = room;
    }
    q->tags[q->tag_count++] = tag;
}

/* --- what decides ---------------------------------------------------------- */

/* One who is granted by the domain alone may not lead through it to another. */
static bool grants_by_domain_alone(const struct rule *r)
{
    for (size_t i = 0; i < r->condition_count; i++)
        if (condition_names_somebody(&r->conditions[i]))
            return false;
    return true;
}

static enum act relay(struct judgement *j, const struct rule *r)
{
    const struct address *to = j->q.facts->recipient;

    if (to && local_part_is_routed(to->local) && grants_by_domain_alone(r))
        return ACT_GOES_ON;
    return judgement_decide(j, VERDICT_RELAY, r, NULL);
}

static enum act discard(struct judgement *j, const struct rule *r)
{
    return judgement_decide(j, VERDICT_DISCARD, r, NULL);
}

static enum act reject(struct judgement *j, const struct rule *r)
{
    const struct reply *usual =
        j->q.facts->recipient ? &rejected : &rejected_client;

    return judgement_decide(j, VERDICT_REJECT, r,
                            r->reply.code ? &r->reply : usual);
}

static enum act defer(struct judgement *j, const struct rule *r)
{
    const struct reply *usual =
        j->q.facts->recipient ? &deferred : &deferred_client;

    return judgement_decide(j, VERDICT_DEFER, r,
                            r->reply.code ? &r->reply : usual);
}

/* --- what adds something --------------------------------------------------- */

static enum act hold(struct judgement *j, const struct rule *r)
{
    (void)judgement_effect(j, EFFECT_HOLD, r, SPAN(""));
    j->verdict.hold = true;
    if (!j->verdict.hold_rule)
        j->verdict.hold_rule = r;
    return ACT_GOES_ON;
}

static enum act tag(struct judgement *j, const struct rule *r)
{
    for (size_t i = 0; i < r->text_count; i++) {
        (void)judgement_effect(j, EFFECT_TAG, r, r->texts[i]);
        effects_set_tag(j, r->texts[i]);
    }
    return ACT_GOES_ON;
}

static enum act add_header(struct judgement *j, const struct rule *r)
{
    struct buffer text = { 0 };

    for (size_t i = 0; i < r->text_count; i++) {
        buffer_clear(&text);
        verdict_text(&text, r->texts[i], j->q.facts, r);
        (void)judgement_effect(j, EFFECT_ADD_HEADER, r,
                               judgement_keep(j, buffer_span(&text)));
    }
    buffer_fini(&text);
    return ACT_GOES_ON;
}

static enum act each(struct judgement *j, const struct rule *r,
                     enum effect_kind kind)
{
    for (size_t i = 0; i < r->text_count; i++)
        (void)judgement_effect(j, kind, r, r->texts[i]);
    return ACT_GOES_ON;
}

static enum act remove_header(struct judgement *j, const struct rule *r)
{
    return each(j, r, EFFECT_REMOVE_HEADER);
}

static enum act copy(struct judgement *j, const struct rule *r)
{
    return each(j, r, EFFECT_COPY);
}

static enum act route(struct judgement *j, const struct rule *r)
{
    return each(j, r, EFFECT_ROUTE);
}

static enum act rewrite(struct judgement *j, const struct rule *r)
{
    const struct facts *f = j->q.facts;
    bool of_sender = rewriting_is_of_sender(r->rewriting);
    struct span *all = NULL;
    size_t count = 0;

    switch (rewriting_apply(r->rewriting, j->q.settings, f->srs_secrets,
                            of_sender ? f->sender : f->recipient, f->now_ms,
                            j->q.arena, &all, &count)) {
    case REWRITTEN_NOT:
        return ACT_GOES_ON;
    case REWRITTEN_REFUSED:
        return judgement_decide(j, VERDICT_REJECT, r,
                                r->reply.code ? &r->reply : &forged);
    case REWRITTEN_UNKNOWN:
        return ACT_UNKNOWN;
    case REWRITTEN:
        break;
    }
    for (size_t i = 0; i < count; i++)
        (void)judgement_effect(
            j, of_sender ? EFFECT_REWRITE_FROM : EFFECT_REWRITE_TO, r, all[i]);
    return ACT_GOES_ON;
}

/* --- the table of actions --------------------------------------------------- */

static const struct action_row {
    enum act (*act)(struct judgement *j, const struct rule *r);
    bool is_of_recipient; /* not before there is one */
} actions[] = {
    /* clang-format off */
    [ACTION_RELAY]         = { relay,            false },
    [ACTION_REJECT]        = { reject,           false },
    [ACTION_DEFER]         = { defer,            false },
    [ACTION_DISCARD]       = { discard,          false },
    [ACTION_HOLD]          = { hold,             false },
    [ACTION_LIMIT]         = { limitation_act,   true },
    [ACTION_GREYLIST]      = { greylisting_act,  true },
    [ACTION_TAG]           = { tag,              false },
    [ACTION_ADD_HEADER]    = { add_header,       true },
    [ACTION_REMOVE_HEADER] = { remove_header,    false },
    [ACTION_REWRITE]       = { rewrite,          true },
    [ACTION_COPY]          = { copy,             false },
    [ACTION_ROUTE]         = { route,            false },
    [ACTION_POLICY]        = { delegating_act,   true },
    /* clang-format on */
};

enum act effects_act(struct judgement *j, const struct rule *r)
{
    const struct action_row *row = &actions[r->action];

    if (row->is_of_recipient && judgement_is_early(j))
        return ACT_LATER;
    return row->act(j, r);
}

/* --- for the log ------------------------------------------------------------ */

void effects_describe(struct buffer *b, const struct effect *e)
{
    if (showing_is_silent(e->kind) || e->kind == EFFECT_SHADOW)
        return;
    if (b->len)
        buffer_put(b, SPAN(", "));
    buffer_put_string(b, showing_effect(e->kind));
    if (e->text.len) {
        buffer_put_byte(b, ' ');
        buffer_put_escaped(b, e->text);
    }
}
