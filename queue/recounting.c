/*
 * recounting - people's questions that walk far, on a thread of their own.
 *
 * A file is opened by the first question to it in the thread's life; a history that cannot be
 * read fails its own questions alone.
 */
#include "queue/recounting.h"

#include "policy/vocabulary/memory.h"
#include "queue/annals.h"
#include "queue/core.h"
#include "queue/criteria.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    LIST_MOST = 1000,
    SLICE_MS = 50,    /* of one question; a read transaction */
    PAGE_MS = 60,     /* then a page goes out, be it empty */
    LINGER_MS = 5000, /* the thread waits for the next question */
    FILES_TELL_MS = 100,
};

/* What people ask for. */
struct page {
    struct recount recount; /* first */
    struct arena arena;
    struct annals_walk walk;
    int64_t began_ms; /* monotonic; 0: not yet */
    uint32_t limit;
    struct queue_told *rows; /* or, where put is not NULL: */
    struct buffer text;
    size_t count;
    bool has_more;
    queue_put_told_fn *put;
    queue_history_fn *done;
    queue_history_text_fn *told;
    uint64_t token;
};

/* ------------------------------------------------------------- a page ---- */

void recounting_keep(struct arena *a, struct queue_told *row)
{
    struct span *texts[] = {
        &row->sender,
        &row->recipient,
        &row->client,
        &row->client_name,
        &row->helo,
        &row->login,
        &row->listener,
        &row->protocol,
        &row->message_id,
        &row->reply,
        &row->host,
        &row->tls,
        &row->stage,
        &row->dialogue,
        &row->trail,
        &row->who,
        &row->ruling.rule,
        &row->ruling.place,
        &row->ruling.held_by,
        &row->ruling.asked_to,
        &row->ruling.asked_from,
        &row->ruling.orig_to,
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        *texts[i] = arena_copy(a, *texts[i]);
}

static bool each_row(void *user, const struct queue_told *row)
{
    struct page *p = user;

    if (p->put) {
        p->put(&p->text, row);
    } else {
        p->rows[p->count] = *row;
        recounting_keep(&p->arena, &p->rows[p->count]);
    }
    p->count++;
    return true;
}

/* True: the page is to go out. */
static bool step_page(struct annals *a, struct recount *r)
{
    struct page *p = (struct page *)r;
    int64_t now = queue_monotonic_ms();

    if (!p->began_ms)
        p->began_ms = now;
    r->rc = annals_slice(a, &p->walk, p->limit, SLICE_MS, each_row, p,
                         &p->has_more);
    return r->rc < 0 || p->count > 0 || !p->has_more ||
           queue_monotonic_ms() > p->began_ms + PAGE_MS;
}

static void open_letter(struct letter *take_l, bool is_dropped)
{
    struct page *p = (struct page *)take_l;
    int rc = p->recount.rc;
    const struct queue_place *next =
        rc == 0 && p->has_more ? &p->walk.place : NULL;

    if (!is_dropped && p->put)
        p->told(take_l->port->user, p->token, rc, &p->text, p->count, next);
    else if (!is_dropped)
        p->done(take_l->port->user, p->token, rc, p->rows, p->count, next);
    annals_walk_fini(&p->walk);
    arena_reset(&p->arena);
    buffer_fini(&p->text);
    free(p->rows);
    free(p);
}

/* --------------------------------------------------------- the thread ---- */

static void put_last(struct recounting *all, struct recount *r)
{
    r->next = NULL;
    *all->last = r;
    all->last = &r->next;
}

/* The next question; NULL: nobody asks any more, and this thread ends. */
static struct recount *take_first(struct recounting *all)
{
    struct recount *r;

    pthread_mutex_lock(&all->lock);
    if (!all->first && !all->is_stopping)
        queue_condition_wait(&all->wake, &all->lock, LINGER_MS);
    r = all->first;
    if (r && !(all->first = r->next))
        all->last = &all->first;
    if (!r)
        all->is_running = false;
    pthread_mutex_unlock(&all->lock);
    return r;
}

static bool is_stopping(struct recounting *all)
{
    bool is;

    pthread_mutex_lock(&all->lock);
    is = all->is_stopping;
    pthread_mutex_unlock(&all->lock);
    return is;
}

/* The thread's files. */
struct shelf {
    struct annals *annals;
    bool is_tried; /* the annals, and what came of it */
    int rc;
    struct store_reader *db;
};

static int open_shelf(struct shelf *s, const char *path,
                      const struct recount *r)
{
    if (r->walk)
        return s->db ? 0 : store_reader_open(&s->db, path);
    if (!s->is_tried)
        s->rc = annals_open(&s->annals, path, false);
    s->is_tried = true;
    return s->rc;
}

/* True: it is answered. */
static bool step(struct recounting *all, struct shelf *s, struct recount *r)
{
    if (r->rc == 0)
        r->rc = is_stopping(all) ? ERROR_CLOSING
                                 : open_shelf(s, all->queue->path, r);
    if (r->rc < 0)
        return true;
    return r->walk ? r->walk(s->db, r) : r->step(s->annals, r);
}

/* This thread alone. Where it is refused, questions are answered all the same. */
static void be_nice(int nice)
{
    id_t self = (id_t)gettid();

    if (getpriority(PRIO_PROCESS, self) < nice)
        (void)setpriority(PRIO_PROCESS, self, nice);
}

static void *recounting_main(void *user)
{
    struct recounting *all = user;
    struct shelf shelf = { 0 };
    struct recount *r;

    be_nice(all->nice);
    while ((r = take_first(all))) {
        if (step(all, &shelf, r)) {
            port_post(&r->letter);
            continue;
        }
        pthread_mutex_lock(&all->lock);
        put_last(all, r);
        pthread_mutex_unlock(&all->lock);
    }
    annals_close(shelf.annals);
    if (shelf.db)
        store_reader_close(shelf.db);
    return NULL;
}

/* With the lock held. */
static void ensure_thread(struct recounting *all)
{
    while (!all->is_running && all->has_thread) {
        pthread_t old = all->thread;

        /* it has said that it ends, and only closes its files */
        all->has_thread = false;
        pthread_mutex_unlock(&all->lock);
        pthread_join(old, NULL);
        pthread_mutex_lock(&all->lock);
    }
    if (all->is_running)
        return;
    all->is_running = all->has_thread =
        queue_thread_start(&all->thread, all->name, recounting_main, all);
    ASSERT(all->is_running);
}

void recounting_ask(struct recounting *all, struct recount *r)
{
    pthread_mutex_lock(&all->lock);
    put_last(all, r);
    pthread_cond_signal(&all->wake);
    ensure_thread(all);
    pthread_mutex_unlock(&all->lock);
}

static struct page *page_new(struct queue_port *port,
                             const struct queue_history_want *want,
                             uint64_t token)
{
    struct page *p = NEW(struct page);
    struct queue_filter copy = criteria_copy(&p->arena, want->filter);

    p->recount.letter.port = port;
    p->recount.letter.open = open_letter;
    p->recount.step = step_page;
    p->recount.rc = annals_walk_init(&p->walk, &copy, want->after);
    p->limit = want->limit && want->limit < LIST_MOST ? want->limit : LIST_MOST;
    p->put = want->put;
    p->token = token;
    return p;
}

void queue_history(struct queue_port *port, const struct queue_filter *f,
                   const struct queue_place *after, uint32_t limit,
                   queue_history_fn *done, uint64_t token)
{
    struct page *p = page_new(port,
                              &(struct queue_history_want){
                                  .filter = f, .after = after, .limit = limit },
                              token);

    p->rows = NEW_ARRAY(struct queue_told, p->limit);
    p->done = done;
    recounting_ask(&port->queue->recounting, &p->recount);
}

void queue_history_text(struct queue_port *port,
                        const struct queue_history_want *want,
                        queue_history_text_fn *done, uint64_t token)
{
    struct page *p = page_new(port, want, token);

    p->told = done;
    recounting_ask(want->is_long ? &port->queue->streaming
                                 : &port->queue->recounting,
                   &p->recount);
}

void recounting_init(struct recounting *all, struct queue *q, const char *name,
                     int nice)
{
    all->queue = q;
    all->name = name;
    all->nice = nice;
    all->last = &all->first;
    pthread_mutex_init(&all->lock, NULL);
    queue_condition_init(&all->wake);
}

void recounting_fini(struct recounting *all)
{
    pthread_mutex_lock(&all->lock);
    all->is_stopping = true;
    pthread_cond_signal(&all->wake);
    pthread_mutex_unlock(&all->lock);
    if (all->has_thread)
        pthread_join(all->thread, NULL);
    pthread_cond_destroy(&all->wake);
    pthread_mutex_destroy(&all->lock);
}

/* ---------------------------------------------------- from the files ----- */

struct telling {
    queue_told_fn *each;
    void *user;
    bool is_over;
};

static bool tell(void *user, const struct queue_told *row)
{
    struct telling *t = user;

    t->is_over = !t->each(t->user, row, &row->place);
    return !t->is_over;
}

int queue_history_files(const char *path, const struct queue_filter *f,
                        queue_told_fn *each, void *user, struct buffer *out_why)
{
    struct telling t = { .each = each, .user = user };
    struct annals_walk w = { 0 };
    struct annals *a = NULL;
    bool has_more = true;
    int rc = annals_walk_init(&w, f, NULL);

    if (rc == 0)
        rc = annals_open(&a, path, true);
    while (rc == 0 && has_more && !t.is_over) {
        rc = annals_slice(a, &w, LIST_MOST, FILES_TELL_MS, tell, &t, &has_more);
        if (rc == 0 && has_more && !t.is_over)
            t.is_over = !each(user, NULL, &w.place);
    }
    if (rc < 0 && a && access(annals_path(a), F_OK) < 0)
        buffer_printf(out_why, "%s: there is no such file", annals_path(a));
    else if (rc < 0)
        buffer_printf(
            out_why, "%s: %s%s", a ? annals_path(a) : path, error_text(rc),
            rc == ERROR_OLDER ? "; the relay's next start brings it up to date"
                              : "");
    annals_walk_fini(&w);
    annals_close(a);
    return rc;
}
