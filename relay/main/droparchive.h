/*
 * droparchive - mail of the drop folder, into a backup and out of it.
 *
 *   waypost-backup/drop/ID-ID-ID.UID@NANOSECONDS      a job of the importer, and when it was left
 *
 * A relay may import meanwhile. What it has begun with is written before the queue is copied, and
 * what nobody has begun with after that: so each message is in the copy or in here, and one that
 * is in both has the id that it has there, by which the importer knows it. Only what is left
 * while the backup is being made may be in neither.
 */
#ifndef WAYPOST_DROPARCHIVE_H
#define WAYPOST_DROPARCHIVE_H

#include "relay/main/archive.h"

#define DROPARCHIVE_FOLDER "drop/"

struct droparchive {
    struct archive *archive; /* borrowed, as is the next */
    const char *folder;
    struct buffer taken; /* jobs that are in it, each with a line end */
    uint64_t last_id, count;
    int error; /* the folder could not be looked into */
};

void droparchive_init(struct droparchive *d, struct archive *a,
                      const char *folder);
void droparchive_fini(struct droparchive *d);
/* is_running: there is a relay, which will soon have begun with what is there. Negative: it
 * cannot be written. */
MUST int droparchive_before(struct droparchive *d, bool is_running);
MUST int droparchive_after(struct droparchive *d);

/* Is this the name of one, as it stands in the archive? */
bool droparchive_is_name(struct span name);
/* Those unpacked into `from` become jobs in the drop folder, but for those that are still there. */
MUST int droparchive_restore(const char *from, const char *folder,
                             struct buffer *out_why);

#endif
