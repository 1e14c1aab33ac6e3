/*
 * top_terminal - a terminal that is ours for a while, and is given back as it was.
 *
 * The alternate screen, no echo, no line wrap. Given back by close, and by every signal that
 * would end or stop the program.
 */
#ifndef WAYPOST_TOP_TERMINAL_H
#define WAYPOST_TOP_TERMINAL_H

#include "policy/vocabulary/buffer.h"

enum top_key {
    TOP_KEY_NONE,
    TOP_KEY_QUIT,
    TOP_KEY_NEXT,
    TOP_KEY_BACK,
    TOP_KEY_FIRST, /* 1, and so on */
};

/* False: it is none that can be used. */
bool top_terminal_open(void);
void top_terminal_close(void);
/* Columns and rows, as they are now. */
void top_terminal_size(size_t *out_columns, size_t *out_rows);
/* A page in place of the one before. */
void top_terminal_show(struct span page);
/* Was it asked to end, by a signal? */
bool top_terminal_is_over(void);
/* What was typed, of the bytes in *io_typed, which it takes. */
enum top_key top_terminal_key(struct span *io_typed);

#endif
