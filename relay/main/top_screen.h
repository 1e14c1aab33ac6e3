/*
 * top_screen - what the relay is doing, as a page of text for a terminal.
 *
 * Figures in, text out: lines that fit the width, as many as there is room for. Whatever
 * strangers said is escaped. Pure.
 */
#ifndef WAYPOST_TOP_SCREEN_H
#define WAYPOST_TOP_SCREEN_H

#include "policy/vocabulary/buffer.h"

#include <jansson.h>

enum top_view {
    TOP_FLOW,
    TOP_DESTINATIONS,
    TOP_REFUSALS,
    TOP_LIVE,
    TOP_VIEWS,
    TOP_ALL = TOP_VIEWS, /* the first three, one below the other */
};

/* Any of them may be NULL: not known (yet). Objects as the relay gave them. */
struct top_figures {
    const json_t *status, *flow, *system;
    const json_t *destinations; /* array of objects */
    const json_t *before;       /* the status of a moment ago, for rates ... */
    double seconds;             /* ... over so long */
    const json_t *lines;        /* live: array of texts, oldest first */
    int64_t now_s;
};

struct top_look {
    enum top_view view;
    size_t columns, rows; /* rows 0: as many as there are */
    bool is_coloured, is_utf8;
};

void top_screen_put(struct buffer *b, const struct top_figures *f,
                    const struct top_look *look);

#endif
