/*
 * keyring - what each account shows, and how it is come by.
 *
 * One entry for each account, found by its profile's key, at most KEYRING_MOST; the one
 * that was used the longest time ago goes first, but none that is being fetched. Lives on
 * the loop of the desk's thread; all functions there.
 */
#ifndef WAYPOST_KEYRING_H
#define WAYPOST_KEYRING_H

#include "relay/outbound/profile.h"
#include "relay/outbound/tokens.h"

enum {
    KEYRING_MOST = 1024,
    KEYRING_HOLD_MS = 10 * 1000, /* after a failure; doubles with each */
    KEYRING_HOLD_MOST_MS = 60 * 1000,
    KEYRING_REFUSALS_MS = 10 * 1000, /* between fetches that refusals cause */
};

/* One question, from its asking to its answer. */
struct ticket {
    struct ticket *next, **link;
    struct tokens *desk;
    struct worker *worker;
    struct profile *profile;
    tokens_fn *done; /* NULL: it tells of a refusal */
    uint64_t token;
    int rc; /* the answer */
    struct buffer secret, why;
};

void ticket_free(struct ticket *t);

typedef void keyring_answer_fn(struct ticket *take_ticket);

struct keyring;

struct keyring *keyring_open(uv_loop_t *loop,
                             const struct tokens_options *options,
                             keyring_answer_fn *answer);
/* The answer may come before it returns. */
void keyring_get(struct keyring *k, struct ticket *take_ticket);
void keyring_refused(struct keyring *k, const struct profile *p);
/* Drops all fetches and who waits for them; the loop closes their handles. */
void keyring_close(struct keyring *k);

#endif
