/*
 * sources - the files that a configuration was read from, as they were then.
 *
 * Tables are read again by themselves when they change, and the rest of the configuration is
 * not: it is kept here, byte for byte, so that what somebody is just editing waits for him to
 * say so (SIGHUP), as are aliases. Of tables only what tells a change is kept: one that has not
 * changed, or that is not to be read since it has a fault, is shared with the settings in use.
 *
 *   sources_new -> settings_read (sources_read_file, sources_read_table) -> sources_look now
 *   and then -> sources_new(the old ones) -> ...
 *
 * One thread at a time, but for kept ones, which another may read by meanwhile.
 */
#ifndef WAYPOST_SOURCES_H
#define WAYPOST_SOURCES_H

#include "policy/settings.h"

struct sources;

/* Empty. What was read into `kept` (or NULL) is not read from the disk again, but for tables that
 * have changed; in_use: the settings that came of it. Both are borrowed until the reading is
 * over. */
struct sources *sources_new(const struct sources *kept,
                            const struct settings *in_use);
void sources_free(struct sources *s);

/* For struct settings_source; user is the sources. */
int sources_read_file(void *user, const char *path, struct buffer *out);
int sources_read_table(void *user, const char *path, struct buffer *out,
                       struct buffer *out_why);
int sources_read_list(void *user, const char *path, struct buffer *out,
                      struct buffer *out_why);
struct table *sources_kept_table(void *user, const char *path);

/* Before reading: this table, as it was when `tried` was read, has a fault, and the former
 * content stays. */
void sources_keep(struct sources *s, const char *path,
                  const struct sources *tried);
/* Tables that are not as they are on the disk, because of a fault. */
unsigned sources_faulty(const struct sources *s);

/* Those that sources_read_file was asked for, from *at == NULL until NULL. */
const char *sources_next_file(const struct sources *s, const void **at);

/* Those that sources_read_table was asked for, in the same way. */
const char *sources_next_table(const struct sources *s, const void **at);

/* Has a table changed, and not since the last look? */
bool sources_look(struct sources *s);
/* The tables as these sources have them were no good: no reason to look again. */
void sources_give_up(struct sources *s, const struct sources *tried);
/* The next table that was read, and is not as it was in `before`; from *at == NULL until NULL. */
const char *sources_next_changed(const struct sources *s,
                                 const struct sources *before,
                                 const void **at);

#endif
