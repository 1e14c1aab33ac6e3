/*
 * retry - when is the next attempt, and when is it enough?
 *
 * By age: next = now + clamp(age, first, most), 10 % jitter either way. Pure;
 * the random number is a parameter.
 */
#ifndef WAYPOST_RETRY_H
#define WAYPOST_RETRY_H

#include "policy/settings.h"

/* random: any 32 bits. All times in ms since the epoch. */
int64_t retry_due_ms(const struct retry_settings *r, int64_t received_ms,
                     int64_t now_ms, uint32_t random);

/* How long a destination that is down rests after its n-th failure in a row
 * (n from 1): first, doubling to most, 10 % jitter. A span, not a time. */
int64_t retry_backoff_ms(const struct retry_settings *r, unsigned n,
                         uint32_t random);

/* When a message received then expires; is_report: its sender is <>. */
int64_t retry_expiry_ms(const struct retry_settings *r, int64_t received_ms,
                        bool is_report);
/* When its sender hears of a delay; INT64_MAX: never. */
int64_t retry_warning_ms(const struct retry_settings *r, int64_t received_ms,
                         bool is_report);

#endif
