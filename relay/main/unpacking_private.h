/*
 * unpacking_private - what the files of unpacking share.
 *
 *   unpacking.c         from the archive into a folder of ours
 *   unpacking_place.c   the old queue aside, what was unpacked in its place
 *   unpacking_sweep.c   folders of ours that go
 */
#ifndef WAYPOST_UNPACKING_PRIVATE_H
#define WAYPOST_UNPACKING_PRIVATE_H

#include "relay/main/unpacking.h"

/* ------------------------------------------------------- unpacking.c ---- */

/* What the name of each of our folders ends with. */
extern const char unpacking_end[];
/* rc; its sentence, where there is none yet. */
int unpacking_failed(struct buffer *why, const char *path, int rc);

/* ------------------------------------------------- unpacking_sweep.c ---- */

/* A folder of ours with all that is in it. */
void unpacking_remove(const char *folder);

#endif
