/*
 * expression - a regular expression: '/.../' of a configuration, without the
 * slashes.
 *
 * PCRE2, without case, on bytes that need not be UTF-8. Compiled once, into the
 * arena; run under limits, so that no text of a stranger costs more than its
 * share, and under a meter no number of texts does.
 */
#ifndef WAYPOST_EXPRESSION_H
#define WAYPOST_EXPRESSION_H

#include "policy/vocabulary/arena.h"
#include "policy/vocabulary/buffer.h"

enum answer {
    ANSWER_NO,
    ANSWER_YES,
    ANSWER_UNKNOWN,           /* an expression ran into its limits */
};

struct expression;

/* NULL: it is none, and out_why says so ("is not ...", without its text). */
struct expression *expression_parse(struct arena *a, struct span text,
                                    struct buffer *out_why);
enum answer expression_matches(const struct expression *e, struct span text);

/* What the thread's expressions may cost together from begin to end; where that is
 * gone, those that are not cheap answer UNKNOWN. One within another counts on the
 * outer one. */
struct expression_meter {
    uint64_t left;
    bool is_inner;
};
void expression_meter_begin(struct expression_meter *m);
void expression_meter_end(struct expression_meter *m);

/* $0, the whole of what matched, and $1 to $9; borrowed from the text. One that
 * took no part is empty. */
enum { EXPRESSION_GROUPS = 10 };

/* How many groups it has, without $0. */
unsigned expression_group_count(const struct expression *e);
enum answer expression_find(const struct expression *e, struct span text,
                            struct span out_groups[EXPRESSION_GROUPS]);

#endif
