/*
 * session_facts - what policy is told of a session and its mail.
 *
 * All in one place, so that no two stages differ in what they know. Owns nothing; the
 * queue id's text is the draft's.
 */
#include "relay/inbound/session_private.h"

#include "relay/net/date.h"

void session_ends(struct session *s)
{
    if (!s->has_ends)
        s->world->ends(s->world->user, &s->ends);
    s->has_ends = true;
}

struct facts session_facts(const struct session *s)
{
    struct facts facts = {
        .client = s->client,
        .helo = s->helo,
        .login = s->login,
        .mechanism = span_of(s->mechanism),
        .tls = s->tls != NULL,
        .listener = s->listener->title,
        .srs_secrets = s->srs_secrets,
        .session = span_of(s->name.at),
        .protocol = s->extended ? SPAN("ESMTP") : SPAN("SMTP"),
    };

    if (!s->tls)
        return facts;
    facts.tls_version = span_of(s->tls->protocol);
    facts.tls_bits = (unsigned)s->tls->bits;
    facts.cipher = span_of(s->tls->cipher);
    facts.certificate = session_certificate(s);
    if (facts.certificate.len)
        facts.certificate_name = s->tls->name;
    return facts;
}

struct session_circumstances
session_circumstances(const struct session *s, struct buffer *tls)
{
    struct facts facts = session_facts(s);

    if (facts.tls)
        buffer_printf(tls, "%.*s %u", SPAN_FMT(facts.tls_version),
                      facts.tls_bits);
    if (facts.certificate.len) {
        buffer_put_byte(tls, ' ');
        buffer_put(tls, facts.certificate);
        buffer_put_byte(tls, ' ');
        buffer_put(tls, facts.certificate_name);
    }
    return (struct session_circumstances){
        .login = s->login,
        .listener = s->listener->title,
        .size_bytes = s->draft.sender.text.at ? s->declared_bytes : 0,
    };
}

static void add_mail(struct facts *facts, struct session *s)
{
    const struct draft *d = &s->draft;

    facts->sender = &d->sender;
    facts->size_bytes = s->declared_bytes;
    facts->recipient_count = (unsigned)d->count;
    if (d->id)
        facts->queue_id = arena_copy(&s->arena, span_of(id_print(d->id).at));
    session_ends(s);
    facts->client_port = s->ends.client_port;
    facts->server_port = s->ends.server_port;
    facts->server = s->ends.server;
}

struct facts session_facts_at(struct session *s, enum stage stage,
                              int64_t now_ms)
{
    struct facts facts = session_facts(s);

    facts.stage = stage;
    facts.now_ms = now_ms;
    date_local(now_ms, &facts.minute, &facts.weekday);
    facts.evidence = session_consult_evidence(s);
    if (stage != STAGE_CONNECT && stage != STAGE_HELLO)
        add_mail(&facts, s);
    return facts;
}
