/*
 * retrialrecord - what a record of the past says, as facts for the judge.
 *
 * Borrows the record.
 */
#ifndef WAYPOST_RETRIALRECORD_H
#define WAYPOST_RETRIALRECORD_H

#include "relay/main/retrial.h"

struct retrialrecord {
    struct facts facts; /* point to the addresses: not to be moved */
    struct address sender, recipient;
};

/* False: it is not enough to judge. Of one who had named no recipient the stage is that at
 * which he was turned away. */
bool retrialrecord_read(struct retrialrecord *x, const struct queue_past *p);
/* What became of it. */
enum fate retrialrecord_fate(const struct queue_past *p);
/* Did rules decide it? */
bool retrialrecord_is_verdict(const struct queue_past *p);

#endif
