/*
 * verify - whether a route's recipients are known there: its keys verify...
 */
#ifndef WAYPOST_VERIFY_H
#define WAYPOST_VERIFY_H

#include "policy/config/keys.h"

/* The words of verify-unknown, in the order of enum verify_unknown. */
extern const char *const verify_unknown_words[];

/* verify = callout | "table:FILE" */
void verify_read(struct reading *r, const struct syntax_entry *entry,
                 struct route *route);
/* All keys have been read. */
void verify_check(struct reading *r, const struct route *route,
                  const struct syntax_entry *section);

#endif
