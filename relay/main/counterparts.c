/*
 * counterparts - which rules of a candidate configuration does the running one have too?
 *
 * Titles of the running rules are sorted once. Borrows both settings.
 */
#include "relay/main/counterparts.h"

#include "policy/condition.h"
#include "policy/vocabulary/memory.h"

#include <stdlib.h>

struct titled {
    struct span title;
    ptrdiff_t number;
};

struct counterparts {
    const struct settings *candidate;
    struct titled *running;
    size_t running_count;
    ptrdiff_t *same; /* one for each rule of the candidate */
};

static int compare(const void *a, const void *b)
{
    const struct span *x = &((const struct titled *)a)->title;
    const struct span *y = &((const struct titled *)b)->title;
    size_t len = x->len < y->len ? x->len : y->len;
    int order = len ? memcmp(x->at, y->at, len) : 0;

    return order ? order : (x->len > y->len) - (x->len < y->len);
}

static bool are_limits_same(const struct rule *a, const struct rule *b)
{
    if (a->limit.per != b->limit.per || a->limit.count != b->limit.count ||
        a->limit.over != b->limit.over ||
        a->limit.rate_count != b->limit.rate_count)
        return false;
    for (size_t i = 0; i < a->limit.rate_count; i++)
        if (a->limit.rates[i].amount != b->limit.rates[i].amount ||
            a->limit.rates[i].period_ms != b->limit.rates[i].period_ms)
            return false;
    return true;
}

static bool are_conditions_same(const struct rule *a, const struct rule *b)
{
    if (a->condition_count != b->condition_count)
        return false;
    for (size_t i = 0; i < a->condition_count; i++)
        if (a->conditions[i].identity != b->conditions[i].identity)
            return false;
    return true;
}

/* What a rule rewrites to is not compared: no such rule asks anybody. */
static bool are_same(const struct rule *a, const struct rule *b)
{
    return a->action == b->action && a->is_shadow == b->is_shadow &&
           are_conditions_same(a, b) && are_limits_same(a, b) &&
           a->greylist.delay_ms == b->greylist.delay_ms &&
           a->greylist.window_ms == b->greylist.window_ms &&
           a->greylist.keep_ms == b->greylist.keep_ms &&
           a->greylist.clients_after == b->greylist.clients_after &&
           span_lists_are_same(a->texts, a->text_count, b->texts,
                               b->text_count);
}

struct counterparts *counterparts_new(const struct settings *running,
                                      const struct settings *candidate)
{
    struct counterparts *c = NEW(struct counterparts);

    c->candidate = candidate;
    c->running_count = running->rule_count;
    c->running = NEW_ARRAY(struct titled, running->rule_count + 1);
    c->same = NEW_ARRAY(ptrdiff_t, candidate->rule_count + 1);
    for (size_t i = 0; i < running->rule_count; i++)
        c->running[i] =
            (struct titled){ running->rules[i].title, (ptrdiff_t)i };
    qsort(c->running, c->running_count, sizeof *c->running, compare);
    for (size_t i = 0; i < candidate->rule_count; i++) {
        const struct rule *r = &candidate->rules[i];
        ptrdiff_t n = counterparts_titled(c, r->title);

        c->same[i] = n >= 0 && are_same(r, &running->rules[n]) ? n : -1;
    }
    return c;
}

void counterparts_free(struct counterparts *c)
{
    if (!c)
        return;
    free(c->running);
    free(c->same);
    free(c);
}

ptrdiff_t counterparts_of(const struct counterparts *c, const struct rule *r)
{
    return c->same[r - c->candidate->rules];
}

ptrdiff_t counterparts_titled(const struct counterparts *c, struct span title)
{
    struct titled key = { .title = title };
    const struct titled *found = bsearch(&key, c->running, c->running_count,
                                         sizeof *c->running, compare);

    return found ? found->number : -1;
}
