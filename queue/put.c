/*
 * put - a message on its way to disk.
 *
 *   queue_put --> [body thread: fsync of a large one] --> writer --> letter
 *
 * Content in memory is copied nowhere: the store binds it, then it moves into the
 * cache. The letter goes out after COMMIT and from nowhere else (Q1). Messages that one
 * became are one job: in the same transaction, or none of them is kept.
 */
#include "queue/put.h"

#include "policy/vocabulary/memory.h"
#include "queue/active.h"

#include <stdlib.h>

void put_init(struct put *p, const struct queue_message *take_m)
{
    p->bundle = bundle_of_message(take_m);
    p->bytes = take_m->take_content;
    p->bundle->stored.has_file = take_m->take_body != NULL;
    if (take_m->head.len)
        p->head = span_make(span_dup(take_m->head), take_m->head.len);
    if (!take_m->take_body)
        p->bundle->stored.checksum =
            checksum_of(span_make(p->bytes, take_m->envelope.size_bytes));
}

void put_fini(struct put *p)
{
    bundle_free(p->bundle);
    free(p->bytes);
    put_drop_head(p);
    *p = (struct put){ 0 };
}

void put_drop_head(struct put *p)
{
    free((char *)p->head.at);
    p->head = (struct span){ 0 };
}

int put_run(struct queue *q, struct put *p)
{
    struct bundle *b = p->bundle;
    struct queue_message m = bundle_message(b);
    int rc = 0;

    m.take_content = p->bytes;
    for (size_t i = 0; i < b->work.count && rc >= 0; i++) {
        if (i &&
            b->work.recipients[i].lane.at == b->work.recipients[i - 1].lane.at)
            b->lanes[i].id = b->lanes[i - 1].id;
        else
            rc = store_lane(q->writer.store, b->work.recipients[i].lane,
                            &b->lanes[i].id);
    }
    return rc < 0 ? rc : store_put(q->writer.store, &m, &b->stored);
}

void put_committed(struct queue *q, struct put *p)
{
    struct bundle *b = p->bundle;
    char *bytes = p->bytes;

    roll_put(&q->roll, b);
    *p = (struct put){ 0 };
    /* An empty message has content all the same, or it would be read from disk. */
    if (!b->stored.has_file && !bytes)
        bytes = memory_take(1);
    active_add_put(q, b, bytes);
}

static int admit(struct queue *q, struct job *j)
{
    (void)j;
    /* Its own bytes are among those promised. */
    return disk_has_room(&q->disk, 0) ? 0 : ERROR_FULL;
}

static int run(struct queue *q, struct job *j)
{
    struct put_job *p = (struct put_job *)j;
    int rc = 0;

    for (size_t i = 0; i < p->count && rc >= 0; i++)
        rc = put_run(q, &p->puts[i]);
    return rc;
}

static void committed(struct queue *q, struct job *j)
{
    struct put_job *p = (struct put_job *)j;

    for (size_t i = 0; i < p->count; i++)
        put_committed(q, &p->puts[i]);
    atomic_fetch_add(&q->puts, p->count);
}

static bool finish(struct queue *q, struct job *j)
{
    struct put_job *p = (struct put_job *)j;

    disk_keep(&q->disk, p->promised_bytes);
    for (size_t i = 0; j->rc < 0 && i < p->count; i++)
        if (p->puts[i].bundle && p->puts[i].bundle->stored.has_file)
            body_unlink(q, p->puts[i].bundle->work.message);
    return true;
}

static void open_letter(struct letter *take_l, bool is_dropped)
{
    struct put_job *p = (struct put_job *)take_l;

    if (!is_dropped && p->done)
        p->done(take_l->port->user, p->token, p->job.rc, p->id);
    for (size_t i = 0; i < p->count; i++)
        put_fini(&p->puts[i]);
    free(p);
}

static const struct job_kind put_kind = {
    .name = "put",
    .admit = admit,
    .run = run,
    .committed = committed,
    .finish = finish,
};

/* The body that those have who have one. */
static struct queue_body *body_of_all(const struct queue_message *all,
                                      size_t count)
{
    struct queue_body *body = NULL;

    for (size_t i = 0; i < count; i++) {
        const struct queue_message *m = &all[i];

        ASSERT(m->recipient_count > 0);
        ASSERT(!m->take_content || !m->take_body);
        ASSERT(m->take_body || m->head.len == 0);
        ASSERT(!body || !m->take_body || body == m->take_body);
        body = m->take_body ? m->take_body : body;
    }
    return body;
}

void queue_put_all(struct queue_port *p, const struct queue_message *take_all,
                   size_t count, queue_put_fn *done, uint64_t token)
{
    struct queue *q = p->queue;
    struct queue_body *body = body_of_all(take_all, count);
    struct put_job *j = memory_zero(1, sizeof(*j) + count * sizeof(struct put));

    ASSERT(!q->read_only && count > 0);
    j->job.letter.port = p;
    j->job.letter.open = open_letter;
    j->job.kind = &put_kind;
    j->id = take_all[0].id;
    j->done = done;
    j->token = token;
    j->count = count;
    for (size_t i = 0; i < count; i++) {
        put_init(&j->puts[i], &take_all[i]);
        if (!take_all[i].take_body)
            j->promised_bytes += take_all[i].envelope.size_bytes;
    }
    j->job.bytes = (size_t)j->promised_bytes;
    disk_promise(&q->disk, j->promised_bytes);
    if (body)
        body_finish(body, j);
    else
        writer_submit(&q->writer, &j->job);
}

void queue_put(struct queue_port *p, const struct queue_message *take_m,
               queue_put_fn *done, uint64_t token)
{
    queue_put_all(p, take_m, 1, done, token);
}
