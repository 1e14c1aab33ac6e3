/*
 * timetable - when mail is fetched from the providers that the settings name.
 *
 * One entry for each title, kept over reloads. A run goes to the worker with the fewest
 * sessions as a task, and comes back through a list and an async handle; entry and run
 * find each other by number, since a reload may have taken the entry away.
 */
#include "relay/main/timetable.h"

#include "policy/vocabulary/memory.h"
#include "relay/net/log.h"
#include "relay/outbound/fetch.h"

#include <stdlib.h>

enum { FIRST_MS = 1000 }; /* after the start, or after it was configured */

/* Somebody who wants to know what came of it. */
struct waiter {
    struct waiter *next;
    admin_fetched_fn *done;
    void *user;
    uint64_t token;
};

struct entry {
    struct entry *next;
    uint64_t number;
    struct span title, from; /* own copies */
    int64_t every_ms;
    uint64_t
        due; /* of the loop's time; while it runs and without every: none */
    uint64_t begun;
    bool is_running, is_gone;
    bool has_run, is_ok;
    int64_t last_ms;
    uint32_t messages, refused;
    struct buffer result;
    struct waiter *waiters;
};

/* On its way to a worker and back. */
struct run {
    struct run *next;
    struct timetable *timetable;
    uint64_t number;
    struct span title; /* own copy */
    enum fetch_kind kind;
    struct fetch_result result;
    struct buffer words;
};

struct timetable {
    uv_loop_t *loop;
    uv_timer_t timer;
    uv_async_t async;
    struct worker *const *workers;
    unsigned worker_count, next_worker;
    struct entry *entries;
    uint64_t last_number;
    bool is_stopping, is_closed;
    uv_mutex_t lock;   /* guards what follows */
    struct run *ended; /* the latest first */
};

static void look(struct timetable *f);

static struct span own_copy(struct span s)
{
    return span_make(span_dup(s), s.len);
}

/* ------------------------------------------------------------------ runs ---- */

static void run_free(struct run *r)
{
    free((char *)r->title.at);
    buffer_fini(&r->words);
    free(r);
}

/* On the worker's thread, like task_fetch. */
static void on_told(void *user, const struct fetch_outcome *o)
{
    struct run *r = user;
    struct timetable *f = r->timetable;

    r->kind = o->kind;
    r->result = o->result;
    buffer_put(&r->words, o->words);
    uv_mutex_lock(&f->lock);
    r->next = f->ended;
    f->ended = r;
    uv_mutex_unlock(&f->lock);
    (void)uv_async_send(&f->async);
}

static void task_fetch(struct worker *w, void *arg)
{
    struct run *r = arg;

    fetch_open(w, r->title, on_told, r);
}

static struct worker *least_busy(struct timetable *f)
{
    struct worker *best = NULL;

    for (unsigned i = 0; i < f->worker_count; i++) {
        struct worker *w = f->workers[(f->next_worker + i) % f->worker_count];

        if (!best || atomic_load(&w->sessions) < atomic_load(&best->sessions))
            best = w;
    }
    f->next_worker++;
    return best;
}

static void begin(struct timetable *f, struct entry *e)
{
    struct run *r = NEW(struct run);

    r->timetable = f;
    r->number = e->number;
    r->title = own_copy(e->title);
    e->is_running = true;
    e->begun = uv_now(f->loop);
    log_text(LOG_NOTE, "fetch \"%.*s\": asking %.*s", SPAN_FMT(e->title),
             SPAN_FMT(e->from));
    worker_post(least_busy(f), task_fetch, r);
}

/* ------------------------------------------------------------ what came ---- */

static void put_result(struct buffer *b, const struct run *r)
{
    buffer_clear(b);
    if (r->kind == FETCH_FAILED) {
        buffer_put(b, buffer_span(&r->words));
        return;
    }
    if (r->kind == FETCH_EMPTY) {
        buffer_put_string(b, "no mail");
        return;
    }
    buffer_printf(b, "%u message%s", r->result.messages,
                  r->result.messages == 1 ? "" : "s");
    if (r->result.refused)
        buffer_printf(b, ", %u refused", r->result.refused);
    if (!r->result.is_over)
        buffer_put_string(b, ", then the connection broke off");
}

static void describe(const struct timetable *f, const struct entry *e,
                     struct admin_fetch *out)
{
    *out = (struct admin_fetch){
        .name = e->title,
        .from = e->from,
        .is_running = e->is_running,
        .every_ms = e->every_ms,
        .last_ms = e->last_ms,
        .is_ok = e->is_ok,
        .messages = e->messages,
        .refused = e->refused,
        .result = buffer_span(&e->result),
    };
    if (e->every_ms && !e->is_running)
        out->next_ms = wall_ms() + (int64_t)(e->due - uv_now(f->loop));
}

static void tell_waiters(const struct timetable *f, struct entry *e)
{
    struct admin_fetch what;

    describe(f, e, &what);
    for (struct waiter *w = e->waiters, *next; w; w = next) {
        next = w->next;
        if (!f->is_closed)
            w->done(w->user, w->token, &what);
        free(w);
    }
    e->waiters = NULL;
}

static void entry_free(struct entry *e)
{
    free((char *)e->title.at);
    free((char *)e->from.at);
    buffer_fini(&e->result);
    free(e);
}

/* Out of the list, once nobody needs it. */
static void drop(struct timetable *f, struct entry *e)
{
    struct entry **at = &f->entries;

    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    entry_free(e);
}

static void take_back(struct timetable *f, const struct run *r)
{
    struct entry *e = f->entries;

    while (e && e->number != r->number)
        e = e->next;
    ASSERT(e && e->is_running);
    e->is_running = false;
    e->has_run = true;
    e->is_ok = r->kind == FETCH_EMPTY ||
               (r->kind == FETCH_RECEIVED && r->result.is_over);
    e->messages = r->result.messages;
    e->refused = r->result.refused;
    e->last_ms = wall_ms();
    e->due = e->begun + (uint64_t)e->every_ms;
    put_result(&e->result, r);
    log_text(e->is_ok ? LOG_NOTE : LOG_WARNING, "fetch \"%.*s\": %s",
             SPAN_FMT(e->title), buffer_string(&e->result));
    tell_waiters(f, e);
    if (e->is_gone)
        drop(f, e);
}

static void take_all_back(struct timetable *f)
{
    struct run *r;

    uv_mutex_lock(&f->lock);
    r = f->ended;
    f->ended = NULL;
    uv_mutex_unlock(&f->lock);
    for (struct run *next; r; r = next) {
        next = r->next;
        take_back(f, r);
        run_free(r);
    }
}

static void on_async(uv_async_t *handle)
{
    struct timetable *f = handle->data;

    take_all_back(f);
    look(f);
}

/* -------------------------------------------------------------- schedule ---- */

static void on_timer(uv_timer_t *timer)
{
    look(timer->data);
}

/* Begins what is due, and finds out when to look again. */
static void look(struct timetable *f)
{
    uint64_t now = uv_now(f->loop), first = UINT64_MAX;

    if (f->is_stopping)
        return;
    for (struct entry *e = f->entries; e; e = e->next) {
        if (!e->every_ms || e->is_running || e->is_gone)
            continue;
        if (e->due <= now)
            begin(f, e);
        else if (e->due < first)
            first = e->due;
    }
    if (first == UINT64_MAX)
        (void)uv_timer_stop(&f->timer);
    else
        (void)uv_timer_start(&f->timer, on_timer, first - now + 1, 0);
}

/* As configured now, whatever it was before. */
static void configure(struct timetable *f, struct entry *e,
                      const struct fetch_settings *s)
{
    uint64_t now = uv_now(f->loop);

    free((char *)e->from.at);
    e->from = own_copy(s->route.via[0].text);
    e->is_gone = false;
    if (e->every_ms == s->every_ms)
        return;
    e->every_ms = s->every_ms;
    e->due = e->has_run ? e->begun + (uint64_t)e->every_ms : now + FIRST_MS;
    if (e->due < now)
        e->due = now;
}

static struct entry *find(struct timetable *f, struct span title)
{
    struct entry *e = f->entries;

    while (e && !span_is(e->title, title))
        e = e->next;
    return e;
}

static struct entry *add(struct timetable *f, struct span title)
{
    struct entry *e = NEW(struct entry), **at = &f->entries;

    e->number = ++f->last_number;
    e->title = own_copy(title);
    while (*at)
        at = &(*at)->next;
    *at = e;
    return e;
}

void timetable_reload(struct timetable *f, const struct settings *s)
{
    for (struct entry *e = f->entries; e; e = e->next)
        e->is_gone = true;
    for (size_t i = 0; i < s->fetch_count; i++) {
        struct entry *e = find(f, s->fetches[i].title);

        configure(f, e ? e : add(f, s->fetches[i].title), &s->fetches[i]);
    }
    for (struct entry *e = f->entries, *next; e; e = next) {
        next = e->next;
        if (e->is_gone && !e->is_running)
            drop(f, e);
    }
    look(f);
}

/* -------------------------------------------------- what others may ask ---- */

static void list(void *user, admin_fetch_fn *each, void *each_user)
{
    struct timetable *f = user;

    for (struct entry *e = f->entries; e; e = e->next) {
        struct admin_fetch what;

        describe(f, e, &what);
        if (!e->is_gone)
            each(each_user, &what);
    }
}

static enum admin_fetch_answer ask(void *user, struct span name,
                                   admin_fetched_fn *done, void *done_user,
                                   uint64_t token)
{
    struct timetable *f = user;
    struct entry *e = find(f, name);
    struct waiter *w;

    if (!e || e->is_gone)
        return ADMIN_FETCH_UNKNOWN;
    if (f->is_stopping)
        return ADMIN_FETCH_NOT_NOW;
    w = NEW(struct waiter);
    *w = (struct waiter){ e->waiters, done, done_user, token };
    e->waiters = w;
    if (!e->is_running)
        begin(f, e);
    return ADMIN_FETCH_BEGUN;
}

const struct admin_fetches timetable_admin = { .list = list, .begin = ask };

/* ---------------------------------------------------- beginning and end ---- */

struct timetable *timetable_open(uv_loop_t *loop, struct worker *const *workers,
                                 unsigned worker_count,
                                 const struct settings *settings)
{
    struct timetable *f = NEW(struct timetable);

    f->loop = loop;
    f->workers = workers;
    f->worker_count = worker_count;
    ASSERT(uv_mutex_init(&f->lock) == 0);
    (void)uv_timer_init(loop, &f->timer);
    ASSERT(uv_async_init(loop, &f->async, on_async) == 0);
    f->timer.data = f->async.data = f;
    timetable_reload(f, settings);
    return f;
}

void timetable_stop(struct timetable *f)
{
    f->is_stopping = true;
    (void)uv_timer_stop(&f->timer);
}

void timetable_close(struct timetable *f)
{
    f->is_closed = true;
    take_all_back(f);
    uv_close((uv_handle_t *)&f->timer, NULL);
    uv_close((uv_handle_t *)&f->async, NULL);
}

void timetable_free(struct timetable *f)
{
    if (!f)
        return;
    while (f->entries) {
        f->is_closed = true;
        tell_waiters(f, f->entries);
        drop(f, f->entries);
    }
    uv_mutex_destroy(&f->lock);
    free(f);
}
