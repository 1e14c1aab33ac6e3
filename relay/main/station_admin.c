/*
 * station_admin - the running relay as the admin interface sees it: its state in figures, and
 * which parts answer for what.
 */
#include "relay/main/station_private.h"

#include "relay/main/dials.h"
#include "relay/main/relook.h"

static void tell_lag(struct pulse *p, struct admin_status *out)
{
    unsigned most = pulse_most_us(p), recent = pulse_recent_us(p);

    if (most > out->lag_us_most)
        out->lag_us_most = most;
    if (recent > out->lag_us_recent)
        out->lag_us_recent = recent;
}

static const struct settings *tell_settings(void *user)
{
    return ((struct station *)user)->settings;
}

static void tell_status(void *user, struct admin_status *out)
{
    struct station *st = user;

    out->workers = st->crew.count;
    out->sessions = 0;
    tell_lag(&st->pulse, out);
    for (unsigned i = 0; i < st->crew.count; i++) {
        out->sessions += atomic_load(&st->crew.workers[i]->sessions);
        tell_lag(&st->crew.workers[i]->pulse, out);
    }
    out->epoch = st->settings->epoch;
    out->faulty_tables = reloader_faulty(st->reloader);
    out->is_stopping = st->is_ending;
    out->is_deaf = !entrance_is_whole(st->entrance);
    out->scores = st->crew.scores;
    out->has_old_names =
        st->settings->admin.metric_names == METRIC_NAMES_POSTFIX_EXPORTER;
}

int station_admin_open(struct station *st, struct buffer *out_why)
{
    struct admin_fetches fetches = timetable_admin;
    struct admin_explains explains = explainer_admin;
    struct admin_webhooks webhooks = herald_admin;
    struct admin_gauges gauges = dials_admin;
    struct admin_probes probes = prober_admin;
    int rc;

    probes.user = st->prober;
    fetches.user = st->timetable;
    explains.user = st->explainer;
    webhooks.user = st->herald;
    gauges.user = st;
    if (st->settings->admin.socket.len == 0)
        return 0;
    rc = admin_open(
        &st->admin, &st->loop, st->queue,
        &(struct admin_options){ .socket = st->settings->admin.socket,
                                 .status = tell_status,
                                 .settings = tell_settings,
                                 .user = st,
                                 .fetches = fetches,
                                 .explains = explains,
                                 .logins = { relook_begin, st },
                                 .webhooks = webhooks,
                                 .gauges = gauges,
                                 .probes = probes,
                                 .acquaintances = st->crew.acquaintances },
        out_why);
    return rc < 0 ? rc : station_allow(st, st->settings, out_why);
}
