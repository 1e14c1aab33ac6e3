/*
 * aliases - other names of people, as a file of aliases(5) says them.
 *
 *   text -> logical lines (continuations joined) -> name ":" values -> sorted by name
 *
 * A value that stands in quotes may hold commas and spaces. What an included file says is
 * taken in at once, so that finding asks nobody. Faults are told with the line that the entry
 * begins at; one that is faulty is left out.
 */
#include "policy/aliases.h"

#include "policy/vocabulary/address.h"
#include "policy/vocabulary/error.h"
#include "policy/vocabulary/memory.h"

#include <stdlib.h>

enum { INCLUDES_MOST = 1000, NAME_MOST = 255 };

struct aliases {
    struct alias *all; /* sorted by name */
    size_t count;
};

struct target_list {
    struct alias_target *all;
    size_t count, room;
};

struct parsing {
    struct arena *arena;
    const struct aliases_world *world;
    const char *file;
    unsigned line, column;
    size_t includes;
    bool is_included;           /* the file at hand is */
    struct target_list targets; /* of the entry at hand; heap */
};

/* An included file is often a user's own: what he writes may neither keep the relay from
 * starting, nor is it quoted, for it may be a link to what he could not read himself. */
static void tell(struct parsing *p, bool is_warning, const char *what,
                 struct span about)
{
    struct buffer b = { 0 };

    is_warning = is_warning || p->is_included;
    buffer_printf(&b, "%u:%u: ", p->line, p->column);
    if (p->is_included) {
        buffer_put_string(&b, "what stands here ");
    } else if (about.at) {
        buffer_put_byte(&b, '"');
        buffer_put_escaped(&b, span_first(about, 100));
        buffer_put_string(&b, "\" ");
    }
    buffer_put_string(&b, what);
    buffer_put_byte(&b, '\n');
    p->world->say(p->world->user, is_warning, p->file, buffer_span(&b));
    buffer_fini(&b);
}

/* -------------------------------------------------------------- values ---- */

static void add(struct parsing *p, enum alias_kind kind, struct span text)
{
    struct target_list *l = &p->targets;

    if (l->count == l->room) {
        l->room = l->room ? l->room * 2 : 8;
        l->all = memory_grow(l->all, l->room * sizeof *l->all);
    }
    l->all[l->count++] =
        (struct alias_target){ kind, arena_copy(p->arena, text) };
}

static void put_lower(struct buffer *b, struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        buffer_put_byte(b, ascii_lower(s.at[i]));
}

/* A local part alone? Tried with a domain that is good in any case. */
static bool is_local_part(struct span s)
{
    struct buffer b = { 0 };
    struct address a;
    bool ok;

    buffer_put(&b, s);
    buffer_put_string(&b, "@localhost");
    ok = s.len && address_parse(buffer_span(&b), &a) == ADDRESS_OK &&
         a.local.len == s.len;
    buffer_fini(&b);
    return ok;
}

static void tell_unreadable(struct parsing *p, struct span path,
                            const char *why)
{
    struct buffer b = { 0 };

    buffer_printf(&b,
                  "cannot be included now: %s: until it can be read, mail to "
                  "this alias is put off",
                  why);
    tell(p, true, buffer_string(&b), path);
    buffer_fini(&b);
}

static void read_values(struct parsing *p, struct span text);

static void include(struct parsing *p, struct span path)
{
    struct parsing inner = *p;
    struct buffer text = { 0 }, why = { 0 };
    int rc = 0;

    inner.file = arena_string(p->arena, path);
    if (path.len == 0 || path.at[0] != '/') {
        tell(p, false, "is no file with its whole path", path);
        return;
    }
    if (p->is_included || ++p->includes > INCLUDES_MOST) {
        tell(p, false, "cannot be included from here", path);
        return;
    }
    rc = p->world->read(p->world->user, inner.file, &text, &why);
    if (rc < 0) {
        tell_unreadable(p, path,
                        why.len ? buffer_string(&why) : error_text(rc));
        add(p, ALIAS_UNREADABLE, path);
    } else {
        struct span rest = buffer_span(&text);

        inner.is_included = true;
        for (inner.line = 1; rest.len; inner.line++) {
            struct span line = span_trim(span_split(rest, '\n', &rest));

            inner.column = 1;
            if (line.len && line.at[0] != '#')
                read_values(&inner, line);
        }
        p->targets = inner.targets;
    }
    buffer_fini(&text);
    buffer_fini(&why);
}

/* "Joe <joe@example.org>": what is in the brackets. */
static struct span without_phrase(struct span v)
{
    size_t from = span_find_last(v, '<');

    if (from < v.len && v.at[v.len - 1] == '>')
        return span_first(span_skip(v, from + 1), v.len - from - 2);
    return v;
}

static void read_value(struct parsing *p, struct span v)
{
    struct buffer name = { 0 };
    struct address a;

    if (span_starts_nocase(v, SPAN(":include:"))) {
        include(p, span_trim(span_skip(v, sizeof ":include:" - 1)));
    } else if (span_is(v, SPAN("/dev/null"))) {
        add(p, ALIAS_NOWHERE, v);
    } else if (is_one_of(v.at[0], "|/:")) {
        tell(p, true,
             "leads to a program or a file, which a relay does not deliver to",
             v);
        add(p, ALIAS_UNSUPPORTED, v);
    } else if (v.at[0] == '\\' && is_local_part(span_skip(v, 1))) {
        add(p, ALIAS_FINAL_NAME, span_skip(v, 1));
    } else if (v = without_phrase(v), address_parse(v, &a) == ADDRESS_OK) {
        add(p, ALIAS_ADDRESS, v);
    } else if (is_local_part(v)) {
        add(p, ALIAS_NAME, v);
    } else {
        tell(p, false, "is no address and no name", v);
    }
    buffer_fini(&name);
}

/* The next value of a list: quotes around all of it are taken off, those of a local part
 * stay. */
static struct span next_value(struct span *rest)
{
    bool is_quoted = false;
    struct span v;
    size_t n = 0;

    for (; n < rest->len && (is_quoted || rest->at[n] != ','); n++) {
        if (rest->at[n] == '\\' && n + 1 < rest->len)
            n++;
        else if (rest->at[n] == '"')
            is_quoted = !is_quoted;
    }
    v = span_trim(span_first(*rest, n));
    *rest = span_skip(*rest, n + 1);
    if (v.len >= 2 && v.at[0] == '"' && v.at[v.len - 1] == '"')
        v = span_trim(span_first(span_skip(v, 1), v.len - 2));
    return v;
}

static void read_values(struct parsing *p, struct span text)
{
    while (text.len) {
        struct span v = next_value(&text);

        if (v.len)
            read_value(p, v);
    }
}

/* ------------------------------------------------------------- entries ---- */

/* Where the name ends; text.len: there is no colon. */
static size_t find_colon(struct span text)
{
    bool is_quoted = false;
    size_t n = 0;

    while (n < text.len && (is_quoted || text.at[n] != ':')) {
        if (text.at[n] == '"')
            is_quoted = !is_quoted;
        n++;
    }
    return n;
}

static struct span name_of(struct parsing *p, struct span text)
{
    struct buffer b = { 0 };
    struct span name = span_trim(text);

    if (name.len >= 2 && name.at[0] == '"' && name.at[name.len - 1] == '"')
        name = span_first(span_skip(name, 1), name.len - 2);
    put_lower(&b, name);
    name = arena_copy(p->arena, buffer_span(&b));
    buffer_fini(&b);
    return name;
}

static bool read_entry(struct parsing *p, struct span text, struct alias *out)
{
    size_t colon = find_colon(text);
    struct span name = name_of(p, span_first(text, colon));
    struct alias_target *kept;

    if (colon == text.len) {
        tell(p, false, "has no colon: an alias is written name: value, value",
             span_trim(text));
        return false;
    }
    if (name.len == 0 || name.len > NAME_MOST ||
        span_find(name, '@') < name.len) {
        tell(p, false, "is no local name", name.at ? name : SPAN(""));
        return false;
    }
    p->targets.count = 0;
    read_values(p, span_skip(text, colon + 1));
    if (p->targets.count == 0)
        tell(p, true, "leads to nobody", name);
    kept = arena_take(p->arena, (p->targets.count + 1) * sizeof *kept);
    if (p->targets.count)
        memcpy(kept, p->targets.all, p->targets.count * sizeof *kept);
    *out = (struct alias){ name, kept, p->targets.count };
    return p->targets.count > 0;
}

static struct span without_cr(struct span line)
{
    return line.len && line.at[line.len - 1] == '\r'
               ? span_first(line, line.len - 1)
               : line;
}

/* Does the entry go on, perhaps behind comments and empty lines? */
static bool goes_on(struct span rest)
{
    while (rest.len) {
        struct span line = span_split(rest, '\n', &rest);
        struct span trimmed = without_cr(span_trim(line));

        if (trimmed.len && trimmed.at[0] != '#')
            return is_one_of(line.at[0], " \t");
    }
    return false;
}

/* Takes one entry's lines off the text; what is a comment stays out. */
static void join(struct span *rest, struct buffer *out, unsigned *lines)
{
    bool is_first = true;

    buffer_clear(out);
    do {
        struct span line = without_cr(span_split(*rest, '\n', rest));
        struct span trimmed = span_trim(line);

        ++*lines;
        if (is_first || (trimmed.len && trimmed.at[0] != '#')) {
            buffer_put(out, line);
            buffer_put_byte(out, ' ');
        }
        is_first = false;
    } while (goes_on(*rest));
}

static int compare(const void *a, const void *b)
{
    struct span x = ((const struct alias *)a)->name;
    struct span y = ((const struct alias *)b)->name;
    int said = memcmp(x.at, y.at, x.len < y.len ? x.len : y.len);

    return said ? said : (x.len > y.len) - (x.len < y.len);
}

static void sort(struct aliases *a, struct parsing *p)
{
    size_t kept = 0;

    if (a->count)
        qsort(a->all, a->count, sizeof *a->all, compare);
    for (size_t i = 0; i < a->count; i++) {
        if (kept && compare(&a->all[kept - 1], &a->all[i]) == 0) {
            p->line = p->column = 1;
            tell(p, false, "stands more than once", a->all[i].name);
        } else {
            a->all[kept++] = a->all[i];
        }
    }
    a->count = kept;
}

struct aliases *aliases_new(struct arena *arena, const char *path,
                            struct span text, const struct aliases_world *w)
{
    struct parsing p = { .arena = arena, .world = w, .file = path };
    struct aliases *a = arena_take(arena, sizeof *a);
    struct buffer entry = { 0 };
    struct alias *all = NULL;
    size_t count = 0, room = 0;
    unsigned lines = 0;

    while (text.len) {
        struct span trimmed;

        p.line = lines + 1;
        p.column = 1;
        join(&text, &entry, &lines);
        trimmed = span_trim(buffer_span(&entry));
        if (trimmed.len == 0 || trimmed.at[0] == '#')
            continue;
        if (count == room) {
            room = room ? room * 2 : 64;
            all = memory_grow(all, room * sizeof *all);
        }
        count += read_entry(&p, trimmed, &all[count]);
    }
    a->all = arena_take(arena, (count + 1) * sizeof *all);
    if (count)
        memcpy(a->all, all, count * sizeof *all);
    a->count = count;
    sort(a, &p);
    free(all);
    free(p.targets.all);
    buffer_fini(&entry);
    return a;
}

/* ------------------------------------------------------------- finding ---- */

const struct alias *aliases_find(const struct aliases *a, struct span name)
{
    char lower[NAME_MOST];
    struct alias key = { .name = { lower, name.len } };

    if (!a || !a->count || name.len == 0 || name.len > sizeof lower)
        return NULL;
    for (size_t i = 0; i < name.len; i++)
        lower[i] = ascii_lower(name.at[i]);
    return bsearch(&key, a->all, a->count, sizeof *a->all, compare);
}

size_t aliases_size(const struct aliases *a)
{
    return a ? a->count : 0;
}
