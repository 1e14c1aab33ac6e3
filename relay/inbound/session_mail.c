/*
 * session_mail - MAIL: who sends, and under which terms.
 *
 * Grammar first, then limits, then whether the client may send as this. On a
 * submission listener a bare local part gets the origin's domain. RFC 5321 3.3;
 * the parameters' are named in parameters.c.
 */
#include "relay/inbound/session_private.h"

#include "policy/senders.h"
#include "policy/vocabulary/xtext.h"
#include "relay/inbound/command.h"
#include "relay/inbound/complete.h"

static void refuse_mail(struct session *s, struct reply reply,
                        struct span sender)
{
    session_refuse_for(s, SESSION_MAIL_REFUSED, &reply, sender, SPAN(""), NULL);
}

/* ---------------------------------------------------------- parameters ---- */

bool session_offers_release(const struct session *s)
{
    return s->listener->submission && s->settings->limits.future_release_ms > 0;
}

bool session_offers_verp(const struct session *s)
{
    return networks_have(&s->listener->verp, &s->client);
}

struct parameter_terms session_terms(const struct session *s, int64_t now_ms)
{
    unsigned offers = 0;

    if (s->extended)
        offers |= OFFERS_EXTENSIONS;
    if (session_offers_release(s))
        offers |= OFFERS_RELEASE;
    if (session_offers_verp(s))
        offers |= OFFERS_VERP;
    return (struct parameter_terms){
        .offers = offers,
        .smtputf8 = s->draft.envelope.smtputf8,
        .now_ms = now_ms,
        .release_most_ms = s->settings->limits.future_release_ms,
    };
}

struct reply session_parameter_reply(enum parameter_fault fault)
{
    switch (fault) {
    case PARAMETER_UNKNOWN:
        return REPLY(555, 5, 5, 4, "Error: unsupported parameter");
    case PARAMETER_TOO_SOON:
        return REPLY(555, 5, 5, 4, "Error: deliver-by time is too short");
    case PARAMETER_TOO_LATE:
        return REPLY(501, 5, 5, 4, "Error: too far in the future");
    case PARAMETER_OK:
    case PARAMETER_SYNTAX:
        break;
    }
    return REPLY(501, 5, 5, 4, "Error: bad parameter syntax");
}

/* ----------------------------------------------------------- the draft ---- */

struct address session_keep_address(struct session *s, struct address a)
{
    struct span text = arena_copy(&s->arena, a.text);

    /* Both borrow from text. */
    a.local.at = a.local.at ? text.at + (a.local.at - a.text.at) : NULL;
    a.domain.at = a.domain.at ? text.at + (a.domain.at - a.text.at) : NULL;
    a.text = text;
    return a;
}

static struct span decoded_envid(struct session *s, struct span xtext)
{
    struct buffer text = { 0 };
    struct span kept = { 0 };

    if (xtext_decode(xtext, &text) && text.len)
        kept = arena_copy(&s->arena, buffer_span(&text));
    buffer_fini(&text);
    return kept;
}

/* A stranger's mail never goes ahead of others' (RFC 6710 5.1). */
static int granted_priority(const struct session *s, int wanted)
{
    bool is_known = s->login.len || s->listener->submission;

    return is_known || wanted < 0 ? wanted : 0;
}

static void say_ok(struct session *s, int wanted)
{
    int granted = s->draft.envelope.priority;

    if (granted == wanted) {
        session_say(s, SPAN("250 2.1.0 Ok"));
        return;
    }
    buffer_printf(&s->output, "250 2.3.6 %d is the priority granted", granted);
    session_say(s, SPAN(""));
}

/* The draft stands; do the rules let its sender in? what: the priority that was wanted. */
static void judge_sender(struct session *s, void *what, int64_t now_ms)
{
    struct verdict v = session_judge(s, STAGE_SENDER, now_ms);

    if (v.kind == VERDICT_ASKS) {
        session_consult(s, v.questions, v.question_count, judge_sender, what,
                        now_ms);
    } else if (v.kind == VERDICT_REJECT || v.kind == VERDICT_DEFER) {
        session_refuse_for(s, SESSION_MAIL_REFUSED, &v.reply,
                           s->draft.sender.text, SPAN(""), v.rule);
        if (s->state == AT_READY)
            session_reset(s);
    } else {
        session_move(s, AT_MAIL);
        say_ok(s, *(const int *)what);
    }
}

static void begin_draft(struct session *s, const struct address *sender,
                        const struct mail_parameters *p, int64_t now_ms)
{
    struct draft *d = &s->draft;
    struct buffer tls = { 0 };
    int *wanted;

    session_reset(s);
    (void)session_circumstances(s, &tls);
    d->sender = session_keep_address(s, *sender);
    d->envelope = (struct envelope){
        .sender = d->sender.text,
        .body = p->body,
        .smtputf8 = p->smtputf8,
        .ret = p->ret,
        .envid = decoded_envid(s, p->envid),
        .client = s->client_text,
        .client_name = s->client_name,
        .helo = s->helo,
        .login = s->login,
        .listener = s->listener->title,
        .protocol = session_protocol(s, p->smtputf8),
        .tls = arena_copy(&s->arena, buffer_span(&tls)),
        .received_ms = now_ms,
        .release_ms = p->release_ms,
        .is_unvouched = p->is_unvouched,
        .priority = granted_priority(s, p->priority),
        .deliver_by_ms = p->deliver_by_ms,
        .deliver_by_mode = p->deliver_by_mode,
        .deliver_by_trace = p->deliver_by_trace,
        .verp = arena_copy(&s->arena, p->verp),
    };
    session_trust_fill(s, &d->envelope);
    s->declared_bytes = p->size;
    buffer_fini(&tls);
    wanted = arena_take(&s->arena, sizeof *wanted);
    *wanted = p->priority;
    judge_sender(s, wanted, now_ms);
}

/* ---------------------------------------------------------------- MAIL ---- */

bool session_may_send_as(const struct session *s, const struct address *a)
{
    return s->listener->auth == LISTENER_AUTH_NONE ||
           senders_allow(s->settings->senders, s->login, a);
}

/* The address is shown as it came: its grammar was checked. */
static void refuse_owner(struct session *s, const struct address *sender)
{
    struct buffer text = { .cap = LIMIT_REPLY_STORED };
    struct reply reply = REPLY(553, 5, 7, 1, "");

    buffer_printf(&text, "<%.*s>: Sender address rejected: not ",
                  SPAN_FMT(sender->text));
    if (s->login.len) {
        buffer_put(&text, SPAN("owned by user "));
        buffer_put_escaped(&text, s->login);
    } else {
        buffer_put(&text, SPAN("logged in"));
    }
    reply.text = buffer_span(&text);
    refuse_mail(s, reply, sender->text);
    buffer_fini(&text);
}

/* Path and parameters are good in themselves: are they good here? */
static void weigh_mail(struct session *s, const struct address *sender,
                       const struct mail_parameters *p, int64_t now_ms)
{
    if (sender->is_utf8 && !p->smtputf8)
        refuse_mail(s,
                    REPLY(553, 5, 6, 7, "Error: SMTPUTF8 is needed for this"),
                    sender->text);
    else if (p->verp.len && sender->text.len == 0)
        refuse_mail(s, REPLY(503, 5, 5, 4, "Error: XVERP needs a sender"),
                    sender->text);
    else if (p->size > s->settings->limits.message_bytes)
        refuse_mail(s, REPLY(552, 5, 3, 4, "Message size exceeds fixed limit"),
                    sender->text);
    else if (!session_may_send_as(s, sender))
        refuse_owner(s, sender);
    else if (!s->world->has_room(s->world->user, p->size))
        refuse_mail(s, REPLY(452, 4, 3, 1, "Insufficient system storage"),
                    sender->text);
    else
        begin_draft(s, sender, p, now_ms);
}

enum address_fault session_read_path(struct session *s, struct span path,
                                     enum path_kind kind, bool smtputf8,
                                     struct buffer *completed,
                                     struct address *out_address,
                                     struct span *out_rest)
{
    enum address_fault fault =
        address_parse_path(path, kind, smtputf8, out_address, out_rest);

    if (fault == ADDRESS_SYNTAX && s->listener->submission &&
        complete_path(path, s->settings->origin, completed))
        fault = address_parse_path(buffer_span(completed), kind, smtputf8,
                                   out_address, out_rest);
    return fault;
}

void session_mail_from(struct session *s, const struct verb_call *call)
{
    struct mail_parameters p = { 0 };
    struct parameter_terms terms = session_terms(s, call->now_ms);
    enum parameter_fault fault;
    struct address sender;
    struct span path, rest;
    struct buffer completed = { 0 };

    s->mails++;
    if (!command_path(call->argument, SPAN("FROM:"), &path))
        refuse_mail(s, REPLY(501, 5, 5, 4, "Syntax: MAIL FROM:<address>"),
                    SPAN(""));
    else if (session_read_path(s, path, PATH_REVERSE, true, &completed, &sender,
                               &rest))
        refuse_mail(s, REPLY(501, 5, 1, 7, "Bad sender address syntax"), path);
    else if ((fault = parameters_of_mail(rest, &terms, &p)))
        refuse_mail(s, session_parameter_reply(fault), sender.text);
    else
        weigh_mail(s, &sender, &p, call->now_ms);
    buffer_fini(&completed);
}
