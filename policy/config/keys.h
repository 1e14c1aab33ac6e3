/*
 * keys - tables that say which keys a section has and what they mean.
 *
 * A row names a key, the kind of its value, where the value goes, what it is
 * when nothing is written, and what else must be true of it. The same parser
 * reads the defaults and the file.
 */
#ifndef WAYPOST_KEYS_H
#define WAYPOST_KEYS_H

#include "policy/config/syntax.h"

struct accounts;
struct tables_file;

/* One configuration being read. */
struct reading {
    struct settings *settings;
    const struct settings_source *source;
    struct accounts *accounts; /* by title; see accounts.h */
    struct tables_file *tables; /* those named so far; see tables.h */
    struct arena *arena;      /* the settings' */
    const char *file;         /* the first one, for what concerns it all */
    bool has_no_name;         /* the machine has none that may be said */
    struct faults faults;
};

enum key_kind {
    KEY_TEXT,                 /* struct span */
    KEY_DURATION,             /* int64_t ms, within low and high ms */
    KEY_SIZE,                 /* uint64_t bytes, within low and high */
    KEY_NUMBER,               /* uint32_t, within low and high */
    KEY_BOOLEAN,              /* bool */
    KEY_WORD,                 /* an enum: the word's place among words */
    KEY_EARLY_WORD,           /* the same, but later versions know more words */
    KEY_LIST,                 /* struct span *, and size_t at count_offset */
    KEY_OWN,                  /* what its read function makes of it */
    KEY_SECTION,              /* a section inside this one: its read function */
};

struct key;

/* Is it a good one? May put another form of it in its place. Says itself what
 * is wrong. */
typedef bool key_check_fn(struct reading *r, const struct syntax_text *text,
                          struct span *value);
typedef void key_read_fn(struct reading *r, const struct key *key,
                         const struct syntax_entry *entry, void *object);

/* No field: the value is only held against the words. */
#define KEY_NOWHERE ((size_t)-1)

struct key {
    const char *name;
    enum key_kind kind;
    size_t offset, count_offset;
    const char *normal;       /* the default; NULL: the field stays as it is */
    uint64_t low, high;
    const char *const *words; /* ends with NULL */
    key_check_fn *check;
    key_read_fn *read;
};

struct key_table {
    const char *what;         /* "queue", as in: queue has no key "x" */
    const struct key *keys;
    size_t count;
    bool passes_sections;     /* somebody else reads those without a row */
};

#define KEY_TABLE(what, keys)                                                  \
    { (what), (keys), sizeof (keys) / sizeof (keys)[0], false }

void keys_set_defaults(struct reading *r, const struct key_table *table,
                       void *object);
/* The meaning of the entries. */
void keys_read(struct reading *r, const struct key_table *table,
               const struct syntax_entry *entries, void *object);
/* One text into the field of a row. */
void keys_store(struct reading *r, const struct key *key,
                const struct syntax_text *text, void *object);

const struct syntax_entry *keys_find(const struct syntax_entry *entries,
                                     const char *name);
/* Where the key stands, or where the section does. */
struct place keys_place(const struct syntax_entry *section, const char *name);

/* The only text of an entry; NULL and a fault when it has several. */
const struct syntax_text *keys_only_text(struct reading *r,
                                         const struct syntax_entry *entry);

#endif
