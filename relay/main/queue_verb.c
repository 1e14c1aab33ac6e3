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
#include "relay/main/queue_print.h"

#include <stdio.h>
#include <stdlib.h>
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
    const char *route, *why; /* of move and bounce; or NULL */
    const char *by, *limit;  /* of top; or NULL */
    bool json, yes, only_header, is_coloured;
    bool has_bar; /* progress is drawn on standard error */
    json_t *answer; /* of a change, its last line; or NULL */
    int64_t expected; /* messages that it is about; 0: not known */
    size_t width; /* of the terminal; 0: not one */
    uint64_t rows;
};

enum { FRESH_TRIES = 3, FRESH_WAIT_US = 50000 };

typedef int sub_verb_fn(struct order *o);

static sub_verb_fn do_list, do_show, do_cat, do_count, do_top, do_shape,
    do_change;

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
    [SHOW]     = { "show", "ID", "all about one message", VALUE_ID, NULL },
    [CAT]      = { "cat", "ID", "its bytes, as they will be sent", VALUE_ID, cat_options },
    [COUNT]    = { "count", "", "how many messages, recipients and bytes", VALUE_ID, NULL },
    [TOP]      = { "top", "", "who fills it: messages, recipients and bytes of each login, sender ...", VALUE_WORD, top_options },
    [SHAPE]    = { "shape", "", "recipients by domain and by age in minutes, as qshape shows them", VALUE_WORD, NULL },
    [RETRY]    = { "retry", "", "due now, and their destinations need not rest", VALUE_ID, NULL },
    [HOLD]     = { "hold", "", "keep without trying", VALUE_ID, NULL },
    [RELEASE]  = { "release", "", "try again what is held", VALUE_ID, NULL },
    [DELETE]   = { "delete", "", "can be undone for a day", VALUE_ID, NULL },
    [UNDELETE] = { "undelete", "", "brings back what was deleted", VALUE_ID, NULL },
    [BOUNCE]   = { "bounce", "", "returns it to its senders, with a report, and cannot be undone", VALUE_ID, bounce_options },
    [MOVE]     = { "move", "--route TITLE", "goes over another route from now on", VALUE_ID, move_options },
    { NULL, NULL, NULL, VALUE_WORD, NULL },
};

static const struct act {
    sub_verb_fn *run;   const char *done;
} acts[] = {
    [LIST]     = { do_list,   NULL },
    [SHOW]     = { do_show,   NULL },
    [CAT]      = { do_cat,    NULL },
    [COUNT]    = { do_count,  NULL },
    [TOP]      = { do_top,    NULL },
    [SHAPE]    = { do_shape,  NULL },
    [RETRY]    = { do_change, "will be tried again now" },
    [HOLD]     = { do_change, "held" },
    [RELEASE]  = { do_change, "released" },
    [DELETE]   = { do_change, "deleted; waypost queue undelete brings it back for a day" },
    [UNDELETE] = { do_change, "back in the queue" },
    [BOUNCE]   = { do_change, "returned to the senders" },
    [MOVE]     = { do_change, "on another route" },
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

static struct paper paper_of(const struct order *o, struct buffer *b,
                             const json_t *object)
{
    return (struct paper){ .b = b, .o = object, .is_coloured = o->is_coloured };
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
        struct paper p = paper_of(o, &b, message);

        if (o->json) {
            print_json(message);
        } else {
            queue_print_story(&p, time(NULL));
            print(&b);
        }
        json_decref(message);
    }
    buffer_fini(&b);
    return rc;
}

static bool write_bytes(void *user, struct span bytes)
{
    (void)user;
    return fwrite(bytes.at, 1, bytes.len, stdout) == bytes.len;
}

/* To a terminal too: who asks for the bytes gets them. */
static int do_cat(struct order *o)
{
    const char *id = json_string_value(json_object_get(o->filters, "id"));
    struct buffer path = { 0 };
    int rc;

    if (!id || json_object_size(o->filters) != 1)
        return verbs_usage(o->call, "cat takes the id of one message");
    buffer_printf(&path, "/queue/%s/content", id);
    if (o->only_header)
        ask_add(o->ask, "part", "header");
    rc = ask_bytes(o->ask, buffer_string(&path), NULL, write_bytes, o);
    buffer_fini(&path);
    return rc;
}

static bool print_rank(void *user, const json_t *rank)
{
    struct order *o = user;
    struct buffer b = { 0 };

    if (o->json) {
        print_json(rank);
    } else {
        queue_print_rank(&b, rank, o->by ? o->by : "login", o->rows == 0);
        print(&b);
    }
    o->rows++;
    buffer_fini(&b);
    return !ferror(stdout);
}

static int do_top(struct order *o)
{
    int rc;

    add_filters(o);
    if (o->by)
        ask_add(o->ask, "by", o->by);
    if (o->limit)
        ask_add(o->ask, "limit", o->limit);
    rc = ask_stream(o->ask, "/queue/top", NULL, print_rank, o);
    if (rc == EX_OK && o->rows == 0 && !o->json)
        (void)puts(json_object_size(o->filters) ? "Nothing matches."
                                                : "The queue is empty.");
    return rc;
}

static bool is_old(const json_t *heat)
{
    return paper_is_so(heat, "complete") &&
           (int64_t)time(NULL) - paper_number(heat, "at_ms") / 1000 >
               SHAPE_FRESH_S;
}

static int do_shape(struct order *o)
{
    struct buffer b = { 0 };
    struct paper p;
    json_t *heat;
    int rc;

    if (json_object_size(o->filters))
        return verbs_usage(o->call, "shape takes no filters: it shows all");
    rc = ask_one(o->ask, "/queue/heat", NULL, &heat);
    /* Nobody had looked for a while: with the question a new picture was begun. */
    for (int i = 0; rc == EX_OK && i < FRESH_TRIES && is_old(heat); i++) {
        json_decref(heat);
        (void)usleep(FRESH_WAIT_US);
        rc = ask_one(o->ask, "/queue/heat", NULL, &heat);
    }
    if (rc != EX_OK)
        return rc;
    p = paper_of(o, &b, heat);
    if (o->json) {
        print_json(heat);
    } else {
        queue_print_shape(&p, time(NULL));
        print(&b);
    }
    json_decref(heat);
    buffer_fini(&b);
    return EX_OK;
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

/* ------------------------------------------------------------ changes --- */

/* What was done, or would be. */
static void print_change(const struct order *o, const json_t *count,
                         bool is_done)
{
    struct buffer b = { 0 };
    struct paper p = paper_of(o, &b, count);

    if (o->json) {
        print_json(count);
        return;
    }
    if (json_integer_value(json_object_get(count, "messages")) == 0) {
        (void)puts("Nothing matches.");
        return;
    }
    if (!is_done)
        queue_print_preview(&p, time(NULL), o->width);
    paper_begin(&p, is_done ? PAPER_GOOD : PAPER_DOUBTFUL);
    listing_put_count(&b, count);
    if (is_done)
        buffer_printf(&b, ": %s.", o->act->done);
    else
        buffer_printf(&b, " match. Nothing was changed; with --yes: %s.",
                      o->act->done);
    paper_end(&p, is_done ? PAPER_GOOD : PAPER_DOUBTFUL);
    buffer_put_byte(&b, '\n');
    print(&b);
    buffer_fini(&b);
}

/* "[######      ] 3400 of 10000", drawn over the one before. */
static void draw_bar(const struct order *o, int64_t done)
{
    enum { CELLS = 40 };
    int64_t all = o->expected > done ? o->expected : done;
    int full = all ? (int)(done * CELLS / all) : CELLS;

    (void)fprintf(stderr, "\r[%.*s%*s] %lld of %lld", full,
                  "########################################", CELLS - full, "",
                  (long long)done, (long long)all);
    (void)fflush(stderr);
}

static bool take_line(void *user, const json_t *line)
{
    const json_t *progress = json_object_get(line, "progress");
    struct order *o = user;

    if (!progress) {
        json_decref(o->answer);
        o->answer = json_deep_copy(line);
    } else if (o->has_bar) {
        draw_bar(o, paper_number(progress, "messages"));
    }
    return true;
}

static json_t *change_body(const struct order *o)
{
    json_t *body = json_deep_copy(o->filters);

    ASSERT(body);
    if (o->route)
        (void)json_object_set_new(body, "route", json_string(o->route));
    if (o->why)
        (void)json_object_set_new(body, "why", json_string(o->why));
    return body;
}

/* For the bar: how many is it about? */
static int64_t expect(struct order *o, const char *path)
{
    json_t *body = change_body(o), *count = NULL;
    int64_t messages = 0;

    (void)json_object_set_new(body, "preview", json_true());
    if (ask_one(o->ask, path, body, &count) == EX_OK)
        messages = paper_number(count, "messages");
    json_decref(body);
    json_decref(count);
    return messages;
}

static int do_change(struct order *o)
{
    bool has_id = json_object_get(o->filters, "id");
    bool is_done = o->yes || has_id;
    json_t *body = change_body(o);
    struct buffer path = { 0 };
    int rc = EX_OK;

    buffer_printf(&path, "/queue/%s", o->name);
    o->has_bar = is_done && !has_id && !o->json && isatty(STDERR_FILENO);
    (void)json_object_set_new(body, is_done ? "yes" : "preview", json_true());
    if (o->has_bar) {
        (void)json_object_set_new(body, "progress", json_true());
        o->expected = expect(o, buffer_string(&path));
    }
    rc = ask_stream(o->ask, buffer_string(&path), body, take_line, o);
    if (o->has_bar)
        (void)fputs("\r\033[K", stderr);
    if (rc == EX_OK && !o->answer) {
        (void)fputs("waypost: the relay said nothing\n", stderr);
        rc = EX_TEMPFAIL;
    }
    if (rc == EX_OK)
        print_change(o, o->answer, is_done);
    json_decref(body);
    json_decref(o->answer);
    buffer_fini(&path);
    return rc;
}

/* ------------------------------------------------------------- calling --- */

/* An option of this sub verb's own: true when it is one. */
static bool read_own(struct order *o, int *i)
{
    const struct verb_call *call = o->call;

    if (o->act == &acts[CAT] && strcmp(call->argv[*i], "--header") == 0)
        return o->only_header = true;
    if (o->act == &acts[TOP] && (verbs_option(call, i, "--by", &o->by) ||
                                 verbs_option(call, i, "--limit", &o->limit)))
        return true;
    return (o->act == &acts[MOVE] &&
            verbs_option(call, i, "--route", &o->route)) ||
           (o->act == &acts[BOUNCE] &&
            verbs_option(call, i, "--why", &o->why));
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
        if (read_own(o, &i))
            continue;
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
    if (rc == EX_OK && o->act == &acts[MOVE] && !(o->route && *o->route))
        rc = verbs_usage(call, "move needs --route TITLE");
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
    o.is_coloured = o.width && !getenv("NO_COLOR");
    o.ask = ask_new(settings->admin.socket);
    if (!json_object_get(o.filters, "id"))
        ask_patience(o.ask, "looking through the queue");
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
    .group = GROUP_OPERATING,
    .examples = {
        { "waypost queue list --state deferred --older 2h",
          "what was tried in vain, and is older than two hours" },
        { "waypost queue retry --domain branch.example --yes",
          "try all mail for a domain now" },
    },
};
/* clang-format on */
