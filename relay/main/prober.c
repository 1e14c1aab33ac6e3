/*
 * prober - walks to destinations are asked for here, and made by the workers.
 *
 *   begin --task--> on a worker: probe_open, told, told ... told the last: ENDED
 *                                    |  (lines, async)          |
 *   main loop:                       +-> told                   +-> told, freed
 *   cancel --task--> on the worker: probe_cancel, DROPPED -> freed
 *
 * A job is in the list from begin until it is freed by the main loop, when its worker has
 * said that it needs it no longer. A cancelled one is told to nobody; its end is the cancel
 * task's, since that still holds a pointer.
 */
#include "relay/main/prober.h"

#include "policy/vocabulary/memory.h"
#include "relay/outbound/probe.h"

#include <stdlib.h>

enum { JOBS_MOST = 4 };

struct job {
    struct job *next;
    struct prober *prober;
    admin_probed_fn *told; /* NULL: cancelled */
    void *user;
    uint64_t token;
    struct worker *worker;
    struct span name, sender; /* own copies */
    struct buffer lines;      /* guarded by the lock, as are the next two */
    bool is_ended;            /* the probe has told its last */
    bool is_dropped;          /* the cancel task has run */
    struct probe *probe;      /* the worker's; NULL: not begun, or over */
};

struct prober {
    uv_async_t async;
    struct worker *const *workers;
    unsigned worker_count, next_worker;
    bool is_stopping, is_closed;
    uv_mutex_t lock;
    struct job *jobs;
    size_t count;
};

/* ------------------------------------------------------------- the worker ---- */

static void on_line(void *user, struct span line, bool is_over)
{
    struct job *j = user;
    struct prober *p = j->prober;

    if (is_over)
        j->probe = NULL;
    uv_mutex_lock(&p->lock);
    buffer_put(&j->lines, line);
    buffer_put_byte(&j->lines, '\n');
    j->is_ended = is_over;
    (void)uv_async_send(&p->async);
    uv_mutex_unlock(&p->lock);
}

static void task_begin(struct worker *w, void *arg)
{
    struct job *j = arg;
    struct probe *probe = probe_open(w, j->name, j->sender, on_line, j);

    if (probe) /* else it is over, and the job may be gone */
        j->probe = probe;
}

static void task_cancel(struct worker *w, void *arg)
{
    struct job *j = arg;
    struct prober *p = j->prober;

    (void)w;
    if (j->probe)
        probe_cancel(j->probe);
    j->probe = NULL;
    uv_mutex_lock(&p->lock);
    j->is_dropped = true;
    (void)uv_async_send(&p->async);
    uv_mutex_unlock(&p->lock);
}

/* ----------------------------------------------------------- the main loop ---- */

static void job_free(struct job *j)
{
    free((char *)j->name.at);
    free((char *)j->sender.at);
    buffer_fini(&j->lines);
    free(j);
}

/* A job that has something to say, or that may go. */
static struct job *find_news(struct prober *p)
{
    struct job *j = p->jobs;

    while (j && !(j->told ? j->lines.len || j->is_ended : j->is_dropped))
        j = j->next;
    return j;
}

static void take_out(struct prober *p, struct job *j)
{
    struct job **at = &p->jobs;

    while (*at != j)
        at = &(*at)->next;
    *at = j->next;
    p->count--;
}

/* Tells it, outside the lock; the job may go. False: there was none. */
static bool take_news(struct prober *p)
{
    struct buffer lines = { 0 };
    bool is_over = false;
    struct job *j;

    uv_mutex_lock(&p->lock);
    j = find_news(p);
    if (j) {
        lines = j->lines;
        j->lines = (struct buffer){ 0 };
        is_over = j->told ? j->is_ended : j->is_dropped;
        if (is_over)
            take_out(p, j);
    }
    uv_mutex_unlock(&p->lock);
    if (!j)
        return false;
    if (j->told && !p->is_closed)
        j->told(j->user, j->token, buffer_span(&lines), is_over);
    buffer_fini(&lines);
    if (is_over)
        job_free(j);
    return true;
}

static void on_async(uv_async_t *handle)
{
    struct prober *p = handle->data;

    while (take_news(p))
        continue;
}

static struct span own_copy(struct span s)
{
    return s.at ? span_make(span_dup(s), s.len) : s;
}

static bool begin(void *user, struct span name, struct span sender,
                  admin_probed_fn *told, void *told_user, uint64_t token)
{
    struct prober *p = user;
    struct job *j;

    if (p->is_stopping || p->worker_count == 0 || p->count >= JOBS_MOST)
        return false;
    j = NEW(struct job);
    j->prober = p;
    j->told = told;
    j->user = told_user;
    j->token = token;
    j->name = own_copy(name);
    j->sender = own_copy(sender);
    j->worker = p->workers[p->next_worker++ % p->worker_count];
    uv_mutex_lock(&p->lock);
    j->next = p->jobs;
    p->jobs = j;
    p->count++;
    uv_mutex_unlock(&p->lock);
    worker_post(j->worker, task_begin, j);
    return true;
}

static void cancel(void *user, uint64_t token)
{
    struct prober *p = user;
    struct job *j = p->jobs;

    while (j && (!j->told || j->token != token))
        j = j->next;
    if (!j || p->is_stopping)
        return;
    j->told = NULL;
    worker_post(j->worker, task_cancel, j);
}

const struct admin_probes prober_admin = { .begin = begin, .cancel = cancel };

/* ----------------------------------------------------- beginning and end ---- */

struct prober *prober_open(uv_loop_t *loop, struct worker *const *workers,
                           unsigned worker_count)
{
    struct prober *p = NEW(struct prober);

    p->workers = workers;
    p->worker_count = worker_count;
    ASSERT(uv_mutex_init(&p->lock) == 0);
    ASSERT(uv_async_init(loop, &p->async, on_async) == 0);
    p->async.data = p;
    return p;
}

void prober_stop(struct prober *p)
{
    p->is_stopping = true;
}

void prober_close(struct prober *p)
{
    p->is_closed = true;
    uv_close((uv_handle_t *)&p->async, NULL);
}

void prober_free(struct prober *p)
{
    if (!p)
        return;
    for (struct job *j = p->jobs, *next; j; j = next) {
        next = j->next;
        job_free(j);
    }
    uv_mutex_destroy(&p->lock);
    free(p);
}
