/*
 * backup - all that is in the queue, as a stream of bytes, while mail flows.
 */
#include "queue/backup.h"

#include "policy/vocabulary/memory.h"
#include "queue/core.h"

#include <stdlib.h>
#include <unistd.h>

enum { PART_BYTES = 256 * 1024 };

struct part {
    struct letter letter; /* first */
    queue_backup_fn *done;
    uint64_t token;
    int rc;
    bool is_end;
    struct buffer bytes;
};

void backup_init(struct backup *b, struct queue *q)
{
    b->queue = q;
    pthread_mutex_init(&b->lock, NULL);
    queue_condition_init(&b->wake);
}

void backup_fini(struct backup *b)
{
    pthread_cond_destroy(&b->wake);
    pthread_mutex_destroy(&b->lock);
}

void backup_sweep(struct queue *q)
{
    struct buffer path = { 0 };

    buffer_printf(&path, "%s.backup", q->path);
    (void)unlink(buffer_string(&path));
    buffer_fini(&path);
}

/* ------------------------------------------------------------ sending ---- */

static void open_part(struct letter *take_l, bool is_dropped)
{
    struct part *p = (struct part *)take_l;

    if (!is_dropped)
        p->done(take_l->port->user, p->token, p->rc, buffer_span(&p->bytes),
                p->is_end);
    buffer_fini(&p->bytes);
    free(p);
}

/* What take_bytes holds is taken. */
static void post(struct backup *b, struct buffer *take_bytes, int rc,
                 bool is_end)
{
    struct part *p = NEW(struct part);

    p->letter.port = b->port;
    p->letter.open = open_part;
    p->done = b->done;
    p->token = b->token;
    p->rc = rc;
    p->is_end = is_end;
    p->bytes = *take_bytes;
    *take_bytes = (struct buffer){ 0 };
    port_post(&p->letter);
}

/* With the lock held. */
static bool is_over(const struct backup *b)
{
    return b->is_stopping || b->is_cancelled;
}

/* Waits until more is wanted, or not when only_try. False: it is not, or all is over. */
static bool take_wish(struct backup *b, bool only_try)
{
    bool is_wanted;

    pthread_mutex_lock(&b->lock);
    while (!b->is_wanted && !is_over(b) && !only_try)
        queue_condition_wait(&b->wake, &b->lock, -1);
    is_wanted = b->is_wanted && !is_over(b);
    if (is_wanted)
        b->is_wanted = false;
    pthread_mutex_unlock(&b->lock);
    return is_wanted;
}

static int flush(struct backup *b)
{
    if (!take_wish(b, false))
        return ERROR_CLOSING;
    post(b, &b->part, 0, false);
    return 0;
}

int backup_put(struct backup *b, struct span bytes)
{
    buffer_put(&b->part, bytes);
    return b->part.len < PART_BYTES ? 0 : flush(b);
}

void backup_tell(struct backup *b, uint64_t copied, uint64_t total)
{
    ASSERT(b->part.len == 0);
    if (!take_wish(b, true))
        return;
    buffer_printf(&b->part, "{\"copied\":%llu,\"of\":%llu}\n",
                  (unsigned long long)copied, (unsigned long long)total);
    post(b, &b->part, 0, false);
}

int backup_look(struct backup *b)
{
    bool has_ended;

    pthread_mutex_lock(&b->lock);
    has_ended = is_over(b);
    pthread_mutex_unlock(&b->lock);
    if (has_ended)
        return ERROR_CLOSING;
    return disk_has_room(&b->queue->disk, 0) ? 0 : ERROR_FULL;
}

static void *backup_main(void *user)
{
    struct backup *b = user;
    int rc;

    bodies_keep(&b->queue->bodies, true);
    rc = backup_send(b);
    bodies_keep(&b->queue->bodies, false);
    if (rc < 0 && b->why.len == 0)
        buffer_put_string(&b->why,
                          rc == ERROR_FULL
                              ? "the disk of the queue is nearly full: make "
                                "room there, or leave the history out"
                              : error_text(rc));
    (void)take_wish(b, false);
    /* From here on the next one may begin; it waits for this thread's end. */
    pthread_mutex_lock(&b->lock);
    b->is_busy = b->is_cancelled = false;
    pthread_mutex_unlock(&b->lock);
    if (rc < 0)
        buffer_clear(&b->part);
    post(b, rc < 0 ? &b->why : &b->part, rc, true);
    buffer_fini(&b->part);
    buffer_fini(&b->why);
    return NULL;
}

/* ------------------------------------------------------- who wants one ---- */

static void join(struct backup *b)
{
    if (b->has_thread)
        pthread_join(b->thread, NULL);
    b->has_thread = false;
}

bool queue_backup_begin(struct queue_port *p, bool has_history,
                        queue_backup_fn *done, uint64_t token)
{
    struct backup *b = &p->queue->backup;
    bool may_begin;

    pthread_mutex_lock(&b->lock);
    may_begin = !b->is_busy && !b->is_stopping;
    if (may_begin)
        b->is_busy = true;
    pthread_mutex_unlock(&b->lock);
    if (!may_begin)
        return false;
    join(b); /* it may still be telling its end */
    pthread_mutex_lock(&b->lock);
    b->port = p;
    b->done = done;
    b->token = token;
    b->has_history = has_history;
    b->is_wanted = true;
    b->is_cancelled = false;
    pthread_mutex_unlock(&b->lock);
    b->has_thread =
        queue_thread_start(&b->thread, "queue-backup", backup_main, b);
    if (!b->has_thread) {
        pthread_mutex_lock(&b->lock);
        b->is_busy = false;
        pthread_mutex_unlock(&b->lock);
    }
    return b->has_thread;
}

void queue_backup_next(struct queue *q)
{
    struct backup *b = &q->backup;

    pthread_mutex_lock(&b->lock);
    b->is_wanted = true;
    pthread_cond_signal(&b->wake);
    pthread_mutex_unlock(&b->lock);
}

void queue_backup_cancel(struct queue *q, uint64_t token)
{
    struct backup *b = &q->backup;

    pthread_mutex_lock(&b->lock);
    if (b->is_busy && b->token == token) {
        b->is_cancelled = true;
        pthread_cond_signal(&b->wake);
    }
    pthread_mutex_unlock(&b->lock);
}

void backup_stop(struct backup *b)
{
    pthread_mutex_lock(&b->lock);
    b->is_stopping = true;
    pthread_cond_signal(&b->wake);
    pthread_mutex_unlock(&b->lock);
    join(b);
}
