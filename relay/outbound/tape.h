/*
 * tape - what was said on a connection, kept as it was said.
 *
 * For a person who asks why a message was not taken. Lines are copied into a piece of memory
 * that never grows, and only when an attempt has failed is a text made of them: what succeeds
 * costs a few copies of short lines, and no allocation. The beginning of the connection is
 * kept, and of the transaction what was said last. Content and secrets are never given to it.
 */
#ifndef WAYPOST_TAPE_H
#define WAYPOST_TAPE_H

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/reply.h"

enum { TAPE_OPENING = 1000, TAPE_HALF = 600, TAPE_TEXT = 4096 };

/* Zeroed: nothing was said. */
struct tape {
    uint16_t opening_len, half_len[2];
    bool is_past_opening;        /* a transaction has begun once */
    bool is_opening_cut, is_cut; /* something was left out */
    unsigned char half;          /* that is written to; the other is older */
    char opening[TAPE_OPENING];
    char halves[2][TAPE_HALF];
};

/* A transaction begins: what was said in the one before is forgotten. */
void tape_begin(struct tape *t);
/* A line of ours, without its end. */
void tape_said(struct tape *t, struct span line);
/* A reply, its text as struct reply has it: lines with '\n' between them. */
void tape_heard(struct tape *t, short code, struct status status,
                struct span text);
/* "> EHLO x\n< 250 ...\n", escaped, at most TAPE_TEXT bytes. */
void tape_print(const struct tape *t, struct buffer *out);

#endif
