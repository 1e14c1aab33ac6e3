/*
 * copy - the bytes of a message that waits, for a person.
 *
 * A small one is read whole, and verified, when it is opened. A large one is read as a work's
 * content is (reading.c), by a bundle of our own that is in no list: nobody claims anything by
 * it, and should the message leave meanwhile, the file that was opened stays readable.
 */
#include "policy/vocabulary/arena.h"
#include "policy/vocabulary/limits.h"
#include "policy/vocabulary/memory.h"
#include "queue/core.h"
#include "queue/reading.h"

#include <stdlib.h>

struct queue_copy {
    struct queue *queue;
    struct arena arena; /* of the envelope */
    struct bundle bundle;
    struct buffer content; /* of a small one */
};

struct opening {
    struct inquiry inquiry; /* first */
    struct queue_copy *copy;
    int rc;
    queue_copy_fn *done;
    uint64_t token;
};

/* A part of a small one. */
struct part {
    struct letter letter; /* first */
    struct span bytes;
    queue_read_fn *done;
    uint64_t token;
};

static bool step(struct reader *r, struct inquiry *i)
{
    struct opening *o = (struct opening *)i;
    struct queue_copy *c = o->copy;
    struct queue_work *work = &c->bundle.work;

    if ((o->rc = store_read_begin(r->db)) < 0)
        return true;
    o->rc = store_read_envelope_of(r->db, work->message, &c->arena,
                                   &work->envelope, &c->bundle.stored);
    if (o->rc == 0 && !c->bundle.stored.has_file)
        o->rc = store_read_content(r->db, work->message,
                                   c->bundle.stored.checksum, &c->content);
    store_read_end(r->db);
    return true;
}

static void open_letter(struct letter *take_l, bool is_dropped)
{
    struct opening *o = (struct opening *)take_l;
    struct queue_copy *c = o->copy;

    if (is_dropped || o->rc < 0) {
        queue_copy_close(c);
        c = NULL;
    }
    if (!is_dropped)
        o->done(take_l->port->user, o->token, o->rc, c);
    free(o);
}

void queue_copy_open(struct queue_port *p, uint64_t id, queue_copy_fn *done,
                     uint64_t token)
{
    struct opening *o = NEW(struct opening);

    o->copy = NEW(struct queue_copy);
    o->copy->queue = p->queue;
    o->copy->bundle.state = BUNDLE_CLAIMED;
    o->copy->bundle.work.message = id;
    o->inquiry.letter.port = p;
    o->inquiry.letter.open = open_letter;
    o->inquiry.step = step;
    o->done = done;
    o->token = token;
    reader_inquire(&p->queue->reader, &o->inquiry);
}

uint64_t queue_copy_size(const struct queue_copy *c)
{
    return c->bundle.work.envelope.size_bytes;
}

uint32_t queue_copy_header_size(const struct queue_copy *c)
{
    return c->bundle.work.envelope.header_bytes;
}

static void open_part(struct letter *take_l, bool is_dropped)
{
    struct part *part = (struct part *)take_l;

    if (!is_dropped)
        part->done(take_l->port->user, part->token, 0, part->bytes);
    free(part);
}

void queue_copy_read(struct queue_port *p, struct queue_copy *c,
                     uint64_t offset, size_t len, queue_read_fn *done,
                     uint64_t token)
{
    struct part *part;

    if (c->bundle.stored.has_file) {
        queue_read(p, &c->bundle.work, offset, len, done, token);
        return;
    }
    part = NEW(struct part);
    part->letter.port = p;
    part->letter.open = open_part;
    part->bytes =
        span_first(span_skip(buffer_span(&c->content), (size_t)offset), len);
    part->done = done;
    part->token = token;
    port_post(&part->letter);
}

void queue_copy_close(struct queue_copy *take_c)
{
    if (!take_c)
        return;
    reading_close(take_c->queue, &take_c->bundle);
    buffer_fini(&take_c->content);
    arena_reset(&take_c->arena);
    free(take_c);
}
