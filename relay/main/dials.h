/*
 * dials - what the running relay tells of itself: counts, certificates, listeners.
 */
#ifndef WAYPOST_DIALS_H
#define WAYPOST_DIALS_H

#include "relay/admin/admin.h"

/* For admin_open; user: the station. */
extern const struct admin_gauges dials_admin;

#endif
