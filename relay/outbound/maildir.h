/*
 * maildir - a courier that writes into maildirs instead of visiting hosts.
 *
 *   loop:    claim -> (head of large content) -> for each recipient: a part -> ... -> settle
 *                                                                  |   ^
 *   thread:                                          maildir_copy: +---+  one at a time
 *
 * Whatever touches the disk runs on a thread of its own for as long as it takes, so that
 * neither the loop nor others' work waits for a slow disk; there are as many of them as the
 * destination has slots. A recipient's copy that has begun is finished when the relay goes
 * down, the others are freed. A crash between the copy and its settle brings a second copy
 * at most (Q4).
 *
 *   the copy is in new, and durable     2.0.0, final
 *   no folder for this local part       5.1.1, for good
 *   anything else                       4.x.x: trouble of ours is never a bounce
 */
#ifndef WAYPOST_MAILDIR_H
#define WAYPOST_MAILDIR_H

#include "policy/vocabulary/span.h"

struct courier;

/* SEEKING -> FILING -> GONE. The courier may be gone after it. */
void maildir_begin(struct courier *c);
/* The parcel's: large content has been read. The courier may be gone after it. */
void maildir_head_arrived(void *courier, int rc, struct span bytes);
void maildir_part_arrived(void *courier, int rc, struct span bytes);
/* The courier goes; nothing is under way. No maildir: nothing. */
void maildir_end(struct courier *c);

#endif
