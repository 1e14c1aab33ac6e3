/*
 * history_index - the indexes by which people ask the history.
 *
 * They are no part of a schema step, since to build them over millions of rows takes minutes:
 * the historian builds those that are missing one by one after the start, while mail flows and
 * outcomes wait in the queue's outbox. Until then questions are answered all the same, slower.
 */
#ifndef WAYPOST_HISTORY_INDEX_H
#define WAYPOST_HISTORY_INDEX_H

#include "queue/store.h"

/* What is behind the last '@' of an address. */
#define HISTORY_DOMAIN_OF(address)                                             \
    "substr(" address ",length(rtrim(" address ",replace(" address             \
    ",'@','')))+1)"
#define HISTORY_DOMAIN HISTORY_DOMAIN_OF("recipient")

/* Told, from within the work, now and then: false ends it, and nothing of the index is left. */
typedef bool history_goes_on_fn(void *user);

/*
 * The next thing that is to be done: an index is built, or one that no version uses any more
 * removed. *out_name: which one; NULL: all is as it should be. Nothing is done before
 * `begins` (NULL: nobody wants to know) was told the name and how many rows there are, about.
 */
typedef void history_begins_fn(void *user, const char *name, int64_t rows);
MUST int history_index_step(struct history *h, history_begins_fn *begins,
                            history_goes_on_fn *goes_on, void *user,
                            const char **out_name);

/* The name of the i-th that there is, or was in earlier versions; NULL: there are no more. */
const char *history_index_name(size_t i);

#endif
