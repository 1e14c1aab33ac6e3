/*
 * station - the running relay: one queue, its workers, its listeners.
 *
 * From the start to the last mail put away; what changes meanwhile is in station_reload.c.
 */
#include "relay/main/station_private.h"

#include "policy/vocabulary/memory.h"
#include "policy/vocabulary/remedy.h"
#include "relay/main/configuration.h"
#include "relay/main/statedump.h"
#include "relay/net/gauge.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_MS = 30000 };

/* ---------------------------------------------------- what the queue asks ---- */

static void notice(void *user, enum queue_notice kind, const char *text)
{
    static const enum log_event events[] = {
        [QUEUE_INFO] = LOG_NOTE,
        [QUEUE_WARNING] = LOG_WARNING,
        [QUEUE_FATAL] = LOG_FATAL,
    };

    (void)user;
    log_text(events[kind], "%s", text);
    if (kind != QUEUE_FATAL)
        return;
    log_flush();
    _exit(EX_TEMPFAIL); /* nothing more may be acknowledged */
}

/* ----------------------------------------------------------- main loop ---- */

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* All workers have put their mail away: the queue is last. */
static void end_loop(struct station *st)
{
    st->is_over = true;
    crew_join(&st->crew);
    importer_close(st->importer);
    st->importer = NULL;
    if (st->admin)
        admin_close(st->admin, NULL, NULL);
    st->admin = NULL;
    if (st->herald)
        herald_close(st->herald);
    st->herald = NULL;
    if (st->timetable)
        timetable_close(st->timetable);
    if (st->explainer)
        explainer_close(st->explainer);
    if (st->prober)
        prober_close(st->prober);
    uv_close((uv_handle_t *)&st->wake, NULL);
    uv_close((uv_handle_t *)&st->term, NULL);
    uv_close((uv_handle_t *)&st->interrupt, NULL);
    uv_close((uv_handle_t *)&st->hangup, NULL);
    uv_close((uv_handle_t *)&st->reopen, NULL);
    uv_close((uv_handle_t *)&st->dump, NULL);
    uv_close((uv_handle_t *)&st->watchdog, NULL);
    uv_close((uv_handle_t *)&st->look, NULL);
    uv_close((uv_handle_t *)&st->minute, NULL);
    uv_close((uv_handle_t *)&st->turn, NULL);
}

static void shut_down(struct station *st)
{
    if (st->is_ending)
        return;
    st->is_ending = true;
    reloader_close(st->reloader);
    notify_stopping(&st->notify);
    log_text(LOG_NOTE, "stopping: waiting at most %lld s for deliveries",
             (long long)(st->settings->drain_ms / 1000));
    if (st->entrance)
        entrance_close(st->entrance);
    if (st->postern)
        postern_close(st->postern);
    if (st->importer)
        importer_stop(st->importer);
    if (st->herald)
        herald_stop(st->herald);
    if (st->timetable)
        timetable_stop(st->timetable);
    if (st->explainer)
        explainer_stop(st->explainer);
    if (st->prober)
        prober_stop(st->prober);
    queue_stop_claims(st->queue);
    crew_shut_down(&st->crew, st->settings->drain_ms, &st->wake);
    if (st->crew.count == 0)
        end_loop(st);
}

static void on_wake(uv_async_t *handle)
{
    struct station *st = handle->data;

    if (st->is_ending && !st->is_over && crew_has_ended(&st->crew))
        end_loop(st);
}

static void reopen_log(void)
{
    int rc = log_reopen();

    if (rc < 0)
        log_text(LOG_WARNING, "the log cannot be opened again: %s; it goes on "
                              "where it was", error_text(rc));
    else
        log_text(LOG_NOTE, "the log was opened again");
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct station *st = handle->data;

    switch (number) {
    case SIGHUP:
        st->wants_reload = true;
        break;
    case SIGUSR1:
        reopen_log();
        break;
    case SIGUSR2:
        statedump_log(st);
        break;
    default:
        shut_down(st);
    }
}

static void answer_hangup(struct station *st)
{
    if (!st->wants_reload)
        return;
    st->wants_reload = false;
    if (st->is_ending)
        return;
    notify_reloading(&st->notify, uv_hrtime() / 1000);
    reloader_start(st->reloader);
}

static void on_watchdog(uv_timer_t *timer)
{
    struct station *st = timer->data;

    notify_watchdog(&st->notify);
}

static void on_turn(uv_check_t *handle)
{
    struct station *st = handle->data;

    answer_hangup(st);
    pulse_beat(&st->pulse, &st->loop);
    log_flush();
}

static void open_loop(struct station *st)
{
    uint64_t watchdog_ms = (uint64_t)notify_watchdog_ms(
        getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"), getpid());

    ASSERT(uv_loop_init(&st->loop) == 0);
    pulse_start(&st->loop);
    ASSERT(uv_async_init(&st->loop, &st->wake, on_wake) == 0);
    (void)uv_signal_init(&st->loop, &st->term);
    (void)uv_signal_init(&st->loop, &st->interrupt);
    (void)uv_signal_init(&st->loop, &st->hangup);
    (void)uv_signal_init(&st->loop, &st->reopen);
    (void)uv_signal_init(&st->loop, &st->dump);
    (void)uv_timer_init(&st->loop, &st->watchdog);
    (void)uv_timer_init(&st->loop, &st->look);
    (void)uv_timer_init(&st->loop, &st->minute);
    (void)uv_check_init(&st->loop, &st->turn);
    st->wake.data = st->term.data = st->interrupt.data = st->hangup.data = st;
    st->reopen.data = st->dump.data = st;
    st->watchdog.data = st->look.data = st->turn.data = st;
    st->minute.data = st;
    (void)uv_signal_start(&st->term, on_signal, SIGTERM);
    (void)uv_signal_start(&st->interrupt, on_signal, SIGINT);
    (void)uv_signal_start(&st->hangup, on_signal, SIGHUP);
    (void)uv_signal_start(&st->reopen, on_signal, SIGUSR1);
    (void)uv_signal_start(&st->dump, on_signal, SIGUSR2);
    if (watchdog_ms)
        (void)uv_timer_start(&st->watchdog, on_watchdog, 0, watchdog_ms);
    (void)uv_timer_start(&st->look, station_look, 0, LOOK_MS);
    (void)uv_check_start(&st->turn, on_turn);
}

static void raise_limits(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        r.rlim_cur = r.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &r);
    }
    (void)signal(SIGPIPE, SIG_IGN);
}

static int open_queue(struct station *st, struct buffer *out_why)
{
    const struct settings *s = st->settings;
    char *path = span_dup(s->queue.path);
    int rc = configuration_make_folder(s->queue.path);

    st->windows = windows_new(s, time(NULL));
    if (rc < 0) {
        buffer_printf(out_why, "the folder of the queue %s cannot be made",
                      path);
        remedy_put_writing(out_why, rc);
    } else {
        rc = queue_open(&st->queue, &(struct queue_options){
            .path = path, .reserve_bytes = s->queue.reserve_bytes,
            .history_ms = s->queue.history_ms,
            .history_bytes = s->queue.history_bytes, .route = windows_route,
            .route_user = st->windows, .notice = notice }, out_why);
    }
    free(path);
    return rc;
}

/* Where programs of this machine leave mail. */
static int open_sendmail(struct station *st, struct buffer *out_why)
{
    int rc;

    st->postern = postern_new(&st->loop, st->crew.workers, st->crew.count,
                              st->census);
    if ((rc = postern_open(st->postern, st->settings, out_why)) < 0)
        return rc;
    st->importer = importer_open(st->queue, st->crew.workers, st->crew.count,
                                 st->settings);
    return 0;
}

/* The unit shows the relay most folders as they are on a disk that is read only. */
static void hint_at_unit(int rc, struct buffer *why)
{
    if (rc == -EROFS && getenv("INVOCATION_ID"))
        buffer_put_string(why, ": the unit (ProtectSystem) lets it write "
                               "nowhere else but in folders that "
                               "ReadWritePaths= names: systemctl edit waypost");
}

static int open_all(struct station *st, struct buffer *out_why)
{
    int rc;

    if ((rc = open_queue(st, out_why)) < 0)
        return rc;
    if ((rc = crew_open(&st->crew, st->queue, st->settings, &st->strongbox,
                        st->census, out_why)) < 0)
        return rc;
    st->entrance = entrance_new(&st->loop, st->crew.workers, st->crew.count,
                                st->census, st->gauge, &st->doorstep);
    if ((rc = entrance_open(st->entrance, st->settings, out_why)) < 0)
        return rc;
    st->timetable = timetable_open(&st->loop, st->crew.workers,
                                   st->crew.count, st->settings);
    st->explainer =
        explainer_open(&st->loop, st->crew.workers, st->crew.count, st->config);
    st->prober = prober_open(&st->loop, st->crew.workers, st->crew.count);
    st->herald = herald_open(&st->loop, st->queue, st->settings);
    if ((rc = station_admin_open(st, out_why)) < 0)
        return rc;
    return open_sendmail(st, out_why);
}

static void announce(struct station *st)
{
    for (size_t i = 0; i < st->settings->listener_count; i++)
        log_text(LOG_STARTED, "listening on %.*s",
                 SPAN_FMT(st->settings->listeners[i].address));
    log_text(LOG_STARTED,
             "Waypost " WAYPOST_VERSION " is ready: %u workers, queue %.*s",
             st->crew.count, SPAN_FMT(st->settings->queue.path));
    if (st->settings->admin.http.len)
        log_text(LOG_STARTED, "HTTP on %.*s",
                 SPAN_FMT(st->settings->admin.http));
    notify_ready(&st->notify);
}

static void free_all(struct station *st)
{
    strongbox_close(&st->strongbox);
    crew_fini(&st->crew);
    timetable_free(st->timetable);
    explainer_free(st->explainer);
    prober_free(st->prober);
    if (st->queue)
        queue_close(st->queue);
    windows_free(st->windows);
    entrance_free(st->entrance);
    postern_free(st->postern);
    census_free(st->census);
    gauge_free(st->gauge);
    doorstep_close(&st->doorstep);
    sandbox_fini(&st->sandbox);
    notify_fini(&st->notify);
    reloader_free(st->reloader);
    settings_release(st->settings);
    free(st);
}

/* Does it help to start again by and by, or has somebody to mend it first? */
static int exit_code(int rc)
{
    static const struct {
        int rc, code;
    } rows[] = {
        { ERROR_CONFIG, EX_CONFIG },  { ERROR_FOREIGN, EX_CONFIG },
        { ERROR_NEWER, EX_CONFIG },   { -ENOENT, EX_CONFIG },
        { -ENOTDIR, EX_CONFIG },      { -EISDIR, EX_CONFIG },
        { -EEXIST, EX_CONFIG },       { -ENAMETOOLONG, EX_CONFIG },
        { -EAFNOSUPPORT, EX_CONFIG }, { -EACCES, EX_NOPERM },
        { -EPERM, EX_NOPERM },        { -EROFS, EX_NOPERM },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].rc == rc)
            return rows[i].code;
    return EX_TEMPFAIL;
}

/* The faults of a configuration that parses but cannot be used. */
static int refuse(struct station *st, int rc, struct buffer *why)
{
    station_log_lines(LOG_FATAL, why);
    buffer_fini(why);
    free_all(st);
    log_flush();
    return exit_code(rc);
}

int station_run(const struct verb_call *call, struct settings *take_settings,
                struct sources *take_sources, struct buffer *take_warnings)
{
    struct station *st = NEW(struct station);
    struct buffer why = { 0 };
    int code = EX_OK, rc;

    st->settings = take_settings;
    st->config = call->config;
    st->settings->epoch = 1;
    st->started_ns = uv_hrtime();
    st->census = census_new();
    st->gauge = gauge_new();
    raise_limits();
    if (notify_open(&st->notify, getenv("NOTIFY_SOCKET")) < 0)
        log_text(LOG_WARNING, "the service manager cannot be told how we are");
    if ((rc = station_enclose(st, take_sources, &why)) < 0) {
        sources_free(take_sources);
        buffer_fini(take_warnings);
        return refuse(st, rc, &why);
    }
    open_loop(st);
    station_log_lines(LOG_WARNING, take_warnings);
    st->reloader = reloader_new(&st->loop, call, st->settings, take_sources,
                                take_warnings, station_reread, st);
    if (st->sandbox.is_fenced)
        reloader_fence(st->reloader);
    if ((rc = open_all(st, &why)) < 0) {
        hint_at_unit(rc, &why);
        log_text(LOG_FATAL, "%s", buffer_string(&why));
        code = exit_code(rc);
        if (st->queue)
            shut_down(st);
        else
            uv_walk(&st->loop, close_handle, NULL);
    } else {
        (void)uv_timer_start(&st->minute, station_minute,
                             windows_wait_ms(time(NULL)), 0);
        announce(st);
    }
    (void)uv_run(&st->loop, UV_RUN_DEFAULT);
    ASSERT(uv_loop_close(&st->loop) == 0);
    buffer_fini(&why);
    log_text(LOG_STOPPED, "all mail is put away");
    free_all(st);
    log_flush();
    return code;
}
