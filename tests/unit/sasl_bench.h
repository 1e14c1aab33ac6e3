/*
 * sasl_bench - a desk over files of a test's own, and a worker that is none.
 *
 * worker_leave is the bench's: what a thread of the desk posts waits in a list until the
 * test takes it, so that no loop and no clock is needed.
 */
#ifndef WAYPOST_SASL_BENCH_H
#define WAYPOST_SASL_BENCH_H

#include "policy/vocabulary/memory.h"
#include "relay/inbound/sasl_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

struct bench_task {
    struct bench_task *next;
    worker_task_fn *fn;
    void *arg;
};

static pthread_mutex_t bench_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t bench_posted = PTHREAD_COND_INITIALIZER;
static struct bench_task *bench_first, **bench_last = &bench_first;
static atomic_llong bench_now_ms;
static char bench_folder[64];
static struct worker *const bench_worker = (struct worker *)&bench_first;

void worker_wake(void *worker)
{
    (void)worker;
}

void worker_leave(struct worker *w, worker_task_fn *fn, void *arg)
{
    struct bench_task *t = NEW(struct bench_task);

    (void)w;
    *t = (struct bench_task){ .fn = fn, .arg = arg };
    (void)pthread_mutex_lock(&bench_lock);
    *bench_last = t;
    bench_last = &t->next;
    (void)pthread_cond_signal(&bench_posted);
    (void)pthread_mutex_unlock(&bench_lock);
}

/* Waits for a task and runs it, as a worker would. */
static inline void bench_run_task(void)
{
    struct bench_task *t;

    (void)pthread_mutex_lock(&bench_lock);
    while (!bench_first)
        (void)pthread_cond_wait(&bench_posted, &bench_lock);
    t = bench_first;
    bench_first = t->next;
    if (!bench_first)
        bench_last = &bench_first;
    (void)pthread_mutex_unlock(&bench_lock);
    t->fn(bench_worker, t->arg);
    free(t);
}

static int64_t bench_clock(void)
{
    return atomic_load(&bench_now_ms);
}

static inline const char *bench_path(const char *name)
{
    static char path[4][128];
    static unsigned turn;
    char *p = path[turn++ % 4];

    (void)snprintf(p, sizeof path[0], "%s/%s", bench_folder, name);
    return p;
}

/* Replaces a file whole, as `waypost user` does. */
static inline void bench_write(const char *name, const char *text)
{
    const char *path = bench_path(name), *fresh = bench_path("fresh");
    FILE *f = fopen(fresh, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(fresh, 0600), 0);
    assert_int_equal(rename(fresh, path), 0);
}

static inline int bench_setup(void **state)
{
    (void)state;
    (void)snprintf(bench_folder, sizeof bench_folder, "/tmp/sasl-XXXXXX");
    assert_non_null(mkdtemp(bench_folder));
    return 0;
}

static inline int bench_teardown(void **state)
{
    char command[128];

    (void)state;
    (void)snprintf(command, sizeof command, "rm -r %s", bench_folder);
    return system(command);
}

static inline struct sasl_desk *bench_desk(const struct users_settings *u)
{
    struct settings s = { .users = *u };
    struct buffer why = { 0 };
    struct sasl_desk *d = NULL;

    if (sasl_desk_open(&d, &s, &why) < 0)
        fail_msg("%s", buffer_string(&why));
    buffer_fini(&why);
    d->clock = bench_clock;
    d->looked_ms = bench_clock();
    return d;
}

/* One AUTH command, seen from the session. */
struct talk {
    struct sasl_exchange *x;
    enum sasl_said said;
    bool is_answered;
    char text[4096];
    size_t text_len;
    char login[512];
};

static void talk_on_answer(void *worker, uint64_t token,
                           const struct sasl_result *r)
{
    struct talk *t = (struct talk *)(uintptr_t)token;

    assert_ptr_equal(worker, bench_worker);
    assert_false(t->is_answered);
    assert_true(r->text.len < sizeof t->text && r->login.len < sizeof t->login);
    *t = (struct talk){
        .x = t->x, .said = r->said, .is_answered = true, .text_len = r->text.len
    };
    if (r->text.len)
        memcpy(t->text, r->text.at, r->text.len);
    if (r->login.len)
        memcpy(t->login, r->login.at, r->login.len);
}

static inline void talk_begin(struct talk *t, struct sasl_desk *d,
                              const struct sasl_question *q)
{
    struct sasl_question with = *q;

    *t = (struct talk){ 0 };
    if (!with.hostname.at)
        with.hostname = SPAN("mx.test");
    (void)host_address_parse(SPAN("192.0.2.7"), &with.client);
    t->x = sasl_begin(d, bench_worker, &with, talk_on_answer,
                      (uint64_t)(uintptr_t)t);
}

/* at NULL: no response. */
static inline enum sasl_said talk_step(struct talk *t, const char *at,
                                       size_t len)
{
    t->is_answered = false;
    sasl_step(t->x, at != NULL, span_make(at, len));
    while (!t->is_answered)
        bench_run_task();
    return t->said;
}

static inline void talk_end(struct talk *t)
{
    sasl_drop(t->x);
    t->x = NULL;
}

/* One step is all of it. */
static inline enum sasl_said talk_once(struct talk *t, struct sasl_desk *d,
                                       unsigned mechanism, const char *at,
                                       size_t len)
{
    talk_begin(t, d, &(struct sasl_question){ .mechanism = mechanism });
    (void)talk_step(t, at, len);
    talk_end(t);
    return t->said;
}

/* AUTH PLAIN of a login and a password. */
static inline enum sasl_said talk_plain(struct talk *t, struct sasl_desk *d,
                                        const char *login, const char *password)
{
    char r[2048];
    int n = snprintf(r, sizeof r, "%c%s%c%s", 0, login, 0, password);

    return talk_once(t, d, MECHANISM_PLAIN, r, (size_t)n);
}

#endif
