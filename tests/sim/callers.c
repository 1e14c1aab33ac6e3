/*
 * callers - who calls the relay: senders, customers, and we, to see how it stands.
 */
#include "office.h"

#include "policy/retry.h"
#include "policy/route.h"
#include "relay/inbound/pickup.h"

#include <stdio.h>
#include <stdlib.h>

enum { SIZE_MOST = 12000, ROUNDS_MOST = 2000, LATE_MS = 25 * MINUTE_MS };

/* -------------------------------------------------------------- senders ---- */

static void on_put(void *user, uint64_t token, int rc, uint64_t id)
{
    struct office *o = office_of(user);

    EXPECT(o, rc == 0, "a put fails: %d", rc);
    o->puts_done++;
    for (uint64_t i = token; o->promises[i].message == id; i++)
        o->promises[i].is_put = true;
}

/* True: it may come in. What the relay says is what we reckon. */
static bool has_room(struct office *o, int lane, uint64_t bytes)
{
    const struct site *s = &o->sites[lane_sites[lane]];
    const struct route *r =
        route_of_lane(o->settings, span_of(lane_domains[lane]));
    uint64_t waiting;
    bool is_over;

    EXPECT(o, r->quota_bytes == s->quota_bytes, "a quota is misread");
    if (!r->quota_bytes)
        return true;
    (void)promises_waiting(o, lane_sites[lane], &waiting);
    is_over = queue_is_over_quota(o->queue, span_of(lane_domains[lane]), bytes,
                                  r->quota_bytes);
    EXPECT(o, is_over == (waiting + bytes > s->quota_bytes),
           "%s: %llu bytes wait, %llu come, and it is %s", s->lane,
           (unsigned long long)waiting, (unsigned long long)bytes,
           is_over ? "full" : "not full");
    return !is_over;
}

static void promise(struct office *o, uint64_t message, int lane, int sender,
                    int priority, uint64_t size)
{
    static const unsigned notifies[] = {
        0,
        0,
        0,
        NOTIFY_NEVER,
        NOTIFY_FAILURE,
        NOTIFY_DELAY | NOTIFY_FAILURE,
        NOTIFY_DELAY,
    };
    const struct site *s = &o->sites[lane_sites[lane]];

    EXPECT(o, o->promise_count < PROMISES_MOST - 1, "too much mail");
    o->promises[o->promise_count++] = (struct promise){
        .message = message,
        .lane = lane,
        .sender = sender,
        .priority = priority,
        .size_bytes = size,
        .notify = notifies[office_pick(o, sizeof(notifies) / sizeof(unsigned))],
        .received_ms = office_now_ms,
        .expire_ms = office_now_ms + s->expire_ms,
        .warn_ms = s->warn_ms ? office_now_ms + s->warn_ms : INT64_MAX,
    };
}

static char *make_content(uint64_t number, uint64_t size)
{
    char *at = malloc(size + 1);

    if (!at)
        abort();
    memset(at, 'x', size);
    (void)snprintf(at, size, "Subject: %llu\r\n\r\n",
                   (unsigned long long)number);
    at[strlen(at)] = 'x';
    memcpy(at + size - 2, "\r\n", 2);
    return at;
}

/* The recipients as the relay writes them down, from the route's own settings. */
static size_t fill(struct office *o, size_t first, struct queue_recipient *r,
                   char (*addresses)[64])
{
    size_t n = o->promise_count - first;

    for (size_t i = 0; i < n; i++) {
        const struct promise *p = &o->promises[first + i];
        struct span lane = span_of(lane_domains[p->lane]);
        const struct retry_settings *retry =
            &route_of_lane(o->settings, lane)->retry;

        (void)snprintf(addresses[i], 64, "r%zu@%s", first + i,
                       lane_domains[p->lane]);
        r[i] = (struct queue_recipient){
            .number = (uint32_t)i,
            .notify = p->notify,
            .address = span_of(addresses[i]),
            .lane = lane,
            .expire_ms = retry_expiry_ms(retry, office_now_ms, false),
            .warn_ms = retry_warning_ms(retry, office_now_ms, false),
        };
    }
    return n;
}

void office_put(struct office *o)
{
    int sender = (int)office_pick(o, SENDERS);
    int priority = office_pick(o, 8) == 0;
    uint64_t size = 300 + office_pick(o, office_pick(o, 4) ? 3000 : SIZE_MOST);
    struct queue_message m = { .id = queue_new_id(o->queue) };
    struct queue_recipient to[2];
    char addresses[2][64], from[32];
    size_t first = o->promise_count;
    int last_lane = -1;

    for (uint32_t n = 1 + (office_pick(o, 10) == 0); n > 0; n--) {
        int lane = (int)office_pick(o, LANES - 1);

        if (lane == last_lane ||
            (last_lane >= 0 && lane_sites[lane] == lane_sites[last_lane]))
            continue;
        if (has_room(o, lane, size))
            promise(o, m.id, lane, sender, priority, size);
        else
            o->refused++;
        last_lane = lane;
    }
    if (o->promise_count == first)
        return;
    (void)snprintf(from, sizeof(from), "s%d@back.test", sender);
    m.recipient_count = fill(o, first, to, addresses);
    m.recipients = to;
    m.envelope = (struct envelope){
        .sender = span_of(from),
        .client = SPAN("192.0.2.9"),
        .protocol = SPAN("ESMTP"),
        .received_ms = office_now_ms,
        .size_bytes = size,
        .header_bytes = 20,
        .priority = priority,
    };
    m.envelope.login = span_of(from);
    m.take_content = make_content(first, size);
    o->puts++;
    queue_put(o->port, &m, on_put, first);
}

/* ------------------------------------------------------------ customers ---- */

static struct facts caller(struct office *o, const char *client,
                           const char *login)
{
    struct facts f = { .login = span_of(login), .now_ms = office_now_ms };

    EXPECT(o, host_address_parse(span_of(client), &f.client), "%s", client);
    return f;
}

static bool is_fetched(const struct office *o, enum site_name site)
{
    for (size_t i = 0; i < o->session_count; i++)
        if (o->sessions[i].turn && o->sessions[i].site == site)
            return true;
    return false;
}

void office_etrn(struct office *o, int lane)
{
    struct site *s = &o->sites[lane_sites[lane]];
    struct session_request wish = { REQUEST_DOMAIN,
                                    span_of(lane_domains[lane]) };
    struct facts stranger = caller(o, "198.51.100.1", "");
    struct facts f = caller(o, "192.0.2.1", "");
    enum session_release said, expected = RELEASE_REFUSED;
    unsigned opened;
    bool is_called;

    office_sync(o);
    opened = s->opened;
    EXPECT(o,
           pickup_release(o->queue, o->settings, &wish, &stranger) ==
               RELEASE_REFUSED,
           "a stranger may have %s", s->lane);
    if (s->has_etrn)
        expected =
            promises_wait_in_lane(o, lane) ? RELEASE_STARTED : RELEASE_NOTHING;
    said = pickup_release(o->queue, o->settings, &wish, &f);
    EXPECT(o, said == expected, "ETRN %s is answered %d, not %d", s->lane,
           (int)said, (int)expected);
    if (said != RELEASE_STARTED)
        return;
    o->released++;
    s->has_failed = false;
    s->is_released = !s->is_open;
    is_called = s->sessions > 0 || is_fetched(o, lane_sites[lane]) ||
                promises_untried_since(o, lane_sites[lane]) == INT64_MAX;
    for (int i = 0; i == 0 || (!is_called && s->opened == opened); i++) {
        EXPECT(o, i < ROUNDS_MOST, "%s was released, and nobody calls there",
               s->lane);
        office_sync(o);
    }
    office_look(o);
}

/* Has he mail there, and nobody else fetches it? */
static enum session_turn_answer expected_turn(const struct office *o, int lane)
{
    bool is_there = false;

    for (int i = 0; i < LANES; i++)
        if (o->sites[lane_sites[i]].has_atrn && (lane < 0 || lane == i))
            is_there |= promises_wait_in_lane(o, i);
    if (!is_there)
        return TURN_EMPTY;
    for (size_t i = 0; i < o->session_count; i++) {
        const struct session *s = &o->sessions[i];

        if (s->turn && (lane < 0 || lane_sites[lane] == s->site))
            return TURN_TAKEN;
    }
    return TURN_BEGINS;
}

void office_atrn(struct office *o, int lane)
{
    struct span domain = span_of(lane < 0 ? "" : lane_domains[lane]);
    struct session_turn wish = { &domain, lane >= 0 };
    struct facts stranger = caller(o, "198.51.100.1", "somebody");
    struct facts f = caller(o, "198.51.100.1", "branch");
    enum session_turn_answer said, expected;
    struct turn *t = NULL;

    office_sync(o);
    EXPECT(o,
           pickup_turn(o->port, o->settings, &wish, &stranger, &t) ==
               TURN_REFUSED,
           "somebody fetches what is not his");
    expected = lane < 0 || o->sites[lane_sites[lane]].has_atrn
                   ? expected_turn(o, lane)
                   : TURN_REFUSED;
    said = pickup_turn(o->port, o->settings, &wish, &f, &t);
    EXPECT(o, said == expected, "ATRN is answered %d, not %d", (int)said,
           (int)expected);
    if (said == TURN_BEGINS)
        branches_turned(o, t);
    office_sync(o);
}

/* ------------------------------------------------------------ as it stands ---- */

static void take_row(void *user, const struct queue_destination_row *row)
{
    *(struct queue_destination_row *)user = *row;
}

/* Of whom nothing is known, or who has no mail since a restart, is not released. */
struct queue_destination_row office_row(struct office *o, enum site_name site)
{
    struct queue_destination_row row = { .state = DESTINATION_OFFLINE };

    (void)queue_destination_find(
        o->queue, buffer_span(&o->sites[site].destination), take_row, &row);
    return row;
}

/* A release is over when all is gone; whoever says so too late lets new mail out early. */
static void look_at_release(struct office *o, enum site_name site)
{
    struct site *s = &o->sites[site];
    uint64_t bytes, count = promises_waiting(o, site, &bytes);

    for (int i = 0; s->is_released; i++) {
        if (office_row(o, site).state == DESTINATION_OFFLINE)
            s->is_released = false;
        else if (count > 0 || is_fetched(o, site))
            return;
        EXPECT(o, i < ROUNDS_MOST, "%s never waits again", s->lane);
        if (s->is_released)
            office_sync(o);
    }
}

/* What may go has somebody who takes it. */
static void look_at_mail(struct office *o, enum site_name site)
{
    struct site *s = &o->sites[site];
    int64_t since = promises_untried_since(o, site);

    if (since == INT64_MAX || is_fetched(o, site))
        return;
    for (int i = 0;
         office_is_allowed(o, site) && !s->has_failed && s->sessions == 0;
         i++) {
        EXPECT(o, i < ROUNDS_MOST, "mail for %s may go, and nobody takes it",
               s->lane);
        office_sync(o);
        look_at_release(o, site);
        if (promises_untried_since(o, site) == INT64_MAX)
            return;
    }
    if (office_is_allowed(o, site) || !s->probe_ms)
        return;
    since = since > s->contact_ms ? since : s->contact_ms;
    EXPECT(o, office_now_ms <= since + s->probe_ms + LATE_MS,
           "%s is not tried by itself", s->lane);
}

void office_look(struct office *o)
{
    for (int i = 0; i < BACK; i++) {
        look_at_release(o, (enum site_name)i);
        look_at_mail(o, (enum site_name)i);
    }
}
