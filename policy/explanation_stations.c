/*
 * explanation_stations - what is asked of a session from its greeting on, in order.
 *
 *   connect -> hello -> hello under TLS -> what the listener demands -> what is weighed of
 *   MAIL -> sender -> recipient -> the way, the quota, the mailbox -> the message
 *
 * Each is a row of `stations`; the first that refuses is the answer, and one that asks ends
 * the step, which begins again from the top when the answers are here. What the early ones
 * see is what a session knows then: no login before MAIL, TLS at once only where the
 * listener begins with it.
 */
#include "policy/explanation.h"

#include "policy/mailbox.h"
#include "policy/route.h"
#include "policy/senders.h"
#include "policy/stages.h"

/* --- what the judge tells of rules ------------------------------------------ */

static void on_rule(void *user, const struct rule *r, enum rule_fate fate,
                    const struct condition *which)
{
    struct explanation *x = user;
    struct explained_rule *e = &x->rules[r - x->settings->rules];

    /* counts of messages and bytes are met again with the message, but it was refused */
    if (fate == RULE_NOT_REACHED && e->fate == RULE_MATCHED)
        return;
    e->fate = fate;
    e->which = which;
    e->is_of_message = x->stage == STAGE_CONTENT;
}

static void forget_rules(struct explanation *x)
{
    for (size_t i = 0; i < x->settings->rule_count; i++)
        x->rules[i] = (struct explained_rule){ .fate = RULE_NOT_REACHED };
}

/* --- the verdict ------------------------------------------------------------ */

/* What a station comes to. */
enum outcome {
    GOES_ON,
    ENDS, /* the verdict is there */
    ASKS,
};

struct inquiry_out {
    const struct evidence_question *all;
    size_t count;
};

static enum outcome end_with(struct explanation *x, enum explanation_by by,
                             const struct verdict *v)
{
    struct buffer text = { .cap = LIMIT_REPLY_STORED };

    x->by = by;
    x->verdict = *v;
    if (v->reply.code) {
        verdict_text(&text, v->reply.text, &x->facts, v->rule);
        x->verdict.reply.text = arena_copy(&x->arena, buffer_span(&text));
    }
    buffer_fini(&text);
    return ENDS;
}

static enum outcome refuse(struct explanation *x, enum explanation_by by,
                           struct reply reply)
{
    struct verdict v = { .kind =
                             reply.code >= 500 ? VERDICT_REJECT : VERDICT_DEFER,
                         .reply = reply };

    return end_with(x, by, &v);
}

/* --- before the recipient --------------------------------------------------- */

static enum outcome judge_early(struct explanation *x, enum stage stage,
                                const struct facts *facts,
                                struct inquiry_out *out)
{
    struct judge_watch watch = { on_rule, x };
    struct facts f = *facts;
    struct verdict v;

    /* who may name other clients is judged with its first recipient */
    if (x->listener && networks_have(&x->listener->xclient, &facts->client))
        return GOES_ON;
    forget_rules(x);
    x->stage = f.stage = stage;
    f.evidence = x->evidence;
    v = judge(x->settings, &f, &x->arena, &watch);
    if (v.kind == VERDICT_ASKS) {
        *out = (struct inquiry_out){ v.questions, v.question_count };
        return ASKS;
    }
    if (v.kind == VERDICT_OPEN)
        return GOES_ON;
    if (stage == STAGE_CONNECT)
        v.reply.code = stages_greeting_code(&v);
    return end_with(x, BY_RULE, &v);
}

/* What there is of the facts when the greeting is sent. */
static struct facts facts_at_first(const struct explanation *x)
{
    struct facts f = x->facts;

    f.sender = f.recipient = NULL;
    f.helo = f.login = SPAN("");
    f.size_bytes = 0;
    if (!x->listener || x->listener->tls != LISTENER_TLS_IMPLICIT) {
        f.tls = false;
        f.tls_version = f.certificate = f.certificate_name = SPAN("");
        f.tls_bits = 0;
    }
    return f;
}

static enum outcome at_connect(struct explanation *x, struct inquiry_out *out)
{
    struct facts f = facts_at_first(x);

    return judge_early(x, STAGE_CONNECT, &f, out);
}

static enum outcome at_hello(struct explanation *x, struct inquiry_out *out)
{
    struct facts f = facts_at_first(x);

    f.helo = x->facts.helo;
    return judge_early(x, STAGE_HELLO, &f, out);
}

/* EHLO is said again after STARTTLS. */
static enum outcome at_secure_hello(struct explanation *x,
                                    struct inquiry_out *out)
{
    struct facts f = x->facts;

    if (!f.tls)
        return GOES_ON;
    f.sender = f.recipient = NULL;
    f.login = SPAN("");
    f.size_bytes = 0;
    return judge_early(x, STAGE_HELLO, &f, out);
}

static enum outcome at_listener(struct explanation *x, struct inquiry_out *out)
{
    const struct listener_settings *l = x->listener;
    const struct facts *f = &x->facts;

    (void)out;
    x->stage = STAGE_SENDER;
    if (!l)
        return GOES_ON;
    if (l->tls == LISTENER_TLS_REQUIRED && !f->tls)
        return refuse(
            x, BY_LISTENER,
            REPLY(530, 5, 7, 0, "Must issue a STARTTLS command first"));
    if (l->client_certificate == CERTIFICATE_REQUIRED && !f->certificate.len)
        return refuse(
            x, BY_LISTENER,
            REPLY(530, 5, 7, 0, "Error: a client certificate is required"));
    if (l->auth == LISTENER_AUTH_REQUIRED && !f->login.len)
        return refuse(x, BY_LISTENER,
                      REPLY(530, 5, 7, 0, "Authentication required"));
    return GOES_ON;
}

static enum outcome at_mail(struct explanation *x, struct inquiry_out *out)
{
    const struct facts *f = &x->facts;
    bool is_open = x->listener && x->listener->auth == LISTENER_AUTH_NONE;

    (void)out;
    if (f->size_bytes > x->settings->limits.message_bytes)
        return refuse(x, BY_LIMITS,
                      REPLY(552, 5, 3, 4, "Message size exceeds fixed limit"));
    if (!is_open && !senders_allow(x->settings->senders, f->login, f->sender))
        return refuse(x, BY_SENDERS,
                      f->login.len
                          ? REPLY(553, 5, 7, 1,
                                  "<%{sender}>: Sender address rejected: "
                                  "not owned by user %{login}")
                          : REPLY(553, 5, 7, 1,
                                  "<%{sender}>: Sender address rejected: "
                                  "not logged in"));
    return GOES_ON;
}

static enum outcome at_sender(struct explanation *x, struct inquiry_out *out)
{
    struct facts f = x->facts;

    f.recipient = NULL;
    return judge_early(x, STAGE_SENDER, &f, out);
}

/* --- the recipient ---------------------------------------------------------- */

static enum outcome at_recipient(struct explanation *x, struct inquiry_out *out)
{
    struct judge_watch watch = { on_rule, x };
    struct facts f = x->facts;

    x->stage = f.stage = STAGE_RECIPIENT;
    f.evidence = x->evidence;
    forget_rules(x);
    if (x->is_ours)
        x->granted = judge_ourselves(x->settings, &f, &x->arena, &watch);
    else
        x->granted = judge(x->settings, &f, &x->arena, &watch);
    switch (x->granted.kind) {
    case VERDICT_ASKS:
        *out = (struct inquiry_out){ x->granted.questions,
                                     x->granted.question_count };
        return ASKS;
    case VERDICT_REJECT:
    case VERDICT_DEFER:
        return end_with(x, x->granted.rule ? BY_RULE : BY_NO_RULE, &x->granted);
    case VERDICT_RELAY:
    case VERDICT_DISCARD:
    case VERDICT_OPEN:
        break;
    }
    return GOES_ON;
}

static bool is_full(const struct explanation *x, const struct destiny *d)
{
    struct span from =
        destinies_sender(x->facts.sender->text, &x->granted, NULL);
    struct buffer lane = { 0 };
    bool answer = x->is_full && d->route->quota_bytes &&
                  destinies_lane(x->settings, from, d, &lane) == 0 &&
                  x->is_full(x->user, buffer_span(&lane), x->facts.size_bytes,
                             d->route->quota_bytes);

    buffer_fini(&lane);
    return answer;
}

static void find_destinies(struct explanation *x)
{
    x->destiny_count =
        destinies_find(x->settings, x->facts.sender->text,
                       x->is_ours ? &x->postmaster : x->facts.recipient,
                       &x->granted, &x->at_content, &x->arena, &x->destinies);
}

static enum outcome at_way(struct explanation *x, struct inquiry_out *out)
{
    (void)out;
    if (x->granted.kind == VERDICT_DISCARD)
        return GOES_ON;
    if (x->is_ours && !x->has_postmaster)
        return refuse(x, BY_POSTMASTER,
                      REPLY(451, 4, 3, 5, "Server configuration problem"));
    find_destinies(x);
    for (size_t i = 0; i < x->destiny_count; i++) {
        if (!x->destinies[i].route)
            return refuse(x, BY_ROUTE,
                          REPLY(451, 4, 3, 5, "Server configuration problem"));
        if (is_full(x, &x->destinies[i]))
            return refuse(
                x, BY_QUOTA,
                REPLY(452, 4, 2, 2, "Too much mail waits for that host"));
    }
    return GOES_ON;
}

static enum outcome at_mailbox(struct explanation *x, struct inquiry_out *out)
{
    struct mailbox_verification found = { 0 };

    if (x->granted.kind == VERDICT_DISCARD || x->is_ours)
        return GOES_ON;
    switch (mailbox_verify(x->destinies, x->destiny_count, x->evidence,
                           &x->arena, &found)) {
    case MAILBOX_KNOWN:
        break;
    case MAILBOX_NONE:
        return refuse(x, BY_VERIFY,
                      REPLY(550, 5, 1, 1, "<%{recipient}>: No such user here"));
    case MAILBOX_UNSURE:
        return refuse(x, BY_VERIFY,
                      REPLY(450, 4, 1, 1,
                            "<%{recipient}>: Recipient cannot be verified "
                            "now, try again later"));
    case MAILBOX_ASKED:
        *out = (struct inquiry_out){ found.questions, found.count };
        return ASKS;
    }
    return GOES_ON;
}

/* --- the message ------------------------------------------------------------ */

static enum outcome at_content(struct explanation *x, struct inquiry_out *out)
{
    struct judge_watch watch = { on_rule, x };
    struct facts f = x->facts;
    struct verdict v;

    if (!x->has_message)
        return GOES_ON;
    x->stage = f.stage = STAGE_CONTENT;
    f.evidence = x->evidence;
    f.message = x->digest;
    v = judge_content(x->settings, &f, &x->granted, &x->arena, &watch);
    if (v.kind == VERDICT_ASKS) {
        *out = (struct inquiry_out){ v.questions, v.question_count };
        return ASKS;
    }
    x->at_content = v;
    if (v.kind != VERDICT_OPEN && v.kind != VERDICT_RELAY)
        return end_with(x, BY_RULE, &v);
    x->stage = STAGE_RECIPIENT; /* where it was granted */
    if (x->granted.kind != VERDICT_DISCARD)
        find_destinies(x);
    return GOES_ON;
}

static enum outcome at_end(struct explanation *x, struct inquiry_out *out)
{
    (void)out;
    (void)end_with(x, x->is_ours ? BY_POSTMASTER : BY_RULE, &x->granted);
    if (x->at_content.hold) {
        x->verdict.hold = true;
        x->verdict.hold_rule = x->at_content.hold_rule;
    }
    return ENDS;
}

/* --- the steps -------------------------------------------------------------- */

typedef enum outcome station_fn(struct explanation *x, struct inquiry_out *out);

static station_fn *const stations[] = {
    at_connect,   at_hello, at_secure_hello, at_listener, at_mail, at_sender,
    at_recipient, at_way,   at_mailbox,      at_content,  at_end,
};

bool explanation_step(struct explanation *x,
                      const struct evidence_question **out_all,
                      size_t *out_count)
{
    struct inquiry_out asked = { 0 };
    enum outcome outcome = GOES_ON;

    arena_reset(&x->arena);
    x->granted = x->at_content = (struct verdict){ .kind = VERDICT_OPEN };
    x->destinies = NULL;
    x->destiny_count = 0;
    for (size_t i = 0; outcome == GOES_ON; i++)
        outcome = stations[i](x, &asked);
    *out_all = asked.all;
    *out_count = asked.count;
    return outcome == ENDS;
}
