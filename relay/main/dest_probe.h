/*
 * dest_probe - a walk to a destination, printed while it is made.
 */
#ifndef WAYPOST_DEST_PROBE_H
#define WAYPOST_DEST_PROBE_H

#include "relay/main/ask.h"
#include "relay/main/paper.h"

struct dest_probe {
    const char *name, *from; /* from NULL: nobody in particular */
    bool is_json, is_coloured;
    bool is_verbose; /* with all that is said and heard */
};

/* Prints each stage as it comes. 0: it works; 75: it does not; else as of ask_stream. */
int dest_probe_run(struct ask *a, const struct dest_probe *what);

#endif
