/*
 * parttype - what a part of a message says it is, and what it calls itself.
 *
 * Reads the values of Content-Type and Content-Disposition as leniently as mail readers do:
 * a name counts in every form that one of them would show. RFC 2045 5.1, 2046, 2183, 2231.
 */
#ifndef WAYPOST_PARTTYPE_H
#define WAYPOST_PARTTYPE_H

#include "policy/vocabulary/arena.h"
#include "policy/vocabulary/buffer.h"

enum { PARTTYPE_BOUNDARY = 200 }; /* RFC 2046 allows 70 */

struct parttype {
    bool has_type;
    struct span
        type; /* "text/plain", lower case; empty: none that can be read */
    char boundary[PARTTYPE_BOUNDARY];
    size_t boundary_len; /* 0: none */
    bool is_attachment;  /* the disposition says so */
    bool is_encoded;     /* base64 or quoted-printable */
    bool is_cut;         /* it said more than is looked at */
    struct span *names;  /* lower case where ASCII, decoded */
    size_t name_count, name_room;
};

/* Each may come several times; the first type counts, and every name. What is kept is the
 * arena's. */
void parttype_read_type(struct parttype *p, struct arena *a, struct span value);
void parttype_read_disposition(struct parttype *p, struct arena *a,
                               struct span value);
void parttype_read_encoding(struct parttype *p, struct span value);

#endif
