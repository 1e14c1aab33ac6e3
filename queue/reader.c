/*
 * reader - the thread that reads what mail waits for.
 */
#include "queue/reader.h"

#include "queue/alarm.h"
#include "queue/core.h"
#include "queue/pace.h"
#include "queue/orphan.h"
#include "queue/refill.h"
#include "queue/slot.h"
#include "queue/standing.h"
#include "queue/tally.h"

enum {
    TICK_MS = 1000,
    ALARM_MS = 5000,
    SWEEP_MS = 30000,
    RECALLS_MOST = 256, /* in one transaction */
    VIRTUAL_MS = 20, /* all of them, when the clock is a test's */
};

void reader_poke(struct reader *r)
{
    if (atomic_exchange(&r->is_poked, true))
        return;
    pthread_mutex_lock(&r->lock);
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
}

void reader_walk(struct reader *r)
{
    atomic_store(&r->wants_walk, true);
    reader_poke(r);
}

void reader_alarms(struct reader *r)
{
    atomic_store(&r->wants_alarms, true);
    reader_poke(r);
}

void reader_inquire(struct reader *r, struct inquiry *take_i)
{
    take_i->next = NULL;
    pthread_mutex_lock(&r->lock);
    *r->last = take_i;
    r->last = &take_i->next;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
}

void reader_failed(struct reader *r, const char *what, int rc)
{
    if (rc == ERROR_DAMAGED)
        queue_die(r->queue, "the queue is damaged", what);
    queue_say(r->queue, QUEUE_WARNING, "reading %s: %s", what, error_text(rc));
}

/* One step of the inquiry that waits longest; it goes to the end of the line. */
static bool inquire(struct reader *r)
{
    struct inquiry *i;

    pthread_mutex_lock(&r->lock);
    i = r->first;
    if (i && !(r->first = i->next))
        r->last = &r->first;
    pthread_mutex_unlock(&r->lock);
    if (!i)
        return false;
    if (i->step(r, i))
        port_post(&i->letter);
    else
        reader_inquire(r, i);
    return true;
}

void reader_recall(struct reader *r, struct recall *take_r)
{
    take_r->next = NULL;
    pthread_mutex_lock(&r->lock);
    *r->recall_last = take_r;
    r->recall_last = &take_r->next;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
}

/* The first few of those that wait; somebody at a prompt waits for each. */
static bool recall(struct reader *r)
{
    struct recall *first, **end;

    pthread_mutex_lock(&r->lock);
    first = r->recall_first;
    end = &r->recall_first;
    for (int i = 0; i < RECALLS_MOST && *end; i++)
        end = &(*end)->next;
    r->recall_first = *end;
    *end = NULL;
    if (!r->recall_first)
        r->recall_last = &r->recall_first;
    pthread_mutex_unlock(&r->lock);
    if (first)
        recalls_answer(r, first);
    return first != NULL;
}

static void fire_timers(struct queue *q)
{
    int64_t now_ms = queue_now_ms(q);
    struct timer *t;

    queue_lock(q);
    if (now_ms < q->reader.looked_ms)
        pace_clock_set(q);
    q->reader.looked_ms = now_ms;
    while ((t = timers_take(&q->timers, now_ms))) {
        if (t->kind == TIMER_LANE)
            lane_restart(q, OWNER(t, struct lane, timer));
        else if (t->kind == TIMER_DESTINATION)
            standing_due(q, OWNER(t, struct destination, timer));
        else
            slot_run(q, OWNER(t, struct pace, timer)->destination);
    }
    queue_unlock(q);
}

static void save_dirty(struct queue *q)
{
    struct destination *d;

    queue_lock(q);
    if (q->has_dirty) {
        TAILQ_FOREACH(d, &q->all_destinations, all)
        {
            if (d->is_dirty)
                writer_save_destination(q, d);
        }
    }
    q->has_dirty = false;
    queue_unlock(q);
}

static int64_t every(const struct reader *r, int64_t ms)
{
    return r->queue->clock ? VIRTUAL_MS : ms;
}

static bool is_time(const struct reader *r, int64_t *next_ms, int64_t ms)
{
    int64_t now = queue_monotonic_ms();

    if (now < *next_ms)
        return false;
    *next_ms = now + every(r, ms);
    return true;
}

static void by_the_clock(struct reader *r)
{
    struct queue *q = r->queue;

    fire_timers(q);
    pace_tell(q);
    if (is_time(r, &r->tick_ms, TICK_MS))
        save_dirty(q);
    if (r->alarm_after || atomic_exchange(&r->wants_alarms, false) ||
        is_time(r, &r->alarm_ms, ALARM_MS))
        (void)alarm_page(r);
    if (is_time(r, &r->sweep_ms, SWEEP_MS)) {
        queue_lock(q);
        destination_sweep(q, queue_now_ms(q));
        queue_unlock(q);
    }
}

/* Until poked, asked, or something is due; false: no more. */
static bool reader_wait(struct reader *r, bool is_busy)
{
    int64_t wait;
    bool goes_on;

    queue_lock(r->queue);
    wait = timers_next(&r->queue->timers);
    queue_unlock(r->queue);
    if (wait != TIMER_NEVER)
        wait -= queue_now_ms(r->queue);
    if (wait > every(r, TICK_MS))
        wait = every(r, TICK_MS);
    pthread_mutex_lock(&r->lock);
    if (!is_busy && wait > 0 && !r->is_stopping && !r->first &&
        !r->recall_first &&
        !r->alarm_after && !atomic_load(&r->is_poked))
        queue_condition_wait(&r->wake, &r->lock, wait);
    goes_on = !r->is_stopping;
    pthread_mutex_unlock(&r->lock);
    return goes_on;
}

static void *reader_main(void *user)
{
    struct reader *r = user;
    bool is_busy = true;
    int rc = 0;

    if (!r->queue->read_only) {
        rc = orphan_remove(r->queue, r->db);
        if (rc < 0)
            reader_failed(r, "the folder of large messages", rc);
        reader_walk(r);
    }
    while (reader_wait(r, is_busy)) {
        atomic_store(&r->is_poked, false);
        is_busy = recall(r);
        is_busy |= inquire(r);
        if (r->queue->read_only)
            continue;
        is_busy |= refill_walk(r);
        by_the_clock(r);
        is_busy |= refill_load(r);
        is_busy |= refill_page(r);
        is_busy = is_busy || tally_step(r) || heat_step(r);
    }
    while (recall(r) || inquire(r))
        ;
    return NULL;
}

int reader_start(struct reader *r, struct queue *q)
{
    int rc;

    r->queue = q;
    if ((rc = store_reader_open(&r->db, q->path)) < 0)
        return rc;
    pthread_mutex_init(&r->lock, NULL);
    queue_condition_init(&r->wake);
    r->last = &r->first;
    r->recall_last = &r->recall_first;
    r->is_running = queue_thread_start(&r->thread, "queue-reader", reader_main, r);
    ASSERT(r->is_running);
    return 0;
}

void reader_stop(struct reader *r)
{
    if (!r->is_running)
        return;
    pthread_mutex_lock(&r->lock);
    r->is_stopping = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    r->is_running = false;
    /* What is left over is not to wake anybody. */
    atomic_store(&r->is_poked, true);
}
