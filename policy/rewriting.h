/*
 * rewriting - another address in place of this one.
 *
 *   rewrite-to   = {'/^(.+)\+.*@example\.org$/ $1@example.org'}   an expression, its form
 *                  with $1 to $9 ($$ is a $)
 *   rewrite-to   = {"table:/etc/waypost/virtual"}   an address, or a domain; the value behind
 *                  it is one address or several with commas between, or @other.example, which
 *                  keeps the local part
 *   rewrite-from = {"srs"}     the sender as one of ours, so that SPF holds where it is
 *                  forwarded to; and rewrite-to = {"srs"} leads reports back: see srs.h
 *
 * The members stand in order: what one gives is put to the next. A table is asked again with
 * what came out of it, until it says nothing new, REWRITE_DEPTH times at most; one that comes
 * back to where it was ends there. Pure: the secrets and the day are parameters.
 */
#ifndef WAYPOST_REWRITING_H
#define WAYPOST_REWRITING_H

#include "policy/settings.h"
#include "policy/srs.h"
#include "policy/vocabulary/address.h"

enum { REWRITE_DEPTH = 20, REWRITE_MOST = 1000, REWRITE_MEMBERS = 32 };

struct rewriting;

/* Of senders or of recipients; in the arena, for at most REWRITE_MEMBERS members. */
struct rewriting *rewriting_new(struct arena *a, bool of_sender);
/* "srs", or an expression and its form. False: it is neither, or one too many, and out_why
 * says so ("is not ..."). */
bool rewriting_add(struct rewriting *w, struct arena *a, struct span text,
                   struct buffer *out_why);
bool rewriting_add_table(struct rewriting *w, struct table *t,
                         struct buffer *out_why);

bool rewriting_is_of_sender(const struct rewriting *w);
/* Its tables, one after the other: from *at == 0 until NULL. */
struct table *rewriting_next_table(const struct rewriting *w, size_t *at);
/* Does it need secrets? */
bool rewriting_is_srs(const struct rewriting *w);

enum rewritten {
    REWRITTEN_NOT,            /* it stays as it is */
    REWRITTEN,                /* as out says */
    REWRITTEN_REFUSED,        /* an SRS address that we never made, or too old: 550 5.1.1 */
    REWRITTEN_UNKNOWN,        /* an expression ran into its limits, what came out is no address,
                                 or more than REWRITE_MOST, or there are no secrets: 451 */
};

/* secrets: NULL: none were read. out_all is in the arena: addresses, no two the same; exactly
 * one where it is of senders. */
enum rewritten rewriting_apply(const struct rewriting *w,
                               const struct settings *s,
                               const struct srs_secrets *secrets,
                               const struct address *a, int64_t now_ms,
                               struct arena *arena, struct span **out_all,
                               size_t *out_count);

#endif
