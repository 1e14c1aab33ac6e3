/*
 * sasl - may this client log in, and as whom?
 *
 * An exchange's way from the worker to a thread and back. See sasl_private.h for the
 * places where it can be.
 */
#include "relay/inbound/sasl_private.h"

#include "policy/vocabulary/memory.h"

#include <openssl/crypto.h>
#include <stdlib.h>

/* Nothing that is spoken here has more; one that goes on saying nothing is cut. */
enum { ROUNDS_MOST = 8 };

/* Ours to judge whatever the backend is. */
#define MECHANISMS_OF_FILES (MECHANISM_EXTERNAL | MECHANISM_CRAM_MD5)

/* clang-format off */
static const struct {
    unsigned mechanisms;                                    sasl_step_fn *step;
} steps[] = {
    { MECHANISM_PLAIN,                                      sasl_plain },
    { MECHANISM_LOGIN,                                      sasl_login },
    { MECHANISM_EXTERNAL,                                   sasl_external },
    { MECHANISM_SCRAM_SHA_256 | MECHANISM_SCRAM_SHA_256_PLUS |
      MECHANISM_SCRAM_SHA_1 | MECHANISM_SCRAM_SHA_1_PLUS,   sasl_scram },
    { MECHANISM_CRAM_MD5,                                   sasl_cram_md5 },
};
/* clang-format on */

static char *copy(struct span s)
{
    return span_dup(s.at ? s : SPAN(""));
}

struct sasl_exchange *sasl_begin(struct sasl_desk *d, struct worker *w,
                                 const struct sasl_question *q,
                                 sasl_done_fn *done, uint64_t token)
{
    struct sasl_exchange *x = NEW(struct sasl_exchange);
    const struct tls_facts none = { 0 }, *t = q->tls ? q->tls : &none;

    *x = (struct sasl_exchange){
        .desk = d,
        .worker = w,
        .done = done,
        .token = token,
        .mechanism = q->mechanism,
        .offered = q->offered,
        .client = q->client,
        .is_tls = q->tls != NULL,
        .hostname = copy(q->hostname),
        .fingerprint = copy(t->fingerprint),
        .name = copy(t->name),
    };
    buffer_put(&x->exporter, t->exporter);
    return x;
}

static void exchange_free(struct sasl_exchange *take_x)
{
    if (take_x->gsasl)
        gsasl_finish(take_x->gsasl);
    if (take_x->link)
        dovecot_drop(take_x->link);
    if (take_x->book)
        sasl_book_release(take_x->book);
    free(take_x->hostname);
    free(take_x->fingerprint);
    free(take_x->name);
    password_forget_buffer(&take_x->exporter);
    password_forget_buffer(&take_x->response);
    password_forget_buffer(&take_x->text);
    buffer_fini(&take_x->login);
    OPENSSL_cleanse(take_x, sizeof *take_x);
    free(take_x);
}

static void on_answer(struct worker *w, void *arg)
{
    struct sasl_exchange *x = arg;
    struct buffer text, login;
    uint64_t stamp = 0;
    bool is_dropped;

    (void)pthread_mutex_lock(&x->desk->lock);
    x->place = SASL_RESTS;
    is_dropped = x->is_dropped;
    (void)pthread_mutex_unlock(&x->desk->lock);
    if (is_dropped) {
        exchange_free(x);
        return;
    }
    /* done may begin the next step or drop the exchange; the result outlives both. */
    text = x->text;
    login = x->said == SASL_OK ? x->login : (struct buffer){ 0 };
    x->text = (struct buffer){ 0 };
    if (x->said == SASL_OK) {
        stamp = x->book ? sasl_book_stamp(x->book, buffer_span(&login)) : 0;
        x->login = (struct buffer){ 0 };
    }
    x->done(w, x->token,
            &(struct sasl_result){ .said = x->said,
                                   .text = buffer_span(&text),
                                   .login = buffer_span(&login),
                                   .stamp = stamp });
    password_forget_buffer(&text);
    buffer_fini(&login);
}

/* The task is left under the lock: once the worker has dropped an exchange, and perhaps
 * ended, nothing is posted to it. It is woken afterwards, since it wants the lock: its
 * memory outlives the desk. */
void sasl_answer(struct sasl_exchange *x)
{
    struct sasl_desk *d = x->desk;
    struct worker *w = x->worker;
    bool is_dropped;

    (void)pthread_mutex_lock(&d->lock);
    is_dropped = x->is_dropped;
    if (!is_dropped) {
        x->place = SASL_ANSWERED;
        worker_leave(w, on_answer, x);
    }
    (void)pthread_mutex_unlock(&d->lock);
    if (is_dropped)
        exchange_free(x);
    else
        worker_wake(w);
}

static enum sasl_said unavailable(struct sasl_exchange *x, const char *why)
{
    buffer_clear(&x->text);
    buffer_put_string(&x->text, why);
    return SASL_UNAVAILABLE;
}

static enum sasl_said run_step(struct sasl_exchange *x)
{
    if (x->is_over || x->round > ROUNDS_MOST)
        return SASL_BAD;
    if (!x->book)
        x->book = sasl_desk_book(x->desk);
    if (x->book->backend == SASL_DOVECOT &&
        !(x->mechanism & x->book->mechanisms & MECHANISMS_OF_FILES))
        return sasl_dovecot(x); /* it knows best what it serves */
    if (!(x->mechanism & x->book->mechanisms))
        return unavailable(x, "the mechanism is no longer served");
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (steps[i].mechanisms & x->mechanism)
            return steps[i].step(x);
    return SASL_BAD;
}

void sasl_work(struct sasl_exchange *x)
{
    x->said = run_step(x);
    x->round++;
    x->is_over = x->said != SASL_MORE;
    password_forget_buffer(&x->response);
    if (x->said == SASL_WRONG || x->said == SASL_BAD)
        buffer_clear(&x->text);
}

void sasl_step(struct sasl_exchange *x, bool has_response, struct span response)
{
    struct sasl_desk *d = x->desk;
    bool is_full;

    ASSERT(x->place == SASL_RESTS && !x->is_dropped);
    x->has_response = has_response;
    if (has_response)
        buffer_put(&x->response, response);
    (void)pthread_mutex_lock(&d->lock);
    is_full = d->waiting >= SASL_WAITING_MOST || d->is_closing;
    if (!is_full) {
        x->place = SASL_WAITS;
        x->next = NULL;
        *d->last = x;
        d->last = &x->next;
        d->waiting++;
        (void)pthread_cond_broadcast(&d->work_is_there);
    }
    (void)pthread_mutex_unlock(&d->lock);
    if (!is_full)
        return;
    password_forget_buffer(&x->response);
    x->said = unavailable(x, "too many logins wait to be checked");
    x->is_over = true;
    sasl_answer(x);
}

static void leave_queue(struct sasl_desk *d, struct sasl_exchange *x)
{
    struct sasl_exchange **p = &d->first;

    while (*p != x)
        p = &(*p)->next;
    *p = x->next;
    if (!*p)
        d->last = p;
    d->waiting--;
}

void sasl_drop(struct sasl_exchange *take_x)
{
    struct sasl_desk *d = take_x->desk;
    bool is_ours;

    (void)pthread_mutex_lock(&d->lock);
    take_x->is_dropped = true;
    if (take_x->place == SASL_WAITS) {
        leave_queue(d, take_x);
        take_x->place = SASL_RESTS;
    }
    is_ours = take_x->place == SASL_RESTS;
    (void)pthread_mutex_unlock(&d->lock);
    if (is_ours)
        exchange_free(take_x);
}
