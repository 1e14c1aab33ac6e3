/*
 * intake_private - what the files of the intake share.
 *
 * intake.c            the worker's side: connections come, sessions end
 * intake_proxy.c      connections that a balancer's header comes before
 * intake_world.c      what engines ask and tell
 * intake_pump.c       bytes in, bytes out, content and drafts into the queue
 * intake_login.c      handshakes and logins
 * intake_local.c      users of this machine
 * intake_receive.c    connections to providers whose client we were
 * inquest.c           what rules and routes want to know
 * errand_*.c          who finds it out
 */
#ifndef WAYPOST_INTAKE_PRIVATE_H
#define WAYPOST_INTAKE_PRIVATE_H

#include "relay/inbound/inquest.h"
#include "relay/inbound/intake.h"
#include "relay/inbound/session.h"
#include "relay/net/conn.h"
#include "relay/net/registry.h"

struct newcomer;
struct errand;

/* Who wants to know what came of a connection; done NULL: nobody. See intake_receive.c. */
struct receipt {
    fetch_done_fn *done;
    void *user;
    uint64_t token;
};

/* One connection with its session. */
struct visit {
    struct conn conn;
    struct session *session;
    struct session_world world;
    struct intake *intake;
    struct settings *settings;
    const struct listener_settings *listener; /* in settings */
    struct queue_body *body;        /* content that left memory already ... */
    uint64_t body_id;               /* ... of this message */
    struct sasl_exchange *exchange; /* a login under way, or NULL */
    struct buffer login;            /* who logged in ... */
    uint64_t stamp;                 /* ... by what; see sasl_stamp */
    struct host_address client;     /* as the census counts it */
    struct turn *turn;              /* put aside for this client, or NULL */
    struct span trouble;            /* why the handshake failed; borrowed from the
                                       connection, or a literal */
    uint64_t token;
    uint64_t first_id;              /* of its first message, when not 0; see intake_local.c */
    struct receipt receipt;
    int64_t cut_ms;                 /* when a lingering connection is closed */
    unsigned appends;               /* parts under way */
    unsigned gauge;                 /* its listener's number there */
    bool is_storing;                /* a put is under way */
    bool is_asking;                 /* a step of the login is under way */
    bool is_securing;               /* the handshake is under way */
    bool is_counted;                /* by the census */
    bool is_pumping;
    struct inquest inquest;
    struct visit *next, **here;
};

struct intake {
    struct worker *worker;
    struct census *census;
    struct registry registry;
    struct registry errands;        /* questions under way ... */
    struct inquest *inquests;       /* ... and who asks them */
    struct policyservers *servers;
    struct visit *visits;
    struct newcomer *newcomers;
    size_t count;                   /* of both */
    int64_t cut_ms;                 /* going down: when the rest is cut; 0: not */
    void (*empty)(struct worker *w);
    struct buffer scratch;
};

/* intake.c */
/* A session begins on this connection, as that of this client. */
void intake_admit(struct intake *i, int fd, struct settings *settings,
                  size_t listener, const struct host_address *client,
                  bool is_counted);
/* The same in two steps, between which its conn is opened: even if that failed. more: what
 * else is known of the client: TLS, or a name and a login. */
struct visit *intake_begin(struct intake *i, struct settings *settings,
                           const struct listener_settings *listener,
                           const struct host_address *client,
                           const struct session_client *more);
void intake_set_off(struct visit *v);
/* A connection, with or without a session, is gone. */
void intake_gone(struct intake *i);

/* intake_proxy.c */
void intake_proxy_wait(struct intake *i, int fd, struct settings *settings,
                       size_t listener, const struct host_address *balancer);
/* Closes those whose time is over; everything when going down. */
void intake_proxy_tick(struct intake *i, int64_t now_ms);
void intake_proxy_shut_down(struct intake *i);

/* intake_world.c */
extern const struct session_world intake_world; /* without its user */

/* intake_pump.c */
extern const struct conn_events intake_pump_events;
/* After the engine has moved: take its content, its output and its wishes. */
void intake_pump_attend(struct visit *v);
/* Something that was waited for has come. */
void intake_pump_go_on(struct visit *v);
bool intake_pump_is_over(const struct visit *v);

/* intake_receive.c */
/* Its connection is closed: whoever wants to know is told. */
void intake_receive_tell(const struct visit *v);

/* intake_login.c */
/* What a new session may offer. */
void intake_login_offer(const struct visit *v, struct session_client *c);
/* The engine wants a handshake; the answer to it. */
void intake_login_secure(struct visit *v);
void intake_login_secured(struct visit *v);
/* The connection broke, perhaps for a reason that TLS knows: for the log. */
void intake_login_trouble(struct visit *v, int rc);
/* The engine wants a step of a login. */
void intake_login_ask(struct visit *v);
void intake_login_drop(struct visit *v);

#endif
