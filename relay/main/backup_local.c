/*
 * backup_local - a backup of a queue that no relay has open.
 *
 * The same as with a relay: a queue, a port, and the stream of queue_backup_begin. Nothing is
 * delivered: the port takes no slots.
 */
#include "relay/main/backup_local.h"

#include "queue/queue.h"
#include "relay/main/guise.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

struct local {
    struct backup_stream *stream;
    struct queue *queue;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool is_woken;
    bool is_over; /* this thread's, as is the next */
    int rc;
};

static void no_route(void *user, struct span lane,
                     struct queue_destination *out)
{
    (void)user;
    (void)lane;
    buffer_put_string(&out->name, "none");
    out->connections = 1;
}

static void notice(void *user, enum queue_notice kind, const char *text)
{
    (void)user;
    if (kind != QUEUE_INFO)
        (void)fprintf(stderr, "waypost: %s\n", text);
}

static void wake(void *user)
{
    struct local *l = user;

    pthread_mutex_lock(&l->lock);
    l->is_woken = true;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
}

static void on_part(void *user, uint64_t token, int rc, struct span bytes,
                    bool is_end)
{
    struct local *l = user;

    if (l->is_over)
        return;
    if (rc < 0)
        buffer_put(&l->stream->why, bytes);
    else
        rc = backup_stream_take(l->stream, bytes);
    l->rc = rc;
    l->is_over = is_end || rc < 0;
    if (rc < 0 && !is_end)
        queue_backup_cancel(l->queue, token);
    else if (!is_end)
        queue_backup_next(l->queue);
}

static void run(struct local *l, bool has_history)
{
    const struct queue_port_events events = { .wake = wake };
    struct queue_port *p = queue_port_open(l->queue, &events, l);

    l->is_over = !queue_backup_begin(p, has_history, on_part, 1);
    while (!l->is_over) {
        pthread_mutex_lock(&l->lock);
        while (!l->is_woken)
            pthread_cond_wait(&l->wake, &l->lock);
        l->is_woken = false;
        pthread_mutex_unlock(&l->lock);
        queue_port_drain(p);
    }
    queue_port_close(p);
}

int backup_local_run(const struct settings *s, bool has_history,
                     struct backup_stream *stream)
{
    char *path = span_dup(s->queue.path);
    struct local l = { .stream = stream };
    struct buffer why = { 0 };
    struct guise guise;
    int rc = EX_OK;

    if (access(path, F_OK) < 0) {
        (void)fprintf(stderr, "waypost: %s: there is no queue here\n", path);
        free(path);
        return EX_NOINPUT;
    }
    guise_put_on(&guise, path);
    l.rc = queue_open(
        &l.queue,
        &(struct queue_options){ .path = path,
                                 .reserve_bytes = 1,
                                 .history_ms = s->queue.history_ms,
                                 .history_bytes = s->queue.history_bytes,
                                 .route = no_route,
                                 .notice = notice },
        &why);
    if (l.rc < 0) {
        (void)fprintf(stderr, "waypost: %s\n", buffer_string(&why));
        rc = EX_TEMPFAIL;
    } else {
        pthread_mutex_init(&l.lock, NULL);
        pthread_cond_init(&l.wake, NULL);
        run(&l, has_history);
        queue_close(l.queue);
        rc = l.rc < 0 ? EX_TEMPFAIL : EX_OK;
    }
    guise_take_off(&guise);
    buffer_fini(&why);
    free(path);
    return rc;
}
