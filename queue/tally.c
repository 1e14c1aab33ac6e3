/*
 * tally - how many recipients wait, by state, for the metrics.
 *
 * The states are those of a list, but what is being sent counts as what it was before.
 * Counted on disk from time to time, in pages and when nothing else is to be read; a
 * long count makes the next one come later, so that it costs a small part of one core
 * whatever the backlog.
 */
#include "queue/tally.h"

#include "queue/view.h"

enum {
    TALLY_MS = 2000,  /* between two counts, at least */
    TALLY_SHARE = 50, /* times as long as it took */
    TALLY_PAGE = 2000,
};

static const struct {
    unsigned states;
    size_t into;
} counted[QUEUE_SURVEYS] = {
    [SURVEY_READY] = { STATE_ACTIVE | STATE_READY,
                       offsetof(struct queue, ready) },
    [SURVEY_DEFERRED] = { STATE_DEFERRED, offsetof(struct queue, deferred) },
    [SURVEY_HELD] = { STATE_HELD, offsetof(struct queue, held) },
};

static void publish(struct queue *q, unsigned which,
                    const struct queue_survey *s)
{
    char *into = (char *)q + counted[which].into;

    atomic_store((_Atomic uint64_t *)(void *)into, s->recipients);
    queue_lock(q);
    q->surveys[which] = *s;
    queue_unlock(q);
}

bool tally_step(struct reader *r)
{
    struct tally_state *t = &r->tally;
    struct queue_filter f = { .states = counted[t->which].states };
    struct store_view view = view_of(r->queue);
    int64_t now = queue_monotonic_ms();
    uint64_t next = 0;
    int rc;

    if (t->which == 0 && t->after_id == 0) {
        if (now < t->next_ms)
            return false;
        t->began_ms = now;
    }
    view.is_active = NULL;
    rc = store_survey(r->db, &f, queue_now_ms(r->queue), &view, t->after_id,
                      TALLY_PAGE, &t->survey, &next);
    t->after_id = rc < 0 ? 0 : next;
    if (t->after_id)
        return true;
    publish(r->queue, t->which, &t->survey);
    t->survey = (struct queue_survey){ 0 };
    t->which = (t->which + 1) % QUEUE_SURVEYS;
    if (t->which == 0) {
        now = queue_monotonic_ms();
        t->next_ms = now + TALLY_MS + (now - t->began_ms) * TALLY_SHARE;
    }
    return true;
}
