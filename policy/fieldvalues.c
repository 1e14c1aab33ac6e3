/*
 * fieldvalues - what the header fields that rules name have to say.
 *
 * Values are in an arena, their lists double in it. Owns all but the names.
 */
#include "policy/fieldvalues.h"

#include "policy/encodedword.h"
#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/memory.h"

#include <stdlib.h>

enum { VALUES_MOST = 4096 }; /* of one field */

void fieldvalues_fini(struct fieldvalues *f)
{
    arena_reset(&f->arena);
    free(f->all);
}

struct fieldvalues_of *fieldvalues_find(const struct fieldvalues *f,
                                        struct span name)
{
    for (size_t i = 0; i < f->count; i++)
        if (span_is_nocase(f->all[i].name, name))
            return &f->all[i];
    return NULL;
}

void fieldvalues_want(struct fieldvalues *f, struct span name)
{
    if (fieldvalues_find(f, name))
        return;
    if (f->count == f->room) {
        f->room = f->room ? f->room * 2 : 8;
        f->all = memory_grow(f->all, f->room * sizeof *f->all);
    }
    f->all[f->count++] = (struct fieldvalues_of){ .name = name };
}

static void add(struct fieldvalues *f, struct fieldvalues_of *to,
                struct span value)
{
    if (to->count == to->room) {
        size_t room = to->room ? to->room * 2 : 4;
        struct span *all = arena_take(&f->arena, room * sizeof *all);

        if (to->count)
            memcpy(all, to->all, to->count * sizeof *all);
        to->all = all;
        to->room = room;
    }
    to->all[to->count++] = span_make(arena_string(&f->arena, value), value.len);
    f->bytes += value.len;
}

void fieldvalues_keep(struct fieldvalues *f, struct fieldvalues_of *to,
                      struct span raw, bool is_cut)
{
    struct buffer text = { .cap = FIELDVALUES_BYTES };
    struct span value;

    encodedword_decode(&text, span_trim(raw));
    value = buffer_span(&text);
    if (is_cut || text.overflow || to->count == VALUES_MOST ||
        f->bytes + value.len > FIELDVALUES_BYTES) {
        f->is_cut = true;
        value = span_first(value, FIELDVALUES_BYTES - f->bytes);
    }
    if (to->count < VALUES_MOST)
        add(f, to, value);
    buffer_fini(&text);
}
