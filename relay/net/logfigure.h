/*
 * logfigure - numbers as a log line shows them.
 */
#ifndef WAYPOST_LOGFIGURE_H
#define WAYPOST_LOGFIGURE_H

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/reply.h"

void logfigure_number(struct buffer *b, uint64_t n);
/* 4.4.1 */
void logfigure_status(struct buffer *b, struct status s);
/* Milliseconds as seconds, in Postfix's way: 0.12, 1.2, 34. */
void logfigure_delay(struct buffer *b, int64_t ms);

#endif
