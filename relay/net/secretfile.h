/*
 * secretfile - a small file that holds secrets, read whole.
 *
 * Nothing of it is left behind: the one block that it is read into is zeroed before it is
 * given back. Only regular files: a FIFO must not make us wait, nor a terminal become ours.
 */
#ifndef WAYPOST_SECRETFILE_H
#define WAYPOST_SECRETFILE_H

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/error.h"

#include <sys/stat.h>

/* Zeroed: none. */
struct secretfile {
    char *bytes; /* with a NUL behind the last; the owner may write to them */
    size_t len;  /* may differ from what stat says, where that changes */
    struct stat stat;
};

/* All of it, ERROR_TOO_BIG if that is more than so many bytes. On failure why gets a sentence
 * that names the file. Blocks for the disk. */
MUST int secretfile_read(const char *path, size_t most, struct secretfile *out,
                         struct buffer *why);
/* May others than its owner read it? */
bool secretfile_is_exposed(const struct secretfile *f);
/* Zeroes it and gives it back. */
void secretfile_fini(struct secretfile *f);

/* "path: text", of rc where text is NULL; answers rc. */
int secretfile_complain(struct buffer *why, const char *path, int rc,
                        const char *text);

#endif
