/*
 * greylist - should a stranger be asked to knock twice?
 *
 * Real servers retry, most cheap senders never do: the first attempt of a network, sender
 * and recipient that are not known together is deferred, a later one passes. A network that
 * has passed often enough is not asked again. RFC 6647.
 *
 * What is remembered is two notes, kept by the caller: one of the triple, one of the
 * network. Pure: the times are parameters.
 */
#ifndef WAYPOST_GREYLIST_H
#define WAYPOST_GREYLIST_H

#include "policy/settings.h"
#include "policy/vocabulary/address.h"

/* "grey\tNETWORK SENDER RECIPIENT" and "greyclient\tNETWORK", as EVIDENCE_NOTE wants them:
 * a /24 or a /64; folded addresses, "<>" for none. */
void greylist_pair_key(struct buffer *b, const struct host_address *client,
                       const struct address *sender,
                       const struct address *recipient);
void greylist_client_key(struct buffer *b, const struct host_address *client);

struct greylist_note {
    bool is_set; /* it is to be remembered */
    int64_t expire_ms;
    char text[64]; /* a string */
};

struct greylist_answer {
    bool passes;
    int64_t wait_ms; /* else: so long */
    struct greylist_note pair, client;
};

/* Notes as they were remembered, empty: none. One that cannot be read is none. */
struct greylist_answer greylist_ask(const struct rule *r, struct span pair,
                                    struct span client, int64_t now_ms);

#endif
