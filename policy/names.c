/*
 * names - is this name one of these?
 *
 * Exact names are found by a binary search; globs are tried one after the
 * other, each in at most length of glob times length of name steps. Owns
 * nothing.
 */
#include "policy/names.h"

#include <stdlib.h>

/* a's bytes may be of any case, b's are lower. */
static int compare(struct span a, struct span b)
{
    size_t least = a.len < b.len ? a.len : b.len;

    for (size_t i = 0; i < least; i++) {
        unsigned char x = (unsigned char)ascii_lower(a.at[i]);
        unsigned char y = (unsigned char)b.at[i];

        if (x != y)
            return x < y ? -1 : 1;
    }
    return a.len < b.len ? -1 : a.len > b.len;
}

static int by_text(const void *left, const void *right)
{
    return compare(*(const struct span *)left, *(const struct span *)right);
}

static struct span lower_copy(struct arena *a, struct span s)
{
    char *at = arena_take(a, s.len);

    for (size_t i = 0; i < s.len; i++)
        at[i] = ascii_lower(s.at[i]);
    return span_make(at, s.len);
}

void names_init(struct names *n, struct arena *a, const struct span *all,
                size_t count)
{
    *n = (struct names){
        .exact = arena_take(a, count * sizeof *n->exact),
        .globs = arena_take(a, count * sizeof *n->globs),
    };
    for (size_t i = 0; i < count; i++) {
        struct span name = lower_copy(a, all[i]);

        if (span_find(name, '*') < name.len)
            n->globs[n->glob_count++] = name;
        else
            n->exact[n->exact_count++] = name;
    }
    if (n->exact_count)
        qsort(n->exact, n->exact_count, sizeof *n->exact, by_text);
}

/* After a mismatch the last * takes one more character; earlier ones never
 * need to. */
static bool glob_matches(struct span glob, struct span name)
{
    size_t g = 0, i = 0, star = glob.len, from = 0;

    while (i < name.len) {
        if (g < glob.len && glob.at[g] == '*') {
            star = g++;
            from = i;
        } else if (g < glob.len && glob.at[g] == ascii_lower(name.at[i])) {
            g++;
            i++;
        } else if (star < glob.len) {
            g = star + 1;
            i = ++from;
        } else {
            return false;
        }
    }
    while (g < glob.len && glob.at[g] == '*')
        g++;
    return g == glob.len;
}

bool names_have(const struct names *n, struct span name)
{
    size_t low = 0, high = n->exact_count;

    if (name.len == 0)
        return false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(name, n->exact[middle]);

        if (order == 0)
            return true;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    for (size_t i = 0; i < n->glob_count; i++)
        if (glob_matches(n->globs[i], name))
            return true;
    return false;
}

bool names_are_same(const struct names *a, const struct names *b)
{
    return span_lists_are_same(a->exact, a->exact_count, b->exact,
                               b->exact_count) &&
           span_lists_are_same(a->globs, a->glob_count, b->globs,
                               b->glob_count);
}
