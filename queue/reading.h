/*
 * reading - content of a large message, read in parts.
 */
#ifndef WAYPOST_READING_H
#define WAYPOST_READING_H

#include "queue/core.h"

/* No more reads of this work will be asked for. */
void reading_close(struct queue *q, struct bundle *b);

#endif
