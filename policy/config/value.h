/*
 * value - what one text of a configuration says, by kind.
 *
 * False: it is not of that kind; outputs stay untouched.
 */
#ifndef WAYPOST_VALUE_H
#define WAYPOST_VALUE_H

#include "policy/vocabulary/network.h"

/* "60s", "10min", "4h", "30d", "0"; a unit is needed. In ms. */
bool value_duration(struct span s, int64_t *out_ms);
/* "123" (bytes), "500KB", "256MB", "2GB", "1TB"; a KB has 1024 bytes. */
bool value_size(struct span s, uint64_t *out_bytes);
bool value_boolean(struct span s, bool *out_value);
/* "[::]:25", "127.0.0.1:2525"; port 1 to 65535. */
bool value_endpoint(struct span s, struct host_address *out_host,
                    uint16_t *out_port);
/* The same, and "policy.example.org:10031"; an IPv6 host loses its brackets. */
bool value_host_port(struct span s, struct span *out_host, uint16_t *out_port);
/* This machine itself: 127.0.0.1, ::1, localhost. */
bool value_is_loopback(struct span host);
/* "22:00-06:00", in minutes of the day: from before 24:00, to at most that, and not equal;
 * hours of one or two digits. */
bool value_day_span(struct span s, uint16_t *out_from, uint16_t *out_to);
/* 1 to 65535. */
bool value_port(struct span s, uint16_t *out_port);

#endif
