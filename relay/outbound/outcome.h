/*
 * outcome - what became of a recipient, put in words.
 *
 * Makes struct client_outcome from a reply, or from trouble that is no reply;
 * the words are cleaned, one line, at most LIMIT_REPLY_STORED, and live in the
 * arena given. Pure.
 */
#ifndef WAYPOST_OUTCOME_H
#define WAYPOST_OUTCOME_H

#include "policy/vocabulary/arena.h"
#include "relay/outbound/diagnosis.h"

/* From a reply that answers the stage's question. */
struct client_outcome outcome_of_reply(struct arena *a, enum client_stage stage,
                                       const struct reply *r,
                                       size_t accepted_before);
/* A 2xx or 3xx where none was asked for. */
struct client_outcome outcome_of_misplaced(struct arena *a,
                                           enum client_stage stage,
                                           const struct reply *r);
/* No reply at all: what says what was there instead, already escaped. */
struct client_outcome outcome_of_nonsense(struct arena *a,
                                          enum client_stage stage,
                                          struct span what);
/* The connection is gone. reason may be empty: the peer closed it. */
struct client_outcome outcome_of_loss(struct arena *a, enum client_stage stage,
                                      struct span reason);
struct client_outcome outcome_of_timeout(struct arena *a,
                                         enum client_stage stage);
/* Words of our own; words is a literal. */
struct client_outcome outcome_of_ours(enum diagnosis diagnosis,
                                      struct status status, struct span words);

#endif
