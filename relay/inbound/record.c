/*
 * record - verdicts, as the history and `waypost replay` want to know them.
 */
#include "relay/inbound/record.h"

#include "relay/net/scorecard.h"

/* "FILE:LINE"; nothing for no rule. */
static void put_place(struct buffer *b, const struct rule *r)
{
    if (r)
        buffer_printf(b, "%s:%u", r->place.file, r->place.line);
}

static struct span title_of(const struct rule *r)
{
    return r ? r->title : SPAN("");
}

const struct rule *record_holder(const struct draft_recipient *r)
{
    if (r->verdict.hold_rule)
        return r->verdict.hold_rule;
    return r->at_content ? r->at_content->hold_rule : NULL;
}

/* What ORCPT says, where it is an address of ours to look for and not one of these. */
static struct span first_address(struct span orcpt, struct span to,
                                 struct span asked_to)
{
    struct span address, type = span_split(orcpt, ';', &address);

    if (!span_is_nocase(type, SPAN("rfc822")) &&
        !span_is_nocase(type, SPAN("utf-8")))
        return SPAN("");
    return span_is_nocase(address, to) || span_is_nocase(address, asked_to)
               ? SPAN("")
               : address;
}

void record_ruling(struct buffer *b, const struct draft *d,
                   const struct draft_recipient *r,
                   const struct record_addresses *now)
{
    struct buffer place = { 0 };
    struct queue_ruling ruling = {
        .rule = title_of(r->rule),
        .held_by = title_of(r->hold ? record_holder(r) : NULL),
    };

    ruling.orig_to = first_address(now->orcpt, now->to, r->address.text);
    if (r->rule) { /* else our own postmaster: nobody was asked */
        put_place(&place, r->rule);
        ruling.place = buffer_span(&place);
    }
    if (r->rule && !span_is(now->to, r->address.text))
        ruling.asked_to = r->address.text;
    if (r->rule && !span_is(now->from, d->sender.text))
        ruling.asked_from = d->sender.text.len ? d->sender.text : SPAN("<>");
    queue_ruling_put(b, &ruling);
    buffer_fini(&place);
}

static void record_discard(struct queue *q, const struct draft *d,
                           const struct draft_recipient *r)
{
    const struct envelope *e = &d->envelope;
    struct buffer place = { 0 };

    put_place(&place, r->rule);
    queue_refuse(q, &(struct queue_refusal){
                        .at_ms = e->received_ms,
                        .client = e->client,
                        .client_name = e->client_name,
                        .helo = e->helo,
                        .login = e->login,
                        .listener = e->listener,
                        .tls = e->tls,
                        .sender = d->sender.text,
                        .recipient = r->address.text,
                        .size_bytes = e->size_bytes,
                        .stage = SPAN("RCPT"),
                        .reply = SPAN("250 2.0.0 discarded"),
                        .rule = title_of(r->rule),
                        .place = buffer_span(&place),
                        .is_verdict = true,
                    });
    buffer_fini(&place);
}

void record_accepted(const struct worker *w, const struct draft *d)
{
    for (size_t i = 0; i < d->count; i++) {
        const struct draft_recipient *r = &d->recipients[i];

        scorecard_add(w->scores, title_of(r->rule), 250);
        if (r->discard)
            record_discard(w->queue, d, r);
    }
}

/* Nothing but the rules says this of a recipient. */
static bool is_denial(const struct session_event *e)
{
    const struct status *status = &e->reply.status;

    return e->kind == SESSION_RCPT_REFUSED && e->reply.code == 554 &&
           status->class == 5 && status->subject == 7 && status->detail == 1;
}

void record_refusal(const struct worker *w, const struct session *s,
                    const struct session_event *e, struct span client,
                    struct span reply)
{
    struct buffer place = { 0 }, tls = { 0 };
    struct queue_refusal r = {
        .at_ms = wall_ms(),
        .client = client,
        .sender = e->sender,
        .recipient = e->recipient,
        .reply = reply,
        .stage = span_of(e->stage),
        .rule = title_of(e->rule),
        .is_verdict = e->rule || is_denial(e),
    };

    put_place(&place, e->rule);
    r.place = buffer_span(&place);
    if (s) {
        struct session_circumstances c = session_circumstances(s, &tls);

        r.client_name = session_client_name(s);
        r.helo = session_helo(s);
        r.login = c.login;
        r.listener = c.listener;
        r.tls = buffer_span(&tls);
        r.size_bytes = c.size_bytes;
    }
    scorecard_add(w->scores, r.rule, e->reply.code);
    queue_refuse(w->queue, &r);
    buffer_fini(&place);
    buffer_fini(&tls);
}
