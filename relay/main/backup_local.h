/*
 * backup_local - a backup of a queue that no relay has open, by ourselves.
 */
#ifndef WAYPOST_BACKUP_LOCAL_H
#define WAYPOST_BACKUP_LOCAL_H

#include "policy/settings.h"
#include "relay/main/backup_stream.h"

/* Opens the queue as the relay would, with its lock. An exit code; a sentence has been
 * printed unless it is in the stream. */
int backup_local_run(const struct settings *s, bool has_history,
                     struct backup_stream *stream);

#endif
