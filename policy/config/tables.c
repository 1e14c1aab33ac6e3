/*
 * tables - the files that "table:FILE" names, each read once.
 *
 * Owns the tables until tables_finish.
 */
#include "policy/config/tables.h"

/* A file that was named. */
struct tables_file {
    struct tables_file *next;
    struct span path;
    struct table *table; /* NULL: it could not be read, which was told */
    unsigned told;       /* uses whose mistakes were told, as bits */
};

static const struct span prefix = SPAN_INIT("table:");

bool tables_is_named(struct span text)
{
    return span_starts_nocase(text, prefix);
}

static struct span beside(struct reading *r, const struct syntax_text *t)
{
    struct span name = span_skip(t->text, prefix.len), folder, path;
    struct buffer b = { 0 };

    folder = span_of(t->place.file);
    if (name.at[0] != '/' && span_find(folder, '/') < folder.len)
        buffer_put(&b, span_first(folder, span_find_last(folder, '/') + 1));
    buffer_put(&b, name);
    path = arena_copy(r->arena, buffer_span(&b));
    buffer_fini(&b);
    return path;
}

static bool read_lines(struct reading *r, const struct syntax_text *t,
                       struct span path, struct buffer *lines)
{
    const struct settings_source *source = r->source;
    struct buffer why = { 0 };
    int rc = ERROR_GONE;

    if (source->read_table)
        rc = source->read_table(source->user, path.at, lines, &why);
    else if (source->read_file)
        rc = source->read_file(source->user, path.at, lines);
    if (rc < 0)
        faults_add(&r->faults, t->place, "cannot read the table %s: %s",
                   faults_quote(&r->faults, path),
                   why.len ? buffer_string(&why) : error_text(rc));
    buffer_fini(&why);
    return rc == 0;
}

static void read_table(struct reading *r, const struct syntax_text *t,
                       struct tables_file *file)
{
    const struct settings_source *source = r->source;
    struct buffer lines = { 0 }, faults = { 0 }, warnings = { 0 };

    if (source->kept_table)
        file->table = source->kept_table(source->user, file->path.at);
    if (file->table)
        return;
    if (read_lines(r, t, file->path, &lines))
        file->table = table_new(file->path, &lines, &faults, &warnings);
    faults_add_lines(&r->faults, file->path.at, buffer_span(&faults));
    faults_warn_lines(&r->faults, file->path.at, buffer_span(&warnings));
    buffer_fini(&lines);
    buffer_fini(&faults);
    buffer_fini(&warnings);
}

static struct tables_file *file_of(struct reading *r,
                                   const struct syntax_text *t)
{
    struct span path = beside(r, t);
    struct tables_file **f = &r->tables;

    while (*f && !span_is((*f)->path, path))
        f = &(*f)->next;
    if (!*f) {
        *f = arena_take(r->arena, sizeof **f);
        (*f)->path = path;
        read_table(r, t, *f);
    }
    return *f;
}

/* What makes of this a mistake; both say the same of lines that are only texts. */
static void tell_flaws(struct reading *r, struct tables_file *f,
                       enum table_use use)
{
    unsigned bit = 1u << (use == TABLE_OF_HOSTS ? TABLE_OF_MAILBOXES : use);

    if (!(f->told & bit))
        faults_add_lines(&r->faults, f->path.at, table_flaws(f->table, use));
    f->told |= bit;
}

struct table *tables_take_for(struct reading *r, const struct syntax_text *t,
                              enum table_use use)
{
    static const char *const wanted[] = {
        [TABLE_OF_HOSTS] = "a network",
        [TABLE_OF_MAILBOXES] = "a domain, an address or an expression",
        [TABLE_OF_NAMES] = "a name",
        [TABLE_OF_TEXTS] = "a text",
        [TABLE_OF_ROUTES] = "a domain or an address",
    };
    struct tables_file *f;

    if (!tables_is_named(t->text) || t->text.len == prefix.len ||
        memchr(t->text.at, '\0', t->text.len)) {
        faults_add(&r->faults, t->place,
                   "%s names no table, which is written \"table:FILE\"",
                   faults_quote(&r->faults, t->text));
        return NULL;
    }
    f = file_of(r, t);
    if (!f->table)
        return NULL;
    tell_flaws(r, f, use);
    /* of an empty one that was told */
    if (table_size(f->table) && !table_serves(f->table, use))
        faults_warn(&r->faults, t->place,
                    "no line of the table %s is %s, so nothing is found there",
                    faults_quote(&r->faults, f->path), wanted[use]);
    return f->table;
}

struct table *tables_take(struct reading *r, const struct syntax_text *t)
{
    return tables_take_for(r, t, TABLE_OF_MAILBOXES);
}

void tables_take_all(struct reading *r, const struct syntax_entry *e,
                     enum table_use use, struct syntax_entry *out_rest,
                     struct table ***out_tables, size_t *out_count)
{
    struct syntax_entry rest = *e;
    struct table **tables = NULL;
    size_t count = 0;

    rest.value_count = 0;
    rest.values = arena_take(r->arena, e->value_count * sizeof *rest.values);
    for (size_t i = 0; i < e->value_count; i++) {
        const struct syntax_text *t = &e->values[i];

        if (!tables_is_named(t->text)) {
            rest.values[rest.value_count++] = *t;
            continue;
        }
        if (!tables)
            tables =
                arena_take(r->arena, e->value_count * sizeof(struct table *));
        tables[count] = tables_take_for(r, t, use);
        count += tables[count] != NULL;
    }
    *out_rest = rest;
    *out_tables = tables;
    *out_count = count;
}

void tables_finish(struct reading *r)
{
    struct settings *s = r->settings;
    size_t count = 0;

    for (struct tables_file *f = r->tables; f; f = f->next)
        count += f->table != NULL;
    s->tables = arena_take(r->arena, count * sizeof(struct table *));
    for (struct tables_file *f = r->tables; f; f = f->next)
        if (f->table)
            s->tables[s->table_count++] = f->table;
    r->tables = NULL;
}
