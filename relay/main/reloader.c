/*
 * reloader - reads the configuration again: all of it when asked, tables when they change.
 */
#include "relay/main/reloader.h"

#include "policy/aliases.h"
#include "policy/table.h"
#include "policy/vocabulary/memory.h"
#include "relay/main/configuration.h"
#include "relay/net/log.h"

#include <errno.h>
#include <stdlib.h>

enum { LOOK_MS = 1000 };

/* One reading; the pool's thread has it until it is over. */
struct reading_job {
    enum reload_kind kind;
    const struct verb_call *call;
    struct sources *sources;
    struct settings *settings;
    struct buffer faults, warnings;
};

struct reloader {
    const struct verb_call *call;
    struct sources *sources;  /* of the settings in use */
    reloader_done_fn *done;
    void *user;
    uv_timer_t look;
    uv_work_t work;
    struct reading_job job;
    struct buffer warned;     /* the warnings and ... */
    struct buffer said;       /* ... faults of the last reading */
    bool is_busy, is_closed;
    bool wants_all;           /* asked for while busy */
    bool is_fenced;
};

static void begin(struct reloader *r, enum reload_kind kind);

/* Those lines that were not among the others. */
static void log_news(struct span lines, struct buffer *before)
{
    while (lines.len) {
        struct span line = span_split(lines, '\n', &lines);
        struct buffer whole = { 0 };

        buffer_put(&whole, line);
        buffer_put_byte(&whole, '\n');
        if (!strstr(buffer_string(before), buffer_string(&whole)))
            log_text(LOG_WARNING, "%.*s", SPAN_FMT(line));
        buffer_fini(&whole);
    }
}

static void log_lines(struct buffer *lines, struct buffer *before,
                      enum reload_kind kind)
{
    /* who asks is told all of it */
    if (kind == RELOAD_ALL)
        buffer_clear(before);
    log_news(buffer_span(lines), before);
    buffer_fini(before);
    *before = *lines;
    *lines = (struct buffer){ 0 };
}

static void log_table(const struct settings *s, const char *path)
{
    size_t i = 0;

    while (i < s->table_count &&
           !span_is(table_name(s->tables[i]), span_of(path)))
        i++;
    if (span_is(s->aliases_file, span_of(path)))
        log_text(LOG_NOTE, "aliases %s read again: %zu names", path,
                 aliases_size(s->aliases));
    if (i < s->table_count)
        log_text(LOG_NOTE, "table %s read again: %zu entries", path,
                 table_size(s->tables[i]));
    else if (!span_is(s->aliases_file, span_of(path)))
        log_text(LOG_NOTE, "list %s read again", path);
}

static void log_tables(const struct reloader *r, const struct reading_job *job)
{
    const void *at = NULL;
    const char *path;

    while ((path = sources_next_changed(job->sources, r->sources, &at)))
        log_table(job->settings, path);
}

/* lines are new: is it ours that something cannot be read? */
static void log_reach(const struct reloader *r, struct buffer *lines)
{
    if (r->is_fenced && strstr(buffer_string(lines), error_text(-EACCES)))
        log_text(LOG_WARNING, "a file in a folder that was not named when the "
                              "relay started can be read only after a restart "
                              "(sandbox)");
}

static void refuse(struct reloader *r, struct reading_job *job)
{
    bool is_told = span_is(buffer_span(&job->faults), buffer_span(&r->said));

    if (!is_told)
        log_reach(r, &job->faults);
    log_lines(&job->faults, &r->said, job->kind);
    if (job->kind == RELOAD_ALL)
        log_text(LOG_WARNING, "configuration not reloaded: the old one stays");
    else if (!is_told)
        log_text(LOG_WARNING, "tables not read again: the old ones stay");
    sources_give_up(r->sources, job->sources);
    sources_free(job->sources);
}

static void use(struct reloader *r, struct reading_job *job)
{
    buffer_clear(&r->said);
    sources_free(r->sources);
    r->sources = job->sources;
}

static void finish(struct reloader *r, struct reading_job *job)
{
    bool is_good;

    if (!span_is(buffer_span(&job->warnings), buffer_span(&r->warned)))
        log_reach(r, &job->warnings);
    log_lines(&job->warnings, &r->warned, job->kind);
    if (job->settings && job->kind == RELOAD_TABLES)
        log_tables(r, job);
    is_good = job->settings != NULL;
    is_good = r->done(r->user, job->kind, job->settings, job->sources) && is_good;
    if (is_good)
        use(r, job);
    else
        refuse(r, job);
}

static void drop(struct reading_job *job)
{
    settings_release(job->settings);
    sources_free(job->sources);
}

static void on_work(uv_work_t *work)
{
    struct reading_job *job = &((struct reloader *)work->data)->job;

    job->settings = configuration_read(job->call, job->sources, &job->faults,
                                       &job->warnings);
}

static void on_worked(uv_work_t *work, int status)
{
    struct reloader *r = work->data;
    bool is_stale = r->wants_all && r->job.kind == RELOAD_TABLES;

    (void)status; /* never cancelled */
    r->is_busy = false;
    if (r->is_closed || is_stale)
        drop(&r->job);
    else
        finish(r, &r->job);
    buffer_fini(&r->job.faults);
    buffer_fini(&r->job.warnings);
    if (r->wants_all && !r->is_closed)
        begin(r, RELOAD_ALL);
}

static void begin(struct reloader *r, enum reload_kind kind)
{
    ASSERT(!r->is_busy);
    if (kind == RELOAD_ALL)
        r->wants_all = false;
    r->is_busy = true;
    r->job = (struct reading_job){
        .kind = kind,
        .call = r->call,
        .sources = sources_new(kind == RELOAD_TABLES ? r->sources : NULL),
    };
    ASSERT(uv_queue_work(r->look.loop, &r->work, on_work, on_worked) == 0);
}

static void on_look(uv_timer_t *timer)
{
    struct reloader *r = timer->data;

    if (!r->is_busy && sources_look(r->sources))
        begin(r, RELOAD_TABLES);
}

struct reloader *reloader_new(uv_loop_t *loop, const struct verb_call *call,
                              struct sources *take_sources,
                              struct buffer *take_warned,
                              reloader_done_fn *done, void *user)
{
    struct reloader *r = NEW(struct reloader);

    r->call = call;
    r->sources = take_sources;
    r->warned = *take_warned;
    *take_warned = (struct buffer){ 0 };
    r->done = done;
    r->user = user;
    r->work.data = r->look.data = r;
    ASSERT(uv_timer_init(loop, &r->look) == 0);
    (void)uv_timer_start(&r->look, on_look, LOOK_MS, LOOK_MS);
    return r;
}

void reloader_fence(struct reloader *r)
{
    r->is_fenced = true;
}

void reloader_start(struct reloader *r)
{
    if (r->is_closed)
        return;
    r->wants_all = true;
    if (!r->is_busy)
        begin(r, RELOAD_ALL);
}

struct span reloader_faults(const struct reloader *r)
{
    return buffer_span(&r->job.faults);
}

void reloader_close(struct reloader *r)
{
    if (!r || r->is_closed)
        return;
    r->is_closed = true;
    uv_close((uv_handle_t *)&r->look, NULL);
}

void reloader_free(struct reloader *r)
{
    if (!r)
        return;
    ASSERT(!r->is_busy);
    sources_free(r->sources);
    buffer_fini(&r->warned);
    buffer_fini(&r->said);
    free(r);
}
