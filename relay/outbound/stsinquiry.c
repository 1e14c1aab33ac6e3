/*
 * stsinquiry - which policy (MTA-STS) has a domain?
 *
 * A note has "ID FETCHED-MS" in its first line and the policy, as we print it, behind; it
 * expires with the policy. Where nobody waits any more a fetch that was begun for a fresher
 * copy goes on by itself; one that was begun for its answer ends with who asked.
 */
#include "relay/outbound/stsinquiry.h"

#include "policy/vocabulary/memory.h"
#include "relay/net/gauge.h"
#include "relay/net/log.h"
#include "relay/net/resolver.h"
#include "relay/outbound/stslease.h"
#include "relay/outbound/webpost.h"

#include <inttypes.h>
#include <stdlib.h>

#define NOTES SPAN("mta-sts")

enum {
    TIME_MS = 60 * 1000, /* from the beginning to the end */
    LEAST_MS = 5 * 1000, /* for the server, however long the names took */
    CONNECT_MS = 20 * 1000,
    FRESH_MS =
        24 * 60 * 60 * 1000, /* or half of max_age: fetched anew after it */
    ADDRESSES_MOST = 4,
};

enum state { RECORD, RECALL, WAITS, ADDRESS, FETCH };

struct stsinquiry {
    struct stsinquiry *next, **here;
    struct delivery *delivery;
    struct span domain; /* in the arena */
    struct arena arena;
    stsinquiry_fn *done; /* NULL: nobody waits */
    void *user;
    enum state state;
    struct resolver_query *query;
    struct webpost *post;
    uint64_t token; /* RECALL; else 0 */
    int64_t began_ms;
    bool has_lease;
    char id[MTASTS_ID_MOST + 1]; /* announced; empty: none */
    struct buffer kept;          /* the note's policy; empty: none */
    char kept_id[MTASTS_ID_MOST + 1];
    int64_t fetched_ms;
};

/* ----------------------------------------------------------------- the end ---- */

static void end_lease(struct stsinquiry *i, bool is_failed)
{
    if (i->has_lease)
        stslease_end(i->delivery->worker->leases, i->domain, span_of(i->id),
                     is_failed, wall_ms());
    i->has_lease = false;
}

static void inquiry_free(struct stsinquiry *i)
{
    end_lease(i, false);
    if (i->token)
        registry_drop(&i->delivery->registry, i->token);
    if (i->query)
        resolver_cancel(i->query);
    webpost_drop(i->post);
    *i->here = i->next;
    if (i->next)
        i->next->here = i->here;
    buffer_fini(&i->kept);
    arena_reset(&i->arena);
    free(i);
}

void stsinquiry_cancel(struct stsinquiry *take_i)
{
    inquiry_free(take_i);
}

/* Whoever waits is told; it is not gone after it. */
static void tell(struct stsinquiry *i, const struct mtasts_policy *p,
                 struct span words)
{
    stsinquiry_fn *done = i->done;

    i->done = NULL;
    if (done)
        done(i->user, p, words);
}

/* By what is kept, if anything is. It is not gone after it. */
static void tell_kept(struct stsinquiry *i, const char *why)
{
    struct mtasts_policy p;
    struct buffer words = { 0 };

    buffer_put_string(&words, why);
    if (i->kept.len && !mtasts_policy_read(buffer_span(&i->kept), &p))
        tell(i, &p, buffer_span(&words));
    else
        tell(i, NULL, buffer_span(&words));
    buffer_fini(&words);
}

/* It is gone after it. */
static void end(struct stsinquiry *i, const char *why)
{
    tell_kept(i, why);
    inquiry_free(i);
}

/* -------------------------------------------------------------- the server ---- */

/* It is gone after it. */
static void fail(struct stsinquiry *i, struct span why)
{
    struct buffer words = { 0 };

    gauge_count(i->delivery->worker->gauge, GAUGE_STS_FETCH_FAILED);
    buffer_put_string(&words, "the policy cannot be had from mta-sts.");
    buffer_put_escaped(&words, i->domain);
    buffer_put_string(&words, ": ");
    buffer_put_escaped(&words, why);
    log_text(LOG_NOTE, "MTA-STS: %s%s", buffer_string(&words),
             i->kept.len ? "; what is kept of it holds" : "");
    end_lease(i, true);
    end(i, buffer_string(&words));
    buffer_fini(&words);
}

static void keep(struct stsinquiry *i, const struct mtasts_policy *p)
{
    struct buffer value = { 0 };
    int64_t now = wall_ms();

    buffer_printf(&value, "%s %" PRId64 "\n", i->id, now);
    mtasts_policy_print(&value, p);
    queue_note_put(i->delivery->worker->queue, NOTES, i->domain,
                   buffer_span(&value), now + (int64_t)p->max_age_s * 1000);
    buffer_fini(&value);
}

/* "text/plain; charset=..." */
static bool is_plain(struct span media)
{
    return span_is_nocase(span_trim(span_first(media, span_find(media, ';'))),
                          SPAN("text/plain"));
}

static void on_text(void *user, const struct webpost_answer *a)
{
    struct stsinquiry *i = user;
    struct buffer why = { 0 };
    struct mtasts_policy p;
    const char *fault = NULL;
    bool is_good = false;

    i->post = NULL;
    if (a->rc < 0)
        buffer_put(&why, a->why);
    else if (a->status != 200)
        buffer_printf(&why, "it answers %u", a->status);
    else if (!is_plain(a->media))
        buffer_put_string(&why, "what it answers is not text/plain");
    else if ((fault = mtasts_policy_read(a->body, &p)) != NULL)
        buffer_put_string(&why, fault);
    else
        is_good = true;
    if (!is_good) {
        fail(i, buffer_span(&why));
    } else {
        gauge_count(i->delivery->worker->gauge, GAUGE_STS_FETCHED);
        keep(i, &p);
        tell(i, &p, SPAN("the policy was fetched"));
        inquiry_free(i);
    }
    buffer_fini(&why);
}

/* What curl is to take for the name: "mta-sts.example:443:192.0.2.1,[2001:db8::1]". */
static bool put_addresses(struct buffer *b, struct span host,
                          const struct mx_answer *a)
{
    size_t n = 0;

    buffer_put(b, host);
    buffer_put_string(b, ":443:");
    for (size_t k = 0; a->count && k < a->hosts[0].count; k++) {
        const struct host_address *at = &a->hosts[0].addresses[k];
        bool is_v4 = host_address_is_v4(at);

        if (host_address_is_unsafe_target(at) || n == ADDRESSES_MOST)
            continue;
        buffer_put_string(b, n++ ? "," : "");
        buffer_put_string(b, is_v4 ? "" : "[");
        host_address_print(b, at);
        buffer_put_string(b, is_v4 ? "" : "]");
    }
    return n > 0;
}

static void get(struct stsinquiry *i, struct span resolve)
{
    struct delivery *d = i->delivery;
    int64_t left = i->began_ms + TIME_MS - wall_ms();
    struct webpost_question q = {
        .is_get = true,
        .resolve = resolve,
        .authorities = d->worker->settings->tls.authorities,
        .connect_ms = CONNECT_MS,
        .total_ms = left > LEAST_MS ? left : LEAST_MS,
    };
    struct buffer url = { 0 };

    i->state = FETCH;
    buffer_put_string(&url, "https://mta-sts.");
    buffer_put(&url, i->domain);
    buffer_put_string(&url, "/.well-known/mta-sts.txt");
    q.url = buffer_span(&url);
    if (!d->web)
        d->web = webpost_desk_open(&d->worker->loop);
    i->post = webpost_send(d->web, &q, on_text, i);
    buffer_fini(&url);
}

static void on_address(void *user, const struct mx_answer *a)
{
    struct stsinquiry *i = user;
    struct buffer host = { 0 }, resolve = { 0 };

    i->query = NULL;
    buffer_put_string(&host, "mta-sts.");
    buffer_put(&host, i->domain);
    if (put_addresses(&resolve, buffer_span(&host), a))
        get(i, buffer_span(&resolve));
    else
        fail(i, a->why.len ? a->why : SPAN("it has no address to go to"));
    buffer_fini(&host);
    buffer_fini(&resolve);
}

static void find_host(struct stsinquiry *i)
{
    struct buffer host = { 0 };

    i->state = ADDRESS;
    buffer_put_string(&host, "mta-sts.");
    buffer_put(&host, i->domain);
    i->query = resolver_host(i->delivery->worker->resolver, buffer_span(&host),
                             false, on_address, i);
    buffer_fini(&host);
}

/* The inquiry may be gone after it. */
static void fetch(struct stsinquiry *i)
{
    switch (stslease_take(i->delivery->worker->leases, i->domain,
                          span_of(i->id), wall_ms())) {
    case STSLEASE_YOURS:
        i->has_lease = true;
        find_host(i);
        break;
    case STSLEASE_BUSY:
        i->state = WAITS;
        break;
    case STSLEASE_FAILED:
        end(i, "the policy could not be had a while ago");
        break;
    }
}

/* ------------------------------------------------------------ what is kept ---- */

static void read_note(struct stsinquiry *i, struct span value)
{
    struct span text, line = span_split(value, '\n', &text), when;
    struct span id = span_split(line, ' ', &when);
    uint64_t fetched_ms;

    buffer_clear(&i->kept);
    if (id.len == 0 || id.len > MTASTS_ID_MOST ||
        !span_number(when, &fetched_ms))
        return;
    memcpy(i->kept_id, id.at, id.len);
    i->kept_id[id.len] = '\0';
    i->fetched_ms = (int64_t)fetched_ms;
    buffer_put(&i->kept, text);
}

static bool is_fresh(const struct stsinquiry *i, int64_t now_ms)
{
    struct mtasts_policy p;
    int64_t half;

    if (mtasts_policy_read(buffer_span(&i->kept), &p) != NULL)
        return false;
    half = (int64_t)p.max_age_s * 500;
    return now_ms - i->fetched_ms < (half < FRESH_MS ? half : FRESH_MS);
}

/* The inquiry may be gone after it. */
static void compare(struct stsinquiry *i)
{
    bool is_same = i->kept.len && strcmp(i->id, i->kept_id) == 0;
    bool was_waiting = i->state == WAITS;

    if (!i->id[0]) {
        end(i, i->kept.len ? "no policy is announced, but one is kept"
                           : "no policy is announced");
    } else if (is_same &&
               (is_fresh(i, wall_ms()) || was_waiting || i->delivery->cut_ms)) {
        end(i, "the policy is kept");
    } else {
        if (is_same) /* mail goes on; what follows is for the next */
            tell_kept(i, "the policy is kept");
        fetch(i);
    }
}

static void on_recalled(void *worker, uint64_t token, int rc, struct span value)
{
    struct delivery *d = ((struct worker *)worker)->delivery;
    struct stsinquiry *i = registry_find(&d->registry, token);

    if (!i)
        return;
    registry_drop(&d->registry, token);
    i->token = 0;
    read_note(i, rc < 0 ? SPAN("") : value);
    compare(i);
}

static void recall(struct stsinquiry *i)
{
    struct delivery *d = i->delivery;

    if (i->state != WAITS)
        i->state = RECALL;
    i->token = registry_put(&d->registry, i);
    queue_recall(d->worker->port, NOTES, i->domain, on_recalled, i->token);
}

/* -------------------------------------------------------------- the record ---- */

static void on_record(void *user, const struct mx_answer *a)
{
    struct stsinquiry *i = user;

    i->query = NULL;
    if (a->kind != RESOLVER_OK ||
        !mtasts_record_find(a->records, a->record_count, i->id))
        i->id[0] = '\0';
    recall(i);
}

struct stsinquiry *stsinquiry_begin(struct delivery *d, struct span domain,
                                    stsinquiry_fn *done, void *user)
{
    struct stsinquiry *i = NEW(struct stsinquiry);
    struct buffer name = { 0 };

    i->delivery = d;
    i->domain = arena_copy(&i->arena, domain);
    i->done = done;
    i->user = user;
    i->began_ms = wall_ms();
    i->next = d->inquiries;
    i->here = &d->inquiries;
    if (i->next)
        i->next->here = &i->next;
    d->inquiries = i;
    buffer_put_string(&name, "_mta-sts.");
    buffer_put(&name, domain);
    i->query =
        resolver_text(d->worker->resolver, buffer_span(&name), on_record, i);
    buffer_fini(&name);
    return i;
}

/* Those who wait for another's fetch look what came of it. */
void stsinquiry_tick(struct delivery *d, int64_t now_ms)
{
    for (struct stsinquiry *i = d->inquiries, *next; i; i = next) {
        next = i->next;
        if (i->state != WAITS || i->token)
            continue;
        if (!i->done)
            inquiry_free(i); /* somebody else brings the fresher one */
        else if (now_ms >= i->began_ms + TIME_MS)
            end(i, "the policy did not come in time");
        else
            recall(i);
    }
}

void stsinquiry_shut_down(struct delivery *d)
{
    for (struct stsinquiry *i = d->inquiries, *next; i; i = next) {
        next = i->next;
        if (!i->done)
            inquiry_free(i);
    }
}
