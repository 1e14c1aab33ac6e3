/*
 * sasl_desk - the threads that check, and the book they look in.
 *
 * The book is what settings and files say; it is never changed but replaced, by
 * sasl_desk_reload or by a thread that found other files. A file that has become
 * unreadable or wrong leaves the former book in use, with a warning once: a slip of an
 * editor must not lock everybody out.
 */
#include "relay/inbound/pambase.h"
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

/* How long opening waits for Dovecot to say what it can. */
enum { LEARN_MS = 1000 };

enum { CHECKS_NICE = 10 };

static int64_t monotonic_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void sasl_book_release(struct sasl_book *b)
{
    if (atomic_fetch_sub(&b->holders, 1) > 1)
        return;
    for (size_t i = 0; i < SASL_FILES; i++) {
        userfile_free(b->files[i]);
        free(b->paths[i]);
    }
    dovecot_free(b->dovecot);
    password_cache_free(b->cache);
    free(b->service);
    free(b->socket);
    free(b);
}

static unsigned mechanisms_of(const struct sasl_book *b)
{
    const struct userfile *users = b->files[USERFILE_VERIFIERS];
    unsigned set = 0;

    switch (b->backend) {
    case SASL_FILE:
        set = MECHANISM_PLAIN | MECHANISM_LOGIN;
        /* A client takes the best that is offered and does not come back with
         * another, so SCRAM is for when it fits everybody. */
        if (userfile_all_have(users, PASSWORD_SHA_256))
            set |= MECHANISM_SCRAM_SHA_256 | MECHANISM_SCRAM_SHA_256_PLUS;
        if (userfile_all_have(users, PASSWORD_SHA_1))
            set |= MECHANISM_SCRAM_SHA_1 | MECHANISM_SCRAM_SHA_1_PLUS;
        break;
    case SASL_PAM:
        set = MECHANISM_PLAIN | MECHANISM_LOGIN;
        break;
    case SASL_DOVECOT:
        set = dovecot_mechanisms(b->dovecot);
        break;
    case SASL_NOBODY:
        break;
    }
    if (b->files[USERFILE_CRAM])
        set |= MECHANISM_CRAM_MD5;
    if (b->files[USERFILE_CERTIFICATES])
        set |= MECHANISM_EXTERNAL;
    return set;
}

/* Reads the files that b names. On failure b is released. */
static struct sasl_book *book_fill(struct sasl_book *b, struct buffer *out_why)
{
    atomic_store(&b->holders, 1);
    b->cache = password_cache_new();
    for (size_t i = 0; i < SASL_FILES; i++) {
        if (!b->paths[i])
            continue;
        b->files[i] = userfile_read((enum userfile_kind)i, b->paths[i],
                                    &b->seen[i], out_why);
        if (!b->files[i]) {
            if (i != USERFILE_CERTIFICATES && access(b->paths[i], F_OK) < 0)
                buffer_put_string(out_why, ": waypost user add makes it");
            sasl_book_release(b);
            return NULL;
        }
    }
    if (b->socket)
        b->dovecot = dovecot_new(b->socket);
    return b;
}

static char *copy(struct span s)
{
    return s.len ? span_dup(s) : NULL;
}

static struct sasl_book *book_of(const struct users_settings *u,
                                 struct buffer *out_why)
{
    struct sasl_book *b = NEW(struct sasl_book);

    b->paths[USERFILE_VERIFIERS] = copy(u->file);
    b->paths[USERFILE_CRAM] = copy(u->cram_file);
    b->paths[USERFILE_CERTIFICATES] = copy(u->certificates);
    b->service = copy(u->pam);
    b->socket = copy(u->dovecot);
    b->backend = u->dovecot.len ? SASL_DOVECOT
                 : u->pam.len   ? SASL_PAM
                 : u->file.len  ? SASL_FILE
                                : SASL_NOBODY;
    b = book_fill(b, out_why);
    if (b && b->dovecot && !dovecot_learn(b->dovecot, LEARN_MS, out_why)) {
        /* It may come up later; what fits nearly every Dovecot is offered. */
        log_text(LOG_WARNING, "logins: %s", buffer_string(out_why));
        buffer_clear(out_why);
    }
    if (b && b->backend == SASL_PAM &&
        pambase_is_out_of_reach(NULL, u->pam, PAMBASE_SHADOW))
        log_text(LOG_WARNING,
                 "logins: PAM cannot read " PAMBASE_SHADOW " as this user, so "
                 "none is let in (454): put the relay's user into the group "
                 "of that file (usermod -aG shadow USER) and restart it");
    if (b)
        b->mechanisms = mechanisms_of(b);
    return b;
}

static struct sasl_book *book_again(const struct sasl_book *old,
                                    struct buffer *out_why)
{
    struct sasl_book *b = NEW(struct sasl_book);

    for (size_t i = 0; i < SASL_FILES; i++)
        b->paths[i] = copy(span_of(old->paths[i]));
    b->service = copy(span_of(old->service));
    b->socket = copy(span_of(old->socket));
    b->backend = old->backend;
    b = book_fill(b, out_why);
    if (b && b->dovecot)
        dovecot_inherit(b->dovecot, old->dovecot);
    if (b)
        b->mechanisms = mechanisms_of(b);
    return b;
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev &&
           a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_mode == b->st_mode;
}

/* Have the book's files changed since the last try? Remembers them as tried. */
static bool look(struct sasl_book *b, struct stat *tried)
{
    bool is_other = false;

    for (size_t i = 0; i < SASL_FILES; i++) {
        struct stat now = { 0 };

        if (!b->paths[i])
            continue;
        if (stat(b->paths[i], &now) < 0)
            now = (struct stat){ 0 };
        is_other = is_other || !is_same_file(&now, &tried[i]);
        tried[i] = now;
    }
    return is_other;
}

static void book_install(struct sasl_desk *d, struct sasl_book *take_b)
{
    struct sasl_book *old = d->book;

    d->book = take_b;
    atomic_store(&d->mechanisms, take_b->mechanisms);
    if (old)
        sasl_book_release(old);
}

static struct sasl_book *book_hold(struct sasl_book *b)
{
    atomic_fetch_add(&b->holders, 1);
    return b;
}

/* One thread looks, without the lock; the others take the book that is there. False: the files
 * are no good. */
static bool refresh(struct sasl_desk *d, struct sasl_book *old,
                    struct stat *tried)
{
    struct buffer why = { 0 };
    struct sasl_book *b;
    bool is_good;

    if (!look(old, tried)) {
        sasl_book_release(old);
        return true;
    }
    b = book_again(old, &why);
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
    return book_hold(d->book);
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
    b = book_hold(d->book);
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

/* FNV-1a. */
static uint64_t mix(uint64_t sum, const void *at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum = (sum ^ ((const unsigned char *)at)[i]) * 0x100000001b3;
    return sum;
}

uint64_t sasl_book_stamp(const struct sasl_book *b, struct span login)
{
    uint64_t sum = 0xcbf29ce484222325;
    bool is_there = false;

    for (size_t i = 0; i < USERFILE_CERTIFICATES; i++) {
        const struct userfile_entry *e =
            b->files[i] ? userfile_find(b->files[i], login) : NULL;

        if (!e)
            continue;
        is_there = true;
        sum = mix(sum, e->value.at, e->value.len);
        sum = mix(sum, e->crypt, e->crypt ? strlen(e->crypt) : 0);
        for (size_t k = 0; k < PASSWORD_HASHES; k++)
            sum = mix(sum, e->scram[k].stored_key, PASSWORD_KEY_MOST);
    }
    return is_there ? sum | 1 : 0;
}

uint64_t sasl_stamp(struct sasl_desk *d, struct span login)
{
    struct sasl_book *b;
    uint64_t stamp;

    (void)pthread_mutex_lock(&d->lock);
    b = book_hold(d->book);
    (void)pthread_mutex_unlock(&d->lock);
    stamp = sasl_book_stamp(b, login);
    sasl_book_release(b);
    return stamp;
}

void sasl_desk_learned(struct sasl_desk *d, const struct sasl_book *b)
{
    (void)pthread_mutex_lock(&d->lock);
    if (d->book == b)
        atomic_store(&d->mechanisms, mechanisms_of(b));
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
    struct sasl_book *b = book_of(&s->users, out_why);
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
