/*
 * session_stages - what the rules say before there is a recipient; and the banner.
 *
 *   GREETING --refused, 5xx--> DENIED: only QUIT is obeyed (RFC 5321 3.1)
 *            --refused, 4xx--> CLOSING, by 421: a greeting has no other "later" (RFC 5321 3.8)
 *            --greet-delay---> WAITING --time is over--> GREETING, and the banner is said
 *                                      --it talks------> CLOSING
 *            --open----------> the banner is said
 *
 * A client that is refused hears it in place of the banner, as with Postfix when it is told
 * not to wait for RCPT: one that is not wanted costs least this way, and an honest client tells
 * its sender the text. Whoever may name other clients (XCLIENT) is judged for itself with its
 * first recipient only.
 *
 * What is asked first is asked during the delay; what the client says meanwhile is looked at
 * when it is over. The judge's texts live in the draft's arena, which is empty here.
 */
#include "relay/inbound/session_private.h"

#include "policy/rule_index.h"
#include "policy/stages.h"

enum { TALK_SHOWN = 100 };

/* ----------------------------------------------------------- the judge ---- */

/* It is a relay that will say whom it stands for. */
static bool is_in_between(const struct session *s)
{
    return session_trust_has_xclient(s) &&
           host_address_is(&s->client, &s->peer);
}

struct verdict session_judge(struct session *s, enum stage stage,
                             int64_t now_ms)
{
    struct facts facts;
    struct verdict v = { .kind = VERDICT_OPEN };

    if (!rule_index_may_refuse(s->settings->rule_index, stage) ||
        is_in_between(s))
        return v;
    facts = session_facts_at(s, stage, now_ms);
    v = judge(s->settings, &facts, &s->arena, NULL);
    if (v.kind == VERDICT_REJECT || v.kind == VERDICT_DEFER) {
        session_effects_note(s, &v);
        session_effects_remark(s, SPAN(""), &v);
        v.reply = session_verdict_reply(s, &v, &facts);
    }
    return v;
}

struct reply session_verdict_reply(struct session *s, const struct verdict *v,
                                   const struct facts *facts)
{
    struct buffer text = { .cap = LIMIT_REPLY_STORED };
    struct reply reply = v->reply;

    verdict_text(&text, v->reply.text, facts, v->rule);
    reply.text = arena_copy(&s->arena, buffer_span(&text));
    buffer_fini(&text);
    return reply;
}

/* ----------------------------------------------------------- the client ---- */

static void tell_refused(struct session *s, const struct reply *reply,
                         const struct rule *rule, struct span why)
{
    s->world->tell(s->world->user,
                   &(struct session_event){ .kind = SESSION_COMMAND_REFUSED,
                                            .stage = s->stage,
                                            .reply = *reply,
                                            .rule = rule,
                                            .why = why });
}

static void turn_away(struct session *s, const struct verdict *v)
{
    struct reply reply = v->reply;

    reply.code = stages_greeting_code(v);
    reply_write(&s->output, &reply);
    tell_refused(s, &reply, v->rule, SPAN(""));
    if (v->kind == VERDICT_DEFER)
        session_end(s);
    else
        session_move(s, AT_DENIED);
}

static void greet(struct session *s)
{
    buffer_put(&s->output, SPAN("220 "));
    buffer_put(&s->output, s->settings->hostname);
    session_say(s, SPAN(" ESMTP Waypost"));
}

static void judge_client(struct session *s, void *what, int64_t now_ms)
{
    struct verdict v = session_judge(s, STAGE_CONNECT, now_ms);

    if (v.kind == VERDICT_ASKS) {
        session_consult(s, v.questions, v.question_count, judge_client, what,
                        now_ms);
        return;
    }
    if (v.kind == VERDICT_REJECT || v.kind == VERDICT_DEFER) {
        turn_away(s, &v);
    } else if (s->greet_ms) {
        session_move(s, AT_WAITING);
        s->deadline_ms = s->greet_ms;
    } else {
        greet(s);
    }
    arena_reset(&s->arena);
}

void session_begin(struct session *s, int64_t now_ms)
{
    int64_t delay_ms = s->listener->is_fetch ? 0 : s->listener->greet_delay_ms;

    s->greet_ms = delay_ms ? now_ms + delay_ms : 0;
    judge_client(s, NULL, now_ms);
}

void session_begin_again(struct session *s, int64_t now_ms)
{
    s->greet_ms = 0;
    judge_client(s, NULL, now_ms);
}

/* ------------------------------------------------------------- waiting ---- */

void session_waited(struct session *s, int64_t now_ms)
{
    s->deadline_ms = now_ms + s->settings->limits.silence_ms;
    session_move(s, AT_GREETING);
    greet(s);
}

/* Mail servers wait for the banner; what sends in one go does not read replies either. */
size_t session_waits_feed(struct session *s, struct span in)
{
    static const struct reply early =
        REPLY(554, 5, 5, 0, "Error: you talk before your turn");

    reply_write(&s->output, &early);
    tell_refused(s, &early, NULL, span_first(in, TALK_SHOWN));
    session_end(s);
    return in.len;
}

/* -------------------------------------------------------------- denied ---- */

void session_denied(struct session *s)
{
    session_refuse(s, SESSION_COMMAND_REFUSED,
                   &REPLY(503, 5, 7, 0, "Error: access denied"));
}
