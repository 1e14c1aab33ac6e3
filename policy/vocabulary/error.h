/*
 * error - the second kind of no: the world failed.
 *
 * Functions that can fail return a negative int: either one of the system's
 * -E numbers (libuv's are the same) or one of ours below. The answer "no" of a
 * rule or of a peer is a value (struct reply, struct verdict), never an error.
 * Our own mistakes stop the program at once: ASSERT is always compiled in.
 */
#ifndef WAYPOST_ERROR_H
#define WAYPOST_ERROR_H

#include <stdnoreturn.h>

#define MUST __attribute__((warn_unused_result))

#define ERROR_TABLE(ROW)                                                       \
    ROW(ERROR_TOO_BIG, "larger than the limit")                                \
    ROW(ERROR_SYNTAX, "not well formed")                                       \
    ROW(ERROR_GONE, "no longer there")                                         \
    ROW(ERROR_FULL, "disk is full")                                            \
    ROW(ERROR_LOCKED, "in use by another process")                             \
    ROW(ERROR_FOREIGN, "not a Waypost queue")                                  \
    ROW(ERROR_NEWER, "written by a newer Waypost")                             \
    ROW(ERROR_OLDER, "written by an older Waypost")                            \
    ROW(ERROR_DAMAGED, "damaged")                                              \
    ROW(ERROR_STORE, "the store failed")                                       \
    ROW(ERROR_CHECKSUM, "content does not match its checksum")                 \
    ROW(ERROR_PROTOCOL, "the peer broke the protocol")                         \
    ROW(ERROR_TLS, "TLS failed")                                               \
    ROW(ERROR_TRUNCATED, "connection closed without TLS close_notify")         \
    ROW(ERROR_CONFIG, "configuration")                                         \
    ROW(ERROR_CLOSING, "going down")

enum error_number {
    ERROR_BASE = -10000,
#define ERROR_ROW(name, text) name,
    ERROR_TABLE(ERROR_ROW)
#undef ERROR_ROW
    ERROR_END
};

/* A short English text for any error number, ours or the system's. */
const char *error_text(int rc);

/* Ends the program with one line that names the broken promise. */
noreturn void assert_failed(const char *what, const char *file, int line);

#define ASSERT(what)                                                           \
    ((what) ? (void)0 : assert_failed(#what, __FILE__, __LINE__))

#endif
