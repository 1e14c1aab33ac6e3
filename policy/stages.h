/*
 * stages - is it worth asking the judge before there is a recipient?
 *
 * Most rules speak of recipients; a configuration that refuses nobody earlier should cost
 * nothing earlier.
 */
#ifndef WAYPOST_STAGES_H
#define WAYPOST_STAGES_H

#include "policy/judge.h"

#define STAGE_BIT(stage) (1u << (stage))

/* The stages before RECIPIENT at which the judge may have a refusal that it did not have at the
 * one before, as a set of STAGE_BITs. Never too few. */
unsigned stages_that_may_refuse(const struct rule *rules, size_t count);

#endif
