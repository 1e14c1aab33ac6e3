/*
 * race - the first of several addresses that answers.
 *
 * Connection attempts 250 ms apart, families alternating, IPv6 first, and the next at
 * once when one fails; the first to connect wins and the others are closed. RFC 8305
 * section 5. done comes exactly once, never before race_start has returned; a cancelled
 * race does not call it.
 */
#ifndef WAYPOST_RACE_H
#define WAYPOST_RACE_H

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/network.h"

#include <uv.h>

struct race;

struct race_target {
    struct host_address address;
    uint16_t port;
    size_t tag;                   /* the caller's: which host this is */
};

struct race_result {
    int rc;                       /* 0: fd is connected and nonblocking, with TCP_NODELAY;
                                     else the last error, no fd */
    int fd;
    struct race_target winner;    /* or the last that failed */
    const struct race_target *failed; /* those that failed before, borrowed */
    const int *failed_rc;
    size_t failed_count;
};

typedef void race_fn(void *user, const struct race_result *r);

/* timeout_ms for each attempt (30 s). refuse_unsafe: the address really connected
 * (getpeername) is checked once more and refused with -EACCES. targets are copied. */
struct race *race_start(uv_loop_t *loop, const struct race_target *targets,
                        size_t count, int64_t timeout_ms, bool refuse_unsafe,
                        race_fn *done, void *user);
void race_cancel(struct race *take_r);

/* Sorts targets of equal rank so that families alternate, IPv6 first. */
void race_order(struct race_target *targets, size_t count);

#endif
