/*
 * notice - the part of a report that a person reads.
 *
 * Says which address, what the other side said, and what can be done. Plain
 * words, English, lines under 78 bytes where the other side's words allow it.
 * Pure.
 */
#ifndef WAYPOST_NOTICE_H
#define WAYPOST_NOTICE_H

#include "relay/outbound/mimetext.h"
#include "relay/outbound/report.h"

void notice_put(struct buffer *b, enum mimetext_charset charset,
                const struct report *r);

#endif
