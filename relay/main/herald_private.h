/*
 * herald_private - what the files of the herald share.
 */
#ifndef WAYPOST_HERALD_PRIVATE_H
#define WAYPOST_HERALD_PRIVATE_H

#include "relay/main/herald.h"
#include "relay/outbound/webpost.h"

enum hook_state {
    HOOK_RESTS, /* until due */
    HOOK_READS, /* the history was asked */
    HOOK_POSTS,
};

/* One webhook. */
struct hook {
    struct hook *next;
    struct herald *herald;
    uint64_t token; /* of what the history is asked */
    struct span title, url, secret_file, authorities; /* own copies */
    unsigned events, what; /* bits of enum webhook_event, and of queue_what */
    uint32_t batch;

    enum hook_state state;
    bool has_place;
    uint64_t told;           /* the last event that needs no telling */
    uint64_t up_to;          /* the last one that is being told */
    uint32_t telling;        /* events of the request under way */
    uint64_t oldest, newest; /* of the history, when it was read last */
    struct webpost *post;

    uint64_t due;        /* of the loop's time */
    unsigned failures;   /* in a row */
    unsigned status;     /* HTTP's, of the latest answer; 0: none came */
    uint64_t sent, lost; /* events, since we started */
    int64_t good_ms;     /* the latest 2xx; 0: none */
    struct buffer error; /* the latest, while it fails */
};

struct herald {
    uv_loop_t *loop;
    uv_timer_t timer;
    uv_async_t async;
    struct queue *queue;
    struct queue_port *port;
    struct webpost_desk *desk;
    struct hook *hooks; /* in the order of the file */
    uint64_t last_token;
    bool is_stopping;
    int open_handles;
};

/* herald_round.c: one round of a webhook, from the history to the receiver. It comes back
 * to rest by itself. */
void herald_round(struct hook *k);
/* A round that is under way is given up. */
void herald_give_up(struct hook *k);

/* herald.c: a webhook came to rest. */
void herald_look(struct herald *h);
struct hook *herald_find(struct herald *h, uint64_t token);

#endif
