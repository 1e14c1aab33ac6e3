/*
 * client - our dialogue with a next hop, as an engine.
 *
 *   GREETING --220--> EHLO --2xx--> FREE <---------------------------+--------+
 *                       |            ^ |                             |        |
 *                      5xx          2xx| client_start                | 2xx
 *                       +--> HELO ----+ |                            |        |
 *                                       v                            |        |
 *        +--------- MAIL --> RCPT (each) --> DATA --354--> CONTENT   | RESET |
 * |         |              |    \         |       |        ^ | nothing   |
 * refused | all refused  |     \        v last  |        | | sent      | | |
 * VOID_DOT   DOT      |        | v           v         v              v      |
 * |       |        | DONE <-------+---------+--------------+------+-------+ | |
 *        |  client_next: `after` says where to ----------------------+--------+
 *        v                                                           |
 *      CLOSED <---- 221 ---- QUIT <----------------------------------+
 *
 *   from anywhere: trouble before MAIL -> CLOSED, later -> DONE with after =
 * CLOSED
 *
 * Two tables are obeyed: states[] (what the host is told, which timer, which
 * state may follow; only move() changes the state) and steps[] (what an event
 * does in a state). An event is a reply by its class, or one of the three ways
 * not to get one.
 *
 * A recipient is decided once: its outcome is written by the first reply that
 * settles it and stays, whatever the group's later replies say. All memory of a
 * transaction is its arena; a connection that is free holds no buffer. RFC
 * 5321 4.1.4, 4.2, 4.5.3.2, RFC 2920.
 */
#include "relay/outbound/client.h"

#include "policy/vocabulary/arena.h"
#include "policy/vocabulary/error.h"
#include "policy/vocabulary/memory.h"
#include "policy/vocabulary/utf8.h"
#include "relay/outbound/answer.h"
#include "relay/outbound/capabilities.h"
#include "relay/outbound/outcome.h"
#include "relay/outbound/stuffing.h"

#include <stdlib.h>

enum state {
    GREETING,
    EHLO,
    HELO,
    FREE,
    MAIL,
    RCPT,
    DATA,
    CONTENT,
    DOT,
    VOID_DOT,
    DONE,
    RESET,
    QUIT,
    CLOSED,
    STATES
};

enum event_kind {
    SAID_2XX,
    SAID_3XX,
    SAID_4XX,
    SAID_5XX,
    SAID_421,
    NONSENSE,
    LOST,
    TIMEOUT,
    EVENTS
};

struct event {
    enum event_kind kind;
    struct reply reply; /* SAID_... */
    struct span words;  /* NONSENSE: what was there; LOST: why */
};

struct client {
    enum state state;
    enum state after; /* DONE: where client_next goes */
    int64_t now_ms, deadline_ms;
    struct client_timeouts timeouts;
    struct capabilities can;
    struct answer answer;
    struct buffer output;
    struct client_transaction t;
    struct arena arena;              /* outcomes and their words */
    struct client_outcome *outcomes; /* status.class 0: not decided yet */
    size_t at;                       /* the recipient whose reply is next */
    size_t accepted;
    struct stuffing stuffing;
    struct client_outcome trouble;
    struct arena trouble_words; /* outlives the transaction */
    uint32_t messages;
    bool has_asked; /* a command was put out in this very feed: what
                       else it holds was said too early */
    bool was_greeted;
    char hostname[];
};

const struct client_timeouts client_timeouts_default = {
    .greeting = 300000,
    .helo = 300000,
    .mail = 300000,
    .rcpt = 300000,
    .data = 120000,
    .block = 180000,
    .dot = 600000,
    .quit = 5000,
};

/* ---- moving
 * ---------------------------------------------------------------------- */

#define TO(state)     (1u << (state))
#define TIMER(member) offsetof(struct client_timeouts, member)
#define NO_TIMER      SIZE_MAX

static const struct state_row {
    enum client_wants wants;
    enum client_stage stage;
    size_t timer;
    unsigned next;
} states[STATES] = {
    /* clang-format off */
    [GREETING] = { CLIENT_READS,  STAGE_GREETING, TIMER(greeting), TO(EHLO) | TO(CLOSED) },
    [EHLO]     = { CLIENT_READS,  STAGE_HELO,     TIMER(helo),
                   TO(FREE) | TO(HELO) | TO(CLOSED) },
    [HELO]     = { CLIENT_READS,  STAGE_HELO,     TIMER(helo),  TO(FREE) | TO(CLOSED) },
    [FREE]     = { CLIENT_FREE,   STAGE_IDLE,     NO_TIMER,
                   TO(MAIL) | TO(DONE) | TO(QUIT) | TO(CLOSED) },
    [MAIL]     = { CLIENT_READS,  STAGE_MAIL,     TIMER(mail),  TO(RCPT) | TO(DONE) },
    [RCPT]     = { CLIENT_READS,  STAGE_RCPT,     TIMER(rcpt),
                   TO(RCPT) | TO(DATA) | TO(DONE) },
    [DATA]     = { CLIENT_READS,  STAGE_DATA,     TIMER(data),
                   TO(CONTENT) | TO(VOID_DOT) | TO(DONE) },
    [CONTENT]  = { CLIENT_SENDS,  STAGE_CONTENT,  TIMER(block), TO(DOT) | TO(DONE) },
    [DOT]      = { CLIENT_READS,  STAGE_DOT,      TIMER(dot),   TO(DONE) },
    [VOID_DOT] = { CLIENT_READS,  STAGE_DOT,      TIMER(dot),   TO(DONE) },
    [DONE]     = { CLIENT_DONE,   STAGE_IDLE,     NO_TIMER,
                   TO(DONE) | TO(FREE) | TO(RESET) | TO(QUIT) | TO(CLOSED) },
    [RESET]    = { CLIENT_READS,  STAGE_RESET,    TIMER(rcpt),  TO(FREE) | TO(CLOSED) },
    [QUIT]     = { CLIENT_READS,  STAGE_QUIT,     TIMER(quit),  TO(CLOSED) },
    [CLOSED]   = { CLIENT_CLOSES, STAGE_IDLE,     NO_TIMER,     0 },
    /* clang-format on */
};

static enum client_stage stage_of(const struct client *c)
{
    return states[c->state].stage;
}

static void set_timer(struct client *c)
{
    size_t timer = states[c->state].timer;
    int64_t ms;

    c->deadline_ms = INT64_MAX;
    if (timer == NO_TIMER)
        return;
    memcpy(&ms, (const char *)&c->timeouts + timer, sizeof ms);
    c->deadline_ms = c->now_ms + ms;
}

static void move(struct client *c, enum state to)
{
    ASSERT(states[c->state].next & TO(to));
    c->state = to;
    set_timer(c);
    if (to != FREE && to != CLOSED)
        return;
    answer_fini(&c->answer);
    if (c->output.len == 0)
        buffer_fini(&c->output);
}

/* ---- speaking
 * -------------------------------------------------------------------- */

static void put_command(struct client *c, const char *verb, struct span word,
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

static void put_mail(struct client *c)
{
    const struct envelope *e = c->t.envelope;

    put_command(c, "MAIL FROM:<", e->sender, ">");
    if (can(c, CAN_SIZE))
        buffer_printf(&c->output, " SIZE=%llu",
                      (unsigned long long)e->size_bytes);
    if (can(c, CAN_8BITMIME) && (e->body != BODY_7BIT || e->has_8bit))
        buffer_put_string(&c->output, " BODY=8BITMIME");
    if (e->smtputf8)
        buffer_put_string(&c->output, " SMTPUTF8");
    buffer_put_string(&c->output, "\r\n");
}

static void put_rcpt(struct client *c, size_t i)
{
    put_command(c, "RCPT TO:<", c->t.recipients[i].address, ">\r\n");
}

static void put_data(struct client *c)
{
    put_command(c, "DATA", SPAN(""), "\r\n");
}

/* ---- deciding
 * -------------------------------------------------------------------- */

static bool is_decided(const struct client_outcome *o)
{
    return o->status.class != 0;
}

/* Everyone whose fate was still open shares this one. */
static void decide_rest(struct client *c, const struct client_outcome *o)
{
    for (size_t i = 0; i < c->t.count; i++)
        if (!is_decided(&c->outcomes[i]))
            c->outcomes[i] = *o;
}

static struct client_outcome outcome_of(struct client *c, struct arena *a,
                                        const struct event *e)
{
    enum client_stage stage = stage_of(c);

    switch (e->kind) {
    case NONSENSE:
        return outcome_of_nonsense(a, stage, e->words);
    case LOST:
        if (c->state == GREETING && e->words.len)
            stage = STAGE_CONNECT;
        return outcome_of_loss(a, stage, e->words);
    case TIMEOUT:
        return outcome_of_timeout(a, stage);
    case SAID_2XX:
        if (c->state != DOT)
            return outcome_of_misplaced(a, stage, &e->reply);
        break;
    case SAID_3XX:
        return outcome_of_misplaced(a, stage, &e->reply);
    case SAID_4XX:
    case SAID_5XX:
    case SAID_421:
    case EVENTS:
        break;
    }
    return outcome_of_reply(a, stage, &e->reply, c->accepted);
}

static void note_trouble(struct client *c, const struct event *e)
{
    if (!is_decided(&c->trouble))
        c->trouble = outcome_of(c, &c->trouble_words, e);
}

/* ---- steps
 * ----------------------------------------------------------------------- */

typedef void step_fn(struct client *c, const struct event *e);

/* Outside a transaction: the session ends, politely where the peer still
 * listens. */
static void end_session(struct client *c, const struct event *e)
{
    note_trouble(c, e);
    if (e->kind == SAID_4XX || e->kind == SAID_5XX)
        put_command(c, "QUIT", SPAN(""), "\r\n");
    move(c, CLOSED);
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
    if (c->state == MAIL && c->messages > 1 &&
        (e->kind == LOST || e->kind == SAID_421))
        o.diagnosis = DIAGNOSIS_AGAIN_NOW;
    /* the dot is still with us */
    if (o.diagnosis == DIAGNOSIS_IN_DOUBT && c->output.len)
        o.diagnosis = DIAGNOSIS_LATER;
    decide_rest(c, &o);
    c->after = CLOSED;
    move(c, DONE);
}

static void ignore(struct client *c, const struct event *e)
{
    (void)c;
    (void)e;
}

static void hang_up(struct client *c, const struct event *e)
{
    (void)e;
    move(c, CLOSED);
}

/* RFC 5321 4.2: a greeting is 220 and names the host. */
static void take_greeting(struct client *c, const struct event *e)
{
    if (e->reply.code != 220 || e->reply.text.len == 0) {
        end_session(c, e);
        return;
    }
    put_command(c, "EHLO ", span_of(c->hostname), "\r\n");
    move(c, EHLO);
}

static void take_ehlo(struct client *c, const struct event *e)
{
    capabilities_read(&c->can, e->reply.text);
    c->was_greeted = true;
    move(c, FREE);
}

static void say_helo(struct client *c, const struct event *e)
{
    (void)e;
    put_command(c, "HELO ", span_of(c->hostname), "\r\n");
    move(c, HELO);
}

static void take_helo(struct client *c, const struct event *e)
{
    (void)e;
    c->was_greeted = true;
    move(c, FREE);
}

/* MAIL or a RCPT was answered. In a pipelined group the next reply is already
 * on its way; else the next command is due, and DATA only where it makes sense.
 */
static void go_on(struct client *c)
{
    bool pipelined = can(c, CAN_PIPELINING);

    if (c->at < c->t.count) {
        if (!pipelined)
            put_rcpt(c, c->at);
        move(c, RCPT);
    } else if (c->accepted || pipelined) {
        if (!pipelined)
            put_data(c);
        move(c, DATA);
    } else {
        move(c, DONE);
    }
}

static void take_mail(struct client *c, const struct event *e)
{
    (void)e;
    c->after = RESET;
    go_on(c);
}

static void refuse_mail(struct client *c, const struct event *e)
{
    struct client_outcome o = outcome_of(c, &c->arena, e);

    decide_rest(c, &o);
    if (can(c, CAN_PIPELINING))
        go_on(c);
    else
        move(c, DONE);
}

static void take_rcpt(struct client *c, const struct event *e)
{
    (void)e;
    if (!is_decided(&c->outcomes[c->at]))
        c->accepted++;
    c->at++;
    go_on(c);
}

static void refuse_rcpt(struct client *c, const struct event *e)
{
    struct client_outcome *o = &c->outcomes[c->at++];

    if (!is_decided(o))
        *o = outcome_of(c, &c->arena, e);
    go_on(c);
}

static void take_data(struct client *c, const struct event *e)
{
    if (e->reply.code != 354) {
        end_transaction(c, e);
    } else if (c->accepted) {
        c->stuffing = (struct stuffing){ 0 };
        move(c, CONTENT);
    } else {
        put_command(c, ".", SPAN(""), "\r\n");
        move(c, VOID_DOT);
    }
}

/* DATA or the final dot was answered: that settles who was accepted. */
static void settle(struct client *c, const struct event *e)
{
    struct client_outcome o = outcome_of(c, &c->arena, e);

    decide_rest(c, &o);
    if (c->state == DOT)
        c->after = FREE;
    move(c, DONE);
}

static void take_void_dot(struct client *c, const struct event *e)
{
    (void)e;
    c->after = FREE;
    move(c, DONE);
}

static void take_reset(struct client *c, const struct event *e)
{
    (void)e;
    move(c, FREE);
}

static step_fn *const steps[STATES][EVENTS] = {
    /* clang-format off */
    /*             2xx              3xx              4xx              5xx
                   421              nonsense         lost             timed out */
    [GREETING] = { take_greeting,   end_session,     end_session,     end_session,
                   end_session,     end_session,     end_session,     end_session },
    [EHLO]     = { take_ehlo,       end_session,     end_session,     say_helo,
                   end_session,     end_session,     end_session,     end_session },
    [HELO]     = { take_helo,       end_session,     end_session,     end_session,
                   end_session,     end_session,     end_session,     end_session },
    [FREE]     = { end_session,     end_session,     end_session,     end_session,
                   end_session,     end_session,     end_session,     ignore },
    [MAIL]     = { take_mail,       end_transaction, refuse_mail,     refuse_mail,
                   end_transaction, end_transaction, end_transaction, end_transaction },
    [RCPT]     = { take_rcpt,       end_transaction, refuse_rcpt,     refuse_rcpt,
                   end_transaction, end_transaction, end_transaction, end_transaction },
    [DATA]     = { end_transaction, take_data,       settle,          settle,
                   end_transaction, end_transaction, end_transaction, end_transaction },
    [CONTENT]  = { end_transaction, end_transaction, end_transaction, end_transaction,
                   end_transaction, end_transaction, end_transaction, end_transaction },
    [DOT]      = { settle,          end_transaction, settle,          settle,
                   end_transaction, end_transaction, end_transaction, end_transaction },
    [VOID_DOT] = { take_void_dot,   end_transaction, take_void_dot,   take_void_dot,
                   end_transaction, end_transaction, end_transaction, end_transaction },
    [DONE]     = { end_transaction, end_transaction, end_transaction, end_transaction,
                   end_transaction, end_transaction, end_transaction, ignore },
    [RESET]    = { take_reset,      end_session,     end_session,     end_session,
                   end_session,     end_session,     end_session,     end_session },
    [QUIT]     = { hang_up,         hang_up,         hang_up,         hang_up,
                   hang_up,         hang_up,         hang_up,         hang_up },
    [CLOSED]   = { ignore,          ignore,          ignore,          ignore,
                   ignore,          ignore,          ignore,          ignore },
    /* clang-format on */
};

static void step(struct client *c, const struct event *e)
{
    steps[c->state][e->kind](c, e);
}

static void step_reply(struct client *c, const struct reply *r)
{
    struct event e = { .reply = *r };

    e.kind = r->code == 421 ? SAID_421
                            : (enum event_kind)(SAID_2XX + r->code / 100 - 2);
    step(c, &e);
}

static void step_trouble(struct client *c, enum event_kind kind,
                         struct span words)
{
    struct event e = { .kind = kind, .words = words };

    step(c, &e);
}

/* ---- what the host calls
 * --------------------------------------------------------- */

struct client *client_new(struct span hostname,
                          const struct client_timeouts *timeouts,
                          int64_t now_ms)
{
    struct client *c = memory_zero(1, sizeof *c + hostname.len + 1);

    memcpy(c->hostname, hostname.at, hostname.len);
    c->timeouts = *timeouts;
    c->now_ms = now_ms;
    c->state = GREETING;
    set_timer(c);
    return c;
}

void client_free(struct client *c)
{
    if (!c)
        return;
    answer_fini(&c->answer);
    buffer_fini(&c->output);
    arena_reset(&c->arena);
    arena_reset(&c->trouble_words);
    free(c);
}

void client_feed(struct client *c, struct span in, int64_t now_ms)
{
    enum answer_said said;
    struct reply r;

    c->now_ms = now_ms;
    c->has_asked = false;
    while (in.len && c->state != CLOSED) {
        said = answer_read(&c->answer, &in, &r);
        if (said == ANSWER_MORE)
            return;
        if (said == ANSWER_REPLY && !c->has_asked) {
            step_reply(c, &r);
            continue;
        }
        step_trouble(c, NONSENSE,
                     said == ANSWER_BROKEN ? r.text
                                           : SPAN("reply before the command"));
        return;
    }
}

enum client_wants client_wants(const struct client *c)
{
    return states[c->state].wants;
}

struct buffer *client_output(struct client *c)
{
    return &c->output;
}

void client_sent(struct client *c, int64_t now_ms)
{
    c->now_ms = now_ms;
    if (c->state == CONTENT || c->state == DOT)
        set_timer(c);
}

static bool has_control(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.at[i] < ' ' || s.at[i] == 0x7f)
            return true;
    return false;
}

/* What this peer cannot be asked; status of class 0: nothing stands against it.
 */
static struct client_outcome find_obstacle(const struct client *c)
{
    const struct envelope *e = c->t.envelope;
    bool needs_utf8 = e->smtputf8 || utf8_has_high(e->sender);

    if (has_control(e->sender))
        return outcome_of_ours(DIAGNOSIS_FAILED, STATUS(5, 1, 7),
                               SPAN("sender address has a control character"));
    for (size_t i = 0; i < c->t.count; i++) {
        if (has_control(c->t.recipients[i].address))
            return outcome_of_ours(
                DIAGNOSIS_FAILED, STATUS(5, 1, 3),
                SPAN("recipient address has a control character"));
        needs_utf8 |= utf8_has_high(c->t.recipients[i].address);
    }
    if (needs_utf8 && !can(c, CAN_SMTPUTF8))
        return outcome_of_ours(
            DIAGNOSIS_FAILED, STATUS(5, 6, 7),
            SPAN("SMTPUTF8 is required, but was not offered by peer"));
    if (c->can.size_bytes && e->size_bytes > c->can.size_bytes)
        return outcome_of_ours(
            DIAGNOSIS_FAILED, STATUS(5, 3, 4),
            SPAN("message is larger than the size limit of peer"));
    if ((e->has_8bit && !can(c, CAN_8BITMIME)) || e->body == BODY_BINARYMIME)
        return outcome_of_ours(
            DIAGNOSIS_OTHER_HOST, STATUS(5, 6, 3),
            SPAN("message needs 8BITMIME or BINARYMIME, but it was not "
                 "offered by peer"));
    return (struct client_outcome){ 0 };
}

void client_start(struct client *c, const struct client_transaction *t,
                  int64_t now_ms)
{
    struct client_outcome obstacle;

    ASSERT(c->state == FREE);
    ASSERT(t->count > 0 && t->count <= client_recipients_most(c));
    c->now_ms = now_ms;
    c->t = *t;
    c->outcomes = arena_take(&c->arena, t->count * sizeof *c->outcomes);
    c->at = c->accepted = 0;
    c->after = FREE;
    obstacle = find_obstacle(c);
    if (is_decided(&obstacle)) {
        decide_rest(c, &obstacle);
        move(c, DONE);
        return;
    }
    c->messages++;
    put_mail(c);
    if (can(c, CAN_PIPELINING)) {
        for (size_t i = 0; i < t->count; i++)
            put_rcpt(c, i);
        put_data(c);
    }
    move(c, MAIL);
}

/* Nothing of what was not sent yet may follow, above all no dot. */
static void give_up_content(struct client *c, struct span words,
                            struct status status)
{
    struct client_outcome o = outcome_of_ours(DIAGNOSIS_LATER, status, words);

    buffer_clear(&c->output);
    decide_rest(c, &o);
    c->trouble = o;
    c->after = CLOSED;
    move(c, DONE);
}

void client_content(struct client *c, struct span bytes, bool last,
                    int64_t now_ms)
{
    ASSERT(c->state == CONTENT);
    c->now_ms = now_ms;
    if (!stuffing_put(&c->stuffing, &c->output, bytes) ||
        (last && !stuffing_end(&c->stuffing, &c->output))) {
        give_up_content(c, SPAN("message content has a bare CR or LF"),
                        STATUS(4, 6, 0));
        return;
    }
    if (last)
        move(c, DOT);
    else
        set_timer(c);
}

void client_content_failed(struct client *c, int64_t now_ms)
{
    ASSERT(c->state == CONTENT);
    c->now_ms = now_ms;
    give_up_content(c, SPAN("message content cannot be read"), STATUS(4, 3, 0));
}

const struct client_outcome *client_outcomes(const struct client *c)
{
    ASSERT(c->state == DONE);
    return c->outcomes;
}

void client_next(struct client *c, int64_t now_ms)
{
    ASSERT(c->state == DONE);
    c->now_ms = now_ms;
    arena_reset(&c->arena);
    c->outcomes = NULL;
    c->t = (struct client_transaction){ 0 };
    if (c->after != CLOSED && c->can.messages && c->messages >= c->can.messages)
        c->after = QUIT;
    if (c->after == RESET)
        put_command(c, "RSET", SPAN(""), "\r\n");
    else if (c->after == QUIT)
        put_command(c, "QUIT", SPAN(""), "\r\n");
    move(c, c->after);
}

void client_quit(struct client *c, int64_t now_ms)
{
    ASSERT(c->state == FREE);
    c->now_ms = now_ms;
    put_command(c, "QUIT", SPAN(""), "\r\n");
    move(c, QUIT);
}

void client_lost(struct client *c, struct span reason, int64_t now_ms)
{
    c->now_ms = now_ms;
    step_trouble(c, LOST, reason);
}

int64_t client_deadline_ms(const struct client *c)
{
    return c->deadline_ms;
}

void client_timeout(struct client *c, int64_t now_ms)
{
    c->now_ms = now_ms;
    if (now_ms >= c->deadline_ms)
        step_trouble(c, TIMEOUT, SPAN(""));
}

bool client_is_greeted(const struct client *c)
{
    return c->was_greeted;
}

bool client_is_past_dot(const struct client *c)
{
    return c->state == DOT;
}

const struct client_outcome *client_trouble(const struct client *c)
{
    return &c->trouble;
}

uint32_t client_recipients_most(const struct client *c)
{
    uint32_t most = c->can.recipients;

    return most && most < LIMIT_TRANSACTION_RECIPIENTS
               ? most
               : LIMIT_TRANSACTION_RECIPIENTS;
}

uint32_t client_messages(const struct client *c)
{
    return c->messages;
}
