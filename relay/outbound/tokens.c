/*
 * tokens - the secret that an account shows to a next hop.
 *
 *   tokens_get -> inbox -> [desk's thread: take_inbox -> keyring] -> outbox
 *              -> [worker's thread: on_answer -> done] -> freed
 *
 * A ticket is always on exactly one list (inbox, an entry's waiting, outbox), so that
 * tokens_close finds those that nobody will fetch any more.
 */
#include "relay/outbound/tokens.h"

#include "policy/vocabulary/memory.h"
#include "relay/net/log.h"
#include "relay/outbound/keyring.h"

#include <curl/curl.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

enum {
    CONNECT_MS = 10 * 1000,
    TOTAL_MS = 30 * 1000,
    COMMAND_MS = 30 * 1000,
};

struct tokens {
    struct tokens_options options;
    uv_loop_t loop;
    uv_thread_t thread;
    uv_async_t wake;
    uv_check_t turn; /* end of a turn: the log is written out */
    struct keyring *keyring;
    uv_mutex_t lock; /* guards what follows */
    struct ticket *inbox, **inbox_end;
    struct ticket *outbox; /* posted to a worker, in no order */
    bool is_closing;
};

/* Time asleep counts: tokens end then, too. */
static int64_t boottime_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_BOOTTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ------------------------------------------------------------------ answers ---- */

static void on_answer(struct worker *w, void *arg)
{
    struct ticket *t = arg;
    struct tokens *desk = t->desk;

    uv_mutex_lock(&desk->lock);
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    uv_mutex_unlock(&desk->lock);
    t->done(w, t->token, t->rc, buffer_span(&t->secret), buffer_span(&t->why));
    ticket_free(t);
}

static void post_answer(struct ticket *t)
{
    struct tokens *desk = t->desk;
    struct worker *w = t->worker;

    uv_mutex_lock(&desk->lock);
    t->next = desk->outbox;
    t->link = &desk->outbox;
    if (t->next)
        t->next->link = &t->next;
    desk->outbox = t;
    uv_mutex_unlock(&desk->lock);
    worker_post(w, on_answer, t);
}

/* ---------------------------------------------------------------- questions ---- */

static void hand_in(struct tokens *desk, struct ticket *t)
{
    t->desk = desk;
    uv_mutex_lock(&desk->lock);
    *desk->inbox_end = t;
    desk->inbox_end = &t->next;
    uv_mutex_unlock(&desk->lock);
    (void)uv_async_send(&desk->wake);
}

void tokens_get(struct tokens *desk, struct worker *w, const struct account *a,
                tokens_fn *done, uint64_t token)
{
    struct ticket *t = NEW(struct ticket);

    t->profile = profile_new(a, w->settings ? w->settings->tls.authorities
                                            : span_make(NULL, 0));
    t->worker = w;
    t->done = done;
    t->token = token;
    hand_in(desk, t);
}

void tokens_refused(struct tokens *desk, const struct account *a)
{
    struct ticket *t;

    if (!account_is_bearer(a))
        return;
    t = NEW(struct ticket);
    t->profile = profile_new(a, span_make(NULL, 0));
    hand_in(desk, t);
}

static struct ticket *take_inbox(struct tokens *desk, bool *out_closing)
{
    struct ticket *t;

    uv_mutex_lock(&desk->lock);
    t = desk->inbox;
    desk->inbox = NULL;
    desk->inbox_end = &desk->inbox;
    *out_closing = desk->is_closing;
    uv_mutex_unlock(&desk->lock);
    return t;
}

static void on_wake(uv_async_t *handle)
{
    struct tokens *desk = handle->data;
    bool is_closing;
    struct ticket *t = take_inbox(desk, &is_closing);

    while (t) {
        struct ticket *next = t->next;

        if (is_closing) {
            ticket_free(t);
        } else if (t->done) {
            keyring_get(desk->keyring, t);
        } else {
            keyring_refused(desk->keyring, t->profile);
            ticket_free(t);
        }
        t = next;
    }
    if (!is_closing)
        return;
    keyring_close(desk->keyring);
    uv_close((uv_handle_t *)&desk->turn, NULL);
    uv_close((uv_handle_t *)&desk->wake, NULL);
}

/* --------------------------------------------------------------- the thread ---- */

static void on_turn(uv_check_t *handle)
{
    (void)handle;
    log_flush();
}

static void thread_main(void *arg)
{
    struct tokens *desk = arg;

    (void)pthread_setname_np(pthread_self(), "tokens");
    (void)uv_run(&desk->loop, UV_RUN_DEFAULT);
    log_flush();
}

/* Signals belong to the main loop, but a program's end must be heard here when there is
 * no other. */
static int start_thread(struct tokens *desk)
{
    sigset_t most, before;
    int rc;

    (void)sigfillset(&most);
    (void)sigdelset(&most, SIGCHLD);
    (void)pthread_sigmask(SIG_SETMASK, &most, &before);
    rc = uv_thread_create(&desk->thread, thread_main, desk);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

static void set_options(struct tokens *desk, const struct tokens_options *o)
{
    desk->options = *o;
    if (!o->now_ms)
        desk->options.now_ms = boottime_ms;
    if (!o->connect_ms)
        desk->options.connect_ms = CONNECT_MS;
    if (!o->total_ms)
        desk->options.total_ms = TOTAL_MS;
    if (!o->command_ms)
        desk->options.command_ms = COMMAND_MS;
}

static int open_loop(struct tokens *desk)
{
    int rc = uv_loop_init(&desk->loop);

    if (rc < 0)
        return rc;
    rc = uv_async_init(&desk->loop, &desk->wake, on_wake);
    if (rc < 0) {
        (void)uv_loop_close(&desk->loop);
        return rc;
    }
    (void)uv_check_init(&desk->loop, &desk->turn);
    (void)uv_check_start(&desk->turn, on_turn);
    desk->wake.data = desk->turn.data = desk;
    desk->keyring = keyring_open(&desk->loop, &desk->options, post_answer);
    return 0;
}

static void desk_free(struct tokens *desk)
{
    uv_mutex_destroy(&desk->lock);
    curl_global_cleanup();
    free(desk);
}

int tokens_open_with(struct tokens **out_t,
                     const struct tokens_options *options)
{
    struct tokens *desk = NEW(struct tokens);
    int rc;

    set_options(desk, options);
    desk->inbox_end = &desk->inbox;
    ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    ASSERT(uv_mutex_init(&desk->lock) == 0);
    if ((rc = open_loop(desk)) < 0)
        goto fail;
    if ((rc = start_thread(desk)) < 0) {
        keyring_close(desk->keyring);
        uv_close((uv_handle_t *)&desk->turn, NULL);
        uv_close((uv_handle_t *)&desk->wake, NULL);
        (void)uv_run(&desk->loop, UV_RUN_DEFAULT);
        (void)uv_loop_close(&desk->loop);
        goto fail;
    }
    *out_t = desk;
    return 0;
fail:
    desk_free(desk);
    return rc;
}

int tokens_open(struct tokens **out_t)
{
    const struct tokens_options normal = { .now_ms = NULL };

    return tokens_open_with(out_t, &normal);
}

void tokens_close(struct tokens *desk)
{
    if (!desk)
        return;
    uv_mutex_lock(&desk->lock);
    desk->is_closing = true;
    uv_mutex_unlock(&desk->lock);
    (void)uv_async_send(&desk->wake);
    (void)uv_thread_join(&desk->thread);
    ASSERT(uv_loop_close(&desk->loop) == 0);
    while (desk->outbox) { /* their workers have ended */
        struct ticket *t = desk->outbox;

        desk->outbox = t->next;
        ticket_free(t);
    }
    desk_free(desk);
}
