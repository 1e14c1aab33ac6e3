/*
 * probe_folder - can mail be written into this maildir?
 *
 *   begin --thread--> the folder is opened as for a message --loop--> told, probe_go_on
 *
 * With an address: just what a delivery does, up to its first byte; nothing of it stays.
 * Without one the part that no address changes must be there. The thread's copy owns all it
 * uses, so that a probe that goes leaves it behind.
 */
#include "relay/outbound/probe_private.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/memory.h"
#include "relay/outbound/maildir_copy.h"
#include "relay/outbound/maildir_path.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct probe_folder {
    uv_work_t work;
    struct probe *probe; /* NULL: it is gone */
    struct delivery *delivery;
    struct arena arena;
    struct span path, recipient, hostname;
    bool has_recipient;
    enum maildir_state state;
    struct buffer words; /* what is wrong */
};

/* What is the site's own; with a user in it, up to there. */
static void look_at_base(struct probe_folder *f)
{
    struct buffer base = { 0 };
    struct maildir_path path;

    f->state = MAILDIR_OPEN;
    if (!maildir_path_make(&f->arena, f->path, f->recipient, MAILDIR_AS_WRITTEN,
                           &path))
        return;
    for (size_t i = 0;
         i < path.count && path.components[i].part == MAILDIR_BASE; i++)
        buffer_printf(&base, "/%s", path.components[i].name);
    if (base.len && access(buffer_string(&base), X_OK) < 0) {
        f->state = MAILDIR_TROUBLE;
        buffer_put_escaped(&f->words, buffer_span(&base));
        buffer_printf(&f->words, ": %s", error_text(-errno));
    }
    buffer_fini(&base);
}

static void try_it(struct probe_folder *f)
{
    struct maildir_copy copy = { 0 };

    (void)maildir_copy_open(
        &copy, &(struct maildir_letter){ .path = f->path,
                                         .recipient = f->recipient,
                                         .sender = SPAN(""),
                                         .hostname = f->hostname });
    f->state = copy.state;
    if (copy.state == MAILDIR_TROUBLE)
        maildir_copy_words(&copy, &f->words);
    maildir_copy_fini(&copy);
}

static void on_thread(uv_work_t *work)
{
    struct probe_folder *f = work->data;

    if (f->has_recipient)
        try_it(f);
    else
        look_at_base(f);
}

static void tell(struct probe *p, struct probe_folder *f)
{
    if (f->state == MAILDIR_OPEN && !p->has_worked) {
        p->has_worked = true;
        buffer_put_string(&p->worked, "the folder ");
        buffer_put_escaped(&p->worked, f->path);
    }
    if (f->state == MAILDIR_OPEN)
        probe_tell(p, "connect", PROBE_OK, NULL, "maildir:%.*s: %s",
                   SPAN_FMT(f->path),
                   f->has_recipient ? "mail can be written there"
                                    : "the folder is there");
    else if (f->state == MAILDIR_NO_USER)
        probe_fail(p, "mail", FAILURE_NO_USER, NULL,
                   "maildir:%.*s: there is no folder for <%.*s>",
                   SPAN_FMT(f->path), SPAN_FMT(f->recipient));
    else
        probe_fail(p, "connect", FAILURE_FOLDER, NULL, "maildir:%.*s: %s",
                   SPAN_FMT(f->path), buffer_string(&f->words));
}

static void on_back(uv_work_t *work, int status)
{
    struct probe_folder *f = work->data;
    struct probe *p = f->probe;
    struct delivery *d = f->delivery;

    (void)status;
    if (p) {
        p->folder = NULL;
        tell(p, f);
        probe_go_on(p);
    }
    arena_reset(&f->arena);
    buffer_fini(&f->words);
    free(f);
    delivery_left(d);
}

void probe_folder_begin(struct probe *p)
{
    struct probe_folder *f = NEW(struct probe_folder);
    const struct hop *hop = itinerary_member(&p->leg, 0);
    struct buffer address = { 0 };

    f->work.data = f;
    f->probe = p;
    f->delivery = p->delivery;
    f->delivery->count++;
    f->path = arena_copy(&f->arena, hop->path);
    f->hostname = arena_copy(&f->arena, p->settings->hostname);
    f->has_recipient = p->target.recipient.len > 0;
    buffer_put_string(&address, "postmaster@");
    buffer_put(&address,
               p->target.domain.len ? p->target.domain : SPAN("localhost"));
    f->recipient =
        arena_copy(&f->arena, f->has_recipient ? p->target.recipient
                                               : buffer_span(&address));
    buffer_fini(&address);
    p->folder = f;
    probe_start_clock(p);
    ASSERT(uv_queue_work(&p->delivery->worker->loop, &f->work, on_thread,
                         on_back) == 0);
}

void probe_folder_forget(struct probe *p)
{
    if (p->folder)
        p->folder->probe = NULL;
    p->folder = NULL;
}
