/*
 * verdictlog - what rules did to an accepted message, a line each.
 *
 * The lines have the shape of a refusal, but begin with the message's id, so that what counts
 * refusals counts held and discarded mail too.
 *
 * What the same rule did to one recipient after the other is told once, with the
 * first of them; but held and discarded ones are told of each. Owns nothing.
 */
#include "relay/inbound/verdictlog.h"

#include "relay/inbound/record.h"
#include "relay/net/log.h"

/* text: what became of it. */
static void put(const struct draft *d, const struct draft_recipient *r,
                const char *what, const struct rule *rule, bool at_content,
                struct span text)
{
    const struct envelope *e = &d->envelope;
    struct buffer said = { 0 };

    buffer_put_string(&said, "<");
    buffer_put(&said, r->address.text);
    buffer_put_string(&said, ">: ");
    buffer_put(&said, text);
    log_put(&(struct log_line){
        .event = LOG_VERDICT,
        .id = d->id,
        .status = span_of(what),
        .stage = at_content ? SPAN("END-OF-DATA") : SPAN("RCPT"),
        .host = e->client_name,
        .address = e->client,
        .text = buffer_span(&said),
        .sender = d->sender.text,
        .recipient = r->address.text,
        .protocol = e->protocol,
        .helo = e->helo,
        .login = e->login,
        .rule = rule ? rule->title : SPAN(""),
        .place = rule ? rule->place : (struct place){ 0 } });
    buffer_fini(&said);
}

static bool has(const struct verdict *v, const struct effect *e)
{
    for (size_t i = 0; v && i < v->effect_count; i++)
        if (v->effects[i].kind == e->kind && v->effects[i].rule == e->rule &&
            span_is(v->effects[i].text, e->text))
            return true;
    return false;
}

static void put_effects(const struct draft *d, const struct draft_recipient *r,
                        const struct verdict *v, const struct verdict *before)
{
    for (size_t i = 0; v && v != before && i < v->effect_count; i++) {
        const struct effect *e = &v->effects[i];

        if (e->kind == EFFECT_TAG && !has(before, e))
            put(d, r, "tag", e->rule, v == r->at_content, e->text);
    }
}

static void put_end(const struct draft *d, const struct draft_recipient *r)
{
    const struct verdict *late = r->at_content;

    if (r->discard)
        put(d, r, "discard", r->rule, late && late->kind == VERDICT_DISCARD,
            SPAN("discarded"));
    else if (r->hold)
        put(d, r, "hold", record_holder(r), !r->verdict.hold_rule,
            SPAN("held"));
}

void verdictlog_put(const struct draft *d)
{
    for (size_t i = 0; i < d->count; i++) {
        const struct draft_recipient *r = &d->recipients[i];
        const struct draft_recipient *before = i ? r - 1 : NULL;

        put_effects(d, r, &r->verdict, before ? &before->verdict : NULL);
        put_effects(d, r, r->at_content, before ? before->at_content : NULL);
        put_end(d, r);
    }
}
