/*
 * variants_admit - will a draft's recipients part, and into how many messages?
 *
 * Looked at from what their rules did so far and from the rules that wait, before
 * anything is made of them (variants.c). Owns nothing.
 */
#include "relay/inbound/variants_private.h"

static bool parts(enum effect_kind kind)
{
    return kind == EFFECT_ADD_HEADER || kind == EFFECT_REMOVE_HEADER ||
           kind == EFFECT_REWRITE_FROM;
}

static bool changes(enum effect_kind kind)
{
    return parts(kind) || kind == EFFECT_REWRITE_TO || kind == EFFECT_COPY ||
           kind == EFFECT_ROUTE;
}

static bool has_effect(const struct verdict *v, bool (*is)(enum effect_kind))
{
    for (size_t i = 0; v && i < v->effect_count; i++)
        if (is(v->effects[i].kind))
            return true;
    return false;
}

bool variants_are_needed(const struct draft *d)
{
    for (size_t i = 0; i < d->count; i++)
        if (has_effect(&d->recipients[i].verdict, changes) ||
            has_effect(d->recipients[i].at_content, changes))
            return true;
    return false;
}

static bool may_part(const struct rule *r)
{
    return r->action == ACTION_ADD_HEADER ||
           r->action == ACTION_REMOVE_HEADER || r->action == ACTION_REWRITE ||
           r->action == ACTION_POLICY;
}

bool variants_may_edit(const struct draft *d)
{
    for (size_t i = 0; i < d->count; i++) {
        const struct verdict *v = &d->recipients[i].verdict;

        if (has_effect(v, parts))
            return true;
        for (size_t n = 0; n < v->set_aside_count; n++)
            if (may_part(v->set_aside[n]))
                return true;
    }
    return false;
}

/* Will the message bring about a header that nobody else gets? */
static bool waits_for_his_own(const struct verdict *v)
{
    const struct span word = SPAN("%{recipient}");

    for (size_t i = 0; i < v->set_aside_count; i++) {
        const struct rule *r = v->set_aside[i];

        for (size_t n = 0; r->action == ACTION_ADD_HEADER && n < r->text_count;
             n++)
            if (memmem(r->texts[n].at, r->texts[n].len, word.at, word.len))
                return true;
    }
    return false;
}

bool variants_admit(struct draft *d, const struct address *recipient,
                    const struct verdict *v, struct arena *arena)
{
    uint64_t hash = VARIANTS_HASH;
    bool own = waits_for_his_own(v);

    if (!own && !has_effect(v, parts))
        return true;
    for (size_t i = 0; i < v->effect_count; i++)
        if (parts(v->effects[i].kind))
            hash = variants_hash(hash ^ v->effects[i].kind, v->effects[i].text);
    if (own)
        hash = variants_hash(hash, recipient->text);
    for (size_t i = 0; i < d->part_count; i++)
        if (d->parts[i] == hash)
            return true;
    if (d->part_count == VARIANTS_MOST)
        return false;
    if (!d->parts)
        d->parts = arena_take(arena, VARIANTS_MOST * sizeof *d->parts);
    d->parts[d->part_count++] = hash;
    return true;
}
