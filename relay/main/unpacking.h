/*
 * unpacking - the files of a backup, from the archive to where the queue is.
 *
 *   run: all into QUEUE.restore/ -> put_aside: links of the old -> put_in_place -> clean
 *
 * The queue is the old one until the last rename of put_in_place.
 */
#ifndef WAYPOST_UNPACKING_H
#define WAYPOST_UNPACKING_H

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/error.h"

struct unpacking {
    const char *path;     /* of queue.db; borrowed */
    struct buffer folder; /* what is unpacked is in */
    struct buffer queue;  /* queue.db in there */
    struct buffer drop;   /* the messages of a drop folder in there */
    int lock_fd;          /* of the folder, while it is ours; -1: it is not */
    uint64_t drop_count;
    int fd;               /* of the file that is being written; -1: none */
    struct buffer *why;   /* the caller's */
};

void unpacking_init(struct unpacking *u, const char *path);
void unpacking_fini(struct unpacking *u);
/* Whole, or negative with a sentence. */
MUST int unpacking_run(struct unpacking *u, int archive_fd,
                       struct buffer *out_why);
const char *unpacking_queue(struct unpacking *u);
/* out_folder: where the old queue is too from now on; empty when there was none. */
MUST int unpacking_put_aside(struct unpacking *u, struct buffer *out_folder,
                             struct buffer *out_why);
MUST int unpacking_put_in_place(struct unpacking *u, struct buffer *out_why);
/* What is left of our folder goes. */
void unpacking_clean(struct unpacking *u);
/* ... and what those have left that were killed while they looked (unpacking_check_path). */
void unpacking_sweep(const char *queue);
/* Where to unpack what is only looked at: beside the queue, under a name of our own. */
void unpacking_check_path(struct span queue, struct buffer *out);

#endif
