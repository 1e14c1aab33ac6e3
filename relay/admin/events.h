/*
 * events - what happens, told over HTTP while it happens.
 *
 *   GET /api/v1/events?kinds=refused,bounced&match=TEXT     (text/event-stream)
 *
 *   data: {...}                      one event, as the object that the log writes
 *   event: omitted                   {"count":N,"by":{"delivery":N,...}}: what was left out
 *   event: tick                      each second, figures of now: the "now" of flow.h
 *
 * kinds are names of events, and "sent", "deferred" and "bounced" of deliveries; match is a
 * text in any field, no case. See relay/net/feed.h for how much is told. Who reads slowly
 * loses events, counted, and is waited for by nobody.
 */
#ifndef WAYPOST_EVENTS_H
#define WAYPOST_EVENTS_H

#include "relay/admin/request.h"

#include <uv.h>

struct events;

struct events *events_open(uv_loop_t *loop, struct admin *a);
/* All requests are gone. Frees itself when the loop has let go of it. */
void events_close(struct events *take_e);

void events_get(struct request *r);

#endif
