/*
 * demand - what a request's JSON object says, member by member.
 *
 * Each function answers false when the member is of another kind, and has then refused the
 * request: 400, with the path of the fault in front of what it should be
 * ("$.older: should be text or a number"). A member that is missing leaves its output as it
 * is. How deep an object may be nested, the parser knows.
 */
#ifndef WAYPOST_DEMAND_H
#define WAYPOST_DEMAND_H

#include "relay/admin/request.h"

/* The object; an empty body is an empty one. NULL: refused. The caller lets go of it. */
json_t *demand_read(struct request *r);
/* Are these all the members there are? The list ends with NULL. */
bool demand_is_only(struct request *r, json_t *body, const char *const *keys);

/* Text of at most so many bytes, without NUL; borrowed from the body. */
bool demand_text(struct request *r, const json_t *body, const char *key,
                 size_t most, const char **out);
/* true or false. */
bool demand_switch(struct request *r, const json_t *body, const char *key,
                   bool *out);

/* "$.key", or $["..."] where it is no plain word. */
void demand_put_path(struct buffer *b, struct span key);

#endif
