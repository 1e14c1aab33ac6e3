/*
 * optionwords - is a call written as the verb's table says?
 *
 * What is wrong whatever the verb is: asked once, before any of them runs, so that all answer
 * alike. An empty word is mostly a shell's variable that was never set; what it would choose is
 * too much or nothing. Two values for one option are a question, not an order.
 *
 * An option that is in no table, and what a value may be, are the verb's own to tell. Behind "--"
 * nothing is looked at.
 */
#include "relay/main/optionwords.h"

#include "policy/vocabulary/span.h"

#include <string.h>
#include <sysexits.h>

enum { SEEN_MOST = 64 };

struct look {
    const struct verb_call *call;
    const struct verb_sub *sub; /* NULL: the verb has none */
    const struct verb_option *seen[SEEN_MOST];
    size_t count;
};

static const struct verb_option *find_in(const struct verb_option *o,
                                         struct span name)
{
    for (; o && o->name; o++)
        if (span_is(span_of(o->name), name))
            return o;
    return NULL;
}

static const struct verb_option *find(const struct look *l, struct span name)
{
    const struct verb *v = l->call->verb;
    const struct verb_option *o = NULL;

    if (l->sub)
        o = find_in(l->sub->options, name);
    if (!o)
        o = find_in(v->options, name);
    if (!o && v->takes_filters)
        o = find_in(verb_filters, name);
    return o;
}

static bool was_seen(struct look *l, const struct verb_option *o)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->seen[i] == o)
            return true;
    if (l->count < SEEN_MOST)
        l->seen[l->count++] = o;
    return false;
}

/* "--from" or "--from=a" at *i, which then stands on its last word. */
static int check_option(struct look *l, int *i)
{
    const struct verb_call *call = l->call;
    struct span value, name = span_split(span_of(call->argv[*i]), '=', &value);
    const struct verb_option *o = find(l, name);

    if (!o)
        return EX_OK;
    if (!o->value)
        return value.at ? verbs_usage(call, "%s takes no value", o->name)
                        : EX_OK;
    if (!value.at && *i + 1 < call->argc)
        value = span_of(call->argv[++*i]);
    if (value.len == 0)
        return verbs_usage(call, "%s needs a value", o->name);
    if (was_seen(l, o))
        return verbs_usage(call, "%s is there twice", o->name);
    return EX_OK;
}

static const struct verb_sub *find_sub(const struct verb_call *call)
{
    for (const struct verb_sub *s = call->verb->subs; s && s->name; s++)
        if (call->argc && strcmp(s->name, call->argv[0]) == 0)
            return s;
    return NULL;
}

int optionwords_check(const struct verb_call *call)
{
    struct look l = { .call = call, .sub = find_sub(call) };
    int rc = EX_OK;

    if (call->verb->subs && !l.sub)
        return EX_OK; /* a word that the verb will not know */
    for (int i = l.sub ? 1 : 0; rc == EX_OK && i < call->argc; i++) {
        const char *word = call->argv[i];

        if (strcmp(word, "--") == 0)
            break;
        if (!*word)
            rc = verbs_usage(call, "an argument is empty");
        else if (strncmp(word, "--", 2) == 0)
            rc = check_option(&l, &i);
    }
    return rc;
}
