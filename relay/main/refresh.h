/*
 * refresh - a running relay knows at once of a file that was just changed.
 */
#ifndef WAYPOST_REFRESH_H
#define WAYPOST_REFRESH_H

#include "policy/vocabulary/span.h"

/* Users and tokens: returns when the relay goes by them. socket: its admin socket. Where none
 * runs nothing is done; what the relay has to say of it goes to standard error. */
void refresh_logins(struct span socket);

#endif
