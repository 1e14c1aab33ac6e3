/*
 * change - what a person wants of the mail that waits.
 *
 * Done in slices between other jobs. What is being sent is left alone; what waits in
 * memory and is to stay there no more is dropped before the slice looks at it and
 * once more when the slice is committed; pages the reader has in hand are void, and it takes
 * no others meanwhile, or what is about to change could be claimed as it was.
 * Afterwards the lanes are walked again, since anything may be due now. A retry also
 * ends the rest of the next hops that what it changed waits for, once each. What is bounced
 * comes back as an alarm.
 *
 * Where the roll knows the few messages that the filter may mean, these alone are looked at:
 * those that wait when the order begins. Else all are, also what comes meanwhile.
 */
#include "policy/vocabulary/memory.h"
#include "queue/active.h"
#include "queue/criteria.h"
#include "queue/quota.h"
#include "queue/standing.h"
#include "queue/view.h"
#include "queue/works.h"

#include <stdlib.h>

enum { SLICE = 200, PROGRESS_MS = 100 };

struct moved {
    uint64_t message, size_bytes;
    struct span from, to; /* lanes */
    uint32_t number;
};

struct change_job {
    struct job job; /* first */
    struct queue *queue;
    struct arena arena;
    struct queue_filter filter;
    struct store_among among;
    bool is_prepared; /* that was looked for */
    enum queue_change change;
    uint64_t number; /* of the order */
    struct span who, route, why;
    uint64_t after_id, last;
    struct queue_count total, slice; /* slice: total and this slice */
    struct moved *moved; /* recipients that left or came in this slice */
    size_t moved_count, moved_size;
    struct arena lanes;  /* their keys */
    struct buffer notes; /* of messages that came back, for the roll */
    uint64_t *changed; /* messages of this slice */
    size_t changed_count, changed_size;
    bool is_changing; /* this slice is, see core.h */
    bool has_wanted; /* destinations whose rest is to end */
    queue_count_fn *done, *progress;
    int64_t told_ms; /* of progress */
    uint64_t token;
};

struct progress_letter {
    struct letter letter; /* first */
    struct queue_count count;
    queue_count_fn *tell;
    uint64_t token;
};

static bool takes_away(enum queue_change change)
{
    return change == CHANGE_DELETE || change == CHANGE_HOLD ||
           change == CHANGE_BOUNCE || change == CHANGE_MOVE;
}

/* And afterwards it may be due at once. */
static bool brings_back(enum queue_change change)
{
    return change != CHANGE_DELETE && change != CHANGE_HOLD &&
           change != CHANGE_BOUNCE;
}

static bool skip(void *user, uint64_t message, uint32_t number)
{
    struct change_job *c = user;
    struct queue *q = c->queue;
    bool is_claimed;

    queue_lock(q);
    is_claimed = works_is_claimed(q, message, number);
    if (!is_claimed && takes_away(c->change) && works_has(q, message, number)) {
        active_drop_waiting(q, message);
        q->change_epoch++;
    }
    queue_unlock(q);
    return is_claimed;
}

static void each(void *user, uint64_t message)
{
    struct change_job *c = user;

    if (c->changed_count == c->changed_size) {
        c->changed_size = c->changed_size ? c->changed_size * 2 : SLICE;
        c->changed =
            memory_grow(c->changed, c->changed_size * sizeof(*c->changed));
    }
    c->changed[c->changed_count++] = message;
}

/* A lane with recipients that are tried again. */
static void want(void *user, struct span key)
{
    struct change_job *c = user;
    struct queue *q = c->queue;
    struct destination *d;
    struct lane *l;

    queue_lock(q);
    l = lane_find(q, key);
    d = l ? destination_home(l->destination) : NULL;
    if (d && destination_is_down(d) && d->wanted_by != c->number) {
        d->wanted_by = c->number;
        d->is_wanted = c->has_wanted = true;
    }
    queue_unlock(q);
}

static void moved(void *user, uint64_t message, uint32_t number,
                  struct span from, struct span to, uint64_t size_bytes)
{
    struct change_job *c = user;
    const struct moved *before =
        c->moved_count ? &c->moved[c->moved_count - 1] : NULL;
    bool is_same =
        before && span_is(before->from, from) && span_is(before->to, to);
    struct moved one = {
        .message = message,
        .size_bytes = size_bytes,
        .from = is_same ? before->from : arena_copy(&c->lanes, from),
        .to = is_same ? before->to : arena_copy(&c->lanes, to),
        .number = number,
    };

    if (c->moved_count == c->moved_size) {
        c->moved_size = c->moved_size ? c->moved_size * 2 : SLICE;
        c->moved = memory_grow(c->moved, c->moved_size * sizeof(*c->moved));
    }
    c->moved[c->moved_count++] = one;
}

/* What came back, for the roll, which had forgotten it. */
static int read_again(struct queue *q, struct change_job *c)
{
    int rc = 0;

    buffer_clear(&c->notes);
    for (size_t i = 0; c->change == CHANGE_UNDELETE && i < c->changed_count &&
                       rc >= 0;
         i++)
        rc = roll_read_again(q->writer.store, c->changed[i], &c->notes);
    return rc;
}

static int run(struct queue *q, struct job *j)
{
    struct change_job *c = (struct change_job *)j;
    int rc;
    struct store_view view = view_of(q);
    struct store_change change = {
        .filter = &c->filter,
        .change = c->change,
        .who = c->who,
        .route = c->route,
        .why = c->why,
        .now_ms = queue_now_ms(q),
        .view = &view,
        .skip = skip,
        .each = each,
        .lane = c->change == CHANGE_RETRY ? want : NULL,
        .moved = moved,
        .user = c,
    };

    if (!c->is_prepared)
        return 0;
    view.among = &c->among;
    queue_lock(q);
    q->changing += !c->is_changing;
    c->is_changing = true;
    queue_unlock(q);
    c->changed_count = c->moved_count = 0;
    arena_reset(&c->lanes);
    c->slice = c->total;
    rc = store_change(q->writer.store, &change, c->after_id, SLICE, &c->slice,
                      &c->last);
    return rc < 0 ? rc : read_again(q, c);
}

/*
 * Is it meant because its next hop rests, or because it does not? Then a rest that ended
 * early would change what the next slices find.
 */
static bool tells_rests_apart(const struct queue_filter *f)
{
    unsigned both = STATE_READY | STATE_DEFERRED;

    return f->reason.len || ((f->states & both) && (f->states & both) != both);
}

/* The rests of destinations that changed recipients wait for. */
static void end_rests(struct queue *q, struct change_job *c)
{
    struct destination *d;

    if (!c->has_wanted || (c->last != 0 && tells_rests_apart(&c->filter)))
        return;
    c->has_wanted = false;
    TAILQ_FOREACH(d, &q->all_destinations, all)
    {
        if (d->is_wanted)
            (void)standing_release(q, d);
        d->is_wanted = false;
    }
}

static void tell_roll(struct roll *r, enum queue_change change,
                      const struct moved *m)
{
    switch (change) {
    case CHANGE_DELETE:
        roll_gone(r, m->message, m->number);
        break;
    case CHANGE_MOVE:
        roll_moved(r, m->message, m->number, m->to);
        break;
    case CHANGE_HOLD:
    case CHANGE_RELEASE:
    case CHANGE_BOUNCE:
        roll_held(r, m->message, m->number, change == CHANGE_HOLD);
        break;
    case CHANGE_RETRY:
    case CHANGE_UNDELETE:
        break;
    }
}

static void count_moved(struct queue *q, const struct change_job *c)
{
    for (size_t i = 0; i < c->moved_count; i++) {
        const struct moved *m = &c->moved[i];

        if (m->from.len)
            quota_gone(q, lane_get(q, m->from, 0), m->message, m->number,
                       m->size_bytes);
        if (m->to.len)
            quota_back(q, lane_get(q, m->to, 0), m->message, m->number,
                       m->size_bytes);
        tell_roll(&q->roll, c->change, m);
    }
    roll_again(&q->roll, &c->notes);
}

/* The reader may go on. The queue's lock is held. */
static void end_slice(struct queue *q, struct change_job *c)
{
    q->changing -= c->is_changing;
    c->is_changing = false;
    reader_poke(&q->reader);
}

static void committed(struct queue *q, struct job *j)
{
    struct change_job *c = (struct change_job *)j;

    if (!c->is_prepared)
        return;
    end_slice(q, c);
    q->change_epoch++;
    count_moved(q, c);
    for (size_t i = 0; takes_away(c->change) && i < c->changed_count; i++)
        active_drop_waiting(q, c->changed[i]);
    c->total = c->slice;
    end_rests(q, c);
    c->after_id = c->last;
    if (c->last == 0 && brings_back(c->change))
        reader_walk(&q->reader);
    if (c->change == CHANGE_BOUNCE)
        reader_alarms(&q->reader);
}

static void open_progress(struct letter *take_l, bool is_dropped)
{
    struct progress_letter *l = (struct progress_letter *)take_l;

    if (!is_dropped)
        l->tell(take_l->port->user, l->token, 0, &l->count);
    free(l);
}

static void tell_progress(struct change_job *c)
{
    int64_t now_ms = queue_monotonic_ms();
    struct progress_letter *l;

    if (!c->progress || now_ms < c->told_ms + PROGRESS_MS)
        return;
    c->told_ms = now_ms;
    l = NEW(struct progress_letter);
    l->letter.port = c->job.letter.port;
    l->letter.open = open_progress;
    l->count = c->total;
    l->tell = c->progress;
    l->token = c->token;
    port_post(&l->letter);
}

/*
 * The first time round nothing is done, so that what was ordered before has been committed;
 * then the roll may know the few messages that are meant. What of them is held is not asked,
 * since another order may be about to change that.
 */
static void prepare(struct queue *q, struct change_job *c)
{
    struct queue_filter f = c->filter;

    c->is_prepared = true;
    if (c->change == CHANGE_UNDELETE || (f.states & STATE_DELETED))
        return;
    f.states = 0;
    (void)roll_among_now(q, &f, &c->among);
}

static bool finish(struct queue *q, struct job *j)
{
    struct change_job *c = (struct change_job *)j;

    if (j->rc >= 0 && !c->is_prepared) {
        prepare(q, c);
        writer_submit(&q->writer, j);
        return false;
    }
    if (j->rc < 0) {
        queue_lock(q);
        end_slice(q, c);
        queue_unlock(q);
    }
    if (j->rc < 0 || c->last == 0)
        return true;
    tell_progress(c);
    writer_submit(&q->writer, j);
    return false;
}

static void open_letter(struct letter *take_l, bool is_dropped)
{
    struct change_job *c = (struct change_job *)take_l;

    if (!is_dropped && c->done)
        c->done(take_l->port->user, c->token, c->job.rc, &c->total);
    arena_reset(&c->arena);
    arena_reset(&c->lanes);
    buffer_fini(&c->notes);
    store_among_fini(&c->among);
    free(c->moved);
    free(c->changed);
    free(c);
}

static const struct job_kind change_kind = {
    .name = "change",
    .run = run,
    .committed = committed,
    .finish = finish,
};

void queue_order(struct queue_port *p, const struct queue_order *o,
                 queue_count_fn *done, uint64_t token)
{
    struct change_job *c = NEW(struct change_job);

    ASSERT(!p->queue->read_only);
    c->job.letter.port = p;
    c->job.letter.open = open_letter;
    c->job.kind = &change_kind;
    c->queue = p->queue;
    c->filter = criteria_copy(&c->arena, o->filter);
    c->who = arena_copy(&c->arena, o->who);
    c->route = arena_copy(&c->arena, o->route);
    c->why = arena_copy(&c->arena, o->why);
    c->change = o->change;
    c->progress = o->progress;
    queue_lock(p->queue);
    c->number = ++p->queue->changes;
    queue_unlock(p->queue);
    c->done = done;
    c->token = token;
    writer_submit(&p->queue->writer, &c->job);
}
