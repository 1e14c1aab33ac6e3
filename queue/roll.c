/*
 * roll - who is waiting: what waits, in memory, one small row for each message.
 *
 *          begin             walked through
 *   OFF ----------> FILLING ----------------> COMPLETE
 *    ^                 |  over its cap, or      |
 *    +-----------------+---- too many notes ----+
 */
#include "queue/roll_private.h"

enum {
    NOTES_MOST = 16 * 1024 * 1024, /* in the inbox; who asks is too slow */
    NOTES_KEPT = 256 * 1024,       /* of an empty buffer */
    PAGE = 500,                    /* looked at: about a millisecond */
    AGAIN_MS = 300000,             /* given up: no walk before that */
};

void roll_init(struct roll *r, bool is_kept)
{
    atomic_store(&r->state, is_kept ? ROLL_FILLING : ROLL_OFF);
    r->most_bytes = ROLL_BYTES;
    r->again_ms = AGAIN_MS;
    r->page = PAGE;
    r->next_us = is_kept ? 0 : INT64_MAX;
    pthread_mutex_init(&r->lock, NULL);
    pthread_mutex_init(&r->inbox_lock, NULL);
}

static void drop_rows(struct roll *r)
{
    roll_rows_free(r);
    roll_names_free(r);
    r->bytes = r->live = r->strange = 0;
    r->walked = (struct store_cursor){ 0 };
}

void roll_fini(struct roll *r)
{
    drop_rows(r);
    buffer_fini(&r->work);
    buffer_fini(&r->inbox);
    buffer_fini(&r->news);
    buffer_fini(&r->client);
    pthread_mutex_destroy(&r->lock);
    pthread_mutex_destroy(&r->inbox_lock);
}

/* Little memory stays with it for the next time. */
static void empty(struct buffer *b)
{
    if (b->size > NOTES_KEPT)
        buffer_fini(b);
    buffer_clear(b);
}

static void swap(struct buffer *a, struct buffer *b)
{
    struct buffer other = *a;

    *a = *b;
    *b = other;
}

/* Until no more than so many wait. */
static void give_up(struct roll *r, uint64_t most)
{
    atomic_store(&r->again_most, most);
    atomic_store(&r->state, ROLL_OFF);
    drop_rows(r);
}

void roll_stop(struct roll *r)
{
    pthread_mutex_lock(&r->lock);
    give_up(r, UINT64_MAX);
    pthread_mutex_unlock(&r->lock);
}

/* Under the lock: the inbox into the rows. */
static void drain(struct roll *r)
{
    bool is_lost;

    pthread_mutex_lock(&r->inbox_lock);
    swap(&r->inbox, &r->work);
    is_lost = r->is_lost;
    r->is_lost = false;
    pthread_mutex_unlock(&r->inbox_lock);
    if (is_lost)
        give_up(r, UINT64_MAX);
    else if (atomic_load(&r->state) != ROLL_OFF)
        roll_apply(r, buffer_span(&r->work));
    if (r->bytes > r->most_bytes)
        give_up(r, r->live / 2);
    empty(&r->work);
}

void roll_publish(struct roll *r)
{
    /* while it is filled what is in the inbox may be its end */
    if (r->news.len == 0 && atomic_load(&r->state) != ROLL_FILLING)
        return;
    pthread_mutex_lock(&r->inbox_lock);
    if (r->inbox.len == 0)
        swap(&r->inbox, &r->news);
    else if (r->inbox.len + r->news.len <= NOTES_MOST)
        buffer_put(&r->inbox, buffer_span(&r->news));
    else
        r->is_lost = true;
    pthread_mutex_unlock(&r->inbox_lock);
    empty(&r->news);
    if (pthread_mutex_trylock(&r->lock) != 0)
        return;
    drain(r);
    pthread_mutex_unlock(&r->lock);
}

bool roll_begin(struct roll *r)
{
    if (pthread_mutex_trylock(&r->lock) != 0)
        return false;
    drain(r); /* of the time before */
    drop_rows(r);
    atomic_store(&r->state, ROLL_FILLING);
    pthread_mutex_unlock(&r->lock);
    return true;
}

static bool is_complete(struct roll *r)
{
    return atomic_load(&r->state) == ROLL_COMPLETE;
}

/* Locked: all that was published into the rows. */
static bool bring_up(struct roll *r)
{
    drain(r);
    if (is_complete(r))
        return true;
    pthread_mutex_unlock(&r->lock);
    return false;
}

bool roll_lock(struct roll *r)
{
    if (!is_complete(r))
        return false;
    pthread_mutex_lock(&r->lock);
    return bring_up(r);
}

bool roll_try_lock(struct roll *r)
{
    return is_complete(r) && pthread_mutex_trylock(&r->lock) == 0 &&
           bring_up(r);
}
