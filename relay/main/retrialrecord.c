/*
 * retrialrecord - what a record of the past says, as facts for the judge.
 */
#include "relay/main/retrialrecord.h"

#include "relay/net/date.h"

static void read_tls(struct facts *f, struct span tls)
{
    struct span rest, bits;
    uint64_t n;

    f->tls = tls.len > 0;
    f->tls_version = span_split(tls, ' ', &rest);
    bits = span_split(rest, ' ', &rest);
    if (span_number(bits, &n))
        f->tls_bits = (unsigned)n;
    f->certificate = span_split(rest, ' ', &rest);
    f->certificate_name = rest;
}

/* The stage at which somebody without a recipient was turned away; RECIPIENT: none of them. */
static enum stage early_stage(struct span said)
{
    static const struct {
        struct span name;
        enum stage stage;
    } rows[] = {
        { SPAN_INIT("CONNECT"), STAGE_CONNECT },
        { SPAN_INIT("HELO"), STAGE_HELLO },
        { SPAN_INIT("EHLO"), STAGE_HELLO },
        { SPAN_INIT("MAIL"), STAGE_SENDER },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (span_is(rows[i].name, said))
            return rows[i].stage;
    return STAGE_RECIPIENT;
}

bool retrialrecord_read(struct retrialrecord *x, const struct queue_past *p)
{
    struct facts *f = &x->facts;
    bool has_sender = true;

    *x = (struct retrialrecord){ .sender = { .text = SPAN("") } };
    *f = (struct facts){
        .helo = p->helo,
        .login = p->login,
        .listener = p->listener,
        .size_bytes = p->size_bytes,
        .now_ms = p->at_ms,
        .protocol = SPAN("ESMTP"),
    };
    date_local(p->at_ms, &f->minute, &f->weekday);
    read_tls(f, p->tls);
    if (!host_address_parse(p->client, &f->client))
        return false;
    if (p->recipient.len == 0) {
        f->stage = early_stage(p->stage);
        has_sender = f->stage == STAGE_SENDER;
        if (f->stage == STAGE_RECIPIENT)
            return false;
    } else if (address_parse(p->recipient, &x->recipient) != ADDRESS_OK) {
        return false;
    } else {
        f->recipient = &x->recipient;
    }
    if (p->sender.len && address_parse(p->sender, &x->sender) != ADDRESS_OK)
        return false;
    if (has_sender)
        f->sender = &x->sender;
    return true;
}

enum fate retrialrecord_fate(const struct queue_past *p)
{
    if (!p->is_refusal)
        return p->ruling.held_by.len ? FATE_HELD : FATE_ACCEPTED;
    if (p->reply.len && p->reply.at[0] == '2')
        return FATE_DISCARDED;
    return p->reply.len && p->reply.at[0] == '4' ? FATE_DEFERRED : FATE_REFUSED;
}

bool retrialrecord_is_verdict(const struct queue_past *p)
{
    static const struct span denied = SPAN_INIT("Relay access denied");

    if (!p->is_refusal)
        return p->ruling.rule.len || !p->is_recorded;
    if (p->is_recorded)
        return p->is_verdict;
    return p->ruling.rule.len || span_ends_nocase(p->reply, denied);
}
