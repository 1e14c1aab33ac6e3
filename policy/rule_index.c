/*
 * rule_index - which rules need looking at for this recipient?
 *
 * One facet for each fact that tells most rules apart:
 *
 *   always      rules without such a condition, or with one that is not in the maps
 *   exact       addresses, domains, logins, titles -> rules     (hash)
 *   below       domains of *.suffix -> rules                    (hash)
 *   any, null   rules with * (for texts: with a glob), with <>
 *   tables      each table once -> rules
 *   spans       hosts from here to the next span -> rules       (binary search)
 *
 * A rule stands in the index with the positive condition of a fact, of which the reader
 * allows one. Large lists of networks in a rule itself would make many spans, each with all
 * its rules; such a rule is always looked at.
 *
 * The index owns all it holds and borrows the rules.
 */
#include "policy/rule_index_private.h"

#include "policy/stages.h"
#include "policy/vocabulary/memory.h"

#include <stdlib.h>

enum { RANGES_MOST = 256, WORD = RULE_INDEX_WORD };

const enum condition_fact rule_index_facts[RULE_INDEX_FACETS] = {
    FACT_CLIENT, FACT_LISTENER, FACT_HELO, FACT_LOGIN, FACT_FROM, FACT_TO,
};

/* --- building --------------------------------------------------------------- */

static void add_number(struct rule_index *i, struct rule_numbers *n,
                       size_t rule)
{
    if (n->count && n->all[n->count - 1] == rule)
        return;
    if (n->count == n->room) {
        size_t room = n->room ? n->room * 2 : 2;
        uint32_t *all = arena_take(&i->arena, room * sizeof *all);

        if (n->count)
            memcpy(all, n->all, n->count * sizeof *all);
        n->all = all;
        n->room = room;
    }
    n->all[n->count++] = (uint32_t)rule;
}

/* NOLINTNEXTLINE(readability-function-size): uthash's macros */
struct rule_entry *rule_index_entry(struct rule_entry *head, struct span key)
{
    struct rule_entry *e;

    HASH_FIND(hh, head, key.at, key.len, e);
    return e;
}

/* NOLINTNEXTLINE(readability-function-size): uthash's macros */
static void add_key(struct rule_index *i, struct rule_entry **head,
                    struct span key, size_t rule)
{
    struct rule_entry *e = rule_index_entry(*head, key);

    if (!e) {
        e = arena_take(&i->arena, sizeof *e);
        e->key = key;
        HASH_ADD_KEYPTR(hh, *head, e->key.at, e->key.len, e);
    }
    add_number(i, &e->rules, rule);
}

static void add_table(struct rule_index *i, struct facet *f,
                      const struct table *t, size_t rule)
{
    size_t n = 0;

    while (n < f->table_count && f->tables[n].table != t)
        n++;
    if (n == f->table_count) {
        f->tables =
            memory_grow(f->tables, ++f->table_count * sizeof *f->tables);
        f->tables[n] = (struct table_entry){ .table = t };
    }
    add_number(i, &f->tables[n].rules, rule);
}

static void add_patterns(struct rule_index *i, struct facet *f,
                         const struct patterns *p, size_t rule)
{
    for (size_t n = 0; n < p->count; n++) {
        switch (p->all[n].kind) {
        case PATTERN_ADDRESS:
        case PATTERN_DOMAIN:
            add_key(i, &f->exact, p->all[n].text, rule);
            break;
        case PATTERN_BELOW:
            add_key(i, &f->below, p->all[n].text, rule);
            break;
        case PATTERN_NULL:
            add_number(i, &f->null, rule);
            break;
        case PATTERN_ANY:
        case PATTERN_EXPRESSION:
        case PATTERN_KINDS:
            add_number(i, &f->any, rule);
            break;
        }
    }
}

static void add_names(struct rule_index *i, struct facet *f,
                      const struct names *names, size_t rule)
{
    for (size_t n = 0; n < names->exact_count; n++)
        add_key(i, &f->exact, names->exact[n], rule);
    if (names->glob_count)
        add_number(i, &f->any, rule);
}

static const struct condition *condition_of(const struct rule *r,
                                            enum condition_fact fact)
{
    for (size_t i = 0; i < r->condition_count; i++)
        if (r->conditions[i].fact == fact && !r->conditions[i].is_negated)
            return &r->conditions[i];
    return NULL;
}

static bool is_small(const struct networks *n)
{
    return n->v4_count + n->v6_count <= RANGES_MOST;
}

static void add_rule(struct rule_index *i, struct facet *f,
                     enum condition_fact fact, const struct rule *r,
                     size_t rule)
{
    const struct condition *c = condition_of(r, fact);

    if (!c || (fact == FACT_CLIENT && !is_small(&c->networks))) {
        f->always[rule / WORD] |= (uint64_t)1 << rule % WORD;
        return;
    }
    f->is_used = true;
    for (size_t n = 0; n < c->table_count; n++)
        add_table(i, f, c->tables[n], rule);
    add_patterns(i, f, &c->patterns, rule);
    add_names(i, f, &c->names, rule);
}

/* --- spans of hosts --------------------------------------------------------- */

static int by_first(const void *left, const void *right)
{
    const struct host_span *a = left, *b = right;

    if (a->is_v4 != b->is_v4)
        return a->is_v4 < b->is_v4 ? -1 : 1;
    return a->first < b->first ? -1 : a->first > b->first;
}

static void add_edges(struct facet *f, size_t *room,
                      const struct host_range *ranges, size_t count, bool is_v4)
{
    for (size_t n = 0; n < 2 * count; n++) {
        const struct host_range *r = &ranges[n / 2];

        /* what ends at the last address of all ends nowhere */
        if (n % 2 && r->last + 1 == 0)
            continue;
        if (f->span_count == *room) {
            *room = *room ? *room * 2 : 64;
            f->spans = memory_grow(f->spans, *room * sizeof *f->spans);
        }
        f->spans[f->span_count++] =
            (struct host_span){ .first = n % 2 ? r->last + 1 : r->first,
                                .is_v4 = is_v4 };
    }
}

size_t rule_index_span(const struct facet *f, unsigned __int128 host,
                       bool is_v4)
{
    size_t low = 0, high = f->span_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct host_span *s = &f->spans[middle];

        if (s->is_v4 < is_v4 || (s->is_v4 == is_v4 && s->first <= host))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void fill_spans(struct rule_index *i, struct facet *f,
                       const struct host_range *ranges, size_t count,
                       bool is_v4, size_t rule)
{
    for (size_t n = 0; n < count; n++)
        for (size_t s = rule_index_span(f, ranges[n].first, is_v4) - 1;
             s < f->span_count && f->spans[s].is_v4 == is_v4 &&
             f->spans[s].first <= ranges[n].last;
             s++)
            add_number(i, &f->spans[s].rules, rule);
}

static void add_hosts(struct rule_index *i, struct facet *f,
                      const struct rule *rules)
{
    size_t room = 0, kept = 0;

    for (int fills = 0; fills < 2; fills++) {
        for (size_t n = 0; n < i->count; n++) {
            const struct condition *c = condition_of(&rules[n], FACT_CLIENT);
            const struct networks *w = c ? &c->networks : NULL;

            if (!w || !is_small(w))
                continue;
            if (fills) {
                fill_spans(i, f, w->v4, w->v4_count, true, n);
                fill_spans(i, f, w->v6, w->v6_count, false, n);
            } else {
                add_edges(f, &room, w->v4, w->v4_count, true);
                add_edges(f, &room, w->v6, w->v6_count, false);
            }
        }
        if (fills || f->span_count == 0)
            return;
        qsort(f->spans, f->span_count, sizeof *f->spans, by_first);
        for (size_t n = 1; n < f->span_count; n++)
            if (by_first(&f->spans[n], &f->spans[kept]) != 0)
                f->spans[++kept] = f->spans[n];
        f->span_count = kept + 1;
    }
}

struct rule_index *rule_index_new(const struct rule *rules, size_t count)
{
    struct rule_index *i = NEW(struct rule_index);

    i->count = count;
    i->words = (count + WORD - 1) / WORD;
    for (size_t f = 0; f < RULE_INDEX_FACETS; f++) {
        i->facets[f].always =
            arena_take(&i->arena, i->words * sizeof(uint64_t));
        for (size_t n = 0; n < count; n++)
            add_rule(i, &i->facets[f], rule_index_facts[f], &rules[n], n);
        if (rule_index_facts[f] == FACT_CLIENT)
            add_hosts(i, &i->facets[f], rules);
    }
    for (size_t n = 0; n < count; n++)
        for (size_t c = 0; c < rules[n].condition_count; c++)
            if (rules[n].conditions[c].fact == FACT_TODAY)
                i->counts_days = true;
    i->early = stages_that_may_refuse(rules, count);
    return i;
}

void rule_index_free(struct rule_index *i)
{
    if (!i)
        return;
    for (size_t n = 0; n < RULE_INDEX_FACETS; n++) {
        HASH_CLEAR(hh, i->facets[n].exact);
        HASH_CLEAR(hh, i->facets[n].below);
        free(i->facets[n].tables);
        free(i->facets[n].spans);
    }
    arena_reset(&i->arena);
    free(i);
}

bool rule_index_may_refuse(const struct rule_index *i, enum stage stage)
{
    return i && i->early & STAGE_BIT(stage);
}

bool rule_index_counts_days(const struct rule_index *i)
{
    return i && i->counts_days;
}
