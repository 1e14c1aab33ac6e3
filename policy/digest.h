/*
 * digest - what rules may ask of a message, taken while it streams by.
 *
 * Only what the settings' rules ask for is kept (digest_is_wanted): values of named header
 * fields, names and types of attachments. Fed with the content in pieces cut anywhere; never
 * holds the message; linear in time and bounded in memory whatever the nesting (a part below
 * LIMIT_MIME_DEPTH is looked at as text). RFC 5322, 2045, 2046, 2183, 2231.
 */
#ifndef WAYPOST_DIGEST_H
#define WAYPOST_DIGEST_H

#include "policy/settings.h"
#include "policy/vocabulary/buffer.h"

struct digest;

/* Does any rule ask for the message? */
bool digest_is_wanted(const struct settings *s);
/* settings are borrowed for its life. */
struct digest *digest_new(const struct settings *s);
void digest_free(struct digest *d);
/* Content as it is stored, from its first header line on (without our Received:). */
void digest_feed(struct digest *d, struct span content);
void digest_end(struct digest *d);

/* Each value of a field, unfolded, in order; at == NULL: no more. Only fields that a rule
 * names were kept, of all together LIMIT_HEADER bytes. Encoded words (RFC 2047) are decoded
 * where they are UTF-8 or ASCII. */
struct span digest_field(const struct digest *d, struct span name, size_t n);
/* Was there more of the header section than was kept? */
bool digest_is_cut(const struct digest *d);

struct attachment {
    struct span name;             /* decoded, lower case where ASCII; or empty */
    struct span type;             /* "application/zip", lower case */
};
/* NULL: no more. At most 1000 are kept, each name and type once; digest_has_more tells
 * whether there were others. A part that is plain text or HTML, and neither has a name nor
 * says that it is an attachment, is none. */
const struct attachment *digest_attachment(const struct digest *d, size_t n);
bool digest_has_more(const struct digest *d);

#endif
