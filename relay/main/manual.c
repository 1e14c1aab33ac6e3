/*
 * manual - the verbs as a part of waypost(1), in scdoc(5)'s form.
 *
 * Everything that comes from a table is escaped, and its line breaks are not kept: the page
 * is filled anew. Paragraphs with a line that is set in are columns, and stay as they are.
 */
#include "relay/main/manual.h"

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/span.h"
#include "relay/main/verbs.h"

#include <string.h>

enum { INDENT_MOST = 4 };

static void put_tabs(FILE *to, int depth)
{
    for (int i = 0; i < depth && i < INDENT_MOST; i++)
        (void)fputc('\t', to);
}

/* Any white space is one space. */
static void put_escaped(FILE *to, struct span text)
{
    bool is_space = false;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];

        if (c == ' ' || c == '\n') {
            is_space = true;
            continue;
        }
        if (is_space)
            (void)fputc(' ', to);
        is_space = false;
        if (c == '`') { /* what is in quotes is bold */
            (void)fputc('*', to);
            continue;
        }
        /* the others are only special where a line begins */
        if (strchr("\\*_", c) || (i == 0 && strchr("#[]|-+<\".'", c)))
            (void)fputc('\\', to);
        (void)fputc(c, to);
    }
}

static void put_text(FILE *to, const char *text)
{
    put_escaped(to, span_of(text));
}

/* A term, its value, and on the next line what it means. */
static void put_term(FILE *to, int depth, const char *name, const char *value,
                     const char *help)
{
    put_tabs(to, depth);
    (void)fputc('*', to);
    put_text(to, name);
    (void)fputc('*', to);
    if (value && *value) {
        (void)fputs(" _", to);
        put_text(to, value);
        (void)fputc('_', to);
    }
    (void)fputc('\n', to);
    put_tabs(to, depth + 1);
    put_text(to, help);
    (void)fputs("\n\n", to);
}

static void put_options(FILE *to, const struct verb_option *o, int depth)
{
    for (; o && o->name; o++)
        put_term(to, depth, o->name, o->value, o->help);
}

static void put_columns(FILE *to, struct span paragraph)
{
    struct span line, rest = paragraph;

    (void)fputs("\t```\n", to);
    while (rest.len) {
        line = span_split(rest, '\n', &rest);
        (void)fprintf(to, "\t%.*s\n", SPAN_FMT(line));
    }
    (void)fputs("\t```\n\n", to);
}

/* One paragraph; columns stand line by line. */
static void put_paragraph(FILE *to, struct span p)
{
    const char *set_in = memmem(p.at, p.len, "\n  ", 3);

    while (p.len && p.at[p.len - 1] == '\n')
        p.len--;
    if (set_in || (p.len && p.at[0] == ' ')) {
        put_columns(to, p);
        return;
    }
    (void)fputc('\t', to);
    put_escaped(to, p);
    (void)fputs("\n\n", to);
}

static void put_prose(FILE *to, const char *more)
{
    const char *end;

    for (; (end = strstr(more, "\n\n")); more = end + 2)
        put_paragraph(to, (struct span){ more, (size_t)(end - more) });
    put_paragraph(to, span_of(more));
}

static void put_usage(FILE *to, const struct verb *v)
{
    (void)fputs("*waypost ", to);
    put_text(to, v->name);
    (void)fputc('*', to);
    if (!v->needs_no_config && !v->is_program)
        (void)fputs(" [-c _FILE_]", to);
    if (v->arguments) {
        (void)fputc(' ', to);
        put_text(to, v->arguments);
    } else {
        for (const struct verb_sub *s = v->subs; s && s->name; s++) {
            (void)fputc(s == v->subs ? ' ' : '|', to);
            put_text(to, s->name);
        }
        if (v->takes_filters)
            (void)fputs(" [ID] [FILTERS]", to);
        if (v->options)
            (void)fputs(" [OPTIONS]", to);
    }
    (void)fputc('\n', to);
}

/* As they are typed, each with what it does in front. */
static void put_examples(FILE *to, const struct verb *v)
{
    if (!v->examples[0].command)
        return;
    (void)fputs("\t```\n", to);
    for (const struct verb_example *e = v->examples; e->command; e++)
        (void)fprintf(to, "\t# %s\n\t$ %s\n", e->what, e->command);
    (void)fputs("\t```\n\n", to);
}

static void put_verb(FILE *to, const struct verb *v)
{
    put_usage(to, v);
    (void)fputc('\t', to);
    put_text(to, v->help);
    (void)fputs("\n\n", to);
    if (v->more)
        put_prose(to, v->more);
    for (const struct verb_sub *s = v->subs; s && s->name; s++) {
        put_term(to, 1, s->name, s->arguments, s->help);
        put_options(to, s->options, 2);
    }
    put_options(to, v->options, 1);
    put_examples(to, v);
}

void manual_print(FILE *to)
{
    (void)fputs("# VERBS\n\n", to);
    for (const struct verb_heading *h = verb_headings; h->name; h++) {
        (void)fprintf(to, "## %s\n\n", h->name);
        for (size_t i = 0; verbs[i]; i++)
            if (verbs[i]->help && verbs[i]->group == h->group)
                put_verb(to, verbs[i]);
    }
    (void)fputs("# FILTERS\n\n"
                "Globs; all that are given must match. The same for queue and "
                "history; what\n*waypost history* means by --state, --older and "
                "--newer is told there, and it has no --via.\n\n",
                to);
    put_options(to, verb_filters, 0);
}
