/*
 * lists - values that are sets: networks, logins, certificates, ways to log in.
 *
 * For key rows: the set goes to the row's field. What is none of its kind is a
 * fault and left out.
 */
#ifndef WAYPOST_LISTS_H
#define WAYPOST_LISTS_H

#include "policy/config/keys.h"

/* struct networks */
void lists_networks(struct reading *r, const struct key *key,
                    const struct syntax_entry *entry, void *object);
/* unsigned, of enum mechanism */
void lists_mechanisms(struct reading *r, const struct key *key,
                      const struct syntax_entry *entry, void *object);

void lists_read_networks(struct reading *r, const struct syntax_entry *entry,
                         struct networks *out);
/* Logins and globs of them. */
void lists_read_logins(struct reading *r, const struct syntax_entry *entry,
                       struct names *out);
/* Fingerprints, as facts say them, and names, apart. */
void lists_read_certificates(struct reading *r,
                             const struct syntax_entry *entry,
                             struct names *out_fingerprints,
                             struct names *out_names);

#endif
