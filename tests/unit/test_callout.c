/*
 * Mailboxes that are asked about: who is told, and when nobody is there any more.
 */
#include "policy/vocabulary/memory.h"
#include "relay/outbound/callout.h"
#include "tests/unit/settings_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

struct world {
    char folder[64], path[96];
    struct worker worker;
    struct delivery delivery;
    size_t told;
    enum callout_answer answer;
};

static void route(void *user, struct span lane, struct queue_destination *out)
{
    (void)user;
    buffer_put(&out->name, lane);
    out->connections = 1;
}

static void wake(void *user)
{
    (void)user;
}

static void on_answer(void *user, uint64_t token, enum callout_answer answer,
                      struct span reply)
{
    struct world *w = user;

    (void)reply;
    assert_int_equal(token, 7);
    w->told++;
    w->answer = answer;
}

static void open_queue(struct world *w)
{
    static const struct queue_port_events events = { .wake = wake };
    struct queue_options o = { .path = w->path, .route = route };
    struct buffer why = { 0 };

    (void)snprintf(w->folder, sizeof w->folder, "/tmp/test-callout-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    (void)snprintf(w->path, sizeof w->path, "%s/queue.db", w->folder);
    assert_int_equal(queue_open(&w->worker.queue, &o, &why), 0);
    w->worker.port = queue_port_open(w->worker.queue, &events, &w->worker);
    buffer_fini(&why);
}

static struct world *world_new(void)
{
    struct buffer faults = { 0 }, warnings = { 0 };
    struct world *w = NEW(struct world);

    w->worker.settings = settings_text(
        "listener \"a\" { address = \"[::]:25\" }\n"
        "rule \"a\" { client = {\"10.0.0.0/8\"} action = relay }\n"
        "route \"*\" { via = {\"smtp://a.test\"} verify = callout }\n",
        &faults, &warnings);
    assert_non_null(w->worker.settings);
    buffer_fini(&faults);
    buffer_fini(&warnings);
    w->worker.delivery = &w->delivery;
    w->delivery.worker = &w->worker;
    callout_open(&w->delivery);
    open_queue(w);
    return w;
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

/* As a worker ends: answers that come late are dropped with the port. */
static void world_free(struct world *w)
{
    callout_close(&w->delivery);
    queue_port_close(w->worker.port);
    queue_stop_claims(w->worker.queue);
    queue_close(w->worker.queue);
    registry_fini(&w->delivery.registry);
    settings_release(w->worker.settings);
    (void)nftw(w->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(w);
}

static void ask(struct world *w, const char *address, void *who)
{
    const struct settings *s = w->worker.settings;

    callout_begin(&w->worker, &(struct callout){
                                  .settings = w->worker.settings,
                                  .route = &s->routes[0],
                                  .recipient = span_of(address),
                                  .done = on_answer,
                                  .user = who,
                                  .token = 7 });
}

static void all_who_ask_about_one_are_told_what_the_notes_say(void **state)
{
    struct world *w = world_new();
    const struct route *r = &w->worker.settings->routes[0];
    struct buffer key = { 0 };

    (void)state;
    buffer_put(&key, r->key);
    buffer_put_string(&key, "\tu@ok.test");
    queue_note_put(w->worker.queue, SPAN("mailbox"), buffer_span(&key),
                   SPAN("yes"), INT64_MAX);
    ask(w, "u@ok.test", w);
    ask(w, "u@ok.test", w);
    while (w->told < 2)
        queue_port_drain(w->worker.port);
    assert_int_equal(w->answer, CALLOUT_YES);
    buffer_fini(&key);
    world_free(w);
}

/* The worker's other side, where the sessions were, is freed before this one. */
static void what_is_recalled_at_the_end_tells_nobody_who_is_gone(void **state)
{
    struct world *w = world_new();
    struct world *gone = NEW(struct world);

    (void)state;
    ask(w, "u@ok.test", gone);
    ask(w, "u@ok.test", gone);
    ask(w, "v@ok.test", gone);
    world_free(w);
    assert_int_equal(gone->told, 0);
    free(gone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_who_ask_about_one_are_told_what_the_notes_say),
        cmocka_unit_test(what_is_recalled_at_the_end_tells_nobody_who_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
