/*
 * accounts - how we log in to next hops: the section account, and a route's own
 * user and password.
 */
#ifndef WAYPOST_ACCOUNTS_H
#define WAYPOST_ACCOUNTS_H

#include "policy/config/keys.h"

void accounts_read(struct reading *r, const struct syntax_entry *first,
                   size_t count);
/* The account of that title; NULL and a fault when there is none. */
const struct account *accounts_find(struct reading *r, struct span title,
                                    struct place place);
/* A section's own user and password-file are an account without a title, in place of the
 * one that `key` names: into out. Untouched where there are none, or a fault. */
void accounts_take_own(struct reading *r, const struct account *own,
                       const char *key, const struct syntax_entry *section,
                       const struct account **out);
/* Warns of those that nothing has asked for. */
void accounts_doubt_unused(struct reading *r);

/* A key's check: https, or http to this machine. */
bool accounts_check_url(struct reading *r, const struct syntax_text *t,
                        struct span *value);

/* Does it show a secret, or only a certificate? */
bool accounts_show_secret(const struct account *a);

#endif
