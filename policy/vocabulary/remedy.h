/*
 * remedy - what an administrator does about a failure, for the end of a sentence that names
 * what failed and why.
 */
#ifndef WAYPOST_REMEDY_H
#define WAYPOST_REMEDY_H

#include "policy/vocabulary/buffer.h"

/* A file, folder or socket that could not be made or written: ": Permission denied: let ...".
 * rc: a negative error. Where nothing is known but the reason, the reason alone. */
void remedy_put_writing(struct buffer *out, int rc);
/* The same of one that could not be read. */
void remedy_put_reading(struct buffer *out, int rc);
/* The same of an address and port that could not be listened on. */
void remedy_put_listening(struct buffer *out, int rc);

#endif
