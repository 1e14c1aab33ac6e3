/*
 * policyserver_private - what the two files of the policy servers' client share.
 *
 * policyserver.c      requests, and the line in which they wait
 * policylink.c        connections, which carry one request at a time
 */
#ifndef WAYPOST_POLICYSERVER_PRIVATE_H
#define WAYPOST_POLICYSERVER_PRIVATE_H

#include "relay/inbound/policyserver.h"
#include "relay/net/conn.h"

struct race;
struct resolver_query;

struct policy_request {
    struct policy_request *next, **here; /* in line; here NULL: it is asked */
    struct policyserver *server;
    struct policylink *link; /* that asks it */
    struct span text;  /* behind it, on the same block */
    bool is_second;    /* of two attempts */
    policyserver_fn *done;
    void *user;
};

enum policylink_state { SEEKS, DIALS, IDLE, ASKS, GONE };

struct policylink {
    struct policylink *next, **here;
    struct policyserver *server;
    enum policylink_state state;
    struct resolver_query *query; /* SEEKS */
    struct race *race;            /* DIALS */
    struct conn conn;             /* IDLE, ASKS */
    struct policy_request *request;
    struct buffer in; /* of its reply */
    bool is_kept;     /* it has carried a request before this one */
    int64_t since_ms; /* IDLE */
};

struct policyserver {
    struct policyserver *next;
    struct policyservers *all;
    struct policylink *links;
    size_t count;                         /* of them */
    struct policy_request *first, **last; /* in line */
    int64_t used_ms;
    struct span address; /* behind it, on the same block */
};

struct policyservers {
    struct worker *worker;
    struct policyserver *servers;
};

/* policyserver.c */
/* here: where in the line of its server. */
void policyserver_line_up(struct policy_request *r,
                          struct policy_request **here);
void policyserver_unline(struct policy_request *r);
/* Tells what came of it; it is gone. Whoever hears it may ask again at once. */
void policyserver_end(struct policy_request *take_r, const char *why,
                      struct span action);
/* All that are in line. */
void policyserver_fail(struct policyserver *s, const char *why);
/* Gives what is free to who waits, and opens more where that is not enough. */
void policyserver_serve(struct policyserver *s);

/* policylink.c */
/* Negative: it cannot be connected, and is gone. */
MUST int policylink_open(struct policyserver *s);
/* The first in line is asked; it is IDLE. */
void policylink_send(struct policylink *l);
/* Its request, if it has one, is the caller's. */
void policylink_drop(struct policylink *take_l);

#endif
