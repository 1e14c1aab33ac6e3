/*
 * leaders - recipients whose verdict on the message others may share.
 *
 * Who waits for the same rules, with the same tags, hears the same of them, unless
 * what one of them does depends on the recipient. Owns nothing.
 */
#include "relay/inbound/leaders.h"

static bool names_recipient(const struct rule *r)
{
    const struct span word = SPAN("%{recipient}");

    for (size_t i = 0; i < r->text_count; i++)
        if (memmem(r->texts[i].at, r->texts[i].len, word.at, word.len))
            return true;
    return false;
}

/* What it does may depend on the recipient, besides whether it holds. */
static bool looks_at_recipient(const struct rule *r)
{
    switch (r->action) {
    case ACTION_GREYLIST:
    case ACTION_REWRITE:
    case ACTION_POLICY:
        return true;
    case ACTION_LIMIT:
        return r->limit.per == LIMIT_PER_TO_DOMAIN;
    case ACTION_ADD_HEADER:
        return names_recipient(r);
    case ACTION_RELAY:
    case ACTION_REJECT:
    case ACTION_DEFER:
    case ACTION_DISCARD:
    case ACTION_HOLD:
    case ACTION_TAG:
    case ACTION_REMOVE_HEADER:
    case ACTION_COPY:
    case ACTION_ROUTE:
        break;
    }
    /* in shadow mode the reply is told, with its recipient in it */
    return r->is_shadow;
}

static bool can_lead(const struct verdict *v)
{
    for (size_t i = 0; i < v->set_aside_count; i++)
        if (looks_at_recipient(v->set_aside[i]))
            return false;
    for (size_t i = 0; i < v->at_end_count; i++)
        if (looks_at_recipient(v->at_end[i]))
            return false;
    return true;
}

static bool are_same(const struct rule *const *a, size_t a_count,
                     const struct rule *const *b, size_t b_count)
{
    return a_count == b_count &&
           (a_count == 0 || memcmp(a, b, a_count * sizeof(void *)) == 0);
}

static const struct effect *next_tag(const struct verdict *v, size_t *at)
{
    while (*at < v->effect_count && v->effects[*at].kind != EFFECT_TAG)
        ++*at;
    return *at < v->effect_count ? &v->effects[(*at)++] : NULL;
}

static bool have_same_tags(const struct verdict *a, const struct verdict *b)
{
    size_t i = 0, k = 0;

    for (;;) {
        const struct effect *one = next_tag(a, &i), *other = next_tag(b, &k);

        if (!one || !other)
            return one == other;
        if (!span_is(one->text, other->text))
            return false;
    }
}

/* Who looks at the same rules with the same tags hears the same. */
const struct verdict *leaders_find(const struct leaders *all,
                                   const struct verdict *v)
{
    for (size_t i = 0; i < all->count; i++) {
        const struct verdict *l = all->granted[i];

        if (are_same(v->set_aside, v->set_aside_count, l->set_aside,
                     l->set_aside_count) &&
            are_same(v->at_end, v->at_end_count, l->at_end, l->at_end_count) &&
            have_same_tags(v, l))
            return all->later[i];
    }
    return NULL;
}

void leaders_add(struct leaders *all, const struct verdict *granted,
                 const struct verdict *later)
{
    if (all->count == LEADERS_MOST || !can_lead(granted))
        return;
    all->granted[all->count] = granted;
    all->later[all->count++] = later;
}
