/*
 * archive_private - a header of tar, for who writes and who reads it.
 */
#ifndef WAYPOST_ARCHIVE_PRIVATE_H
#define WAYPOST_ARCHIVE_PRIVATE_H

#include "relay/main/archive.h"

enum {
    ARCHIVE_BLOCK = 512,
    ARCHIVE_SUMS_MOST = 256 * 1024 * 1024, /* two million files */
    ARCHIVE_DIGEST = 32,
};

/* One block, as it stands in the file. */
struct archive_header {
    char name[100];
    char mode[8], uid[8], gid[8];
    char size[12], mtime[12];
    char checksum[8];
    char type; /* '0' a file, '1' a link */
    char link[100];
    char magic[6], version[2];
    char user[32], group[32];
    char major[8], minor[8];
    char prefix[155];
    char padding[12];
};

/* The sum of a header's bytes, its own field taken as spaces. */
unsigned archive_checksum(const struct archive_header *h);
/* "HEX  NAME\n" */
void archive_put_sum(struct buffer *b, const unsigned char *digest,
                     struct span name);

#endif
