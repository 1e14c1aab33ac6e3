/*
 * policyserver - requests to policy servers, over connections that are kept.
 *
 * Of each server ("host:port", "[::1]:port" or the path of a socket) a worker has up to 8
 * connections; a connection carries one request at a time, the rest wait in line. An idle one
 * is kept for a minute. A request whose kept connection turns out dead before a byte was
 * answered is sent once more, on a fresh one: servers are restarted. All else that goes wrong
 * is the request's failure. Deadlines are the caller's, who cancels.
 *
 * The protocol is Postfix's, see policyreply.h and policy/delegation.h.
 */
#ifndef WAYPOST_POLICYSERVER_H
#define WAYPOST_POLICYSERVER_H

#include "relay/net/worker.h"

struct policyservers;
struct policy_request;

/* why: NULL; or what went wrong, and there is no action. Borrowed for the call. */
typedef void policyserver_fn(void *user, const char *why, struct span action);

struct policyservers *policyserver_open(struct worker *w);
/* done comes once, never before the call has returned; NULL: it will not, for the server
 * cannot be reached. request is copied. */
struct policy_request *policyserver_ask(struct policyservers *all,
                                        struct span server, struct span request,
                                        policyserver_fn *done, void *user);
/* done does not come. */
void policyserver_cancel(struct policy_request *take_r);
/* Lets go of what is idle for long. */
void policyserver_tick(struct policyservers *all, int64_t now_ms);
/* No request is left, and none may follow: closes all connections. */
void policyserver_hang_up(struct policyservers *all);
/* After it. */
void policyserver_close(struct policyservers *take_all);

#endif
