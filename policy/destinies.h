/*
 * destinies - where an accepted recipient's mail goes, after what the rules did to it.
 *
 * `rewrite` puts other addresses in place of the recipient, or another sender; `route` names
 * the way. Rules act one after the other, so the last one that said so is obeyed, whether it
 * spoke at RCPT or waited for the message. What nobody changed stays, and its way is found as
 * that of any address.
 *
 * Owns nothing.
 */
#ifndef WAYPOST_DESTINIES_H
#define WAYPOST_DESTINIES_H

#include "policy/judge.h"

/* One address that the mail goes to, by one way. */
struct destiny {
    struct address address;
    const struct route *route;    /* NULL: there is none: 451 4.3.5 */
    bool is_named;                /* by a rule; its lane says so, too */
};

/* The sender as the next hop gets to see it. The verdicts are those of one recipient, at RCPT
 * and (NULL: not yet) with the message; the text is sender or theirs. */
struct span destinies_sender(struct span sender, const struct verdict *granted,
                             const struct verdict *at_content);

/*
 * At least one; in the arena, as are their addresses where they are not the recipient's own.
 * Ways are those for the sender of destinies_sender.
 */
size_t destinies_find(const struct settings *s, struct span sender,
                      const struct address *recipient,
                      const struct verdict *granted,
                      const struct verdict *at_content, struct arena *arena,
                      struct destiny **out_all);

/* As lane_key of policy/route.h, for mail of the same sender; appended. */
MUST int destinies_lane(const struct settings *s, struct span sender,
                        const struct destiny *d, struct buffer *out_key);

#endif
