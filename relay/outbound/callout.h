/*
 * callout - is there such a mailbox? The route's host is asked, and the answer remembered.
 *
 *   begin --> recalled: a note tells --> answered
 *               |
 *               +--> waits for a caller --> asked: RCPT was answered --> noted, answered
 *                                            \ nobody can be asked ----> unknown
 *
 * Yes and no are notes of the queue ("mailbox"), so they outlive a restart and are shared by
 * all workers. An address is asked about once at a time, however many want to know. A host
 * that cannot be reached, or that the queue knows to be down, is left alone for a moment:
 * all that is asked of it is unknown at once. See caller.h for the connections.
 */
#ifndef WAYPOST_CALLOUT_H
#define WAYPOST_CALLOUT_H

#include "relay/outbound/delivery.h"

void callout_open(struct delivery *d);
/* For sides.call_out. */
void callout_begin(struct worker *w, const struct callout *c);
void callout_tick(struct delivery *d, int64_t now_ms);
/* All that is asked becomes unknown; callers end. */
void callout_shut_down(struct delivery *d);
/* What is asked still is dropped: nobody is told, who asked is gone already. */
void callout_close(struct delivery *d);

#endif
