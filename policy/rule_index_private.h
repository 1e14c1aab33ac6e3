/*
 * rule_index_private - what rule_index.c builds and rule_choice.c chooses by.
 */
#ifndef WAYPOST_RULE_INDEX_PRIVATE_H
#define WAYPOST_RULE_INDEX_PRIVATE_H

#include "policy/rule_index.h"

#include <uthash.h>

enum {
    RULE_INDEX_FACETS = 6,
    RULE_INDEX_WORD = 64, /* bits */
};

extern const enum condition_fact rule_index_facts[RULE_INDEX_FACETS];

/* Numbers of rules, ascending. */
struct rule_numbers {
    uint32_t *all;
    size_t count, room;
};

struct rule_entry {
    UT_hash_handle hh;
    struct span key;
    struct rule_numbers rules;
};

struct table_entry {
    const struct table *table;
    struct rule_numbers rules;
};

struct host_span {
    unsigned __int128 first;
    bool is_v4;
    struct rule_numbers rules;
};

/* One fact; which, stands at the same place of rule_index_facts. */
struct facet {
    bool is_used; /* else it tells no rule from another */
    uint64_t *always;
    struct rule_entry *exact, *below;
    struct rule_numbers any, null;
    struct table_entry *tables;
    size_t table_count;
    struct host_span *spans;
    size_t span_count;
};

struct rule_index {
    struct arena arena;
    size_t count, words;
    bool counts_days;
    unsigned early; /* stages before RECIPIENT at which one may refuse */
    struct facet facets[RULE_INDEX_FACETS];
};

/* NULL: no rule has this key. */
struct rule_entry *rule_index_entry(struct rule_entry *head, struct span key);
/* The first span that begins after the host. */
size_t rule_index_span(const struct facet *f, unsigned __int128 host,
                       bool is_v4);

#endif
