/*
 * ruledoubts - rules that cannot do what whoever wrote them meant.
 *
 * One function for each doubt; each only warns, with the lines of both where it
 * takes two. Comparing rules is quadratic, so its steps are counted: past that
 * only what is written the same is seen.
 */
#include "policy/config/ruledoubts.h"

#include "policy/condition.h"
#include "policy/config/coverage.h"

/* Rules compared with each other, and what that may cost in all. */
enum { RULES_COMPARED = 2000, STEPS_MOST = 5000000 };

static const char *quote(struct reading *r, struct span text)
{
    return faults_quote(&r->faults, text);
}

/* --- rules that nothing reaches --------------------------------------------
 */

static bool decides(const struct rule *rule)
{
    return !rule->is_shadow &&
           (rule->action == ACTION_RELAY || rule->action == ACTION_REJECT ||
            rule->action == ACTION_DEFER || rule->action == ACTION_DISCARD);
}

static bool grants(const struct rule *rule)
{
    return rule->action == ACTION_RELAY && !rule->is_shadow;
}

static bool names_somebody(const struct rule *rule)
{
    for (size_t i = 0; i < rule->condition_count; i++)
        if (condition_names_somebody(&rule->conditions[i]))
            return true;
    return false;
}

static bool is_covered(const struct condition *wide, const struct rule *later,
                       size_t *steps)
{
    /* a tag may be set between the two */
    if (wide->fact == FACT_TAG && !wide->is_negated)
        return false;
    for (size_t i = 0; i < later->condition_count; i++)
        if (coverage_has(wide, &later->conditions[i], steps))
            return true;
    return false;
}

/* Does `first` decide whenever `later` would hold? */
static bool covers(const struct rule *first, const struct rule *later,
                   size_t *steps)
{
    if (!decides(first))
        return false;
    /* what is granted by domain alone leaves routed local parts to others */
    if (first->action == ACTION_RELAY && !names_somebody(first) &&
        later->action != ACTION_RELAY)
        return false;
    for (size_t i = 0; i < first->condition_count; i++)
        if (!is_covered(&first->conditions[i], later, steps))
            return false;
    return true;
}

/* Was it said? Then no more has to be. */
static bool doubt_unreachable(struct reading *r, size_t i, size_t *steps)
{
    const struct settings *s = r->settings;
    const struct rule *later = &s->rules[i];
    size_t k = 0;

    while (k < i && !covers(&s->rules[k], later, steps))
        k++;
    if (k < i)
        faults_warn(&r->faults, later->place,
                    "rule %s is never reached: rule %s at %s decides before it",
                    quote(r, later->title), quote(r, s->rules[k].title),
                    faults_place(&r->faults, s->rules[k].place));
    return k < i;
}

/* Only `relay` grants, so what stands below the last one acts on mail that is
 * refused all the same. */
static void doubt_ungranted(struct reading *r, size_t i, size_t last_grant)
{
    const struct settings *s = r->settings;
    const struct rule *rule = &s->rules[i];

    /* where nothing grants at all, that is told instead */
    if (last_grant == s->rule_count || i <= last_grant ||
        (decides(rule) && !rule->needs_message))
        return;
    faults_warn(&r->faults, rule->place,
                "rule %s never acts on mail that is accepted: the last rule "
                "that grants stands above it, at %s",
                quote(r, rule->title),
                faults_place(&r->faults, s->rules[last_grant].place));
}

/* --- conditions ------------------------------------------------------------
 */

/* `client = X` and `not-client = X`. */
static void doubt_contradiction(struct reading *r, const struct rule *rule)
{
    for (size_t i = 0; i < rule->condition_count; i++)
        for (size_t k = 0; k < i; k++)
            if ((rule->conditions[i].identity ^ rule->conditions[k].identity) ==
                1)
                faults_warn(&r->faults, rule->place,
                            "rule %s never holds: one of its conditions denies "
                            "another",
                            quote(r, rule->title));
}

static bool sets_tag(const struct rule *rule, const struct condition *c)
{
    if (rule->action != ACTION_TAG || rule->is_shadow)
        return false;
    for (size_t i = 0; i < rule->text_count; i++)
        if (names_have(&c->names, rule->texts[i]))
            return true;
    return false;
}

static void doubt_tags(struct reading *r, size_t i)
{
    const struct settings *s = r->settings;
    const struct rule *rule = &s->rules[i];

    for (size_t n = 0; n < rule->condition_count; n++) {
        const struct condition *c = &rule->conditions[n];
        size_t k = 0;

        if (c->fact != FACT_TAG || c->table_count)
            continue;
        while (k < i && !sets_tag(&s->rules[k], c))
            k++;
        if (k == i)
            faults_warn(&r->faults, rule->place,
                        "rule %s asks for a tag that no rule above it sets",
                        quote(r, rule->title));
    }
}

void ruledoubts_find(struct reading *r)
{
    const struct settings *s = r->settings;
    size_t last_grant = s->rule_count, steps = STEPS_MOST;

    for (size_t i = 0; i < s->rule_count; i++)
        if (grants(&s->rules[i]))
            last_grant = i;
    for (size_t i = 0; i < s->rule_count; i++) {
        doubt_contradiction(r, &s->rules[i]);
        doubt_tags(r, i);
        if (i < RULES_COMPARED && doubt_unreachable(r, i, &steps))
            continue;
        doubt_ungranted(r, i, last_grant);
    }
}
