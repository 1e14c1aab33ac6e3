/*
 * session_rcpt - RCPT: to whom the draft goes.
 *
 * Grammar first, then limits, then the judge, then the route, then whether the
 * recipient is known there, then what its rules charge for it; the first that
 * says no is the answer. Where one of them needs an answer from outside the
 * recipient waits, and is weighed once more from the top with it. Refused recipients leave nothing in the draft. The
 * same address given twice is accepted twice and delivered once. Our postmaster
 * is never refused as relay, and goes where the configuration says; what was
 * said for it stays known as the original recipient. RFC 5321 3.3, 4.5.1.
 */
#include "relay/inbound/session_private.h"

#include "policy/ourselves.h"
#include "policy/vocabulary/memory.h"
#include "policy/vocabulary/xtext.h"
#include "relay/inbound/command.h"
#include "relay/inbound/variants.h"

/* A recipient on its way into the draft. */
struct wish {
    struct address address;
    unsigned notify;
    struct span orcpt; /* decoded */
    uint32_t hash;     /* of the address */
    struct address said; /* is_ours: as it was before it was ours to say where it goes */
    bool is_ours;        /* postmaster */
    bool is_kept;      /* all of it is in the draft's arena */
};

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
static void put_off(struct session *s, const struct reply *reply,
                    struct span recipient)
{
    struct session_event e = {
        .kind = SESSION_RCPT_REFUSED,
        .stage = s->stage,
        .reply = *reply,
        .sender = s->draft.sender.text,
        .recipient = recipient,
    };

    if (s->refused_recipients >= s->settings->limits.recipients) {
        refuse_rcpt(s, reply, recipient, NULL);
        return;
    }
    s->refused_recipients++;
    reply_write(&s->output, reply);
    s->world->tell(s->world->user, &e);
}

static bool is_in_draft(const struct session *s, const struct wish *w)
{
    const struct address *a = &w->address;

    for (size_t i = 0; i < s->draft.count; i++)
        if (s->recipient_hashes[i] == w->hash &&
            address_is_same(a, &s->draft.recipients[i].address))
            return true;
    return false;
}

static void add_recipient(struct session *s, const struct wish *w,
                          const struct verdict *v)
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
    s->recipient_hashes[d->count] = w->hash;
    d->recipients[d->count++] = (struct draft_recipient){
        .address = session_keep_address(s, w->address),
        .hold = v->hold,
        .discard = v->kind == VERDICT_DISCARD,
        .notify = w->notify,
        .orcpt = arena_copy(&s->arena, w->orcpt),
        .rule = v->rule,
        .verdict = *v,
    };
    session_effects_remark(s, w->address.text, v);
    session_move(s, AT_RCPT);
    session_say(s, SPAN("250 2.1.5 Ok"));
}

static void refuse_by_verdict(struct session *s, const struct verdict *v,
                              const struct facts *facts)
{
    struct reply reply = session_verdict_reply(s, v, facts);

    session_effects_remark(s, facts->recipient->text, v);
    refuse_rcpt(s, &reply, facts->recipient->text, v->rule);
}

static const struct reply no_way[] = {
    [WAY_NONE] = { 451,
                   { 4, 3, 5 },
                   SPAN_INIT("Server configuration problem") },
    [WAY_FULL] = { 452,
                   { 4, 2, 2 },
                   SPAN_INIT("Too much mail waits for that host") },
};

static session_resume_fn weigh_again, go_on_charged;

/* The wish outlives its command line. */
static struct wish *keep(struct session *s, const struct wish *w)
{
    struct wish *kept = arena_take(&s->arena, sizeof *kept);

    *kept = *w;
    if (!w->is_kept) {
        kept->address = session_keep_address(s, w->address);
        if (w->is_ours)
            kept->said = session_keep_address(s, w->said);
        kept->orcpt = arena_copy(&s->arena, w->orcpt);
        kept->is_kept = true;
    }
    return kept;
}

/* It is weighed again with the answers. */
static void ask(struct session *s, const struct wish *w,
                const struct evidence_question *questions, size_t count,
                int64_t now_ms)
{
    session_consult(s, questions, count, weigh_again, keep(s, w), now_ms);
}

/* The primary's words are for the log alone. */
static void refuse_unknown(struct session *s, const struct facts *facts,
                           struct reply reply, struct span said)
{
    struct session_event e = {
        .kind = SESSION_RCPT_REFUSED,
        .stage = s->stage,
        .reply = reply,
        .sender = s->draft.sender.text,
        .recipient = facts->recipient->text,
        .why = said,
    };
    struct buffer text = { .cap = LIMIT_REPLY_STORED };

    verdict_text(&text, reply.text, facts, NULL);
    e.reply.text = buffer_span(&text);
    s->refused_recipients++;
    session_refuse_as(s, &e);
    buffer_fini(&text);
}

static const struct reply no_mailbox =
    REPLY(550, 5, 1, 1, "<%{recipient}>: No such user here");
static const struct reply not_verified =
    REPLY(450, 4, 1, 1,
          "<%{recipient}>: Recipient cannot be verified now, try again later");

/* One that is accepted, but for what it costs. */
struct bill {
    struct wish *wish;
    struct verdict verdict;
};

/* Nothing speaks against it any more. What counts it is charged first. */
static void charge(struct session *s, const struct wish *w,
                   const struct verdict *v, int64_t now_ms)
{
    const struct evidence_question *questions;
    size_t count = session_effects_charges(s, v, &questions);
    struct bill *bill;

    if (count == 0) {
        add_recipient(s, w, v);
        return;
    }
    bill = arena_take(&s->arena, sizeof *bill);
    bill->wish = keep(s, w);
    bill->verdict = *v;
    session_consult(s, questions, count, go_on_charged, bill, now_ms);
}

/* Another session may have been faster: then the rule has its say. */
static void go_on_charged(struct session *s, void *what, int64_t now_ms)
{
    struct bill *bill = what;

    switch (session_effects_charged(s, &bill->verdict)) {
    case CHARGED:
        add_recipient(s, bill->wish, &bill->verdict);
        break;
    case CHARGED_OVER:
        weigh_again(s, bill->wish, now_ms);
        break;
    case CHARGED_NOT:
        refuse_rcpt(s, &REPLY(451, 4, 3, 0, "Error: cannot count this now"),
                    bill->wish->address.text, NULL);
        break;
    }
}

/* The rules grant, and there is a way; is there such a mailbox? */
static void verify(struct session *s, const struct wish *w,
                   const struct facts *facts, const struct verdict *v,
                   const struct destiny *all, size_t count, int64_t now_ms)
{
    struct mailbox_verification found = { 0 };
    enum mailbox_answer is =
        w->is_ours ? MAILBOX_KNOWN : session_verify(s, all, count, &found);

    switch (is) {
    case MAILBOX_KNOWN:
        charge(s, w, v, now_ms);
        break;
    case MAILBOX_NONE:
        refuse_unknown(s, facts, no_mailbox, found.said);
        break;
    case MAILBOX_UNSURE:
        refuse_unknown(s, facts, not_verified, SPAN(""));
        break;
    case MAILBOX_ASKED:
        ask(s, w, found.questions, found.count, now_ms);
        break;
    }
}

/* The rules grant; where does it lead, and may it go there? */
static void follow(struct session *s, const struct wish *w,
                   const struct facts *facts, const struct verdict *v,
                   int64_t now_ms)
{
    struct span sender = destinies_sender(s->draft.sender.text, v, NULL);
    enum session_way way = WAY_OPEN;
    struct destiny *all;
    size_t count = destinies_find(s->settings, s->draft.sender.text,
                                  &w->address, v, NULL, &s->arena, &all);

    for (size_t i = 0; i < count && way == WAY_OPEN; i++)
        way = s->world->way(s->world->user, sender, &all[i], s->declared_bytes);
    if (way != WAY_OPEN)
        refuse_rcpt(s, &no_way[way], w->address.text, NULL);
    else
        verify(s, w, facts, v, all, count, now_ms);
}

/* What waits for the message has to be the same for all of its recipients. */
static bool is_apart(const struct session *s, const struct verdict *v)
{
    const struct verdict *first =
        s->draft.count ? &s->draft.recipients[0].verdict : v;

    return v->set_aside_count != first->set_aside_count ||
           (v->set_aside_count &&
            memcmp(v->set_aside, first->set_aside,
                   v->set_aside_count * sizeof(void *)) != 0);
}

static void obey(struct session *s, const struct wish *w,
                 const struct facts *facts, const struct verdict *v,
                 int64_t now_ms)
{
    static const struct reply apart =
        REPLY(452, 4, 5, 3, "Error: send this recipient in a mail of its own");

    switch (v->kind) {
    case VERDICT_ASKS:
        ask(s, w, v->questions, v->question_count, now_ms);
        return;
    case VERDICT_REJECT:
    case VERDICT_DEFER:
        refuse_by_verdict(s, v, facts);
        return;
    case VERDICT_RELAY:
    case VERDICT_DISCARD:
        break;
    case VERDICT_OPEN:
        ASSERT(!"a recipient is granted or refused");
        return;
    }
    if (is_apart(s, v) ||
        !variants_admit(&s->draft, &w->address, v, &s->arena))
        put_off(s, &apart, w->address.text);
    else if (v->kind == VERDICT_RELAY)
        follow(s, w, facts, v, now_ms);
    else
        charge(s, w, v, now_ms);
}

/* Accepts, or says why not. */
static void weigh(struct session *s, struct wish *w, int64_t now_ms)
{
    static const struct reply full =
        REPLY(452, 4, 5, 3, "Error: too many recipients");
    const struct address *a = &w->address;
    struct facts facts = session_facts_at(s, STAGE_RECIPIENT, now_ms);
    struct verdict v;

    facts.recipient = w->is_ours ? &w->said : a;
    w->hash = address_hash(a);
    if (is_in_draft(s, w)) {
        session_say(s, SPAN("250 2.1.5 Ok"));
        return;
    }
    if (s->draft.count >= s->settings->limits.recipients) {
        put_off(s, &full, a->text);
        return;
    }
    v = w->is_ours ? judge_ourselves(s->settings, &facts, &s->arena, NULL)
                   : judge(s->settings, &facts, &s->arena, NULL);
    session_effects_note(s, &v);
    obey(s, w, &facts, &v, now_ms);
}

static void weigh_again(struct session *s, void *what, int64_t now_ms)
{
    weigh(s, what, now_ms);
}

static void weigh_postmaster(struct session *s, struct wish *w, int64_t now_ms)
{
    struct span said = w->address.text;
    struct buffer text = { 0 }, orcpt = { 0 };

    w->is_ours = true;
    w->said = w->address;
    if (!our_postmaster(s->settings, &w->address, &text)) {
        refuse_rcpt(s, &REPLY(451, 4, 3, 5, "Server configuration problem"),
                    said, NULL);
    } else {
        if (!w->orcpt.len && s->settings->postmaster.len) {
            buffer_put(&orcpt, SPAN("rfc822;"));
            buffer_put(&orcpt, said);
            w->orcpt = buffer_span(&orcpt);
        }
        weigh(s, w, now_ms);
    }
    buffer_fini(&text);
    buffer_fini(&orcpt);
}

static void weigh_parameters(struct session *s, struct wish *w,
                             struct span rest, int64_t now_ms)
{
    struct parameter_terms terms = session_terms(s, now_ms);
    struct rcpt_parameters p = { 0 };
    enum parameter_fault fault = parameters_of_rcpt(rest, &terms, &p);
    struct buffer orcpt = { 0 };

    if (fault) {
        struct reply reply = session_parameter_reply(fault);

        refuse_rcpt(s, &reply, w->address.text, NULL);
        return;
    }
    w->notify = p.notify;
    if (p.orcpt.len && xtext_decode_orcpt(p.orcpt, terms.smtputf8, &orcpt))
        w->orcpt = buffer_span(&orcpt);
    if (is_our_postmaster(s->settings, &w->address))
        weigh_postmaster(s, w, now_ms);
    else
        weigh(s, w, now_ms);
    buffer_fini(&orcpt);
}

void session_mail_to(struct session *s, const struct verb_call *call)
{
    enum address_fault fault;
    struct wish w = { 0 };
    struct span path, rest;
    struct buffer completed = { 0 };

    if (!command_path(call->argument, SPAN("TO:"), &path)) {
        refuse_rcpt(s, &REPLY(501, 5, 5, 4, "Syntax: RCPT TO:<address>"),
                    SPAN(""), NULL);
        return;
    }
    fault = session_read_path(s, path, PATH_FORWARD, s->draft.envelope.smtputf8,
                              &completed, &w.address, &rest);
    if (fault == ADDRESS_NEEDS_UTF8)
        refuse_rcpt(s,
                    &REPLY(553, 5, 6, 7, "Error: SMTPUTF8 is needed for this"),
                    path, NULL);
    else if (fault)
        refuse_rcpt(s, &REPLY(501, 5, 1, 3, "Bad recipient address syntax"),
                    path, NULL);
    else
        weigh_parameters(s, &w, rest, call->now_ms);
    buffer_fini(&completed);
}
