/*
 * windows - where a lane leads at this minute, for the queue.
 */
#include "relay/main/windows.h"

#include "policy/offline.h"
#include "policy/route.h"
#include "policy/vocabulary/memory.h"
#include "relay/net/log.h"

#include <stdlib.h>

struct windows {
    const struct settings *settings;
    struct {
        bool is_open;
        int64_t change_ms; /* it closes or opens then; 0: never */
    } at[]; /* one for each route */
};

/* There is somewhere to deliver to without being asked for it. */
static bool has_way(const struct route *r)
{
    return r->via[0].kind != HOP_PICKUP || r->offline.deliver_to;
}

/* So many minutes after the clock on the wall shows tm; the day may be one on which that
 * is changed. */
static int64_t later_ms(struct tm tm, unsigned minutes)
{
    tm.tm_sec = 0;
    tm.tm_min += (int)minutes;
    tm.tm_isdst = -1;
    return (int64_t)mktime(&tm) * 1000;
}

struct windows *windows_new(const struct settings *s, time_t now)
{
    struct windows *w =
        memory_zero(1, sizeof *w + s->route_count * sizeof w->at[0]);
    struct tm tm = { 0 };

    (void)localtime_r(&now, &tm);
    w->settings = s;
    for (size_t i = 0; i < s->route_count; i++) {
        const struct route *r = &s->routes[i];
        unsigned minute = (unsigned)(tm.tm_hour * 60 + tm.tm_min), minutes;

        if (!has_way(r))
            continue;
        w->at[i].is_open = offline_is_open(&r->offline, minute, &minutes);
        w->at[i].change_ms = minutes ? later_ms(tm, minutes) : 0;
    }
    return w;
}

void windows_free(struct windows *w)
{
    free(w);
}

bool windows_tell(const struct windows *before, const struct windows *now)
{
    bool is_news = false;

    ASSERT(before->settings == now->settings);
    for (size_t i = 0; i < now->settings->route_count; i++) {
        if (before->at[i].is_open == now->at[i].is_open)
            continue;
        is_news = true;
        log_text(LOG_NOTE, "the window of route \"%.*s\" %s",
                 SPAN_FMT(now->settings->routes[i].title),
                 now->at[i].is_open ? "opens" : "closes");
    }
    return is_news;
}

void windows_route(void *user, struct span lane, struct queue_destination *out)
{
    const struct windows *w = user;
    const struct route *r = route_of_lane(w->settings, lane);
    size_t i;

    if (!r) {
        out->connections = 1;
        buffer_put_string(&out->name, "none");
        return;
    }
    i = (size_t)(r - w->settings->routes);
    out->connections = r->connections;
    out->rates = r->rates;
    out->rate_count = r->rate_count;
    out->change_ms = w->at[i].change_ms;
    out->is_on_demand = (r->offline.is_set || r->via[0].kind == HOP_PICKUP) &&
                        !w->at[i].is_open;
    out->probe_ms = out->is_on_demand && has_way(r) ? r->offline.probe_ms : 0;
    destination_name(r, lane, &out->name);
}

uint64_t windows_wait_ms(time_t now)
{
    return (uint64_t)(60 - now % 60) * 1000;
}
