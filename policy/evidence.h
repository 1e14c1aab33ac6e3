/*
 * evidence - what the judge has asked and been told.
 *
 * Policy does not look, it is told: where a rule depends on DNS, on memory or on another
 * program, the verdict is VERDICT_ASKS with questions; whoever asked fetches the answers,
 * puts them here and judges again. The same question is asked once; an answer counts for
 * the life of this object (that of a session, or of one `waypost explain`).
 *
 * Keys are what the judge wrote; answers are text, in words the judge reads. A question that
 * could not be answered has EVIDENCE_FAILED: what that means is the condition's matter.
 */
#ifndef WAYPOST_EVIDENCE_H
#define WAYPOST_EVIDENCE_H

#include "policy/vocabulary/arena.h"
#include "policy/vocabulary/span.h"

struct rule;

enum evidence_kind {
    EVIDENCE_NAME,                /* key: the client's address. Answer: its name, which leads
                                     back to that address; empty: it has none */
    EVIDENCE_ADDRESSES,           /* key: a name ("4.3.2.192.zen.example.net"). Answer: its A
                                     addresses with a space between; empty: none */
    EVIDENCE_NOTE,                /* key: "KIND\tKEY" of queue_note_put. Answer: the value;
                                     empty: there is none */
    EVIDENCE_BUDGET,              /* key: what is counted, "limit\tRULE TITLE\tPER VALUE\tRATE",
                                     RATE the number of the rate, rule->limit.rates[rate].
                                     Answer: how much is left, a number */
    EVIDENCE_COUNT,               /* key: "today\tWHO". Answer: recipients accepted since the
                                     local midnight (EFFECT_COUNT), a number */
    EVIDENCE_SERVER,              /* a policy server; key: its address, "\n", the request.
                                     Answer: "ACTION TEXT" */
    EVIDENCE_MAILBOX,             /* key: "ROUTE\tADDRESS". Answer: "yes", or "no REPLY" */
    EVIDENCE_CHARGE,              /* key as of BUDGET, or EVIDENCE_COUNT's; with an amount. All
                                     of one round are taken together or not at all. Answer:
                                     "taken"; where not, "over" for the first that has not so
                                     much left, "" for the others. It is no memory: asked
                                     again, it is taken again */
    EVIDENCE_KINDS,
};

struct evidence_question {
    enum evidence_kind kind;
    struct span key;              /* in the arena the judge was given */
    const struct rule *rule;      /* who wants to know: BUDGET its limit, SERVER its address */
    size_t rate;                  /* BUDGET, CHARGE: which of the limit's */
    uint64_t amount;              /* CHARGE */
};

enum evidence_state { EVIDENCE_NOT_ASKED, EVIDENCE_ANSWERED, EVIDENCE_FAILED };

struct evidence;

struct evidence *evidence_new(void);
void evidence_free(struct evidence *e);
/* An empty one that nothing is put into, for who has no answers yet and may ask. */
const struct evidence *evidence_none(void);
/* Copied. A later answer to the same question replaces the first. Bounded: the oldest go
 * first (limits.h), so an answer put is there until many more were. */
void evidence_put(struct evidence *e, enum evidence_kind kind, struct span key,
                  enum evidence_state state, struct span answer);
/* Budgets and notes move with each transaction. */
void evidence_forget(struct evidence *e, enum evidence_kind kind);
/* *out_answer is borrowed until the next put or forget, and set only for ANSWERED. e may be
 * NULL: nothing was asked. A key over LIMIT_EVIDENCE_KEY has FAILED, asked or not. */
enum evidence_state evidence_find(const struct evidence *e,
                                  enum evidence_kind kind, struct span key,
                                  struct span *out_answer);

#endif
