/*
 * station_reload - what the running relay works by changes: its settings, what they are
 * read from, the hour.
 *
 * New settings are taken whole or not at all; the reloader has read them. What is wrong with
 * them is logged, and the old ones stay.
 */
#include "relay/main/station_private.h"

#include "relay/admin/listing.h"

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

/* A line ends before the next one begins. */
static void end_line(struct buffer *lines)
{
    struct span s = buffer_span(lines);

    if (s.len && s.at[s.len - 1] != '\n')
        buffer_put_byte(lines, '\n');
}

/* All doors as these settings have them; those that stay shut, a line each. */
static void open_doors(struct station *st, struct settings *s,
                       struct buffer *out_why)
{
    if (entrance_open(st->entrance, s, out_why) < 0)
        end_line(out_why);
    if (station_allow(st, s, out_why) < 0)
        end_line(out_why);
    if (postern_open(st->postern, s, out_why) < 0)
        end_line(out_why);
}

/* Everybody works by these from now on. */
static void swap(struct station *st, enum reload_kind kind,
                 struct settings *take_s, struct buffer *out_why)
{
    take_s->epoch = st->settings->epoch + 1;
    open_doors(st, take_s, out_why);
    station_log_lines(LOG_WARNING, out_why);
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
}

/* Can the relay work by these, without a restart? Else the old settings stay. */
static bool fits(struct station *st, const struct settings *s,
                 const struct sources *sources, struct buffer *out_why)
{
    bool yes = sandbox_permits(&st->sandbox, s, st->config, sources, out_why) &&
               strongbox_reload(&st->strongbox, s, out_why) >= 0;

    if (!yes)
        station_log_lines(LOG_WARNING, out_why);
    return yes;
}

/* What `systemctl status` shows, until the next time: the first thing that is wrong. */
static void tell_manager(struct station *st, bool is_in_use, struct span faults)
{
    struct buffer b = { 0 };

    if (!is_in_use)
        buffer_put_string(&b, "the configuration was not reloaded, the old one "
                              "is in use: ");
    buffer_put(&b, span_split(faults, '\n', &faults));
    notify_status(&st->notify, buffer_span(&b));
    notify_ready(&st->notify);
    buffer_fini(&b);
}

bool station_reread(void *user, enum reload_kind kind, struct settings *take_s,
                    const struct sources *sources)
{
    struct station *st = user;
    struct buffer faults = { 0 };

    if (!take_s) {
        buffer_put(&faults, reloader_faults(st->reloader));
    } else if (kind == RELOAD_ALL && !fits(st, take_s, sources, &faults)) {
        settings_release(take_s);
        take_s = NULL;
    }
    if (take_s)
        swap(st, kind, take_s, &faults);
    if (take_s && kind == RELOAD_ALL) {
        log_open(take_s->log.form, take_s->log.tag, take_s->log.syslog,
                 take_s->log.file);
        log_text(LOG_NOTE, "configuration reloaded");
    }
    if (kind == RELOAD_ALL)
        tell_manager(st, take_s != NULL, buffer_span(&faults));
    buffer_fini(&faults);
    return take_s != NULL;
}

/* What is due is due by this clock. */
static void look_at_clock(struct station *st)
{
    int64_t jump_ms = clockwatch_look(&st->clock, wall_ms(),
                                      (int64_t)(uv_hrtime() / 1000000));
    struct buffer far = { 0 };

    listing_put_duration(&far, (jump_ms < 0 ? -jump_ms : jump_ms) / 1000);
    if (jump_ms < 0)
        log_text(LOG_WARNING,
                 "the clock was set back by %s, and what rests or was put off "
                 "waits that much longer: \"waypost queue retry --yes\" tries "
                 "all of it now",
                 buffer_string(&far));
    else if (jump_ms > 0)
        log_text(LOG_WARNING,
                 "the clock was set forward by %s, or this machine slept: what "
                 "waits is that much older",
                 buffer_string(&far));
    buffer_fini(&far);
}

void station_look(uv_timer_t *timer)
{
    struct station *st = timer->data;

    if (!st->is_ending && strongbox_look(&st->strongbox, st->settings))
        crew_renew(&st->crew, st->settings, st->strongbox.tls);
    if (!st->is_ending) {
        roomwatch_look(&st->room, st->queue);
        look_at_clock(st);
    }
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
