/*
 * postern - the unix socket by which programs of this machine submit mail.
 *
 *   accepted -> [pool] whose uid is it? -> may he? -> counted -> a worker's intake
 */
#include "relay/main/postern.h"

#include "policy/vocabulary/memory.h"
#include "relay/admin/doorway.h"
#include "relay/inbound/intake.h"
#include "relay/main/unixuser.h"
#include "relay/net/listener.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct doorway_kind everybody = { "the sendmail socket", 0666 };

struct postern {
    uv_loop_t *loop;
    struct worker *const *workers;
    unsigned worker_count;
    struct census *census;
    struct settings *settings; /* held */
    struct doorway doorway;    /* its path; the descriptor is the listener's */
    struct listener *listener; /* NULL: nobody listens */
    unsigned knocks;           /* whose names are looked up */
    bool is_closed;
};

/* One connection on its way to a worker. */
struct knock {
    uv_work_t work;
    struct postern *postern;
    int fd;
    uid_t uid;
    struct buffer login;
    struct settings *settings; /* held, once it is let in */
};

/* What stands for a user where clients are counted (RFC 6666's prefix). */
static struct host_address address_of(uint32_t uid)
{
    struct host_address a = { { 1 } };

    for (int i = 0; i < 4; i++)
        a.bytes[15 - i] = (unsigned char)(uid >> (8 * i));
    return a;
}

struct worker *postern_worker(struct worker *const *workers, unsigned count)
{
    struct worker *best = workers[0];

    for (unsigned i = 1; i < count; i++)
        if (atomic_load(&workers[i]->sessions) < atomic_load(&best->sessions))
            best = workers[i];
    return best;
}

static void knock_free(struct knock *take_k)
{
    settings_release(take_k->settings);
    buffer_fini(&take_k->login);
    free(take_k);
}

static void task_accept(struct worker *w, void *arg)
{
    struct knock *k = arg;

    intake_accept_user(
        w->intake, k->fd, k->settings,
        &(struct intake_user){ .login = buffer_span(&k->login),
                               .uid = k->uid,
                               .is_counted = true,
                               .client = address_of(k->uid) });
    knock_free(k);
}

static void turn_away(struct knock *take_k, const char *words)
{
    struct host_address a;
    struct buffer line = { 0 };

    ASSERT(host_address_parse(SPAN("127.0.0.1"), &a));
    buffer_printf(&line, words, buffer_string(&take_k->login));
    intake_turn_away(take_k->fd, &a, buffer_string(&line));
    buffer_fini(&line);
    knock_free(take_k);
}

static void let_in(struct knock *take_k)
{
    struct postern *p = take_k->postern;
    struct settings *s = p->settings;
    struct host_address client = address_of(take_k->uid);
    struct worker *w;

    if (p->is_closed || !p->listener) {
        turn_away(take_k, "421 4.3.2 Service shutting down");
    } else if (!names_have(&s->sendmail.users, buffer_span(&take_k->login))) {
        turn_away(take_k, "554 5.7.1 User %s may not send mail from this "
                          "machine (sendmail { users })");
    } else if (!census_enter(p->census, &client,
                             s->limits.sessions_per_client)) {
        turn_away(take_k, "421 4.7.0 Too many sessions of user %s");
    } else {
        take_k->settings = settings_hold(s);
        w = postern_worker(p->workers, p->worker_count);
        atomic_fetch_add(&w->sessions, 1);
        worker_post(w, task_accept, take_k);
    }
}

static void on_work(uv_work_t *work)
{
    struct knock *k = work->data;

    unixuser_put_login(&k->login, k->uid);
}

static void on_worked(uv_work_t *work, int status)
{
    struct knock *k = work->data;
    struct postern *p = k->postern;

    (void)status; /* never cancelled */
    p->knocks--;
    let_in(k);
}

static void on_accepted(void *user, const struct listener *l, int fd,
                        const struct host_address *peer)
{
    struct postern *p = user;
    struct ucred who;
    socklen_t len = sizeof who;
    struct knock *k;

    (void)l;
    (void)peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0) {
        (void)close(fd);
        return;
    }
    k = NEW(struct knock);
    k->work.data = k;
    k->postern = p;
    k->fd = fd;
    k->uid = who.uid;
    p->knocks++;
    ASSERT(uv_queue_work(p->loop, &k->work, on_work, on_worked) == 0);
}

struct postern *postern_new(uv_loop_t *loop, struct worker *const *workers,
                            unsigned worker_count, struct census *census)
{
    struct postern *p = NEW(struct postern);

    *p = (struct postern){ .loop = loop,
                           .workers = workers,
                           .worker_count = worker_count,
                           .census = census,
                           .doorway = { .fd = -1 } };
    return p;
}

static void stop_listening(struct postern *p)
{
    if (p->listener)
        listener_close(p->listener);
    p->listener = NULL;
    doorway_fini(&p->doorway);
}

static int listen_at(struct postern *p, struct span path,
                     struct buffer *out_why)
{
    static const struct host_address none;
    int rc = doorway_open_as(&p->doorway, path, &everybody, out_why);

    if (rc < 0)
        return rc;
    rc = listener_open(&p->listener, p->loop, &none, 0, p->doorway.fd,
                       on_accepted, p);
    p->doorway.fd = -1; /* the listener closes it */
    return rc;
}

int postern_open(struct postern *p, struct settings *settings,
                 struct buffer *out_why)
{
    const struct sendmail_settings *m = &settings->sendmail;
    bool is_same =
        p->listener && m->is_on && span_is(span_of(p->doorway.path), m->socket);
    int rc = 0;

    if (!is_same)
        stop_listening(p);
    if (!is_same && m->is_on)
        rc = listen_at(p, m->socket, out_why);
    settings_hold(settings);
    settings_release(p->settings);
    p->settings = settings;
    return rc;
}

void postern_close(struct postern *p)
{
    p->is_closed = true;
    stop_listening(p);
}

void postern_free(struct postern *p)
{
    if (!p)
        return;
    ASSERT(p->knocks == 0 && !p->listener);
    settings_release(p->settings);
    free(p);
}
