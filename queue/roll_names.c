/*
 * roll_names - the names in the roll, each kept once while somebody refers to it.
 *
 * Found by their text, and in the rows by an index. The index of a name that nobody refers to
 * any more is used again. A client with a name refers to the one of its address, a lane with a
 * route to the one of its domain, since people count by these.
 */
#include "queue/roll_private.h"

#include <stdlib.h>

enum { NAMES_FIRST = 64 };

static size_t cost(const struct roll_name *n)
{
    /* with its place in the table, in `at` and in `gaps` */
    return sizeof *n + n->len + 1 + ROLL_BLOCK + 2 * sizeof(void *) +
           sizeof(uint32_t);
}

static char divider(enum roll_dimension d)
{
    return d == ROLL_CLIENT ? '\0' : '\t';
}

/* The text that people count by; all of it where a name is its own base. */
static struct span base_of(enum roll_dimension d, struct span text)
{
    if (d != ROLL_CLIENT && d != ROLL_LANE)
        return text;
    return span_first(text, span_find(text, divider(d)));
}

static uint32_t index_take(struct roll_names *all)
{
    if (all->gap_count)
        return all->gaps[--all->gap_count];
    if (all->size == all->room) {
        all->room = all->room ? all->room * 2 : NAMES_FIRST;
        all->at = memory_grow(all->at, all->room * sizeof(void *));
        all->gaps = memory_grow(all->gaps, all->room * sizeof(uint32_t));
    }
    return all->size++;
}

static struct roll_name *find(const struct roll_names *all, struct span text,
                              uint64_t hash)
{
    struct bucket_link *l = buckets_first(&all->table, hash);

    for (; l; l = buckets_next(l)) {
        struct roll_name *n = OWNER(l, struct roll_name, by_text);

        if (span_is(roll_text(n), text))
            return n;
    }
    return NULL;
}

uint32_t roll_name_take(struct roll *r, enum roll_dimension d, struct span text)
{
    struct roll_names *all = &r->names[d];
    uint64_t hash = buckets_hash(text);
    struct roll_name *n = find(all, text, hash);
    struct span base = base_of(d, text);

    if (n) {
        n->refs++;
        return n->self;
    }
    n = memory_take(sizeof *n + text.len + 1);
    *n = (struct roll_name){ .refs = 1, .len = (uint32_t)text.len };
    if (text.len)
        memcpy(n->text, text.at, text.len);
    n->text[text.len] = '\0';
    n->self = index_take(all);
    all->at[n->self] = n;
    buckets_put(&all->table, &n->by_text, hash);
    r->bytes += cost(n);
    n->base = base.len == text.len ? n->self : roll_name_take(r, d, base);
    return n->self;
}

void roll_name_drop(struct roll *r, enum roll_dimension d, uint32_t index)
{
    struct roll_names *all = &r->names[d];
    struct roll_name *n = all->at[index];
    uint32_t base = n->base;

    if (--n->refs)
        return;
    all->odd -= n->is_odd;
    r->bytes -= cost(n);
    buckets_remove(&all->table, &n->by_text);
    all->at[index] = NULL;
    all->gaps[all->gap_count++] = index;
    free(n);
    if (base != index)
        roll_name_drop(r, d, base);
}

void roll_name_refer(struct roll *r, enum roll_dimension d, uint32_t index)
{
    r->names[d].at[index]->refs++;
}

void roll_name_odd(struct roll *r, uint32_t lane)
{
    struct roll_name *n = r->names[ROLL_LANE].at[lane];

    r->names[ROLL_LANE].odd += !n->is_odd;
    n->is_odd = true;
}

void roll_names_free(struct roll *r)
{
    for (int d = 0; d < ROLL_DIMENSIONS; d++) {
        struct roll_names *all = &r->names[d];

        for (uint32_t i = 0; i < all->size; i++)
            free(all->at[i]);
        buckets_fini(&all->table);
        free(all->at);
        free(all->gaps);
        *all = (struct roll_names){ 0 };
    }
}
