/*
 * moments - times of the week, as a rule's `time` says them.
 *
 *   time   = days [ SP hours ] / hours
 *   days   = day [ "-" day ]       ; "sat-sun", "fri-mon" is over the week's end
 *   day    = "sun" / "mon" / "tue" / "wed" / "thu" / "fri" / "sat", in any case
 *   hours  = "22:00-06:00"
 */
#ifndef WAYPOST_MOMENTS_H
#define WAYPOST_MOMENTS_H

#include "policy/condition.h"
#include "policy/config/keys.h"

void moments_read(struct reading *r, const struct syntax_entry *entry,
                  struct condition *c);

#endif
