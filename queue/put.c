/*
 * put - a message on its way to disk.
 *
 *   queue_put --> [body thread: fsync of a large one] --> writer --> letter
 *
 * Content in memory is copied nowhere: the store binds it, then it moves into the
 * cache. The letter goes out after COMMIT and from nowhere else (Q1).
 */
#include "queue/put.h"

#include "policy/vocabulary/memory.h"
#include "queue/active.h"

#include <stdlib.h>

void put_init(struct put *p, const struct queue_message *take_m)
{
    p->bundle = bundle_of_message(take_m);
    p->bytes = take_m->take_content;
    if (take_m->take_body)
        p->bundle->has_file = true;
    else
        p->bundle->checksum =
            checksum_of(span_make(p->bytes, take_m->envelope.size_bytes));
}

void put_fini(struct put *p)
{
    bundle_free(p->bundle);
    free(p->bytes);
    *p = (struct put){ 0 };
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
    return rc < 0 ? rc
                  : store_put(q->writer.store, &m, b->checksum, b->has_file);
}

void put_committed(struct queue *q, struct put *p)
{
    struct bundle *b = p->bundle;
    char *bytes = p->bytes;

    *p = (struct put){ 0 };
    /* An empty message has content all the same, or it would be read from disk. */
    if (!b->has_file && !bytes)
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
    return put_run(q, &((struct put_job *)j)->put);
}

static void committed(struct queue *q, struct job *j)
{
    put_committed(q, &((struct put_job *)j)->put);
    atomic_fetch_add(&q->puts, 1);
}

static bool finish(struct queue *q, struct job *j)
{
    struct put_job *p = (struct put_job *)j;

    disk_keep(&q->disk, p->promised_bytes);
    if (j->rc < 0 && p->put.bundle && p->put.bundle->has_file)
        body_unlink(q, p->id);
    return true;
}

static void open_letter(struct letter *take_l, bool is_dropped)
{
    struct put_job *p = (struct put_job *)take_l;

    if (!is_dropped && p->done)
        p->done(take_l->port->user, p->token, p->job.rc, p->id);
    put_fini(&p->put);
    free(p);
}

static const struct job_kind put_kind = {
    .name = "put",
    .admit = admit,
    .run = run,
    .committed = committed,
    .finish = finish,
};

void queue_put(struct queue_port *p, const struct queue_message *take_m,
               queue_put_fn *done, uint64_t token)
{
    struct queue *q = p->queue;
    struct put_job *j = NEW(struct put_job);

    ASSERT(!q->read_only && take_m->recipient_count > 0);
    ASSERT(!take_m->take_content || !take_m->take_body);
    put_init(&j->put, take_m);
    j->job.letter.port = p;
    j->job.letter.open = open_letter;
    j->job.kind = &put_kind;
    j->id = take_m->id;
    j->done = done;
    j->token = token;
    if (take_m->take_body) {
        body_finish(take_m->take_body, j);
        return;
    }
    j->job.bytes = (size_t)take_m->envelope.size_bytes;
    j->promised_bytes = take_m->envelope.size_bytes;
    disk_promise(&q->disk, j->promised_bytes);
    writer_submit(&q->writer, &j->job);
}
