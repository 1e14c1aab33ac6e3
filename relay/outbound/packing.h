/*
 * packing - the content in the form in which this host takes it.
 *
 * Mostly as it is. Re-encoded to seven bits where the host takes no more and the route's
 * `convert` allows it, and with long lines folded where the route says `fold`. Fed with the
 * content from its beginning, in pieces of any size; what comes out is borrowed until the
 * next call.
 */
#ifndef WAYPOST_PACKING_H
#define WAYPOST_PACKING_H

#include "policy/settings.h"
#include "relay/outbound/client.h"

struct convert;

struct packing {
    struct convert *convert; /* NULL: as it is */
    struct buffer out;
};

/* A zeroed struct is ready, and so is one that was used: it starts over. */
void packing_begin(struct packing *p, const struct route *r,
                   const struct envelope *e, enum client_form form);
/* False: it cannot be; *out_why is for every recipient. */
bool packing_put(struct packing *p, struct span bytes, bool last,
                 struct span *out_bytes, struct client_outcome *out_why);
void packing_fini(struct packing *p);

/* May content that this host does not take be re-encoded? content: all of it, which is then
 * tried, or at == NULL when it is in a file, where it will show. False: *out_why. */
bool packing_allows(const struct route *r, const struct envelope *e,
                    struct span content, struct client_outcome *out_why);

#endif
