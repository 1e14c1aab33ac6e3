/*
 * orphan - content that no message names.
 *
 * The folder's names and the store's ids are both walked in order. Files of this
 * process are left alone: their puts may be under way.
 */
#include "queue/orphan.h"

#include "policy/vocabulary/id.h"
#include "policy/vocabulary/memory.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

enum { PAGE = 1000 };

struct ids {
    uint64_t *at;
    size_t count, size;
};

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static int read_folder(struct queue *q, struct ids *out_files)
{
    DIR *folder = opendir(q->bodies.folder);
    struct dirent *e;

    if (!folder)
        return -errno;
    while ((e = readdir(folder))) {
        uint64_t id;

        if (!id_parse(span_of(e->d_name), &id) || id >= q->first_id)
            continue;
        if (out_files->count == out_files->size) {
            out_files->size = out_files->size ? out_files->size * 2 : PAGE;
            out_files->at =
                memory_grow(out_files->at, out_files->size * sizeof(uint64_t));
        }
        out_files->at[out_files->count++] = id;
    }
    closedir(folder);
    if (out_files->count)
        qsort(out_files->at, out_files->count, sizeof(uint64_t), by_number);
    return 0;
}

static bool is_among(const uint64_t *ids, uint32_t n, uint64_t id)
{
    return n && bsearch(&id, ids, n, sizeof(*ids), by_number);
}

int orphan_remove(struct queue *q, struct store_reader *r)
{
    struct ids files = { 0 };
    uint64_t known[PAGE], after = 0;
    uint32_t n = 0, removed = 0;
    bool is_last = false;
    int rc = read_folder(q, &files);

    for (size_t i = 0; rc >= 0 && i < files.count;) {
        if (!is_last && (n == 0 || known[n - 1] < files.at[i])) {
            rc = store_read_files(r, after, PAGE, known, &n);
            is_last = n < PAGE;
            after = n ? known[n - 1] : after;
            continue;
        }
        if (!is_among(known, n, files.at[i])) {
            body_unlink(q, files.at[i]);
            removed++;
        }
        i++;
    }
    if (removed)
        queue_say(q, QUEUE_INFO,
                  "removed %u unfinished messages from before the start",
                  removed);
    free(files.at);
    return rc;
}
