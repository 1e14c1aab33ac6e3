/*
 * places - the files and folders that a relay needs, by its settings.
 *
 * For who prepares them (privilege.h), keeps out of all others (sandbox.h), or looks whether
 * they can be read.
 */
#ifndef WAYPOST_PLACES_H
#define WAYPOST_PLACES_H

#include "policy/settings.h"
#include "relay/main/sources.h"

enum place_kind {
    PLACE_READ, /* a file that is read, and may be replaced by another of its name */
    PLACE_TABLE, /* the same; where it is a SQLite file others lie beside it */
    PLACE_KEPT,   /* a file that is read, and replaced by another of ours */
    PLACE_STATE, /* a file that is written, and others beside it; its folder is made */
    PLACE_LOG,    /* the same, of the log */
    PLACE_FOLDER, /* a folder that is written */
};

/* path: absolute, or from where the relay was started; borrowed for the call. */
typedef void place_fn(void *user, enum place_kind kind, const char *path);

/* What the settings name, and the files and tables that they were read from; config: NULL: none. */
void places_each(const struct settings *s, const char *config,
                 const struct sources *sources, place_fn *each, void *user);

/* Programs of others run for us: a token-command, or what PAM's modules start. Answers which,
 * as a key of the configuration; NULL: none. */
const char *places_program(const struct settings *s);

#endif
