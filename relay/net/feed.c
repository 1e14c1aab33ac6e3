/*
 * feed - what is being logged, for those who look on.
 *
 * The second is cut into slices, and a slice has room for so many events of a reader. The
 * fuller it is, the rarer an event must be to be let in: `shares` says up to which filling
 * it is, by whether it is the routine of mail that flows or something else, and by whether
 * its kind has had its first few in this slice already. So a flood of deliveries leaves
 * room for a bounce, and a flood of refusals for a warning.
 *
 * One lock for all; what is held under it is the putting together of one line, and that
 * only for events that are let in.
 */
#include "relay/net/feed.h"

#include "policy/vocabulary/memory.h"
#include "relay/net/logline.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum {
    SLICE_MS = 100,
    SLICE = FEED_RATE * SLICE_MS / 1000,
    FIRST_FEW = 2,
};

/* Deliveries are told apart by what came of them. */
enum {
    KIND_SENT = LOG_EVENTS,
    KIND_DEFERRED,
    KIND_BOUNCED, /* and whatever else is no success */
    KINDS,
};
_Static_assert(KINDS <= 64, "kinds are bits of a filter");

static const char *const delivery_kinds[] = {
    [KIND_SENT - LOG_EVENTS] = "sent",
    [KIND_DEFERRED - LOG_EVENTS] = "deferred",
    [KIND_BOUNCED - LOG_EVENTS] = "bounced",
};

#define BIT(kind)  (1ull << (kind))
#define DELIVERIES (BIT(KIND_SENT) | BIT(KIND_DEFERRED) | BIT(KIND_BOUNCED))
#define ROUTINE                                                                \
    (BIT(LOG_CONNECT) | BIT(LOG_DISCONNECT) | BIT(LOG_CLIENT) |                \
     BIT(LOG_MESSAGE_ID) | BIT(LOG_QUEUED) | BIT(LOG_REMOVED) |                \
     BIT(LOG_TLS_IN) | BIT(LOG_TLS_OUT) | BIT(LOG_LOGIN) | BIT(KIND_SENT))

/* Up to which filling of a slice: [is it routine][had its kind its first few] */
static const unsigned shares[2][2] = {
    { SLICE, SLICE * 7 / 10 },
    { SLICE * 8 / 10, SLICE / 2 },
};

struct feed_reader {
    uint64_t kinds;
    struct buffer match, held;
    int64_t slice;
    unsigned filling, of_kind[KINDS]; /* in this slice */
    uint64_t omitted[KINDS];
};

static struct {
    pthread_mutex_t lock;
    struct feed_reader *readers[FEED_READERS_MOST];
    unsigned count;
    struct buffer record; /* of the event that is offered */
} feed = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* -------------------------------------------------------------- kinds ---- */

static unsigned kind_of(const struct log_line *line)
{
    if (line->event != LOG_DELIVERY)
        return line->event;
    if (span_is(line->status, SPAN("sent")))
        return KIND_SENT;
    return span_is(line->status, SPAN("deferred")) ? KIND_DEFERRED
                                                   : KIND_BOUNCED;
}

static uint64_t kinds_named(struct span name)
{
    for (unsigned i = 0; i < LOG_EVENTS; i++)
        if (span_is(name, span_of(logline_name((enum log_event)i))))
            return i == LOG_DELIVERY ? DELIVERIES : BIT(i);
    for (unsigned i = LOG_EVENTS; i < KINDS; i++)
        if (span_is(name, span_of(delivery_kinds[i - LOG_EVENTS])))
            return BIT(i);
    return 0;
}

bool feed_read_kinds(struct span names, uint64_t *out_kinds, struct buffer *why)
{
    uint64_t kinds = 0;

    while (names.len) {
        struct span name = span_trim(span_split(names, ',', &names));
        uint64_t some = kinds_named(name);

        if (!some) {
            buffer_put_string(why, "there is no kind of event \"");
            buffer_put_escaped(why, span_first(name, 40));
            buffer_put_byte(why, '"');
            return false;
        }
        kinds |= some;
    }
    *out_kinds = kinds;
    return true;
}

/* ------------------------------------------------------------ readers ---- */

static int64_t monotonic_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void tap(const struct log_line *line)
{
    feed_offer(line, monotonic_ms());
}

struct feed_reader *feed_open(const struct feed_filter *f)
{
    struct feed_reader *r = NULL;

    pthread_mutex_lock(&feed.lock);
    if (feed.count < FEED_READERS_MOST) {
        r = NEW(struct feed_reader);
        r->kinds = f->kinds ? f->kinds : ~0ull;
        r->match.cap = FEED_MATCH_MOST;
        buffer_put(&r->match, span_first(f->match, FEED_MATCH_MOST));
        r->held.cap = FEED_HOLDS;
        r->slice = -1;
        feed.readers[feed.count++] = r;
        log_tap(tap);
    }
    pthread_mutex_unlock(&feed.lock);
    return r;
}

void feed_close(struct feed_reader *r)
{
    unsigned i = 0;

    pthread_mutex_lock(&feed.lock);
    while (i < feed.count && feed.readers[i] != r)
        i++;
    ASSERT(i < feed.count);
    feed.readers[i] = feed.readers[--feed.count];
    if (feed.count == 0) {
        log_tap(NULL);
        buffer_fini(&feed.record);
    }
    pthread_mutex_unlock(&feed.lock);
    buffer_fini(&r->match);
    buffer_fini(&r->held);
    free(r);
}

/* ------------------------------------------------------------- events ---- */

static void put_record(struct buffer *b, const struct log_line *line)
{
    buffer_clear(b);
    buffer_put_string(b, "data: ");
    log_put_object(b, line);
    buffer_put_string(b, "\n\n");
}

static bool is_wanted(const struct feed_reader *r, unsigned kind,
                      const struct log_line *line)
{
    return (r->kinds & BIT(kind)) &&
           (r->match.len == 0 || logline_has(line, buffer_span(&r->match)));
}

/* Takes its place in the slice, if there is one for it. */
static bool has_place(struct feed_reader *r, unsigned kind, int64_t now_ms)
{
    bool is_routine = ROUTINE & BIT(kind);

    if (r->slice != now_ms / SLICE_MS) {
        r->slice = now_ms / SLICE_MS;
        r->filling = 0;
        memset(r->of_kind, 0, sizeof r->of_kind);
    }
    if (r->filling >= shares[is_routine][r->of_kind[kind] >= FIRST_FEW])
        return false;
    r->filling++;
    r->of_kind[kind]++;
    return true;
}

void feed_offer(const struct log_line *line, int64_t now_ms)
{
    unsigned kind = kind_of(line);
    bool is_put = false;

    pthread_mutex_lock(&feed.lock);
    for (unsigned i = 0; i < feed.count; i++) {
        struct feed_reader *r = feed.readers[i];

        if (!is_wanted(r, kind, line))
            continue;
        if (!has_place(r, kind, now_ms)) {
            r->omitted[kind]++;
            continue;
        }
        if (!is_put)
            put_record(&feed.record, line);
        is_put = true;
        buffer_put(&r->held, buffer_span(&feed.record));
        if (r->held.overflow)
            r->omitted[kind]++;
        r->held.overflow = false;
    }
    pthread_mutex_unlock(&feed.lock);
}

/* ------------------------------------------------------------- taking ---- */

void feed_take(struct feed_reader *r, struct buffer *out)
{
    struct buffer held;

    ASSERT(out->len == 0);
    pthread_mutex_lock(&feed.lock);
    held = r->held;
    r->held = *out;
    r->held.cap = FEED_HOLDS;
    *out = held;
    out->cap = 0;
    pthread_mutex_unlock(&feed.lock);
}

static uint64_t take_omitted(struct feed_reader *r,
                             uint64_t by[static LOG_EVENTS])
{
    uint64_t all = 0;

    pthread_mutex_lock(&feed.lock);
    for (unsigned i = 0; i < KINDS; i++) {
        by[i < LOG_EVENTS ? i : LOG_DELIVERY] += r->omitted[i];
        all += r->omitted[i];
        r->omitted[i] = 0;
    }
    pthread_mutex_unlock(&feed.lock);
    return all;
}

void feed_put_omitted(struct feed_reader *r, struct buffer *out)
{
    uint64_t by[LOG_EVENTS] = { 0 }, all = take_omitted(r, by);
    const char *comma = "";

    if (!all)
        return;
    buffer_printf(out, "event: omitted\ndata: {\"count\":%llu,\"by\":{",
                  (unsigned long long)all);
    for (unsigned i = 0; i < LOG_EVENTS; i++) {
        if (!by[i])
            continue;
        buffer_printf(out, "%s\"%s\":%llu", comma,
                      logline_name((enum log_event)i),
                      (unsigned long long)by[i]);
        comma = ",";
    }
    buffer_put_string(out, "}}\n\n");
}
