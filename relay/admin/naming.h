/*
 * naming - which destinations does a person mean?
 *
 * By its name, by a pattern, or by its hosts alone: a route's own ways ("most=10min") stand in
 * the name of its destination, behind a space, and nobody types them.
 */
#ifndef WAYPOST_NAMING_H
#define WAYPOST_NAMING_H

#include "policy/settings.h"
#include "policy/vocabulary/buffer.h"

/* Names may look like patterns ("[::1]"): itself, its hosts, or a pattern that it matches. An
 * empty one means all. */
bool naming_is_meant(const char *said, struct span name);

/* For each destination that routes lead to, though the queue does not know it yet. */
typedef void naming_fn(void *user, struct span name);
void naming_each_route(const struct settings *s, const char *said,
                       naming_fn *each, void *user);

/* What is wrong with a name that means nothing, and what to do: where mail for the domain goes,
 * when it is one. */
void naming_put_fault(struct buffer *b, const struct settings *s,
                      const char *said);

#endif
