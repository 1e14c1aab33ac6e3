/*
 * bell - wakes a loop, also where a thread of low priority rings.
 *
 * libuv's uv_async_send wakes the loop before it has noted that it has done so, and the loop spins
 * until that is noted: on a busy machine it takes the processor from the very thread it waits
 * for. Here the ringing is over when the loop hears it.
 */
#ifndef WAYPOST_BELL_H
#define WAYPOST_BELL_H

#include <uv.h>

struct bell {
    uv_poll_t poll;
    int fd;
    void (*rung)(void *user); /* on the loop; once for all that rang since */
    void (*closed)(void *user);
    void *user;
};

/* Out of descriptors is our end, as it is for uv_async_init. */
void bell_open(struct bell *b, uv_loop_t *loop, void (*rung)(void *user),
               void *user);
/* Any thread. */
void bell_ring(struct bell *b);
/* Nobody may ring any more. closed: the memory may go. */
void bell_close(struct bell *b, void (*closed)(void *user));

#endif
