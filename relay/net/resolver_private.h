/*
 * resolver_private - one search, between resolver.c, which runs it, and resolver_ask.c, which
 * knows the questions.
 */
#ifndef WAYPOST_RESOLVER_PRIVATE_H
#define WAYPOST_RESOLVER_PRIVATE_H

#include "relay/net/lookup.h"
#include "relay/net/resolver.h"

enum query_state { RUNS, PARKED, READY }; /* see resolver.c */

struct resolver_query {
    struct lookup lookup; /* first */
    struct resolver_query *prev, *next;
    struct resolver *resolver;
    enum query_state state;
    char *name;
    int64_t ends_ms;
    resolver_mx_fn *done;
    void *user;
};

/* Not asked yet: what else the lookup wants to know is set first. The name is copied. */
struct resolver_query *resolver_query_new(struct resolver *r,
                                          enum lookup_aim aim, struct span name,
                                          resolver_mx_fn *done, void *user);
/* Answers q. */
struct resolver_query *resolver_query_ask(struct resolver_query *q);

#endif
