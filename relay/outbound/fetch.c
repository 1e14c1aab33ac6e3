/*
 * fetch - our mail is asked for at a provider, and comes in over the same connection.
 *
 * Another host of the provider is asked as long as none has let us in; what the first one
 * that did says to ATRN is the answer. What is said on a connection is talk.c's.
 * Functions that may free the fetch say so.
 */
#include "relay/outbound/fetch.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/memory.h"
#include "relay/outbound/talk.h"

#include <stdlib.h>

enum { LINGER_MS = 5000, NO_MAIL = 453 };

#define TO(p) (1u << (p))

enum phase { SEEKING, TALKING, RECEIVING, GONE };

static const unsigned successors[] = {
    [SEEKING] = TO(TALKING) | TO(GONE),
    [TALKING] = TO(SEEKING) | TO(RECEIVING) | TO(GONE),
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
    struct talk talk;
};

static void enter(struct fetch *f, enum phase phase)
{
    ASSERT(successors[f->phase] & TO(phase));
    f->phase = phase;
}

/* ---------------------------------------------------------------- the end ---- */

/* The fetch is gone after it. */
static void leave(struct fetch *f)
{
    struct delivery *d = f->delivery;

    ASSERT(f->talk.state == TALK_NONE && !f->token);
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

/* The connection is closed. The fetch may be gone after it. */
static void fetch_over(void *user)
{
    struct fetch *f = user;
    struct client *client = f->talk.client;
    bool was_greeted, is_empty, again;

    if (f->phase == RECEIVING) {
        if (!f->token)
            leave(f);
        return;
    }
    was_greeted = client_is_greeted(client);
    is_empty = client_turn_code(client) == NO_MAIL;
    if (was_greeted && f->words.len == 0)
        buffer_put(&f->words, client_trouble(client)->reply);
    again = talk_conclude(&f->talk, !f->is_cut);
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
    if (!talk_is_connected(&f->talk))
        leave(f);
}

/* We are the server from now on; rest is what the peer has said to that one already. */
static void fetch_turned(void *user, struct span rest)
{
    struct fetch *f = user;
    struct worker *w = f->delivery->worker;
    struct incoming i = {
        .provider = f->itinerary.peer.address,
        .listener = &f->what->listener,
        .login = f->what->route.via[0].account->user,
        .done = on_received,
        .user = w,
    };

    if (talk_give(&f->talk, &i.hand) < 0) {
        buffer_put_string(&f->words, "peer broke off, or did not wait, when it "
                                     "was asked for mail");
        talk_close(&f->talk);
        return;
    }
    buffer_put(&i.hand.waiting, rest);
    enter(f, RECEIVING);
    f->outcome.kind = FETCH_RECEIVED;
    f->token = i.token = registry_put(&f->delivery->registry, f);
    i.settings = settings_hold(f->settings);
    w->sides.receive(w, &i);
}

/* ----------------------------------------------------- beginning and time ---- */

static void fetch_ask(void *user)
{
    struct fetch *f = user;

    client_turn(f->talk.client, f->what->domains, f->what->domain_count,
                wall_ms());
}

static const struct talk_events talk_events = {
    .ready = fetch_ask,
    .turned = fetch_turned,
    .over = fetch_over,
    .linger_ms = LINGER_MS,
};

static void on_connected(void *user, int fd)
{
    struct fetch *f = user;
    const struct settings *s = f->settings;
    struct terms terms = {
        .delivery = f->delivery,
        .settings = s,
        .tls = f->tls,
        .route = &f->what->route,
        .certificate = s->route_count + (size_t)(f->what - s->fetches),
        .itinerary = &f->itinerary,
    };

    enter(f, TALKING);
    talk_open(&f->talk, &terms, &talk_events, f, fd);
}

/* The fetch is gone after it. */
static void on_exhausted(void *user)
{
    struct fetch *f = user;

    fail(f, buffer_span(&f->itinerary.trouble));
}

static const struct itinerary_events itinerary_events = {
    .connected = on_connected,
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
    talk_tick(&f->talk, now_ms);
}

void fetch_cut(struct fetch *f)
{
    f->is_cut = true;
    if (f->phase == SEEKING)
        fail_going_down(f);
    else if (f->talk.state == TALK_TALKING)
        talk_close(&f->talk);
}

struct fetch *fetch_next(const struct fetch *f)
{
    return f->next;
}
