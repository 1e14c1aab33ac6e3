/*
 * headeredit - a header section with what rules add to it and take from it.
 *
 * Fields are added below our own Received: line and above all others, in the
 * order of the rules, long ones folded. Fields are taken from the section as it
 * was sent; nothing else in it changes by a byte. RFC 5322 2.2.3.
 */
#ifndef WAYPOST_HEADEREDIT_H
#define WAYPOST_HEADEREDIT_H

#include "policy/judge.h"
#include "policy/vocabulary/buffer.h"

/* Is it one that changes the header? */
static inline bool headeredit_is(const struct effect *e)
{
    return e->kind == EFFECT_ADD_HEADER || e->kind == EFFECT_REMOVE_HEADER;
}

/*
 * Appends trace, what is added, and what is left of the section. An empty line
 * that is missing between header and body is put where something is added.
 */
void headeredit_write(struct span trace, struct span section, bool has_body,
                      const struct effect *const *edits, size_t count,
                      struct buffer *out);

#endif
