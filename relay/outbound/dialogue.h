/*
 * dialogue - the inside of a client: its states and what may happen in them.
 *
 * For client.c and dialogue.c only; the host sees client.h.
 *
 *   GREETING --220--> EHLO --2xx--> FREE <--------------------------------+
 *                      |             ^|                                   |
 *                      +-5xx-> HELO -+| client_start                      |
 *                                     |                                   |
 *         +---------------------------+                                   |
 *         |                           v                                   |
 *         |   +--- no --- MAIL -----> RCPT (each) --> DATA --354--> CONTENT
 *         |   |                        |               |  \354, none  |   |
 *         |   |                        |               |   v taken    v   |
 *         |   |                   all refused          | VOID_DOT    DOT  |
 *         v   v                        v               v   v          v   |
 *        DONE (outcomes are ready) <---+---------------+---+----------+   |
 *         |                                                               |
 *         | client_next goes where `after` says                           |
 *         +--> RESET --2xx----------------------------------------------->+
 *         +-------------------------------------------------------------->+
 *         +--> QUIT --any reply--> CLOSED
 *         +----------------------> CLOSED
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
#include "relay/outbound/stuffing.h"

/* clang-format off */
enum client_state {
    AT_GREETING, AT_EHLO, AT_HELO, AT_FREE, AT_MAIL, AT_RCPT, AT_DATA, AT_CONTENT,
    AT_DOT, AT_VOID_DOT, AT_DONE, AT_RESET, AT_QUIT, AT_CLOSED, CLIENT_STATES
};

/* A reply by its class, or one of three ways not to get one. */
enum client_event {
    SAID_2XX, SAID_3XX, SAID_4XX, SAID_5XX, SAID_421, NONSENSE, LOST, TIMEOUT,
    CLIENT_EVENTS
};
/* clang-format on */

struct client {
    enum client_state state; /* changed by dialogue_move alone */
    enum client_state after; /* DONE: where client_next goes */
    int64_t now_ms, deadline_ms;
    struct client_timeouts timeouts;
    struct capabilities can; /* of this connection; empty before EHLO */
    struct answer answer;
    struct buffer output;
    struct client_transaction t;
    struct arena arena;              /* outcomes and their words */
    struct client_outcome *outcomes; /* status.class 0: not decided yet */
    size_t at;                       /* the recipient whose reply is next */
    size_t accepted;                 /* recipients the peer took */
    struct stuffing stuffing;
    struct client_outcome trouble; /* the first there was */
    struct arena trouble_words;    /* outlives the transaction */
    uint32_t messages;             /* MAIL commands so far */
    bool has_asked; /* a command was put out in this very feed: what else
                       it holds was said too early */
    bool was_greeted;
    char hostname[];
};

/* Goes to a state that may follow and sets its timer. */
void dialogue_move(struct client *c, enum client_state to);
void dialogue_set_timer(struct client *c);
enum client_wants dialogue_wants(const struct client *c);

/* Does what steps[] says; words as outcome_of_nonsense and _of_loss take them.
 */
void dialogue_hear(struct client *c, const struct reply *r);
void dialogue_break(struct client *c, enum client_event event,
                    struct span words);

/* verb, word and end into the output. */
void dialogue_put(struct client *c, const char *verb, struct span word,
                  const char *end);
/* MAIL, and with PIPELINING all that follows it up to DATA. */
void dialogue_put_group(struct client *c);

/* Must this transaction be asked for with SMTPUTF8? */
bool dialogue_needs_utf8(const struct client *c);

/* A recipient is decided once, by the first reply that settles it. */
static inline bool dialogue_is_decided(const struct client_outcome *o)
{
    return o->status.class != 0;
}

/* All who are not decided yet share this one. */
void dialogue_decide_rest(struct client *c, const struct client_outcome *o);

#endif
