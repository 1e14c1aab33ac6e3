/*
 * tokencommand - a program that prints a token.
 *
 * Started with its arguments as they are (no shell), nothing to read, a small environment
 * (PATH, HOME, LANG) and a process group of its own, which is killed when the time is over
 * or more than 16 KB come. What it says on standard error is kept for the log.
 *
 * Done comes once, later, on the loop's thread, unless the command was stopped.
 */
#ifndef WAYPOST_TOKENCOMMAND_H
#define WAYPOST_TOKENCOMMAND_H

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/error.h"

#include <uv.h>

enum { TOKENCOMMAND_OUTPUT_MOST = 16 * 1024, TOKENCOMMAND_ERRORS_MOST = 4096 };

struct tokencommand;

struct tokencommand_end {
    int rc;             /* 0: it ended well; else why is a sentence */
    struct span output; /* also when it failed */
    struct span errors;
    struct span why;
};
typedef void tokencommand_fn(void *user, const struct tokencommand_end *end);

/* Everything is copied. */
struct tokencommand *tokencommand_start(uv_loop_t *loop,
                                        const struct span *arguments,
                                        size_t count, int64_t most_ms,
                                        tokencommand_fn *done, void *user);
/* Kills it. The loop goes on until it is gone. */
void tokencommand_stop(struct tokencommand *c);

#endif
