/*
 * network - addresses of hosts and the networks that hold them.
 *
 * All are kept as 16 bytes; IPv4 as ::ffff:a.b.c.d, so that a mapped address
 * and the plain one are the same client. No DNS, no sockets.
 */
#ifndef WAYPOST_NETWORK_H
#define WAYPOST_NETWORK_H

#include "policy/vocabulary/buffer.h"

struct host_address {
    unsigned char bytes[16];
};

struct network {
    struct host_address base;
    unsigned char bits;       /* 0 to 128, counted in the 16 bytes */
};

/* "192.0.2.1" (four decimal parts only, no 0x, no leading zeros) or "2001:db8::1"
 * (a zone like "%eth0" is refused). */
bool host_address_parse(struct span s, struct host_address *out_address);
/* The same, or in SMTP brackets: [192.0.2.1], [IPv6:2001:db8::1]. RFC 5321 4.1.3 */
bool host_literal_parse(struct span s, struct host_address *out_address);
bool host_address_is_v4(const struct host_address *a);
bool host_address_is(const struct host_address *a, const struct host_address *b);
/* 192.0.2.1 or 2001:db8::1 */
void host_address_print(struct buffer *b, const struct host_address *a);
/* 192.0.2.1 or IPv6:2001:db8::1, as in a literal between brackets. */
void host_literal_print(struct buffer *b, const struct host_address *a);
/* "1.2.0.192", or the 32 digits of an IPv6 address, backwards with a dot between, as the DNS
 * wants them in front of a zone. RFC 1035 3.5, RFC 3596 2.5, RFC 5782 2.4 */
void host_reversed_print(struct buffer *b, const struct host_address *a);
/* The network it is in, of so many bits: 192.0.2.0/24 or 2001:db8::/64; of all bits the
 * address alone. */
void host_network_print(struct buffer *b, const struct host_address *a,
                        unsigned v4_bits, unsigned v6_bits);

/* "10.0.0.0/8", "192.0.2.1", "::1/128"; false when bits below the prefix are set
 * or it is not an address. What is written as IPv6 with fewer than 96 bits holds
 * no IPv4 host: ::/0 is all of IPv6. */
bool network_parse(struct span s, struct network *out_network);

/* Where mail routed by MX must never go: unspecified, loopback, link-local,
 * multicast, broadcast, 0/8. */
bool host_address_is_unsafe_target(const struct host_address *a);
bool host_address_is_loopback(const struct host_address *a);

#endif
