/*
 * station_reload - what the running relay works by changes: its settings, what they are
 * read from, the hour.
 *
 * New settings are taken whole or not at all; the reloader has read them. What is wrong with
 * them is logged, and the old ones stay.
 */
#include "relay/main/station_private.h"

#include <time.h>

/* The queue asks by the new ones from now on. */
static void route_by(struct station *st, struct windows *take_w)
{
    queue_reroute(st->queue, windows_route, take_w);
    windows_free(st->windows);
    st->windows = take_w;
}

void station_log_lines(enum log_event event, struct buffer *lines)
{
    struct span rest = buffer_span(lines);

    while (rest.len) {
        struct span line = span_split(rest, '\n', &rest);

        log_text(event, "%.*s", SPAN_FMT(line));
    }
}

int station_allow(struct station *st, const struct settings *s,
                  struct buffer *out_why)
{
    struct admin_access access = { .http = s->admin.http,
                                   .host = s->admin.http_host,
                                   .port = s->admin.http_port,
                                   .tokens = s->admin.tokens,
                                   .hostname = s->hostname,
                                   .hosts = s->admin.hosts,
                                   .host_count = s->admin.host_count };
    int fd = -1;

    if (!st->admin)
        return 0;
    if (s->admin.http.len)
        fd = doorstep_take(&st->doorstep, SPAN("admin"), &s->admin.http_host,
                           s->admin.http_port);
    access.passed_fd = fd > 0 ? fd : 0;
    return admin_allow(st->admin, &access, out_why);
}

/* Everybody works by these from now on. */
static void swap(struct station *st, enum reload_kind kind,
                 struct settings *take_s)
{
    struct buffer why = { 0 };

    take_s->epoch = st->settings->epoch + 1;
    if (entrance_open(st->entrance, take_s, &why) < 0)
        log_text(LOG_WARNING, "%s", buffer_string(&why));
    buffer_clear(&why);
    if (station_allow(st, take_s, &why) < 0)
        log_text(LOG_WARNING, "%s", buffer_string(&why));
    buffer_clear(&why);
    if (postern_open(st->postern, take_s, &why) < 0)
        log_text(LOG_WARNING, "%s", buffer_string(&why));
    /* The workers first: nothing leaves by an old route once the queue knows the
     * new ones. */
    (kind == RELOAD_ALL ? crew_reload : crew_refresh)(&st->crew, take_s,
                                                      st->strongbox.tls);
    importer_reload(st->importer, take_s);
    timetable_reload(st->timetable, take_s);
    if (kind == RELOAD_ALL)
        herald_reload(st->herald, take_s);
    if (kind == RELOAD_ALL)
        explainer_reload(st->explainer);
    route_by(st, windows_new(take_s, time(NULL)));
    settings_release(st->settings);
    st->settings = take_s;
    buffer_fini(&why);
}

/* What only a restart can give is said, and the old settings stay. */
static bool fits(struct station *st, const struct settings *s,
                 const struct sources *sources)
{
    struct buffer why = { 0 };
    bool yes = sandbox_permits(&st->sandbox, s, st->config, sources, &why);

    station_log_lines(LOG_WARNING, &why);
    buffer_fini(&why);
    return yes;
}

bool station_reread(void *user, enum reload_kind kind, struct settings *take_s,
                    const struct sources *sources)
{
    struct station *st = user;
    struct buffer faults = { 0 };

    if (take_s && kind == RELOAD_ALL && !fits(st, take_s, sources)) {
        settings_release(take_s);
        take_s = NULL;
    }
    if (take_s && kind == RELOAD_ALL &&
        strongbox_reload(&st->strongbox, take_s, &faults) < 0) {
        settings_release(take_s);
        take_s = NULL;
        station_log_lines(LOG_WARNING, &faults);
    }
    buffer_fini(&faults);
    if (take_s)
        swap(st, kind, take_s);
    if (kind == RELOAD_ALL) {
        if (take_s) {
            log_open(take_s->log.form, take_s->log.tag, take_s->log.syslog,
                     take_s->log.file);
            log_text(LOG_NOTE, "configuration reloaded");
        }
        notify_ready(&st->notify);
    }
    return take_s != NULL;
}

void station_look(uv_timer_t *timer)
{
    struct station *st = timer->data;

    if (!st->is_ending && strongbox_look(&st->strongbox, st->settings))
        crew_renew(&st->crew, st->settings, st->strongbox.tls);
}

void station_minute(uv_timer_t *timer)
{
    struct station *st = timer->data;
    time_t now = time(NULL);
    struct windows *w = windows_new(st->settings, now);

    (void)uv_timer_start(timer, station_minute, windows_wait_ms(now), 0);
    if (st->is_ending || !windows_tell(st->windows, w))
        windows_free(w);
    else
        route_by(st, w);
}
