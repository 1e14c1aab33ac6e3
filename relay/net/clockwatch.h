/*
 * clockwatch - has somebody set the clock?
 *
 * When mail is due is written down by the clock on the wall. One that is set back makes mail
 * wait that much longer, and nothing in the queue shows it, so the log does.
 */
#ifndef WAYPOST_CLOCKWATCH_H
#define WAYPOST_CLOCKWATCH_H

#include <stdbool.h>
#include <stdint.h>

enum { CLOCKWATCH_LEAST_MS = 60000 }; /* less is no news */

struct clockwatch {
    int64_t apart_ms; /* between the two clocks */
    bool has_looked;
};

/* By how much the wall's clock was set since the last look, forward or back (< 0); 0: it was
 * not. steady_ms: of a clock that nobody sets. */
int64_t clockwatch_look(struct clockwatch *w, int64_t wall_ms,
                        int64_t steady_ms);

#endif
