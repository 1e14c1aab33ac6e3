/*
 * disk - is there room for more?
 */
#include "queue/disk.h"

#include "queue/core.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    LOOK_MS = 1000,
    BALLAST_BYTES = 4 * 1024 * 1024,
    RESERVE_MOST = 256 * 1024 * 1024,
};

void disk_init(struct disk *d, const char *path, uint64_t reserve_bytes)
{
    struct span whole = span_of(path);
    size_t at = span_find_last(whole, '/');
    struct buffer b = { 0 };
    struct statvfs fs;

    *d = (struct disk){ .reserve_bytes = reserve_bytes };
    d->folder = at < whole.len ? span_dup(span_first(whole, at ? at : 1))
                               : span_dup(SPAN("."));
    buffer_printf(&b, "%s.ballast", path);
    d->ballast = span_dup(buffer_span(&b));
    buffer_fini(&b);
    atomic_store(&d->looked_ms, INT64_MIN / 2);
    if (reserve_bytes == 0 && statvfs(d->folder, &fs) == 0) {
        d->reserve_bytes = (uint64_t)fs.f_blocks * fs.f_frsize / 10;
        if (d->reserve_bytes > RESERVE_MOST)
            d->reserve_bytes = RESERVE_MOST;
    }
    (void)disk_free_bytes(d); /* so that there is a figure before the threads are */
}

void disk_fini(struct disk *d)
{
    free(d->folder);
    free(d->ballast);
    *d = (struct disk){ 0 };
}

uint64_t disk_free_bytes(struct disk *d)
{
    int64_t now = queue_monotonic_ms();
    struct statvfs fs;

    if (now - atomic_load(&d->looked_ms) < LOOK_MS)
        return atomic_load(&d->free_bytes);
    /* One thread looks, the others go on with the figure of before. */
    atomic_store(&d->looked_ms, now);
    /* A file system that cannot be asked will fail where it is written to. */
    atomic_store(&d->free_bytes, statvfs(d->folder, &fs) == 0
                                     ? (uint64_t)fs.f_bavail * fs.f_frsize
                                     : UINT64_MAX / 2);
    return atomic_load(&d->free_bytes);
}

bool disk_has_room(struct disk *d, uint64_t bytes)
{
    return disk_free_bytes(d) >=
           d->reserve_bytes + atomic_load(&d->promised_bytes) + bytes;
}

void disk_promise(struct disk *d, uint64_t bytes)
{
    atomic_fetch_add(&d->promised_bytes, bytes);
}

void disk_keep(struct disk *d, uint64_t bytes)
{
    atomic_fetch_sub(&d->promised_bytes, bytes);
}

void disk_load_ballast(struct disk *d)
{
    int fd;

    if (d->has_ballast || disk_free_bytes(d) < d->reserve_bytes + BALLAST_BYTES)
        return;
    fd = open(d->ballast, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    d->has_ballast = posix_fallocate(fd, 0, BALLAST_BYTES) == 0;
    if (!d->has_ballast)
        (void)!ftruncate(fd, 0);
    close(fd);
}

bool disk_drop_ballast(struct disk *d)
{
    d->has_ballast = false;
    return unlink(d->ballast) == 0;
}
