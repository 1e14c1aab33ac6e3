/*
 * secret - bytes that must not be seen: in memory, and in their file.
 *
 * A secret is the first line of a file, without its line end. In memory it is held in one
 * block of its exact size, which is zeroed before it is given back.
 */
#ifndef WAYPOST_SECRET_H
#define WAYPOST_SECRET_H

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/error.h"

enum { SECRET_FILE_MOST = 64 * 1024 };

/* A copy in place of what was there, which is wiped. */
void secret_keep(struct buffer *b, struct span s);
/* Zeroed, and its memory given back. */
void secret_wipe(struct buffer *b);

/* The first line of a regular file. out_exposed: others than its owner may read it. On
 * failure why gets a sentence that names the file. Blocks for the disk. */
MUST int secret_read(struct span path, struct buffer *out, bool *out_exposed,
                     struct buffer *why);
/* The file gets a new secret or stays as it is: a new file of mode 0600 in the same folder
 * takes its place when it is on disk. A symbolic link stays one. */
MUST int secret_replace(struct span path, struct span secret);

#endif
