/*
 * fetch_verb - waypost fetch [NAME]
 *
 * Asks the relay over its socket to fetch mail from a provider, waits for the end and says
 * in one sentence what came. Without a name: a line for each provider.
 */
#include "relay/admin/listing.h"
#include "relay/main/ask.h"
#include "relay/main/configuration.h"
#include "relay/main/paper.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

struct wish {
    const char *name;
    bool json;
    uint64_t rows;
};

/* How far away a moment is; "-": there is none. */
static void put_distance(struct buffer *b, const json_t *o, const char *key)
{
    int64_t at = json_integer_value(json_object_get(o, key)), now = time(NULL);

    if (at)
        listing_put_duration(b, at > now ? at - now : now - at);
    else
        buffer_put_byte(b, '-');
}

static bool print_line(void *user, const json_t *o)
{
    struct wish *w = user;
    struct buffer b = { 0 }, cell = { 0 };

    if (w->json) {
        paper_print_json(o);
        return !ferror(stdout);
    }
    if (w->rows++ == 0)
        (void)printf("%-16s  %-32s  %-7s  %6s  %6s  %s\n", "NAME", "FROM",
                     "STATE", "LAST", "NEXT", "RESULT");
    buffer_put_escaped(&cell, paper_span(o, "name"));
    listing_put_cell(&b, &cell, -16);
    buffer_put_escaped(&cell, paper_span(o, "from"));
    listing_put_cell(&b, &cell, -32);
    buffer_put_escaped(&cell, paper_span(o, "state"));
    listing_put_cell(&b, &cell, -7);
    put_distance(&cell, o, "last");
    listing_put_cell(&b, &cell, 6);
    put_distance(&cell, o, "next");
    listing_put_cell(&b, &cell, 6);
    buffer_put_escaped(&b, paper_span(o, "result"));
    (void)printf("%s\n", buffer_string(&b));
    buffer_fini(&b);
    buffer_fini(&cell);
    return !ferror(stdout);
}

static int do_list(struct wish *w, struct ask *a)
{
    int rc = ask_stream(a, "/fetches", NULL, print_line, w);

    if (rc == EX_OK && w->rows == 0 && !w->json)
        (void)puts("Mail is fetched from nobody.");
    return rc;
}

/* As a part of a path. */
static void put_encoded(struct buffer *b, const char *s)
{
    for (; *s; s++) {
        char c = ascii_lower(*s);

        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
            buffer_put_byte(b, *s);
        else
            buffer_printf(b, "%%%02X", (unsigned char)*s);
    }
}

static int do_fetch(struct wish *w, struct ask *a)
{
    struct buffer path = { 0 }, line = { 0 };
    json_t *body = json_object(), *answer = NULL;
    int rc;

    buffer_put_string(&path, "/fetches/");
    put_encoded(&path, w->name);
    rc = ask_one(a, buffer_string(&path), body, &answer);
    if (rc == EX_NOINPUT) /* a wrong name is a wrong call */
        rc = EX_USAGE;
    if (rc == EX_OK) {
        if (w->json) {
            paper_print_json(answer);
        } else {
            buffer_put_escaped(&line, paper_span(answer, "name"));
            buffer_put_string(&line, ": ");
            buffer_put_escaped(&line, paper_span(answer, "result"));
            (void)printf("%s\n", buffer_string(&line));
        }
        if (!json_is_true(json_object_get(answer, "ok")))
            rc = EX_TEMPFAIL;
        json_decref(answer);
    }
    json_decref(body);
    buffer_fini(&path);
    buffer_fini(&line);
    return rc;
}

static int run_fetch(const struct verb_call *call)
{
    struct wish w = { 0 };
    struct settings *settings;
    struct ask *a;
    int rc;

    for (int i = 0; i < call->argc; i++) {
        if (strcmp(call->argv[i], "--json") == 0)
            w.json = true;
        else if (call->argv[i][0] == '-')
            return verbs_usage(call, "there is no option \"%s\"",
                               call->argv[i]);
        else if (w.name || !*call->argv[i])
            return verbs_usage(call, "fetch takes one name%s",
                               *call->argv[i] ? "" : ", not an empty one");
        else
            w.name = call->argv[i];
    }
    settings = configuration_load_brief(call->config);
    if (!settings)
        return EX_CONFIG;
    a = ask_new(settings->admin.socket);
    rc = w.name ? do_fetch(&w, a) : do_list(&w, a);
    if (rc == EX_OK && (fflush(stdout) != 0 || ferror(stdout)))
        rc = EX_IOERR;
    ask_free(a);
    settings_release(settings);
    return rc;
}

/* clang-format off */
static const struct verb_option options[] = {
    { "--json", NULL, "one object a line", VALUE_WORD },
    { NULL, NULL, NULL, VALUE_WORD },
};

const struct verb fetch_verb = {
    .name = "fetch", .arguments = "[NAME] [--json]", .run = run_fetch, .options = options,
    .help = "have mail fetched from a provider now, and wait for it",
    .more =
        "Without a NAME: which providers there are, when each was asked the last time, and\n"
        "what came of it.\n"
        "\n"
        "Exit codes: 0 done, also when there was no mail; 64 there is no such provider;\n"
        "69 no relay is running; 75 it did not succeed, try again later; 78 configuration.\n",
    .group = GROUP_OPERATING, .value = VALUE_FETCH,
    .examples = {
        { "waypost fetch",
          "what came of the last time" },
        { "waypost fetch isp",
          "have it fetched now" },
    },
};
/* clang-format on */
