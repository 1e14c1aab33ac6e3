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

enum { LOOK_MS = 1000, APART_MOST = 64 };

/* One reading; the pool's thread has it until it is over. */
struct reading_job {
    enum reload_kind kind;
    const struct verb_call *call;
    struct sources *sources;
    struct settings *settings;
    const struct sources *kept; /* of those in use; both are borrowed */
    const struct settings *in_use;
    struct buffer faults, warnings;
    struct sources *tried; /* with faults, where others are taken; NULL: none */
    const char *faulty[APART_MOST]; /* tables; the names are those of tried */
    size_t faulty_count;
};

struct reloader {
    const struct verb_call *call;
    struct settings *in_use;
    struct sources *sources; /* what they were read from */
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

/* Tables that were left as they are, while others were taken. */
static void log_faulty(struct reloader *r, struct reading_job *job)
{
    log_lines(&job->faults, &r->said, job->kind);
    for (size_t i = 0; i < job->faulty_count; i++)
        log_text(LOG_WARNING, "table %s not read again: the old one stays",
                 job->faulty[i]);
}

static void use(struct reloader *r, struct reading_job *job)
{
    if (job->faulty_count)
        log_faulty(r, job);
    else
        buffer_clear(&r->said);
    settings_release(r->in_use);
    r->in_use = job->settings;
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
    if (is_good)
        (void)settings_hold(job->settings);
    is_good =
        r->done(r->user, job->kind, job->settings, job->sources) && is_good;
    if (is_good) {
        use(r, job);
    } else {
        settings_release(job->settings);
        refuse(r, job);
    }
}

static void drop(struct reading_job *job)
{
    settings_release(job->settings);
    sources_free(job->sources);
}

/* Is this one alone, of those that have changed, good? */
static bool is_good_alone(const struct reading_job *job, const char *path)
{
    struct sources *alone = sources_new(job->kept, job->in_use);
    struct buffer faults = { 0 }, warnings = { 0 };
    const void *at = NULL;
    struct settings *s;
    const char *other;

    while ((other = sources_next_changed(job->sources, job->kept, &at)))
        if (strcmp(other, path) != 0)
            sources_keep(alone, other, job->sources);
    s = configuration_read(job->call, alone, &faults, &warnings);
    settings_release(s);
    sources_free(alone);
    buffer_fini(&faults);
    buffer_fini(&warnings);
    return s != NULL;
}

/* There is a fault: all that have none are taken, if there are any. */
static void read_apart(struct reading_job *job)
{
    struct sources *most = sources_new(job->kept, job->in_use);
    struct buffer faults = { 0 };
    size_t changed = 0;
    const void *at = NULL;
    const char *path;

    while ((path = sources_next_changed(job->sources, job->kept, &at)) &&
           changed++ < APART_MOST)
        if (!is_good_alone(job, path)) {
            sources_keep(most, path, job->sources);
            job->faulty[job->faulty_count++] = path;
        }
    if (changed > 1 && changed <= APART_MOST && job->faulty_count < changed)
        job->settings =
            configuration_read(job->call, most, &faults, &job->warnings);
    buffer_fini(&faults);
    if (job->settings) {
        job->tried = job->sources;
        job->sources = most;
    } else {
        job->faulty_count = 0;
        sources_free(most);
    }
}

static void on_work(uv_work_t *work)
{
    struct reading_job *job = &((struct reloader *)work->data)->job;

    job->settings = configuration_read(job->call, job->sources, &job->faults,
                                       &job->warnings);
    if (!job->settings && job->kind == RELOAD_TABLES)
        read_apart(job);
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
    sources_free(r->job.tried);
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
        .kept = kind == RELOAD_TABLES ? r->sources : NULL,
        .in_use = kind == RELOAD_TABLES ? r->in_use : NULL,
    };
    r->job.sources = sources_new(r->job.kept, r->job.in_use);
    ASSERT(uv_queue_work(r->look.loop, &r->work, on_work, on_worked) == 0);
}

static void on_look(uv_timer_t *timer)
{
    struct reloader *r = timer->data;

    if (!r->is_busy && sources_look(r->sources))
        begin(r, RELOAD_TABLES);
}

struct reloader *reloader_new(uv_loop_t *loop, const struct verb_call *call,
                              struct settings *s, struct sources *take_sources,
                              struct buffer *take_warned,
                              reloader_done_fn *done, void *user)
{
    struct reloader *r = NEW(struct reloader);

    r->call = call;
    r->in_use = settings_hold(s);
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

unsigned reloader_faulty(const struct reloader *r)
{
    return sources_faulty(r->sources);
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
    settings_release(r->in_use);
    sources_free(r->sources);
    buffer_fini(&r->warned);
    buffer_fini(&r->said);
    free(r);
}
