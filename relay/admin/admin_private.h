/*
 * admin_private - the server, between admin.c and request.c.
 */
#ifndef WAYPOST_ADMIN_PRIVATE_H
#define WAYPOST_ADMIN_PRIVATE_H

#include "relay/admin/doorway.h"
#include "relay/admin/request.h"

#include <microhttpd.h>

struct admin {
    uv_loop_t *loop;
    uv_poll_t poll;
    uv_timer_t timer;
    uv_async_t async;
    unsigned open_handles;
    struct doorway doorway;
    struct MHD_Daemon *daemon;
    struct queue *queue;
    struct queue_port *port;
    struct request *requests;
    uint64_t last_token;
    uint64_t started_ns;
    int64_t started_ms;      /* wall clock */
    bool is_closing;
    void (*status)(void *user, struct admin_status *out);
    void *user;
    struct admin_fetches fetches;
    struct admin_explains explains;
    struct admin_gauges gauges;
    struct flow *flow;       /* NULL: going down */
    struct queue_busy *busy; /* looked at once a second */
    struct admin_probes probes;
    void (*closed)(void *user);
    void *closed_user;
};

/* One has come; freed when its connection has done with it. */
struct request *request_new(struct admin *a, struct MHD_Connection *c);
void request_free(struct request *r);

#endif
