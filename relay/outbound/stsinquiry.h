/*
 * stsinquiry - which policy (MTA-STS) has a domain?
 *
 *   (begin) -> RECORD   [look_up]   TXT of _mta-sts.DOMAIN: is there one, and which?
 *           -> RECALL   [recall]    what is kept of it, as a note in the queue
 *           -> WAITS    [fetch]     another fetches it just now: see the tick
 *           -> ADDRESS  [find_host] of mta-sts.DOMAIN, by our own resolver
 *           -> FETCH    [get]       its text, over HTTPS
 *           -> (answer)             from any of them
 *
 * What is kept holds for as long as it said, whatever becomes of record and server
 * meanwhile; another id in the record makes it fetched anew. One that is kept for long is
 * fetched anew in between, while mail goes on by the old one. No redirects, 64 KB, one minute
 * from the beginning. RFC 8461 3.
 */
#ifndef WAYPOST_STSINQUIRY_H
#define WAYPOST_STSINQUIRY_H

#include "policy/mtasts.h"
#include "relay/outbound/delivery.h"

struct stsinquiry;

/* policy NULL: it has none, or it cannot be had. Borrowed for the call, as are the words: what
 * was found, in one line. */
typedef void stsinquiry_fn(void *user, const struct mtasts_policy *policy,
                           struct span words);

/* done comes once, later. */
struct stsinquiry *stsinquiry_begin(struct delivery *d, struct span domain,
                                    stsinquiry_fn *done, void *user);
void stsinquiry_cancel(struct stsinquiry *take_i);
/* All of the delivery's. */
void stsinquiry_tick(struct delivery *d, int64_t now_ms);
/* Going down: those that nobody waits for are dropped. */
void stsinquiry_shut_down(struct delivery *d);

#endif
