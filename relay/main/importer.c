/*
 * importer - what programs left in the drop folder while no relay ran becomes mail, once.
 *
 * The thread: claims what is new, tries what is due, sleeps until something is left (inotify) or
 * some seconds have passed. What could not be taken is tried again after 5 s, 10 s ... 5 min.
 */
#include "relay/main/importer_private.h"

#include "policy/vocabulary/memory.h"
#include "queue/queue.h"
#include "relay/net/log.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    LOOK_MS = 5000,
    WAIT_MS = 5000, /* after the first time */
    WAIT_MOST_MS = 5 * 60 * 1000,
};

/* ------------------------------------------------------------- waiting ---- */

static struct job_wait *find_wait(struct importer *i, const struct job *j)
{
    for (size_t k = 0; k < i->wait_count; k++)
        if (strcmp(i->waits[k].name, j->name) == 0)
            return &i->waits[k];
    return NULL;
}

/* Where there is no room it is tried at every look. */
static void wait_for(struct importer *i, const struct job *j)
{
    struct job_wait *w = find_wait(i, j);
    int64_t wait_ms = WAIT_MS;

    if (!w && i->wait_count < JOBS_WAITING) {
        w = &i->waits[i->wait_count++];
        *w = (struct job_wait){ .tries = 0 };
        memcpy(w->name, j->name, sizeof w->name);
    }
    if (!w)
        return;
    for (unsigned n = 0; n < w->tries && wait_ms < WAIT_MOST_MS; n++)
        wait_ms *= 2;
    w->tries++;
    w->due_ms = wall_ms() + (wait_ms < WAIT_MOST_MS ? wait_ms : WAIT_MOST_MS);
}

static void forget(struct importer *i, const struct job *j)
{
    struct job_wait *w = find_wait(i, j);

    if (w)
        *w = i->waits[--i->wait_count];
}

static void try(struct importer *i, const struct job *j)
{
    const struct job_wait *w = find_wait(i, j);

    if (w && wall_ms() < w->due_ms)
        return;
    if (importjob_run(i, j) == IMPORT_LATER)
        wait_for(i, j);
    else
        forget(i, j);
}

/* -------------------------------------------------------------- thread ---- */

/* The settings that hold from now on; another folder is another folder. */
static void take_settings(struct importer *i)
{
    struct settings *next;

    pthread_mutex_lock(&i->lock);
    next = i->next;
    i->next = NULL;
    pthread_mutex_unlock(&i->lock);
    if (!next)
        return;
    if (i->folder && !span_is(span_of(i->folder), next->sendmail.drop))
        importfolder_close(i);
    settings_release(i->settings);
    i->settings = next;
    /* what was put off by the old ones may be taken by these */
    for (size_t k = 0; k < i->wait_count; k++)
        i->waits[k].due_ms = 0;
}

static void look(struct importer *i)
{
    take_settings(i);
    if (!i->settings->sendmail.drops || !importfolder_open(i))
        return;
    importfolder_claim(i);
    importfolder_each(i, try);
}

static void rest(const struct importer *i, int watch)
{
    struct pollfd p[] = { { .fd = i->wake_fd, .events = POLLIN },
                          { .fd = watch, .events = POLLIN } };
    char bytes[4096];
    uint64_t n;

    if (atomic_load(&i->is_stopping))
        return;
    (void)poll(p, watch < 0 ? 1 : 2, LOOK_MS);
    if (p[0].revents)
        (void)!read(i->wake_fd, &n, sizeof n);
    if (watch >= 0 && p[1].revents)
        (void)!read(watch, bytes, sizeof bytes);
}

static void *run(void *user)
{
    struct importer *i = user;
    int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

    while (!atomic_load(&i->is_stopping)) {
        look(i);
        log_flush();
        if (watch >= 0 && i->folder) /* again and again is once */
            (void)inotify_add_watch(watch, i->folder, IN_MOVED_TO);
        rest(i, watch);
    }
    if (watch >= 0)
        (void)close(watch);
    return NULL;
}

static void wake_port(void *user)
{
    (void)!write(((struct importer *)user)->port_fd, &(uint64_t){ 1 },
                 sizeof(uint64_t));
}

static void wake(struct importer *i)
{
    (void)!write(i->wake_fd, &(uint64_t){ 1 }, sizeof(uint64_t));
}

static bool start(struct importer *i)
{
    sigset_t all, before;
    bool ok;

    (void)sigfillset(&all); /* signals are the main loop's */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    ok = pthread_create(&i->thread, NULL, run, i) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return ok;
}

struct importer *importer_open(struct queue *q, struct worker *const *workers,
                               unsigned worker_count, struct settings *settings)
{
    static const struct queue_port_events events = { .wake = wake_port };
    struct importer *i = NEW(struct importer);

    i->queue = q;
    i->workers = workers;
    i->worker_count = worker_count;
    i->next = settings_hold(settings);
    i->talk_fd = i->drop = i->jobs = i->refused = -1;
    i->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    i->port_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&i->lock, NULL);
    i->port = queue_port_open(q, &events, i);
    ASSERT(i->wake_fd >= 0 && i->port_fd >= 0 && start(i));
    return i;
}

void importer_reload(struct importer *i, struct settings *settings)
{
    pthread_mutex_lock(&i->lock);
    settings_release(i->next);
    i->next = settings_hold(settings);
    pthread_mutex_unlock(&i->lock);
    wake(i);
}

void importer_stop(struct importer *i)
{
    pthread_mutex_lock(&i->lock);
    atomic_store(&i->is_stopping, true);
    if (i->talk_fd >= 0)
        (void)shutdown(i->talk_fd, SHUT_RD);
    pthread_mutex_unlock(&i->lock);
    wake(i);
}

void importer_close(struct importer *i)
{
    if (!i)
        return;
    importer_stop(i);
    (void)pthread_join(i->thread, NULL);
    queue_port_close(i->port);
    importfolder_close(i);
    settings_release(i->settings);
    settings_release(i->next);
    pthread_mutex_destroy(&i->lock);
    (void)close(i->wake_fd);
    (void)close(i->port_fd);
    free(i);
}
