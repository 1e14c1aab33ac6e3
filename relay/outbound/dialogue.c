/*
 * dialogue - the inside of a client: its states and what may happen in them.
 *
 * Two tables are obeyed: states[] (what the host is told, which timer runs,
 * which state may follow) and steps[] (what an event does in a state). No reply
 * leads anywhere that is not in them; a reply that answers nothing is the end
 * of the session.
 *
 * What may be trusted: from FREE on the connection is secured and logged in as far
 * as the options demand; in DONE every recipient is decided; in CONTENT and CHUNKS
 * at least one was accepted, and nothing of the body has been sent before; only in
 * DOT and LAST does a 2xx mean delivered. RFC 5321 4.1.4, 4.2, 4.3.2, 4.5.3.2, RFC
 * 2920 3.1, RFC 1047.
 */
#include "relay/outbound/dialogue.h"

#include "policy/vocabulary/error.h"
#include "relay/outbound/approach.h"
#include "relay/outbound/outcome.h"
#include "relay/outbound/mailing.h"
#include "relay/outbound/turning.h"
#include "relay/outbound/witness.h"

#define TO(state)     (1u << AT_##state)
#define TIMER(member) offsetof(struct client_timeouts, member)
#define NO_TIMER      SIZE_MAX
/* Where an answer to EHLO, STARTTLS or AUTH may lead. */
#define ONWARD (TO(STARTTLS) | TO(AUTH) | TO(FREE) | TO(CLOSED))

static const struct state_row {
    enum client_wants wants;
    enum client_stage stage;
    size_t timer;
    unsigned next;
} states[CLIENT_STATES] = {
    /* clang-format off */
    [AT_HANDSHAKE] = { CLIENT_STARTS_TLS, STAGE_TLS, TIMER(handshake),
                      TO(GREETING) | TO(CLOSED) },
    [AT_GREETING] = { CLIENT_READS,  STAGE_GREETING, TIMER(greeting),
                      TO(EHLO) | TO(CLOSED) },
    [AT_EHLO]     = { CLIENT_READS,  STAGE_HELO,     TIMER(helo),
                      ONWARD | TO(HELO) },
    [AT_HELO]     = { CLIENT_READS,  STAGE_HELO,     TIMER(helo),
                      TO(FREE) | TO(CLOSED) },
    [AT_STARTTLS] = { CLIENT_READS,  STAGE_STARTTLS, TIMER(helo),
                      ONWARD | TO(SECURING) },
    [AT_SECURING] = { CLIENT_STARTS_TLS, STAGE_TLS,  TIMER(handshake),
                      TO(EHLO) | TO(CLOSED) },
    [AT_AUTH]     = { CLIENT_READS,  STAGE_AUTH,     TIMER(helo),
                      TO(AUTH) | TO(COMPUTING) | TO(FREE) | TO(CLOSED) },
    [AT_COMPUTING] = { CLIENT_COMPUTES, STAGE_AUTH,  TIMER(helo),
                      TO(AUTH) | TO(CLOSED) },
    [AT_FREE]     = { CLIENT_FREE,   STAGE_IDLE,     NO_TIMER,
                      TO(XFORWARD) | TO(MAIL) | TO(DONE) | TO(TURN) | TO(QUIT) | TO(CLOSED) },
    [AT_XFORWARD] = { CLIENT_READS,  STAGE_XFORWARD, TIMER(mail),
                      TO(XFORWARD) | TO(MAIL) | TO(DONE) },
    [AT_MAIL]     = { CLIENT_READS,  STAGE_MAIL,     TIMER(mail),
                      TO(RCPT) | TO(DONE) },
    [AT_RCPT]     = { CLIENT_READS,  STAGE_RCPT,     TIMER(rcpt),
                      TO(RCPT) | TO(DATA) | TO(CHUNKS) | TO(DONE) },
    [AT_DATA]     = { CLIENT_READS,  STAGE_DATA,     TIMER(data),
                      TO(CONTENT) | TO(VOID_DOT) | TO(DONE) },
    [AT_CONTENT]  = { CLIENT_SENDS,  STAGE_CONTENT,  TIMER(block),
                      TO(DOT) | TO(DONE) },
    [AT_DOT]      = { CLIENT_READS,  STAGE_DOT,      TIMER(dot),
                      TO(DOT) | TO(DONE) },
    [AT_VOID_DOT] = { CLIENT_READS,  STAGE_DOT,      TIMER(dot),
                      TO(DONE) },
    [AT_CHUNKS]   = { CLIENT_SENDS,  STAGE_CHUNK,    TIMER(block),
                      TO(CHUNK) | TO(LAST) | TO(VOID_CHUNKS) | TO(DONE) },
    [AT_CHUNK]    = { CLIENT_READS,  STAGE_CHUNK,    TIMER(block),
                      TO(CHUNKS) | TO(DONE) },
    [AT_LAST]     = { CLIENT_READS,  STAGE_LAST,     TIMER(dot),
                      TO(LAST) | TO(VOID_CHUNKS) | TO(DONE) },
    [AT_VOID_CHUNKS] = { CLIENT_READS, STAGE_CHUNK,  TIMER(block),
                      TO(DONE) },
    [AT_DONE]     = { CLIENT_DONE,   STAGE_IDLE,     NO_TIMER,
                      TO(DONE) | TO(FREE) | TO(RESET) | TO(QUIT) | TO(CLOSED) },
    [AT_RESET]    = { CLIENT_READS,  STAGE_RESET,    TIMER(rcpt),
                      TO(FREE) | TO(CLOSED) },
    [AT_TURN]     = { CLIENT_READS,  STAGE_TURN,     TIMER(dot),
                      TO(TURNED) | TO(CLOSED) },
    [AT_TURNED]   = { CLIENT_TURNED, STAGE_IDLE,     NO_TIMER,
                      TO(CLOSED) },
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
    const struct witness *w = c->options.witness;

    ASSERT(states[c->state].next & 1u << to);
    c->state = to;
    dialogue_set_timer(c);
    if (w)
        w->awaits(w->user, states[to].stage);
    if (to != AT_FREE && to != AT_CLOSED)
        return;
    dialogue_forget_secret(c);
    answer_fini(&c->answer);
    if (c->output.len == 0)
        buffer_fini(&c->output);
}

void dialogue_show(struct client *c, const struct reply *r)
{
    const struct witness *w = c->options.witness;
    struct reply shown = *r;

    if (!w)
        return;
    if (c->login && login_is_told_by(c->login, r->text))
        shown.text = SPAN("(text withheld)");
    w->heard(w->user, states[c->state].stage, &shown);
}

enum client_wants dialogue_wants(const struct client *c)
{
    return states[c->state].wants;
}

bool dialogue_is_past_end(const struct client *c)
{
    return c->state == AT_DOT || c->state == AT_LAST;
}

void dialogue_put(struct client *c, const char *verb, struct span word,
                  const char *end)
{
    buffer_put_string(&c->output, verb);
    buffer_put(&c->output, word);
    buffer_put_string(&c->output, end);
    c->has_asked = true;
}

void dialogue_tape(struct client *c, size_t from)
{
    struct span line = span_skip(buffer_span(&c->output), from);

    tape_said(&c->tape, span_first(line, line.len - 2));
}

void dialogue_decide_rest(struct client *c, const struct client_outcome *o)
{
    for (size_t i = 0; i < c->t.count; i++)
        if (!dialogue_is_decided(&c->outcomes[i]))
            c->outcomes[i] = *o;
}

void dialogue_forget_secret(struct client *c)
{
    login_free(c->login);
    c->login = NULL;
    if (c->options.secret.len == 0)
        return;
    explicit_bzero((char *)c->options.secret.at, c->options.secret.len);
    c->options.secret.len = 0;
    if (c->output.at) /* it has been there, and was sent */
        explicit_bzero(c->output.at + c->output.len,
                       c->output.size - c->output.len);
}

/* Of an event that is no reply, or of one that answers the last chunk while
 * others are unanswered. */
static enum client_stage stage_of(const struct client *c, const struct event *e)
{
    bool is_reply = e->kind <= SAID_421;
    /* the end is still with us: the peer cannot have taken the message */
    bool is_unsent = dialogue_is_past_end(c) && c->output.len;

    if (is_unsent && !is_reply && e->kind != NONSENSE)
        return STAGE_CONTENT;
    if (c->state == AT_LAST && is_reply && c->chunks_open)
        return STAGE_CHUNK;
    if (e->kind == LOST && e->words.len &&
        (c->state == AT_GREETING || c->state == AT_HANDSHAKE))
        return STAGE_CONNECT;
    return states[c->state].stage;
}

struct client_outcome dialogue_outcome(struct client *c, struct arena *a,
                                       const struct event *e)
{
    enum client_stage stage = stage_of(c, e);

    switch (e->kind) {
    case NONSENSE:
        return outcome_of_nonsense(a, stage, e->words);
    case LOST:
        return outcome_of_loss(a, stage, e->words);
    case TIMEOUT:
        return outcome_of_timeout(a, stage);
    case SAID_2XX:
        if (!dialogue_is_past_end(c) || stage == STAGE_CHUNK)
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
        c->trouble = dialogue_outcome(c, &c->trouble_words, e);
}

void dialogue_end_session(struct client *c, const struct event *e)
{
    note_trouble(c, e);
    if (e->kind == SAID_4XX || e->kind == SAID_5XX)
        dialogue_put(c, "QUIT", SPAN(""), "\r\n");
    dialogue_move(c, AT_CLOSED);
}

/*
 * A connection kept from an earlier message that breaks before MAIL was answered
 * was only old: the message was not refused.
 */
void dialogue_end_transaction(struct client *c, const struct event *e)
{
    struct client_outcome o = dialogue_outcome(c, &c->arena, e);

    note_trouble(c, e);
    if ((c->state == AT_MAIL || c->state == AT_XFORWARD) && c->messages > 1 &&
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

static void take_reset(struct client *c, const struct event *e)
{
    (void)e;
    dialogue_move(c, AT_FREE);
}

#define END_SESSION dialogue_end_session
#define END_TRANS   dialogue_end_transaction
#define REFUSE_TLS  approach_refuse_tls
#define BREAK_TLS   approach_break_tls
#define BREAK_LOGIN approach_break_login

static step_fn *const steps[CLIENT_STATES][CLIENT_EVENTS] = {
    /* clang-format off */
    /*                2xx              3xx              4xx              5xx
                      421              nonsense         lost             timed out */
    [AT_HANDSHAKE] = { END_SESSION,    END_SESSION,     END_SESSION,     END_SESSION,
                      END_SESSION,     END_SESSION,     END_SESSION,     BREAK_TLS },
    [AT_GREETING] = { approach_greeted, END_SESSION,    END_SESSION,     END_SESSION,
                      END_SESSION,     END_SESSION,     END_SESSION,     END_SESSION },
    [AT_EHLO]     = { approach_ehlo,   END_SESSION,     END_SESSION,     approach_say_helo,
                      END_SESSION,     END_SESSION,     END_SESSION,     END_SESSION },
    [AT_HELO]     = { approach_helo,   END_SESSION,     END_SESSION,     END_SESSION,
                      END_SESSION,     END_SESSION,     END_SESSION,     END_SESSION },
    [AT_STARTTLS] = { approach_secure, BREAK_TLS,       REFUSE_TLS,      REFUSE_TLS,
                      BREAK_TLS,       BREAK_TLS,       BREAK_TLS,       BREAK_TLS },
    [AT_SECURING] = { BREAK_TLS,       BREAK_TLS,       BREAK_TLS,       BREAK_TLS,
                      BREAK_TLS,       BREAK_TLS,       BREAK_TLS,       BREAK_TLS },
    [AT_AUTH]     = { approach_logged_in, approach_challenge, approach_refuse_login,
                      approach_refuse_login,
                      BREAK_LOGIN,     BREAK_LOGIN,     BREAK_LOGIN,     BREAK_LOGIN },
    [AT_COMPUTING] = { BREAK_LOGIN,    BREAK_LOGIN,     BREAK_LOGIN,     BREAK_LOGIN,
                      BREAK_LOGIN,     BREAK_LOGIN,     BREAK_LOGIN,     BREAK_LOGIN },
    [AT_FREE]     = { END_SESSION,     END_SESSION,     END_SESSION,     END_SESSION,
                      END_SESSION,     END_SESSION,     END_SESSION,     ignore },
    [AT_XFORWARD] = { mailing_forwarded, END_TRANS,    mailing_forwarded, mailing_forwarded,
                      END_TRANS,       END_TRANS,       END_TRANS,       END_TRANS },
    [AT_MAIL]     = { mailing_mail,   END_TRANS,       mailing_no_mail, mailing_no_mail,
                      END_TRANS,       END_TRANS,       END_TRANS,       END_TRANS },
    [AT_RCPT]     = { mailing_rcpt,   END_TRANS,       mailing_no_rcpt, mailing_no_rcpt,
                      END_TRANS,       END_TRANS,       END_TRANS,       END_TRANS },
    [AT_DATA]     = { END_TRANS,       mailing_data,   mailing_settle, mailing_settle,
                      END_TRANS,       END_TRANS,       END_TRANS,       END_TRANS },
    [AT_CONTENT]  = { END_TRANS,       END_TRANS,       END_TRANS,       END_TRANS,
                      END_TRANS,       END_TRANS,       END_TRANS,       END_TRANS },
    [AT_DOT]      = { mailing_settle, END_TRANS,       mailing_settle, mailing_settle,
                      END_TRANS,       END_TRANS,       END_TRANS,       END_TRANS },
    [AT_VOID_DOT] = { mailing_void_dot, END_TRANS,     mailing_void_dot, mailing_void_dot,
                      END_TRANS,       END_TRANS,       END_TRANS,       END_TRANS },
    [AT_CHUNKS]   = { mailing_chunk,  END_TRANS,       mailing_no_chunk, mailing_no_chunk,
                      END_TRANS,       END_TRANS,       END_TRANS,       END_TRANS },
    [AT_CHUNK]    = { mailing_chunk,  END_TRANS,       mailing_no_chunk, mailing_no_chunk,
                      END_TRANS,       END_TRANS,       END_TRANS,       END_TRANS },
    [AT_LAST]     = { mailing_last,   END_TRANS,       mailing_last,   mailing_last,
                      END_TRANS,       END_TRANS,       END_TRANS,       END_TRANS },
    [AT_VOID_CHUNKS] = { mailing_void_chunk, END_TRANS, mailing_void_chunk, mailing_void_chunk,
                      END_TRANS,       END_TRANS,       END_TRANS,       END_TRANS },
    [AT_DONE]     = { END_TRANS,       END_TRANS,       END_TRANS,       END_TRANS,
                      END_TRANS,       END_TRANS,       END_TRANS,       ignore },
    [AT_RESET]    = { take_reset,      END_SESSION,     END_SESSION,     END_SESSION,
                      END_SESSION,     END_SESSION,     END_SESSION,     END_SESSION },
    [AT_TURN]     = { turning_answered, END_SESSION,    turning_refused, turning_refused,
                      END_SESSION,     END_SESSION,     END_SESSION,     END_SESSION },
    [AT_TURNED]   = { END_SESSION,     END_SESSION,     END_SESSION,     END_SESSION,
                      END_SESSION,     END_SESSION,     END_SESSION,     ignore },
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
