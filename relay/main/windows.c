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
    bool is_open[]; /* one for each route */
};

/* There is somewhere to deliver to without being asked for it. */
static bool has_way(const struct route *r)
{
    return r->via[0].kind != HOP_PICKUP || r->offline.deliver_to;
}

struct windows *windows_new(const struct settings *s, unsigned minute)
{
    struct windows *w = memory_zero(1, sizeof *w + s->route_count);
    unsigned minutes;

    w->settings = s;
    for (size_t i = 0; i < s->route_count; i++) {
        const struct route *r = &s->routes[i];

        w->is_open[i] =
            has_way(r) && offline_is_open(&r->offline, minute, &minutes);
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
        if (before->is_open[i] == now->is_open[i])
            continue;
        is_news = true;
        log_text(LOG_NOTE, "the window of route \"%.*s\" %s",
                 SPAN_FMT(now->settings->routes[i].title),
                 now->is_open[i] ? "opens" : "closes");
    }
    return is_news;
}

void windows_route(void *user, struct span lane, struct queue_destination *out)
{
    const struct windows *w = user;
    const struct route *r = route_of_lane(w->settings, lane);

    if (!r) {
        out->connections = 1;
        buffer_put_string(&out->name, "none");
        return;
    }
    out->connections = r->connections;
    out->is_on_demand = (r->offline.is_set || r->via[0].kind == HOP_PICKUP) &&
                        !w->is_open[r - w->settings->routes];
    out->probe_ms = out->is_on_demand && has_way(r) ? r->offline.probe_ms : 0;
    destination_name(r, lane, &out->name);
}

unsigned windows_minute(time_t now)
{
    struct tm tm = { 0 };

    (void)localtime_r(&now, &tm);
    return (unsigned)(tm.tm_hour * 60 + tm.tm_min);
}

uint64_t windows_wait_ms(time_t now)
{
    return (uint64_t)(60 - now % 60) * 1000;
}
