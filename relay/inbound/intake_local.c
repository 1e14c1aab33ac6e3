/*
 * intake_local - sessions with users of this machine, on a unix socket.
 *
 * Whoever has accepted the connection knows from the kernel who it is; the session begins
 * logged in as that user, at 127.0.0.1. What was put aside while no relay ran comes this way,
 * too, with the id that its message is to have, so that it is told from one that came before.
 */
#include "relay/inbound/intake_private.h"

#include <sys/socket.h>

static const struct host_address loopback = {
    { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1 }
};

void intake_accept_user(struct intake *i, int fd, struct settings *settings,
                        const struct intake_user *u)
{
    struct visit *v;

    i->count++;
    v = intake_begin(i, settings, &settings->sendmail.listener, &loopback,
                     &(struct session_client){ .name = SPAN("localhost"),
                                               .login = u->login,
                                               .uid = u->uid });
    v->first_id = u->first_id;
    v->is_counted = u->is_counted;
    if (u->is_counted)
        v->client = u->client;
    if (conn_open(&v->conn, i->worker, fd, &intake_pump_events, v) < 0)
        conn_close(&v->conn);
    intake_set_off(v);
}
