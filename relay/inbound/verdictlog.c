/*
 * verdictlog - what rules did to an accepted message, a line each.
 *
 * What the same rule did to one recipient after the other is told once, with the
 * first of them; but held and discarded ones are told of each. Owns nothing.
 */
#include "relay/inbound/verdictlog.h"

#include "relay/inbound/record.h"
#include "relay/net/log.h"

static void put(const struct draft *d, const struct draft_recipient *r,
                const char *what, const struct rule *rule, struct span text)
{
    log_put(&(struct log_line){ .event = LOG_VERDICT,
                                .id = d->id,
                                .recipient = r->address.text,
                                .status = span_of(what),
                                .text = text,
                                .rule = rule ? rule->title : SPAN(""),
                                .place =
                                    rule ? rule->place : (struct place){ 0 } });
}

static void put_discarded(const struct draft *d,
                          const struct draft_recipient *r)
{
    struct buffer why = { 0 };

    buffer_put_string(&why, "discarded by rule \"");
    buffer_put(&why, r->rule->title);
    buffer_put_string(&why, "\" ");
    record_place(&why, r->rule);
    log_put(&(struct log_line){ .event = LOG_DELIVERY,
                                .id = d->id,
                                .recipient = r->address.text,
                                .relay = SPAN("none"),
                                .dsn = STATUS(2, 0, 0),
                                .status = SPAN("discarded"),
                                .text = buffer_span(&why) });
    buffer_fini(&why);
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
            put(d, r, "tag", e->rule, e->text);
    }
}

void verdictlog_put(const struct draft *d)
{
    for (size_t i = 0; i < d->count; i++) {
        const struct draft_recipient *r = &d->recipients[i];
        const struct draft_recipient *before = i ? r - 1 : NULL;

        put_effects(d, r, &r->verdict, before ? &before->verdict : NULL);
        put_effects(d, r, r->at_content, before ? before->at_content : NULL);
        if (r->discard)
            put_discarded(d, r);
        else if (r->hold)
            put(d, r, "hold", record_holder(r), SPAN(""));
    }
}
