/*
 * findings - what a replay found, gathered: how many of each kind, and the same changes
 * together with a few examples.
 */
#ifndef WAYPOST_FINDINGS_H
#define WAYPOST_FINDINGS_H

#include "relay/main/retrial.h"

struct findings;

struct findings *findings_new(unsigned examples_most);
void findings_free(struct findings *f);
void findings_add(struct findings *f, const struct finding *one,
                  const struct queue_past *p);
/* For people, and as one JSON object a line: the sums, then each group, the largest of its
 * kind first. */
void findings_print(struct findings *f);
void findings_print_json(struct findings *f);

#endif
