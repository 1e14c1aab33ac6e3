/*
 * roll_fill - the roll is filled with what is on disk already.
 *
 * By the writer, a page between two batches: nothing changes there, so that the page stands in
 * its place among the notes of what was committed. When nothing else is to be done page follows
 * page; among other jobs it rests most of the time.
 */
#include "queue/roll_private.h"

#include "queue/core.h"

#include <time.h>

enum {
    REST_BUSY = 20,         /* times as long as the page took */
    LATER_MS = 10000,       /* still too much waits */
    TRY_MS = 50,            /* somebody had the lock */
    MESSAGE_MOST = 1 << 20, /* recipients of one */
};

struct page {
    struct buffer *notes, client;
    uint64_t message; /* noted; 0: none */
    struct store_cursor last;
    uint32_t count;
    bool is_walk;
};

static int64_t now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * (int64_t)1000000 + t.tv_nsec / 1000;
}

static void each_waiting(void *user, const struct store_waiting *w)
{
    struct page *p = user;

    p->count++;
    p->last = (struct store_cursor){ 0, w->message, w->number };
    if (w->is_deleted)
        return;
    if (w->message != p->message)
        roll_note_message(
            p->notes,
            &(struct roll_facts){
                .id = w->message,
                .size_bytes = w->size_bytes,
                .received_ms = w->received_ms,
                .who = { w->sender,
                         roll_client(w->client, w->client_name, &p->client),
                         w->login } });
    p->message = w->message;
    roll_note(p->notes,
              (struct roll_note){ .kind = NOTE_RECIPIENT,
                                  .is_walk = p->is_walk,
                                  .is_held = w->is_held,
                                  .is_odd = roll_is_odd(w->address, w->lane),
                                  .number = w->number },
              &w->lane, 1);
}

int roll_read_again(struct store *s, uint64_t message, struct buffer *notes)
{
    struct page p = { .notes = notes };
    int rc;

    roll_note(notes, (struct roll_note){ .kind = NOTE_FORGET, .id = message },
              NULL, 0);
    rc = store_read_waiting(s, message, -1, message, MESSAGE_MOST, each_waiting,
                            &p);
    buffer_fini(&p.client);
    return rc;
}

/* --------------------------------------------------------- the writer ---- */

/* What the metrics say; of some seconds ago. */
static uint64_t waiting(const struct queue *q)
{
    return atomic_load(&q->ready) + atomic_load(&q->deferred) +
           atomic_load(&q->held);
}

int64_t roll_wait_ms(const struct writer *w)
{
    const struct roll *r = &w->queue->roll;
    int64_t left;

    if (atomic_load_explicit(&r->state, memory_order_relaxed) ==
            ROLL_COMPLETE ||
        r->next_us == INT64_MAX)
        return INT64_MAX;
    left = r->next_us - now_us();
    return left <= 0 ? 0 : left / 1000 + 1;
}

/* It was given up: where that was for its memory, far less must wait before it begins anew. */
static void rest(struct queue *q, int64_t at_us)
{
    struct roll *r = &q->roll;

    if (!r->is_resting) {
        r->is_resting = true;
        r->next_us = at_us + r->again_ms * 1000;
    } else if (waiting(q) > atomic_load(&r->again_most) || !roll_begin(r)) {
        r->next_us = at_us + (int64_t)LATER_MS * 1000;
    } else {
        r->is_resting = r->is_read = false;
        r->read = (struct store_cursor){ 0 };
        r->next_us = at_us;
    }
}

static void note_place(struct roll *r, bool is_end)
{
    roll_note(&r->news,
              (struct roll_note){ .kind = is_end ? NOTE_END : NOTE_WALKED,
                                  .id = r->read.message,
                                  .number = r->read.number },
              NULL, 0);
}

static void read_page(struct writer *w)
{
    struct roll *r = &w->queue->roll;
    struct page p = { .notes = &r->news, .is_walk = true, .last = r->read };
    int rc = store_read_waiting(w->store, r->read.message, r->read.number,
                                INT64_MAX, r->page, each_waiting, &p);

    buffer_fini(&p.client);
    if (rc < 0) {
        queue_say(w->queue, QUEUE_WARNING,
                  "questions about all that waits take longer: %s",
                  store_why(w->store));
        roll_stop(r);
        return;
    }
    r->read = p.last;
    r->is_read = p.count < r->page;
    note_place(r, r->is_read);
}

void roll_step(struct writer *w, bool is_busy)
{
    struct roll *r = &w->queue->roll;
    int64_t begun = now_us(), ended;

    if (atomic_load(&r->state) == ROLL_OFF) {
        rest(w->queue, begun);
        return;
    }
    if (!r->is_read)
        read_page(w);
    roll_publish(r);
    ended = now_us();
    r->next_us = ended;
    if (r->is_read)
        r->next_us += (int64_t)TRY_MS * 1000; /* who asks may have the lock */
    else if (is_busy)
        r->next_us += (ended - begun) * REST_BUSY;
}
