/*
 * sasl_desk - the threads that check, and the book they look in.
 *
 * The book is what settings and files say; it is never changed but replaced, by
 * sasl_desk_reload or by a thread that found other files. A file that has become
 * unreadable or wrong leaves the former book in use, with a warning once: a slip of an
 * editor must not lock everybody out.
 */
#include "relay/inbound/sasl_private.h"

#include "policy/vocabulary/memory.h"
#include "relay/net/log.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { CHECKS_NICE = 10 };

static int64_t monotonic_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void book_install(struct sasl_desk *d, struct sasl_book *take_b)
{
    struct sasl_book *old = d->book;

    d->book = take_b;
    atomic_store(&d->mechanisms, take_b->mechanisms);
    if (old)
        sasl_book_release(old);
}

/* One thread looks, without the lock; the others take the book that is there. False: the files
 * are no good. */
static bool refresh(struct sasl_desk *d, struct sasl_book *old,
                    struct stat *tried)
{
    struct buffer why = { 0 };
    struct sasl_book *b;
    bool is_good;

    if (!sasl_book_has_changed(old, tried)) {
        sasl_book_release(old);
        return true;
    }
    b = sasl_book_again(old, &why);
    is_good = b != NULL;
    if (!b)
        log_text(LOG_WARNING, "%s; the former logins stay in use",
                 buffer_string(&why));
    (void)pthread_mutex_lock(&d->lock);
    if (d->book == old) { /* no reload came between */
        memcpy(d->tried, b ? b->seen : tried, sizeof d->tried);
        if (b)
            book_install(d, b);
        b = NULL;
    }
    (void)pthread_mutex_unlock(&d->lock);
    if (b)
        sasl_book_release(b);
    sasl_book_release(old);
    buffer_fini(&why);
    log_flush();
    return is_good;
}

/* With the lock held: the book to be refreshed, and what was tried of it. */
static struct sasl_book *begin_look(struct sasl_desk *d, int64_t now,
                                    struct stat *out_tried)
{
    d->looked_ms = now;
    memcpy(out_tried, d->tried, sizeof d->tried);
    return sasl_book_hold(d->book);
}

struct sasl_book *sasl_desk_book(struct sasl_desk *d)
{
    struct sasl_book *looked = NULL, *b;
    struct stat tried[SASL_FILES];
    int64_t now = d->clock();

    (void)pthread_mutex_lock(&d->lock);
    if (now - d->looked_ms >= SASL_LOOK_MS)
        looked = begin_look(d, now, tried);
    (void)pthread_mutex_unlock(&d->lock);
    if (looked)
        (void)refresh(d, looked, tried);
    (void)pthread_mutex_lock(&d->lock);
    b = sasl_book_hold(d->book);
    (void)pthread_mutex_unlock(&d->lock);
    return b;
}

bool sasl_desk_look(struct sasl_desk *d)
{
    struct stat tried[SASL_FILES];
    struct sasl_book *looked;

    (void)pthread_mutex_lock(&d->lock);
    looked = begin_look(d, d->clock(), tried);
    (void)pthread_mutex_unlock(&d->lock);
    return refresh(d, looked, tried);
}

uint64_t sasl_stamp(struct sasl_desk *d, struct span login)
{
    struct sasl_book *b;
    uint64_t stamp;

    (void)pthread_mutex_lock(&d->lock);
    b = sasl_book_hold(d->book);
    (void)pthread_mutex_unlock(&d->lock);
    stamp = sasl_book_stamp(b, login);
    sasl_book_release(b);
    return stamp;
}

void sasl_desk_learned(struct sasl_desk *d, const struct sasl_book *b)
{
    (void)pthread_mutex_lock(&d->lock);
    if (d->book == b)
        atomic_store(&d->mechanisms, sasl_book_mechanisms(b));
    (void)pthread_mutex_unlock(&d->lock);
}

static void *thread_main(void *arg)
{
    struct sasl_desk *d = arg;
    struct sasl_exchange *x;
    unsigned index;

    /* Of this thread alone: the loops go first. A check may take longer when
     * hundreds log in, mail may not. */
    (void)setpriority(PRIO_PROCESS, 0, CHECKS_NICE);
    (void)pthread_setname_np(pthread_self(), "logins");
    (void)pthread_mutex_lock(&d->lock);
    index = d->thread_index++;
    for (;;) {
        while (!d->is_closing && (!d->first || index >= d->threads_at_work))
            (void)pthread_cond_wait(&d->work_is_there, &d->lock);
        if (d->is_closing)
            break;
        x = d->first;
        d->first = x->next;
        if (!d->first)
            d->last = &d->first;
        d->waiting--;
        x->place = SASL_WORKS;
        (void)pthread_mutex_unlock(&d->lock);
        sasl_work(x);
        sasl_answer(x);
        (void)pthread_mutex_lock(&d->lock);
    }
    (void)pthread_mutex_unlock(&d->lock);
    return NULL;
}

/* So many may take work from now on. Signals belong to the main loop. */
static void put_to_work(struct sasl_desk *d, unsigned count)
{
    sigset_t all, before;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    while (d->thread_count < count &&
           pthread_create(&d->threads[d->thread_count], NULL, thread_main, d) ==
               0)
        d->thread_count++;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_mutex_lock(&d->lock);
    d->threads_at_work = count;
    (void)pthread_cond_broadcast(&d->work_is_there);
    (void)pthread_mutex_unlock(&d->lock);
}

int sasl_desk_reload(struct sasl_desk *d, const struct settings *s,
                     struct buffer *out_why)
{
    struct sasl_book *b = sasl_book_of(&s->users, out_why);
    bool is_waiting;

    if (!b)
        return ERROR_CONFIG;
    is_waiting = b->backend == SASL_PAM || b->backend == SASL_DOVECOT;
    (void)pthread_mutex_lock(&d->lock);
    memcpy(d->tried, b->seen, sizeof d->tried);
    book_install(d, b);
    (void)pthread_mutex_unlock(&d->lock);
    put_to_work(d, is_waiting ? SASL_THREADS_MOST : SASL_THREADS_COMPUTING);
    if (d->thread_count == 0) {
        buffer_put_string(out_why, "users: no thread can be made");
        return -EAGAIN;
    }
    return 0;
}

int sasl_desk_open(struct sasl_desk **out_d, const struct settings *s,
                   struct buffer *out_why)
{
    struct sasl_desk *d = NEW(struct sasl_desk);
    int rc;

    ASSERT(pthread_mutex_init(&d->lock, NULL) == 0);
    ASSERT(pthread_cond_init(&d->work_is_there, NULL) == 0);
    ASSERT(RAND_bytes(d->secret, sizeof d->secret) == 1);
    ASSERT(gsasl_init(&d->gsasl) == GSASL_OK);
    gsasl_callback_set(d->gsasl, sasl_scram_callback);
    d->last = &d->first;
    d->clock = monotonic_ms;
    d->looked_ms = d->clock();
    rc = sasl_desk_reload(d, s, out_why);
    if (rc < 0)
        sasl_desk_close(d);
    else
        *out_d = d;
    return rc;
}

void sasl_desk_close(struct sasl_desk *d)
{
    if (!d)
        return;
    (void)pthread_mutex_lock(&d->lock);
    ASSERT(!d->first);
    d->is_closing = true;
    (void)pthread_cond_broadcast(&d->work_is_there);
    (void)pthread_mutex_unlock(&d->lock);
    for (unsigned i = 0; i < d->thread_count; i++)
        (void)pthread_join(d->threads[i], NULL);
    if (d->book)
        sasl_book_release(d->book);
    gsasl_done(d->gsasl);
    (void)pthread_mutex_destroy(&d->lock);
    (void)pthread_cond_destroy(&d->work_is_there);
    OPENSSL_cleanse(d->secret, sizeof d->secret);
    free(d);
}

unsigned sasl_mechanisms(struct sasl_desk *d)
{
    return atomic_load(&d->mechanisms);
}
