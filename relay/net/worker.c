/*
 * worker - one thread, one loop, and the mail that lives on it.
 */
#include "relay/net/worker.h"

#include "policy/vocabulary/memory.h"
#include "relay/net/gauge.h"
#include "relay/net/log.h"
#include "relay/net/tls.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct worker_task {
    struct worker_task *next;
    worker_task_fn *fn;
    void *arg;
};

int64_t wall_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t wall_ms(void)
{
    return wall_us() / 1000;
}

/* Not by uv_async: its loop spins until the sender has returned, and a sender on the same
 * core is put aside by the very loop that it has woken. */
void worker_wake(void *worker)
{
    static const uint64_t one = 1;
    struct worker *w = worker;

    if (!atomic_exchange(&w->is_woken, true))
        (void)!write(w->wake_fd, &one, sizeof one);
}

void worker_leave(struct worker *w, worker_task_fn *fn, void *arg)
{
    struct worker_task *t = NEW(struct worker_task);

    t->fn = fn;
    t->arg = arg;
    uv_mutex_lock(&w->lock);
    *w->tasks_end = t;
    w->tasks_end = &t->next;
    uv_mutex_unlock(&w->lock);
}

void worker_post(struct worker *w, worker_task_fn *fn, void *arg)
{
    worker_leave(w, fn, arg);
    worker_wake(w);
}

enum { TASKS_A_TURN = 16 };

static struct worker_task *take_task(struct worker *w)
{
    struct worker_task *t;

    uv_mutex_lock(&w->lock);
    t = w->tasks;
    if (t)
        w->tasks = t->next;
    if (!w->tasks)
        w->tasks_end = &w->tasks;
    uv_mutex_unlock(&w->lock);
    return t;
}

/* Not all of a burst in one turn: a hundred new connections would keep the others
 * waiting. Who has been stopped has no other turn. */
static void run_tasks(struct worker *w)
{
    for (unsigned n = 0; n < TASKS_A_TURN || !w->port; n++) {
        struct worker_task *t = take_task(w);

        if (!t)
            return;
        t->fn(w, t->arg);
        free(t);
    }
    worker_wake(w);
}

static void on_wake(uv_poll_t *handle, int status, int events)
{
    struct worker *w = handle->data;
    uint64_t count;

    (void)status;
    (void)events;
    (void)!read(w->wake_fd, &count, sizeof count);
    atomic_store(&w->is_woken, false); /* who comes from here on wakes it again */
    run_tasks(w);
    if (w->port)
        queue_port_drain(w->port);
}

static void on_tick(uv_timer_t *handle)
{
    struct worker *w = handle->data;

    if (w->on_tick)
        w->on_tick(w);
}

static void on_turn(uv_check_t *handle)
{
    struct worker *w = handle->data;

    pulse_beat(&w->pulse, &w->loop);
    log_flush();
}

int worker_init(struct worker *w, unsigned index, struct queue *queue,
                const struct queue_port_events *events,
                struct settings *settings)
{
    int rc;

    *w = (struct worker){ .index = index, .queue = queue };
    w->gauge = gauge_new();
    if ((rc = uv_loop_init(&w->loop)) < 0)
        return rc;
    pulse_start(&w->loop);
    if ((rc = uv_mutex_init(&w->lock)) < 0)
        return rc;
    w->tasks_end = &w->tasks;
    w->settings = settings_hold(settings);
    w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->wake_fd < 0)
        return -errno;
    if ((rc = uv_poll_init(&w->loop, &w->wake, w->wake_fd)) < 0)
        return rc;
    (void)uv_timer_init(&w->loop, &w->tick);
    (void)uv_check_init(&w->loop, &w->turn);
    w->wake.data = w->tick.data = w->turn.data = w;
    (void)uv_poll_start(&w->wake, UV_READABLE, on_wake);
    (void)uv_timer_start(&w->tick, on_tick, WORKER_TICK_MS, WORKER_TICK_MS);
    (void)uv_check_start(&w->turn, on_turn);
    w->port = queue_port_open(queue, events, w);
    return 0;
}

static void thread_main(void *arg)
{
    struct worker *w = arg;
    char name[16];

    (void)snprintf(name, sizeof name, "worker-%u", w->index);
    (void)pthread_setname_np(pthread_self(), name);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    log_flush();
}

/* Signals belong to the main loop. */
int worker_start(struct worker *w)
{
    sigset_t all, before;
    int rc;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = uv_thread_create(&w->thread, thread_main, w);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

void worker_stop(struct worker *w)
{
    queue_port_close(w->port);
    w->port = NULL;
    uv_close((uv_handle_t *)&w->wake, NULL);
    uv_close((uv_handle_t *)&w->tick, NULL);
    uv_close((uv_handle_t *)&w->turn, NULL);
}

void worker_join(struct worker *w)
{
    (void)uv_thread_join(&w->thread);
}

void worker_fini(struct worker *w)
{
    while (w->tasks) { /* came when the loop had ended; who posted owns the rest */
        struct worker_task *t = w->tasks;

        w->tasks = t->next;
        free(t);
    }
    ASSERT(uv_loop_close(&w->loop) == 0);
    (void)close(w->wake_fd);
    uv_mutex_destroy(&w->lock);
    buffer_fini(&w->plain);
    gauge_free(w->gauge);
    tls_material_release(w->tls);
    settings_release(w->settings);
}
