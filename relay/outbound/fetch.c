/*
 * fetch - our mail is asked for at a provider, and comes in over the same connection.
 *
 * Another host of the provider is asked as long as none has let us in; what the first one
 * that did says to ATRN is the answer. A connection ends in fetch_closed and nowhere else.
 * Functions that may free the fetch say so.
 */
#include "relay/outbound/fetch.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/memory.h"
#include "relay/outbound/terms.h"

#include <stdlib.h>

enum { LINGER_MS = 5000, NO_MAIL = 453 };

#define TO(p) (1u << (p))

enum phase { SEEKING, TALKING, ENDING, RECEIVING, GONE };

static const unsigned successors[] = {
    [SEEKING] = TO(TALKING) | TO(GONE),
    [TALKING] = TO(ENDING) | TO(RECEIVING),
    [ENDING] = TO(SEEKING) | TO(GONE),
    [RECEIVING] = TO(GONE),
    [GONE] = 0,
};

struct fetch {
    struct fetch *next, **here;
    struct delivery *delivery;
    struct settings *settings;
    struct tls_material *tls; /* of these settings */
    const struct fetch_settings *what;
    enum phase phase;
    struct itinerary itinerary;
    fetch_told_fn *told;
    void *user;
    uint64_t token;      /* RECEIVING: the intake knows us by it; else 0 */
    bool is_cut;         /* we are going down */
    struct buffer words; /* why it failed, in our own words; else empty */
    struct fetch_outcome outcome;

    /* The connection. */
    struct conn conn;
    struct client *client; /* NULL: none */
    uint64_t reckoning;
    bool is_connected; /* closed will come */
    int64_t linger_ms;
};

static void enter(struct fetch *f, enum phase phase)
{
    ASSERT(successors[f->phase] & TO(phase));
    f->phase = phase;
}

static struct terms terms_of(struct fetch *f)
{
    const struct settings *s = f->settings;

    return (struct terms){
        .delivery = f->delivery,
        .settings = s,
        .tls = f->tls,
        .route = &f->what->route,
        .certificate = s->route_count + (size_t)(f->what - s->fetches),
        .itinerary = &f->itinerary,
        .conn = &f->conn,
        .client = f->client,
        .reckoning = &f->reckoning,
    };
}

/* ---------------------------------------------------------------- the end ---- */

/* The fetch is gone after it. */
static void leave(struct fetch *f)
{
    struct delivery *d = f->delivery;

    ASSERT(!f->is_connected && !f->client && !f->token);
    enter(f, GONE);
    f->outcome.words = buffer_span(&f->words);
    f->told(f->user, &f->outcome);
    itinerary_fini(&f->itinerary);
    *f->here = f->next;
    if (f->next)
        f->next->here = f->here;
    settings_release(f->settings);
    tls_material_release(f->tls);
    buffer_fini(&f->words);
    free(f);
    delivery_left(d);
}

/* The first reason is the one that counts. The fetch is gone after it. */
static void fail(struct fetch *f, struct span words)
{
    f->outcome.kind = FETCH_FAILED;
    if (f->words.len == 0)
        buffer_put(&f->words, words);
    leave(f);
}

static void fail_going_down(struct fetch *f)
{
    fail(f, SPAN("this host is going down"));
}

/* The connection is closed, and the roles were not changed. The fetch may be gone after
 * it. */
static void fetch_over(struct fetch *f)
{
    struct terms t = terms_of(f);
    bool was_greeted = client_is_greeted(f->client);
    bool is_empty = client_turn_code(f->client) == NO_MAIL;
    bool again = !f->is_cut && terms_are_milder(&t);

    if (f->phase != ENDING)
        enter(f, ENDING);
    if (!was_greeted && !f->is_cut && !again)
        itinerary_refused(&f->itinerary, client_trouble(f->client));
    if (was_greeted && f->words.len == 0)
        buffer_put(&f->words, client_trouble(f->client)->reply);
    terms_reckon_no_more(&t);
    client_free(f->client);
    f->client = NULL;
    if (is_empty) {
        f->outcome.kind = FETCH_EMPTY;
        leave(f);
    } else if (f->is_cut) {
        fail_going_down(f);
    } else if (was_greeted) {
        fail(f, SPAN("the connection was lost"));
    } else {
        enter(f, SEEKING);
        if (again)
            itinerary_again(&f->itinerary);
        else
            itinerary_next(&f->itinerary);
    }
}

/* The fetch may be gone after it. */
static void fetch_closed(void *user)
{
    struct fetch *f = user;

    f->is_connected = false;
    if (f->phase == RECEIVING) {
        if (!f->token)
            leave(f);
        return;
    }
    client_lost(f->client, SPAN(""), wall_ms());
    fetch_over(f);
}

/* ------------------------------------------------------------- receiving ---- */

/* The fetch may be gone after it. */
static void on_received(void *user, uint64_t token,
                        const struct fetch_result *r)
{
    struct delivery *d = ((struct worker *)user)->delivery;
    struct fetch *f = registry_find(&d->registry, token);

    ASSERT(f);
    registry_drop(&d->registry, token);
    f->token = 0;
    f->outcome.result = *r;
    if (!f->is_connected)
        leave(f);
}

/* We are the server from now on; rest is what the peer has said to that one already. */
static void hand_over(struct fetch *f, struct span rest)
{
    struct worker *w = f->delivery->worker;
    struct incoming i = {
        .provider = f->itinerary.peer.address,
        .listener = &f->what->listener,
        .login = f->what->route.via[0].account->user,
        .done = on_received,
        .user = w,
    };

    if (conn_give(&f->conn, &i.hand) < 0) {
        buffer_put_string(&f->words, "peer broke off, or did not wait, when it "
                                     "was asked for mail");
        conn_close(&f->conn);
        return;
    }
    buffer_put(&i.hand.waiting, rest);
    client_free(f->client);
    f->client = NULL;
    enter(f, RECEIVING);
    f->outcome.kind = FETCH_RECEIVED;
    f->token = i.token = registry_put(&f->delivery->registry, f);
    i.settings = settings_hold(f->settings);
    w->sides.receive(w, &i);
}

/* ---------------------------------------------------------- conversation ---- */

static void fetch_reckoned(void *user, struct login *take_l);

static void flush(struct fetch *f)
{
    size_t before = conn_unsent(&f->conn);

    if (client_output(f->client)->len == 0)
        return;
    if (conn_send(&f->conn, client_output(f->client)) < 0)
        conn_close(&f->conn);
    else if (before == 0 && conn_unsent(&f->conn) == 0)
        client_sent(f->client, wall_ms());
}

/* Its last words are waited for. */
static void finish(struct fetch *f)
{
    bool has_words = client_output(f->client)->len > 0;

    enter(f, ENDING);
    (void)conn_send(&f->conn, client_output(f->client));
    f->linger_ms = wall_ms() + LINGER_MS;
    if (has_words && client_is_greeted(f->client))
        conn_finish(&f->conn);
    else
        conn_close(&f->conn);
}

static void ask(struct fetch *f, const struct terms *t)
{
    itinerary_greeted(&f->itinerary);
    terms_met(t);
    client_turn(f->client, f->what->domains, f->what->domain_count, wall_ms());
}

/* Does what the engine wants until it waits for the peer. */
static void converse(struct fetch *f)
{
    struct terms t = terms_of(f);

    while (f->phase == TALKING && !f->conn.is_closing) {
        switch (client_wants(f->client)) {
        case CLIENT_READS:
            flush(f);
            return;
        case CLIENT_STARTS_TLS:
            flush(f);
            if (!terms_start_tls(&t))
                conn_close(&f->conn);
            return;
        case CLIENT_COMPUTES:
            terms_reckon(&t, fetch_reckoned, f);
            return;
        case CLIENT_FREE:
            ask(f, &t);
            break;
        case CLIENT_TURNED: /* see fetch_input */
            return;
        case CLIENT_SENDS: /* there is no transaction */
        case CLIENT_DONE:
        case CLIENT_CLOSES:
            finish(f);
            return;
        }
    }
}

static size_t fetch_input(void *user, struct span in)
{
    struct fetch *f = user;
    size_t used;

    if (f->phase != TALKING)
        return in.len;
    used = client_feed(f->client, in, wall_ms());
    converse(f);
    if (f->phase == TALKING && client_wants(f->client) == CLIENT_TURNED)
        hand_over(f, span_skip(in, used));
    return in.len;
}

static void fetch_ended(void *user, int rc)
{
    struct fetch *f = user;
    struct terms t = terms_of(f);

    terms_broken(&t, rc);
    converse(f);
    conn_close(&f->conn);
}

static void fetch_secured(void *user)
{
    struct fetch *f = user;
    struct terms t = terms_of(f);

    terms_secured(&t);
    converse(f);
}

static void fetch_reckoned(void *user, struct login *take_l)
{
    struct fetch *f = user;

    f->reckoning = 0;
    client_computed(f->client, take_l, wall_ms());
    converse(f);
}

static void fetch_drained(void *user)
{
    struct fetch *f = user;

    client_sent(f->client, wall_ms());
    converse(f);
}

static const struct conn_events conn_events = {
    .input = fetch_input,
    .ended = fetch_ended,
    .drained = fetch_drained,
    .secured = fetch_secured,
    .closed = fetch_closed,
};

/* ----------------------------------------------------- beginning and time ---- */

static void on_connected(void *user, int fd)
{
    struct fetch *f = user;
    struct terms t = terms_of(f);

    enter(f, TALKING);
    f->client = terms_client(&t, wall_ms());
    f->is_connected = true;
    if (conn_open(&f->conn, f->delivery->worker, fd, &conn_events, f) < 0)
        fetch_ended(f, UV_ECONNRESET);
    else
        converse(f); /* TLS may be first */
}

/* The fetch is gone after it. */
static void on_judged(void *user, enum diagnosis d, struct status status,
                      const char *words)
{
    (void)d;
    (void)status;
    fail(user, span_of(words));
}

/* The fetch is gone after it. */
static void on_exhausted(void *user)
{
    struct fetch *f = user;

    fail(f, buffer_span(&f->itinerary.trouble));
}

static const struct itinerary_events itinerary_events = {
    .connected = on_connected,
    .judged = on_judged,
    .exhausted = on_exhausted,
};

static const struct fetch_settings *find(const struct settings *s,
                                         struct span title)
{
    for (size_t i = 0; i < s->fetch_count; i++)
        if (span_is(s->fetches[i].title, title))
            return &s->fetches[i];
    return NULL;
}

void fetch_open(struct worker *w, struct span title, fetch_told_fn *told,
                void *user)
{
    const struct fetch_settings *what = find(w->settings, title);
    struct delivery *d = w->delivery;
    struct fetch *f;

    if (!what || d->cut_ms) {
        told(user, &(struct fetch_outcome){
                       .kind = FETCH_FAILED,
                       .words = what ? SPAN("this host is going down")
                                     : SPAN("it is not configured any more") });
        return;
    }
    f = NEW(struct fetch);
    f->delivery = d;
    f->settings = settings_hold(w->settings);
    f->tls = tls_material_hold(w->tls);
    f->what = what;
    f->told = told;
    f->user = user;
    f->next = d->fetches;
    f->here = &d->fetches;
    if (f->next)
        f->next->here = &f->next;
    d->fetches = f;
    d->count++;
    itinerary_init(&f->itinerary, d, &what->route, SPAN(""), &itinerary_events,
                   f);
    itinerary_begin(&f->itinerary);
}

void fetch_tick(struct fetch *f, int64_t now_ms)
{
    if (f->phase == ENDING && f->is_connected && now_ms >= f->linger_ms) {
        conn_close(&f->conn);
    } else if (f->phase == TALKING && !f->conn.is_closing &&
               now_ms >= client_deadline_ms(f->client)) {
        client_timeout(f->client, now_ms);
        converse(f);
    }
}

void fetch_cut(struct fetch *f)
{
    f->is_cut = true;
    if (f->phase == SEEKING)
        fail_going_down(f);
    else if (f->phase == TALKING)
        conn_close(&f->conn);
}

struct fetch *fetch_next(const struct fetch *f)
{
    return f->next;
}
