/*
 * known - was there ever a message of this id?
 *
 * It waits (message), or its outcome does (event), or that is in the history. Events leave the
 * queue's file only when the history has them, so looking in this order misses none.
 */
#include "queue/core.h"
#include "queue/store_private.h"

#include <unistd.h>

static int ask(const char *path, enum database_kind kind, const char *sql,
               bool *out_yes)
{
    struct database d = { 0 };
    int64_t n = 0;
    int rc = database_open(&d, path, kind);

    if (rc == 0)
        rc = database_number(&d, sql, &n);
    database_close(&d);
    if (rc == 0)
        *out_yes = n > 0;
    return rc;
}

int queue_knows(const struct queue *q, uint64_t id, bool *out_known)
{
    struct buffer sql = { 0 }, history = { 0 };
    bool known = false;
    int rc;

    buffer_printf(&sql,
                  "SELECT EXISTS(SELECT 1 FROM message WHERE id=%lld)"
                  " + EXISTS(SELECT 1 FROM event WHERE message=%lld)",
                  (long long)id, (long long)id);
    rc = ask(q->path, DATABASE_READER, buffer_string(&sql), &known);
    history_path(q->path, &history);
    if (rc == 0 && !known && access(buffer_string(&history), F_OK) == 0) {
        buffer_clear(&sql);
        buffer_printf(&sql,
                      "SELECT EXISTS(SELECT 1 FROM history WHERE "
                      "message=%lld)",
                      (long long)id);
        rc = ask(buffer_string(&history), DATABASE_PAST, buffer_string(&sql),
                 &known);
    }
    if (rc == 0)
        *out_known = known;
    buffer_fini(&sql);
    buffer_fini(&history);
    return rc;
}
