/*
 * relook - the files of users are read again because somebody asks for it.
 *
 * On libuv's pool, as a file may be large. In the last turns of the loop nobody is told any more.
 */
#ifndef WAYPOST_RELOOK_H
#define WAYPOST_RELOOK_H

#include "relay/admin/admin.h"

struct station;

/* For struct admin_logins; user is the station. */
bool relook_begin(void *user, admin_looked_fn *done, void *done_user,
                  uint64_t token);

#endif
