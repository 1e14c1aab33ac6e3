/*
 * dest_verb - waypost dest list|show|suspend|resume|retry|probe
 *
 * Asks the relay over its socket and prints what it says. What would concern more than
 * one destination is only announced; --yes does it.
 */
#include "policy/vocabulary/memory.h"
#include "relay/admin/filter.h"
#include "relay/main/ask.h"
#include "relay/main/configuration.h"
#include "relay/main/dest_listing.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

struct wish {
    const struct verb_call *call;
    const struct sub_verb *verb;
    struct ask *ask;
    const char *name, *duration, *reason;
    bool json, yes;
    uint64_t rows;
};

typedef int sub_verb_fn(struct wish *w);

static sub_verb_fn do_list, do_show, do_order;

enum { NEEDS_NAME = 1, TAKES_TIME = 2 };

/* clang-format off */
static const struct sub_verb {
    const char *name;   sub_verb_fn *run;   unsigned flags;     const char *done;
} sub_verbs[] = {
    { "list",           do_list,            0,                  NULL },
    { "show",           do_show,            NEEDS_NAME,         NULL },
    { "suspend",        do_order,           NEEDS_NAME | TAKES_TIME, "suspended" },
    { "resume",         do_order,           NEEDS_NAME,         "resumed" },
    { "retry",          do_order,           NEEDS_NAME,         "will be tried again now" },
    { "probe",          do_order,           NEEDS_NAME,         "will be probed now" },
};
/* clang-format on */

enum { SUB_VERBS = sizeof(sub_verbs) / sizeof(sub_verbs[0]) };

static const struct sub_verb *find_sub_verb(const char *name)
{
    for (size_t i = 0; i < SUB_VERBS; i++)
        if (strcmp(sub_verbs[i].name, name) == 0)
            return &sub_verbs[i];
    return NULL;
}

static void print_json(const json_t *object)
{
    (void)json_dumpf(object, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
    (void)putchar('\n');
}

static void print(struct buffer *b)
{
    (void)fwrite(b->at, 1, b->len, stdout);
    buffer_fini(b);
}

static int64_t number_of(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

/* ---------------------------------------------------------------- looks ---- */

static bool print_line(void *user, const json_t *o)
{
    struct wish *w = user;
    struct buffer b = { 0 };

    if (w->json) {
        print_json(o);
        return !ferror(stdout);
    }
    if (w->rows++ == 0)
        dest_listing_put_head(&b);
    dest_listing_put_line(&b, o);
    print(&b);
    return !ferror(stdout);
}

static bool print_story(void *user, const json_t *o)
{
    struct wish *w = user;
    struct buffer b = { 0 };

    if (w->rows++ && !w->json)
        buffer_put_byte(&b, '\n');
    if (w->json)
        print_json(o);
    else
        dest_listing_put_story(&b, o);
    print(&b);
    return !ferror(stdout);
}

static int look(struct wish *w, ask_fn *each)
{
    if (w->name)
        ask_add(w->ask, "name", w->name);
    return ask_stream(w->ask, "/destinations", NULL, each, w);
}

static int do_list(struct wish *w)
{
    int rc = look(w, print_line);

    if (rc == EX_OK && w->rows == 0 && !w->json)
        (void)puts(w->name ? "Nothing matches." : "Nothing waits for any.");
    return rc;
}

static int do_show(struct wish *w)
{
    int rc = look(w, print_story);

    if (rc == EX_OK && w->rows == 0) {
        (void)fprintf(stderr, "waypost: there is no destination \"%s\"\n",
                      w->name);
        rc = EX_NOINPUT;
    }
    return rc;
}

/* --------------------------------------------------------------- orders ---- */

static int ask_order(struct wish *w, bool is_preview, json_t **out)
{
    json_t *body = json_object();
    struct buffer path = { 0 };
    int rc;

    (void)json_object_set_new(body, "name", json_string(w->name));
    if (w->duration)
        (void)json_object_set_new(body, "until", json_string(w->duration));
    if (w->reason)
        (void)json_object_set_new(body, "reason", json_string(w->reason));
    (void)json_object_set_new(body, is_preview ? "preview" : "yes",
                              json_true());
    buffer_printf(&path, "/destinations/%s", w->verb->name);
    rc = ask_one(w->ask, buffer_string(&path), body, out);
    json_decref(body);
    buffer_fini(&path);
    return rc;
}

static void print_order(const struct wish *w, const json_t *answer,
                        bool is_done)
{
    int64_t skipped = number_of(answer, "skipped");
    int64_t n = number_of(answer, "destinations") - (is_done ? skipped : 0);
    struct buffer b = { 0 };
    const json_t *name;
    size_t i;

    if (w->json) {
        print_json(answer);
        return;
    }
    json_array_foreach(json_object_get(answer, "names"), i, name)
    {
        buffer_put_escaped(&b, span_of(json_string_value(name)));
        buffer_put_byte(&b, '\n');
    }
    buffer_printf(&b, "%lld destination%s%s: %s.\n", (long long)n,
                  n == 1 ? "" : "s",
                  is_done ? "" : " match. Nothing was changed; with --yes",
                  w->verb->done);
    if (skipped)
        buffer_printf(&b, "%lld left alone: suspended, or gone.\n",
                      (long long)skipped);
    print(&b);
}

static int do_order(struct wish *w)
{
    json_t *answer = NULL;
    bool is_done = w->yes;
    int rc = EX_OK;

    if (!is_done) {
        rc = ask_order(w, true, &answer);
        is_done = rc == EX_OK && number_of(answer, "destinations") == 1;
        if (is_done)
            json_decref(answer);
    }
    if (is_done)
        rc = ask_order(w, false, &answer);
    if (rc != EX_OK)
        return rc;
    print_order(w, answer, is_done);
    json_decref(answer);
    return EX_OK;
}

/* -------------------------------------------------------------- options ---- */

static bool is_utf8(const char *s)
{
    json_t *text = json_string(s);

    json_decref(text);
    return text != NULL;
}

/* Takes the value of an option with one: "--for 2h" or "--for=2h". */
static bool is_option(const struct verb_call *call, int *i, const char *name,
                      const char **out)
{
    const char *word = call->argv[*i];
    size_t len = strlen(name);

    if (strncmp(word, name, len) != 0 || (word[len] && word[len] != '='))
        return false;
    if (word[len] == '=')
        *out = word + len + 1;
    else
        *out = *i + 1 < call->argc ? call->argv[++*i] : "";
    return true;
}

static int read_options(struct wish *w)
{
    const struct verb_call *call = w->call;
    int64_t ms;

    for (int i = 1; i < call->argc; i++) {
        const char *word = call->argv[i];

        if (strcmp(word, "--json") == 0)
            w->json = true;
        else if (strcmp(word, "--yes") == 0)
            w->yes = true;
        else if ((w->verb->flags & TAKES_TIME) &&
                 (is_option(call, &i, "--for", &w->duration) ||
                  is_option(call, &i, "--reason", &w->reason)))
            continue;
        else if (word[0] == '-')
            return verbs_usage(call, "there is no option \"%s\"", word);
        else if (w->name)
            return verbs_usage(call, "%s takes one name", w->verb->name);
        else
            w->name = word;
    }
    if (!w->name && (w->verb->flags & NEEDS_NAME))
        return verbs_usage(call, "%s needs the name of a destination",
                           w->verb->name);
    if (w->duration && (!filter_duration(span_of(w->duration), &ms) || ms == 0))
        return verbs_usage(call, "--for should be a duration such as 10min, "
                                 "2h or 3d");
    if ((w->name && !is_utf8(w->name)) || (w->reason && !is_utf8(w->reason)))
        return verbs_usage(call, "names and reasons should be UTF-8");
    return EX_OK;
}

int dest_verb(const struct verb_call *call)
{
    struct wish w = { .call = call };
    struct settings *settings;
    int rc;

    w.verb = call->argc ? find_sub_verb(call->argv[0]) : NULL;
    if (!w.verb)
        return verbs_usage(call,
                           call->argc ? "dest cannot \"%s\""
                                      : "dest needs to be told what to do%s",
                           call->argc ? call->argv[0] : "");
    if ((rc = read_options(&w)) != EX_OK)
        return rc;
    settings = configuration_load(call);
    if (!settings)
        return EX_CONFIG;
    w.ask = ask_new(settings->admin.socket);
    rc = w.verb->run(&w);
    if (rc == EX_OK && (fflush(stdout) != 0 || ferror(stdout)))
        rc = EX_IOERR;
    ask_free(w.ask);
    settings_release(settings);
    return rc;
}
