/*
 * archive - a backup's file: a tar that any tar reads.
 *
 * So that a person can look into it, or take one message out of it, without us: `tar tvf`
 * lists it; `tar xf` makes a folder in which `sha256sum -c SHA256SUMS` says whether all is as
 * it was written, and `sqlite3 queue.db` shows the mail. (A single SQLite file would need us
 * to get at large messages, and copying them into rows doubles the writing.)
 *
 *   waypost-backup/queue.db
 *   waypost-backup/queue.db.content/ID ...   large messages; those that share one are links
 *   waypost-backup/history.db                unless it was left out
 *   waypost-backup/backup.json               when, of whom, how many
 *   waypost-backup/SHA256SUMS                of all before it; always the last
 *
 * POSIX.1-1988 headers ("ustar"), sizes from 8 GiB on in GNU's binary form.
 */
#ifndef WAYPOST_ARCHIVE_H
#define WAYPOST_ARCHIVE_H

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/error.h"

#define ARCHIVE_FOLDER "waypost-backup/"
#define ARCHIVE_SUMS   "SHA256SUMS"

/* ------------------------------------------------------------ writing ---- */

struct archive;

/* Into a descriptor that stays the caller's. mtime_s: of all that is in it. */
struct archive *archive_new(int fd, int64_t mtime_s);
void archive_free(struct archive *a);
/* A file: begin, its bytes, end. Names are relative to the folder. ERROR_SYNTAX at the end:
 * the bytes were not as many as was said. */
MUST int archive_begin(struct archive *a, struct span name, uint64_t size);
MUST int archive_put(struct archive *a, struct span bytes);
MUST int archive_end(struct archive *a);
/* The same file by another name. */
MUST int archive_link(struct archive *a, struct span name, struct span to);
/* The sums, and the end; all is in the descriptor, not yet fsynced. */
MUST int archive_finish(struct archive *a);
uint64_t archive_bytes(const struct archive *a);

/* ------------------------------------------------------------ reading ---- */

/* What is in it, in order; negative ends the reading. */
struct archive_events {
    int (*begin)(void *user, struct span name, uint64_t size);
    int (*bytes)(void *user, struct span bytes);
    int (*end)(void *user);
    int (*link)(void *user, struct span name, struct span to);
};

/* All of it. 0: it is whole, and every byte is as it was written. On failure, why: one
 * sentence, unless it was an event that ended it. */
MUST int archive_read(int fd, const struct archive_events *events, void *user,
                      struct buffer *out_why);

#endif
