/*
 * logfile - a log that is a file.
 *
 * One for the process, under one descriptor that stays the same however often the file is
 * opened again, so that threads write without a lock. Opened to append: what truncates or
 * moves it away meanwhile (logrotate, both ways) does no harm. What cannot be written is
 * counted and said later; nobody waits for it.
 */
#ifndef WAYPOST_LOGFILE_H
#define WAYPOST_LOGFILE_H

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* This file from now on; on failure, what was open stays so. Main thread. */
MUST int logfile_open(struct span path);
/* The same path again. -ENOENT where none was ever opened. Main thread. */
MUST int logfile_reopen(void);

/* Whole lines, any thread. False: some of them are lost, and have been counted. */
bool logfile_write(const char *lines, size_t len);
/* Lines lost since the last call, for the caller to tell of, and the -E number of the last
 * failure. */
uint64_t logfile_take_lost(int *out_rc);
/* They could not be told of. */
void logfile_put_lost(uint64_t count);

#endif
