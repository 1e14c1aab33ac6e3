/*
 * hops - the next hops of a route: what via says.
 */
#ifndef WAYPOST_HOPS_H
#define WAYPOST_HOPS_H

#include "policy/config/keys.h"

/* One hop, whatever it is; false and a fault where it is none. */
bool hops_read_one(struct reading *r, const struct syntax_text *text,
                   struct hop *out);
/* smtp:// or smtps:// and no other, on this port where none is written. */
bool hops_read_provider(struct reading *r, const struct syntax_text *text,
                        uint16_t port, struct hop *out);
/* Into route->via; accounts only where a hop names its own. */
void hops_read(struct reading *r, const struct syntax_entry *via,
               struct route *route);
/* The same hops in one spelling, as a route's key names them. */
void hops_print(struct buffer *b, const struct hop *hops, size_t count);
/* A name, with what parts names in a key written as %HH. */
void hops_print_name(struct buffer *b, struct span name);

/* Are the bytes on the way to it nobody else's, without TLS too? */
bool hops_are_local(const struct hop *hop);

#endif
