/*
 * worker - one thread, one loop, and the mail that lives on it.
 *
 * Sessions and deliveries never change their worker. Others reach it by posting a task,
 * which runs on its thread; the queue reaches it through its port. Once a tick (half a
 * second) everyone who has deadlines looks at them.
 */
#ifndef WAYPOST_WORKER_H
#define WAYPOST_WORKER_H

#include "policy/settings.h"
#include "queue/queue.h"
#include "relay/net/hand.h"
#include "relay/net/pulse.h"

#include <stdatomic.h>
#include <uv.h>

enum { WORKER_READ_SIZE = 256 * 1024, WORKER_TICK_MS = 500 };

struct intake;
struct delivery;
struct gauge;
struct resolver;
struct acquaintance;
struct scorecard;
struct sasl_desk;
struct stslease;
struct srskeys;
struct tls_material;
struct tokens;

struct worker {
    uv_loop_t loop;
    uv_thread_t thread;
    int wake_fd;                  /* until worker_fini */
    uv_poll_t wake;
    atomic_bool is_woken;         /* and has not got up yet */
    uv_timer_t tick;
    uv_check_t turn;              /* end of a turn: the log is written out */
    uv_mutex_t lock;              /* guards the tasks */
    struct worker_task *tasks, **tasks_end;
    struct queue *queue;
    struct queue_port *port;
    struct settings *settings;    /* what new work begins with */
    struct tls_material *tls;     /* of these settings, held; NULL: none */
    struct sasl_desk *sasl;       /* who may log in, shared by all; NULL: nobody */
    struct srskeys *srs;          /* secrets of srs, shared by all */
    struct tokens *tokens;        /* passwords and tokens for next hops, shared */
    struct acquaintance *acquaintances; /* shared; NULL: nobody wants to know */
    struct scorecard *scores;     /* of rules, shared; NULL: nobody counts */
    struct stslease *leases;      /* of fetches of policies, shared */
    struct gauge *gauge;          /* what is counted on this loop */
    struct resolver *resolver;
    struct intake *intake;
    struct delivery *delivery;
    struct sides sides;           /* what they ask of each other */
    struct pulse pulse;           /* of its loop */
    atomic_uint sessions;         /* inbound, for the choice of the least busy */
    char read_buffer[WORKER_READ_SIZE];
    struct buffer plain;          /* decrypted of it; see conn.c */
    void (*on_tick)(struct worker *w);
    void *owner;                  /* for who runs the workers */
    unsigned sides_empty;         /* going down: of intake and delivery */
    unsigned index;
};

typedef void worker_task_fn(struct worker *w, void *arg);

/* A loop that is ready to run; port events are given to the queue as they are. */
MUST int worker_init(struct worker *w, unsigned index, struct queue *queue,
                     const struct queue_port_events *events,
                     struct settings *settings);
MUST int worker_start(struct worker *w);
/* ANY THREAD. fn runs on the worker's thread, in order of posting. */
void worker_post(struct worker *w, worker_task_fn *fn, void *arg);
/* ANY THREAD. The task alone: worker_wake has to follow. For who holds a lock that the
 * worker may want. */
void worker_leave(struct worker *w, worker_task_fn *fn, void *arg);
/* ANY THREAD, until worker_fini: for queue_port_events.wake, with the worker as user. */
void worker_wake(void *worker);
/* On its thread: lets go of its own handles, so that the loop ends when all others are
 * closed too. */
void worker_stop(struct worker *w);
void worker_join(struct worker *w);
void worker_fini(struct worker *w);

/* Wall clock in ms. */
int64_t wall_ms(void);
int64_t wall_us(void);

#endif
