/*
 * keys - tables that say which keys a section has and what they mean.
 *
 * Owns nothing; values are copied to the settings' arena.
 */
#include "policy/config/keys.h"

#include "policy/config/value.h"

enum { KEYS_MOST = 96 };

static bool is_within(const struct key *k, uint64_t n)
{
    return n >= k->low && (k->high == 0 || n <= k->high);
}

static bool store_text(struct reading *r, const struct key *k,
                       const struct syntax_text *t, void *field)
{
    struct span value = t->text;

    if (k->check && !k->check(r, t, &value))
        return true;
    *(struct span *)field = arena_copy(r->arena, value);
    return true;
}

static bool store_duration(const struct key *k, struct span text, void *field)
{
    int64_t ms;

    if (!value_duration(text, &ms) || !is_within(k, (uint64_t)ms))
        return false;
    *(int64_t *)field = ms;
    return true;
}

static bool store_size(const struct key *k, struct span text, void *field)
{
    uint64_t bytes;

    if (!value_size(text, &bytes) || !is_within(k, bytes))
        return false;
    *(uint64_t *)field = bytes;
    return true;
}

static bool store_number(const struct key *k, struct span text, void *field)
{
    uint64_t n;

    if (!span_number(text, &n) || !is_within(k, n))
        return false;
    *(uint32_t *)field = (uint32_t)n;
    return true;
}

static bool store_word(const struct key *k, struct span text, void *field)
{
    for (unsigned i = 0; k->words[i]; i++) {
        if (!span_is(text, span_of(k->words[i])))
            continue;
        if (k->offset != KEY_NOWHERE)
            *(unsigned *)field = i;
        return true;
    }
    return false;
}

/* What would have been right. */
static void put_duration(struct buffer *b, uint64_t ms)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {
        { "d", 24ull * 3600 * 1000 },
        { "h", 3600 * 1000ull },
        { "min", 60 * 1000ull },
        { "s", 1000 },
    };
    unsigned i = 0;

    while (i < 3 && (ms < units[i].ms || ms % units[i].ms))
        i++;
    buffer_printf(b, "%llu%s", (unsigned long long)(ms / units[i].ms),
                  units[i].unit);
}

static void put_bound(struct buffer *b, const struct key *k, uint64_t n)
{
    if (k->kind == KEY_DURATION)
        put_duration(b, n);
    else
        buffer_printf(b, "%llu", (unsigned long long)n);
}

static void put_expected(struct buffer *b, const struct key *k)
{
    static const char *const kinds[] = {
        [KEY_DURATION] = "a duration such as 60s, 10min, 4h or 5d",
        [KEY_SIZE] = "a size such as 500KB, 256MB or 2GB",
        [KEY_NUMBER] = "a number",
        [KEY_BOOLEAN] = "true or false",
    };

    if (k->words) {
        for (unsigned i = 0; k->words[i]; i++)
            buffer_printf(b, "%s%s", i ? ", " : "one of: ", k->words[i]);
        if (k->kind == KEY_EARLY_WORD)
            buffer_put_string(b, "; more this version does not know");
        return;
    }
    buffer_put_string(b, kinds[k->kind]);
    if (k->high) {
        buffer_put_string(b, ", ");
        put_bound(b, k, k->low);
        buffer_put_string(b, " to ");
        put_bound(b, k, k->high);
    } else if (k->low) {
        buffer_put_string(b, ", at least ");
        put_bound(b, k, k->low);
    }
}

void keys_store(struct reading *r, const struct key *k,
                const struct syntax_text *t, void *object)
{
    void *field = (char *)object + (k->offset == KEY_NOWHERE ? 0 : k->offset);
    struct buffer expected = { 0 };
    bool ok = false;

    switch (k->kind) {
    case KEY_TEXT:
        ok = store_text(r, k, t, field);
        break;
    case KEY_DURATION:
        ok = store_duration(k, t->text, field);
        break;
    case KEY_SIZE:
        ok = store_size(k, t->text, field);
        break;
    case KEY_NUMBER:
        ok = store_number(k, t->text, field);
        break;
    case KEY_BOOLEAN:
        ok = value_boolean(t->text, field);
        break;
    case KEY_WORD:
    case KEY_EARLY_WORD:
        ok = store_word(k, t->text, field);
        break;
    case KEY_LIST:
    case KEY_OWN:
    case KEY_SECTION:
        ASSERT(!"lists, own kinds and sections are read whole");
    }
    if (ok)
        return;
    put_expected(&expected, k);
    faults_add(&r->faults, t->place, "%s is not right for %s, which takes %s",
               faults_quote(&r->faults, t->text), k->name,
               buffer_string(&expected));
    buffer_fini(&expected);
}

static void store_list(struct reading *r, const struct key *k,
                       const struct syntax_entry *e, void *object)
{
    struct span *list = arena_take(r->arena, e->value_count * sizeof *list);
    size_t count = 0;

    for (size_t i = 0; i < e->value_count; i++) {
        struct span value = e->values[i].text;

        if (!k->check || k->check(r, &e->values[i], &value))
            list[count++] = arena_copy(r->arena, value);
    }
    *(struct span **)((char *)object + k->offset) = list;
    *(size_t *)((char *)object + k->count_offset) = count;
}

const struct syntax_text *keys_only_text(struct reading *r,
                                         const struct syntax_entry *e)
{
    if (e->value_count == 1)
        return &e->values[0];
    faults_add(&r->faults, e->values[1].place, "%s takes one value, not a list",
               faults_quote(&r->faults, e->key));
    return NULL;
}

static void read_entry(struct reading *r, const struct key *k,
                       const struct syntax_entry *e, void *object)
{
    const struct syntax_text *only;

    if (e->is_section != (k->kind == KEY_SECTION)) {
        faults_add(&r->faults, e->place,
                   e->is_section ? "%s is a key: %s = VALUE"
                                 : "%s is a section: %s { KEY = VALUE ... }",
                   k->name, k->name);
    } else if (e->title.text.at) {
        faults_add(&r->faults, e->title.place, "%s has no title", k->name);
    } else if (k->kind == KEY_OWN || k->kind == KEY_SECTION) {
        k->read(r, k, e, object);
    } else if (k->kind == KEY_LIST) {
        store_list(r, k, e, object);
    } else {
        only = keys_only_text(r, e);
        if (only)
            keys_store(r, k, only, object);
    }
}

static size_t find_key(const struct key_table *t, struct span name)
{
    size_t i = 0;

    while (i < t->count && !span_is(span_of(t->keys[i].name), name))
        i++;
    return i;
}

static void unknown(struct reading *r, const struct key_table *t,
                    const struct syntax_entry *e)
{
    const char *near =
        faults_nearest(e->key, &t->keys[0].name, t->count, sizeof t->keys[0]);

    faults_add(&r->faults, e->place,
               "%s has no %s %s that this version knows%s%s%s", t->what,
               e->is_section ? "section" : "key",
               faults_quote(&r->faults, e->key), near ? "; \"" : "",
               near ? near : "", near ? "\" was meant?" : "");
}

void keys_read(struct reading *r, const struct key_table *t,
               const struct syntax_entry *entries, void *object)
{
    const struct syntax_entry *seen[KEYS_MOST] = { NULL };

    ASSERT(t->count <= KEYS_MOST);
    for (const struct syntax_entry *e = entries; e; e = e->next) {
        size_t i = find_key(t, e->key);

        if (e->is_section && t->passes_sections)
            continue;
        if (i == t->count) {
            unknown(r, t, e);
        } else if (seen[i]) {
            faults_add(&r->faults, e->place, "%s was set before, at %s",
                       t->keys[i].name,
                       faults_place(&r->faults, seen[i]->place));
        } else {
            seen[i] = e;
            read_entry(r, &t->keys[i], e, object);
        }
    }
}

void keys_set_defaults(struct reading *r, const struct key_table *t,
                       void *object)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct key *k = &t->keys[i];
        struct syntax_text text = { .text = span_of(k->normal),
                                    .place = { "(default)", 0, 0 } };

        if (k->normal)
            keys_store(r, k, &text, object);
    }
}

const struct syntax_entry *keys_find(const struct syntax_entry *entries,
                                     const char *name)
{
    const struct syntax_entry *e = entries;

    while (e && (e->is_section || !span_is(e->key, span_of(name))))
        e = e->next;
    return e;
}

struct place keys_place(const struct syntax_entry *section, const char *name)
{
    const struct syntax_entry *e = keys_find(section->entries, name);

    return e ? e->place : section->place;
}
