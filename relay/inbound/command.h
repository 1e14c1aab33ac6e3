/*
 * command - one command line, taken apart.
 *
 * Pure grammar; lines come without their line end and may hold any byte.
 * Everything borrows from the line. RFC 5321 4.1.1.
 */
#ifndef WAYPOST_COMMAND_H
#define WAYPOST_COMMAND_H

#include "policy/vocabulary/span.h"

enum command_kind {
    COMMAND_VERB,    /* a word, perhaps with an argument */
    COMMAND_GARBAGE, /* empty, or no word at its beginning */
    COMMAND_CONTROL, /* holds a NUL, CR or other control */
    COMMAND_HEADER,  /* a header line: this client talks past us */
};

struct command {
    struct span verb;     /* as written */
    struct span argument; /* without spaces at both ends */
};

enum command_kind command_split(struct span line, struct command *out_command);

/*
 * The path behind "FROM:" or "TO:" (keyword with its colon, any case); false
 * when the argument does not begin so.
 */
bool command_path(struct span argument, struct span keyword,
                  struct span *out_path);

/* A client's own name, as in EHLO: one word without controls. */
bool command_is_client_name(struct span name);

#endif
