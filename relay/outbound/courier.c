/*
 * courier - one slot, one connection at a time, one message after the other.
 */
#include "relay/outbound/courier.h"

#include "policy/retry.h"
#include "policy/route.h"
#include "policy/vocabulary/id.h"
#include "policy/vocabulary/memory.h"
#include "relay/net/conn.h"
#include "relay/net/log.h"
#include "relay/net/race.h"
#include "relay/net/registry.h"
#include "relay/net/resolver.h"
#include "relay/outbound/settlement.h"

#include <stdlib.h>
#include <unistd.h>

enum phase {
    PHASE_LOOKING, PHASE_RACING, PHASE_TALKING, PHASE_READING, PHASE_PARKED,
    PHASE_ENDING, PHASE_GONE,
};

#define TO(p) (1u << (p))

/* Where each phase may lead. */
static const unsigned successors[] = {
    [PHASE_LOOKING] = TO(PHASE_LOOKING) | TO(PHASE_RACING) | TO(PHASE_READING) |
                      TO(PHASE_PARKED) | TO(PHASE_GONE),
    [PHASE_RACING] = TO(PHASE_LOOKING) | TO(PHASE_RACING) | TO(PHASE_TALKING) |
                     TO(PHASE_GONE),
    [PHASE_TALKING] = TO(PHASE_READING) | TO(PHASE_PARKED) | TO(PHASE_ENDING),
    [PHASE_READING] = TO(PHASE_READING) | TO(PHASE_TALKING) |
                      TO(PHASE_ENDING) | TO(PHASE_PARKED) | TO(PHASE_GONE),
    [PHASE_PARKED] = TO(PHASE_TALKING) | TO(PHASE_READING) | TO(PHASE_ENDING) |
                     TO(PHASE_GONE),
    [PHASE_ENDING] = TO(PHASE_ENDING) | TO(PHASE_LOOKING) | TO(PHASE_RACING) |
                     TO(PHASE_GONE),
    [PHASE_GONE] = 0,
};

enum {
    CONNECT_MS = 30000,
    LINGER_MS = 5000,
    SESSIONS_MOST = 2,            /* hosts that one message is shown to at once */
    HEAD_MOST = 64 * 1024,        /* of large content, for a report */
};

struct host {
    struct span name;
    struct race_target targets[LIMIT_ADDRESSES];
    size_t count;
};

struct courier {
    struct courier *next, **here;
    struct delivery *delivery;
    struct queue_slot *slot;
    struct settings *settings;
    const struct route *route;    /* NULL: none */
    uint64_t token;
    enum phase phase;
    struct arena arena;           /* names, for the courier's life */
    struct span domain;           /* of the first lane: MX look-ups */

    /* Where to: hosts found for the member of via that is being tried. */
    struct resolver_query *query;
    size_t member;
    struct host hosts[LIMIT_MX_HOSTS];
    size_t host_count, host_next;
    unsigned addresses_tried;     /* of LIMIT_ADDRESSES in one attempt */
    struct race *race;
    struct buffer trouble;        /* "4.4.1 connect to ...": the latest */
    bool has_verdict;
    struct client_outcome verdict;

    /* The connection. */
    struct conn conn;
    bool is_connected;            /* conn is in use, closed() will come */
    bool was_up;                  /* the queue knows of a greeted connection */
    bool must_end;                /* no more work on this connection */
    struct client *client;
    struct buffer relay;          /* "host[ip]:25" */
    struct race_target peer;
    int64_t began_ms, connect_ms, idle_ms, cut_ms;
    uint32_t conn_use;

    /* The work. */
    bool has_work;
    bool is_fresh_try;            /* the kept connection broke: one new one */
    struct settlement settlement;
    struct client_transaction transaction;
    size_t *pending;              /* recipients still to be tried in this attempt */
    size_t pending_count;
    unsigned sessions_tried;
    struct buffer head;
    uint64_t offset;              /* of content handed over */
    bool is_reading;
};

static void look_up(struct courier *c);
static void next_host(struct courier *c);
static void next_work(struct courier *c);
static void converse(struct courier *c);
static void outcomes_ready(struct courier *c);

static void enter(struct courier *c, enum phase phase)
{
    ASSERT(successors[c->phase] & TO(phase));
    c->phase = phase;
}

static struct resolver *resolver_of(const struct courier *c)
{
    return c->delivery->worker->resolver;
}

static struct courier *find(void *worker, uint64_t token)
{
    const struct worker *w = worker;

    return registry_find(&w->delivery->registry, token);
}

/* ------------------------------------------------------------ the end ---- */

static void let_go(struct courier *c)
{
    struct delivery *d = c->delivery;

    ASSERT(!c->has_work && !c->is_connected);
    enter(c, PHASE_GONE);
    queue_slot_close(c->slot);
    *c->here = c->next;
    if (c->next)
        c->next->here = c->here;
    registry_drop(&d->registry, c->token);
    settings_release(c->settings);
    arena_reset(&c->arena);
    buffer_fini(&c->trouble);
    buffer_fini(&c->relay);
    buffer_fini(&c->head);
    free(c->pending);
    free(c);
    delivery_left(d);
}

static void drop_work(struct courier *c)
{
    if (!c->has_work)
        return;
    c->has_work = false;
    settlement_end(&c->settlement); /* those without a note are freed */
}

static void note_all(struct courier *c, const struct client_outcome *o)
{
    for (size_t i = 0; i < c->pending_count; i++)
        settlement_note(&c->settlement, c->pending[i], o, SPAN(""), false);
}

static int64_t backoff(void *user, unsigned n)
{
    struct courier *c = user;

    return retry_backoff_ms(&c->route->retry, n,
                            (uint32_t)wall_us() * 2654435761u);
}

/* No host of this destination can be reached or talked to. */
static void destination_failed(struct courier *c)
{
    struct span reason = buffer_span(&c->trouble);
    struct span name = queue_slot_destination(c->slot);

    /* Nothing was claimed, so no recipient's line will say why it waits. */
    log_text(LOG_NOTE, "%.*s rests: %.*s", (int)name.len, name.at,
             (int)reason.len, reason.at);
    if (c->has_work) { /* it was shown to a host before and keeps those words */
        drop_work(c);
    } else {
        queue_slot_failed(c->slot, reason, backoff, c);
    }
    let_go(c);
}

/* ------------------------------------------------------- where to go ---- */

static void trouble(struct courier *c, const char *status, const char *what,
                    struct span name, const char *why)
{
    buffer_clear(&c->trouble);
    buffer_printf(&c->trouble, "%s %s", status, what);
    buffer_put_escaped(&c->trouble, name);
    if (why)
        buffer_printf(&c->trouble, ": %s", why);
}

/* The same outcome for all work of this slot. */
static void judge_all(struct courier *c, enum diagnosis d, struct status status,
                      const char *words)
{
    struct buffer b = { 0 };

    buffer_put_string(&b, words);
    if (c->domain.len) {
        buffer_put_string(&b, ": ");
        buffer_put_escaped(&b, c->domain);
    }
    c->has_verdict = true;
    c->verdict = (struct client_outcome){ d, status,
                                          arena_copy(&c->arena, buffer_span(&b)) };
    buffer_fini(&b);
    next_work(c);
}

static void take_hosts(struct courier *c, const struct mx_answer *a,
                       uint16_t port)
{
    c->host_count = c->host_next = 0;
    for (size_t i = 0; i < a->count && i < LIMIT_MX_HOSTS; i++) {
        const struct mx_host *from = &a->hosts[i];
        struct host *h = &c->hosts[c->host_count++];

        *h = (struct host){ .name = arena_copy(&c->arena, from->name) };
        for (size_t k = 0; k < from->count && k < LIMIT_ADDRESSES; k++)
            h->targets[h->count++] = (struct race_target){
                .address = from->addresses[k], .port = port, .tag = i };
        race_order(h->targets, h->count);
    }
}

static bool is_resting(const struct courier *c, const struct host *h)
{
    for (size_t k = 0; k < h->count; k++)
        if (!hostmemory_is_resting(c->delivery->hosts, &h->targets[k],
                                   wall_ms()))
            return false;
    return h->count > 0;
}

/* Hosts that have just failed go behind the others, whatever their preference. */
static void rest_last(struct courier *c)
{
    struct host sorted[LIMIT_MX_HOSTS];
    size_t n = 0;

    for (int resting = 0; resting < 2; resting++)
        for (size_t i = 0; i < c->host_count; i++)
            if (is_resting(c, &c->hosts[i]) == (resting == 1))
                sorted[n++] = c->hosts[i];
    memcpy(c->hosts, sorted, n * sizeof *sorted);
}

/* What an MX answer without hosts means for the mail, in one table. */
static const struct {
    enum resolver_kind kind;
    enum diagnosis diagnosis;
    struct status status;
    const char *words;
} mx_verdicts[] = {
    { RESOLVER_NO_DOMAIN, DIAGNOSIS_FAILED, { 5, 1, 2 }, "no such domain" },
    { RESOLVER_NO_DATA, DIAGNOSIS_FAILED, { 5, 4, 4 },
      "the domain has neither mail exchanger nor address" },
};

static void judge_mx(struct courier *c, const struct mx_answer *a)
{
    if (a->is_null_mx) {
        judge_all(c, DIAGNOSIS_FAILED, STATUS(5, 1, 10),
                  "the domain says that it takes no mail (null MX)");
        return;
    }
    if (a->is_own) {
        judge_all(c, DIAGNOSIS_FAILED, STATUS(5, 4, 6),
                  "mail for the domain would loop back to this host");
        return;
    }
    if (a->is_unsafe) {
        judge_all(c, DIAGNOSIS_FAILED, STATUS(5, 4, 4),
                  "the mail exchangers have no address that mail may go to");
        return;
    }
    for (size_t i = 0; i < sizeof mx_verdicts / sizeof mx_verdicts[0]; i++)
        if (a->kind == mx_verdicts[i].kind) {
            judge_all(c, mx_verdicts[i].diagnosis, mx_verdicts[i].status,
                      mx_verdicts[i].words);
            return;
        }
    trouble(c, "4.4.3", "name look-up failed for ", c->domain, "try again later");
    destination_failed(c);
}

static void on_looked_up(void *user, const struct mx_answer *a)
{
    struct courier *c = user;
    const struct hop *hop = &c->route->via[c->member];

    c->query = NULL;
    if (a->kind == RESOLVER_OK && a->count) {
        take_hosts(c, a, hop->port ? hop->port : 25);
        rest_last(c);
        next_host(c);
    } else if (hop->kind == HOP_MX) {
        judge_mx(c, a);
    } else { /* a smarthost's name is our own trouble: never a bounce */
        trouble(c, "4.4.3", "no address for next hop ", hop->host, NULL);
        c->host_count = c->host_next = 0;
        next_host(c);
    }
}

static void look_up(struct courier *c)
{
    const struct hop *hop = &c->route->via[c->member];

    enter(c, PHASE_LOOKING);
    c->query = hop->kind == HOP_MX
                   ? resolver_mx(resolver_of(c), c->domain, on_looked_up, c)
                   : resolver_host(resolver_of(c), hop->host, on_looked_up, c);
}

/* --------------------------------------------------------- connecting ---- */

static size_t visit_input(void *user, struct span in);
static void visit_ended(void *user, int rc);
static void visit_drained(void *user);
static void visit_closed(void *user);

static const struct conn_events conn_events = {
    .input = visit_input, .ended = visit_ended, .drained = visit_drained,
    .closed = visit_closed,
};

static void name_relay(struct courier *c, const struct race_target *t)
{
    buffer_clear(&c->relay);
    buffer_put_escaped(&c->relay, c->hosts[c->host_next - 1].name);
    buffer_put_byte(&c->relay, '[');
    host_address_print(&c->relay, &t->address);
    buffer_printf(&c->relay, "]:%u", t->port);
}

static void address_failed(struct courier *c, const struct race_target *t, int rc)
{
    const char *why = rc == -EACCES ? "mail may not go to this address"
                                    : uv_strerror(rc);
    struct buffer address = { 0 };

    (void)hostmemory_failed(c->delivery->hosts, t, wall_ms());
    name_relay(c, t);
    trouble(c, "4.4.1", "connect to ", buffer_span(&c->relay), why);
    host_address_print(&address, &t->address);
    log_put(&(struct log_line){ .event = LOG_CONNECT_FAILED,
                                .host = c->hosts[c->host_next - 1].name,
                                .address = buffer_span(&address),
                                .port = t->port, .text = span_of(why) });
    buffer_fini(&address);
}

static void on_raced(void *user, const struct race_result *r)
{
    struct courier *c = user;

    c->race = NULL;
    for (size_t i = 0; i < r->failed_count; i++)
        address_failed(c, &r->failed[i], r->failed_rc[i]);
    if (r->rc < 0) {
        address_failed(c, &r->winner, r->rc);
        next_host(c);
        return;
    }
    name_relay(c, &r->winner);
    c->peer = r->winner;
    c->connect_ms = wall_ms() - c->began_ms;
    c->conn_use = 0;
    c->must_end = false;
    c->client = client_new(c->settings->hostname, &client_timeouts_default,
                           wall_ms());
    c->is_connected = true;
    enter(c, PHASE_TALKING);
    if (conn_open(&c->conn, c->delivery->worker, r->fd, &conn_events, c) < 0)
        visit_ended(c, UV_ECONNRESET);
}

/* The next host of this member, the next member, or the end of the attempt. */
static void next_host(struct courier *c)
{
    struct host *h;
    size_t count;

    while (c->host_next < c->host_count &&
           c->hosts[c->host_next].count == 0)
        c->host_next++;
    if (c->host_next < c->host_count && c->addresses_tried < LIMIT_ADDRESSES) {
        h = &c->hosts[c->host_next++];
        count = LIMIT_ADDRESSES - c->addresses_tried;
        count = h->count < count ? h->count : count;
        c->addresses_tried += (unsigned)count;
        enter(c, PHASE_RACING);
        c->began_ms = wall_ms();
        c->race = race_start(&c->delivery->worker->loop, h->targets, count,
                             CONNECT_MS,
                             c->route->via[c->member].kind == HOP_MX,
                             on_raced, c);
    } else if (++c->member < c->route->via_count) {
        c->addresses_tried = 0;
        look_up(c);
    } else {
        destination_failed(c);
    }
}

static bool has_other_host(const struct courier *c)
{
    return c->sessions_tried < SESSIONS_MOST &&
           ((c->host_next < c->host_count &&
             c->addresses_tried < LIMIT_ADDRESSES) ||
            c->member + 1 < c->route->via_count);
}

/* ------------------------------------------------------------ talking ---- */

static void forget_session(struct courier *c)
{
    if (!client_is_greeted(c->client)) {
        const struct client_outcome *o = client_trouble(c->client);

        buffer_clear(&c->trouble);
        status_print(&c->trouble, o->status);
        buffer_printf(&c->trouble, " %s: ", buffer_string(&c->relay));
        buffer_put(&c->trouble, o->reply);
        (void)hostmemory_failed(c->delivery->hosts, &c->peer, wall_ms());
    }
    client_free(c->client);
    c->client = NULL;
}

/* The connection is gone: on to another host where that may help, else the end. */
static void session_over(struct courier *c)
{
    bool go_on = c->has_work || !client_is_greeted(c->client);

    enter(c, PHASE_ENDING);
    forget_session(c);
    if (c->delivery->cut_ms || !go_on) {
        drop_work(c);
        let_go(c);
    } else if (c->is_fresh_try) { /* the same hosts once more */
        c->is_fresh_try = false;
        c->member = 0;
        c->addresses_tried = 0;
        look_up(c);
    } else {
        next_host(c);
    }
}

static void visit_closed(void *user)
{
    struct courier *c = user;

    c->is_connected = false;
    if (c->phase == PHASE_READING)
        return; /* the work in hand goes on: see on_head */
    client_lost(c->client, SPAN(""), wall_ms());
    if (c->has_work && client_wants(c->client) == CLIENT_DONE)
        outcomes_ready(c);
    session_over(c);
}

static void finish(struct courier *c)
{
    enter(c, PHASE_ENDING);
    c->cut_ms = wall_ms() + LINGER_MS;
    conn_finish(&c->conn);
}

static void flush(struct courier *c)
{
    size_t before = conn_unsent(&c->conn);

    if (client_output(c->client)->len == 0)
        return;
    if (conn_send(&c->conn, client_output(c->client)) < 0)
        conn_close(&c->conn);
    else if (before == 0 && conn_unsent(&c->conn) == 0)
        client_sent(c->client, wall_ms());
}

/* ------------------------------------------------------------ the work ---- */

static void begin_transaction(struct courier *c)
{
    struct client_recipient *to =
        arena_take(&c->settlement.texts, c->pending_count * sizeof *to);

    for (size_t i = 0; i < c->pending_count; i++)
        to[i].address =
            c->settlement.work->recipients[c->pending[i]].address;
    c->offset = 0;
    c->transaction = (struct client_transaction){
        .envelope = &c->settlement.work->envelope,
        .recipients = to, .count = c->pending_count };
    client_start(c->client, &c->transaction, wall_ms());
}

static void start_on_connection(struct courier *c)
{
    c->conn_use++;
    c->sessions_tried++;
    c->settlement.connect_ms = c->conn_use == 1 ? c->connect_ms : 0;
    c->settlement.conn_use = c->conn_use;
    begin_transaction(c);
}

/* The work is claimed and its beginning is in memory. */
static void begin_work(struct courier *c)
{
    c->sessions_tried = 0;
    if (c->phase != PHASE_TALKING)
        enter(c, PHASE_TALKING);
    if (client_wants(c->client) == CLIENT_FREE)
        start_on_connection(c);
    else
        c->is_fresh_try = true; /* closed while we were reading */
}

static void content_gone(struct courier *c, int rc)
{
    struct buffer why = { 0 };

    buffer_printf(&why, "content cannot be read: %s", error_text(rc));
    log_text(LOG_WARNING, "%s: %s; the message is held",
             id_print(c->settlement.work->message).at, buffer_string(&why));
    for (size_t i = 0; i < c->settlement.work->count; i++)
        settlement_hold(&c->settlement, i, buffer_span(&why));
    buffer_fini(&why);
}

static void on_head(void *user, uint64_t token, int rc, struct span bytes)
{
    struct courier *c = find(user, token);

    if (!c)
        return;
    c->is_reading = false;
    buffer_clear(&c->head);
    buffer_put(&c->head, bytes);
    c->settlement.head = buffer_span(&c->head);
    if (rc < 0)
        content_gone(c, rc);
    else if (c->has_verdict)
        note_all(c, &c->verdict);
    if (rc < 0 || c->has_verdict) {
        drop_work(c);
        next_work(c);
    } else {
        begin_work(c);
    }
    if (c->client && !c->is_connected)
        session_over(c);
    else
        converse(c);
}

static struct queue_work *claim(struct courier *c)
{
    uint32_t most = c->client ? client_recipients_most(c->client)
                              : LIMIT_TRANSACTION_RECIPIENTS;
    uint32_t limit = c->route ? c->route->messages_per_connection : 0;
    struct queue_work *work;

    c->must_end |= limit && c->conn_use >= limit;
    work = c->must_end ? NULL : queue_slot_next(c->slot, most);
    if (!work)
        return NULL;
    settlement_begin(&c->settlement, c->delivery->worker, c->settings, c->route,
                     work);
    c->has_work = true;
    c->pending = memory_grow(c->pending, work->count * sizeof *c->pending);
    for (size_t i = 0; i < work->count; i++)
        c->pending[i] = i;
    c->pending_count = work->count;
    return work;
}

static void park(struct courier *c)
{
    if (c->phase != PHASE_PARKED)
        enter(c, PHASE_PARKED);
    c->idle_ms = wall_ms() + (c->route ? c->route->idle_ms : 0);
    if (c->must_end || c->has_verdict)
        courier_end(c);
}

static void next_work(struct courier *c)
{
    struct queue_work *work;

    while ((work = claim(c))) {
        if (!work->content.at) {
            enter(c, PHASE_READING);
            c->is_reading = true;
            queue_read(c->delivery->worker->port, work, 0, HEAD_MOST, on_head,
                       c->token);
            return;
        }
        if (!c->has_verdict) {
            begin_work(c);
            return;
        }
        note_all(c, &c->verdict);
        drop_work(c);
    }
    park(c);
}

/* ------------------------------------------------------------- content ---- */

static void on_read(void *user, uint64_t token, int rc, struct span bytes)
{
    struct courier *c = find(user, token);
    bool last;

    if (!c)
        return;
    c->is_reading = false;
    if (!c->client || client_wants(c->client) != CLIENT_SENDS) {
        if (c->phase == PHASE_TALKING)
            converse(c);
        return;
    }
    if (rc < 0) {
        content_gone(c, rc);
        c->pending_count = 0;
        client_content_failed(c->client, wall_ms());
        converse(c);
        return;
    }
    c->offset += bytes.len;
    last = c->offset >= c->settlement.work->envelope.size_bytes;
    client_content(c->client, bytes, last, wall_ms());
    converse(c);
}

static void send_content(struct courier *c)
{
    const struct queue_work *w = c->settlement.work;

    if (w->content.at) {
        client_content(c->client, w->content, true, wall_ms());
    } else if (!c->is_reading && conn_unsent(&c->conn) == 0) {
        c->is_reading = true;
        queue_read(c->delivery->worker->port, w, c->offset, CONTENT_PART,
                   on_read, c->token);
    }
}

/* ------------------------------------------------------------ outcomes ---- */

/* Notes every outcome; those worth another try at once stay pending. */
static void collect(struct courier *c, bool *out_again, bool *out_elsewhere)
{
    const struct client_outcome *o = client_outcomes(c->client);
    size_t kept = 0, settled = 0;
    bool other = has_other_host(c);

    *out_again = *out_elsewhere = false;
    for (size_t i = 0; i < c->pending_count; i++) {
        size_t to = c->pending[i];
        struct client_outcome one = o[i];
        bool keep = one.diagnosis == DIAGNOSIS_AGAIN_NOW ||
                    ((one.diagnosis == DIAGNOSIS_LATER ||
                      one.diagnosis == DIAGNOSIS_OTHER_HOST) && other);

        /* What no host can take is refused by the last one for good. */
        if (one.diagnosis == DIAGNOSIS_OTHER_HOST && one.status.class == 5 &&
            !other)
            one.diagnosis = DIAGNOSIS_FAILED;
        settlement_note(&c->settlement, to, &one, buffer_span(&c->relay), true);
        if (keep)
            c->pending[kept++] = to;
        else
            settled++;
        *out_again |= one.diagnosis == DIAGNOSIS_AGAIN_NOW;
        *out_elsewhere |= keep && one.diagnosis != DIAGNOSIS_AGAIN_NOW;
    }
    /* Asking again is only worth it while some are taken each time. */
    *out_again = *out_again && settled > 0;
    c->pending_count = kept;
}

/* A kept connection that the peer had closed meanwhile tells nothing about the mail: the
 * engine then asks for all of it again, the first recipient included. */
static bool was_stale(const struct courier *c)
{
    return c->pending_count &&
           client_outcomes(c->client)[0].diagnosis == DIAGNOSIS_AGAIN_NOW;
}

static void outcomes_ready(struct courier *c)
{
    bool again, elsewhere;

    if (was_stale(c)) {
        c->is_fresh_try = true;
        client_next(c->client, wall_ms());
        return;
    }
    collect(c, &again, &elsewhere);
    client_next(c->client, wall_ms());
    if (again) {
        return; /* the rest goes as soon as it is free */
    } else if (elsewhere) {
        c->must_end = true;
    } else {
        drop_work(c);
    }
}

static void became_free(struct courier *c)
{
    if (!c->was_up) {
        c->was_up = true;
        queue_slot_connected(c->slot);
    }
    (void)hostmemory_worked(c->delivery->hosts, &c->peer);
    if (c->has_work && c->must_end)
        client_quit(c->client, wall_ms());
    else if (c->has_work && c->conn_use == 0)
        start_on_connection(c);
    else if (c->has_work)
        begin_transaction(c);
    else
        next_work(c);
}

/* Does what the engine wants until it waits for the peer. */
static void converse(struct courier *c)
{
    while (c->phase == PHASE_TALKING && !c->conn.is_closing) {
        enum client_wants wants = client_wants(c->client);

        switch (wants) {
        case CLIENT_READS:
            flush(c);
            return;
        case CLIENT_FREE:
            became_free(c);
            break;
        case CLIENT_SENDS:
            flush(c);
            send_content(c);
            flush(c);
            if (client_wants(c->client) == CLIENT_SENDS)
                return;
            break;
        case CLIENT_DONE:
            outcomes_ready(c);
            break;
        case CLIENT_CLOSES:
            flush(c);
            finish(c);
            return;
        }
    }
}

static size_t visit_input(void *user, struct span in)
{
    struct courier *c = user;

    client_feed(c->client, in, wall_ms());
    if (c->phase == PHASE_PARKED) { /* a 421, most likely */
        if (client_wants(c->client) == CLIENT_CLOSES)
            courier_end(c);
        return in.len;
    }
    converse(c);
    return in.len;
}

static void visit_ended(void *user, int rc)
{
    struct courier *c = user;

    client_lost(c->client, span_of(rc ? uv_strerror(rc) : ""),
                wall_ms());
    if (c->phase == PHASE_READING)
        return; /* the work in hand goes on: see on_head */
    if (c->phase == PHASE_TALKING)
        converse(c);
    conn_close(&c->conn);
}

static void visit_drained(void *user)
{
    struct courier *c = user;

    if (c->phase != PHASE_TALKING)
        return;
    client_sent(c->client, wall_ms());
    converse(c);
}

/* ---------------------------------------------------- the delivery's side ---- */

void courier_open(struct delivery *d, struct queue_slot *slot)
{
    struct courier *c = NEW(struct courier);
    struct span lane = queue_slot_lane(slot);

    c->delivery = d;
    c->slot = slot;
    c->settings = settings_hold(d->worker->settings);
    c->token = registry_put(&d->registry, c);
    c->next = d->couriers;
    c->here = &d->couriers;
    if (c->next)
        c->next->here = &c->next;
    d->couriers = c;
    d->count++;
    queue_slot_attach(slot, c);
    c->domain = arena_copy(&c->arena, lane_domain(lane));
    c->route = lane.len ? route_of_lane(c->settings, lane) : NULL;
    if (lane.len == 0)
        let_go(c);
    else if (!c->route)
        judge_all(c, DIAGNOSIS_LATER, STATUS(4, 3, 5), "no route for the domain");
    else
        look_up(c);
}

void courier_ready(struct courier *c)
{
    if (c->phase != PHASE_PARKED)
        return;
    next_work(c);
    converse(c);
}

void courier_end(struct courier *c)
{
    c->must_end = true;
    if (c->phase != PHASE_PARKED)
        return;
    if (!c->is_connected) {
        let_go(c);
        return;
    }
    enter(c, PHASE_ENDING);
    if (client_wants(c->client) == CLIENT_FREE)
        client_quit(c->client, wall_ms());
    flush(c);
    finish(c);
}

void courier_cut(struct courier *c, bool even_past_dot)
{
    c->must_end = true;
    if (c->query)
        resolver_cancel(c->query);
    if (c->race)
        race_cancel(c->race);
    c->query = NULL;
    c->race = NULL;
    if (c->phase == PHASE_PARKED) {
        courier_end(c);
    } else if (!c->client) {
        drop_work(c);
        let_go(c);
    } else if (c->phase != PHASE_ENDING &&
               (even_past_dot || !client_is_past_dot(c->client))) {
        if (client_is_past_dot(c->client)) {
            client_lost(c->client, SPAN("this host is going down"), wall_ms());
            converse(c);
        }
        drop_work(c);
        if (c->is_connected)
            conn_close(&c->conn);
        else
            session_over(c);
    }
}

void courier_tick(struct courier *c, int64_t now_ms)
{
    if (!c->is_connected || c->conn.is_closing)
        return;
    if (c->phase == PHASE_ENDING) {
        if (now_ms >= c->cut_ms)
            conn_close(&c->conn);
    } else if (c->phase == PHASE_PARKED) {
        if (now_ms >= c->idle_ms)
            courier_end(c);
    } else if (c->phase == PHASE_TALKING &&
               now_ms >= client_deadline_ms(c->client)) {
        client_timeout(c->client, now_ms);
        converse(c);
    }
}

struct courier *courier_next(const struct courier *c)
{
    return c->next;
}
