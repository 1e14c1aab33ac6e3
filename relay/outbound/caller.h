/*
 * caller - one connection to a host that is asked about mailboxes.
 *
 *   itinerary --connected--> talk <--question--> talk, parked
 *    |     ^                  | |                   |
 *    |     +--- next host ----+ +---- over -----+   | idle
 *    +--- no host is left --> gone <------------+---+
 *
 * It meets the host on the route's terms (TLS, login), asks by MAIL FROM:<> and RCPT TO, and
 * never sends mail: RSET, and the next question. An idle one is kept as long as the route
 * keeps a free connection.
 */
#ifndef WAYPOST_CALLER_H
#define WAYPOST_CALLER_H

#include "relay/outbound/delivery.h"

struct caller;
struct callouts;
struct callout_question;

/* With its first question. It may be gone, and the question answered, when this returns. */
void caller_open(struct callouts *all, struct callout_question *q);
/* Parked, or on the way there: has it no question? */
bool caller_is_free(const struct caller *c);
/* Goes to this destination, by these settings? */
bool caller_suits(const struct caller *c, const struct callout_question *q);
/* There is a question for a free one. True: it took one, which may be answered already; else
 * it will by itself. */
bool caller_ready(struct caller *c);
/* Its question is gone: the connection ends. The caller may be gone after it. */
void caller_abandon(struct caller *c);
/* Has the host let us in once? */
bool caller_was_met(const struct caller *c);
void caller_tick(struct caller *c, int64_t now_ms);
struct caller *caller_next(const struct caller *c);

#endif
