/*
 * webhooks - what a webhook section says: who is told over HTTPS what became of mail.
 */
#ifndef WAYPOST_WEBHOOKS_H
#define WAYPOST_WEBHOOKS_H

#include "policy/config/keys.h"

void webhooks_read(struct reading *r, const struct syntax_entry *first,
                   size_t count);

#endif
