/*
 * view - what the queue knows of waiting mail beyond the rows of its store.
 *
 * Which recipients are being sent, and which next hops are down: a destination's rest is
 * one row whatever the backlog, so the rows of what waits for it tell nothing.
 */
#include "queue/view.h"

#include "policy/vocabulary/memory.h"
#include "queue/standing.h"
#include "queue/works.h"

#include <stdlib.h>

static bool is_active(void *user, uint64_t message, uint32_t number)
{
    struct queue *q = user;
    bool is_it;

    if (!works_may_have(q, message))
        return false;
    queue_lock(q);
    is_it = works_is_claimed(q, message, number);
    queue_unlock(q);
    return is_it;
}

static bool is_resting(void *user, struct span lane, int64_t *out_due_ms,
                       struct buffer *out_reason)
{
    struct queue *q = user;
    const struct destination *d = NULL;
    const struct lane *l;
    bool is_it;

    queue_lock(q);
    l = lane_find(q, lane);
    if (l)
        d = lane_standing(l);
    is_it = d && destination_is_down(d);
    if (is_it) {
        *out_due_ms = d->due_ms;
        standing_reason(d, out_reason);
    }
    queue_unlock(q);
    return is_it;
}

/* Mail that is held or deleted has perhaps no lane in memory. */
static void destination_name(void *user, struct span lane,
                             struct buffer *out_name)
{
    struct queue_destination to = { 0 };
    struct queue *q = user;
    struct lane *l;

    queue_lock(q);
    l = lane_find(q, lane);
    if (l) {
        buffer_put(out_name,
                   destination_span(destination_home(l->destination)));
    } else if (q->route) {
        q->route(q->route_user, lane, &to);
        buffer_put(out_name, buffer_span(&to.name));
        buffer_fini(&to.name);
    }
    queue_unlock(q);
}

/* Told when the lock is off. */
static void claimed(void *user, void (*each)(void *to, uint64_t message),
                    void *to)
{
    struct queue *q = user;
    struct bucket_link **all;
    uint64_t *ids;
    size_t count = 0;

    queue_lock(q);
    all = buckets_all(&q->works);
    ids = NEW_ARRAY(uint64_t, q->works.count + 1);
    for (size_t i = 0; i < q->works.count; i++) {
        const struct bundle *b = OWNER(all[i], struct bundle, by_message);

        if (bundle_is_claimed(b))
            ids[count++] = b->work.message;
    }
    queue_unlock(q);
    for (size_t i = 0; i < count; i++)
        each(to, ids[i]);
    free(all);
    free(ids);
}

struct store_view view_of(struct queue *q)
{
    struct store_view v = { .is_active = is_active,
                            .destination = destination_name,
                            .claimed = claimed,
                            .now_ms = queue_now_ms(q),
                            .user = q };

    queue_lock(q);
    if (queue_down(q) > 0)
        v.is_resting = is_resting;
    queue_unlock(q);
    return v;
}

bool view_narrow(struct store_view *v, struct queue *q, struct store_reader *db,
                 const struct queue_filter *f, struct store_among *a,
                 int *out_rc)
{
    if (!a->is_over && !roll_among(q, f, a)) {
        *out_rc = store_among_look(db, f, v, a);
        return false;
    }
    v->among = a;
    return true;
}
