/*
 * table_private - what a table is made of, for those who build it and ask it.
 */
#ifndef WAYPOST_TABLE_PRIVATE_H
#define WAYPOST_TABLE_PRIVATE_H

#include "policy/hosttree.h"
#include "policy/table.h"

#include <stdatomic.h>

enum {
    TABLE_TEXT = PATTERN_KINDS, /* compared as it stands; is no pattern */
    TABLE_HOST,                 /* a network: found by the tree alone */
    TABLE_KINDS,
};

struct table_entry {
    const char *text; /* folded; of PATTERN_BELOW without "*." */
    const char *value;
    uint32_t hash; /* of the text */
    uint32_t line;
    uint16_t text_len, value_len;
    uint8_t kind; /* enum pattern_kind, or one of these */
};

struct table_expression {
    struct table_expression *next;
    struct expression *one;
    uint32_t entry; /* its number */
};

/* Neighbours in the file, tried as one: where that says no, none of them matches. */
struct table_group {
    struct table_group *next;
    struct expression *all; /* NULL: they cannot be tried as one */
    struct table_expression *first;
};

struct table {
    atomic_uint holders;
    struct arena arena;
    struct span name;
    char *bytes; /* the file's; most texts and values are in it */
    struct table_entry *entries; /* in the file's order */
    size_t entry_count;
    uint32_t *slots;    /* number of an entry, and one; 0: free */
    unsigned slot_bits; /* there are 2 to the power of this */
    struct hosttree
        hosts; /* tag: number of the entry, which only has a value */
    struct table_group *groups;
    size_t size;
    size_t kinds[TABLE_KINDS]; /* entries of each */
    struct buffer strays;      /* lines that are only texts */
    struct buffer unroutable;  /* these, and lines that no route is found by */
};

/* Where the entry is, or would be. Half of the slots are free. */
uint32_t *table_slot(const struct table *t, unsigned kind, uint32_t hash,
                     struct span text);

static inline struct span table_entry_text(const struct table_entry *e)
{
    return span_make(e->text, e->text_len);
}

#endif
