/*
 * sections - the table of sections, and the keys of the simple ones.
 */
#ifndef WAYPOST_SECTIONS_H
#define WAYPOST_SECTIONS_H

#include "policy/config/keys.h"

/* Every default, before anything is read. */
void sections_set_defaults(struct reading *r);
/* The meaning of a whole tree. */
void sections_read(struct reading *r, struct syntax_entry *tree);

/* The keys of retry, which a route has too, for a struct at `base`. */
#define SECTIONS_RETRY_KEYS(base, first, most, expire, reports, warn)          \
    { "first", KEY_DURATION, (base) + offsetof(struct retry_settings,          \
      first_ms), .normal = (first), .low = 1000, .high = DURATION_MOST },      \
    { "most", KEY_DURATION, (base) + offsetof(struct retry_settings,           \
      most_ms), .normal = (most), .low = 1000, .high = DURATION_MOST },        \
    { "expire", KEY_DURATION, (base) + offsetof(struct retry_settings,         \
      expire_ms), .normal = (expire), .low = 1000, .high = DURATION_MOST },    \
    { "expire-reports", KEY_DURATION, (base) + offsetof(struct retry_settings, \
      expire_report_ms), .normal = (reports), .low = 1000,                     \
      .high = DURATION_MOST },                                                 \
    { "warn", KEY_DURATION, (base) + offsetof(struct retry_settings, warn_ms), \
      .normal = (warn), .high = DURATION_MOST }

/* Ten years; enough for everything, and far from overflow. */
#define DURATION_MOST (3650ull * 24 * 3600 * 1000)

/* first must not be over most. */
void sections_check_retry(struct reading *r, const struct retry_settings *retry,
                          const struct syntax_entry *section);

#endif
