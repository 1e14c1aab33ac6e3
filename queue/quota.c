/*
 * quota - how much waits for a destination?
 */
#include "queue/quota.h"

#include "policy/vocabulary/arena.h"
#include "policy/vocabulary/memory.h"
#include "queue/core.h"

#include <stdlib.h>

enum { QUOTA_PAGE = 500 };

static void earlier(int64_t *since_ms, int64_t ms)
{
    if (*since_ms == 0 || ms < *since_ms)
        *since_ms = ms;
}

static void add(struct lane *l, uint64_t bytes, int64_t received_ms)
{
    struct destination *d = destination_home(l->destination);

    l->waiting++;
    l->waiting_bytes += bytes;
    d->waiting++;
    d->waiting_bytes += bytes;
    earlier(&l->since_ms, received_ms);
    earlier(&d->since_ms, received_ms);
}

/* Has the count not come to this row yet? */
static bool is_ahead(const struct queue *q, uint64_t message, uint32_t number)
{
    const struct store_cursor *c = &q->counted;

    return !q->is_counted && message < q->first_id &&
           (message > c->message ||
            (message == c->message && number > c->number));
}

void quota_put(struct lane *l, const struct envelope *e)
{
    add(l, e->size_bytes, e->received_ms);
}

void quota_gone(struct queue *q, struct lane *l, uint64_t message,
                uint32_t number, uint64_t bytes)
{
    struct destination *d = destination_home(l->destination);

    if (is_ahead(q, message, number))
        return;
    ASSERT(l->waiting > 0 && l->waiting_bytes >= bytes);
    l->waiting--;
    l->waiting_bytes -= bytes;
    d->waiting--;
    d->waiting_bytes -= bytes;
    if (l->waiting == 0)
        l->since_ms = 0;
    if (d->waiting == 0)
        d->since_ms = 0;
}

void quota_back(struct queue *q, struct lane *l, uint64_t message,
                uint32_t number, uint64_t bytes)
{
    if (!is_ahead(q, message, number))
        add(l, bytes, queue_now_ms(q));
}

void quota_join(struct destination *d, const struct lane *l)
{
    d->waiting += l->waiting;
    d->waiting_bytes += l->waiting_bytes;
    if (l->since_ms)
        earlier(&d->since_ms, l->since_ms);
}

void quota_part(struct destination *d, const struct lane *l)
{
    d->waiting -= l->waiting;
    d->waiting_bytes -= l->waiting_bytes;
    if (d->waiting == 0)
        d->since_ms = 0;
}

/* ----------------------------------------------------------- the count ---- */

struct size_row {
    struct span lane;
    uint64_t size_bytes;
    int64_t received_ms;
};

struct count_job {
    struct job job; /* first */
    struct arena arena;
    struct size_row rows[QUOTA_PAGE];
    size_t count;
    struct store_cursor cursor;
    bool has_more;
};

static void each_size(void *user, struct span lane, uint64_t size_bytes,
                      int64_t received_ms)
{
    struct count_job *c = user;
    const struct size_row *last = c->count ? &c->rows[c->count - 1] : NULL;
    bool is_same = last && span_is(last->lane, lane);

    c->rows[c->count++] = (struct size_row){
        .lane = is_same ? last->lane : arena_copy(&c->arena, lane),
        .size_bytes = size_bytes,
        .received_ms = received_ms,
    };
}

static int run(struct queue *q, struct job *j)
{
    struct count_job *c = (struct count_job *)j;

    arena_reset(&c->arena);
    c->count = 0;
    c->cursor = q->counted; /* this thread's, but for the lock of readers */
    return store_read_sizes(q->writer.store, &c->cursor, q->first_id,
                            QUOTA_PAGE, each_size, c, &c->has_more);
}

static void committed(struct queue *q, struct job *j)
{
    const struct count_job *c = (struct count_job *)j;
    struct lane *l = NULL;

    for (size_t i = 0; i < c->count; i++) {
        if (!l || !span_is(lane_span(l), c->rows[i].lane))
            l = lane_get(q, c->rows[i].lane, 0);
        add(l, c->rows[i].size_bytes, c->rows[i].received_ms);
    }
    q->counted = c->cursor;
    q->is_counted = !c->has_more;
}

static bool finish(struct queue *q, struct job *j)
{
    struct count_job *c = (struct count_job *)j;

    if (j->rc < 0 || !c->has_more || writer_is_stopping(&q->writer))
        return true;
    writer_submit(&q->writer, j);
    return false;
}

static void open_letter(struct letter *take_l, bool is_dropped)
{
    struct count_job *c = (struct count_job *)take_l;

    (void)is_dropped;
    arena_reset(&c->arena);
    free(c);
}

static const struct job_kind count_kind = {
    .name = "count",
    .run = run,
    .committed = committed,
    .finish = finish,
};

void quota_start(struct queue *q)
{
    struct count_job *c = NEW(struct count_job);

    c->job.kind = &count_kind;
    c->job.letter.open = open_letter;
    writer_submit(&q->writer, &c->job);
}

bool queue_is_over_quota(struct queue *q, struct span lane, uint64_t bytes,
                         uint64_t quota_bytes)
{
    struct queue_destination to = { 0 };
    const struct destination *d;
    const struct lane *l;
    bool is_over = false;

    queue_lock(q);
    l = lane_find(q, lane);
    if (l) {
        d = destination_home(l->destination);
    } else {
        q->route(q->route_user, lane, &to);
        d = destination_find(q, buffer_span(&to.name));
        buffer_fini(&to.name);
    }
    if (q->is_counted)
        is_over = (d ? d->waiting_bytes : 0) + bytes > quota_bytes;
    queue_unlock(q);
    return is_over;
}
