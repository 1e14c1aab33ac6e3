/*
 * hasten - what has a time of its own is due now.
 */
#include "queue/hasten.h"

#include "policy/vocabulary/arena.h"
#include "policy/vocabulary/memory.h"
#include "queue/standing.h"

#include <stdlib.h>

enum { SLICE = 20000 }; /* recipients or lanes */

struct hasten_job {
    struct job job; /* first */
    struct arena arena;
    struct destination *home; /* stays while its `hastening` is not 0 */
    struct span *lanes;
    bool *is_found; /* of each lane, in this slice */
    size_t count, next;
    size_t begun; /* of this slice */
};

/* Can there be something of it on disk that is due later? */
static bool may_wait(const struct queue *q, const struct lane *l)
{
    return lane_has_mail(q, l) &&
           (l->has_more || timer_due(&l->timer) != TIMER_NEVER);
}

static bool is_meant(const struct lane *l, const struct destination *d)
{
    return l->destination == d || destination_home(l->destination) == d;
}

static int run(struct queue *q, struct job *j)
{
    struct hasten_job *h = (struct hasten_job *)j;
    uint32_t left = SLICE;
    int64_t now_ms = queue_now_ms(q);

    h->next = h->begun; /* after a rollback */
    for (size_t n = 0; h->next < h->count && n < SLICE; n++) {
        uint32_t found = 0;
        int rc = store_hasten(q->writer.store, h->lanes[h->next], now_ms, left,
                              &found);

        if (rc < 0)
            return rc;
        h->is_found[h->next] = found > 0;
        left -= found;
        if (left == 0)
            return 0; /* this lane may have more */
        h->next++;
    }
    return 0;
}

static void committed(struct queue *q, struct job *j)
{
    struct hasten_job *h = (struct hasten_job *)j;

    q->change_epoch++;
    for (size_t i = h->begun; i < h->count && i <= h->next; i++) {
        struct lane *l = h->is_found[i] ? lane_find(q, h->lanes[i]) : NULL;

        h->is_found[i] = false;
        if (l)
            lane_restart(q, l);
    }
    h->begun = h->next;
}

static bool finish(struct queue *q, struct job *j)
{
    struct hasten_job *h = (struct hasten_job *)j;
    struct destination *home = h->home;

    if (j->rc >= 0 && h->next < h->count && !writer_is_stopping(&q->writer)) {
        writer_submit(&q->writer, j);
        return false;
    }
    queue_lock(q);
    home->hastening--;
    if (home->turned)
        standing_look(q, home->turned);
    standing_look(q, home);
    queue_unlock(q);
    return true;
}

static void open_letter(struct letter *take_l, bool is_dropped)
{
    struct hasten_job *h = (struct hasten_job *)take_l;

    (void)is_dropped;
    arena_reset(&h->arena);
    free(h);
}

static const struct job_kind hasten_kind = {
    .name = "hasten",
    .goes_first = true, /* before he defers anything this time */
    .run = run,
    .committed = committed,
    .finish = finish,
};

static void add(struct hasten_job *h, const struct lane *l, size_t most)
{
    if (!h->lanes) {
        h->lanes = arena_take(&h->arena, most * sizeof *h->lanes);
        h->is_found = arena_take(&h->arena, most * sizeof *h->is_found);
    }
    h->is_found[h->count] = false;
    h->lanes[h->count++] = arena_copy(&h->arena, lane_span(l));
}

void hasten(struct queue *q, struct destination *d)
{
    struct bucket_link **all = buckets_all(&q->lanes);
    struct hasten_job *h = NEW(struct hasten_job);

    h->job.kind = &hasten_kind;
    h->job.letter.open = open_letter;
    h->home = destination_home(d);
    for (size_t i = 0; i < q->lanes.count; i++) {
        const struct lane *l = OWNER(all[i], struct lane, by_key);

        if (is_meant(l, d) && may_wait(q, l))
            add(h, l, q->lanes.count - i);
    }
    free(all);
    if (h->count == 0) {
        open_letter(&h->job.letter, true);
        return;
    }
    h->home->hastening++;
    writer_submit(&q->writer, &h->job);
}
