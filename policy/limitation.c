/*
 * limitation - so much in such a time, and no more.
 *
 * What is left of each rate is asked of the caller (EVIDENCE_BUDGET); nothing is taken here.
 * With enough left in all of them the charges are effects of the verdict, so a recipient
 * that a later rule refuses costs nothing. Recipients are counted with each RCPT; messages
 * and bytes are held against the budget there too, but taken when the message is here.
 * What is larger than a whole rate needs all of it: it passes when nothing else did.
 *
 * Owns nothing.
 */
#include "policy/asking.h"
#include "policy/judgement.h"

static const struct reply over_deferred = REPLY(
    450, 4, 7, 1, "<%{recipient}>: Too much mail for now, try again later");
static const struct reply over_rejected =
    REPLY(554, 5, 7, 1, "<%{recipient}>: Too much mail");

/* Does it count when the message is accepted, not with each recipient? */
static bool is_at_end(const struct rule *r)
{
    return r->limit.count != LIMIT_OF_RECIPIENTS;
}

static void put_lower(struct buffer *b, struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        buffer_put_byte(b, ascii_lower(s.at[i]));
}

/* Addresses and domains as they are compared; the null sender is one too. */
static void put_subject(struct buffer *b, struct subject *s, bool whole)
{
    if (s->address->text.len == 0) {
        buffer_put(b, SPAN("<>"));
        return;
    }
    subject_fold(s);
    buffer_put(b, whole ? s->mailbox : s->domain);
}

/* "limit\tTITLE\tVALUE\t"; false: it does not concern this client. */
static bool put_key(struct buffer *b, struct judgement *j, const struct rule *r)
{
    const struct facts *f = j->q.facts;

    buffer_put_string(b, "limit\t");
    buffer_put(b, r->title);
    buffer_put_byte(b, '\t');
    switch (r->limit.per) {
    case LIMIT_PER_CLIENT:
        host_network_print(b, &f->client, 32, 64);
        break;
    case LIMIT_PER_LOGIN:
        put_lower(b, f->login);
        break;
    case LIMIT_PER_FROM:
        put_subject(b, &j->q.sender, true);
        break;
    case LIMIT_PER_FROM_DOMAIN:
        put_subject(b, &j->q.sender, false);
        break;
    case LIMIT_PER_TO_DOMAIN:
        put_subject(b, &j->q.recipient, false);
        break;
    }
    buffer_put_byte(b, '\t');
    return r->limit.per != LIMIT_PER_LOGIN || f->login.len;
}

static uint64_t amount_of(const struct judgement *j, const struct rule *r)
{
    if (r->limit.count != LIMIT_OF_BYTES)
        return 1;
    /* a size that was not declared is one byte until it is known */
    return j->q.facts->size_bytes ? j->q.facts->size_bytes : 1;
}

static enum act go_over(struct judgement *j, const struct rule *r)
{
    switch (r->limit.over) {
    case LIMIT_DEFERS:
        return judgement_decide(j, VERDICT_DEFER, r,
                                r->reply.code ? &r->reply : &over_deferred);
    case LIMIT_REJECTS:
        return judgement_decide(j, VERDICT_REJECT, r,
                                r->reply.code ? &r->reply : &over_rejected);
    case LIMIT_HOLDS:
        break;
    }
    (void)judgement_effect(j, EFFECT_HOLD, r, SPAN(""));
    j->verdict.hold = true;
    if (!j->verdict.hold_rule)
        j->verdict.hold_rule = r;
    return ACT_GOES_ON;
}

/* Is there as much left? The key is that of the rate. */
static enum condition_said is_left(struct judgement *j, struct span key,
                                   size_t rate, uint64_t amount)
{
    struct span answer;
    uint64_t left;
    enum condition_said said =
        asking_find(&j->q, EVIDENCE_BUDGET, key, rate, &answer);

    if (said != CONDITION_YES)
        return said;
    if (!span_number(answer, &left))
        return CONDITION_UNKNOWN;
    return left >= amount ? CONDITION_YES : CONDITION_NO;
}

static enum act weigh(struct judgement *j, const struct rule *r,
                      struct buffer *key)
{
    bool takes = j->q.facts->stage == STAGE_CONTENT || !is_at_end(r);
    size_t before = j->effect_count, length = key->len;
    enum act act = ACT_GOES_ON;

    for (size_t i = 0; i < r->limit.rate_count; i++) {
        uint64_t most = r->limit.rates[i].amount, amount = amount_of(j, r);
        struct effect *e;

        amount = amount < most ? amount : most;
        key->len = length;
        buffer_printf(key, "%zu", i);
        switch (is_left(j, buffer_span(key), i, amount)) {
        case CONDITION_NO:
            j->effect_count = before;
            return go_over(j, r);
        case CONDITION_UNKNOWN:
        case CONDITION_LATER:
            act = act == ACT_ASKS ? act : ACT_UNKNOWN;
            continue;
        case CONDITION_ASKS:
            act = ACT_ASKS;
            continue;
        case CONDITION_YES:
            break;
        }
        if (!takes)
            continue;
        e = judgement_effect(j, EFFECT_CHARGE, r,
                             judgement_keep(j, buffer_span(key)));
        e->amount = amount;
        e->rate = i;
    }
    return act;
}

enum act limitation_act(struct judgement *j, const struct rule *r)
{
    struct buffer key = { 0 };
    enum act act = ACT_GOES_ON;

    if (put_key(&key, j, r))
        act = weigh(j, r, &key);
    buffer_fini(&key);
    if (act == ACT_GOES_ON && is_at_end(r) &&
        j->q.facts->stage == STAGE_RECIPIENT)
        rule_list_add(&j->at_end, j->q.arena, r);
    return act;
}
