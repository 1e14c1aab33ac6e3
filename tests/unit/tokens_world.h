/*
 * tokens_world - a desk for the tests of tokens, with all it meets made up.
 *
 * The token server is one of this process on loopback, on a port of the kernel's choosing;
 * the clock is the test's, the worker is made up, and all that is logged or given as a
 * reason is gathered, so that each test ends by looking for secrets in it.
 */
#ifndef WAYPOST_TOKENS_WORLD_H
#define WAYPOST_TOKENS_WORLD_H

#include "policy/vocabulary/memory.h"
#include "relay/net/log.h"
#include "relay/outbound/keyring.h"
#include "relay/outbound/secret.h"
#include "relay/outbound/tokens.h"
#include "relay/outbound/webpost.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <microhttpd.h>

enum { PATIENCE_S = 60, ANSWERS = 64, REQUESTS = 32, TASKS = 256, S = 1000 };

/* ------------------------------------------------- a made-up worker and log -- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct task {
    worker_task_fn *fn;
    void *arg;
} tasks[TASKS];
static size_t task_count;
static char logged[65536]; /* and reasons */
static atomic_llong clock_ms;
static struct worker worker;

void worker_post(struct worker *w, worker_task_fn *fn, void *arg)
{
    (void)w;
    pthread_mutex_lock(&lock);
    assert_true(task_count < TASKS);
    tasks[task_count].fn = fn;
    tasks[task_count++].arg = arg;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static inline void note(const char *text, size_t len)
{
    size_t used = strlen(logged);

    assert_true(used + len + 2 < sizeof logged);
    memcpy(logged + used, text, len);
    memcpy(logged + used + len, "\n", 2);
}

void log_text(enum log_event event, const char *format, ...)
{
    char line[4096];
    va_list args;

    (void)event;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    pthread_mutex_lock(&lock);
    note(line, strlen(line));
    pthread_mutex_unlock(&lock);
}

void log_flush(void)
{
}

static inline bool was_logged(const char *text)
{
    bool is_there;

    pthread_mutex_lock(&lock);
    is_there = strstr(logged, text) != NULL;
    pthread_mutex_unlock(&lock);
    return is_there;
}

static inline void wait_logged(const char *text)
{
    for (size_t i = 0; !was_logged(text); i++) {
        assert_true(i < PATIENCE_S * 1000);
        (void)usleep(1000);
    }
}

static inline int64_t now(void)
{
    return atomic_load(&clock_ms);
}

static inline void pass(int64_t ms)
{
    atomic_fetch_add(&clock_ms, ms);
}

/* -------------------------------------------------------- a token server ---- */

struct answer {
    unsigned status;
    const char *body;
    size_t size; /* 0: that of body; else so many x */
    const char *location;
    bool is_silent; /* until the test is over */
};

static struct {
    struct MHD_Daemon *daemon;
    uint16_t port;
    struct answer answers[REQUESTS]; /* the last one is given again and again */
    size_t answer_count, count;
    char authorization[REQUESTS][512];
    char body[REQUESTS][1024];
    bool lets_go;
} server;

static inline struct MHD_Response *make_response(const struct answer *r)
{
    size_t size = r->size ? r->size : strlen(r->body);
    char *bytes = memory_take(size + 1);
    struct MHD_Response *response;

    if (r->size)
        memset(bytes, 'x', size);
    else
        memcpy(bytes, r->body, size);
    response =
        MHD_create_response_from_buffer(size, bytes, MHD_RESPMEM_MUST_FREE);
    if (r->location)
        (void)MHD_add_response_header(response, "Location", r->location);
    return response;
}

static inline struct answer take_request(struct MHD_Connection *c,
                                         const char *body)
{
    const char *header =
        MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization");
    struct answer r;
    size_t n;

    pthread_mutex_lock(&lock);
    n = server.count++;
    assert_true(n < REQUESTS);
    (void)snprintf(server.authorization[n], sizeof server.authorization[n],
                   "%s", header ? header : "");
    (void)snprintf(server.body[n], sizeof server.body[n], "%s", body);
    r = server.answers[n < server.answer_count ? n : server.answer_count - 1];
    pthread_cond_broadcast(&changed);
    while (r.is_silent && !server.lets_go)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    return r;
}

static inline enum MHD_Result on_request(void *user, struct MHD_Connection *c,
                                         const char *url, const char *method,
                                         const char *version,
                                         const char *upload,
                                         size_t *upload_size, void **own)
{
    struct buffer *body = *own;
    struct MHD_Response *response;
    struct answer r;
    enum MHD_Result rc;

    (void)user;
    (void)version;
    if (!body) {
        *own = NEW(struct buffer);
        return MHD_YES;
    }
    if (*upload_size) {
        buffer_put(body, span_make(upload, *upload_size));
        *upload_size = 0;
        return MHD_YES;
    }
    assert_string_equal(url, "/token");
    assert_string_equal(method, "POST");
    r = take_request(c, buffer_string(body));
    response = make_response(&r);
    rc = MHD_queue_response(c, r.status, response);
    MHD_destroy_response(response);
    return rc;
}

static inline void on_request_over(void *user, struct MHD_Connection *c,
                                   void **own,
                                   enum MHD_RequestTerminationCode why)
{
    struct buffer *body = *own;

    (void)user;
    (void)c;
    (void)why;
    if (body)
        buffer_fini(body);
    free(body);
}

static inline void serve(const struct answer *answers, size_t count)
{
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

    memcpy(server.answers, answers, count * sizeof *answers);
    server.answer_count = count;
    if (server.daemon)
        return;
    server.daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION, 0,
        NULL, NULL, on_request, NULL, MHD_OPTION_SOCK_ADDR, &in,
        MHD_OPTION_NOTIFY_COMPLETED, on_request_over, NULL, MHD_OPTION_END);
    assert_non_null(server.daemon);
    server.port =
        MHD_get_daemon_info(server.daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

#define SERVE(...)                                                             \
    do {                                                                       \
        const struct answer list[] = { __VA_ARGS__ };                          \
        serve(list, sizeof list / sizeof list[0]);                             \
    } while (0)

#define TOKEN(name, seconds)                                                   \
    {                                                                          \
        .status = 200,                                                         \
        .body = "{\"access_token\":\"" name                                    \
                "\",\"token_type\":\"Bearer\",\"expires_in\":" #seconds "}"    \
    }
#define OUTAGE                                                                 \
    {                                                                          \
        .status = 503, .body = "busy"                                          \
    }

static inline size_t requests(void)
{
    size_t n;

    pthread_mutex_lock(&lock);
    n = server.count;
    pthread_mutex_unlock(&lock);
    return n;
}

/* ------------------------------------------------------------------ a desk ---- */

struct got {
    uint64_t token;
    int rc;
    char secret[256], why[512];
};

struct world {
    struct tokens *desk;
    struct tokens_options options;
    char folder[64];
    char url[64];
    struct got got[ANSWERS]; /* in order of arrival */
    size_t count;
};

static struct world *here;

static inline int setup(void **state)
{
    here = NEW(struct world);
    (void)snprintf(here->folder, sizeof here->folder, "%s/tokens.XXXXXX",
                   P_tmpdir);
    assert_non_null(mkdtemp(here->folder));
    here->options = (struct tokens_options){ .now_ms = now };
    memset(&server, 0, sizeof server);
    memset(logged, 0, sizeof logged);
    atomic_store(&clock_ms, 1000000);
    task_count = 0;
    *state = here;
    return 0;
}

static inline void path_of(char *out, size_t size, const char *name)
{
    (void)snprintf(out, size, "%s/%s", here->folder, name);
}

static inline void no_secret_was_told(void)
{
    static const char *const secrets[] = { "s3cret", "tok-", "ref-" };

    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
        if (strstr(logged, secrets[i]))
            fail_msg("a secret was told:\n%s", logged);
}

static inline void close_desk(void)
{
    tokens_close(here->desk);
    here->desk = NULL;
}

static inline int teardown(void **state)
{
    char command[128];

    (void)state;
    pthread_mutex_lock(&lock);
    server.lets_go = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    close_desk();
    if (server.daemon)
        MHD_stop_daemon(server.daemon);
    no_secret_was_told();
    (void)snprintf(command, sizeof command, "rm -rf %s", here->folder);
    assert_int_equal(system(command), 0);
    free(here);
    return 0;
}

static inline void on_token(void *w, uint64_t token, int rc, struct span secret,
                            struct span why)
{
    struct got *g = &here->got[here->count];

    assert_ptr_equal(w, &worker);
    assert_true(here->count++ < ANSWERS);
    g->token = token;
    g->rc = rc;
    (void)snprintf(g->secret, sizeof g->secret, "%.*s", SPAN_FMT(secret));
    (void)snprintf(g->why, sizeof g->why, "%.*s", SPAN_FMT(why));
    pthread_mutex_lock(&lock);
    note(why.at ? why.at : "", why.len);
    pthread_mutex_unlock(&lock);
    assert_true(rc < 0 ? why.len > 0 && secret.len == 0 : why.len == 0);
}

static inline void ask(const struct account *a)
{
    static uint64_t number;

    if (!here->desk)
        assert_int_equal(tokens_open_with(&here->desk, &here->options), 0);
    tokens_get(here->desk, &worker, a, on_token, ++number);
}

/* With the lock, which is not held while they run: more may come meanwhile. */
static inline void run_tasks(void)
{
    size_t n = task_count;
    struct task all[TASKS];

    memcpy(all, tasks, n * sizeof *tasks);
    task_count = 0;
    pthread_mutex_unlock(&lock);
    for (size_t i = 0; i < n; i++)
        all[i].fn(&worker, all[i].arg);
    pthread_mutex_lock(&lock);
}

/* Until so many answers are there. */
static inline void run(size_t count)
{
    struct timespec end;

    (void)clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&lock);
    while (here->count < count) {
        if (task_count > 0)
            run_tasks();
        else if (pthread_cond_timedwait(&changed, &lock, &end) != 0)
            fail_msg("%zu answers of %zu:\n%s", here->count, count, logged);
    }
    pthread_mutex_unlock(&lock);
}

static inline void wait_requests(size_t count)
{
    struct timespec end;

    (void)clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&lock);
    while (server.count < count)
        if (pthread_cond_timedwait(&changed, &lock, &end) != 0)
            fail_msg("%zu requests of %zu", server.count, count);
    pthread_mutex_unlock(&lock);
}

/* Asks, waits, and gives the answer. */
static inline const struct got *get(const struct account *a)
{
    size_t n = here->count;

    ask(a);
    run(n + 1);
    return &here->got[n];
}

static inline void shows(const struct account *a, const char *secret)
{
    const struct got *g = get(a);

    if (g->rc < 0)
        fail_msg("%s: %s", secret, g->why);
    assert_string_equal(g->secret, secret);
}

static inline void fails(const struct account *a, int rc, const char *why)
{
    const struct got *g = get(a);

    if (!strstr(g->why, why))
        fail_msg("\"%s\" is not in \"%s\"", why, g->why);
    assert_int_equal(g->rc, rc);
}

static inline struct span file(const char *name, const char *content)
{
    char path[128];
    FILE *f;

    path_of(path, sizeof path, name);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(content, f) >= 0);
    (void)fclose(f);
    assert_int_equal(chmod(path, 0600), 0);
    return span_of(strdup(path));
}

static inline void holds(struct span path, const char *content)
{
    char text[256] = "";
    FILE *f = fopen(path.at, "r");

    assert_non_null(f);
    assert_true(fread(text, 1, sizeof text - 1, f) > 0);
    (void)fclose(f);
    assert_string_equal(text, content);
}

static inline void release(struct span path)
{
    char *own;

    memcpy(&own, &path.at, sizeof own);
    free(own);
}

static inline struct account application(void)
{
    (void)snprintf(here->url, sizeof here->url, "http://127.0.0.1:%u/token",
                   server.port);
    return (struct account){ .title = SPAN("big"),
                             .user = SPAN("us@big.test"),
                             .token_url = span_of(here->url),
                             .client_id = SPAN("app 1"),
                             .scope = SPAN("mail.send offline") };
}

static inline struct account command(struct span words[3], const char *script)
{
    words[0] = SPAN("/bin/sh");
    words[1] = SPAN("-c");
    words[2] = span_of(script);
    return (struct account){ .user = SPAN("us"),
                             .token_command = words,
                             .token_command_count = 3 };
}

/* A killed one may still wait for somebody to ask for its status. */
static inline bool is_gone(const char *path)
{
    char stat_path[64], line[256] = "";
    long pid = 0;
    FILE *f = fopen(path, "r");

    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld", &pid), 1);
    (void)fclose(f);
    (void)snprintf(stat_path, sizeof stat_path, "/proc/%ld/stat", pid);
    f = fopen(stat_path, "r");
    if (!f)
        return true;
    line[0] = (char)(fgets(line, sizeof line, f) ? line[0] : 0);
    (void)fclose(f);
    return strstr(line, ") Z ") != NULL || !line[0];
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
