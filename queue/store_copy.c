/*
 * store_copy - a database copied page by page into a file, in slices.
 *
 * The copy has no journal and is never fsynced here: who is killed midway has nothing, and
 * begins again.
 */
#include "queue/store_copy.h"

#include "policy/vocabulary/memory.h"

#include <stdlib.h>

struct store_copy {
    struct database *from;
    sqlite3 *to;
    sqlite3_backup *backup;
};

int store_copy_begin(struct store_copy **out_c, struct database *from,
                     const char *path)
{
    struct store_copy *c = NEW(struct store_copy);
    int rc = sqlite3_open_v2(path, &c->to,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
                                 SQLITE_OPEN_PRIVATECACHE,
                             NULL);

    c->from = from;
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(c->to,
                          "PRAGMA journal_mode=OFF;PRAGMA synchronous=OFF;"
                          "PRAGMA locking_mode=EXCLUSIVE",
                          NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        c->backup = sqlite3_backup_init(c->to, "main", from->db, "main");
    if (!c->backup) {
        rc = database_fail(from, rc == SQLITE_OK ? sqlite3_errcode(c->to) : rc);
        store_copy_end(c);
        return rc;
    }
    *out_c = c;
    return 0;
}

int store_copy_step(struct store_copy *c, int pages, uint64_t *out_left,
                    uint64_t *out_pages)
{
    int rc = sqlite3_backup_step(c->backup, pages);

    if (rc != SQLITE_OK && rc != SQLITE_DONE)
        return database_fail(c->from, rc);
    *out_pages = (uint64_t)sqlite3_backup_pagecount(c->backup);
    *out_left = (uint64_t)sqlite3_backup_remaining(c->backup);
    /* All pages are there, but the copy is whole only after the last word. */
    if (rc == SQLITE_OK && *out_left == 0)
        *out_left = 1;
    else if (rc == SQLITE_DONE)
        *out_left = 0;
    return 0;
}

void store_copy_end(struct store_copy *take_c)
{
    if (!take_c)
        return;
    if (take_c->backup)
        (void)sqlite3_backup_finish(take_c->backup);
    (void)sqlite3_close(take_c->to);
    free(take_c);
}
