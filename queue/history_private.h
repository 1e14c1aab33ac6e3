/*
 * history_private - the history's connection, between history.c and history_index.c.
 */
#ifndef WAYPOST_HISTORY_PRIVATE_H
#define WAYPOST_HISTORY_PRIVATE_H

#include "queue/store_private.h"

/* Pages of 8 KB: the leaves of its indexes that are written again and again. */
#define HISTORY_CACHE "PRAGMA cache_size=-16384"

struct history {
    struct database db;
    int64_t last_event; /* the last one copied by this process */
};

#endif
