/*
 * importjob - one message of the drop folder.
 *
 *   is it known already?  ---yes---> remove
 *   session: MAIL, RCPT   ---4xx---> later, for as long as waiting mail is kept; then as 5xx
 *     refused recipients  ---------> report (id 2), unless it is known
 *     put off             ---------> a job of their own (id 3), unless it is known
 *   session: content      ---250---> (id 1) remove
 *                         ---5xx---> report (id 1)
 *
 * Reports and what is put off come first: what is known by id 1 is done with altogether.
 */
#include "relay/main/importer_private.h"

#include "policy/vocabulary/id.h"
#include "policy/vocabulary/memory.h"
#include "relay/inbound/intake.h"
#include "relay/main/dropreport.h"
#include "relay/main/postern.h"
#include "relay/main/submitter.h"
#include "relay/main/unixuser.h"
#include "relay/net/log.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* A conversation on its way to a worker. */
struct call {
    int fd;
    struct buffer login;
    uint32_t uid;
    uint64_t first_id;
    struct settings *settings; /* held */
};

struct import {
    struct importer *i;
    const struct job *job;
    struct missive missive;
    struct buffer login;
    int64_t since_ms; /* when it was left */
};

/* ------------------------------------------------------------- session ---- */

static void task_call(struct worker *w, void *arg)
{
    struct call *c = arg;

    intake_accept_user(w->intake, c->fd, c->settings,
                       &(struct intake_user){ .login = buffer_span(&c->login),
                                              .uid = c->uid,
                                              .first_id = c->first_id });
    settings_release(c->settings);
    buffer_fini(&c->login);
    free(c);
}

/* Our end of a session of this user, or -1. */
static int call_in(struct import *m)
{
    struct importer *i = m->i;
    struct worker *w = postern_worker(i->workers, i->worker_count);
    struct call *c;
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return -1;
    pthread_mutex_lock(&i->lock);
    if (atomic_load(&i->is_stopping)) {
        pthread_mutex_unlock(&i->lock);
        (void)close(ends[0]);
        (void)close(ends[1]);
        return -1;
    }
    i->talk_fd = ends[0];
    c = NEW(struct call);
    *c = (struct call){ .fd = ends[1],
                        .uid = m->job->is.uid,
                        .first_id = m->job->is.mail,
                        .settings = settings_hold(i->settings) };
    buffer_put(&c->login, buffer_span(&m->login));
    atomic_fetch_add(&w->sessions, 1);
    worker_post(w, task_call,
                c); /* with the lock: before the workers go down */
    pthread_mutex_unlock(&i->lock);
    return ends[0];
}

static void hang_up(struct importer *i, int fd)
{
    pthread_mutex_lock(&i->lock);
    i->talk_fd = -1;
    pthread_mutex_unlock(&i->lock);
    (void)close(fd);
}

/* -------------------------------------------------------------- report ---- */

static void on_put(void *user, uint64_t token, int rc, uint64_t id)
{
    struct importer *i = user;

    (void)token;
    (void)id;
    i->is_put = false;
    i->put_rc = rc;
}

static void await_put(struct importer *i)
{
    uint64_t n;

    while (i->is_put) {
        struct pollfd p = { .fd = i->port_fd, .events = POLLIN };

        (void)poll(&p, 1, 1000);
        (void)!read(i->port_fd, &n, sizeof n);
        queue_port_drain(i->port);
    }
}

/* About all that are refused. False: not now. */
static bool report(struct import *m, uint64_t id)
{
    struct importer *i = m->i;
    bool known = false;

    if (submitter_count(&m->missive, MISSIVE_REFUSED) == 0)
        return true;
    if (queue_knows(i->queue, id, &known) < 0)
        return false;
    if (known)
        return true;
    i->is_put = true;
    if (!dropreport_put(i->settings, i->port, &m->missive, id, m->job->is.mail,
                        wall_ms(), on_put)) {
        i->is_put = false;
        return true; /* see leave */
    }
    await_put(i);
    log_text(LOG_NOTE,
             "%s: dropped by %s and refused: sender non-delivery notification: "
             "%s",
             id_print(m->job->is.mail).at, buffer_string(&m->login),
             id_print(id).at);
    return i->put_rc == 0;
}

/* It is done with. What was refused, and nobody could be told of, is kept. */
static enum import_said leave(struct import *m)
{
    struct importer *i = m->i;

    if (submitter_count(&m->missive, MISSIVE_REFUSED) &&
        !dropreport_has_addressee(i->settings, &m->missive))
        importfolder_set_aside(i, i->jobs, m->job->name,
                               "was refused and has no sender to be told");
    else
        importfolder_remove(i, m->job);
    return IMPORT_DONE;
}

/* -------------------------------------------------------------- verdict ---- */

static bool is_too_old(const struct import *m)
{
    return wall_ms() - m->since_ms > m->i->settings->retry.expire_ms;
}

static void refuse_all(struct missive *m, enum missive_fate of,
                       struct span reply)
{
    for (size_t k = 0; k < m->count; k++) {
        struct missive_recipient *r = &m->recipients[k];

        if (r->fate != of)
            continue;
        r->fate = MISSIVE_REFUSED;
        if (reply.len)
            r->reply = arena_copy(&m->arena, reply);
    }
}

/* Nothing goes out under the first id: it is the report's. */
static enum import_said refuse(struct import *m)
{
    return report(m, m->job->is.mail) ? leave(m) : IMPORT_LATER;
}

static enum import_said send_content(struct import *m, struct submitter *s)
{
    bool is_doubtful;
    int said = submitter_content(s, &m->missive, &is_doubtful);

    if (said < 0 || said == 421)
        return IMPORT_LATER; /* if it was put it is known the next time */
    if (said / 100 == 4 && !is_too_old(m))
        return IMPORT_LATER;
    refuse_all(&m->missive, MISSIVE_LATER, SPAN(""));
    submitter_quit(s);
    return said < 300 ? leave(m) : refuse(m);
}

/* Those that are to be sent apart. */
static bool split(struct import *m)
{
    struct missive *all = &m->missive;
    bool known = false, ok;

    if (submitter_count(all, MISSIVE_PUT_OFF) == 0)
        return true;
    if (queue_knows(m->i->queue, m->job->is.rest, &known) < 0)
        return false;
    if (known)
        return true;
    ok = importfolder_split(m->i, m->job, all);
    return ok;
}

static enum import_said talk(struct import *m, struct submitter *s)
{
    struct missive *all = &m->missive;
    int said = submitter_greet(s);

    if (said < 0 || said / 100 == 4)
        return IMPORT_LATER;
    if (said < 300)
        said = submitter_envelope(s, all);
    else
        refuse_all(all, MISSIVE_WAITS, buffer_span(&s->reply));
    if (said < 0 || said == 421)
        return IMPORT_LATER;
    if (submitter_count(all, MISSIVE_LATER) && !is_too_old(m))
        return IMPORT_LATER;
    refuse_all(all, MISSIVE_LATER, SPAN(""));
    if (submitter_count(all, MISSIVE_ACCEPTED) == 0 &&
        submitter_count(all, MISSIVE_PUT_OFF) == 0)
        return refuse(m);
    if (submitter_count(all, MISSIVE_ACCEPTED) == 0)
        return IMPORT_LATER;
    if (!report(m, m->job->is.report) || !split(m))
        return IMPORT_LATER;
    return send_content(m, s);
}

static enum import_said ask(struct import *m)
{
    const struct settings *settings = m->i->settings;
    struct submitter s;
    enum import_said said = IMPORT_LATER;
    int fd;

    unixuser_put_login(&m->login, m->job->is.uid);
    if (!names_have(&settings->sendmail.users, buffer_span(&m->login))) {
        refuse_all(&m->missive, MISSIVE_WAITS,
                   SPAN("554 5.7.1 This user may not send mail from this "
                        "machine (sendmail { users })"));
        return refuse(m);
    }
    if ((fd = call_in(m)) < 0)
        return IMPORT_LATER;
    submitter_init(&s, fd);
    said = talk(m, &s);
    submitter_fini(&s);
    hang_up(m->i, fd);
    return said;
}

enum import_said importjob_run(struct importer *i, const struct job *j)
{
    struct import m = { .i = i, .job = j };
    struct buffer bytes = { 0 };
    enum import_said said = IMPORT_DONE;
    bool known = false;

    missive_init(&m.missive);
    if (queue_knows(i->queue, j->is.mail, &known) < 0)
        said = IMPORT_LATER;
    else if (known)
        importfolder_remove(i, j);
    else if (!importfolder_read(i, j, &bytes, &m.since_ms))
        said = IMPORT_DONE;
    else if (!missive_read_file(&m.missive, buffer_span(&bytes)))
        importfolder_set_aside(i, i->jobs, j->name, "is no message");
    else
        said = ask(&m);
    buffer_fini(&bytes);
    buffer_fini(&m.login);
    missive_fini(&m.missive);
    return said;
}
