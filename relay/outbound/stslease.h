/*
 * stslease - who asks a domain's web server for its policy, and who has asked in vain.
 *
 * One for all workers, so that a policy is fetched once at a time: who takes the lease
 * fetches, others look again a little later. A lease ends by itself, should its holder be
 * gone. A fetch that failed is remembered for a while, so that an outage is not asked about
 * with every message. Bounded: the entry that ends first gives way.
 */
#ifndef WAYPOST_STSLEASE_H
#define WAYPOST_STSLEASE_H

#include "policy/vocabulary/span.h"

enum { STSLEASE_FETCH_MS = 70 * 1000, STSLEASE_FAILED_MS = 5 * 60 * 1000 };

struct stslease;

enum stslease_answer {
    STSLEASE_YOURS,               /* fetch it; stslease_end follows */
    STSLEASE_BUSY,                /* another does */
    STSLEASE_FAILED,              /* this very policy could not be had lately */
};

struct stslease *stslease_new(void);
void stslease_free(struct stslease *l);
/* Any thread, all of these. id: of the policy that is announced now. */
enum stslease_answer stslease_take(struct stslease *l, struct span domain,
                                   struct span id, int64_t now_ms);
/* For who has it. is_failed: remembered for STSLEASE_FAILED_MS. */
void stslease_end(struct stslease *l, struct span domain, struct span id,
                  bool is_failed, int64_t now_ms);

#endif
