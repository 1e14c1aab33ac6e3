/*
 * localmail - what the sendmail section says: how programs of this machine submit mail.
 */
#ifndef WAYPOST_LOCALMAIL_H
#define WAYPOST_LOCALMAIL_H

#include "policy/config/keys.h"

extern const struct key_table localmail_table;

void localmail_check(struct reading *r, const struct syntax_entry *section);
/* When everything else has been read: defaults beside other files, the rules that are built
 * in, and the file of aliases. */
void localmail_finish(struct reading *r, const struct syntax_entry *tree);

#endif
