/*
 * portal - one way in: a listening socket, its server, and who is there.
 *
 * The unix socket is one, the TCP address another; each has a server of its own, so that
 * those who crowd the one do not keep anybody out of the other.
 *
 *   new connection --header, body within BODY_MS---> request --answer--> kept for SILENCE_S
 *        |                                                                     |
 *        +------------------- too late, too slow: closed ----------------------+
 */
#ifndef WAYPOST_PORTAL_H
#define WAYPOST_PORTAL_H

#include "policy/vocabulary/network.h"
#include "relay/admin/admin.h"

#include <microhttpd.h>

struct portal;

/* Someone who is connected. */
struct visit {
    struct portal *portal;
    struct visit *next, **at; /* in the portal's list */
    int fd;
    struct host_address client; /* zeroed on the unix socket */
    uint64_t deadline_ms; /* of the loop; 0: it is we who are waited for */
};

struct portal_limits {
    unsigned connections;
    unsigned per_client; /* 0: no other limit */
};

/* Takes over the listening socket. is_local: a unix socket. closed is called once the
 * loop has let go of everything, after portal_close. Nothing is served before the first
 * portal_turn. */
MUST int portal_open(struct portal **out_portal, struct admin *a, int take_fd,
                     bool is_local, const struct portal_limits *limits);
void portal_close(struct portal *take_p, void (*closed)(void *user),
                  void *user);

/* The server is to do what it can now. NULL: nothing. */
void portal_turn(struct portal *p);

struct admin *portal_admin(const struct portal *p);
bool portal_is_local(const struct portal *p);

/* Who the connection belongs to. */
struct visit *portal_visit(struct MHD_Connection *c);
/* The next request's header is to be there in time; then its body; then nothing. */
void portal_await_header(struct visit *v);
void portal_await_body(struct visit *v);
void portal_await_nothing(struct visit *v);

#endif
