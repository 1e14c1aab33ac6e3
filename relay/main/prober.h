/*
 * prober - walks to destinations are asked for here, and made by the workers.
 *
 * A walk goes to a worker as a task; what it tells comes back line by line through its job
 * and an async handle. A few at once, no more: each may hold a connection to somebody. Main
 * loop only.
 */
#ifndef WAYPOST_PROBER_H
#define WAYPOST_PROBER_H

#include "relay/admin/admin.h"
#include "relay/net/worker.h"

struct prober;

/* For admin_options; its user is the prober. */
extern const struct admin_probes prober_admin;

/* The workers are borrowed, until stop. */
struct prober *prober_open(uv_loop_t *loop, struct worker *const *workers,
                           unsigned worker_count);
/* Before the workers are sent home, who cut what is under way: nothing begins any more. */
void prober_stop(struct prober *p);
/* The workers have been joined; with the loop's other handles. Nobody is told any more. */
void prober_close(struct prober *p);
/* After the loop has ended. NULL is none. */
void prober_free(struct prober *p);

#endif
