/*
 * command - one command line, taken apart.
 *
 * Pure grammar; lines come without their line end and may hold any byte.
 * Everything borrows from the line. RFC 5321 4.1.1 and 4.1.1.11, RFC 1870,
 * RFC 6152, RFC 6531.
 */
#ifndef WAYPOST_COMMAND_H
#define WAYPOST_COMMAND_H

#include "policy/vocabulary/envelope.h"
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

enum parameter_fault {
    PARAMETER_OK,
    PARAMETER_SYNTAX,  /* 501 5.5.4 */
    PARAMETER_UNKNOWN, /* 555 5.5.4 */
};

struct mail_parameters {
    bool has_size;
    uint64_t size;
    bool has_body;
    enum body_type body;
    bool smtputf8;
};

/*
 * What follows the path of MAIL or RCPT. Extended: after EHLO; a HELO session
 * has no parameters.
 */
enum parameter_fault command_mail_parameters(
    struct span rest, bool extended, struct mail_parameters *out_parameters);
enum parameter_fault command_rcpt_parameters(struct span rest);

#endif
