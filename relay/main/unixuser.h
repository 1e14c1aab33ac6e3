/*
 * unixuser - who a user of this machine is.
 */
#ifndef WAYPOST_UNIXUSER_H
#define WAYPOST_UNIXUSER_H

#include "policy/vocabulary/buffer.h"

#include <sys/types.h>

/* His login, or "uid=1000" where he has none that could be one. May ask the network and take
 * its time. Any thread. */
void unixuser_put_login(struct buffer *b, uid_t uid);
/* His full name, as far as it is known. */
void unixuser_put_name(struct buffer *b, uid_t uid);

#endif
