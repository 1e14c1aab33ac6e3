/*
 * probe - why is it stuck? One walk to a destination, told stage by stage.
 *
 *   route -> queue -> for each member of via:  an itinerary, a talk  --+--> end
 *                                              a folder's test        --+
 *                                              (a pickup: who fetches) -+
 *
 * What delivers is what probes: the same settings, look-ups, addresses, TLS and login. It
 * differs in this: addresses are tried one by one and not raced, each member of via is
 * visited even if one before it has worked, and no mail is sent. Where an address is asked
 * about, MAIL FROM and RCPT TO are said, then RSET.
 *
 * Each stage is a JSON object on one line:
 *
 *   {"stage": "mx", "state": "ok|warning|bad|info", "ms": 1.3, "text": "...", "detail": {}}
 *
 * The last is "end" with the verdict. A host that lets us in makes what waits for its
 * destination go, unless a person has suspended that.
 */
#ifndef WAYPOST_PROBE_H
#define WAYPOST_PROBE_H

#include "relay/outbound/delivery.h"

struct probe;

/* On the worker's thread. line: JSON, without its end; is_over: it was the last. */
typedef void probe_told_fn(void *user, struct span line, bool is_over);

/* name: a domain, an address or a destination's name; sender: who would send (empty: <>), or
 * at == NULL: nobody in particular. Told begins before it returns, and ends with one is_over,
 * perhaps before it returns, too: then it answers NULL. After is_over it is not to be used. */
struct probe *probe_open(struct worker *w, struct span name, struct span sender,
                         probe_told_fn *told, void *user);
/* Nothing is told any more. */
void probe_cancel(struct probe *p);

void probe_tick(struct probe *p, int64_t now_ms);
/* Going down: ends, and says so. */
void probe_cut(struct probe *p);
struct probe *probe_next(const struct probe *p);

#endif
