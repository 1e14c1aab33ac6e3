/*
 * enclosure - the message in its report, or its headers, fit to be sent.
 *
 *   RET=FULL, all of it at hand, small      else
 *   seven bits            message/rfc822    text/rfc822-headers
 *   can be converted      the same, conv.   (encoded where it has 8 bits)
 *   SMTPUTF8 headers      message/global    message/global-headers
 *                         encoded           encoded
 *   none of these         as "else"
 *
 * In a report that is international itself the global types are not encoded,
 * but for binary content. RFC 3461 6.2, RFC 6522 2, RFC 6532 3.7, RFC 6533 5.
 */
#ifndef WAYPOST_ENCLOSURE_H
#define WAYPOST_ENCLOSURE_H

#include "relay/outbound/report.h"

struct enclosure {
    const char *type;   /* Content-Type */
    const char *coding; /* Content-Transfer-Encoding, or NULL */
    struct buffer bytes;
    bool is_whole;
};

/* is_global: the report may have 8 bits. */
void enclosure_make(struct enclosure *out_e, const struct report *r,
                    bool is_global);
void enclosure_fini(struct enclosure *e);

#endif
