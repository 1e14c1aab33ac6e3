/*
 * note - memory for policy and hosts: written behind, asked for one by one.
 *
 *   put --> unwritten --job--> written, and meanwhile put again? --> job
 *                                        else out of the table
 *
 * An asker looks at the table first and at the disk after that; what left the table in
 * between is on disk by then.
 */
#include "queue/note.h"

#include "policy/vocabulary/memory.h"
#include "queue/core.h"

#include <stdlib.h>

enum {
    UNWRITTEN_MOST = 20000,
    UNWRITTEN_BYTES = 32 * 1024 * 1024,
};

struct note {
    struct job job; /* first */
    struct bucket_link link;
    struct span kind, key; /* behind it, on the same block */
    struct buffer value;   /* under lock, as the rest */
    int64_t expire_ms;
    uint64_t version, written;
};

void notes_init(struct notes *n)
{
    pthread_mutex_init(&n->lock, NULL);
}

void notes_fini(struct notes *n)
{
    ASSERT(n->unwritten.count == 0);
    buckets_fini(&n->unwritten);
    buffer_fini(&n->scratch);
    pthread_mutex_destroy(&n->lock);
}

static uint64_t hash_of(struct span kind, struct span key)
{
    return buckets_hash(key) ^ buckets_hash(kind) << 1;
}

static struct note *note_find(const struct notes *n, struct span kind,
                              struct span key)
{
    struct bucket_link *l = buckets_first(&n->unwritten, hash_of(kind, key));

    for (; l; l = buckets_next(l)) {
        struct note *one = OWNER(l, struct note, link);

        if (span_is(one->key, key) && span_is(one->kind, kind))
            return one;
    }
    return NULL;
}

/* ---------------------------------------------------------- writing ---- */

static int run_note(struct queue *q, struct job *j)
{
    struct notes *n = &q->notes;
    struct note *one = (struct note *)j;
    int64_t expire_ms;

    pthread_mutex_lock(&n->lock);
    buffer_clear(&n->scratch);
    buffer_put(&n->scratch, buffer_span(&one->value));
    expire_ms = one->expire_ms;
    one->written = one->version;
    pthread_mutex_unlock(&n->lock);
    return store_note_put(q->writer.store, one->kind, one->key,
                          buffer_span(&n->scratch), expire_ms);
}

static size_t note_bytes(const struct note *one)
{
    return one->kind.len + one->key.len + one->value.len;
}

/* It stays in the table until its latest value is written, or could not be. */
static bool finish_note(struct queue *q, struct job *j)
{
    struct notes *n = &q->notes;
    struct note *one = (struct note *)j;
    bool is_over;

    pthread_mutex_lock(&n->lock);
    is_over = j->rc < 0 || one->written == one->version;
    if (is_over) {
        buckets_remove(&n->unwritten, &one->link);
        n->bytes -= note_bytes(one);
        n->is_full = n->is_full && n->unwritten.count > UNWRITTEN_MOST / 2;
    }
    pthread_mutex_unlock(&n->lock);
    if (!is_over)
        writer_submit(&q->writer, j);
    return is_over;
}

static void open_note(struct letter *take_l, bool is_dropped)
{
    struct note *one = (struct note *)take_l;

    (void)is_dropped;
    buffer_fini(&one->value);
    free(one);
}

static const struct job_kind note_kind = {
    .name = "note",
    .run = run_note,
    .finish = finish_note,
};

static struct note *note_new(struct span kind, struct span key)
{
    struct note *one = memory_zero(1, sizeof(*one) + kind.len + key.len);
    char *at = (char *)(one + 1);

    if (kind.len)
        memcpy(at, kind.at, kind.len);
    if (key.len)
        memcpy(at + kind.len, key.at, key.len);
    one->kind = span_make(at, kind.len);
    one->key = span_make(at + kind.len, key.len);
    one->job.kind = &note_kind;
    one->job.letter.open = open_note;
    return one;
}

void queue_note_put(struct queue *q, struct span kind, struct span key,
                    struct span value, int64_t expire_ms)
{
    struct notes *n = &q->notes;
    struct note *one;
    bool is_new = false, is_first = false;

    ASSERT(!q->read_only);
    pthread_mutex_lock(&n->lock);
    one = note_find(n, kind, key);
    if (!one &&
        (n->unwritten.count >= UNWRITTEN_MOST || n->bytes >= UNWRITTEN_BYTES)) {
        is_first = !n->is_full;
        n->is_full = true;
    } else if (!one) {
        is_new = true;
        one = note_new(kind, key);
        buckets_put(&n->unwritten, &one->link, hash_of(kind, key));
        n->bytes += note_bytes(one);
    }
    if (one) {
        n->bytes += value.len - one->value.len;
        buffer_clear(&one->value);
        buffer_put(&one->value, value);
        one->expire_ms = expire_ms;
        one->version++;
        if (is_new) /* thereafter it is the writer's */
            one->job.bytes = note_bytes(one);
    }
    pthread_mutex_unlock(&n->lock);
    if (is_new)
        writer_submit(&q->writer, &one->job);
    if (is_first)
        queue_say(q, QUEUE_WARNING,
                  "the disk is too slow for what is to be remembered: "
                  "some of it is forgotten");
}

/* ----------------------------------------------------------- asking ---- */

struct question {
    struct recall recall; /* first */
    queue_recall_fn *done;
    uint64_t token;
};

static void open_question(struct letter *take_l, bool is_dropped)
{
    struct question *a = (struct question *)take_l;

    if (!is_dropped)
        a->done(take_l->port->user, a->token, a->recall.rc,
                buffer_span(&a->recall.value));
    buffer_fini(&a->recall.value);
    free(a);
}

static bool is_unwritten(struct queue *q, struct span kind, struct span key,
                         struct buffer *out_value)
{
    struct notes *n = &q->notes;
    const struct note *one;

    pthread_mutex_lock(&n->lock);
    one = note_find(n, kind, key);
    if (one && one->expire_ms > queue_now_ms(q))
        buffer_put(out_value, buffer_span(&one->value));
    pthread_mutex_unlock(&n->lock);
    return one != NULL;
}

void queue_recall(struct queue_port *p, struct span kind, struct span key,
                  queue_recall_fn *done, uint64_t token)
{
    struct question *a = memory_zero(1, sizeof(*a) + kind.len + key.len);
    char *at = (char *)(a + 1);

    a->recall.letter.port = p;
    a->recall.letter.open = open_question;
    a->done = done;
    a->token = token;
    if (is_unwritten(p->queue, kind, key, &a->recall.value)) {
        port_post(&a->recall.letter);
        return;
    }
    if (kind.len)
        memcpy(at, kind.at, kind.len);
    if (key.len)
        memcpy(at + kind.len, key.at, key.len);
    a->recall.kind = span_make(at, kind.len);
    a->recall.key = span_make(at + kind.len, key.len);
    reader_recall(&p->queue->reader, &a->recall);
}

void recalls_answer(struct reader *r, struct recall *take_first)
{
    int64_t now_ms = queue_now_ms(r->queue);
    struct recall *one, *next;
    int rc = store_read_begin(r->db);

    for (one = take_first; one; one = one->next) {
        if (rc >= 0)
            rc = store_read_note(r->db, one->kind, one->key, now_ms,
                                 &one->value);
        one->rc = rc;
    }
    store_read_end(r->db);
    if (rc < 0)
        reader_failed(r, "what was remembered", rc);
    for (one = take_first; one; one = next) {
        next = one->next;
        port_post(&one->letter);
    }
}
