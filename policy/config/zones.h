/*
 * zones - lists of hosts in the DNS, as a rule's `dnsbl` says them.
 *
 *   list    = zone [ "=" answer ] [ "*" weight ]
 *   answer  = octets "." octets "." octets "." octets     ; those that count
 *   octets  = number / number ".." number / "[" number ".." number "]"
 *   weight  = [ "-" ] number                              ; 1
 *
 * A weight below 0 is that of a list of good hosts. RFC 5782.
 */
#ifndef WAYPOST_ZONES_H
#define WAYPOST_ZONES_H

#include "policy/condition.h"
#include "policy/config/keys.h"

void zones_read(struct reading *r, const struct syntax_entry *entry,
                struct condition *c);
/* dnsbl-threshold of a rule into its conditions; after all were read. */
void zones_set_threshold(struct reading *r, const struct syntax_entry *section,
                         struct condition *conditions, size_t count);

#endif
