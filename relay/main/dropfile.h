/*
 * dropfile - a message left in the drop folder, for the relay to find.
 *
 *   tmp.RANDOM        is being written
 *   new.RANDOM        whole and on disk: whoever left it may forget it
 *   jobs/             what the relay has begun with; see importer.h
 *   refused/          what was no message, for people to look at
 *
 * Everybody may leave files and nobody may list them (mode 1733); names cannot be guessed.
 */
#ifndef WAYPOST_DROPFILE_H
#define WAYPOST_DROPFILE_H

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/error.h"
#include "policy/vocabulary/id.h"

/* jobs/ID-ID-ID.UID: the ids of the message, of a report about it, and of what is left of it. */
enum { DROPFILE_JOB_MOST = 64 };

struct dropfile_job {
    uint64_t mail, report, rest;
    uint32_t uid;
};
struct dropfile_job_name {
    char at[DROPFILE_JOB_MOST];
};
struct dropfile_job_name dropfile_job_print(const struct dropfile_job *j);
bool dropfile_job_parse(struct span name, struct dropfile_job *out);

/* As new.RANDOM. Durable when it returns 0; the folder may be one that cannot be listed. */
MUST int dropfile_leave(const char *folder, struct span bytes);
/* Under this name; what has it is replaced. */
MUST int dropfile_leave_as(const char *folder, const char *name,
                           struct span bytes);

#endif
