/*
 * greylisting - the action: asks for the notes, defers who is too early.
 *
 * The notes are remembered whatever becomes of the recipient (EFFECT_NOTE): a first knock
 * is deferred by its nature. Owns nothing.
 */
#include "policy/greylist.h"
#include "policy/asking.h"
#include "policy/judgement.h"

static void remember(struct judgement *j, const struct rule *r,
                     const struct buffer *key, const struct greylist_note *note)
{
    struct effect *e;

    if (!note->is_set)
        return;
    e = judgement_effect(j, EFFECT_NOTE, r,
                         judgement_keep(j, buffer_span(key)));
    e->value = judgement_keep(j, span_of(note->text));
    e->expire_ms = note->expire_ms;
}

static enum act put_off(struct judgement *j, const struct rule *r,
                        int64_t wait_ms)
{
    struct reply reply = REPLY(450, 4, 7, 1, "");
    struct buffer text = { 0 };

    if (r->reply.code)
        return judgement_decide(j, VERDICT_DEFER, r, &r->reply);
    buffer_printf(&text,
                  "<%%{recipient}>: Greylisted, try again in %lld seconds",
                  (long long)((wait_ms + 999) / 1000));
    reply.text = judgement_keep(j, buffer_span(&text));
    buffer_fini(&text);
    return judgement_decide(j, VERDICT_DEFER, r, &reply);
}

static enum act ask(struct judgement *j, const struct rule *r,
                    const struct buffer *pair, const struct buffer *client)
{
    struct span of_pair = SPAN(""), of_client = SPAN("");
    enum condition_said a = CONDITION_YES, b;
    struct greylist_answer answer;

    if (r->greylist.clients_after)
        a = asking_find(&j->q, EVIDENCE_NOTE, buffer_span(client), 0,
                        &of_client);
    b = asking_find(&j->q, EVIDENCE_NOTE, buffer_span(pair), 0, &of_pair);
    if (a == CONDITION_ASKS || b == CONDITION_ASKS)
        return ACT_ASKS;
    if (a != CONDITION_YES || b != CONDITION_YES)
        return ACT_UNKNOWN;
    answer = greylist_ask(r, of_pair, of_client, j->q.facts->now_ms);
    remember(j, r, pair, &answer.pair);
    remember(j, r, client, &answer.client);
    return answer.passes ? ACT_GOES_ON : put_off(j, r, answer.wait_ms);
}

enum act greylisting_act(struct judgement *j, const struct rule *r)
{
    const struct facts *f = j->q.facts;
    struct buffer pair = { 0 }, client = { 0 };
    enum act act;

    greylist_pair_key(&pair, &f->client, f->sender, f->recipient);
    greylist_client_key(&client, &f->client);
    act = ask(j, r, &pair, &client);
    buffer_fini(&pair);
    buffer_fini(&client);
    return act;
}
