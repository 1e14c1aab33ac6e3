/*
 * headertests - what rules ask of a message: header fields and attachments.
 *
 *   header     = {"List-Id", 'Subject: /pattern/', "X-Mailer: table:FILE"}
 *   attachment = {"*.exe", "application/zip", "image/png", '/pattern/'}
 */
#ifndef WAYPOST_HEADERTESTS_H
#define WAYPOST_HEADERTESTS_H

#include "policy/condition.h"
#include "policy/config/keys.h"

/* ftext, RFC 5322 3.6.8: no space, no colon; at most 76 characters. */
bool headertests_is_field(struct span name);

void headertests_read_headers(struct reading *r,
                              const struct syntax_entry *entry,
                              struct condition *c);
void headertests_read_attachments(struct reading *r,
                                  const struct syntax_entry *entry,
                                  struct condition *c);

/* One test of a header; false, and a fault, when it is none. */
bool headertests_read_one(struct reading *r, const struct syntax_text *text,
                          struct header_test *out);

#endif
