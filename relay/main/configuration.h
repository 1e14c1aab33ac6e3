/*
 * configuration - the settings that a call of the program is about.
 */
#ifndef WAYPOST_CONFIGURATION_H
#define WAYPOST_CONFIGURATION_H

#include "policy/settings.h"
#include "relay/main/sources.h"
#include "relay/main/verbs.h"

/*
 * Reads the call's file, through the sources, or the built-in default where it has none. Faults and
 * warnings are lines for people. NULL when there was any fault; else held once.
 */
struct settings *configuration_read(const struct verb_call *call,
                                    struct sources *sources,
                                    struct buffer *out_faults,
                                    struct buffer *out_warnings);

/* The same for a verb: prints the faults on standard error. NULL: answer
 * EX_CONFIG. */
struct settings *configuration_load(const struct verb_call *call);

/* Makes the folder of a file, and those above it, readable by the owner alone
 * where they are missing. */
MUST int configuration_make_folder(struct span path);

/* Where things are, for programs that any user may call, and for those that ask the running
 * relay, which goes on when a new configuration is at fault: only what they need is read (see
 * settings_source.is_brief), with complaints on standard error. path: NULL: built in. */
struct settings *configuration_load_brief(const char *path);
/* The same, with the names of the files of users: for who makes them. */
struct settings *configuration_load_users(const char *path);
/* /etc/waypost/waypost.conf where there is one, else NULL. */
const char *configuration_usual(void);

#endif
