/*
 * history_verb - waypost history [ID] [FILTERS] [--limit N] [--json]
 *
 * Asks the relay, newest first, and prints each row as it comes; where no relay runs, reads the
 * files beside its queue and says so. One id without --json: the story of that message, with
 * what of it still waits. While nothing is found, a terminal sees how far back it has looked.
 */
#include "policy/vocabulary/error.h"
#include "relay/admin/chronicle_row.h"
#include "relay/admin/filter.h"
#include "relay/admin/listing.h"
#include "relay/main/ask.h"
#include "relay/main/configuration.h"
#include "relay/main/history_listing.h"
#include "relay/main/paper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

struct question {
    const struct verb_call *call;
    struct ask *ask;
    struct filter filter;
    json_t *filters; /* key -> value, as given */
    json_t *rows;    /* of a story */
    json_t *waiting;
    const char *limit_text;
    uint64_t limit; /* 0: none */
    bool json, is_story, in_colour;
    bool shows_progress; /* on standard error */
    bool has_progress;   /* it stands there now */
    size_t width;        /* of the terminal; 0: not one */
    uint64_t found;
};

/* ------------------------------------------------------------ printing --- */

static void print(struct buffer *b)
{
    (void)fwrite(b->at, 1, b->len, stdout);
    buffer_fini(b);
}

static void clear_progress(struct question *q)
{
    if (q->has_progress)
        (void)fputs("\r\033[K", stderr);
    q->has_progress = false;
}

static void print_progress(struct question *q, int64_t at_s)
{
    struct buffer b = { 0 };

    if (!q->shows_progress)
        return;
    history_listing_put_time(&b, at_s);
    (void)fflush(stdout);
    (void)fprintf(stderr, "\rlooking at %s ...\033[K", buffer_string(&b));
    q->has_progress = true;
    buffer_fini(&b);
}

static void print_row(struct question *q, const json_t *row)
{
    struct buffer b = { 0 };

    clear_progress(q);
    q->found++;
    if (q->is_story) {
        ASSERT(json_array_append(q->rows, (json_t *)row) == 0);
        return;
    }
    if (q->json) {
        paper_print_json(row);
        return;
    }
    if (q->width && q->found == 1)
        history_listing_put_head(&b, q->width);
    history_listing_put_line(&b, row, q->width, q->in_colour);
    print(&b);
    if (q->found == 1)
        (void)fflush(stdout);
}

/* ------------------------------------------------------ from the relay --- */

static bool on_object(void *user, const json_t *o)
{
    struct question *q = user;
    const json_t *progress = json_object_get(o, "progress");

    if (progress) {
        /* What is buffered was found already: it should not wait. */
        (void)fflush(stdout);
        print_progress(q, json_integer_value(json_object_get(progress, "at")));
        return true;
    }
    print_row(q, o);
    return !ferror(stdout);
}

/* With --json, as it is. */
static bool on_line(void *user, struct span line)
{
    static const struct span progress = SPAN_INIT("{\"progress\":");
    struct question *q = user;
    json_t *o;

    if (!span_is(span_first(line, progress.len), progress)) {
        clear_progress(q);
        q->found++;
        return paper_print_line(line);
    }
    o = json_loadb(line.at, line.len, 0, NULL);
    (void)on_object(q, o);
    json_decref(o);
    return true;
}

static bool keep_waiting(void *user, const json_t *o)
{
    struct question *q = user;

    if (!q->waiting)
        q->waiting = json_deep_copy(o);
    return true;
}

static int ask_waiting(struct question *q, const char *id)
{
    struct buffer path = { 0 };
    json_t *full = NULL;
    int rc;

    ask_add(q->ask, "id", id);
    ask_add(q->ask, "state", "active,ready,deferred,held,deleted");
    rc = ask_stream(q->ask, "/queue", NULL, keep_waiting, q);
    if (rc != EX_OK || !q->waiting)
        return rc;
    buffer_printf(&path, "/queue/%s", id);
    if (ask_one(q->ask, buffer_string(&path), NULL, &full) == EX_OK) {
        json_decref(q->waiting);
        q->waiting = full;
    }
    buffer_fini(&path);
    return EX_OK;
}

static int ask_relay(struct question *q)
{
    const char *key;
    json_t *value;
    int rc;

    json_object_foreach(q->filters, key, value)
        ask_add(q->ask, key, json_string_value(value));
    if (q->limit)
        ask_add(q->ask, "limit", q->limit_text);
    ask_add(q->ask, "progress", "1");
    paper_begin_list();
    rc = q->json ? ask_lines(q->ask, "/history", on_line, q)
                 : ask_stream(q->ask, "/history", NULL, on_object, q);
    clear_progress(q);
    if (rc == EX_OK && q->is_story)
        rc = ask_waiting(q,
                         json_string_value(json_object_get(q->filters, "id")));
    return rc;
}

/* ------------------------------------------------------ from the files --- */

static bool on_told(void *user, const struct queue_told *t,
                    const struct queue_place *at)
{
    struct question *q = user;
    json_t *row;

    if (!t) {
        (void)fflush(stdout);
        print_progress(q, at->at_ms / 1000);
        return true;
    }
    row = chronicle_row(t);
    print_row(q, row);
    json_decref(row);
    return !ferror(stdout) && (!q->limit || q->found < q->limit);
}

static bool on_waiting(void *user, const struct queue_row *row)
{
    struct question *q = user;
    struct buffer b = { 0 };
    json_error_t why;

    listing_put_json(&b, row, true);
    q->waiting = json_loadb(b.at, b.len, 0, &why);
    buffer_fini(&b);
    return false;
}

static int read_files(struct question *q, const struct settings *s)
{
    struct queue_filter one = { .id = q->filter.queue.id, .states = ~0U };
    char *path = span_dup(s->queue.path);
    struct buffer why = { 0 };
    int rc;

    (void)fprintf(stderr,
                  "waypost: no relay is running; this is from the files "
                  "beside %s\n",
                  path);
    rc = queue_history_files(path, &q->filter.queue, on_told, q, &why);
    clear_progress(q);
    if (rc < 0)
        (void)fprintf(stderr, "waypost: %s\n", buffer_string(&why));
    else if (q->is_story &&
             (rc = queue_list_files(path, &one, on_waiting, q)) < 0)
        (void)fprintf(stderr, "waypost: %s: %s\n", path, error_text(rc));
    if (rc < 0)
        rc = access(path, F_OK) < 0 ? EX_NOINPUT : EX_TEMPFAIL;
    buffer_fini(&why);
    free(path);
    return rc;
}

/* --------------------------------------------------------------- calls --- */

static int read_filter(struct question *q, const char *key, const char *value)
{
    struct buffer why = { 0 };
    int rc = EX_OK;

    if (!filter_add(&q->filter, span_of(key), span_of(value),
                    (int64_t)time(NULL) * 1000, &why))
        rc = verbs_usage(q->call, "%s", buffer_string(&why));
    else if (json_object_set_new(q->filters, key,
                                 filter_value(span_of(key), value)) < 0)
        rc = verbs_usage(q->call, "--%s should be UTF-8", key);
    buffer_fini(&why);
    return rc;
}

/* A word that is no option is an id. Values are checked here too, so that what is wrong is
 * said without a relay. */
static int read_options(struct question *q)
{
    const struct verb_call *call = q->call;
    int rc = EX_OK;

    for (int i = 0; rc == EX_OK && i < call->argc; i++) {
        const char *word = call->argv[i], *value = NULL, *key;

        if (strcmp(word, "--json") == 0) {
            q->json = true;
        } else if (verbs_option(call, &i, "--limit", &value)) {
            q->limit_text = value;
            if (!value || !span_number(span_of(value), &q->limit) || !q->limit)
                rc = verbs_usage(call, "--limit needs a number over 0");
        } else if (word[0] != '-') {
            rc = read_filter(q, "id", word);
        } else {
            struct span name = { 0 }, rest = { 0 };

            if (word[1] == '-')
                name = span_split(span_of(word + 2), '=', &rest);
            key = filter_key(name);
            if (!key)
                return verbs_usage(call, "there is no option \"%s\"", word);
            if (!rest.at && ++i == call->argc)
                return verbs_usage(call, "--%s needs a value", key);
            rc = read_filter(q, key, rest.at ? rest.at : call->argv[i]);
        }
    }
    q->is_story = rc == EX_OK && !q->json && q->filter.queue.id &&
                  json_object_size(q->filters) == 1;
    return rc;
}

static void look_at_terminal(struct question *q)
{
    q->width = paper_width();
    q->in_colour = paper_takes_colour();
    q->shows_progress = isatty(STDERR_FILENO);
}

static void print_end(struct question *q)
{
    struct buffer b = { 0 };

    if (q->is_story && (q->found || q->waiting)) {
        history_story_put(&b, q->rows, q->waiting, time(NULL), q->in_colour);
        print(&b);
    } else if (q->found == 0 && !q->json && (q->width || q->is_story)) {
        (void)puts("Nothing matches.");
    }
}

static int run_history(const struct verb_call *call)
{
    struct question q = { .call = call, .filters = json_object() };
    struct settings *settings = NULL;
    int rc;

    filter_init(&q.filter);
    q.filter.language = FILTER_HISTORY;
    q.rows = json_array();
    rc = read_options(&q);
    if (rc != EX_OK)
        goto done;
    rc = EX_CONFIG;
    settings = configuration_load_brief(call->config);
    if (!settings)
        goto done;
    look_at_terminal(&q);
    q.ask = ask_new(settings->admin.socket);
    /* who may not ask may not read the files either: the relay's side says so */
    rc = ask_is_there(q.ask) || ask_is_forbidden(q.ask)
             ? ask_relay(&q)
             : read_files(&q, settings);
    if (rc == EX_OK)
        print_end(&q);
    if (rc == EX_OK && (fflush(stdout) != 0 || ferror(stdout)))
        rc = EX_IOERR;
done:
    ask_free(q.ask);
    if (settings)
        settings_release(settings);
    filter_fini(&q.filter);
    json_decref(q.filters);
    json_decref(q.rows);
    json_decref(q.waiting);
    return rc;
}

/* clang-format off */
static const struct verb_option options[] = {
    { "--limit", "N",  "the newest N", VALUE_WORD },
    { "--json",  NULL, "one object a line", VALUE_WORD },
    { NULL, NULL, NULL, VALUE_WORD },
};

static const struct verb_option own_filters[] = {
    { "--state", "STATE", "what became of it, see below; with commas", VALUE_STATE },
    { "--older", "TIME",  "it happened before: 10min, 2h, 3d ago, 2026-11-17,\n"
                          "2026-11-17T08:30", VALUE_WORD },
    { "--newer", "TIME",  "it happened after", VALUE_WORD },
    { "--via",   NULL,    NULL, VALUE_WORD }, /* it knows hosts, not destinations */
    { NULL, NULL, NULL, VALUE_WORD },
};

const struct verb history_verb = {
    .name = "history", .run = run_history, .options = options, .takes_filters = true,
    .own_filters = own_filters,
    .help = "what happened to mail, also after it left",
    .more =
        "Newest first: what became of each recipient, who was refused, what operators did.\n"
        "With an ID alone it tells the whole story of that message, also while it waits.\n"
        "--older and --newer mean when it happened: --newer 2026-11-17 --older 2026-11-18 is\n"
        "what happened on that day. STATE is what became of it: delivered, failed, expired,\n"
        "discarded, deleted, returned, refused, or changed (an order of an operator).\n"
        "Values without a wildcard are looked up in an index and found at once; with one, all\n"
        "rows are read, newest first, and printed as they are found. Where no relay runs, the\n"
        "files are read.\n"
        "\n"
        "Exit codes: 0 done, also when nothing matched; 66 there is no queue yet; 75 it cannot\n"
        "be read now; 78 configuration.\n",
    .group = GROUP_LOOKING,
    .examples = {
        { "waypost history --from joe@example.org --newer 2h",
          "what became of Joe's mail of the last two hours" },
        { "waypost history --state refused --limit 20",
          "who was refused, and why" },
    },
};
/* clang-format on */
