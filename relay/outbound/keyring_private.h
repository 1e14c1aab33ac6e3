/*
 * keyring_private - an entry of the keyring, for the files that make it.
 *
 * keyring.c finds entries and answers who asks; tokenfetch.c fetches their tokens and ends
 * each fetch with keyring_take or keyring_fail.
 */
#ifndef WAYPOST_KEYRING_PRIVATE_H
#define WAYPOST_KEYRING_PRIVATE_H

#include "relay/outbound/bearer.h"
#include "relay/outbound/keyring.h"
#include "relay/outbound/tokencommand.h"
#include "relay/outbound/webpost.h"

#include <uthash.h>

enum entry_state { ENTRY_IDLE, ENTRY_RUNS_COMMAND, ENTRY_POSTS };
/* Where the client's secret stands. */
enum secret_place { PLACE_UNKNOWN, PLACE_HEADER, PLACE_FORM };

enum { EXPOSED_PASSWORD = 1, EXPOSED_CLIENT_SECRET = 2, EXPOSED_REFRESH = 4 };

struct entry {
    UT_hash_handle hh;
    struct keyring *keyring;
    struct profile *profile;
    enum entry_state state;
    struct tokencommand *command;
    struct webpost *post;
    struct ticket *waiting, **waiting_end;

    struct buffer token; /* empty: none */
    int64_t fetched_ms, refresh_ms, end_ms;
    bool was_refused;      /* there is none because a next hop refused it */
    bool is_after_refusal; /* it has replaced a refused one */

    int64_t started_ms;            /* the fetch under way */
    struct buffer secret, refresh; /* what it was asked with */
    bool in_form;
    enum secret_place place;
    struct buffer old_refresh,
        rotated; /* not written yet; old: the file has it */

    int64_t hold_ms, again_ms; /* after a failure: no fetch before again_ms */
    int trouble_rc;
    struct buffer trouble;
    unsigned warned; /* of which exposed file */
};

struct keyring {
    uv_loop_t *loop;
    struct tokens_options options;
    keyring_answer_fn *answer;
    struct webpost_desk *web;
    struct entry *entries;
};

/* The fetch has ended well: who waits is answered. */
void keyring_take(struct entry *e, const struct bearer *b);
/* It has not. Held: nobody is asked again for a moment. */
void keyring_fail(struct entry *e, int rc, struct span why, bool is_held);
/* As secret_read; a file that others may read is told of once. */
MUST int keyring_read_secret(struct entry *e, unsigned which, struct span path,
                             struct buffer *out, struct buffer *why);

#endif
