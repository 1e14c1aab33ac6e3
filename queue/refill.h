/*
 * refill - what is due comes from disk into memory. The reader's thread.
 */
#ifndef WAYPOST_REFILL_H
#define WAYPOST_REFILL_H

#include "queue/reader.h"

/* All answer true when they did something and want to be called again. */

/* A page of the lanes there are; the whole of them is walked at start and when rows
 * were changed by a person. */
bool refill_walk(struct reader *r);
/* Content for the first destination that waits for some. */
bool refill_load(struct reader *r);
/* A page of recipients for the first hungry destination. */
bool refill_page(struct reader *r);

#endif
