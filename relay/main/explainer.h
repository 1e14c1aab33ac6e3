/*
 * explainer - rules are explained by the running relay: its settings, its memory, its DNS.
 *
 * A question goes to a worker as a task, where the same fetchers find answers that find them
 * for sessions; what came of it comes back through a list and an async handle. Nothing is
 * charged, noted or logged. Policy servers and next hops, which may remember that they were
 * asked, are asked only when the question says so.
 */
#ifndef WAYPOST_EXPLAINER_H
#define WAYPOST_EXPLAINER_H

#include "relay/admin/admin.h"
#include "relay/main/explain_question.h"
#include "relay/net/worker.h"

struct explainer;

/* For admin_options; its user is the explainer. */
extern const struct admin_explains explainer_admin;

/* The workers are borrowed, until stop. config: the file that the relay runs by, or NULL. */
struct explainer *explainer_open(uv_loop_t *loop, struct worker *const *workers,
                                 unsigned worker_count, const char *config);
/* The file was read again. */
void explainer_reload(struct explainer *e);
/* Before the workers are sent home: what is under way is dropped. */
void explainer_stop(struct explainer *e);
/* With the loop's other handles; nobody is told any more. */
void explainer_close(struct explainer *e);
/* The workers have ended. NULL is none. */
void explainer_free(struct explainer *e);

/* Without a relay: all that would have to be asked is assumed. */
json_t *explainer_alone(const struct explain_question *q, struct settings *s);

#endif
