/*
 * body - the threads for content of large messages, and how it is written.
 *
 *   append ... append --> finish: fsync file and folder --> the put, to the writer
 *         \-> abandon: removed
 *
 * The first error is kept; what is appended after it is thrown away and the put
 * answers it. How content is read is in reading.c.
 */
#include "queue/body.h"

#include "policy/vocabulary/id.h"
#include "policy/vocabulary/memory.h"
#include "queue/put.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct queue_body {
    struct queue *queue;
    struct queue_port *port;
    uint64_t id;
    /* The thread's. */
    int fd; /* -1: not opened yet */
    int rc; /* the first error */
    uint64_t size;
    struct checksum *checksum;
};

static int system_error(int number)
{
    return number == ENOSPC || number == EDQUOT ? ERROR_FULL : -number;
}

/* ------------------------------------------------------------ threads ---- */

static struct body_job *body_take(struct body_thread *t)
{
    struct body_job *j;

    pthread_mutex_lock(&t->lock);
    t->is_busy = false;
    while (!t->first && !t->is_stopping) {
        pthread_cond_broadcast(&t->idle);
        pthread_cond_wait(&t->wake, &t->lock);
    }
    j = t->first;
    if (j) {
        t->is_busy = true;
        t->first = j->next;
        if (!t->first)
            t->last = &t->first;
    }
    pthread_mutex_unlock(&t->lock);
    return j;
}

static void *body_main(void *user)
{
    struct body_thread *t = user;
    struct body_job *j;

    while ((j = body_take(t)))
        j->run(t->bodies->queue, j);
    return NULL;
}

void body_submit(struct queue *q, struct body_job *take_j)
{
    struct body_thread *t =
        &q->bodies.threads[buckets_hash_number(take_j->message) % BODY_THREADS];

    take_j->next = NULL;
    pthread_mutex_lock(&t->lock);
    *t->last = take_j;
    t->last = &take_j->next;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->lock);
}

int bodies_start(struct bodies *b, struct queue *q, bool read_only)
{
    struct buffer path = { 0 };

    b->queue = q;
    b->folder_fd = -1;
    pthread_mutex_init(&b->folder_lock, NULL);
    buffer_printf(&path, "%s.content", q->path);
    b->folder = span_dup(buffer_span(&path));
    buffer_fini(&path);
    if (read_only)
        return 0;
    if (mkdir(b->folder, 0700) < 0 && errno != EEXIST)
        return -errno;
    b->folder_fd = open(b->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (b->folder_fd < 0)
        return -errno;
    for (int i = 0; i < BODY_THREADS; i++) {
        struct body_thread *t = &b->threads[i];

        t->bodies = b;
        t->last = &t->first;
        pthread_mutex_init(&t->lock, NULL);
        pthread_cond_init(&t->wake, NULL);
        pthread_cond_init(&t->idle, NULL);
        t->is_running = queue_thread_start(&t->thread, "queue-content", body_main, t);
        ASSERT(t->is_running);
    }
    return 0;
}

void bodies_drain(struct bodies *b)
{
    for (int i = 0; i < BODY_THREADS; i++) {
        struct body_thread *t = &b->threads[i];

        if (!t->is_running)
            continue;
        pthread_mutex_lock(&t->lock);
        while (t->first || t->is_busy)
            pthread_cond_wait(&t->idle, &t->lock);
        pthread_mutex_unlock(&t->lock);
    }
}

void bodies_stop(struct bodies *b)
{
    for (int i = 0; i < BODY_THREADS; i++) {
        struct body_thread *t = &b->threads[i];

        if (!t->is_running)
            continue;
        pthread_mutex_lock(&t->lock);
        t->is_stopping = true;
        pthread_cond_signal(&t->wake);
        pthread_mutex_unlock(&t->lock);
        pthread_join(t->thread, NULL);
        pthread_cond_destroy(&t->wake);
        pthread_cond_destroy(&t->idle);
        pthread_mutex_destroy(&t->lock);
        t->is_running = false;
    }
    if (b->folder && b->folder_fd >= 0)
        close(b->folder_fd);
    free(b->folder);
    b->folder = NULL;
}

/* ------------------------------------------------------------ writing ---- */

struct queue_body *queue_body_open(struct queue_port *p, uint64_t id)
{
    struct queue_body *b = NEW(struct queue_body);

    b->queue = p->queue;
    b->port = p;
    b->id = id;
    b->fd = -1;
    b->checksum = checksum_new();
    return b;
}

static int body_create(struct queue_body *b)
{
    if (b->fd >= 0)
        return 0;
    b->fd = openat(b->queue->bodies.folder_fd, id_print(b->id).at,
                   O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return b->fd < 0 ? system_error(errno) : 0;
}

static int write_all(int fd, const char *at, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, at, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? system_error(errno) : ERROR_FULL;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

static void unlink_content(struct queue *q, uint64_t message)
{
    if (unlinkat(q->bodies.folder_fd, id_print(message).at, 0) < 0 &&
        errno != ENOENT)
        queue_say(q, QUEUE_WARNING, "cannot remove %s/%s: %s", q->bodies.folder,
                  id_print(message).at, strerror(errno));
}

/* Done with; the file stays when it is somebody's. */
static void body_free(struct queue_body *b, bool is_kept)
{
    if (b->fd >= 0) {
        close(b->fd);
        if (!is_kept)
            unlink_content(b->queue, b->id);
    }
    if (b->checksum)
        (void)checksum_end(b->checksum);
    free(b);
}

static void appended(struct letter *take_l, bool is_dropped)
{
    struct body_job *j = (struct body_job *)take_l;

    if (!is_dropped && j->appended)
        j->appended(take_l->port->user, j->token, j->rc);
    free(j);
}

static void run_append(struct queue *q, struct body_job *take_j)
{
    struct queue_body *b = take_j->body;

    if (b->rc == 0 && !disk_has_room(&q->disk, take_j->len))
        b->rc = ERROR_FULL;
    if (b->rc == 0)
        b->rc = body_create(b);
    if (b->rc == 0)
        b->rc = write_all(b->fd, take_j->bytes, take_j->len);
    if (b->rc == 0) {
        checksum_add(b->checksum, span_make(take_j->bytes, take_j->len));
        /* The disk begins now, so that the fsync at the end has less to wait for. */
        (void)sync_file_range(b->fd, (off_t)b->size, (off_t)take_j->len,
                              SYNC_FILE_RANGE_WRITE);
    }
    b->size += take_j->len;
    free(take_j->bytes);
    take_j->bytes = NULL;
    take_j->rc = b->rc;
    port_post(&take_j->letter);
}

void queue_body_append(struct queue_body *b, char *take_bytes, size_t len,
                       queue_body_fn *done, uint64_t token)
{
    struct body_job *j = NEW(struct body_job);

    j->letter.port = b->port;
    j->letter.open = appended;
    j->run = run_append;
    j->message = b->id;
    j->body = b;
    j->bytes = take_bytes;
    j->len = len;
    j->appended = done;
    j->token = token;
    body_submit(b->queue, j);
}

static void run_abandon(struct queue *q, struct body_job *take_j)
{
    (void)q;
    body_free(take_j->body, false);
    free(take_j);
}

void queue_body_abandon(struct queue_body *take_b)
{
    struct body_job *j = NEW(struct body_job);

    j->run = run_abandon;
    j->message = take_b->id;
    j->body = take_b;
    body_submit(take_b->queue, j);
}

/* After a failed fsync nobody knows what the disk has: final, unless it was full. */
static int body_sync(struct queue *q, int fd)
{
    int rc = fsync(fd) < 0 ? system_error(errno) : 0;

    if (rc < 0 && rc != ERROR_FULL)
        queue_die(q, "content could not be written", error_text(rc));
    return rc;
}

/*
 * The kernel tells of a failed fsync once for each open file, and the folder's is shared:
 * who asked next would hear that all is well. So one asks at a time, and one that failed
 * ends the process without ever letting the next one ask.
 */
static int folder_sync(struct queue *q)
{
    int rc;

    pthread_mutex_lock(&q->bodies.folder_lock);
    rc = body_sync(q, q->bodies.folder_fd);
    pthread_mutex_unlock(&q->bodies.folder_lock);
    return rc;
}

static void run_finish(struct queue *q, struct body_job *take_j)
{
    struct queue_body *b = take_j->body;
    struct put_job *p = take_j->put;
    int rc = b->rc;

    if (rc == 0)
        rc = body_create(b);
    if (rc == 0)
        rc = body_sync(q, b->fd);
    if (rc == 0)
        rc = folder_sync(q);
    free(take_j);
    if (rc == 0) {
        ASSERT(b->size == p->put.bundle->work.envelope.size_bytes);
        p->put.bundle->checksum = checksum_end(b->checksum);
        b->checksum = NULL;
        body_free(b, true);
        writer_submit(&q->writer, &p->job);
        return;
    }
    body_free(b, false);
    p->job.rc = rc;
    port_post(&p->job.letter);
}

void body_finish(struct queue_body *take_b, struct put_job *take_j)
{
    struct body_job *j = NEW(struct body_job);

    ASSERT(take_b->id == take_j->id);
    j->run = run_finish;
    j->message = take_b->id;
    j->body = take_b;
    j->put = take_j;
    body_submit(take_b->queue, j);
}

/* ----------------------------------------------------------- removing ---- */

static void run_unlink(struct queue *q, struct body_job *take_j)
{
    unlink_content(q, take_j->message);
    free(take_j);
}

void body_unlink(struct queue *q, uint64_t message)
{
    struct body_job *j = NEW(struct body_job);

    j->run = run_unlink;
    j->message = message;
    body_submit(q, j);
}
