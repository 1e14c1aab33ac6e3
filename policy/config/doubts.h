/*
 * doubts - what may be written, but is seldom meant.
 *
 * Asked only of settings without faults; the route index must stand.
 */
#ifndef WAYPOST_DOUBTS_H
#define WAYPOST_DOUBTS_H

#include "policy/config/keys.h"

void doubts_find(struct reading *r);

#endif
