/*
 * inspection - a look at the files of a queue, which a relay may have open.
 *
 * Read-only, and apart from the relay's connections: nothing waits for it.
 */
#include "queue/store_private.h"

#include <stdio.h>
#include <unistd.h>

static int look(const char *path, enum database_kind kind, int application,
                const char *count, int64_t *out_count, struct buffer *out_why)
{
    struct database d = { 0 };
    int64_t found = 0;
    int rc;

    if ((rc = database_open(&d, path, kind)) < 0 ||
        (rc = database_number(&d, "PRAGMA application_id", &found)) < 0)
        goto out;
    if (found != application) {
        rc = ERROR_FOREIGN;
        goto out;
    }
    if ((rc = store_check_pages(&d)) == 0)
        rc = database_number(&d, count, out_count);
out:
    if (rc < 0 && out_why->len == 0)
        buffer_put_string(out_why, d.why[0] ? d.why : error_text(rc));
    database_close(&d);
    return rc;
}

int queue_inspect(const char *path, int64_t *out_messages,
                  struct buffer *out_why)
{
    return look(path, DATABASE_READER, STORE_APPLICATION_ID,
                "SELECT count(*) FROM message", out_messages, out_why);
}

int queue_inspect_history(const char *path, int64_t *out_rows,
                          struct buffer *out_why)
{
    struct buffer history = { 0 };
    int rc = ERROR_GONE;

    history_path(path, &history);
    if (access(buffer_string(&history), F_OK) == 0)
        rc =
            look(buffer_string(&history), DATABASE_PAST, HISTORY_APPLICATION_ID,
                 "SELECT count(*) FROM history", out_rows, out_why);
    buffer_fini(&history);
    return rc;
}

void queue_inspect_folder(const char *path, struct buffer *out_notices)
{
    store_check_folder(path, out_notices);
}
