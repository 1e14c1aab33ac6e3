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

/* A refusal in place of the banner has a code of its own: a greeting is 220, 554 or 421, and
 * 521, which RFC 7504 added. RFC 5321 3.1, 3.8 */
short stages_greeting_code(const struct verdict *v);

#endif
