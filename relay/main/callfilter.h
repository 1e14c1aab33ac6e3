/*
 * callfilter - the system calls that can still be made (seccomp(2)).
 *
 * What a relay never does answers EPERM. It does not end the process, because libraries try
 * many a call and go on without it; mail must, too. Calls that we have never heard of are let
 * through: a newer C library uses them for what older ones did.
 */
#ifndef WAYPOST_CALLFILTER_H
#define WAYPOST_CALLFILTER_H

#include "policy/vocabulary/error.h"

#include <stdbool.h>

/* For all threads and what they start, for good. runs_programs: execve stays possible.
 * Needs PR_SET_NO_NEW_PRIVS. */
MUST int callfilter_enter(bool runs_programs);

#endif
