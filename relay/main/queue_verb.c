/*
 * queue_verb - waypost queue list|show|count|retry|...
 *
 * Reads the filters, asks the relay over its socket, prints what it says. What
 * would change more than one message is counted first and only announced; --yes
 * does it.
 */
#include "policy/vocabulary/id.h"
#include "policy/vocabulary/memory.h"
#include "relay/admin/filter.h"
#include "relay/admin/listing.h"
#include "relay/main/ask.h"
#include "relay/main/configuration.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

struct order {
    const struct verb_call *call;
    const char *name; /* of the sub verb */
    const struct act *act;
    struct ask *ask;
    json_t *filters; /* key -> value, as given */
    bool json, yes;
    size_t width; /* of the terminal; 0: not one */
    uint64_t rows;
};

typedef int sub_verb_fn(struct order *o);

static sub_verb_fn do_list, do_show, do_count, do_change;

enum { LIST, SHOW, COUNT, RETRY, HOLD, RELEASE, DELETE, UNDELETE };

/* clang-format off */
static const struct verb_sub subs[] = {
    [LIST]     = { "list", "", "one line for each message (--json: one object a line)", VALUE_ID, NULL },
    [SHOW]     = { "show", "ID", "all about one message", VALUE_ID, NULL },
    [COUNT]    = { "count", "", "how many messages, recipients and bytes", VALUE_ID, NULL },
    [RETRY]    = { "retry", "", "due now, and their destinations need not rest", VALUE_ID, NULL },
    [HOLD]     = { "hold", "", "keep without trying", VALUE_ID, NULL },
    [RELEASE]  = { "release", "", "try again what is held", VALUE_ID, NULL },
    [DELETE]   = { "delete", "", "can be undone for a day", VALUE_ID, NULL },
    [UNDELETE] = { "undelete", "", "brings back what was deleted", VALUE_ID, NULL },
    { NULL, NULL, NULL, VALUE_WORD, NULL },
};

static const struct act {
    sub_verb_fn *run;   const char *done;
} acts[] = {
    [LIST]     = { do_list,   NULL },
    [SHOW]     = { do_show,   NULL },
    [COUNT]    = { do_count,  NULL },
    [RETRY]    = { do_change, "will be tried again now" },
    [HOLD]     = { do_change, "held" },
    [RELEASE]  = { do_change, "released" },
    [DELETE]   = { do_change, "deleted; waypost queue undelete brings it back for a day" },
    [UNDELETE] = { do_change, "back in the queue" },
};
/* clang-format on */

static void print(struct buffer *b)
{
    (void)fwrite(b->at, 1, b->len, stdout);
    buffer_clear(b);
}

static void print_json(const json_t *object)
{
    (void)json_dumpf(object, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
    (void)putchar('\n');
}

static void add_filters(struct order *o)
{
    const char *key;
    json_t *value;

    json_object_foreach(o->filters, key, value)
        ask_add(o->ask, key, json_string_value(value));
}

static bool print_row(void *user, const json_t *message)
{
    struct order *o = user;
    struct buffer b = { 0 };

    if (o->json) {
        print_json(message);
    } else {
        if (o->width && o->rows == 0)
            listing_put_head(&b);
        listing_put_line(&b, message, time(NULL), o->width);
        print(&b);
    }
    o->rows++;
    buffer_fini(&b);
    return !ferror(stdout);
}

static int do_list(struct order *o)
{
    int rc;

    add_filters(o);
    rc = ask_stream(o->ask, "/queue", NULL, print_row, o);
    if (rc == EX_OK && o->width && !o->json) {
        if (o->rows)
            (void)printf("-- %llu message%s\n", (unsigned long long)o->rows,
                         o->rows == 1 ? "" : "s");
        else
            (void)puts(json_object_size(o->filters) ? "Nothing matches."
                                                    : "The queue is empty.");
    }
    return rc;
}

static int do_show(struct order *o)
{
    const char *id = json_string_value(json_object_get(o->filters, "id"));
    struct buffer b = { 0 };
    json_t *message;
    int rc;

    if (!id || json_object_size(o->filters) != 1)
        return verbs_usage(o->call, "show takes the id of one message");
    buffer_printf(&b, "/queue/%s", id);
    rc = ask_one(o->ask, buffer_string(&b), NULL, &message);
    buffer_clear(&b);
    if (rc == EX_OK) {
        if (o->json) {
            print_json(message);
        } else {
            listing_put_story(&b, message, time(NULL));
            print(&b);
        }
        json_decref(message);
    }
    buffer_fini(&b);
    return rc;
}

static int do_count(struct order *o)
{
    struct buffer b = { 0 };
    json_t *count;
    int rc;

    add_filters(o);
    rc = ask_one(o->ask, "/queue/count", NULL, &count);
    if (rc != EX_OK)
        return rc;
    if (o->json) {
        print_json(count);
    } else {
        listing_put_count(&b, count);
        buffer_put_byte(&b, '\n');
        print(&b);
    }
    json_decref(count);
    buffer_fini(&b);
    return EX_OK;
}

/* What was done, or would be. */
static void print_change(const struct order *o, const json_t *count,
                         bool is_done)
{
    struct buffer b = { 0 };

    if (o->json) {
        print_json(count);
        return;
    }
    if (json_integer_value(json_object_get(count, "messages")) == 0) {
        (void)puts("Nothing matches.");
        return;
    }
    listing_put_count(&b, count);
    if (is_done)
        buffer_printf(&b, ": %s.\n", o->act->done);
    else
        buffer_printf(&b, " match. Nothing was changed; with --yes: %s.\n",
                      o->act->done);
    print(&b);
    buffer_fini(&b);
}

static int do_change(struct order *o)
{
    bool is_done = o->yes || json_object_get(o->filters, "id");
    json_t *body = json_deep_copy(o->filters), *count;
    struct buffer path = { 0 };
    int rc;

    (void)json_object_set_new(body, is_done ? "yes" : "preview", json_true());
    buffer_printf(&path, "/queue/%s", o->name);
    rc = ask_one(o->ask, buffer_string(&path), body, &count);
    json_decref(body);
    buffer_fini(&path);
    if (rc != EX_OK)
        return rc;
    print_change(o, count, is_done);
    json_decref(count);
    return EX_OK;
}

/* Reads the options; 0 or EX_USAGE. A word that is no option is an id. Values
 * are checked here too, so that what is wrong is said without a relay. */
static int read_options(struct order *o, struct filter *checked)
{
    const struct verb_call *call = o->call;
    struct buffer why = { 0 };
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
        if (value[0] == '-') {
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
        if (!filter_add(checked, span_of(key), span_of(value),
                        (int64_t)time(NULL) * 1000, &why))
            rc = verbs_usage(call, "%s", buffer_string(&why));
        else if (json_object_set_new(o->filters, key,
                                     filter_value(span_of(key), value)) < 0)
            rc = verbs_usage(call, "--%s should be UTF-8", key);
    }
    buffer_fini(&why);
    return rc;
}

static size_t terminal_width(void)
{
    struct winsize w;

    if (!isatty(STDOUT_FILENO))
        return 0;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) < 0 || w.ws_col < 40)
        return 80;
    return w.ws_col;
}

static int operate(const struct verb_call *call)
{
    struct order o = { .call = call, .filters = json_object() };
    struct settings *settings = NULL;
    struct filter checked;
    int sub, rc;

    filter_init(&checked);
    sub = verbs_sub(call);
    rc = EX_USAGE;
    if (sub < 0)
        goto done;
    o.name = subs[sub].name;
    o.act = &acts[sub];
    rc = read_options(&o, &checked);
    if (rc != EX_OK)
        goto done;
    rc = EX_CONFIG;
    settings = configuration_load(call);
    if (!settings)
        goto done;
    o.width = terminal_width();
    o.ask = ask_new(settings->admin.socket);
    rc = o.act->run(&o);
    if (rc == EX_OK && (fflush(stdout) != 0 || ferror(stdout)))
        rc = EX_IOERR;
done:
    ask_free(o.ask);
    if (settings)
        settings_release(settings);
    filter_fini(&checked);
    json_decref(o.filters);
    return rc;
}

/* clang-format off */
static const struct verb_option options[] = {
    { "--json", NULL, "one object a line", VALUE_WORD },
    { "--yes",  NULL, "do it, also to more than one message", VALUE_WORD },
    { NULL, NULL, NULL, VALUE_WORD },
};

const struct verb queue_verb = {
    .name = "queue", .run = operate, .subs = subs, .options = options, .takes_filters = true,
    .help = "look at waiting mail and change it",
    .more =
        "What would change more than one message is only announced without --yes.\n"
        "\n"
        "Exit codes: 0 done, also when nothing matched; 66 there is no such message (show);\n"
        "69 no relay is running; 75 it cannot do it now; 78 configuration.\n",
};
/* clang-format on */
