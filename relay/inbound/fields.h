/*
 * fields - a header section, field by field. RFC 5322 2.2.
 *
 * Lines end with CRLF, in binary content perhaps with LF alone.
 */
#ifndef WAYPOST_FIELDS_H
#define WAYPOST_FIELDS_H

#include "policy/vocabulary/span.h"

struct field {
    struct span whole; /* with its line end and continuation lines */
    struct span name;
    struct span value; /* behind the colon, folds inside, without the last line
                          end */
};

/* Takes the next field off the section; false at its end or at the empty line,
 * which stay in *rest. */
bool fields_next(struct span *rest, struct field *out_field);

#endif
