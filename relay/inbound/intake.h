/*
 * intake - from accepted connection to queued message.
 *
 * Hosts the session engines of one worker: moves bytes between connection and engine,
 * large content on to the queue in parts while it arrives, and a finished draft into the
 * queue. The 250 leaves from the callback of the commit and from nowhere else (Q1). All
 * functions run on the worker's thread.
 *
 *   connection --bytes--> session --draft--> queue_put_all --committed--> session --250-->
 *
 * Stops reading a client while its message is being stored, while two parts of its content
 * are on their way to the disk, and while the queue is behind.
 */
#ifndef WAYPOST_INTAKE_H
#define WAYPOST_INTAKE_H

#include "policy/settings.h"
#include "relay/net/worker.h"

struct census;

/* Sets w->intake. census is borrowed. */
void intake_open(struct worker *w, struct census *census);
/* Takes a connection that census has counted, but where a PROXY header is to come: then
 * its client is counted here. Settings are held for it. */
void intake_accept(struct intake *i, int fd, struct settings *settings,
                   size_t listener, const struct host_address *client);
/* A user of this machine, on a unix socket. */
struct intake_user {
    struct span login;            /* "uid=1000" where it has no name; borrowed */
    uint32_t uid;
    bool is_counted;              /* the census knows him as `client` ... */
    struct host_address client;   /* ... an address that stands for him */
    uint64_t first_id;            /* his first message is to have this id, which queue_new_id
                                     gave; 0: any */
};
/* Takes his connection; he is shown as localhost. */
void intake_accept_user(struct intake *i, int fd, struct settings *settings,
                        const struct intake_user *u);
/* Goes on with a connection whose roles were changed; for sides.receive. */
void intake_receive(struct worker *w, struct incoming *take_i);
/* Does this listener take connections from named balancers only? */
bool intake_is_for_proxies(const struct listener_settings *l);
/* Says so in one line, closes, logs. */
#define INTAKE_TOO_MANY "421 4.7.0 Too many sessions from your address"
void intake_turn_away(int fd, const struct host_address *peer,
                      const char *words);
void intake_tick(struct intake *i);
/* The queue is no longer behind. */
void intake_eased(struct intake *i);
/* The worker's settings have changed: sessions take them for their next transaction. */
void intake_reload(struct intake *i);
/* Files of users have changed: sessions of logins that are gone, or have another password, end
 * with 421 4.3.2. */
void intake_review(struct intake *i);
/* 421 4.3.2 to all; `empty` is called once, when the last session is gone. */
void intake_shut_down(struct intake *i, void (*empty)(struct worker *w));
/* No session may be left. */
void intake_close(struct intake *i);

#endif
