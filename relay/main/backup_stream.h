/*
 * backup_stream - what the queue says of itself for a backup (queue_backup_begin), made into
 * an archive while it comes.
 */
#ifndef WAYPOST_BACKUP_STREAM_H
#define WAYPOST_BACKUP_STREAM_H

#include "relay/main/archive.h"

#include <jansson.h>

/* How far it is: bytes of so many; copied: within the relay, not in the file yet. */
typedef void backup_stream_fn(void *user, bool is_copying, uint64_t done,
                              uint64_t total);

struct backup_stream {
    struct archive *archive;
    backup_stream_fn *tell; /* NULL: nobody wants to know */
    void *user;
    struct buffer line;
    uint64_t bytes; /* that follow the line */
    uint64_t left;  /* of the file */
    bool is_file;   /* within one */
    bool is_over;   /* all has come */
    uint64_t messages, recipients, lost;
    struct buffer why; /* once it has failed */
};

void backup_stream_init(struct backup_stream *s, struct archive *a);
void backup_stream_fini(struct backup_stream *s);
/* The next bytes, cut anywhere. */
MUST int backup_stream_take(struct backup_stream *s, struct span bytes);

#endif
