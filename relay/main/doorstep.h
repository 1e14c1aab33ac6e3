/*
 * doorstep - the listening sockets that are there before the relay is.
 *
 * Those that the service manager passed in, and, while we are root, those that only root may
 * make: on ports under 1024. The entrance takes them.
 */
#ifndef WAYPOST_DOORSTEP_H
#define WAYPOST_DOORSTEP_H

#include "policy/settings.h"
#include "relay/net/notify.h"

enum { DOORSTEP_PORTS = 1024 }; /* those under it are root's */

struct doorstep {
    struct notify_socket sockets[NOTIFY_SOCKETS_MOST]; /* fd -1: taken */
    size_t count;
    struct doorstep_refusal {
        struct host_address host;
        uint16_t port;
        int rc;
    } refusals[NOTIFY_SOCKETS_MOST]; /* what root was told */
    size_t refusal_count;
};

/* What cannot be opened is left to the entrance, which says why. */
void doorstep_open(struct doorstep *d, const struct settings *s);
/* By its name, or (host not NULL) where it listens; -1: there is none. */
int doorstep_take(struct doorstep *d, struct span name,
                  const struct host_address *host, uint16_t port);
/* Why it could not be opened: rc, or, when that is only that it needs root, what root met. */
int doorstep_reason(const struct doorstep *d, const struct host_address *host,
                    uint16_t port, int rc);
/* Closes what nobody took. */
void doorstep_close(struct doorstep *d);

#endif
