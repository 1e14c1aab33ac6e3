/*
 * complete - what machines leave out of the mail they submit.
 *
 * A header without Date, Message-ID or From gets them, and addresses that are
 * a local part alone get a domain, in the envelope and in From, Sender,
 * Reply-To, To, Cc and Bcc. Nothing else is touched: a header in which nothing
 * is missing comes out byte for byte. RFC 6409 8.
 */
#ifndef WAYPOST_COMPLETE_H
#define WAYPOST_COMPLETE_H

#include "policy/vocabulary/buffer.h"

struct completion {
    struct span origin;   /* for bare addresses */
    struct span hostname; /* for what we make up */
    struct span sender;   /* reverse-path */
    struct span login;    /* or empty */
    uint64_t id;
    int64_t now_ms;
    bool has_body; /* content follows behind the header */
};

/*
 * Writes the header section, with its empty line if it has one. Where it has
 * none, and content follows, one is put. out_id is the Message-ID that was made,
 * or empty; it borrows from out.
 */
void complete_header(struct span header, const struct completion *c,
                     struct buffer *out, struct span *out_id);

/*
 * A path as behind FROM: or TO: that is a local part alone, "<joe> rest", with
 * the domain put in; false when it is not.
 */
bool complete_path(struct span path, struct span origin, struct buffer *out);

#endif
