/*
 * token - a configuration's text, cut into words, strings and marks.
 *
 *   word    1*( any byte but space, control, { } = , # " ' )
 *   string  DQUOTE text DQUOTE, no backslash in it; or ' text ', taken as is
 *   mark    { } = ,
 *   comment # up to the end of the line
 *
 * A string ends on its line. Control characters and malformed UTF-8 are faults
 * wherever they stand. Columns count characters from 1.
 */
#ifndef WAYPOST_TOKEN_H
#define WAYPOST_TOKEN_H

#include "policy/config/faults.h"

enum token_kind {
    TOKEN_END, TOKEN_WORD, TOKEN_STRING,
    TOKEN_OPEN, TOKEN_CLOSE, TOKEN_IS, TOKEN_COMMA,
};

struct token {
    enum token_kind kind;
    struct span text;         /* without quotes; borrowed from the source */
    struct place place;
};

struct token_source {
    struct span rest;
    struct place place;       /* of rest's first character */
    struct faults *faults;
};

void token_source_init(struct token_source *t, struct span text,
                       const char *file, struct faults *faults);
struct token token_next(struct token_source *t);

#endif
