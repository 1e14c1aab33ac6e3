/*
 * explanation - what would be said to this client, sender and recipient, and why?
 *
 * Here it begins and ends, and answers are put down; what is asked when, and what comes of
 * it, is in explanation_stations.c.
 */
#include "policy/explanation.h"

#include "policy/digest.h"
#include "policy/ourselves.h"
#include "policy/vocabulary/memory.h"

#include <stdlib.h>

/* --- answers ---------------------------------------------------------------- */

static void answer_add(struct explanation *x, const struct evidence_question *q,
                       enum explained_how how)
{
    struct explained_answer *all;

    if (x->answer_count == x->answer_room) {
        x->answer_room = x->answer_room ? x->answer_room * 2 : 8;
        all = arena_take(&x->kept, x->answer_room * sizeof *all);
        if (x->answer_count)
            memcpy(all, x->answers, x->answer_count * sizeof *all);
        x->answers = all;
    }
    all = (struct explained_answer *)x->answers + x->answer_count++;
    *all = (struct explained_answer){ .kind = q->kind,
                                      .how = how,
                                      .key = arena_copy(&x->kept, q->key),
                                      .rule = q->rule,
                                      .rate = q->rate };
}

void explanation_assume(struct explanation *x,
                        const struct evidence_question *q)
{
    struct buffer text = { 0 };

    switch (q->kind) {
    case EVIDENCE_NAME:      /* it has none */
    case EVIDENCE_ADDRESSES: /* not listed */
    case EVIDENCE_NOTE:      /* not seen before */
        break;
    case EVIDENCE_BUDGET:
        buffer_printf(&text, "%llu",
                      (unsigned long long)q->rule->limit.rates[q->rate].amount);
        break;
    case EVIDENCE_COUNT:
        buffer_put_byte(&text, '0');
        break;
    case EVIDENCE_SERVER:
        buffer_put_string(&text, "DUNNO");
        break;
    case EVIDENCE_MAILBOX:
        buffer_put_string(&text, "yes");
        break;
    case EVIDENCE_CHARGE:
    case EVIDENCE_KINDS:
        break;
    }
    evidence_put(x->evidence, q->kind, q->key, EVIDENCE_ANSWERED,
                 buffer_span(&text));
    answer_add(x, q, TOLD_ASSUMED);
    buffer_fini(&text);
}

static bool is_told(const struct explanation *x,
                    const struct evidence_question *q)
{
    for (size_t i = 0; i < x->answer_count; i++)
        if (x->answers[i].kind == q->kind && span_is(x->answers[i].key, q->key))
            return true;
    return false;
}

void explanation_asked(struct explanation *x,
                       const struct evidence_question *all, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct span answer;
        enum evidence_state state =
            evidence_find(x->evidence, all[i].kind, all[i].key, &answer);

        if (state == EVIDENCE_NOT_ASKED)
            evidence_put(x->evidence, all[i].kind, all[i].key, EVIDENCE_FAILED,
                         SPAN(""));
        if (!is_told(x, &all[i]))
            answer_add(x, &all[i],
                       state == EVIDENCE_ANSWERED ? TOLD_ASKED : TOLD_FAILED);
    }
}

bool explanation_is_conditional(const struct explanation *x)
{
    for (size_t i = 0; i < x->answer_count; i++)
        if (x->answers[i].how == TOLD_ASSUMED)
            return true;
    return false;
}

/* --- beginning and end ------------------------------------------------------ */

struct explanation *explanation_new(struct settings *s,
                                    const struct facts *facts)
{
    struct explanation *x = NEW(struct explanation);

    x->settings = settings_hold(s);
    x->facts = *facts;
    for (size_t i = 0; i < s->listener_count; i++)
        if (span_is(s->listeners[i].title, facts->listener))
            x->listener = &s->listeners[i];
    x->rules = arena_take(&x->kept, s->rule_count * sizeof *x->rules);
    x->evidence = evidence_new();
    x->is_ours = is_our_postmaster(s, facts->recipient);
    x->postmaster = *facts->recipient;
    x->has_postmaster =
        x->is_ours && our_postmaster(s, &x->postmaster, &x->postmaster_text);
    return x;
}

void explanation_free(struct explanation *x)
{
    if (!x)
        return;
    digest_free(x->digest);
    evidence_free(x->evidence);
    arena_reset(&x->arena);
    arena_reset(&x->kept);
    settings_release(x->settings);
    buffer_fini(&x->postmaster_text);
    free(x);
}

void explanation_message(struct explanation *x, struct span content)
{
    x->has_message = true;
    if (!digest_is_wanted(x->settings))
        return;
    x->digest = digest_new(x->settings);
    digest_feed(x->digest, content);
    digest_end(x->digest);
}
