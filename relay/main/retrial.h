/*
 * retrial - what would a candidate configuration have said of what was decided once?
 *
 * The judge is asked again with the facts that were recorded. What only DNS, our memory or
 * the message could tell is not known any more; but a rule that the running configuration has
 * too, word for word, is taken to have said then what the record shows: who was accepted had
 * passed the rules above the one that accepted him. What cannot be concluded is said to be
 * unknown, with the rule that wanted to know.
 *
 * Pure but for memory; borrows both settings.
 */
#ifndef WAYPOST_RETRIAL_H
#define WAYPOST_RETRIAL_H

#include "policy/judge.h"
#include "queue/queue.h"

enum fate {
    FATE_ACCEPTED,
    FATE_HELD,
    FATE_DISCARDED,
    FATE_REFUSED,
    FATE_DEFERRED,
    FATE_LET_ON, /* of one that was turned away before he had named a recipient */
    FATES
};

enum finding_kind {
    FINDING_SAME,
    FINDING_CHANGED,
    FINDING_REROUTED, /* accepted, by another route */
    FINDING_UNKNOWN,
    FINDING_OTHER, /* no rule had decided: nothing to compare */
};

enum doubt {
    DOUBT_DNS,
    DOUBT_MEMORY,
    DOUBT_SERVER,
    DOUBT_MESSAGE,
    DOUBT_FACTS
};

struct finding {
    enum finding_kind kind;
    enum fate then, now;
    /* That decides now (that holds, of HELD), or UNKNOWN's; NULL: none granted. */
    const struct rule *rule;
    struct reply
        reply; /* of REFUSED and DEFERRED, as this client would have got it */
    /* CHANGED, and let in: but for this rule, which had not been reached; or NULL. */
    const struct rule *unless;
    enum doubt because;                /* UNKNOWN, unless */
    struct span route_then, route_now; /* REROUTED: titles */
};

struct retrial;

struct retrial *retrial_new(const struct settings *running,
                            const struct settings *candidate);
void retrial_free(struct retrial *t);
/* What it points to lives until the next call. */
struct finding retrial_judge(struct retrial *t, const struct queue_past *p);

#endif
