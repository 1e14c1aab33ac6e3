/*
 * copying - what a relay that dies leaves on disk.
 *
 * The process lives on, so its queue is copied as it stands: database and log, without a
 * word to who writes them.
 */
#include "office.h"

#include <stdio.h>
#include <stdlib.h>

static char *read_all(const char *path, size_t *out_len)
{
    FILE *f = fopen(path, "rb");
    struct buffer b = { 0 };
    char part[65536];
    size_t n;

    while (f && (n = fread(part, 1, sizeof(part), f)) > 0)
        buffer_put(&b, span_make(part, n));
    if (f)
        (void)fclose(f);
    *out_len = b.len;
    return b.at;
}

/* As it stands, though a thread may be writing: what is the same twice was whole. */
void office_copy_queue(struct office *o, const char *to)
{
    static const char *const suffixes[] = { "", "-wal" };
    bool is_same = false;

    for (int tries = 0; !is_same; tries++) {
        char *bytes[2][2];
        size_t lens[2][2];

        EXPECT(o, tries < 1000, "the queue is never quiet");
        for (int i = 0; i < 4; i++) {
            char from[160];

            (void)snprintf(from, sizeof(from), "%s%s", o->path,
                           suffixes[i % 2]);
            bytes[i / 2][i % 2] = read_all(from, &lens[i / 2][i % 2]);
        }
        is_same = true;
        for (int i = 0; i < 2; i++)
            is_same &= lens[0][i] == lens[1][i] &&
                       (lens[0][i] == 0 ||
                        memcmp(bytes[0][i], bytes[1][i], lens[0][i]) == 0);
        for (int i = 0; i < 2 && is_same; i++) {
            char path[160];
            FILE *f;

            (void)snprintf(path, sizeof(path), "%s/queue.db%s", to,
                           suffixes[i]);
            f = fopen(path, "wb");
            EXPECT(o,
                   f &&
                       (lens[0][i] == 0 ||
                        fwrite(bytes[0][i], lens[0][i], 1, f) == 1) &&
                       fclose(f) == 0,
                   "%s", path);
        }
        for (int i = 0; i < 4; i++)
            free(bytes[i / 2][i % 2]);
    }
}
