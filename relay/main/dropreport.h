/*
 * dropreport - a report about a dropped message that was refused, to its sender.
 */
#ifndef WAYPOST_DROPREPORT_H
#define WAYPOST_DROPREPORT_H

#include "policy/settings.h"
#include "queue/queue.h"
#include "relay/main/missive.h"

/* Where its sender's mail goes; false: nowhere (he is the null sender). */
bool dropreport_has_addressee(const struct settings *s,
                              const struct missive *m);
/* Composes the report about those that were refused, with this id. done is called from
 * queue_port_drain. False: there is nobody to be told. */
bool dropreport_put(const struct settings *s, struct queue_port *p,
                    const struct missive *m, uint64_t id, uint64_t about,
                    int64_t now_ms, queue_put_fn *done);

#endif
