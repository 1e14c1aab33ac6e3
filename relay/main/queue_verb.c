/*
 * queue_verb - waypost queue list|show|count|retry|...
 *
 * Reads the filters and options; queue_look.c and queue_act.c ask the relay over its
 * socket and print what it says.
 */
#include "policy/vocabulary/memory.h"
#include "relay/admin/filter.h"
#include "relay/main/configuration.h"
#include "relay/main/queue_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
    LIST, SHOW, CAT, COUNT, TOP, SHAPE, RETRY, HOLD, RELEASE, DELETE, UNDELETE, BOUNCE, MOVE,
};

/* clang-format off */
static const struct verb_option cat_options[] = {
    { "--header", NULL, "its header alone", VALUE_WORD },
    { NULL, NULL, NULL, VALUE_WORD },
};

static const struct verb_option bounce_options[] = {
    { "--why", "TEXT", "words for the senders", VALUE_WORD },
    { NULL, NULL, NULL, VALUE_WORD },
};

static const struct verb_option why_options[] = {
    { "--why", "TEXT", "for who looks at it later", VALUE_WORD },
    { NULL, NULL, NULL, VALUE_WORD },
};

static const struct verb_option move_options[] = {
    { "--route", "TITLE", "of a route in the configuration", VALUE_ROUTE },
    { NULL, NULL, NULL, VALUE_WORD },
};

static const struct verb_option top_options[] = {
    { "--by", "KEY", "login (without it), from, client, domain or via", VALUE_WORD },
    { "--limit", "N", "so many rows; 20 without it", VALUE_WORD },
    { NULL, NULL, NULL, VALUE_WORD },
};

static const struct verb_sub subs[] = {
    [LIST]     = { "list", "", "one line for each message (--json: one object a line)", VALUE_ID, NULL },
    [SHOW]     = { "show", "ID ...", "all about a message", VALUE_ID, NULL },
    [CAT]      = { "cat", "ID", "its bytes, as they will be sent", VALUE_ID, cat_options },
    [COUNT]    = { "count", "", "how many messages, recipients and bytes", VALUE_ID, NULL },
    [TOP]      = { "top", "", "who fills it: messages, recipients and bytes of each login, sender ...", VALUE_WORD, top_options },
    [SHAPE]    = { "shape", "", "recipients by domain and by age in minutes, as qshape shows them", VALUE_WORD, NULL },
    [RETRY]    = { "retry", "", "due now, and their destinations need not rest", VALUE_ID, NULL },
    [HOLD]     = { "hold", "", "keep without trying", VALUE_ID, why_options },
    [RELEASE]  = { "release", "", "try again what is held", VALUE_ID, NULL },
    [DELETE]   = { "delete", "", "can be undone for a day", VALUE_ID, why_options },
    [UNDELETE] = { "undelete", "", "brings back what was deleted", VALUE_ID, NULL },
    [BOUNCE]   = { "bounce", "", "returns it to its senders, with a report, and cannot be undone", VALUE_ID, bounce_options },
    [MOVE]     = { "move", "--route TITLE", "goes over another route from now on", VALUE_ID, move_options },
    { NULL, NULL, NULL, VALUE_WORD, NULL },
};

static const struct act {
    queue_call_fn *run;          const char *done;
    bool takes_many; /* ids */
    bool needs_all; /* without a filter it wants --all; see ordering.c */
} acts[] = {
    [LIST]     = { queue_look_list,   NULL, true },
    [SHOW]     = { queue_look_show,   NULL, true },
    [CAT]      = { queue_look_cat,    NULL },
    [COUNT]    = { queue_look_count,  NULL },
    [TOP]      = { queue_look_top,    NULL },
    [SHAPE]    = { queue_look_shape,  NULL },
    [RETRY]    = { queue_act, "will be tried again now", true },
    [HOLD]     = { queue_act, "held", true, true },
    [RELEASE]  = { queue_act, "released", true, true },
    [DELETE]   = { queue_act, "deleted; waypost queue undelete brings it back for a day", true, true },
    [UNDELETE] = { queue_act, "back in the queue", true, true },
    [BOUNCE]   = { queue_act, "returned to the senders", true, true },
    [MOVE]     = { queue_act, "on another route", true, true },
};
/* clang-format on */

/* An option of this sub verb's own: true when it is one. */
static bool read_own(struct queue_call *o, int *i)
{
    const struct verb_call *call = o->call;

    if (o->sub == CAT && strcmp(call->argv[*i], "--header") == 0)
        return o->only_header = true;
    if (o->sub == TOP && (verbs_option(call, i, "--by", &o->by) ||
                                 verbs_option(call, i, "--limit", &o->limit)))
        return true;
    return (o->sub == MOVE &&
            verbs_option(call, i, "--route", &o->route)) ||
           ((o->sub == BOUNCE || o->sub == HOLD || o->sub == DELETE) &&
            verbs_option(call, i, "--why", &o->why));
}

/* "-" reads ids from standard input. */
static int read_ids(struct queue_call *o, const char *word)
{
    struct buffer why = { 0 };

    if (strcmp(word, "-") != 0) {
        if (!idlist_add(&o->ids, span_of(word)))
            return verbs_usage(o->call,
                               "id should be an id of 13 characters, not "
                               "\"%s\"",
                               word);
        return EX_OK;
    }
    if (!idlist_read(&o->ids, stdin, &why))
        return verbs_complain(&why, EX_DATAERR);
    return EX_OK;
}

/* Reads the options; 0, EX_USAGE or EX_DATAERR. A word that is no option is an id. Values
 * are checked here too, so that what is wrong is said without a relay. */
static int read_options(struct queue_call *o, struct filter *checked)
{
    const struct verb_call *call = o->call;
    struct buffer why = { 0 };
    uint64_t rows;
    int rc = EX_OK;

    for (int i = 1; rc == EX_OK && i < call->argc; i++) {
        const char *key = "id", *value = call->argv[i];

        if (strcmp(value, "--json") == 0) {
            o->json = true;
            continue;
        }
        if (strcmp(value, "--yes") == 0) {
            o->yes = true;
            continue;
        }
        if (strcmp(value, "--all") == 0) {
            o->all = true;
            continue;
        }
        if (read_own(o, &i))
            continue;
        if (value[0] == '-' && value[1]) {
            struct span name, rest;

            if (value[1] != '-')
                return verbs_usage(call, "there is no option \"%s\"", value);
            name = span_split(span_of(value + 2), '=', &rest);
            key = filter_key(name);
            if (!key)
                return verbs_usage(call, "there is no option \"%s\"", value);
            if (!rest.at && i + 1 == call->argc)
                return verbs_usage(call, "--%s needs a value", key);
            value = rest.at ? rest.at : call->argv[++i];
        }
        if (strcmp(key, "id") == 0)
            rc = read_ids(o, value);
        else if (!filter_add(checked, span_of(key), span_of(value),
                        (int64_t)time(NULL) * 1000, &why))
            rc = verbs_usage(call, "%s", buffer_string(&why));
        else if (json_object_set_new(o->filters, key,
                                     filter_value(span_of(key), value)) < 0)
            rc = verbs_usage(call, "--%s should be UTF-8", key);
    }
    buffer_fini(&why);
    if (rc == EX_OK && o->sub == MOVE && !(o->route && *o->route))
        rc = verbs_usage(call, "move needs --route TITLE");
    if (rc == EX_OK && o->limit &&
        (!span_number(span_of(o->limit), &rows) || rows == 0))
        rc = verbs_usage(call, "--limit should be a number, not \"%s\"",
                         o->limit);
    return rc;
}

/* A slip of the finger is no order for the whole queue: 0 or EX_USAGE. */
static int check_meant(const struct queue_call *o)
{
    bool has_filters = o->ids.is_given || json_object_size(o->filters) > 0;

    if (o->all && !o->done)
        return verbs_usage(o->call, "%s takes no --all", o->name);
    if (o->all && has_filters)
        return verbs_usage(o->call, "--all goes with no filter and no id");
    if (!o->all && !has_filters && acts[o->sub].needs_all)
        return verbs_usage(o->call,
                           "%s needs an id, a filter, or --all for all that "
                           "is in the queue",
                           o->name);
    if (queue_call_is_many(o) && !acts[o->sub].takes_many)
        return verbs_usage(o->call, "%s takes the id of one message", o->name);
    return EX_OK;
}

/* One that is named is a filter like others. */
static void settle_ids(struct queue_call *o)
{
    idlist_sort(&o->ids);
    if (o->ids.count == 1)
        queue_many_choose(o, 0);
}

static int operate(const struct verb_call *call)
{
    struct queue_call o = { .call = call, .filters = json_object() };
    struct settings *settings = NULL;
    struct filter checked;
    int rc = EX_USAGE;

    filter_init(&checked);
    o.sub = verbs_sub(call);
    if (o.sub < 0)
        goto done;
    o.name = subs[o.sub].name;
    o.done = acts[o.sub].done;
    rc = read_options(&o, &checked);
    settle_ids(&o);
    if (rc == EX_OK)
        rc = check_meant(&o);
    if (rc != EX_OK)
        goto done;
    rc = EX_CONFIG;
    settings = configuration_load_brief(call->config);
    if (!settings)
        goto done;
    o.width = paper_width();
    o.is_coloured = paper_takes_colour();
    o.ask = ask_new(settings->admin.socket);
    if (!o.ids.is_given)
        ask_patience(o.ask, "looking through the queue");
    rc = acts[o.sub].run(&o);
    if (rc == EX_OK && (fflush(stdout) != 0 || ferror(stdout)))
        rc = EX_IOERR;
done:
    ask_free(o.ask);
    if (settings)
        settings_release(settings);
    filter_fini(&checked);
    json_decref(o.filters);
    idlist_fini(&o.ids);
    return rc;
}

/* clang-format off */
static const struct verb_option options[] = {
    { "--json", NULL, "one object a line", VALUE_WORD },
    { "--yes",  NULL, "do it, also to more than one message", VALUE_WORD },
    { "--all",  NULL, "all that is in the queue: what changes it wants this, or a filter; a\n"
      "retry, which loses nothing, goes without", VALUE_WORD },
    { NULL, NULL, NULL, VALUE_WORD },
};

const struct verb queue_verb = {
    .name = "queue", .run = operate, .subs = subs, .options = options, .takes_filters = true,
    .help = "look at waiting mail and change it",
    .more =
        "What would change more than one message is only announced without --yes; what would\n"
        "change all of them wants --all too, but for retry.\n"
        "\n"
        "Several ids may be named, and - takes them from standard input, as mailq shows them:\n"
        "list, show, retry, hold, release, delete, undelete, bounce and move do each in turn.\n"
        "\n"
        "Exit codes: 0 done, also when nothing matched; 65 standard input has no ids; 66 there is no such message (show);\n"
        "69 no relay is running; 75 it cannot do it now; 78 configuration.\n",
    .group = GROUP_OPERATING,
    .examples = {
        { "waypost queue list --state deferred --older 2h",
          "what was tried in vain, and is older than two hours" },
        { "waypost queue retry --domain branch.example --yes",
          "try all mail for a domain now" },
    },
};
/* clang-format on */
