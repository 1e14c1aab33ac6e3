/*
 * disk - is there room for more?
 *
 * Below the reserve new mail is refused for a while (ERROR_FULL); settles go on, for
 * which a ballast file of a few MB is given back when the disk is full to the brim.
 */
#ifndef WAYPOST_DISK_H
#define WAYPOST_DISK_H

#include "policy/vocabulary/error.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct disk {
    char *folder;
    char *ballast; /* path */
    uint64_t reserve_bytes;
    _Atomic uint64_t free_bytes;
    _Atomic int64_t looked_ms;       /* monotonic */
    _Atomic uint64_t promised_bytes; /* handed in, not yet written */
    bool has_ballast;                /* the writer's */
};

/* reserve_bytes 0: the smaller of 256 MB and a tenth of the file system. */
void disk_init(struct disk *d, const char *path, uint64_t reserve_bytes);
void disk_fini(struct disk *d);
/* Any thread. At most a second old. */
uint64_t disk_free_bytes(struct disk *d);
bool disk_has_room(struct disk *d, uint64_t bytes);
/* Content on its way to the writer. */
void disk_promise(struct disk *d, uint64_t bytes);
void disk_keep(struct disk *d, uint64_t bytes);
/* The writer's thread: makes the ballast where there is room for it. */
void disk_load_ballast(struct disk *d);
/* True: something was given back. */
bool disk_drop_ballast(struct disk *d);

#endif
