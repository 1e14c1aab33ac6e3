/*
 * herald_round - one round of a webhook, from the history to the receiver.
 *
 *   RESTS --due--> READS --rows--> POSTS --2xx--> RESTS (0 s where there is more, else 1 s)
 *     ^              |               |
 *     |<-- nothing --+               +-- anything else --> RESTS 10 s, 20 s ... 10 min
 *
 * What is sent, at most about BODY_MOST bytes of it:
 *   {"webhook":NAME,"batch":ID OF THE LAST,"events":[{"id":ID, ... as in the history}]}
 *
 * The answer's status is all that counts: a redirection is not followed, a body is not read.
 */
#include "relay/main/herald_private.h"

#include "relay/admin/chronicle_row.h"
#include "relay/admin/listing.h"
#include "relay/main/seal.h"
#include "relay/net/log.h"
#include "relay/net/worker.h"
#include "relay/outbound/secret.h"
#include "relay/outbound/weburl.h"

enum {
    IDLE_MS = 1000,
    FIRST_MS = 10 * 1000,
    MOST_MS = 10 * 60 * 1000,
    CONNECT_MS = 10 * 1000,
    TOTAL_MS = 30 * 1000,
    BODY_MOST = 1024 * 1024,
};

static void rest(struct hook *k, uint64_t ms)
{
    k->state = HOOK_RESTS;
    k->due = uv_now(k->herald->loop) + ms;
    herald_look(k->herald);
}

static void keep_place(struct hook *k, uint64_t told)
{
    struct buffer value = { 0 };

    k->told = told;
    k->has_place = true;
    buffer_printf(&value, "%llu", (unsigned long long)told);
    queue_note_put(k->herald->queue, SPAN("webhook"), k->title,
                   buffer_span(&value), INT64_MAX);
    buffer_fini(&value);
}

/* ------------------------------------------------------------ failing ---- */

static uint64_t rest_of(unsigned failures)
{
    unsigned doublings = failures < 8 ? failures - 1 : 7;
    uint64_t ms = (uint64_t)FIRST_MS << doublings;

    return ms < MOST_MS ? ms : MOST_MS;
}

/* The more often it fails the less is said of it. */
static void fail(struct hook *k)
{
    uint64_t ms = rest_of(++k->failures);

    if ((k->failures & (k->failures - 1)) == 0)
        log_text(LOG_WARNING, "webhook \"%.*s\": %s; the next try is in %llu s",
                 SPAN_FMT(k->title), buffer_string(&k->error),
                 (unsigned long long)(ms / 1000));
    rest(k, ms);
}

static void succeed(struct hook *k)
{
    if (k->failures)
        log_text(LOG_NOTE, "webhook \"%.*s\": works again", SPAN_FMT(k->title));
    k->failures = 0;
    k->good_ms = wall_ms();
    k->sent += k->telling;
    buffer_clear(&k->error);
    keep_place(k, k->up_to);
    rest(k, k->told < k->newest ? 0 : IDLE_MS);
}

/* ------------------------------------------------------------ sending ---- */

static void on_posted(void *user, const struct webpost_answer *a)
{
    struct hook *k = user;

    k->post = NULL;
    k->status = a->status;
    buffer_clear(&k->error);
    if (a->rc == 0 && a->status >= 200 && a->status < 300) {
        succeed(k);
        return;
    }
    weburl_put_host(&k->error, k->url);
    if (a->rc < 0) {
        buffer_put_string(&k->error, ": ");
        buffer_put(&k->error, a->why);
    } else {
        buffer_printf(&k->error, " answered %u", a->status);
    }
    fail(k);
}

static void post(struct hook *k, struct span secret, struct span body)
{
    struct buffer signature = { 0 }, batch = { 0 };
    struct webpost_question q = { .url = k->url,
                                  .body = body,
                                  .authorities = k->authorities,
                                  .connect_ms = CONNECT_MS,
                                  .total_ms = TOTAL_MS,
                                  .status_is_all = true,
                                  .keeps_connection = true };

    buffer_put_string(&signature, "Waypost-Signature: ");
    seal_put(&signature, secret, wall_ms() / 1000, body);
    buffer_printf(&batch, "Waypost-Batch: %llu", (unsigned long long)k->up_to);
    q.headers[0] = SPAN("Content-Type: application/json");
    q.headers[1] = buffer_span(&signature);
    q.headers[2] = buffer_span(&batch);
    k->state = HOOK_POSTS;
    k->post = webpost_send(k->herald->desk, &q, on_posted, k);
    buffer_fini(&signature);
    buffer_fini(&batch);
}

/* As in the history, with its number. */
static void put_event(struct buffer *b, const struct queue_told *t)
{
    json_t *o = chronicle_row(t);

    ASSERT(json_object_set_new(o, "id", json_integer(t->place.id)) == 0);
    listing_put_value(b, o);
}

/* The events, and how far it goes: where they are too much for one request, to the last
 * that is in it. */
static void put_body(struct buffer *b, struct hook *k,
                     const struct queue_sequel *s)
{
    struct buffer events = { 0 };

    k->up_to = s->last;
    k->telling = 0;
    for (size_t i = 0; i < s->count && events.len < BODY_MOST; i++) {
        if (i)
            buffer_put_byte(&events, ',');
        put_event(&events, &s->rows[i]);
        k->telling++;
        if (events.len >= BODY_MOST)
            k->up_to = (uint64_t)s->rows[i].place.id;
    }
    buffer_put_string(b, "{\"webhook\":");
    listing_put_value(b, listing_text(k->title));
    buffer_printf(b, ",\"batch\":%llu,\"events\":[",
                  (unsigned long long)k->up_to);
    buffer_put(b, buffer_span(&events));
    buffer_put_string(b, "]}");
    buffer_fini(&events);
}

static void tell(struct hook *k, const struct queue_sequel *s)
{
    struct buffer secret = { 0 }, why = { 0 }, body = { 0 };
    bool is_exposed;
    int rc = weburl_check(k->url, "url", &why);

    if (rc == 0)
        rc = secret_read(k->secret_file, &secret, &is_exposed, &why);
    if (rc < 0) {
        buffer_clear(&k->error);
        buffer_put(&k->error, buffer_span(&why));
        k->status = 0;
        fail(k);
    } else {
        put_body(&body, k, s);
        post(k, buffer_span(&secret), buffer_span(&body));
    }
    secret_wipe(&secret);
    buffer_fini(&why);
    buffer_fini(&body);
}

/* ------------------------------------------------------------ reading ---- */

/* What was to be told is not there any more. */
static void count_lost(struct hook *k, const struct queue_sequel *s)
{
    uint64_t n = s->oldest > k->told + 1 ? s->oldest - k->told - 1 : 0;

    if (!n)
        return;
    k->lost += n;
    log_text(LOG_WARNING,
             "webhook \"%.*s\": the history has removed about %llu events "
             "before they were told; a longer history, or a receiver that "
             "answers, would keep them",
             SPAN_FMT(k->title), (unsigned long long)n);
    keep_place(k, s->oldest - 1);
}

static void on_read(void *user, uint64_t token, int rc,
                    const struct queue_sequel *s)
{
    struct hook *k = herald_find(user, token);

    if (!k || k->herald->is_stopping)
        return;
    if (rc < 0) {
        buffer_clear(&k->error);
        buffer_printf(&k->error, "the history cannot be read: %s",
                      error_text(rc));
        k->status = 0;
        fail(k);
        return;
    }
    k->oldest = s->oldest;
    k->newest = s->newest;
    if (!k->has_place) {
        /* a history that was emptied has no newest, and yet was not empty */
        keep_place(k, s->newest ? s->newest : s->begun);
        rest(k, IDLE_MS);
        return;
    }
    count_lost(k, s);
    if (s->count) {
        tell(k, s);
        return;
    }
    if (s->last > k->told)
        keep_place(k, s->last);
    rest(k, k->told < s->newest ? 0 : IDLE_MS);
}

void herald_round(struct hook *k)
{
    k->state = HOOK_READS;
    k->token = ++k->herald->last_token;
    /* without a place only the history's bounds are wanted */
    queue_sequel(k->herald->port, k->has_place ? k->told : INT64_MAX, k->what,
                 k->batch, on_read, k->token);
}

void herald_give_up(struct hook *k)
{
    webpost_drop(k->post);
    k->post = NULL;
    k->token = 0;
    k->state = HOOK_RESTS;
}
