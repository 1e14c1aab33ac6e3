/*
 * inquiry - lists and counts for people, a page at a time on the thread of such questions.
 *
 * A list answers with one page, which the caller's limit caps, and the clock: then it is as
 * long as it is, unless nothing was found yet. A count is the roll's, or it walks the whole queue
 * in pages between which other questions have their turn. Where the filter leads to few messages,
 * by the roll or by their lanes, these alone are looked at; see roll.h, store_among.c.
 */
#include "policy/vocabulary/memory.h"
#include "queue/core.h"
#include "queue/criteria.h"
#include "queue/rows.h"
#include "queue/view.h"

#include <stdlib.h>
#include <time.h>

enum { LIST_MOST = 1000, LIST_MS = 100, COUNT_PAGE = 2000 };

struct list {
    struct recount recount; /* first */
    struct arena arena;
    struct queue_filter filter;
    struct store_among among;
    uint64_t after_id, next_id;
    uint32_t limit;
    int64_t began_ms;       /* monotonic; 0: not yet */
    struct queue_row *rows; /* or, where put is not NULL: */
    struct buffer text;
    size_t count;
    queue_put_row_fn *put;
    queue_page_fn *done;
    queue_list_text_fn *told;
    uint64_t token;
};

struct tally {
    struct recount recount; /* first */
    struct arena arena;
    struct queue_filter filter;
    struct store_among among;
    uint64_t after_id;
    bool has_asked; /* the roll */
    struct queue_count count;
    queue_count_fn *done;
    uint64_t token;
};

static void each_row(void *user, const struct queue_row *row)
{
    struct list *l = user;

    if (l->count == l->limit)
        return;
    if (l->put)
        l->put(&l->text, row);
    else
        rows_copy(&l->arena, row, &l->rows[l->count]);
    l->count++;
}

static bool step_list(struct store_reader *db, struct recount *r)
{
    struct list *l = (struct list *)r;
    struct queue *q = r->letter.port->queue;
    struct store_view view = view_of(q);

    if (!l->began_ms)
        l->began_ms = queue_monotonic_ms();
    if (!view_narrow(&view, q, db, &l->filter, &l->among, &r->rc))
        return r->rc < 0;
    r->rc =
        store_list(db, &l->filter, l->after_id, l->limit - (uint32_t)l->count,
                   queue_now_ms(q), &view, each_row, l, &l->next_id);
    if (r->rc < 0 || l->count == l->limit || l->next_id == 0 ||
        (l->count > 0 && queue_monotonic_ms() > l->began_ms + LIST_MS))
        return true;
    l->after_id = l->next_id;
    return false;
}

static void open_list(struct letter *take_l, bool is_dropped)
{
    struct list *l = (struct list *)take_l;

    if (!is_dropped && l->put)
        l->told(take_l->port->user, l->token, l->recount.rc, &l->text, l->count,
                l->next_id);
    else if (!is_dropped)
        l->done(take_l->port->user, l->token, l->recount.rc, l->rows, l->count,
                l->next_id);
    store_among_fini(&l->among);
    arena_reset(&l->arena);
    buffer_fini(&l->text);
    free(l->rows);
    free(l);
}

static struct list *list_new(struct queue_port *p,
                             const struct queue_list_want *want, uint64_t token)
{
    struct list *l = NEW(struct list);

    l->recount.letter.port = p;
    l->recount.letter.open = open_list;
    l->recount.walk = step_list;
    l->filter = criteria_copy(&l->arena, want->filter);
    l->after_id = want->after_id;
    l->limit = want->limit && want->limit < LIST_MOST ? want->limit : LIST_MOST;
    l->put = want->put;
    l->token = token;
    return l;
}

void queue_list(struct queue_port *p, const struct queue_filter *f,
                uint64_t after_id, uint32_t limit, queue_page_fn *done,
                uint64_t token)
{
    struct list *l =
        list_new(p,
                 &(struct queue_list_want){
                     .filter = f, .after_id = after_id, .limit = limit },
                 token);

    l->rows = NEW_ARRAY(struct queue_row, l->limit);
    l->done = done;
    recounting_ask(&p->queue->recounting, &l->recount);
}

void queue_list_text(struct queue_port *p, const struct queue_list_want *want,
                     queue_list_text_fn *done, uint64_t token)
{
    struct list *l = list_new(p, want, token);

    l->told = done;
    recounting_ask(want->is_long ? &p->queue->streaming : &p->queue->recounting,
                   &l->recount);
}

struct files_list {
    queue_row_fn *each;
    void *user;
    bool is_over;
};

static void each_of_files(void *user, const struct queue_row *row)
{
    struct files_list *l = user;

    if (!l->is_over)
        l->is_over = !l->each(l->user, row);
}

int queue_list_files(const char *path, const struct queue_filter *f,
                     queue_row_fn *each, void *user)
{
    struct files_list l = { .each = each, .user = user };
    struct store_reader *r = NULL;
    uint64_t next = 0;
    struct timespec t;
    int rc;

    (void)clock_gettime(CLOCK_REALTIME, &t);
    if ((rc = store_reader_open(&r, path)) < 0)
        return rc;
    do {
        rc = store_list(r, f, next, LIST_MOST,
                        (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000, NULL,
                        each_of_files, &l, &next);
    } while (rc == 0 && next && !l.is_over);
    store_reader_close(r);
    return rc;
}

static bool step_count(struct store_reader *db, struct recount *r)
{
    struct tally *t = (struct tally *)r;
    struct queue *q = r->letter.port->queue;
    struct store_view view = view_of(q);
    uint64_t next = 0;

    if (!t->has_asked) {
        t->has_asked = true;
        if (roll_count(q, &t->filter, &t->count))
            return true;
    }
    if (!view_narrow(&view, q, db, &t->filter, &t->among, &r->rc))
        return r->rc < 0;
    r->rc = store_count(db, &t->filter, queue_now_ms(q), &view, t->after_id,
                        COUNT_PAGE, &t->count, &next);
    t->after_id = next;
    return r->rc < 0 || next == 0;
}

static void open_count(struct letter *take_l, bool is_dropped)
{
    struct tally *t = (struct tally *)take_l;

    if (!is_dropped)
        t->done(take_l->port->user, t->token, t->recount.rc, &t->count);
    store_among_fini(&t->among);
    arena_reset(&t->arena);
    free(t);
}

void queue_count(struct queue_port *p, const struct queue_filter *f,
                 queue_count_fn *done, uint64_t token)
{
    struct tally *t = NEW(struct tally);

    t->recount.letter.port = p;
    t->recount.letter.open = open_count;
    t->recount.walk = step_count;
    t->filter = criteria_copy(&t->arena, f);
    t->done = done;
    t->token = token;
    recounting_ask(&p->queue->recounting, &t->recount);
}
