/*
 * dest_verb - waypost dest list|show|suspend|resume|retry|probe
 *
 * Asks the relay over its socket and prints what it says. What would concern more than
 * one destination is only announced; --yes does it.
 */
#include "relay/admin/filter.h"
#include "relay/main/ask.h"
#include "relay/main/configuration.h"
#include "relay/main/dest_listing.h"
#include "relay/main/dest_probe.h"
#include "relay/main/paper.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

struct wish {
    const struct verb_call *call;
    const char *sub;
    const struct act *act;
    struct ask *ask;
    const char *name, *duration, *reason, *from;
    bool json, yes, quiet, verbose;
    uint64_t rows;
};

typedef int sub_verb_fn(struct wish *w);

static sub_verb_fn do_list, do_show, do_order, do_probe;

enum { NEEDS_NAME = 1, TAKES_TIME = 2, WALKS = 4 };

enum { LIST, SHOW, SUSPEND, RESUME, RETRY, PROBE };

/* clang-format off */
static const struct verb_option suspend_options[] = {
    { "--for",    "DURATION", "so long: 10min, 2h, 3d; else until it is resumed", VALUE_WORD },
    { "--reason", "TEXT",     "why, for those who look at it", VALUE_WORD },
    { NULL, NULL, NULL, VALUE_WORD },
};

static const struct verb_option probe_options[] = {
    { "--from",    "SENDER", "as mail from this address goes, and MAIL FROM of it", VALUE_WORD },
    { "--verbose", NULL,     "with all that is said and heard", VALUE_WORD },
    { "--quiet",   NULL,     "only orders it, as with a pattern, and does not wait", VALUE_WORD },
    { NULL, NULL, NULL, VALUE_WORD },
};

static const struct verb_sub subs[] = {
    [LIST]    = { "list", "[NAME]", "one line for each: what waits, since when it was not seen",
                  VALUE_DESTINATION, NULL },
    [SHOW]    = { "show", "NAME", "all about one", VALUE_DESTINATION, NULL },
    [SUSPEND] = { "suspend", "NAME", "nothing is sent there, also after a restart",
                  VALUE_DESTINATION, suspend_options },
    [RESUME]  = { "resume", "NAME", "ends a suspension, and mail that waits for pick-up goes",
                  VALUE_DESTINATION, NULL },
    [RETRY]   = { "retry", "NAME", "the rest of one that could not be reached is over; mail that\n"
                  "waits for pick-up goes", VALUE_DESTINATION, NULL },
    [PROBE]   = { "probe", "NAME|DOMAIN|ADDRESS", "why is it stuck? One connection, told stage by\n"
                  "stage; when it succeeds all goes", VALUE_DESTINATION, probe_options },
    { NULL, NULL, NULL, VALUE_WORD, NULL },
};

static const struct act {
    sub_verb_fn *run;   unsigned flags;     const char *done;
} acts[] = {
    [LIST]    = { do_list,  0,                       NULL },
    [SHOW]    = { do_show,  NEEDS_NAME,              NULL },
    [SUSPEND] = { do_order, NEEDS_NAME | TAKES_TIME, "suspended" },
    [RESUME]  = { do_order, NEEDS_NAME,              "resumed" },
    [RETRY]   = { do_order, NEEDS_NAME,              "will be tried again now" },
    [PROBE]   = { do_probe, NEEDS_NAME | WALKS,      "will be probed now" },
};
/* clang-format on */

static void print(struct buffer *b)
{
    (void)fwrite(b->at, 1, b->len, stdout);
    buffer_fini(b);
}

/* ---------------------------------------------------------------- looks ---- */

static bool print_line(void *user, const json_t *o)
{
    struct wish *w = user;
    struct buffer b = { 0 };

    if (w->json) {
        paper_print_json(o);
        return !ferror(stdout);
    }
    if (w->rows++ == 0)
        dest_listing_put_head(&b, paper_width());
    dest_listing_put_line(&b, o, paper_width(), paper_takes_colour());
    print(&b);
    return !ferror(stdout);
}

static bool print_story(void *user, const json_t *o)
{
    struct wish *w = user;
    struct buffer b = { 0 };

    if (w->json) {
        w->rows++;
        paper_print_json(o);
        return !ferror(stdout);
    }
    if (w->rows++)
        buffer_put_byte(&b, '\n');
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
        (void)puts(!w->name ? "Nothing waits for any."
                            : "Nothing matches. (Where mail for a domain "
                              "goes, waypost dest probe DOMAIN tells.)");
    return rc;
}

static int do_show(struct wish *w)
{
    int rc = look(w, print_story);

    if (rc == EX_OK && w->rows == 0) {
        (void)fprintf(stderr,
                      "waypost: there is no destination \"%s\": waypost dest "
                      "list tells their names\n",
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
    buffer_printf(&path, "/destinations/%s", w->sub);
    rc = ask_one(w->ask, buffer_string(&path), body, out);
    json_decref(body);
    buffer_fini(&path);
    return rc;
}

static void print_order(const struct wish *w, const json_t *answer,
                        bool is_done)
{
    int64_t skipped = paper_number(answer, "skipped");
    int64_t n = paper_number(answer, "destinations") - (is_done ? skipped : 0);
    struct buffer b = { 0 };
    const json_t *name;
    size_t i;

    if (w->json) {
        paper_print_json(answer);
        return;
    }
    json_array_foreach(json_object_get(answer, "names"), i, name)
    {
        buffer_put_escaped(&b, span_of(json_string_value(name)));
        buffer_put_byte(&b, '\n');
    }
    buffer_printf(
        &b, "%lld destination%s%s: %s", (long long)n, n == 1 ? "" : "s",
        is_done ? "" : " match. Nothing was changed; with --yes", w->act->done);
    if (w->act->flags & TAKES_TIME)
        buffer_printf(&b, "%s%s", w->duration ? " for " : " until resumed",
                      w->duration ? w->duration : "");
    buffer_put_string(&b, ".\n");
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
        is_done = rc == EX_OK && paper_number(answer, "destinations") == 1;
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

/* Several at once, or where nobody wants to see it: only ordered. */
static int do_probe(struct wish *w)
{
    struct dest_probe what = { .name = w->name,
                               .from = w->from,
                               .is_json = w->json,
                               .is_verbose = w->verbose };

    if (w->quiet || w->yes || strpbrk(w->name, "*?"))
        return do_order(w);
    what.is_coloured = paper_takes_colour();
    return dest_probe_run(w->ask, &what);
}

/* -------------------------------------------------------------- options ---- */

static bool is_utf8(const char *s)
{
    json_t *text = json_string(s);

    json_decref(text);
    return text != NULL;
}

/* A value that is missing is an empty one, which is no duration. */
static bool takes(const struct verb_call *call, int *i, const char *name,
                  const char **out)
{
    if (!verbs_option(call, i, name, out))
        return false;
    if (!*out)
        *out = "";
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
        else if (((w->act->flags & TAKES_TIME) &&
                  (takes(call, &i, "--for", &w->duration) ||
                   takes(call, &i, "--reason", &w->reason))) ||
                 ((w->act->flags & WALKS) &&
                  takes(call, &i, "--from", &w->from)))
            continue;
        else if ((w->act->flags & WALKS) && strcmp(word, "--quiet") == 0)
            w->quiet = true;
        else if ((w->act->flags & WALKS) && strcmp(word, "--verbose") == 0)
            w->verbose = true;
        else if (word[0] == '-')
            return verbs_usage(call, "there is no option \"%s\"", word);
        else if (w->name)
            return verbs_usage(call, "%s takes one name", w->sub);
        else
            w->name = word;
    }
    if (!w->name && (w->act->flags & NEEDS_NAME))
        return verbs_usage(call, "%s needs the name of a destination",
                           w->sub);
    if (w->duration && (!filter_duration(span_of(w->duration), &ms) || ms == 0))
        return verbs_usage(call, "--for should be a duration such as 10min, "
                                 "2h or 3d");
    if ((w->name && !is_utf8(w->name)) || (w->reason && !is_utf8(w->reason)) ||
        (w->from && !is_utf8(w->from)))
        return verbs_usage(call, "names and reasons should be UTF-8");
    return EX_OK;
}

static int run_dest(const struct verb_call *call)
{
    struct wish w = { .call = call };
    struct settings *settings;
    int sub, rc;

    sub = verbs_sub(call);
    if (sub < 0)
        return EX_USAGE;
    w.sub = subs[sub].name;
    w.act = &acts[sub];
    if ((rc = read_options(&w)) != EX_OK)
        return rc;
    settings = configuration_load_brief(call->config);
    if (!settings)
        return EX_CONFIG;
    w.ask = ask_new(settings->admin.socket);
    rc = w.act->run(&w);
    if (rc == EX_OK && (fflush(stdout) != 0 || ferror(stdout)))
        rc = EX_IOERR;
    ask_free(w.ask);
    settings_release(settings);
    return rc;
}

/* clang-format off */
static const struct verb_option options[] = {
    { "--json", NULL, "one object a line", VALUE_WORD },
    { "--yes",  NULL, "do it, also to more than one destination", VALUE_WORD },
    { NULL, NULL, NULL, VALUE_WORD },
};

const struct verb dest_verb = {
    .name = "dest", .run = run_dest, .subs = subs, .options = options,
    .arguments = "list [NAME] | show NAME | resume NAME | retry NAME | \n"
        "             probe NAME|DOMAIN|ADDRESS [--from SENDER] [--verbose] [--quiet] |\n"
        "             suspend NAME [--for DURATION] [--reason TEXT] [--json] [--yes]",
    .help = "look at the next hops that mail waits for and change what is tried",
    .more =
        "NAME may be a pattern (* ? [...]); what would concern more than one destination is\n"
        "only announced without --yes.\n"
        "\n"
        "probe walks to a destination as mail does and prints each stage: the route, what the\n"
        "queue knows, names, addresses, greeting, TLS, certificate, login, and for an address\n"
        "MAIL FROM and RCPT TO; then what can be done. No mail is sent.\n"
        "\n"
        "Exit codes: 0 done, also when there is nothing to list; 66 there is no such\n"
        "destination; 69 no relay is running; 75 it cannot do it now, or what was\n"
        "probed does not work; 78 configuration.\n",
    .group = GROUP_OPERATING,
    .examples = {
        { "waypost dest list",
          "who cannot be reached, since when, and what waits" },
        { "waypost dest suspend smtp://mail.branch.example:25 --for 2h --reason 'they move'",
          "send nothing there for two hours" },
    },
};
/* clang-format on */
