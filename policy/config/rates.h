/*
 * rates - a list of "100/min", for limits and for routes.
 */
#ifndef WAYPOST_RATES_H
#define WAYPOST_RATES_H

#include "policy/config/keys.h"

/* What is none is a fault and left out. */
void rates_read(struct reading *r, const struct syntax_entry *entry,
                struct rate **out_rates, size_t *out_count);
/* Afterwards: is one of them a size ("5MB/h")? Then why it may not be, or NULL. A warning of
 * each that is never met. */
void rates_check(struct reading *r, const struct syntax_entry *entry,
                 const struct rate *rates, size_t count, const char *no_sizes);

#endif
