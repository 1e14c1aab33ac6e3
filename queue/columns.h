/*
 * columns - a table of names, each with a row of counts.
 *
 * Rows are found by lane as well, so that counting a recipient of a lane that was met before
 * costs one look-up. Names and lanes have caps: what is over them is counted in one row
 * without a name, or looked up by name each time. Not locked.
 */
#ifndef WAYPOST_COLUMNS_H
#define WAYPOST_COLUMNS_H

#include "queue/buckets.h"
#include "queue/queue.h"
#include "queue/store.h"

struct columns_row {
    struct bucket_link by_name;
    uint64_t total, cells[HEAT_COLUMNS];
    uint64_t last_message; /* that was counted; see columns_count */
    size_t len;
    char name[];
};

/* A zeroed one is empty and takes no memory. */
struct columns {
    struct buckets rows, lanes;
    struct columns_row *others; /* without a name; or NULL */
    uint64_t names;             /* that have a row */
};

/* The row that counts this lane, or NULL: it was not met yet. */
struct columns_row *columns_find(const struct columns *c, int64_t lane);
/* From now on this lane is counted under this name. */
struct columns_row *columns_join(struct columns *c, int64_t lane,
                                 struct span name);
/* The row of the destination that a lane leads to now, found or made; NULL: *io_rc is
 * negative, from before or because the lane could not be read. */
struct columns_row *columns_meet(struct columns *c, int64_t lane,
                                 struct store_reader *db,
                                 const struct store_view *view, int *io_rc);
/* The row of a name that no lane leads to. */
struct columns_row *columns_name(struct columns *c, struct span name);
/* Recipients of a message, which come together: `total` is of recipients, and the message
 * counts once in each row. */
enum { COLUMNS_MESSAGES, COLUMNS_BYTES }; /* cells */
void columns_count(struct columns_row *row, uint64_t message,
                   uint64_t recipients, uint64_t size_bytes);
/* Rows with a name, highest total first, at most limit; the caller frees the array. */
struct columns_row **columns_top(const struct columns *c, size_t limit,
                                 size_t *out_count);
void columns_fini(struct columns *c);

#endif
