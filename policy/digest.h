/*
 * digest - what rules may ask of a message, taken while it streams by.
 *
 * Only what the settings' rules ask for is kept (digest_wants): values of named header
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
 * names were kept, and of each at most 100 with 8 KB in all. */
struct span digest_field(const struct digest *d, struct span name, size_t n);

struct attachment {
    struct span name;             /* decoded, lower case where ASCII; or empty */
    struct span type;             /* "application/zip", lower case */
};
/* NULL: no more. At most 1000 are kept; is_more tells whether there were others. */
const struct attachment *digest_attachment(const struct digest *d, size_t n);
bool digest_has_more(const struct digest *d);

#endif
