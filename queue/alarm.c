/*
 * alarm - delay notices and expiry, whatever the lane's state.
 *
 * A message whose alarm has come is handed to a port whole, but for recipients that
 * are being sent right now; those waiting in memory leave their lines for it. When it
 * is settled, who stays is found on disk again. About ALARMS_MOST are
 * out at once.
 */
#include "queue/alarm.h"

#include "policy/vocabulary/id.h"
#include "policy/vocabulary/memory.h"
#include "queue/active.h"
#include "queue/cache.h"
#include "queue/works.h"

#include <stdlib.h>

enum { ALARMS_PAGE = 64 };

struct alarm_letter {
    struct letter letter; /* first */
    struct bundle *bundle;
};

struct alarms {
    struct reader *reader;
    struct bundle *at[ALARMS_PAGE];
    size_t count, read;
    uint64_t last;
};

static void open_letter(struct letter *take_l, bool is_dropped)
{
    struct alarm_letter *a = (struct alarm_letter *)take_l;
    struct queue_port *p = take_l->port;
    struct bundle *b = a->bundle;

    free(a);
    if (!is_dropped) {
        p->events.alarm(p->user, &b->work);
        return;
    }
    queue_lock(p->queue);
    for (size_t i = 0; i < b->work.count; i++)
        lane_restart(p->queue, b->lanes[i].lane);
    active_remove(p->queue, b);
    queue_unlock(p->queue);
}

static void each_alarm(void *user, struct queue_work *take_work,
                       const struct store_content *c)
{
    struct alarms *a = user;

    a->last = take_work->message;
    a->read++;
    a->at[a->count++] = bundle_of_work(take_work, c);
}

static struct queue_port *alarm_port(struct queue *q)
{
    struct queue_port *p, *best = NULL;

    TAILQ_FOREACH(p, &q->ports, all)
    {
        if (p->takes_slots && p->events.alarm &&
            (!best || p->slots < best->slots))
            best = p;
    }
    return best;
}

/* Small content goes with it: the report encloses it. */
static void alarm_content(struct reader *r, struct bundle *b)
{
    struct buffer content = { 0 };
    int rc;

    if (b->stored.has_file)
        return;
    rc = store_read_content(r->db, b->work.message, b->stored.checksum,
                            &content);
    if (rc < 0) {
        buffer_fini(&content);
        queue_say(r->queue, QUEUE_WARNING, "%s: %s: reported without content",
                  id_print(b->work.message).at, error_text(rc));
    }
    queue_lock(r->queue);
    cache_give(r->queue, b, content.at ? content.at : memory_take(1),
               content.len);
    queue_unlock(r->queue);
}

static void alarm_send(struct reader *r, struct bundle *b, struct queue_port *p)
{
    struct alarm_letter *letter = NEW(struct alarm_letter);

    alarm_content(r, b);
    letter->letter.port = p;
    letter->letter.open = open_letter;
    letter->bundle = b;
    port_post(&letter->letter);
}

bool alarm_page(struct reader *r)
{
    struct queue *q = r->queue;
    struct alarms a = { .reader = r };
    struct queue_port *p;
    bool is_void = false;
    uint64_t epoch;
    int rc;

    queue_lock(q);
    p = q->is_stopping || !q->are_lanes_read || q->alarms >= ALARMS_MOST
            ? NULL
            : alarm_port(q);
    epoch = q->change_epoch;
    if (p)
        works_reading_begin(q);
    queue_unlock(q);
    if (!p) {
        r->alarm_after = 0;
        return false;
    }
    rc = store_read_alarms(r->db, queue_now_ms(q), r->alarm_after, ALARMS_PAGE,
                           each_alarm, &a);
    queue_lock(q);
    for (size_t i = 0; i < a.count; i++) {
        if (rc >= 0 && epoch == q->change_epoch && q->changing == 0) {
            a.at[i] = active_add_alarm(q, a.at[i]);
        } else {
            bundle_free(a.at[i]);
            a.at[i] = NULL;
            is_void = true;
        }
    }
    works_reading_end(q);
    queue_unlock(q);
    for (size_t i = 0; i < a.count; i++)
        if (a.at[i])
            alarm_send(r, a.at[i], p);
    if (rc < 0)
        reader_failed(r, "alarms", rc);
    else if (is_void)
        atomic_store(&r->wants_alarms, true);
    r->alarm_after = a.read == ALARMS_PAGE && rc >= 0 ? a.last : 0;
    return r->alarm_after != 0;
}
