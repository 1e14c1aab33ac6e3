/*
 * record - verdicts, as the history and `waypost replay` want to know them.
 *
 * What is accepted is told with the message, in a small text beside each recipient; what is
 * refused or discarded goes by the queue's ring.
 */
#ifndef WAYPOST_RECORD_H
#define WAYPOST_RECORD_H

#include "queue/queue.h"
#include "relay/inbound/session.h"
#include "relay/net/worker.h"

/* Which rule held it first, or NULL. */
const struct rule *record_holder(const struct draft_recipient *r);
/* Of mail as it goes on. */
struct record_addresses {
    struct span to, from;
    struct span orcpt;            /* decoded, or empty */
};
/* Appends the ruling of a recipient of the draft. */
void record_ruling(struct buffer *b, const struct draft *d,
                   const struct draft_recipient *r,
                   const struct record_addresses *now);
/* A draft was accepted: its rules are counted, and what they discarded, which is in no
 * queue, is remembered. */
void record_accepted(const struct worker *w, const struct draft *d);
/* session: NULL while it is being born. client and reply: as text. */
void record_refusal(const struct worker *w, const struct session *s,
                    const struct session_event *e, struct span client,
                    struct span reply);

#endif
