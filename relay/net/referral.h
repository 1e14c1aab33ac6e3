/*
 * referral - "ask those over there" is not "there is none".
 *
 * A server that should know a name, or should find it out for us, and instead only points to
 * other servers is out of order. libunbound hands that on as an answer without data,
 * which for mail would mean a host without an address, for good. RFC 2308 2.2: no data
 * has a SOA record with it, or nothing; a referral has NS records and no SOA.
 */
#ifndef WAYPOST_REFERRAL_H
#define WAYPOST_REFERRAL_H

#include "policy/vocabulary/span.h"

/* packet: a whole DNS message; false also when it cannot be read. */
bool referral_is(struct span packet);

#endif
