/*
 * top_trouble - what somebody should do something about, a line each.
 *
 * Of what no other part of the page shows: disk, certificates, history, webhooks. Figures in,
 * text out. Pure.
 */
#ifndef WAYPOST_TOP_TROUBLE_H
#define WAYPOST_TOP_TROUBLE_H

#include <jansson.h>

/* system: GET /api/v1/system, or NULL. The worst first; an array of texts that the caller lets
 * go of. */
json_t *top_trouble_lines(const json_t *system);

#endif
