/*
 * race - the first of several addresses that answers.
 *
 * Nothing happens inside race_start: the first attempt begins from the timer,
 * one turn of the loop later, so that even an address which fails at once is
 * reported in its turn. Each attempt is a nonblocking socket in a uv_poll; one
 * timer serves the stagger and the attempts' time limits.
 *
 *   WAITS -> TRIES     [race_begin]     its turn has come
 *   WAITS -> LOST      [race_begin]     no socket, unsafe, refused at once
 *   TRIES -> LOST      [race_lose]      refused, timed out, unsafe, met itself
 *   TRIES -> WON       [race_win]       connected: ends the race
 *
 * At the end all handles are closed and their descriptors with them, but for
 * the winner's; the last close callback reports and frees, and is the only
 * place that does. RFC 8305.
 */
#include "relay/net/race.h"

#include "policy/vocabulary/memory.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <stdlib.h>
#include <unistd.h>

enum { STAGGER_MS = 250 };

enum attempt_state { WAITS, TRIES, LOST, WON };

struct attempt {
    uv_poll_t poll;
    struct race *race;
    enum attempt_state state;
    int fd;
    int64_t ends_ms; /* while it TRIES */
};

struct race {
    uv_loop_t *loop;
    uv_timer_t timer;
    struct race_target *targets;
    struct attempt *attempts;
    size_t count;
    size_t next;   /* the first that still WAITS */
    size_t trying; /* how many TRY */
    int64_t next_ms;
    int64_t timeout_ms;
    bool refuse_unsafe;
    bool is_over;
    bool is_cancelled;
    unsigned open; /* handles */
    race_fn *done;
    void *user;
    struct race_target *failed; /* in order of failing */
    int *failed_rc;
    size_t failed_count;
    struct race_result result;
};

static void race_on_closed(uv_handle_t *h)
{
    struct race *r = h->data;

    if (--r->open > 0)
        return;
    if (!r->is_cancelled)
        r->done(r->user, &r->result);
    else if (r->result.fd >= 0)
        close(r->result.fd);
    free(r->failed);
    free(r->failed_rc);
    free(r->attempts);
    free(r->targets);
    free(r);
}

static void attempt_let_go(struct attempt *a, enum attempt_state state)
{
    ASSERT(a->state == TRIES);
    a->state = state;
    a->race->trying--;
    uv_close((uv_handle_t *)&a->poll, race_on_closed);
    if (state == LOST)
        close(a->fd);
}

static void race_end(struct race *r)
{
    if (r->is_over)
        return;
    r->is_over = true;
    r->result.failed_count = r->failed_count;
    for (size_t i = 0; i < r->next; i++) {
        if (r->attempts[i].state == TRIES)
            attempt_let_go(&r->attempts[i], LOST);
    }
    uv_close((uv_handle_t *)&r->timer, race_on_closed);
}

static void race_win(struct race *r, struct attempt *a)
{
    int yes = 1;

    (void)setsockopt(a->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    r->result.rc = 0;
    r->result.fd = a->fd;
    r->result.winner = r->targets[a - r->attempts];
    attempt_let_go(a, WON);
    race_end(r);
}

/* The last failure is the result's own; those before it are listed. */
static void race_note_failure(struct race *r, size_t i, int rc)
{
    r->failed[r->failed_count] = r->targets[i];
    r->failed_rc[r->failed_count++] = rc;
    r->next_ms = (int64_t)uv_now(r->loop);
}

static int address_to_socket(const struct race_target *t,
                             struct sockaddr_storage *out, socklen_t *out_len)
{
    *out = (struct sockaddr_storage){ 0 };
    if (host_address_is_v4(&t->address)) {
        struct sockaddr_in *in = (struct sockaddr_in *)out;

        in->sin_family = AF_INET;
        in->sin_port = htons(t->port);
        memcpy(&in->sin_addr, t->address.bytes + 12, 4);
        *out_len = sizeof *in;
        return AF_INET;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;

    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(t->port);
    memcpy(&in6->sin6_addr, t->address.bytes, 16);
    *out_len = sizeof *in6;
    return AF_INET6;
}

static bool address_of_socket(const struct sockaddr_storage *s,
                              struct host_address *out)
{
    *out = (struct host_address){ .bytes = { [10] = 0xff, [11] = 0xff } };
    if (s->ss_family == AF_INET)
        memcpy(out->bytes + 12, &((const struct sockaddr_in *)s)->sin_addr, 4);
    else if (s->ss_family == AF_INET6)
        memcpy(out->bytes, &((const struct sockaddr_in6 *)s)->sin6_addr, 16);
    else
        return false;
    return true;
}

/*
 * Whom did we really reach? Besides an unsafe address this finds a socket that
 * met itself: a port of ours, picked by the kernel from the range in which a
 * dead next hop's port lies, connects to its own end.
 */
static int attempt_check_peer(const struct attempt *a)
{
    struct sockaddr_storage peer = { 0 }, own = { 0 };
    socklen_t peer_len = sizeof peer, own_len = sizeof own;
    struct host_address address;

    if (getpeername(a->fd, (struct sockaddr *)&peer, &peer_len) < 0 ||
        getsockname(a->fd, (struct sockaddr *)&own, &own_len) < 0)
        return -errno;
    if (!address_of_socket(&peer, &address))
        return -EAFNOSUPPORT;
    if (a->race->refuse_unsafe && host_address_is_unsafe_target(&address))
        return -EACCES;
    if (peer_len == own_len && memcmp(&peer, &own, peer_len) == 0)
        return -ECONNREFUSED;
    return 0;
}

static void race_turn(struct race *r);

static void race_lose(struct race *r, struct attempt *a, int rc)
{
    attempt_let_go(a, LOST);
    race_note_failure(r, (size_t)(a - r->attempts), rc);
}

static void attempt_on_poll(uv_poll_t *poll, int status, int events)
{
    struct race *r = poll->data;
    struct attempt *a = (struct attempt *)poll;
    int failure = 0;
    socklen_t len = sizeof failure;

    (void)events;
    if (getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &failure, &len) < 0)
        failure = errno;
    if (failure == 0 && status < 0)
        failure = -status;
    if (failure == 0)
        failure = -attempt_check_peer(a);
    if (failure == 0) {
        race_win(r, a);
    } else {
        race_lose(r, a, -failure);
        race_turn(r);
    }
}

/* Begins one attempt; negative when it failed at once and holds nothing. */
static int attempt_begin(struct attempt *a, const struct race_target *t)
{
    struct race *r = a->race;
    struct sockaddr_storage to;
    socklen_t len;
    int family = address_to_socket(t, &to, &len);
    int rc, fd;

    if (r->refuse_unsafe && host_address_is_unsafe_target(&t->address))
        return -EACCES;
    fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS) {
        rc = -errno;
        goto fail;
    }
    if ((rc = uv_poll_init(r->loop, &a->poll, fd)) < 0)
        goto fail;
    a->fd = fd;
    a->poll.data = r;
    a->state = TRIES;
    a->ends_ms = (int64_t)uv_now(r->loop) + r->timeout_ms;
    r->open++;
    r->trying++;
    if ((rc = uv_poll_start(&a->poll, UV_WRITABLE, attempt_on_poll)) < 0)
        attempt_let_go(a, LOST);
    return rc;
fail:
    close(fd);
    return rc;
}

static void race_begin(struct race *r)
{
    size_t i = r->next++;
    int rc;

    r->attempts[i].race = r;
    r->next_ms = (int64_t)uv_now(r->loop) + STAGGER_MS;
    if ((rc = attempt_begin(&r->attempts[i], &r->targets[i])) < 0) {
        r->attempts[i].state = LOST;
        race_note_failure(r, i, rc);
    }
}

static void race_on_timer(uv_timer_t *timer)
{
    race_turn(timer->data);
}

/* Drops who took too long, begins whose turn it is, and sets the timer. */
static void race_turn(struct race *r)
{
    int64_t now = (int64_t)uv_now(r->loop), wake = INT64_MAX;

    if (r->is_over)
        return;
    for (size_t i = 0; i < r->next; i++) {
        struct attempt *a = &r->attempts[i];

        if (a->state == TRIES && a->ends_ms <= now)
            race_lose(r, a, -ETIMEDOUT);
    }
    while (r->next < r->count && (r->next_ms <= now || r->trying == 0))
        race_begin(r);
    if (r->trying == 0) {
        if (r->failed_count > 0) {
            r->result.rc = r->failed_rc[--r->failed_count];
            r->result.winner = r->failed[r->failed_count];
        }
        race_end(r);
        return;
    }
    if (r->next < r->count)
        wake = r->next_ms;
    for (size_t i = 0; i < r->next; i++) {
        const struct attempt *a = &r->attempts[i];

        if (a->state == TRIES && a->ends_ms < wake)
            wake = a->ends_ms;
    }
    wake = wake > now ? wake - now : 0;
    uv_timer_start(&r->timer, race_on_timer, (uint64_t)wake, 0);
}

struct race *race_start(uv_loop_t *loop, const struct race_target *targets,
                        size_t count, int64_t timeout_ms, bool refuse_unsafe,
                        race_fn *done, void *user)
{
    struct race *r = NEW(struct race);

    r->loop = loop;
    r->count = count;
    r->targets = NEW_ARRAY(struct race_target, count);
    for (size_t i = 0; i < count; i++)
        r->targets[i] = targets[i];
    r->attempts = NEW_ARRAY(struct attempt, count);
    r->failed = NEW_ARRAY(struct race_target, count);
    r->failed_rc = NEW_ARRAY(int, count);
    r->timeout_ms = timeout_ms;
    r->refuse_unsafe = refuse_unsafe;
    r->done = done;
    r->user = user;
    r->result = (struct race_result){
        .rc = -EHOSTUNREACH,
        .fd = -1,
        .failed = r->failed,
        .failed_rc = r->failed_rc,
    };
    (void)uv_timer_init(loop, &r->timer);
    r->timer.data = r;
    r->open = 1;
    uv_timer_start(&r->timer, race_on_timer, 0, 0);
    return r;
}

void race_cancel(struct race *take_r)
{
    take_r->is_cancelled = true;
    race_end(take_r);
}

void race_order(struct race_target *targets, size_t count)
{
    struct race_target *old = NEW_ARRAY(struct race_target, count);
    bool wants_v4 = false;
    size_t next[2] = { 0, 0 }; /* of IPv6, of IPv4 */

    for (size_t i = 0; i < count; i++)
        old[i] = targets[i];
    for (size_t i = 0; i < count; wants_v4 = !wants_v4) {
        size_t *n = &next[wants_v4];

        while (*n < count && host_address_is_v4(&old[*n].address) != wants_v4)
            (*n)++;
        if (*n < count)
            targets[i++] = old[(*n)++];
    }
    free(old);
}
