/*
 * rule_texts - what a rule says to others: replies, header fields, tags.
 *
 * No text can hold a line end: control characters are no configuration
 * (token.h), and what %{name} stands for is cleaned when it is put in.
 */
#include "policy/config/rule_texts.h"

#include "policy/config/conditions.h"
#include "policy/config/headertests.h"
#include "policy/vocabulary/utf8.h"

enum { REPLY_TEXT_MOST = 400, HEADER_TEXT_MOST = 800 };

/* Every %{name} in it must be one that verdict_text knows. */
static void check_names(struct reading *r, const struct syntax_text *t)
{
    static const char *const names[] = { "recipient", "sender", "client",
                                         "helo",      "rule",   "login",
                                         "session",   "queue-id" };
    struct span rest = t->text;

    while ((rest = span_skip(rest, span_find(rest, '%'))).len) {
        struct span after, name = span_split(span_skip(rest, 2), '}', &after);
        size_t i = 0;

        if (rest.len < 2 || rest.at[1] != '{') {
            rest = span_skip(rest, 1);
            continue;
        }
        while (i < sizeof names / sizeof names[0] &&
               !span_is(name, span_of(names[i])))
            i++;
        if (!after.at || i == sizeof names / sizeof names[0])
            faults_add(&r->faults, t->place,
                       "%s in %%{...} is not one of recipient, sender, "
                       "client, helo, rule, login, session, queue-id",
                       faults_quote(&r->faults, name));
        rest = after;
    }
}

/* --- replies ---------------------------------------------------------------
 */

void rule_texts_reply(struct reading *r, const struct key *key,
                      const struct syntax_entry *e, void *object)
{
    struct rule *rule = object;
    const struct syntax_text *t = keys_only_text(r, e);

    (void)key;
    if (!t)
        return;
    if (t->text.len > REPLY_TEXT_MOST || utf8_has_high(t->text))
        faults_add(&r->faults, t->place,
                   "a reply is plain ASCII of at most %d characters",
                   REPLY_TEXT_MOST);
    else if (!reply_parse(arena_copy(r->arena, t->text), &rule->reply))
        faults_add(&r->faults, t->place,
                   "%s is not a reply such as \"554 5.7.1 Not here\"",
                   faults_quote(&r->faults, t->text));
    else
        check_names(r, t);
}

/* 4, 5, or 0: no reply is ever given. */
static int class_of(const struct rule *rule)
{
    static const int over[] = {
        [LIMIT_DEFERS] = 4,
        [LIMIT_REJECTS] = 5,
        [LIMIT_HOLDS] = 0,
    };

    if (rule->action == ACTION_LIMIT)
        return over[rule->limit.over];
    return rule->action == ACTION_REJECT ? 5 : 4;
}

void rule_texts_check_reply(struct reading *r, const struct rule *rule,
                            const char *action,
                            const struct syntax_entry *section)
{
    int class = rule->reply.code / 100, wanted = class_of(rule);
    struct place place = keys_place(section, "reply");

    if (class == 0 || class == wanted)
        return;
    if (wanted)
        faults_add(&r->faults, place, "the reply of %s%s begins with %d",
                   action,
                   rule->action != ACTION_LIMIT ? ""
                   : wanted == 4                ? " with over = defer"
                                                : " with over = reject",
                   wanted);
    else
        faults_add(&r->faults, place,
                   "with over = hold mail is taken, and nobody is told so");
}

/* --- header fields ---------------------------------------------------------
 */

/* Those that the trace of a message, and its loops, are seen by. */
static bool is_trace(struct span name)
{
    return span_is_nocase(name, SPAN("Received"));
}

static bool is_header(struct reading *r, const struct syntax_text *t)
{
    struct span value, name = span_split(t->text, ':', &value);

    if (!headertests_is_field(name) || span_trim(value).len == 0)
        faults_add(&r->faults, t->place,
                   "%s is not a header such as \"X-Checked: by %%{rule}\"",
                   faults_quote(&r->faults, t->text));
    else if (t->text.len > HEADER_TEXT_MOST || utf8_has_high(t->text))
        faults_add(&r->faults, t->place,
                   "a header is plain ASCII of at most %d characters",
                   HEADER_TEXT_MOST);
    else if (is_trace(name))
        faults_add(&r->faults, t->place,
                   "Received is the trace of a message, which only those write "
                   "that it went through");
    else
        return true;
    return false;
}

void rule_texts_add_header(struct reading *r, const struct key *key,
                           const struct syntax_entry *e, void *object)
{
    struct rule *rule = object;

    (void)key;
    rule->texts = arena_take(r->arena, e->value_count * sizeof *rule->texts);
    for (size_t i = 0; i < e->value_count; i++) {
        const struct syntax_text *t = &e->values[i];

        if (!is_header(r, t))
            continue;
        check_names(r, t);
        rule->texts[rule->text_count++] = arena_copy(r->arena, t->text);
    }
}

void rule_texts_remove_header(struct reading *r, const struct key *key,
                              const struct syntax_entry *e, void *object)
{
    struct rule *rule = object;
    struct header_test *tests =
        arena_take(r->arena, e->value_count * sizeof *tests);

    (void)key;
    rule->removals = tests;
    rule->texts = arena_take(r->arena, e->value_count * sizeof *rule->texts);
    for (size_t i = 0; i < e->value_count; i++) {
        const struct syntax_text *t = &e->values[i];

        if (!headertests_read_one(r, t, &tests[rule->text_count]))
            continue;
        if (is_trace(tests[rule->text_count].name))
            faults_add(&r->faults, t->place,
                       "without its Received lines a message could go round in "
                       "circles for ever");
        rule->texts[rule->text_count++] = arena_copy(r->arena, t->text);
    }
}

/* --- tags ------------------------------------------------------------------
 */

void rule_texts_tags(struct reading *r, const struct key *key,
                     const struct syntax_entry *e, void *object)
{
    struct rule *rule = object;

    (void)key;
    rule->texts = arena_take(r->arena, e->value_count * sizeof *rule->texts);
    for (size_t i = 0; i < e->value_count; i++) {
        const struct syntax_text *t = &e->values[i];

        if (conditions_is_tag(t->text))
            rule->texts[rule->text_count++] = arena_copy(r->arena, t->text);
        else
            faults_add(&r->faults, t->place,
                       "%s is not a tag: letters, digits, - _ . : = and at "
                       "most %d of them",
                       faults_quote(&r->faults, t->text), CONDITIONS_TAG_MOST);
    }
}
