/*
 * store_copy - a database copied page by page into a file, in slices.
 *
 * By SQLite's own backup: what the same connection changes meanwhile is changed in the copy
 * too, so a copy by the writer's connection never begins anew and is, when its last slice is
 * done, the queue of that moment. By another connection it is what that one sees: it must
 * keep one read transaction open.
 */
#ifndef WAYPOST_STORE_COPY_H
#define WAYPOST_STORE_COPY_H

#include "queue/database.h"

struct store_copy;

/* path: of an empty file. Not within a transaction that writes; nor are the others. */
MUST int store_copy_begin(struct store_copy **out_c, struct database *from,
                          const char *path);
/* Pages left and in all, as they are known now; *out_left 0: that was the last. The copy is
 * not fsynced. */
MUST int store_copy_step(struct store_copy *c, int pages, uint64_t *out_left,
                         uint64_t *out_pages);
/* Also when it is not complete: then the file is worth nothing. */
void store_copy_end(struct store_copy *take_c);

#endif
