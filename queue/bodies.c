/*
 * bodies - the threads for content of large messages, and the folder it is in.
 *
 * What concerns one message goes through one of them, in the order in which it was handed
 * in.
 */
#include "queue/body.h"

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/memory.h"
#include "queue/core.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct body_job *body_take(struct body_thread *t)
{
    struct body_job *j;

    pthread_mutex_lock(&t->lock);
    t->is_busy = false;
    while (!t->first && !t->is_stopping) {
        pthread_cond_broadcast(&t->idle);
        pthread_cond_wait(&t->wake, &t->lock);
    }
    j = t->first;
    if (j) {
        t->is_busy = true;
        t->first = j->next;
        if (!t->first)
            t->last = &t->first;
    }
    pthread_mutex_unlock(&t->lock);
    return j;
}

static void *body_main(void *user)
{
    struct body_thread *t = user;
    struct body_job *j;

    while ((j = body_take(t)))
        j->run(t->bodies->queue, j);
    return NULL;
}

void bodies_submit(struct queue *q, struct body_job *take_j)
{
    struct body_thread *t =
        &q->bodies.threads[buckets_hash_number(take_j->message) % BODY_THREADS];

    take_j->next = NULL;
    pthread_mutex_lock(&t->lock);
    *t->last = take_j;
    t->last = &take_j->next;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->lock);
}

int bodies_start(struct bodies *b, struct queue *q, bool read_only)
{
    struct buffer path = { 0 };

    b->queue = q;
    b->folder_fd = -1;
    pthread_mutex_init(&b->folder_lock, NULL);
    pthread_mutex_init(&b->kept_lock, NULL);
    buffer_printf(&path, "%s.content", q->path);
    b->folder = span_dup(buffer_span(&path));
    buffer_fini(&path);
    if (read_only)
        return 0;
    if (mkdir(b->folder, 0700) < 0 && errno != EEXIST)
        return -errno;
    b->folder_fd = open(b->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (b->folder_fd < 0)
        return -errno;
    for (int i = 0; i < BODY_THREADS; i++) {
        struct body_thread *t = &b->threads[i];

        t->bodies = b;
        t->last = &t->first;
        pthread_mutex_init(&t->lock, NULL);
        pthread_cond_init(&t->wake, NULL);
        pthread_cond_init(&t->idle, NULL);
        t->is_running = queue_thread_start(&t->thread, "queue-content", body_main, t);
        ASSERT(t->is_running);
    }
    return 0;
}

bool bodies_is_kept(struct bodies *b, uint64_t message)
{
    bool is_kept;

    pthread_mutex_lock(&b->kept_lock);
    is_kept = b->is_keeping;
    if (is_kept) {
        if (b->kept_count == b->kept_room) {
            b->kept_room = b->kept_room ? b->kept_room * 2 : 64;
            b->kept = memory_grow(b->kept, b->kept_room * sizeof *b->kept);
        }
        b->kept[b->kept_count++] = message;
    }
    pthread_mutex_unlock(&b->kept_lock);
    return is_kept;
}

void bodies_keep(struct bodies *b, bool is_keeping)
{
    uint64_t *kept = NULL;
    size_t count = 0;

    pthread_mutex_lock(&b->kept_lock);
    b->is_keeping = is_keeping;
    if (!is_keeping) {
        kept = b->kept;
        count = b->kept_count;
        b->kept = NULL;
        b->kept_count = b->kept_room = 0;
    }
    pthread_mutex_unlock(&b->kept_lock);
    for (size_t i = 0; i < count; i++)
        body_unlink(b->queue, kept[i]);
    free(kept);
}

void bodies_drain(struct bodies *b)
{
    for (int i = 0; i < BODY_THREADS; i++) {
        struct body_thread *t = &b->threads[i];

        if (!t->is_running)
            continue;
        pthread_mutex_lock(&t->lock);
        while (t->first || t->is_busy)
            pthread_cond_wait(&t->idle, &t->lock);
        pthread_mutex_unlock(&t->lock);
    }
}

void bodies_stop(struct bodies *b)
{
    for (int i = 0; i < BODY_THREADS; i++) {
        struct body_thread *t = &b->threads[i];

        if (!t->is_running)
            continue;
        pthread_mutex_lock(&t->lock);
        t->is_stopping = true;
        pthread_cond_signal(&t->wake);
        pthread_mutex_unlock(&t->lock);
        pthread_join(t->thread, NULL);
        pthread_cond_destroy(&t->wake);
        pthread_cond_destroy(&t->idle);
        pthread_mutex_destroy(&t->lock);
        t->is_running = false;
    }
    if (b->folder && b->folder_fd >= 0)
        close(b->folder_fd);
    free(b->folder);
    b->folder = NULL;
}
