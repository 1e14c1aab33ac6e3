/*
 * reading - content of a large message, read in parts.
 *
 * The first read of a work opens its file. As long as reads follow each other from the
 * start, the checksum is built on the way and held against the message's at the end
 * (Q6); a read from 0 begins anew. What is here belongs to the message's body thread;
 * the work only keeps the pointer, until it is settled.
 *
 * A message with a head of its own begins with it, wherever it is in the file (body.c): two
 * checksums are built then, of the head and of the rest.
 */
#include "queue/reading.h"

#include "policy/vocabulary/id.h"
#include "policy/vocabulary/limits.h"
#include "policy/vocabulary/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct reading {
    int fd; /* -1: not opened yet */
    uint64_t size, next;
    struct store_content stored;
    struct checksum *checksum; /* NULL: reads did not follow each other */
    uint64_t head_checksum;    /* once the head was read, in order */
};

static void reading_rewind(struct reading *r)
{
    if (r->checksum)
        (void)checksum_end(r->checksum);
    r->checksum = checksum_new();
    r->next = 0;
}

/* The sum of what was read since the last time. */
static uint64_t reading_sum(struct reading *r)
{
    uint64_t sum = checksum_end(r->checksum);

    r->checksum = NULL;
    return sum;
}

/* These bytes lie all in the head or all behind it. */
static int reading_verify(struct reading *r, uint64_t offset, struct span bytes)
{
    uint64_t sum;

    if (offset == 0)
        reading_rewind(r);
    if (!r->checksum || offset != r->next)
        return 0;
    checksum_add(r->checksum, bytes);
    r->next += bytes.len;
    if (r->stored.head_bytes && r->next == r->stored.head_bytes) {
        r->head_checksum = reading_sum(r);
        r->checksum = checksum_new();
    }
    if (r->next < r->size)
        return 0;
    sum = reading_sum(r);
    if (r->stored.head_bytes)
        sum = checksum_join(r->head_checksum, sum);
    return sum == r->stored.checksum ? 0 : ERROR_CHECKSUM;
}

/* Less than len: the file ends there. */
static int read_at(int fd, char *at, size_t len, uint64_t where,
                   size_t *out_got)
{
    size_t got = 0;

    while (got < len) {
        ssize_t n = pread(fd, at + got, len - got, (off_t)(where + got));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    *out_got = got;
    return 0;
}

/* From offset of the message on, but not across the end of its head. */
static int read_piece(struct reading *r, char *at, size_t len, uint64_t offset,
                      size_t *out_got)
{
    uint64_t head = r->stored.head_bytes;
    uint64_t where;
    int rc;

    if (offset < head) {
        where = r->stored.head_at + offset;
        if (len > head - offset)
            len = (size_t)(head - offset);
    } else {
        where = offset - head;
    }
    if ((rc = read_at(r->fd, at, len, where, out_got)) < 0)
        return rc;
    /* A file that is shorter than its message has lost something. */
    if (*out_got < len)
        return ERROR_CHECKSUM;
    return reading_verify(r, offset, span_make(at, len));
}

static int reading_read(struct queue *q, struct body_job *j)
{
    struct reading *r = j->reading;
    size_t got = 0, n = 0;
    int rc;

    if (r->fd < 0)
        r->fd = openat(q->bodies.folder_fd, id_print(j->message).at,
                       O_RDONLY | O_CLOEXEC);
    if (r->fd < 0)
        return errno == ENOENT ? ERROR_GONE : -errno;
    do {
        rc = read_piece(r, j->bytes + got, j->len - got, j->offset + got, &n);
        got += rc < 0 ? 0 : n;
    } while (rc == 0 && got < j->len);
    return rc;
}

static void open_letter(struct letter *take_l, bool is_dropped)
{
    struct body_job *j = (struct body_job *)take_l;

    if (!is_dropped)
        j->done(take_l->port->user, j->token, j->rc,
                j->rc < 0 ? (struct span){ 0 } : span_make(j->bytes, j->len));
    free(j->bytes);
    free(j);
}

static void run_read(struct queue *q, struct body_job *take_j)
{
    take_j->bytes = memory_take(take_j->len);
    take_j->rc = reading_read(q, take_j);
    port_post(&take_j->letter);
}

void queue_read(struct queue_port *p, const struct queue_work *work,
                uint64_t offset, size_t len, queue_read_fn *done,
                uint64_t token)
{
    struct bundle *b = bundle_of(work);
    struct body_job *j = NEW(struct body_job);
    uint64_t size = work->envelope.size_bytes;

    ASSERT(b->stored.has_file && b->state == BUNDLE_CLAIMED && offset <= size);
    if (!b->reading) {
        b->reading = NEW(struct reading);
        b->reading->fd = -1;
        b->reading->size = size;
        b->reading->stored = b->stored;
    }
    j->letter.port = p;
    j->letter.open = open_letter;
    j->run = run_read;
    j->message = work->message;
    j->reading = b->reading;
    j->offset = offset;
    j->len = len < CONTENT_PART ? len : CONTENT_PART;
    if (j->len > size - offset)
        j->len = (size_t)(size - offset);
    j->done = done;
    j->token = token;
    bodies_submit(p->queue, j);
}

static void run_close(struct queue *q, struct body_job *take_j)
{
    struct reading *r = take_j->reading;

    (void)q;
    if (r->fd >= 0)
        close(r->fd);
    if (r->checksum)
        (void)checksum_end(r->checksum);
    free(r);
    free(take_j);
}

void reading_close(struct queue *q, struct bundle *b)
{
    struct body_job *j;

    if (!b->reading)
        return;
    j = NEW(struct body_job);
    j->run = run_close;
    j->message = b->work.message;
    j->reading = b->reading;
    b->reading = NULL;
    bodies_submit(q, j);
}
