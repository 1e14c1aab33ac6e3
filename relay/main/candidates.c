/*
 * candidates - what can be typed next.
 *
 * A walk over the words tells what the last one is: the value of the option in front of it,
 * else an option, a verb, a word of the verb, or the verb's argument. Then one function
 * prints what there is of that kind.
 */
#include "relay/main/candidates.h"

#include "relay/main/ask.h"
#include "relay/main/configuration.h"
#include "relay/main/paper.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { PATIENCE_SECONDS = 1, LIVE_MOST = 200 };

static const struct verb_option config_option[] = {
    { "-c", "FILE", "the configuration", VALUE_FILE },
    { NULL, NULL, NULL, VALUE_WORD },
};

struct quest {
    const char *config;
    const char *typed; /* what the candidate begins with */
    size_t typed_len;
    const char *front; /* "--from=": stands in front of each candidate */
    int front_len;
    const struct verb *verb; /* NULL: none yet */
    const struct verb_sub *sub;
    const struct verb_option *option; /* whose value is typed; or NULL */
    int given;                        /* arguments that stand there already */
    int printed;
};

/* --------------------------------------------------------- the walk ------ */

static const struct verb_option *find_in(const struct verb_option *o,
                                         const char *name, size_t len)
{
    for (; o && o->name; o++)
        if (strlen(o->name) == len && strncmp(o->name, name, len) == 0)
            return o;
    return NULL;
}

static const struct verb_option *find_option(const struct quest *q,
                                             const char *name, size_t len)
{
    const struct verb_option *o = find_in(config_option, name, len);

    if (!o && q->sub)
        o = find_in(q->sub->options, name, len);
    if (!o && q->verb)
        o = find_in(q->verb->options, name, len);
    if (!o && q->verb && q->verb->takes_filters)
        o = find_in(verb_filters, name, len);
    return o;
}

/* A word that is there already. */
static void take_word(struct quest *q, const char *word)
{
    if (q->option) {
        if (q->option == config_option)
            q->config = word;
        q->option = NULL;
    } else if (*word == '-') {
        q->option = find_option(q, word, strlen(word));
        if (q->option && !q->option->value)
            q->option = NULL;
    } else if (!q->verb) {
        q->verb = verbs_find(word);
    } else if (q->verb->subs && !q->sub) {
        for (const struct verb_sub *s = q->verb->subs; s->name; s++)
            if (strcmp(s->name, word) == 0)
                q->sub = s;
    } else {
        q->given++;
    }
}

/* --from=jo: what is typed is its value. */
static void split_typed(struct quest *q, const char *word)
{
    const char *equals = *word == '-' ? strchr(word, '=') : NULL;

    q->typed = word;
    if (equals && !q->option) {
        q->option = find_option(q, word, (size_t)(equals - word));
        q->front = word;
        q->front_len = (int)(equals + 1 - word);
        q->typed = equals + 1;
    }
    q->typed_len = strlen(q->typed);
}

/* --------------------------------------------------- what there is ------- */

/* Terminals obey what strangers write: nothing but plain characters. */
static bool is_plain(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    return true;
}

static bool put(struct quest *q, const char *candidate, const char *what)
{
    if (strncmp(candidate, q->typed, q->typed_len) != 0 || !is_plain(candidate))
        return q->printed < LIVE_MOST;
    (void)printf("%.*s%s", q->front_len, q->front, candidate);
    if (what && is_plain(what))
        (void)printf("\t%s", what);
    else if (what) /* the first of its lines */
        (void)printf("\t%.*s", (int)strcspn(what, "\n"), what);
    (void)putchar('\n');
    return ++q->printed < LIVE_MOST;
}

static void put_options(struct quest *q, const struct verb_option *o)
{
    for (; o && o->name; o++)
        (void)put(q, o->name, o->help);
}

static void put_words(struct quest *q, const char *const *words)
{
    for (; *words; words++)
        (void)put(q, *words, NULL);
}

static bool put_message(void *user, const json_t *o)
{
    const char *sender = paper_text(o, "sender");

    return put(user, paper_text(o, "queue_id"), *sender ? sender : "<>");
}

static bool put_destination(void *user, const json_t *o)
{
    return put(user, paper_text(o, "name"), paper_text(o, "state"));
}

/* The configuration, or what any user may read of it; NULL: nothing. */
static struct settings *load(const struct quest *q)
{
    struct verb_call call = { .verb = q->verb, .config = q->config };
    struct settings *s = configuration_load(&call);

    return s ? s : configuration_load_brief(q->config);
}

static void put_live(struct quest *q, enum verb_value kind)
{
    struct settings *s = load(q);
    struct ask *a;

    if (!s)
        return;
    a = ask_new(s->admin.socket);
    if (kind == VALUE_ID) {
        ask_add(a, "limit", "200");
        (void)ask_stream(a, "/queue", NULL, put_message, q);
    } else {
        (void)ask_stream(a, "/destinations", NULL, put_destination, q);
    }
    ask_free(a);
    settings_release(s);
}

static void put_title(struct quest *q, struct span title)
{
    char *text = span_dup(title);

    (void)put(q, text, NULL);
    free(text);
}

static void put_titles(struct quest *q, enum verb_value kind)
{
    struct settings *s = load(q);

    if (!s)
        return;
    for (size_t i = 0; kind == VALUE_ROUTE && i < s->route_count; i++)
        put_title(q, s->routes[i].title);
    for (size_t i = 0; kind == VALUE_FETCH && i < s->fetch_count; i++)
        put_title(q, s->fetches[i].title);
    for (size_t i = 0; kind == VALUE_LISTENER && i < s->listener_count; i++)
        put_title(q, s->listeners[i].title);
    settings_release(s);
}

static void put_states(struct quest *q)
{
    static const char *const waiting[] = { "active", "ready",   "deferred",
                                           "held",   "deleted", NULL };
    static const char *const past[] = { "delivered", "failed",  "expired",
                                        "discarded", "deleted", "returned",
                                        "refused",   "changed", NULL };

    put_words(q, q->verb == &history_verb ? past : waiting);
}

static void put_verbs(struct quest *q)
{
    for (size_t i = 0; verbs[i]; i++)
        if (verbs[i]->help)
            (void)put(q, verbs[i]->name, verbs[i]->help);
}

static void put_value(struct quest *q, enum verb_value kind)
{
    static const char *const roles[] = { "read", "operator", NULL };

    switch (kind) {
    case VALUE_WORD:
        break;
    case VALUE_FILE:
        (void)puts(":files");
        break;
    case VALUE_ID:
    case VALUE_DESTINATION:
        put_live(q, kind);
        break;
    case VALUE_ROUTE:
    case VALUE_FETCH:
    case VALUE_LISTENER:
        put_titles(q, kind);
        break;
    case VALUE_STATE:
        put_states(q);
        break;
    case VALUE_VERB:
        put_verbs(q);
        break;
    case VALUE_ROLE:
        put_words(q, roles);
        break;
    }
}

static void put_all_options(struct quest *q)
{
    if (q->sub)
        put_options(q, q->sub->options);
    if (q->verb)
        put_options(q, q->verb->options);
    if (q->verb && q->verb->takes_filters)
        put_options(q, verb_filters);
    if (!q->verb || (!q->verb->needs_no_config && !q->verb->is_program))
        put_options(q, config_option);
    if (q->verb)
        (void)put(q, "--help", "more of this verb");
}

static void put_candidates(struct quest *q)
{
    if (q->option) {
        put_value(q, q->option->kind);
    } else if (*q->typed == '-' && !q->front) {
        put_all_options(q);
    } else if (!q->verb) {
        put_verbs(q);
    } else if (q->verb->subs && !q->sub) {
        for (const struct verb_sub *s = q->verb->subs; s->name; s++)
            (void)put(q, s->name, s->help);
    } else if (q->given == 0) {
        put_value(q, q->sub                   ? q->sub->value
                     : q->verb->takes_filters ? VALUE_ID
                                              : q->verb->value);
    }
}

/* ------------------------------------------------------------------------ */

static void on_alarm(int number)
{
    (void)number;
    _exit(EX_OK);
}

void candidates_print(const char *config, int argc, char **argv)
{
    struct quest q = { .config = config };
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (nowhere >= 0)
        (void)dup2(nowhere, STDERR_FILENO);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    (void)signal(SIGALRM, on_alarm);
    (void)alarm(PATIENCE_SECONDS);
    for (int i = 0; i + 1 < argc; i++)
        take_word(&q, argv[i]);
    split_typed(&q, argc ? argv[argc - 1] : "");
    put_candidates(&q);
    if (nowhere >= 0)
        (void)close(nowhere);
}
