/*
 * maildir - a courier that writes into maildirs instead of visiting hosts.
 *
 * One copy is at hand, `at` says whose. Only the thread touches the copy while it runs, and
 * nothing else of the courier moves meanwhile.
 */
#include "relay/outbound/maildir.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/memory.h"
#include "relay/outbound/courier_private.h"
#include "relay/outbound/maildir_copy.h"

#include <stdlib.h>

#define NAME SPAN("maildir")

enum {
    WORKS_AT_ONCE = 100
}; /* that are not written; then others have the loop */

struct maildir {
    struct courier *courier;
    size_t at; /* of the work's recipients */
    struct maildir_letter letter;
    struct maildir_copy copy;
    struct buffer part; /* of large content */
    struct span bytes;  /* what the thread writes */
    bool is_last;       /* and then closes */
    bool gives_up;      /* or leaves nothing of it: the outcome is noted */
    uv_thread_t thread;
    int thread_rc; /* < 0: there is none */
};

static void next_copy(struct maildir *m);
static void next_work(struct maildir *m);

/* ---------------------------------------------------------- beside the loop ---- */

static void write_copy(struct maildir *m)
{
    struct maildir_copy *c = &m->copy;

    if (m->gives_up)
        maildir_copy_fini(c);
    else if ((c->state == MAILDIR_OPEN || maildir_copy_open(c, &m->letter)) &&
             maildir_copy_put(c, m->bytes) && m->is_last)
        (void)maildir_copy_close(c);
}

static void on_written(struct worker *w, void *maildir);

static void thread_main(void *maildir)
{
    struct maildir *m = maildir;

    (void)pthread_setname_np(pthread_self(), "maildir");
    write_copy(m);
    worker_post(m->courier->delivery->worker, on_written, m);
}

/* on_written comes later, also when there is no thread to be had. */
static void go_beside(struct maildir *m)
{
    m->thread_rc = uv_thread_create(&m->thread, thread_main, m);
    if (m->thread_rc < 0)
        worker_post(m->courier->delivery->worker, on_written, m);
}

/* ------------------------------------------------------------- outcomes ---- */

static void note(struct maildir *m, enum diagnosis d, struct status status,
                 struct span words)
{
    settlement_note(&m->courier->parcel.settlement, m->at,
                    &(struct client_outcome){ d, status, words }, NAME, false);
}

static void note_no_user(struct maildir *m)
{
    struct buffer words = { 0 };

    buffer_put_string(&words, "550 5.1.1 <");
    buffer_put_escaped(&words, m->letter.recipient);
    buffer_put_string(&words, ">: No such user here");
    note(m, DIAGNOSIS_FAILED, STATUS(5, 1, 1), buffer_span(&words));
    buffer_fini(&words);
}

static void note_trouble(struct maildir *m)
{
    struct buffer words = { 0 };

    if (m->thread_rc < 0) {
        buffer_printf(&words, "cannot write: %s", error_text(m->thread_rc));
        note(m, DIAGNOSIS_LATER, STATUS(4, 3, 0), buffer_span(&words));
    } else {
        maildir_copy_words(&m->copy, &words);
        note(m, DIAGNOSIS_LATER, maildir_copy_status(&m->copy),
             buffer_span(&words));
    }
    buffer_fini(&words);
}

static void note_copy(struct maildir *m)
{
    if (m->thread_rc < 0 || m->copy.state == MAILDIR_TROUBLE)
        note_trouble(m);
    else if (m->copy.state == MAILDIR_NO_USER)
        note_no_user(m);
    else
        note(m, DIAGNOSIS_DELIVERED, STATUS(2, 0, 0),
             SPAN("delivered to maildir"));
}

/* --------------------------------------------------------------- content ---- */

/* Line ends become LF, which binary content would not survive. */
static enum client_form form(const struct maildir *m)
{
    const struct queue_work *work = m->courier->parcel.settlement.work;

    return work->envelope.body == BODY_BINARYMIME ? CLIENT_FORM_7BIT
                                                  : CLIENT_FORM_ORIGINAL;
}

/* The outcome is noted; what there is of the copy goes. */
static void give_up(struct maildir *m)
{
    m->gives_up = true;
    go_beside(m);
}

static void write_bytes(struct maildir *m, struct span bytes)
{
    struct client_outcome why;

    m->bytes = bytes;
    if (parcel_pack(&m->courier->parcel, form(m), &m->bytes, &m->is_last,
                    &why)) {
        go_beside(m);
        return;
    }
    note(m, why.diagnosis, why.status, why.reply);
    give_up(m);
}

static void more(struct maildir *m)
{
    struct parcel *p = &m->courier->parcel;

    if (parcel_is_large(p))
        parcel_read_part(p);
    else
        write_bytes(m, p->settlement.work->content);
}

void maildir_part_arrived(void *user, int rc, struct span bytes)
{
    struct courier *c = user;
    struct maildir *m = c->maildir;

    if (rc < 0) {
        parcel_content_failed(&c->parcel, rc);
        give_up(m);
        return;
    }
    buffer_clear(&m->part);
    buffer_put(&m->part, bytes);
    write_bytes(m, buffer_span(&m->part));
}

static void on_written(struct worker *w, void *maildir)
{
    struct maildir *m = maildir;

    (void)w;
    if (m->thread_rc == 0)
        (void)uv_thread_join(&m->thread);
    if (!m->gives_up && m->thread_rc == 0 && m->copy.state == MAILDIR_OPEN) {
        more(m);
        return;
    }
    if (!m->gives_up)
        note_copy(m);
    maildir_copy_fini(&m->copy);
    m->gives_up = false;
    m->at++;
    next_copy(m);
}

/* ------------------------------------------------------------------ work ---- */

/* May end the courier. */
static void next_copy(struct maildir *m)
{
    struct courier *c = m->courier;
    const struct queue_work *work = c->parcel.settlement.work;

    if (m->at == work->count || c->parcel.content_rc < 0 ||
        c->delivery->cut_ms) {
        parcel_drop(&c->parcel);
        next_work(m);
        return;
    }
    parcel_rewind(&c->parcel, m->at);
    m->letter = (struct maildir_letter){
        .path = itinerary_member(c->route, 0)->path,
        .recipient = work->recipients[m->at].address,
        .sender = work->envelope.sender,
        .hostname = c->settings->hostname,
        .id = work->message,
    };
    more(m);
}

/* Binary content is re-encoded, or it cannot be kept. */
static bool is_kept(struct maildir *m)
{
    struct parcel *p = &m->courier->parcel;
    const struct queue_work *work = p->settlement.work;
    struct client_outcome why = { DIAGNOSIS_FAILED, STATUS(5, 6, 3),
                                  SPAN("binary content cannot be kept in a "
                                       "maildir") };

    if (work->envelope.body != BODY_BINARYMIME ||
        packing_allows(p->settlement.route, &work->envelope, work->content,
                       &why))
        return true;
    parcel_judge(p, &why);
    return false;
}

/* Answers whether something is under way, or else the work can be dropped. */
static bool begin_copies(struct maildir *m)
{
    m->courier->parcel.settlement.is_final = true;
    if (!is_kept(m))
        return false;
    m->at = 0;
    next_copy(m);
    return true;
}

void maildir_head_arrived(void *user, int rc, struct span bytes)
{
    struct courier *c = user;

    (void)bytes;
    if (rc < 0)
        parcel_content_failed(&c->parcel, rc);
    else if (begin_copies(c->maildir))
        return;
    parcel_drop(&c->parcel);
    next_work(c->maildir);
}

/* May end the courier. */
static void next_work(struct maildir *m)
{
    struct courier *c = m->courier;

    for (int n = 0; n < WORKS_AT_ONCE && courier_claim(c); n++) {
        if (parcel_is_large(&c->parcel)) {
            parcel_read_head(&c->parcel);
            return;
        }
        if (begin_copies(m))
            return;
        parcel_drop(&c->parcel);
    }
    courier_let_go(c); /* what is left opens another slot */
}

void maildir_begin(struct courier *c)
{
    c->maildir = NEW(struct maildir);
    c->maildir->courier = c;
    courier_enter(c, PHASE_FILING);
    queue_slot_connected(c->slot);
    next_work(c->maildir);
}

void maildir_end(struct courier *c)
{
    if (c->maildir) {
        maildir_copy_fini(&c->maildir->copy);
        buffer_fini(&c->maildir->part);
    }
    free(c->maildir);
    c->maildir = NULL;
}
