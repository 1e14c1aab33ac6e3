/*
 * foreign - is there anything in a database that we have not put there?
 */
#ifndef WAYPOST_FOREIGN_H
#define WAYPOST_FOREIGN_H

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/error.h"

struct database;

/* Of a queue that has today's schema; of a history of any. ERROR_DAMAGED with one sentence in
 * out_why, which names the first table, view, index or trigger that is not ours. */
MUST int foreign_check_queue(struct database *d, const char *path,
                             struct buffer *out_why);
MUST int foreign_check_history(struct database *d, const char *path,
                               struct buffer *out_why);

#endif
