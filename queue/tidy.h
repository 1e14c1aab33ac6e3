/*
 * tidy - what the writer does besides: checkpoints, purges, pages given back.
 *
 * A checkpoint holds up the jobs behind it, so it is made small and often: as soon as
 * the WAL has some MB and nobody waits, and past a larger size in any case.
 */
#ifndef WAYPOST_TIDY_H
#define WAYPOST_TIDY_H

#include "queue/writer.h"

/* How long the writer may sleep; 0: tidy_step has something to do. Its lock is held. */
int64_t tidy_wait_ms(const struct writer *w);
void tidy_step(struct writer *w);
void tidy_after_commit(struct writer *w);

#endif
