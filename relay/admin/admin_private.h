/*
 * admin_private - the server, between its own files.
 */
#ifndef WAYPOST_ADMIN_PRIVATE_H
#define WAYPOST_ADMIN_PRIVATE_H

#include "relay/admin/doorway.h"
#include "relay/admin/gate.h"
#include "relay/admin/tokenwatch.h"
#include "relay/admin/portal.h"
#include "relay/admin/request.h"
#include "relay/admin/tries.h"
#include "relay/net/bell.h"

struct admin {
    uv_loop_t *loop;
    struct bell bell; /* rung by the queue */
    unsigned open; /* handles and portals not closed yet */
    struct doorway doorway;
    struct portal *local, *http; /* NULL: none */
    struct span http_address;    /* as configured; "": none */
    struct gate gate;
    struct tokenwatch tokenwatch;
    struct tries tries;
    char own_name[64]; /* of the account we run as */
    struct queue *queue;
    struct queue_port *port;
    struct request *requests;
    struct events *events; /* pushed to those who follow */
    uint64_t last_token;
    size_t body_bytes; /* that all requests hold */
    uint64_t started_ns;
    int64_t started_ms;      /* wall clock */
    bool is_closing;
    void (*status)(void *user, struct admin_status *out);
    const struct settings *(*settings)(void *user);
    void *user;
    struct admin_fetches fetches;
    struct admin_explains explains;
    struct admin_logins logins;
    struct admin_webhooks webhooks;
    struct admin_gauges gauges;
    struct flow *flow;       /* NULL: going down */
    struct queue_busy *busy; /* looked at once a second */
    struct admin_probes probes;
    struct acquaintance *acquaintances;
    void (*closed)(void *user);
    void *closed_user;
};

uv_loop_t *admin_loop(const struct admin *a);
/* Streams whose token is gone are cut off. is_urgent: see tokenwatch_look. */
void admin_look_at_tokens(struct admin *a, bool is_urgent);

/* One has come; freed when its connection has done with it. */
struct request *request_new(struct admin *a, struct MHD_Connection *c);
void request_free(struct request *r);
/* A stream ends here, and the client sees that it is not whole. */
void request_cut(struct request *r);

#endif
