/*
 * dialogue - the inside of a client: its states and what may happen in them.
 *
 * For the client's own files only; the host sees client.h. dialogue.c has the two
 * tables and what every step needs, approach.c the steps before the connection is
 * free, mailing.c those of a transaction.
 *
 *   HANDSHAKE (smtps)
 *      |
 *      v
 *   GREETING --220--> EHLO <-------------- SECURING (capabilities forgotten)
 *                     |  |                     ^
 *                     |  +-5xx-> HELO          | 220
 *                     |           |            |
 *                     +--2xx------+---> STARTTLS --no, and not needed--+
 *                     |                                                |
 *                     +---> AUTH <-------------------------------------+
 *                     |      | ^--> COMPUTING (SCRAM, between its lines)
 *                     |      | 235                                     |
 *                     v      v                                         |
 *                   FREE <---+-----------------------------------------+
 *
 *   FREE -> [XFORWARD ...] -> MAIL -> RCPT (each)
 *     by DATA:  DATA --354--> CONTENT -> DOT (LMTP: a reply for each) -> DONE
 *                  \354, none taken--> VOID_DOT -----------------------> DONE
 *     by BDAT:  CHUNKS <-> CHUNK (not pipelined) -> LAST --------------> DONE
 *                  \refused, others unanswered--> VOID_CHUNKS ---------> DONE
 *     MAIL refused, or all recipients: DONE
 *     it only asks (only_asks): DONE behind RCPT
 *
 *   DONE -client_next-> where `after` says: FREE, RESET -2xx-> FREE,
 *                       QUIT -any-> CLOSED, CLOSED
 *
 *   FREE -> TURN (ATRN) --250--> TURNED, and this dialogue is over
 *
 * Trouble outside a transaction leads to CLOSED, inside one to DONE with after
 * = CLOSED.
 */
#ifndef WAYPOST_DIALOGUE_H
#define WAYPOST_DIALOGUE_H

#include "policy/vocabulary/arena.h"
#include "relay/outbound/answer.h"
#include "relay/outbound/capabilities.h"
#include "relay/outbound/client.h"
#include "relay/outbound/login.h"
#include "relay/outbound/stuffing.h"
#include "relay/outbound/tape.h"

/* clang-format off */
enum client_state {
    AT_HANDSHAKE, AT_GREETING, AT_EHLO, AT_HELO, AT_STARTTLS, AT_SECURING, AT_AUTH,
    AT_COMPUTING, AT_FREE, AT_XFORWARD, AT_MAIL, AT_RCPT, AT_DATA, AT_CONTENT, AT_DOT, AT_VOID_DOT,
    AT_CHUNKS, AT_CHUNK, AT_LAST, AT_VOID_CHUNKS, AT_DONE, AT_RESET, AT_TURN, AT_TURNED,
    AT_QUIT,
    AT_CLOSED, CLIENT_STATES
};

/* A reply by its class, or one of three ways not to get one. */
enum client_event {
    SAID_2XX, SAID_3XX, SAID_4XX, SAID_5XX, SAID_421, NONSENSE, LOST, TIMEOUT,
    CLIENT_EVENTS
};
/* clang-format on */

/* What happened, as a step is told it. */
struct event {
    enum client_event kind;
    struct reply reply; /* SAID_... */
    struct span words;  /* NONSENSE: what was there; LOST: why */
};

struct client {
    enum client_state state; /* changed by dialogue_move alone */
    enum client_state after; /* DONE: where client_next goes */
    int64_t now_ms, deadline_ms;
    struct client_timeouts timeouts;
    struct client_options options; /* spans into storage */
    struct capabilities can;       /* of this connection; empty before EHLO */
    struct answer answer;
    struct buffer output;

    /* How it came to be free. */
    bool is_secured;
    bool goes_in_clear;            /* STARTTLS was refused, and is not needed */
    bool is_logged_in;
    bool was_tls, was_login;       /* what the trouble is about */
    bool was_greeted;
    const struct tls_facts *facts; /* is_secured; the host's */
    struct login *login;           /* AUTH; COMPUTING: NULL while the host has it */
    bool is_begun;                 /* its initial response was given */
    unsigned unwanted;             /* mechanisms that were 504 */

    short turn_code;               /* what ATRN was answered; 0: nothing */

    /* The transaction. */
    struct client_transaction t;
    enum client_form form;
    bool by_chunks;                  /* BDAT */
    bool is_binary;                  /* goes out as BODY=BINARYMIME */
    struct arena arena;              /* outcomes and their words */
    struct client_outcome *outcomes; /* status.class 0: not decided yet */
    size_t at;                       /* the recipient whose reply is next */
    size_t accepted;                 /* recipients the peer took */
    unsigned forwarded;              /* of XFORWARD: what was told */
    struct stuffing stuffing;
    size_t chunks_open;  /* BDAT without LAST that was not answered */
    size_t chunks_taken; /* and that was answered 2xx */

    bool was_chunking;             /* BDAT is not known after all */
    struct client_outcome trouble; /* the first there was */
    struct arena trouble_words;    /* outlives the transaction */
    uint32_t messages;             /* MAIL commands so far */
    bool took_mail;                /* the last of them was answered 2xx */
    bool has_asked; /* a command was put out in this very feed: what else
                       it holds was said too early */
    struct tape tape; /* what was said, but content and secrets */
    char storage[]; /* the options' words */
};

/* Goes to a state that may follow and sets its timer. */
void dialogue_move(struct client *c, enum client_state to);
void dialogue_set_timer(struct client *c);
enum client_wants dialogue_wants(const struct client *c);
/* Has the final dot, or the last chunk, been handed over? */
bool dialogue_is_past_end(const struct client *c);

/* Does what steps[] says; words as outcome_of_nonsense and _of_loss take them.
 */
void dialogue_hear(struct client *c, const struct reply *r);
void dialogue_break(struct client *c, enum client_event event,
                    struct span words);

/* verb, word and end into the output. */
void dialogue_put(struct client *c, const char *verb, struct span word,
                  const char *end);

/* What stands in the output from here on is a line: it goes onto the tape. */
void dialogue_tape(struct client *c, size_t from);

static inline bool dialogue_can(const struct client *c, enum capability what)
{
    return (c->can.has & what) != 0;
}

/* For who looks on: a reply, before it has any effect. */
void dialogue_show(struct client *c, const struct reply *r);

/* What an event means in this state. */
struct client_outcome dialogue_outcome(struct client *c, struct arena *a,
                                       const struct event *e);

/* A recipient is decided once, by the first reply that settles it. */
static inline bool dialogue_is_decided(const struct client_outcome *o)
{
    return o->status.class != 0;
}

/* All who are not decided yet share this one. */
void dialogue_decide_rest(struct client *c, const struct client_outcome *o);

/* The password is needed no longer. */
void dialogue_forget_secret(struct client *c);

/* A step of the table. */
typedef void step_fn(struct client *c, const struct event *e);

/* Outside a transaction: the session ends, politely where the peer still
 * listens. */
step_fn dialogue_end_session;
/* Inside one, the session ends too. */
step_fn dialogue_end_transaction;

#endif
