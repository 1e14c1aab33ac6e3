/*
 * leaders - recipients whose verdict on the message others may share.
 *
 * A message for a hundred recipients mostly waits for the same rules for each of
 * them: these are asked once.
 */
#ifndef WAYPOST_LEADERS_H
#define WAYPOST_LEADERS_H

#include "policy/judge.h"

enum { LEADERS_MOST = 16 };

/* All zero: none yet. Everything is borrowed. */
struct leaders {
    const struct verdict *granted[LEADERS_MOST]; /* at RCPT */
    const struct verdict *later[LEADERS_MOST];   /* with the message */
    size_t count;
};

/* The verdict with the message for who was granted this at RCPT; NULL: it must be
 * asked for. */
const struct verdict *leaders_find(const struct leaders *all,
                                   const struct verdict *granted);
/* Others may share it, where they can and there is room. */
void leaders_add(struct leaders *all, const struct verdict *granted,
                 const struct verdict *later);

#endif
