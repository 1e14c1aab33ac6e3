/*
 * top_verb - waypost top: what the relay is doing, a screen a second.
 *
 *   ask --page--> show --a second, or a key--> ask
 *
 * Where output is no terminal, or with --once: one page, plain. When the relay does not
 * answer any more the terminal is given back before that is said.
 */
#include "policy/vocabulary/error.h"
#include "relay/main/ask.h"
#include "relay/main/configuration.h"
#include "relay/main/paper.h"
#include "relay/main/top_feed.h"
#include "relay/main/top_screen.h"
#include "relay/main/top_terminal.h"

#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 1000, DESTINATIONS_MOST = 2000, PLAIN_COLUMNS = 200 };

struct top {
    struct ask *ask;
    struct top_feed *feed;
    struct top_look look;
    json_t *status, *before, *flow, *destinations, *system;
    int64_t status_ms, before_ms;
};

static int64_t now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---------------------------------------------------------------- figures ---- */

static bool keep_destination(void *user, const json_t *o)
{
    json_t *all = user;

    ASSERT(json_array_append_new(all, json_deep_copy(o)) == 0);
    return json_array_size(all) < DESTINATIONS_MOST;
}

static int ask_destinations(struct top *t)
{
    json_t *all = json_array();
    int rc = ask_stream(t->ask, "/destinations", NULL, keep_destination, all);

    json_decref(t->destinations);
    t->destinations = all;
    return rc;
}

static int ask_flow(struct top *t)
{
    json_t *flow = NULL;
    int rc = ask_one(t->ask, "/flow", NULL, &flow);

    if (rc != EX_OK)
        return rc;
    json_decref(t->flow);
    t->flow = flow;
    return EX_OK;
}

/* What is wrong stands above every view. */
static int ask_system(struct top *t)
{
    json_t *system = NULL;
    int rc = ask_one(t->ask, "/system", NULL, &system);

    if (rc != EX_OK)
        return rc;
    json_decref(t->system);
    t->system = system;
    return EX_OK;
}

static bool shows(const struct top *t, enum top_view v)
{
    return t->look.view == v || t->look.view == TOP_ALL;
}

/* What is shown, and no more. */
static int ask_all(struct top *t)
{
    json_t *status = NULL;
    int rc = ask_one(t->ask, "/status", NULL, &status);

    if (rc != EX_OK)
        return rc;
    json_decref(t->before);
    t->before = t->status;
    t->before_ms = t->status_ms;
    t->status = status;
    t->status_ms = now_ms();
    rc = ask_system(t);
    if (rc == EX_OK && shows(t, TOP_FLOW))
        rc = ask_flow(t);
    if (rc == EX_OK && (shows(t, TOP_DESTINATIONS) || shows(t, TOP_FLOW)))
        rc = ask_destinations(t);
    return rc;
}

static void put_page(struct top *t, struct buffer *b)
{
    struct top_figures f = {
        .status = t->status,
        .flow = t->flow,
        .system = t->system,
        .destinations = t->destinations,
        .before = t->before,
        .seconds = (double)(t->status_ms - t->before_ms) / 1000,
        .lines = t->feed ? top_feed_lines(t->feed) : NULL,
        .now_s = time(NULL),
    };

    top_screen_put(b, &f, &t->look);
}

/* ----------------------------------------------------------------- screen ---- */

static int once(struct top *t)
{
    struct buffer b = { 0 };
    int rc;

    t->look.view = TOP_ALL;
    t->look.columns = PLAIN_COLUMNS;
    if ((rc = ask_all(t)) == EX_OK) {
        put_page(t, &b);
        (void)fwrite(b.at, 1, b.len, stdout);
    }
    buffer_fini(&b);
    return rc;
}

static void show(struct top *t)
{
    struct buffer b = { 0 };

    top_terminal_size(&t->look.columns, &t->look.rows);
    put_page(t, &b);
    top_terminal_show(buffer_span(&b));
    buffer_fini(&b);
}

/* False: enough. */
static bool take_keys(struct top *t)
{
    char typed[64];
    ssize_t n = read(STDIN_FILENO, typed, sizeof(typed));
    struct span in = span_make(typed, n > 0 ? (size_t)n : 0);
    int view = (int)t->look.view;

    if (n <= 0)
        return false;
    while (in.len) {
        enum top_key key = top_terminal_key(&in);

        if (key == TOP_KEY_QUIT)
            return false;
        if (key == TOP_KEY_NEXT)
            view = (view + 1) % TOP_VIEWS;
        else if (key == TOP_KEY_BACK)
            view = (view + TOP_VIEWS - 1) % TOP_VIEWS;
        else if (key >= TOP_KEY_FIRST)
            view = (int)(key - TOP_KEY_FIRST);
    }
    t->look.view = (enum top_view)view;
    return true;
}

/* Answers an exit code; the terminal is ours meanwhile. */
static int watch(struct top *t)
{
    int64_t due = 0;
    bool goes_on = true;
    int rc = EX_OK;

    while (goes_on && !top_terminal_is_over() && rc == EX_OK) {
        int64_t left = due - now_ms();

        if (left <= 0) {
            due = now_ms() + TICK_MS;
            left = TICK_MS;
            rc = ask_all(t);
        }
        top_feed_listen(t->feed, t->look.view == TOP_LIVE);
        show(t);
        if (top_feed_wait(t->feed, STDIN_FILENO, (int)left)) {
            goes_on = take_keys(t);
            due = 0;
        }
    }
    return rc;
}

static int on_screen(struct top *t, struct span socket)
{
    json_t *status = NULL;
    int rc = ask_one(t->ask, "/status", NULL, &status);

    json_decref(status);
    if (rc != EX_OK)
        return rc;
    if (!top_terminal_open())
        return once(t);
    t->feed = top_feed_new(socket);
    rc = watch(t);
    top_terminal_close();
    top_feed_free(t->feed);
    t->feed = NULL;
    if (rc != EX_OK) /* what was said about it is gone with the screen */
        rc = ask_all(t);
    return rc;
}

static int run_top(const struct verb_call *call)
{
    struct top t = { 0 };
    const char *term = getenv("TERM");
    bool is_once = !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO) ||
                   (term && strcmp(term, "dumb") == 0);
    struct settings *settings;
    int rc;

    for (int i = 0; i < call->argc; i++) {
        if (strcmp(call->argv[i], "--once") != 0)
            return verbs_usage(call, "top does not take \"%s\"", call->argv[i]);
        is_once = true;
    }
    settings = configuration_load_brief(call->config);
    if (!settings)
        return EX_CONFIG;
    (void)setlocale(LC_CTYPE, "");
    t.look.is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    t.look.is_coloured = !is_once && paper_takes_colour();
    t.ask = ask_new(settings->admin.socket);
    rc = is_once ? once(&t) : on_screen(&t, settings->admin.socket);
    if (rc == EX_OK && (fflush(stdout) != 0 || ferror(stdout)))
        rc = EX_IOERR;
    ask_free(t.ask);
    json_decref(t.status);
    json_decref(t.before);
    json_decref(t.flow);
    json_decref(t.system);
    json_decref(t.destinations);
    settings_release(settings);
    return rc;
}

/* clang-format off */
static const struct verb_option options[] = {
    { "--once", NULL, "one page, plain, as where the output is no terminal", VALUE_WORD },
    { NULL, NULL, NULL, VALUE_WORD },
};

const struct verb top_verb = {
    .name = "top", .run = run_top, .options = options,
    .help = "what the relay is doing, a screen a second",
    .more =
        "Tab and the arrows choose what is shown: 1 the flow and the last hour, 2 destinations,\n"
        "3 refusals by rule, 4 what happens, live. q quits.\n"
        "\n"
        "Exit codes: 0 done; 69 no relay is running; 75 it cannot say now; 78 configuration.\n",
    .group = GROUP_LOOKING,
    .examples = {
        { "waypost top",
          "live, until q" },
        { "waypost top --once",
          "one page, for a mail or a ticket" },
    },
};
/* clang-format on */
