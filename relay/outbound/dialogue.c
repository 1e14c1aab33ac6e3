/*
 * dialogue - the inside of a client: its states and what may happen in them.
 *
 * Two tables are obeyed: states[] (what the host is told, which timer runs,
 * which state may follow) and steps[] (what an event does in a state). No reply
 * leads anywhere that is not in them; a reply that answers nothing is the end
 * of the session.
 *
 * What may be trusted: in DONE every recipient is decided; in CONTENT at least
 * one was accepted, and nothing of the body has been sent before its 354; only
 * in DOT does a 2xx mean delivered. RFC 5321 4.1.4, 4.2, 4.3.2, 4.5.3.2, RFC
 * 2920 3.1, RFC 1047.
 */
#include "relay/outbound/dialogue.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/utf8.h"
#include "relay/outbound/outcome.h"

#define TO(state)     (1u << AT_##state)
#define TIMER(member) offsetof(struct client_timeouts, member)
#define NO_TIMER      SIZE_MAX

static const struct state_row {
    enum client_wants wants;
    enum client_stage stage;
    size_t timer;
    unsigned next;
} states[CLIENT_STATES] = {
    /* clang-format off */
    [AT_GREETING] = { CLIENT_READS,  STAGE_GREETING, TIMER(greeting),
                      TO(EHLO) | TO(CLOSED) },
    [AT_EHLO]     = { CLIENT_READS,  STAGE_HELO,     TIMER(helo),
                      TO(FREE) | TO(HELO) | TO(CLOSED) },
    [AT_HELO]     = { CLIENT_READS,  STAGE_HELO,     TIMER(helo),
                      TO(FREE) | TO(CLOSED) },
    [AT_FREE]     = { CLIENT_FREE,   STAGE_IDLE,     NO_TIMER,
                      TO(MAIL) | TO(DONE) | TO(QUIT) | TO(CLOSED) },
    [AT_MAIL]     = { CLIENT_READS,  STAGE_MAIL,     TIMER(mail),
                      TO(RCPT) | TO(DONE) },
    [AT_RCPT]     = { CLIENT_READS,  STAGE_RCPT,     TIMER(rcpt),
                      TO(RCPT) | TO(DATA) | TO(DONE) },
    [AT_DATA]     = { CLIENT_READS,  STAGE_DATA,     TIMER(data),
                      TO(CONTENT) | TO(VOID_DOT) | TO(DONE) },
    [AT_CONTENT]  = { CLIENT_SENDS,  STAGE_CONTENT,  TIMER(block),
                      TO(DOT) | TO(DONE) },
    [AT_DOT]      = { CLIENT_READS,  STAGE_DOT,      TIMER(dot),
                      TO(DONE) },
    [AT_VOID_DOT] = { CLIENT_READS,  STAGE_DOT,      TIMER(dot),
                      TO(DONE) },
    [AT_DONE]     = { CLIENT_DONE,   STAGE_IDLE,     NO_TIMER,
                      TO(DONE) | TO(FREE) | TO(RESET) | TO(QUIT) | TO(CLOSED) },
    [AT_RESET]    = { CLIENT_READS,  STAGE_RESET,    TIMER(rcpt),
                      TO(FREE) | TO(CLOSED) },
    [AT_QUIT]     = { CLIENT_READS,  STAGE_QUIT,     TIMER(quit),
                      TO(CLOSED) },
    [AT_CLOSED]   = { CLIENT_CLOSES, STAGE_IDLE,     NO_TIMER, 0 },
    /* clang-format on */
};

void dialogue_set_timer(struct client *c)
{
    size_t timer = states[c->state].timer;
    int64_t ms;

    c->deadline_ms = INT64_MAX;
    if (timer == NO_TIMER)
        return;
    memcpy(&ms, (const char *)&c->timeouts + timer, sizeof ms);
    c->deadline_ms = c->now_ms + ms;
}

void dialogue_move(struct client *c, enum client_state to)
{
    ASSERT(states[c->state].next & 1u << to);
    c->state = to;
    dialogue_set_timer(c);
    if (to != AT_FREE && to != AT_CLOSED)
        return;
    answer_fini(&c->answer);
    if (c->output.len == 0)
        buffer_fini(&c->output);
}

enum client_wants dialogue_wants(const struct client *c)
{
    return states[c->state].wants;
}

void dialogue_put(struct client *c, const char *verb, struct span word,
                  const char *end)
{
    buffer_put_string(&c->output, verb);
    buffer_put(&c->output, word);
    buffer_put_string(&c->output, end);
    c->has_asked = true;
}

static bool can(const struct client *c, enum capability what)
{
    return (c->can.has & what) != 0;
}

bool dialogue_needs_utf8(const struct client *c)
{
    bool needs =
        c->t.envelope->smtputf8 || utf8_has_high(c->t.envelope->sender);

    for (size_t i = 0; i < c->t.count; i++)
        needs |= utf8_has_high(c->t.recipients[i].address);
    return needs;
}

static void put_mail(struct client *c)
{
    const struct envelope *e = c->t.envelope;

    dialogue_put(c, "MAIL FROM:<", e->sender, ">");
    if (can(c, CAN_SIZE))
        buffer_printf(&c->output, " SIZE=%llu",
                      (unsigned long long)e->size_bytes);
    if (can(c, CAN_8BITMIME) && (e->body != BODY_7BIT || e->has_8bit))
        buffer_put_string(&c->output, " BODY=8BITMIME");
    if (dialogue_needs_utf8(c))
        buffer_put_string(&c->output, " SMTPUTF8");
    buffer_put_string(&c->output, "\r\n");
}

static void put_rcpt(struct client *c, size_t i)
{
    dialogue_put(c, "RCPT TO:<", c->t.recipients[i].address, ">\r\n");
}

static void put_data(struct client *c)
{
    dialogue_put(c, "DATA", SPAN(""), "\r\n");
}

void dialogue_put_group(struct client *c)
{
    put_mail(c);
    if (!can(c, CAN_PIPELINING))
        return;
    for (size_t i = 0; i < c->t.count; i++)
        put_rcpt(c, i);
    put_data(c);
}

/* What happened, as a step is told it. */
struct event {
    enum client_event kind;
    struct reply reply; /* SAID_... */
    struct span words;  /* NONSENSE: what was there; LOST: why */
};

void dialogue_decide_rest(struct client *c, const struct client_outcome *o)
{
    for (size_t i = 0; i < c->t.count; i++)
        if (!dialogue_is_decided(&c->outcomes[i]))
            c->outcomes[i] = *o;
}

static struct client_outcome outcome_of(struct client *c, struct arena *a,
                                        const struct event *e)
{
    enum client_stage stage = states[c->state].stage;
    /* the dot is still with us: the peer cannot have taken the message */
    bool is_unsent = c->state == AT_DOT && c->output.len;

    switch (e->kind) {
    case NONSENSE:
        return outcome_of_nonsense(a, stage, e->words);
    case LOST:
        if (c->state == AT_GREETING && e->words.len)
            stage = STAGE_CONNECT;
        return outcome_of_loss(a, is_unsent ? STAGE_CONTENT : stage, e->words);
    case TIMEOUT:
        return outcome_of_timeout(a, is_unsent ? STAGE_CONTENT : stage);
    case SAID_2XX:
        if (c->state != AT_DOT)
            return outcome_of_misplaced(a, stage, &e->reply);
        break;
    case SAID_3XX:
        return outcome_of_misplaced(a, stage, &e->reply);
    case SAID_4XX:
    case SAID_5XX:
    case SAID_421:
    case CLIENT_EVENTS:
        break;
    }
    return outcome_of_reply(a, stage, &e->reply, c->accepted);
}

static void note_trouble(struct client *c, const struct event *e)
{
    if (!dialogue_is_decided(&c->trouble))
        c->trouble = outcome_of(c, &c->trouble_words, e);
}

typedef void step_fn(struct client *c, const struct event *e);

/* Outside a transaction: the session ends, politely where the peer still
 * listens. */
static void end_session(struct client *c, const struct event *e)
{
    note_trouble(c, e);
    if (e->kind == SAID_4XX || e->kind == SAID_5XX)
        dialogue_put(c, "QUIT", SPAN(""), "\r\n");
    dialogue_move(c, AT_CLOSED);
}

/*
 * Inside one, the session ends too. A connection kept from an earlier message
 * that breaks before MAIL was answered was only old: the message was not
 * refused.
 */
static void end_transaction(struct client *c, const struct event *e)
{
    struct client_outcome o = outcome_of(c, &c->arena, e);

    note_trouble(c, e);
    if (c->state == AT_MAIL && c->messages > 1 &&
        (e->kind == LOST || e->kind == SAID_421))
        o.diagnosis = DIAGNOSIS_AGAIN_NOW;
    dialogue_decide_rest(c, &o);
    c->after = AT_CLOSED;
    dialogue_move(c, AT_DONE);
}

static void ignore(struct client *c, const struct event *e)
{
    (void)c;
    (void)e;
}

static void hang_up(struct client *c, const struct event *e)
{
    (void)e;
    dialogue_move(c, AT_CLOSED);
}

/* RFC 5321 4.2: a greeting is 220 and names the host. */
static void take_greeting(struct client *c, const struct event *e)
{
    if (e->reply.code != 220 || e->reply.text.len == 0) {
        end_session(c, e);
        return;
    }
    dialogue_put(c, "EHLO ", span_of(c->hostname), "\r\n");
    dialogue_move(c, AT_EHLO);
}

static void take_ehlo(struct client *c, const struct event *e)
{
    capabilities_read(&c->can, e->reply.text);
    c->was_greeted = true;
    dialogue_move(c, AT_FREE);
}

static void say_helo(struct client *c, const struct event *e)
{
    (void)e;
    dialogue_put(c, "HELO ", span_of(c->hostname), "\r\n");
    dialogue_move(c, AT_HELO);
}

static void take_helo(struct client *c, const struct event *e)
{
    (void)e;
    c->was_greeted = true;
    dialogue_move(c, AT_FREE);
}

/* MAIL or a RCPT was answered. In a pipelined group the next reply is on its
 * way; else the next command is due, and DATA only where someone was taken. */
static void go_on(struct client *c)
{
    bool pipelined = can(c, CAN_PIPELINING);

    if (c->at < c->t.count) {
        if (!pipelined)
            put_rcpt(c, c->at);
        dialogue_move(c, AT_RCPT);
    } else if (c->accepted || pipelined) {
        if (!pipelined)
            put_data(c);
        dialogue_move(c, AT_DATA);
    } else {
        dialogue_move(c, AT_DONE);
    }
}

static void take_mail(struct client *c, const struct event *e)
{
    (void)e;
    c->after = AT_RESET;
    go_on(c);
}

static void refuse_mail(struct client *c, const struct event *e)
{
    struct client_outcome o = outcome_of(c, &c->arena, e);

    dialogue_decide_rest(c, &o);
    if (can(c, CAN_PIPELINING))
        go_on(c);
    else
        dialogue_move(c, AT_DONE);
}

static void take_rcpt(struct client *c, const struct event *e)
{
    (void)e;
    if (!dialogue_is_decided(&c->outcomes[c->at]))
        c->accepted++;
    c->at++;
    go_on(c);
}

static void refuse_rcpt(struct client *c, const struct event *e)
{
    struct client_outcome *o = &c->outcomes[c->at++];

    if (!dialogue_is_decided(o))
        *o = outcome_of(c, &c->arena, e);
    go_on(c);
}

static void take_data(struct client *c, const struct event *e)
{
    if (e->reply.code != 354) {
        end_transaction(c, e);
    } else if (c->accepted) {
        c->stuffing = (struct stuffing){ 0 };
        dialogue_move(c, AT_CONTENT);
    } else {
        dialogue_put(c, ".", SPAN(""), "\r\n");
        dialogue_move(c, AT_VOID_DOT);
    }
}

/* DATA or the final dot was answered: that settles who was accepted. */
static void settle(struct client *c, const struct event *e)
{
    struct client_outcome o = outcome_of(c, &c->arena, e);

    dialogue_decide_rest(c, &o);
    if (c->state == AT_DOT)
        c->after = AT_FREE;
    dialogue_move(c, AT_DONE);
}

static void take_void_dot(struct client *c, const struct event *e)
{
    (void)e;
    c->after = AT_FREE;
    dialogue_move(c, AT_DONE);
}

static void take_reset(struct client *c, const struct event *e)
{
    (void)e;
    dialogue_move(c, AT_FREE);
}

static step_fn *const steps[CLIENT_STATES][CLIENT_EVENTS] = {
    /* clang-format off */
    /*                2xx              3xx              4xx              5xx
                      421              nonsense         lost             timed out */
    [AT_GREETING] = { take_greeting,   end_session,     end_session,     end_session,
                      end_session,     end_session,     end_session,     end_session },
    [AT_EHLO]     = { take_ehlo,       end_session,     end_session,     say_helo,
                      end_session,     end_session,     end_session,     end_session },
    [AT_HELO]     = { take_helo,       end_session,     end_session,     end_session,
                      end_session,     end_session,     end_session,     end_session },
    [AT_FREE]     = { end_session,     end_session,     end_session,     end_session,
                      end_session,     end_session,     end_session,     ignore },
    [AT_MAIL]     = { take_mail,       end_transaction, refuse_mail,     refuse_mail,
                      end_transaction, end_transaction, end_transaction, end_transaction },
    [AT_RCPT]     = { take_rcpt,       end_transaction, refuse_rcpt,     refuse_rcpt,
                      end_transaction, end_transaction, end_transaction, end_transaction },
    [AT_DATA]     = { end_transaction, take_data,       settle,          settle,
                      end_transaction, end_transaction, end_transaction, end_transaction },
    [AT_CONTENT]  = { end_transaction, end_transaction, end_transaction, end_transaction,
                      end_transaction, end_transaction, end_transaction, end_transaction },
    [AT_DOT]      = { settle,          end_transaction, settle,          settle,
                      end_transaction, end_transaction, end_transaction, end_transaction },
    [AT_VOID_DOT] = { take_void_dot,   end_transaction, take_void_dot,   take_void_dot,
                      end_transaction, end_transaction, end_transaction, end_transaction },
    [AT_DONE]     = { end_transaction, end_transaction, end_transaction, end_transaction,
                      end_transaction, end_transaction, end_transaction, ignore },
    [AT_RESET]    = { take_reset,      end_session,     end_session,     end_session,
                      end_session,     end_session,     end_session,     end_session },
    [AT_QUIT]     = { hang_up,         hang_up,         hang_up,         hang_up,
                      hang_up,         hang_up,         hang_up,         hang_up },
    [AT_CLOSED]   = { ignore,          ignore,          ignore,          ignore,
                      ignore,          ignore,          ignore,          ignore },
    /* clang-format on */
};

void dialogue_hear(struct client *c, const struct reply *r)
{
    struct event e = { .reply = *r };

    e.kind = r->code == 421 ? SAID_421
                            : (enum client_event)(SAID_2XX + r->code / 100 - 2);
    steps[c->state][e.kind](c, &e);
}

void dialogue_break(struct client *c, enum client_event kind, struct span words)
{
    struct event e = { .kind = kind, .words = words };

    steps[c->state][e.kind](c, &e);
}
