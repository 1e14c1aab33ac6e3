/*
 * showing - facts, questions and effects in words for people.
 *
 * What stands beside a condition when its rule is explained: what is so of this client, this
 * sender. Bytes of strangers come out as they are; whoever prints them escapes.
 */
#ifndef WAYPOST_SHOWING_H
#define WAYPOST_SHOWING_H

#include "policy/explanation.h"

/* The fact that the condition asks about: "client is 192.0.2.7". */
void showing_fact(struct buffer *b, const struct explanation *x,
                  const struct condition *c);
/* "reverse-dns", the kind in a word; what was asked, without the key's own marks; and what was
 * said. */
const char *showing_kind(enum evidence_kind kind);
void showing_question(struct buffer *b, const struct explained_answer *a);
void showing_answer(struct buffer *b, const struct explanation *x,
                    const struct explained_answer *a);
/* A word for each kind: "add-header", "recipient", "not-reached". */
const char *showing_effect(enum effect_kind kind);
const char *showing_stage(enum stage stage);
const char *showing_fate(enum rule_fate fate);
/* Is nothing done to the mail: is something only counted, or remembered? */
bool showing_is_silent(enum effect_kind kind);

#endif
