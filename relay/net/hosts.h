/*
 * hosts - the names that this host's own table knows.
 *
 * The text of /etc/hosts, read once. Looked at before DNS for addresses, never for mail
 * exchangers. hosts(5).
 */
#ifndef WAYPOST_HOSTS_H
#define WAYPOST_HOSTS_H

#include "policy/vocabulary/network.h"

struct hosts;

/* Lines that are not well formed are passed over. text is copied. */
struct hosts *hosts_new(struct span text);
/* The file's; a file that cannot be read, or is over 4 MB, is an empty table. */
struct hosts *hosts_read(const char *path);
void hosts_free(struct hosts *take_h);

/* Up to `most` addresses of a name in the order of the file; case and a last dot do not
 * matter. */
size_t hosts_find(const struct hosts *h, struct span name,
                  struct host_address *out_addresses, size_t most);
/* The name that stands first for this address; empty: none does. Borrowed. */
struct span hosts_find_name(const struct hosts *h,
                            const struct host_address *address);

#endif
