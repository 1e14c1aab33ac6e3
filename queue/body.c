/*
 * body - how content of large messages is written.
 *
 *   append ... append --> finish: heads, names, fsync of file and folder --> the put, to
 *         \-> abandon: removed                                             the writer
 *
 * The first error is kept; what is appended after it is thrown away and the put
 * answers it. How content is read is in reading.c.
 *
 * Messages that one became share the file: it has a name for each of them (hard links), and
 * goes with the last. What each has of its own, its head, stands behind the shared bytes,
 * since it is known only when they have all been written; the message's row says where. So
 * a head costs a write and no further file or fsync, rows stay small, and no thread but
 * this one has to read it.
 *
 *   | shared bytes              | head of A | head of B |     A reads head of A, shared
 *
 * A file system without links, or with no room for one: that put fails, as on any other
 * error.
 */
#include "queue/body.h"

#include "policy/vocabulary/id.h"
#include "policy/vocabulary/memory.h"
#include "queue/put.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
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
    bodies_submit(b->queue, j);
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
    bodies_submit(take_b->queue, j);
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

/* A head of its own goes behind what there is. */
static int write_head(struct queue_body *b, struct put *p)
{
    struct store_content *c = &p->bundle->stored;
    int rc = 0;

    if (p->head.len) {
        rc = disk_has_room(&b->queue->disk, p->head.len)
                 ? write_all(b->fd, p->head.at, p->head.len)
                 : ERROR_FULL;
        c->head_bytes = (uint32_t)p->head.len;
        c->head_at = b->size;
        c->checksum = checksum_of(p->head);
        b->size += p->head.len;
    }
    put_drop_head(p);
    return rc;
}

static int write_heads(struct queue_body *b, struct put_job *p)
{
    uint64_t shared = b->size;
    int rc = 0;

    for (size_t i = 0; i < p->count && rc == 0; i++) {
        struct bundle *m = p->puts[i].bundle;

        if (!m->stored.has_file)
            continue;
        rc = write_head(b, &p->puts[i]);
        ASSERT(shared + m->stored.head_bytes == m->work.envelope.size_bytes);
    }
    return rc;
}

/* The shared part's checksum is known: each one's is made of it. */
static void set_checksums(struct put_job *p, uint64_t shared)
{
    for (size_t i = 0; i < p->count; i++) {
        struct store_content *c = &p->puts[i].bundle->stored;

        if (c->has_file)
            c->checksum =
                c->head_bytes ? checksum_join(c->checksum, shared) : shared;
    }
}

/* A name for each message; *named: how many of the puts were gone through, *is_kept: one
 * of them has the name that it was written under. Both count when it fails, too. */
static int give_names(struct queue_body *b, const struct put_job *p,
                      size_t *named, bool *is_kept)
{
    int folder = b->queue->bodies.folder_fd;

    for (size_t i = 0; i < p->count; i++, ++*named) {
        const struct bundle *m = p->puts[i].bundle;

        if (!m->stored.has_file)
            continue;
        if (m->work.message == b->id)
            *is_kept = true;
        else if (linkat(folder, id_print(b->id).at, folder,
                        id_print(m->work.message).at, 0) < 0)
            return system_error(errno);
    }
    return 0;
}

static void take_names(struct queue_body *b, const struct put_job *p,
                       size_t named)
{
    for (size_t i = 0; i < named; i++) {
        const struct bundle *m = p->puts[i].bundle;

        if (m->stored.has_file && m->work.message != b->id)
            unlink_content(b->queue, m->work.message);
    }
}

static void run_finish(struct queue *q, struct body_job *take_j)
{
    struct queue_body *b = take_j->body;
    struct put_job *p = take_j->put;
    size_t named = 0;
    bool is_kept = false;
    int rc = b->rc;

    free(take_j);
    if (rc == 0)
        rc = body_create(b);
    if (rc == 0)
        rc = write_heads(b, p);
    if (rc == 0)
        rc = give_names(b, p, &named, &is_kept);
    if (rc == 0)
        rc = body_sync(q, b->fd);
    if (rc == 0)
        rc = folder_sync(q);
    if (rc == 0) {
        set_checksums(p, checksum_end(b->checksum));
        b->checksum = NULL;
        body_free(b, is_kept);
        writer_submit(&q->writer, &p->job);
        return;
    }
    take_names(b, p, named);
    body_free(b, false);
    disk_keep(&q->disk, p->promised_bytes);
    p->job.rc = rc;
    port_post(&p->job.letter);
}

void body_finish(struct queue_body *take_b, struct put_job *take_j)
{
    struct body_job *j = NEW(struct body_job);

    j->run = run_finish;
    j->message = take_b->id;
    j->body = take_b;
    j->put = take_j;
    bodies_submit(take_b->queue, j);
}

/* ----------------------------------------------------------- removing ---- */

static void run_unlink(struct queue *q, struct body_job *take_j)
{
    if (!bodies_is_kept(&q->bodies, take_j->message))
        unlink_content(q, take_j->message);
    free(take_j);
}

void body_unlink(struct queue *q, uint64_t message)
{
    struct body_job *j = NEW(struct body_job);

    j->run = run_unlink;
    j->message = message;
    bodies_submit(q, j);
}
