/*
 * tally - how many recipients wait, by state, for the metrics.
 */
#ifndef WAYPOST_TALLY_H
#define WAYPOST_TALLY_H

#include "queue/reader.h"

/* A page of the count, when it is time for one; false: nothing to do now. */
bool tally_step(struct reader *r);

#endif
