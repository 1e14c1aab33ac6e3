/*
 * scorecard - how often did which rule decide, and with which reply?
 *
 * Counted in memory since the start; any thread. Names are those of rules, so that what
 * strangers say makes nothing grow; beyond SCORECARD_ROWS rows (many reloads with other
 * rules) the rest is counted together under no name.
 */
#ifndef WAYPOST_SCORECARD_H
#define WAYPOST_SCORECARD_H

#include "policy/vocabulary/span.h"

enum { SCORECARD_ROWS = 10000 };

struct scorecard;

struct scorecard *scorecard_new(void);
void scorecard_free(struct scorecard *c);
/* rule: empty: none decided. c may be NULL: nobody counts. */
void scorecard_add(struct scorecard *c, struct span rule, unsigned code);
typedef void scorecard_fn(void *user, struct span rule, unsigned code,
                          uint64_t count);
/* The busiest ones, most first; borrowed for the call, under a lock. */
void scorecard_busiest(struct scorecard *c, size_t most, scorecard_fn *each,
                       void *user);

#endif
