/*
 * listener - one listening socket on the main loop.
 *
 * Polled and accepted raw, a handful at a time, so that a flood does not starve the loop.
 * Out of descriptors: the one held in reserve is spent to accept and close one connection,
 * then accepting pauses a moment instead of spinning.
 */
#ifndef WAYPOST_LISTENER_H
#define WAYPOST_LISTENER_H

#include "policy/settings.h"

#include <uv.h>

struct listener;

/* A fresh, nonblocking, close-on-exec descriptor, which the callee owns. */
typedef void listener_accept_fn(void *user, const struct listener *l, int fd,
                                const struct host_address *peer);

/* passed_fd: a listening socket from the service manager, or -1 to make one. */
MUST int listener_open(struct listener **out_l, uv_loop_t *loop,
                       const struct host_address *host, uint16_t port,
                       int passed_fd, listener_accept_fn *accept, void *user);
/* A socket that listens there; or a negative error. */
MUST int listener_bind(const struct host_address *host, uint16_t port);
bool listener_is_at(const struct listener *l, const struct host_address *host,
                    uint16_t port);
/* The index of its section in today's settings; for the owner. */
void listener_set_index(struct listener *l, size_t index);
size_t listener_index(const struct listener *l);
void listener_close(struct listener *take_l);

void host_address_from_socket(struct host_address *out_a, uint16_t *out_port,
                              const struct sockaddr_storage *s);

#endif
