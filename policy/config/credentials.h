/*
 * credentials - the sections tls and users: whom we prove to be, and who may
 * prove to be somebody to us.
 */
#ifndef WAYPOST_CREDENTIALS_H
#define WAYPOST_CREDENTIALS_H

#include "policy/config/keys.h"

extern const struct key_table credentials_tls, credentials_users;

void credentials_check_tls(struct reading *r,
                           const struct syntax_entry *section);
/* Also reads the table of senders. */
void credentials_check_users(struct reading *r,
                             const struct syntax_entry *section);

/* Can anybody log in at all? */
bool credentials_have_users(const struct users_settings *users);
/* What users { } could verify, of enum mechanism, whatever a listener offers.
 */
unsigned credentials_mechanisms(const struct users_settings *users);

#endif
