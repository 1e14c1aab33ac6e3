/*
 * put - a message on its way to disk; by itself or with others that came of the same draft,
 * or as the report in a settle.
 */
#ifndef WAYPOST_PUT_H
#define WAYPOST_PUT_H

#include "queue/core.h"

struct put {
    struct bundle *bundle; /* NULL once it came into the active set */
    char *bytes;           /* content of a small message */
    struct span head;      /* of one in a file, until it is written; its own */
};

void put_init(struct put *p, const struct queue_message *take_m);
void put_fini(struct put *p);
/* It is on disk, or never will be. */
void put_drop_head(struct put *p);
/* In the writer's transaction; may be repeated after a rollback. */
MUST int put_run(struct queue *q, struct put *p);
/* After COMMIT, under the queue's lock. */
void put_committed(struct queue *q, struct put *p);

struct put_job {
    struct job job; /* first */
    uint64_t id;    /* of the first of them */
    queue_put_fn *done;
    uint64_t token;
    uint64_t promised_bytes;
    size_t count;
    struct put puts[];
};

#endif
