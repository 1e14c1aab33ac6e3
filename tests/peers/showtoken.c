/*
 * showtoken - the desk for tokens by itself: prints what an account shows.
 *
 *     showtoken URL CLIENT-ID SECRET-FILE AUTHORITIES
 *
 * "token SECRET" or "error SENTENCE" on standard output; for test_token_server.py, whose token
 * server speaks TLS.
 */
#include "policy/vocabulary/memory.h"
#include "relay/outbound/tokens.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static worker_task_fn *task;
static void *task_arg;

/* In place of the worker's: there is one answer. */
void worker_post(struct worker *w, worker_task_fn *fn, void *arg)
{
    (void)w;
    pthread_mutex_lock(&lock);
    task = fn;
    task_arg = arg;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

static void on_token(void *worker, uint64_t token, int rc, struct span secret,
                     struct span why)
{
    (void)worker;
    (void)token;
    if (rc == 0)
        (void)printf("token %.*s\n", SPAN_FMT(secret));
    else
        (void)printf("error %.*s\n", SPAN_FMT(why));
}

int main(int argc, char **argv)
{
    struct worker *w = NEW(struct worker);
    struct settings *s = NEW(struct settings);
    struct account a = { .title = SPAN("shown") };
    struct tokens *t;

    if (argc != 5)
        return 64;
    a.token_url = span_of(argv[1]);
    a.client_id = span_of(argv[2]);
    a.client_secret_file = span_of(argv[3]);
    s->tls.authorities = span_of(argv[4]);
    w->settings = s;
    if (tokens_open(&t) < 0)
        return 1;
    tokens_get(t, w, &a, on_token, 1);
    pthread_mutex_lock(&lock);
    while (!task)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    task(w, task_arg);
    tokens_close(t);
    free(s);
    free(w);
    return 0;
}
