/*
 * pambase - can PAM read the passwords that it is to judge by?
 */
#ifndef WAYPOST_PAMBASE_H
#define WAYPOST_PAMBASE_H

#include "policy/vocabulary/span.h"

/* The file that pam_unix needs. */
#define PAMBASE_SHADOW "/etc/shadow"

/* Is pam_unix all that this service asks of a password? folders: of the services, with ':'
 * between, the first goes first; NULL: the system's. False also where its file cannot be read. */
bool pambase_is_shadow_alone(const char *folders, struct span service);

/* So it is, and this process cannot read that file: no login will ever be right. shadow: the
 * file. */
bool pambase_is_out_of_reach(const char *folders, struct span service,
                             const char *shadow);

#endif
