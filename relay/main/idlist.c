/*
 * idlist - the messages that a call names, one by one.
 */
#include "relay/main/idlist.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/id.h"
#include "policy/vocabulary/memory.h"

#include <errno.h>
#include <stdlib.h>

enum { WORD_MOST = 40, FIRST_SIZE = 64 };

void idlist_fini(struct idlist *l)
{
    free(l->all);
    *l = (struct idlist){ 0 };
}

bool idlist_add(struct idlist *l, struct span word)
{
    uint64_t id;

    if (word.len &&
        (word.at[word.len - 1] == '*' || word.at[word.len - 1] == '!'))
        word.len--;
    /* 0 would mean every message */
    if (!id_parse(word, &id) || id == 0)
        return false;
    if (l->count == l->size) {
        l->size = l->size ? l->size * 2 : FIRST_SIZE;
        l->all = memory_grow(l->all, l->size * sizeof *l->all);
    }
    l->all[l->count++] = id;
    l->is_given = true;
    return true;
}

bool idlist_read(struct idlist *l, FILE *from, struct buffer *out_why)
{
    char word[WORD_MOST + 1];
    int begin = 0, end = 0;
    bool is_good = true;

    l->is_given = true;
    /* counted, since a NUL would end it early and hide what is behind it */
    while (is_good && fscanf(from, " %n%40s%n", &begin, word, &end) == 1)
        is_good = idlist_add(l, (struct span){ word, (size_t)(end - begin) });
    if (!is_good) {
        buffer_put_string(out_why, "standard input should have ids of 13 "
                                   "characters, not \"");
        buffer_put_escaped(out_why,
                           (struct span){ word, (size_t)(end - begin) });
        buffer_put_byte(out_why, '"');
    } else if (ferror(from)) {
        buffer_printf(out_why, "standard input cannot be read: %s",
                      error_text(-errno));
        is_good = false;
    }
    return is_good;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

void idlist_sort(struct idlist *l)
{
    size_t kept = 0;

    if (!l->count)
        return;
    qsort(l->all, l->count, sizeof *l->all, compare);
    for (size_t i = 1; i < l->count; i++)
        if (l->all[i] != l->all[kept])
            l->all[++kept] = l->all[i];
    l->count = kept + 1;
}
