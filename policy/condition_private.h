/*
 * condition_private - what condition.c and condition_message.c share.
 */
#ifndef WAYPOST_CONDITION_PRIVATE_H
#define WAYPOST_CONDITION_PRIVATE_H

#include "policy/condition.h"
#include "policy/digest.h"

/* Is the text in one of the tables that stand among its values? */
enum answer condition_tables_have(const struct condition *c, struct span text);
/* Does a field of the message, or an attachment, match? */
enum answer condition_headers(const struct condition *c,
                              const struct digest *d);
enum answer condition_attachments(const struct condition *c,
                                  const struct digest *d);

#endif
