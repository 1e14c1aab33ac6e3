/*
 * titles - no two sections of a kind may have the same one.
 *
 * Owns its hash; titles and places are borrowed from the tree.
 */
#include "policy/config/titles.h"

#include <uthash.h>

struct title {
    UT_hash_handle hh;
    const struct syntax_entry *section;
};

/* NOLINTNEXTLINE(readability-function-size): uthash's macros */
struct span titles_take(struct titles *t, struct reading *r, const char *what,
                        const struct syntax_entry *section)
{
    struct span text = section->title.text;
    const char *article = strchr("aeiou", what[0]) ? "an" : "a";
    struct title *title;

    if (text.len == 0) {
        faults_add(&r->faults, section->place,
                   "%s %s needs a title: %s \"NAME\" { ... }", article, what,
                   what);
        return text;
    }
    HASH_FIND(hh, t->all, text.at, text.len, title);
    if (title) {
        faults_add(&r->faults, section->title.place,
                   "there is %s %s %s already, at %s", article, what,
                   faults_quote(&r->faults, text),
                   faults_place(&r->faults, title->section->place));
    } else {
        title = arena_take(&t->arena, sizeof *title);
        title->section = section;
        HASH_ADD_KEYPTR(hh, t->all, text.at, text.len, title);
    }
    return arena_copy(r->arena, text);
}

void titles_fini(struct titles *t)
{
    HASH_CLEAR(hh, t->all);
    arena_reset(&t->arena);
}
