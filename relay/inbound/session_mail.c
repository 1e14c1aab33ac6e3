/*
 * session_mail - MAIL and RCPT: the envelope of the draft.
 *
 * Grammar first, then limits, then the judge, then the route; the first that
 * says no is the answer. Refused recipients leave nothing in the draft. The
 * same address given twice is accepted twice and delivered once. RFC 5321 3.3.
 */
#include "relay/inbound/session_private.h"

#include "policy/vocabulary/memory.h"
#include "relay/inbound/command.h"

/* ---------------------------------------------------------------- MAIL ---- */

static void refuse_mail(struct session *s, struct reply reply,
                        struct span sender)
{
    session_refuse_for(s, SESSION_MAIL_REFUSED, &reply, sender, SPAN(""), NULL);
}

static struct reply parameter_reply(enum parameter_fault fault)
{
    return fault == PARAMETER_UNKNOWN
               ? REPLY(555, 5, 5, 4, "Error: unsupported parameter")
               : REPLY(501, 5, 5, 4, "Error: bad parameter syntax");
}

/* The address again, in memory that lives as long as the draft. */
static struct address keep_address(struct session *s, struct address a)
{
    struct span text = arena_copy(&s->arena, a.text);

    /* Both borrow from text. */
    a.local.at = a.local.at ? text.at + (a.local.at - a.text.at) : NULL;
    a.domain.at = a.domain.at ? text.at + (a.domain.at - a.text.at) : NULL;
    a.text = text;
    return a;
}

static void begin_draft(struct session *s, const struct address *sender,
                        const struct mail_parameters *p, int64_t now_ms)
{
    struct draft *d = &s->draft;

    session_reset(s);
    d->sender = keep_address(s, *sender);
    d->envelope = (struct envelope){
        .sender = d->sender.text,
        .body = p->body,
        .smtputf8 = p->smtputf8,
        .client = s->client_text,
        .client_name = s->client_name,
        .helo = s->helo,
        .listener = s->listener->title,
        .login = s->login,
        .protocol = session_protocol(s, p->smtputf8),
        .received_ms = now_ms,
    };
    session_trust_fill(s, &d->envelope);
    s->declared_bytes = p->size;
    session_move(s, AT_MAIL);
    session_say(s, SPAN("250 2.1.0 Ok"));
}

void session_mail_from(struct session *s, const struct verb_call *call)
{
    struct mail_parameters p = { 0 };
    enum parameter_fault fault;
    struct address sender;
    struct span path, rest;

    if (!command_path(call->argument, SPAN("FROM:"), &path)) {
        refuse_mail(s, REPLY(501, 5, 5, 4, "Syntax: MAIL FROM:<address>"),
                    SPAN(""));
        return;
    }
    if (address_parse_path(path, PATH_REVERSE, true, &sender, &rest)) {
        refuse_mail(s, REPLY(501, 5, 1, 7, "Bad sender address syntax"), path);
        return;
    }
    if ((fault = command_mail_parameters(rest, s->extended, &p)))
        refuse_mail(s, parameter_reply(fault), sender.text);
    else if (sender.is_utf8 && !p.smtputf8)
        refuse_mail(s,
                    REPLY(553, 5, 6, 7, "Error: SMTPUTF8 is needed for this"),
                    sender.text);
    else if (p.size > s->settings->limits.message_bytes)
        refuse_mail(s, REPLY(552, 5, 3, 4, "Message size exceeds fixed limit"),
                    sender.text);
    else if (!s->world->has_room(s->world->user, p.size))
        refuse_mail(s, REPLY(452, 4, 3, 1, "Insufficient system storage"),
                    sender.text);
    else
        begin_draft(s, &sender, &p, call->now_ms);
}

/* ---------------------------------------------------------------- RCPT ---- */

static void refuse_rcpt(struct session *s, const struct reply *reply,
                        struct span recipient, const struct rule *rule)
{
    s->refused_recipients++;
    session_refuse_for(s, SESSION_RCPT_REFUSED, reply, s->draft.sender.text,
                       recipient, rule);
}

/*
 * More recipients than we take in one go is not the client's fault (RFC 5321
 * 4.5.3.1.10), so as many again are refused without counting as errors.
 */
static void refuse_surplus(struct session *s, struct span recipient)
{
    static const struct reply full =
        REPLY(452, 4, 5, 3, "Error: too many recipients");
    struct session_event e = {
        .kind = SESSION_RCPT_REFUSED,
        .stage = s->stage,
        .reply = full,
        .sender = s->draft.sender.text,
        .recipient = recipient,
    };

    if (s->refused_recipients >= s->settings->limits.recipients) {
        refuse_rcpt(s, &full, recipient, NULL);
        return;
    }
    s->refused_recipients++;
    reply_write(&s->output, &full);
    s->world->tell(s->world->user, &e);
}

/* Domains without case, local parts as they are. FNV-1a. */
static uint32_t recipient_hash(const struct address *a)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < a->local.len; i++)
        h = (h ^ (unsigned char)a->local.at[i]) * 16777619u;
    for (size_t i = 0; i < a->domain.len; i++)
        h = (h ^ (unsigned char)ascii_lower(a->domain.at[i])) * 16777619u;
    return h;
}

static bool is_in_draft(const struct session *s, const struct address *a,
                        uint32_t hash)
{
    for (size_t i = 0; i < s->draft.count; i++) {
        const struct address *b = &s->draft.recipients[i].address;

        if (s->recipient_hashes[i] == hash && span_is(a->local, b->local) &&
            span_is_nocase(a->domain, b->domain))
            return true;
    }
    return false;
}

static void add_recipient(struct session *s, const struct address *a,
                          uint32_t hash, const struct verdict *v)
{
    struct draft *d = &s->draft;

    if (d->count == s->recipient_room) {
        size_t room = s->recipient_room ? s->recipient_room * 2 : 2;

        d->recipients =
            memory_grow(d->recipients, room * sizeof *d->recipients);
        s->recipient_hashes =
            memory_grow(s->recipient_hashes, room * sizeof(uint32_t));
        s->recipient_room = room;
    }
    s->recipient_hashes[d->count] = hash;
    d->recipients[d->count++] = (struct draft_recipient){
        .address = keep_address(s, *a),
        .hold = v->hold,
        .discard = v->kind == VERDICT_DISCARD,
        .rule = v->rule,
    };
    session_move(s, AT_RCPT);
    session_say(s, SPAN("250 2.1.5 Ok"));
}

static void refuse_by_verdict(struct session *s, const struct verdict *v,
                              const struct facts *facts)
{
    struct buffer text = { .cap = LIMIT_REPLY_STORED };
    struct reply reply = v->reply;

    verdict_text(&text, v->reply.text, facts, v->rule);
    reply.text = buffer_span(&text);
    refuse_rcpt(s, &reply, facts->recipient->text, v->rule);
    buffer_fini(&text);
}

/* Accepts, or says why not. A postmaster whose address is configured is always
 * heard (RFC 5321 4.5.1), so nobody is judged. */
static void weigh(struct session *s, const struct address *a, bool is_ours)
{
    struct facts facts = {
        .client = s->client,
        .helo = s->helo,
        .login = s->login,
        .tls = s->tls != NULL,
        .certificate = s->tls ? s->tls->fingerprint : SPAN(""),
        .certificate_name = s->tls ? s->tls->name : SPAN(""),
        .listener = s->listener->title,
        .sender = &s->draft.sender,
        .recipient = a,
    };
    struct verdict v = { .kind = VERDICT_RELAY };
    uint32_t hash = recipient_hash(a);

    if (is_in_draft(s, a, hash)) {
        session_say(s, SPAN("250 2.1.5 Ok"));
        return;
    }
    if (s->draft.count >= s->settings->limits.recipients) {
        refuse_surplus(s, a->text);
        return;
    }
    if (!is_ours)
        v = judge_recipient(s->settings, &facts);
    if (v.kind == VERDICT_REJECT || v.kind == VERDICT_DEFER)
        refuse_by_verdict(s, &v, &facts);
    else if (v.kind == VERDICT_RELAY &&
             !s->world->has_route(s->world->user, s->draft.sender.text, a))
        refuse_rcpt(s, &REPLY(451, 4, 3, 5, "Server configuration problem"),
                    a->text, NULL);
    else
        add_recipient(s, a, hash, &v);
}

/* "postmaster" alone: who is that here? */
static void weigh_postmaster(struct session *s, const struct address *bare)
{
    struct buffer text = { 0 };
    struct span configured = s->settings->postmaster;
    struct address a;
    bool is_ours =
        configured.len && address_parse(configured, &a) == ADDRESS_OK;

    if (!is_ours) {
        buffer_put(&text, bare->local);
        buffer_put_byte(&text, '@');
        buffer_put(&text, s->settings->origin.len ? s->settings->origin
                                                  : s->settings->hostname);
    }
    if (is_ours || address_parse(buffer_span(&text), &a) == ADDRESS_OK)
        weigh(s, &a, is_ours);
    else
        refuse_rcpt(s, &REPLY(451, 4, 3, 5, "Server configuration problem"),
                    bare->text, NULL);
    buffer_fini(&text);
}

void session_mail_to(struct session *s, const struct verb_call *call)
{
    enum parameter_fault parameters;
    enum address_fault fault;
    struct address a;
    struct span path, rest;

    if (!command_path(call->argument, SPAN("TO:"), &path)) {
        refuse_rcpt(s, &REPLY(501, 5, 5, 4, "Syntax: RCPT TO:<address>"),
                    SPAN(""), NULL);
        return;
    }
    fault = address_parse_path(path, PATH_FORWARD, s->draft.envelope.smtputf8,
                               &a, &rest);
    if (fault == ADDRESS_NEEDS_UTF8)
        refuse_rcpt(s,
                    &REPLY(553, 5, 6, 7, "Error: SMTPUTF8 is needed for this"),
                    path, NULL);
    else if (fault)
        refuse_rcpt(s, &REPLY(501, 5, 1, 3, "Bad recipient address syntax"),
                    path, NULL);
    else if ((parameters = command_rcpt_parameters(rest))) {
        struct reply reply = parameter_reply(parameters);

        refuse_rcpt(s, &reply, a.text, NULL);
    } else if (a.domain.len == 0)
        weigh_postmaster(s, &a);
    else
        weigh(s, &a, false);
}
