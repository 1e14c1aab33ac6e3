/*
 * inquest - finds out what a session's rules and routes want to know.
 *
 * A round is all that the engine asks at once. Each question goes to the
 * fetcher of its kind, which answers it exactly once by inquest_answer, never
 * before it has returned; when the last answer is there the engine goes on. A
 * kind that nobody fetches has failed at once. An answer for a session that is
 * gone, or that did not wait so long, is dropped.
 */
#ifndef WAYPOST_INQUEST_H
#define WAYPOST_INQUEST_H

#include "policy/evidence.h"
#include "relay/inbound/intake_private.h"

/* q and what it points to are borrowed for the call; false: it cannot be asked, and no
 * answer will come. */
typedef bool inquest_fetch_fn(struct visit *v,
                              const struct evidence_question *q,
                              uint64_t token);

/* SESSION_ASKS: begins the round, once, however often it is called; where nothing has to be
 * waited for the engine goes on at once. */
void inquest_hold(struct visit *v);
/* From a fetcher, on the worker's thread. */
void inquest_answer(struct worker *w, uint64_t token, enum evidence_state state,
                    struct span answer);
/* No visit is left: what is still under way finds nobody. */
void inquest_close(struct intake *i);

#endif
