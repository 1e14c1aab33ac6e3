/*
 * explanation - what would be said to this client, sender and recipient, and why?
 *
 * The judge is asked at each stage as a session asks it, from the connection on, and what it
 * says of each rule is written down; then what a session weighs besides the rules: what the
 * listener and the users file demand, the size, the way to the next hop, whether the mailbox
 * is known there. Nothing is done: effects of the verdict are there to be shown.
 *
 *   explanation_new -> step --asks--> evidence_put, or explanation_assume --> step ...
 *                        \--has all--> the fields below
 *
 * Pure. What is borrowed (facts, message) lives as long as the explanation.
 */
#ifndef WAYPOST_EXPLANATION_H
#define WAYPOST_EXPLANATION_H

#include "policy/condition.h"
#include "policy/destinies.h"

/* What the verdict comes from. */
enum explanation_by {
    BY_RULE,
    BY_NO_RULE,                   /* none granted */
    BY_POSTMASTER,                /* it is ours: it needs no rule that grants */
    BY_LISTENER,                  /* it demands TLS, a certificate or a login */
    BY_LIMITS,                    /* message_bytes */
    BY_SENDERS,                   /* users { senders } */
    BY_ROUTE,                     /* there is none */
    BY_QUOTA,
    BY_VERIFY,                    /* the recipient is not known there */
};

/* One rule; as the last walk that met it said. */
struct explained_rule {
    enum rule_fate fate;
    const struct condition *which; /* that did not hold or is not known; or NULL */
    bool is_of_message;           /* said with the message */
};

enum explained_how {
    TOLD_ASKED,                   /* somebody answered */
    TOLD_ASSUMED,                 /* nobody was asked */
    TOLD_FAILED,                  /* it could not be found out */
};

/* One question that a rule had. */
struct explained_answer {
    enum evidence_kind kind;
    enum explained_how how;
    struct span key;
    const struct rule *rule;      /* NULL: a route's verify */
    size_t rate;                  /* BUDGET */
};

struct explanation {
    struct settings *settings;
    const struct listener_settings *listener; /* or NULL */
    struct facts facts;           /* all that is known of sender and recipient */
    bool has_message;
    /* Would so much more be over its destination's quota? NULL: it is not known. */
    bool (*is_full)(void *user, struct span lane, uint64_t bytes,
                    uint64_t quota_bytes);
    void *user;

    /* when step has answered true */
    struct verdict verdict;       /* reply's text is expanded */
    enum stage stage;             /* at which it falls */
    enum explanation_by by;
    struct verdict granted, at_content; /* effects of both; kind OPEN: there was none */
    struct explained_rule *rules; /* one for each of the settings' */
    struct destiny *destinies;    /* of who is accepted */
    size_t destiny_count;
    const struct explained_answer *answers;
    size_t answer_count;
    struct evidence *evidence;

    struct arena arena, kept;
    size_t answer_room;
    struct digest *digest;
    bool is_ours;                 /* the recipient is our postmaster ... */
    bool has_postmaster;          /* ... and this is where its mail goes */
    struct address postmaster;
    struct buffer postmaster_text;
};

/* facts: client, helo, login, TLS, listener, sender, recipient, size and time. */
struct explanation *explanation_new(struct settings *s,
                                    const struct facts *facts);
void explanation_free(struct explanation *x);
/* The message's content, once, before the first step. */
void explanation_message(struct explanation *x, struct span content);

/* True: it is all known. False: these are to be answered first, each in x->evidence or by
 * the next two. */
bool explanation_step(struct explanation *x,
                      const struct evidence_question **out_all,
                      size_t *out_count);
/* This one is not asked: what is usual is taken for the answer. */
void explanation_assume(struct explanation *x,
                        const struct evidence_question *q);
/* All of them were asked; what has no answer has failed. */
void explanation_asked(struct explanation *x,
                       const struct evidence_question *all, size_t count);
/* Does anything rest on what was assumed? */
bool explanation_is_conditional(const struct explanation *x);

#endif
