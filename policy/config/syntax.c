/*
 * syntax - a configuration's text as a tree, whatever its words mean.
 *
 * Happy path: one token of look-ahead, one function for each line of the
 * grammar. After a fault the parser goes on at the next line (past a section
 * that was opened on this one), so that the rest is still judged.
 */
#include "policy/config/syntax.h"

#include "policy/config/token.h"
#include "policy/vocabulary/memory.h"

enum { DEPTH_MOST = 16, FILES_MOST = 1000, NESTING_MOST = 16 };

/* A file being read, and those that led to it. */
struct syntax_file {
    const struct syntax_file *from;
    const char *name;
    unsigned depth;
};

struct parser {
    struct syntax *x;
    struct token_source source;
    struct token ahead;
    unsigned nesting;
};

/* Entries are appended at *end. */
struct entry_list {
    struct syntax_entry **end;
};

static void read_into(struct syntax *x, const char *path, struct place place,
                      struct entry_list *list);

static struct token take(struct parser *p)
{
    struct token token = p->ahead;

    p->ahead = token_next(&p->source);
    return token;
}

static bool is_text(const struct token *t)
{
    return t->kind == TOKEN_WORD || t->kind == TOKEN_STRING;
}

/* To the first token of a later line, or the end of the section. */
static void recover(struct parser *p, unsigned line)
{
    unsigned depth = 0;

    while (p->ahead.kind != TOKEN_END) {
        if (depth == 0 &&
            (p->ahead.place.line > line || p->ahead.kind == TOKEN_CLOSE))
            return;
        if (p->ahead.kind == TOKEN_OPEN)
            depth++;
        else if (p->ahead.kind == TOKEN_CLOSE)
            depth--;
        line = p->ahead.place.line;
        (void)take(p);
    }
}

static void add_value(struct syntax *x, struct syntax_entry *e, size_t *room,
                      const struct token *t)
{
    if (e->value_count == *room) {
        size_t more = *room ? *room * 2 : 1;
        struct syntax_text *values =
            arena_take(&x->arena, more * sizeof *values);

        if (e->value_count)
            memcpy(values, e->values, e->value_count * sizeof *values);
        e->values = values;
        *room = more;
    }
    e->values[e->value_count++] =
        (struct syntax_text){ arena_copy(&x->arena, t->text), t->place };
}

/* After "{": text *( "," text ) [ "," ] "}" */
static bool parse_list(struct parser *p, struct syntax_entry *e,
                       struct place open)
{
    struct faults *f = p->x->faults;
    size_t room = 0;

    while (is_text(&p->ahead) || p->ahead.kind == TOKEN_COMMA) {
        struct token t = take(p);

        if (t.kind == TOKEN_COMMA) {
            faults_add(f, t.place, "nothing stands before this comma");
            continue;
        }
        add_value(p->x, e, &room, &t);
        if (p->ahead.kind == TOKEN_COMMA)
            (void)take(p);
        else if (is_text(&p->ahead))
            faults_add(f, p->ahead.place, "a comma is missing before this");
    }
    if (p->ahead.kind == TOKEN_CLOSE) {
        (void)take(p);
        if (e->value_count)
            return true;
        faults_add(f, open, "the list of %s is empty", faults_quote(f, e->key));
    } else if (p->ahead.kind == TOKEN_END) {
        faults_add(f, open, "this brace is never closed");
    } else {
        faults_add(f, open, "this list is not closed before %s",
                   faults_quote(f, p->ahead.text));
        recover(p, p->ahead.place.line);
    }
    return false;
}

/* After "=". */
static bool parse_value(struct parser *p, struct syntax_entry *e)
{
    struct place place = p->ahead.place;
    size_t room = 0;
    struct token t;

    if (place.line == e->place.line && is_text(&p->ahead)) {
        t = take(p);
        add_value(p->x, e, &room, &t);
        return true;
    }
    if (place.line == e->place.line && p->ahead.kind == TOKEN_OPEN) {
        (void)take(p);
        return parse_list(p, e, place);
    }
    faults_add(p->x->faults, e->place, "%s has no value on this line",
               faults_quote(p->x->faults, e->key));
    return false;
}

static void parse_entries(struct parser *p, struct entry_list *list);

/* To the brace that closes a section of which nothing more is read. */
static void skip_section(struct parser *p)
{
    unsigned depth = 0;

    while (p->ahead.kind != TOKEN_END &&
           (depth || p->ahead.kind != TOKEN_CLOSE)) {
        if (p->ahead.kind == TOKEN_OPEN)
            depth++;
        else if (p->ahead.kind == TOKEN_CLOSE)
            depth--;
        (void)take(p);
    }
}

/* After "{". */
static void parse_section(struct parser *p, struct syntax_entry *e,
                          struct place open)
{
    struct entry_list inner = { &e->entries };

    e->is_section = true;
    if (p->nesting == NESTING_MOST) {
        faults_add(p->x->faults, open, "sections are nested too deep");
        skip_section(p);
    } else {
        p->nesting++;
        parse_entries(p, &inner);
        p->nesting--;
    }
    if (p->ahead.kind == TOKEN_CLOSE)
        (void)take(p);
    else
        faults_add(p->x->faults, open, "this brace is never closed");
}

/* A FILE as the file `from` names it: relative to its folder. */
static char *path_beside(struct arena *a, const char *from, struct span path)
{
    struct span folder = span_of(from);
    size_t n = span_find_last(folder, '/');
    struct buffer b = { 0 };
    char *joined;

    if (path.at[0] != '/' && n < folder.len)
        buffer_put(&b, span_first(folder, n + 1));
    buffer_put(&b, path);
    joined = arena_string(a, buffer_span(&b));
    buffer_fini(&b);
    return joined;
}

static void include(struct syntax *x, const struct syntax_entry *e,
                    struct entry_list *list)
{
    const struct syntax_text *name = &e->values[0];

    if (e->value_count != 1 || name->text.len == 0)
        faults_add(x->faults, e->place, "include takes the name of one file");
    else
        read_into(x, path_beside(x->names, e->place.file, name->text),
                  name->place, list);
}

static void append(struct entry_list *list, struct syntax_entry *e)
{
    *list->end = e;
    list->end = &e->next;
}

/* One entry, its key already taken. False: recover. */
static bool parse_entry(struct parser *p, const struct token *key,
                        struct entry_list *list)
{
    struct syntax *x = p->x;
    struct syntax_entry *e = arena_take(&x->arena, sizeof *e);
    struct token mark;

    e->key = arena_copy(&x->arena, key->text);
    e->place = key->place;
    if (key->kind == TOKEN_WORD && p->ahead.kind == TOKEN_IS) {
        (void)take(p);
        if (!parse_value(p, e))
            return false;
        if (span_is(e->key, SPAN("include")))
            include(x, e, list);
        else
            append(list, e);
        return true;
    }
    if (key->kind == TOKEN_WORD && is_text(&p->ahead)) {
        e->title.place = p->ahead.place;
        e->title.text = arena_copy(&x->arena, take(p).text);
    }
    if (key->kind != TOKEN_WORD || p->ahead.kind != TOKEN_OPEN) {
        faults_add(x->faults, key->place,
                   "%s is not followed by = or {, as a key or a section is",
                   faults_quote(x->faults, key->text));
        return false;
    }
    mark = take(p);
    parse_section(p, e, mark.place);
    append(list, e);
    return true;
}

static void parse_entries(struct parser *p, struct entry_list *list)
{
    while (p->ahead.kind != TOKEN_END && p->ahead.kind != TOKEN_CLOSE) {
        struct token t = take(p);

        if (!is_text(&t))
            faults_add(p->x->faults, t.place, "%s where a key should stand",
                       faults_quote(p->x->faults, t.text));
        else if (parse_entry(p, &t, list))
            continue;
        recover(p, t.place.line);
    }
}

static void parse_into(struct syntax *x, struct span text, const char *file,
                       struct entry_list *list)
{
    struct parser p = { .x = x };

    token_source_init(&p.source, text, file, x->faults);
    p.ahead = token_next(&p.source);
    for (;;) {
        parse_entries(&p, list);
        if (p.ahead.kind == TOKEN_END)
            return;
        faults_add(x->faults, p.ahead.place, "this brace closes nothing");
        (void)take(&p);
    }
}

static bool may_open(struct syntax *x, const char *path, struct place place)
{
    for (const struct syntax_file *o = x->open; o; o = o->from) {
        if (strcmp(o->name, path) == 0) {
            faults_add(x->faults, place, "%s includes itself",
                       faults_quote(x->faults, span_of(path)));
            return false;
        }
    }
    if (x->open && x->open->depth == DEPTH_MOST) {
        faults_add(x->faults, place, "more than %d files deep", DEPTH_MOST);
        return false;
    }
    if (x->files == FILES_MOST) {
        faults_add(x->faults, place, "more than %d files", FILES_MOST);
        return false;
    }
    return true;
}

static void read_into(struct syntax *x, const char *path, struct place place,
                      struct entry_list *list)
{
    struct syntax_file file = { .from = x->open,
                                .name = path,
                                .depth = x->open ? x->open->depth + 1 : 1 };
    struct buffer text = { 0 };
    int rc;

    if (!may_open(x, path, place))
        return;
    x->files++;
    rc = x->read_file ? x->read_file(x->user, path, &text) : ERROR_GONE;
    if (rc < 0) {
        faults_add(x->faults, place, "cannot read %s: %s",
                   faults_quote(x->faults, span_of(path)), error_text(rc));
    } else {
        x->open = &file;
        parse_into(x, buffer_span(&text), path, list);
        x->open = file.from;
    }
    buffer_fini(&text);
}

struct syntax_entry *syntax_parse(struct syntax *x, struct span text,
                                  const char *file)
{
    struct syntax_entry *first = NULL;
    struct entry_list list = { &first };

    parse_into(x, text, file, &list);
    return first;
}

struct syntax_entry *syntax_read(struct syntax *x, const char *path)
{
    const char *name = arena_string(x->names, span_of(path));
    struct syntax_entry *first = NULL;
    struct entry_list list = { &first };

    read_into(x, name, (struct place){ name, 1, 1 }, &list);
    return first;
}

void syntax_fini(struct syntax *x)
{
    arena_reset(&x->arena);
}
