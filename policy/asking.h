/*
 * asking - facts that only somebody else can tell: DNS, memory, another program.
 *
 * What was answered is taken from the evidence; what was not is written down to be asked,
 * each question once. Keys and answers are those of evidence.h.
 */
#ifndef WAYPOST_ASKING_H
#define WAYPOST_ASKING_H

#include "policy/condition.h"

/*
 * YES: *out_answer is what was said. UNKNOWN: it failed, or nothing can be asked.
 * ASKS: it was added to the inquiry, for q->rule.
 */
enum condition_said asking_find(struct question *q, enum evidence_kind kind,
                                struct span key, size_t rate,
                                struct span *out_answer);

/* The conditions for which condition_asks_others; negation is the caller's. */
enum condition_said asking_client_name(const struct condition *c,
                                       struct question *q);
enum condition_said asking_dnsbl(const struct condition *c, struct question *q);
enum condition_said asking_today(const struct condition *c, struct question *q);

/* Key of EVIDENCE_ADDRESSES: the name by which a list knows this client. */
void asking_list_name(struct buffer *b, const struct host_address *a,
                      struct span zone);

/* Key of EVIDENCE_COUNT and EFFECT_COUNT for this login, else client. */
void asking_today_key(struct buffer *b, const struct facts *facts);

#endif
