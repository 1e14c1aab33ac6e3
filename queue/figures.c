/*
 * figures - what the metrics tell of the queue.
 *
 * All of it is counted elsewhere. The busiest destinations are looked for in a
 * few thousand heads of the table at a time; when the table grows meanwhile the
 * round begins anew.
 */
#include "queue/core.h"

#include "policy/vocabulary/memory.h"
#include "queue/pace.h"

#include <stdlib.h>

enum { BUSY_SLICE = 8192 };

void queue_figures(struct queue *q, struct queue_figures *out)
{
    *out = (struct queue_figures){
        .reserve_bytes = q->disk.reserve_bytes,
        .is_history_paused = atomic_load(&q->historian.has_warned) ||
                             !disk_has_room(&q->disk, 0),
    };
    histogram_read(&q->commit_us, &out->commit_us);
    histogram_read(&q->commit_jobs, &out->commit_jobs);
    queue_lock(q);
    for (int i = 0; i < QUEUE_SURVEYS; i++)
        out->surveys[i] = q->surveys[i];
    for (int i = 0; i < QUEUE_DESTINATION_STATES; i++)
        out->destinations[i] = q->in_state[i];
    queue_unlock(q);
}

/* --------------------------------------------------------- the busiest ---- */

struct busy_row {
    struct queue_destination_row row;
    struct buffer name;
    uint64_t rank;
};

struct busy_list {
    struct busy_row *rows;
    size_t count;
};

struct queue_busy {
    size_t most;
    struct busy_list found, looked; /* the round before; this one */
    size_t size, at;                /* of the table: heads, and the next one */
};

struct queue_busy *queue_busy_new(size_t most)
{
    struct queue_busy *b = NEW(struct queue_busy);

    ASSERT(most > 0);
    b->most = most;
    b->found.rows = NEW_ARRAY(struct busy_row, most);
    b->looked.rows = NEW_ARRAY(struct busy_row, most);
    return b;
}

static void list_fini(struct busy_list *l, size_t most)
{
    for (size_t i = 0; i < most; i++)
        buffer_fini(&l->rows[i].name);
    free(l->rows);
}

void queue_busy_free(struct queue_busy *b)
{
    if (!b)
        return;
    list_fini(&b->found, b->most);
    list_fini(&b->looked, b->most);
    free(b);
}

/* Where one of this rank goes: a free place, or that of the least busy; NULL: all are busier.
 */
static struct busy_row *place_for(struct queue_busy *b, uint64_t rank)
{
    struct busy_list *l = &b->looked;
    struct busy_row *least = l->rows;

    if (l->count < b->most)
        return &l->rows[l->count++];
    for (size_t i = 1; i < l->count; i++)
        if (l->rows[i].rank < least->rank)
            least = &l->rows[i];
    return least->rank < rank ? least : NULL;
}

static void look_at(const struct queue *q, struct queue_busy *b,
                    const struct destination *d)
{
    uint64_t slots = d->slots + (d->turned ? d->turned->slots : 0);
    uint64_t rank = d->waiting + slots;
    struct busy_row *to;

    if (!d->name ||
        (rank == 0 && (d->state == DESTINATION_UP || d->is_abandoned)))
        return;
    to = place_for(b, rank);
    if (!to)
        return;
    buffer_clear(&to->name);
    buffer_put(&to->name, span_make(d->name, d->name_len));
    to->rank = rank;
    to->row = (struct queue_destination_row){
        .state = d->state,
        .connections = d->connections,
        .window = d->feedback.window,
        .slots = (uint32_t)slots,
        .waiting = d->waiting,
        .waiting_bytes = d->waiting_bytes,
        .held_ms = pace_held_ms(q, d),
    };
}

static void end_round(struct queue_busy *b)
{
    struct busy_list before = b->found;

    b->found = b->looked;
    b->looked = before;
    b->looked.count = 0;
    b->at = 0;
}

void queue_busy_look(struct queue *q, struct queue_busy *b)
{
    size_t end;
    bool is_over;

    queue_lock(q);
    if (q->destinations.size != b->size) {
        b->size = q->destinations.size;
        b->at = b->looked.count = 0;
    }
    end = b->size - b->at > BUSY_SLICE ? b->at + BUSY_SLICE : b->size;
    for (; b->at < end; b->at++)
        for (struct bucket_link *l = q->destinations.heads[b->at]; l;
             l = l->next)
            look_at(q, b, OWNER(l, struct destination, by_name));
    is_over = b->at == b->size;
    queue_unlock(q);
    if (is_over)
        end_round(b);
}

void queue_busy_each(const struct queue_busy *b, queue_destination_fn *each,
                     void *user)
{
    for (size_t i = 0; i < b->found.count; i++) {
        struct queue_destination_row row = b->found.rows[i].row;

        row.name = buffer_span(&b->found.rows[i].name);
        each(user, &row);
    }
}
