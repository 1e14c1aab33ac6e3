/*
 * follow_verb - waypost follow [--kinds LIST] [--match TEXT] [--json]
 *
 * What the relay does, while it does it: the live feed, a line for each event, until it is
 * interrupted or the relay ends.
 */
#include "policy/vocabulary/error.h"
#include "relay/main/ask.h"
#include "relay/main/configuration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct wish {
    bool json;
};

/* Every member but those that stand in front, "name=value". */
static void put_members(struct buffer *b, const json_t *o)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)o, name, value)
    {
        char *text;

        if (strcmp(name, "time") == 0 || strcmp(name, "tag") == 0 ||
            strcmp(name, "daemon") == 0 || strcmp(name, "event") == 0)
            continue;
        buffer_printf(b, " %s=", name);
        if (json_is_string(value)) {
            buffer_put_escaped(b, span_of(json_string_value(value)));
            continue;
        }
        text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY |
                                     JSON_REAL_PRECISION(6));
        ASSERT(text);
        buffer_put_string(b, text);
        free(text);
    }
}

static void put_text(struct buffer *b, const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));

    buffer_put_escaped(b, span_of(text ? text : ""));
}

static bool print(void *user, const char *event, const json_t *o)
{
    const struct wish *w = user;
    struct buffer b = { 0 };

    if (strcmp(event, "tick") == 0)
        return true;
    if (w->json) {
        char *text = json_dumps(o, JSON_COMPACT);

        ASSERT(text);
        buffer_put_string(&b, text);
        free(text);
    } else if (strcmp(event, "omitted") == 0) {
        buffer_printf(
            &b, "... and %lld more",
            (long long)json_integer_value(json_object_get(o, "count")));
    } else {
        put_text(&b, o, "time");
        buffer_put_byte(&b, ' ');
        put_text(&b, o, "event");
        put_members(&b, o);
    }
    (void)printf("%s\n", buffer_string(&b));
    buffer_fini(&b);
    return fflush(stdout) == 0;
}

static int follow(const struct verb_call *call)
{
    struct wish w = { 0 };
    const char *kinds = NULL, *match = NULL;
    struct settings *settings;
    struct ask *a;
    int rc;

    for (int i = 0; i < call->argc; i++) {
        const char *word = call->argv[i], *value = NULL;

        if (strcmp(word, "--json") == 0) {
            w.json = true;
            continue;
        }
        if (verbs_option(call, &i, "--kinds", &value))
            kinds = value;
        else if (verbs_option(call, &i, "--match", &value))
            match = value;
        else
            return verbs_usage(call, "follow takes no \"%s\"", word);
        if (!value)
            return verbs_usage(call, "%s needs a value", word);
    }
    settings = configuration_load_brief(call->config);
    if (!settings)
        return EX_CONFIG;
    a = ask_new(settings->admin.socket);
    if (kinds)
        ask_add(a, "kinds", kinds);
    if (match)
        ask_add(a, "match", match);
    rc = ask_events(a, "/events", print, &w);
    ask_free(a);
    settings_release(settings);
    return rc;
}

/* clang-format off */
static const struct verb_option options[] = {
    { "--kinds", "LIST", "only these: delivery, refused, warning, login-failed ...; and sent,\n"
      "deferred, bounced of deliveries", VALUE_WORD },
    { "--match", "TEXT", "only what has this text in one of its fields, no case", VALUE_WORD },
    { "--json", NULL, "one object a line", VALUE_WORD },
    { NULL, NULL, NULL, VALUE_WORD },
};

const struct verb follow_verb = {
    .name = "follow", .arguments = "[--kinds LIST] [--match TEXT] [--json]", .run = follow,
    .options = options,
    .help = "what the relay does, while it does it",
    .more =
        "A line for each event, until you interrupt it. At most 200 a second are shown, rare\n"
        "ones before frequent ones, and then how many were left out. With --match only what\n"
        "matches counts, so that one address can be followed on a busy relay.\n"
        "\n"
        "Exit codes: 0 the output was closed; 64 wrong usage; 69 no relay answers; 75 the relay\n"
        "ended, or too many look on; 78 bad configuration.\n",
    .group = GROUP_LOOKING,
    .examples = {
        { "waypost follow --match joe@example.org",
          "all that concerns Joe" },
        { "waypost follow --kinds refused,login-failed",
          "who is turned away" },
    },
};
/* clang-format on */
