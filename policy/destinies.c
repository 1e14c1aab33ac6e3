/*
 * destinies - where an accepted recipient's mail goes, after what the rules did to it.
 */
#include "policy/destinies.h"

#include "policy/route.h"

/* Rules stand in an array: what is further on in it acted later. */
static void look(const struct verdict *v, enum effect_kind kind,
                 const struct rule **last, const struct verdict **where)
{
    for (size_t i = 0; v && i < v->effect_count; i++) {
        const struct effect *e = &v->effects[i];

        if (e->kind == kind && (!*last || e->rule >= *last)) {
            *last = e->rule;
            *where = v;
        }
    }
}

/* The last rule that had such an effect; NULL: none. */
static const struct rule *last_rule(const struct verdict *granted,
                                    const struct verdict *at_content,
                                    enum effect_kind kind,
                                    const struct verdict **where)
{
    const struct rule *last = NULL;

    look(granted, kind, &last, where);
    look(at_content, kind, &last, where);
    return last;
}

/* The text of the last effect of that kind, or otherwise. */
static struct span last_text(const struct verdict *granted,
                             const struct verdict *at_content,
                             enum effect_kind kind, struct span otherwise)
{
    const struct verdict *v = NULL;
    const struct rule *r = last_rule(granted, at_content, kind, &v);
    struct span text = otherwise;

    for (size_t i = 0; r && i < v->effect_count; i++)
        if (v->effects[i].kind == kind && v->effects[i].rule == r)
            text = v->effects[i].text;
    return text;
}

struct span destinies_sender(struct span sender, const struct verdict *granted,
                             const struct verdict *at_content)
{
    return last_text(granted, at_content, EFFECT_REWRITE_FROM, sender);
}

/* The recipient itself, or what one rule put in its place. */
static size_t find_addresses(const struct address *recipient,
                             const struct verdict *granted,
                             const struct verdict *at_content,
                             struct arena *arena, struct destiny **out_all)
{
    const struct verdict *v = NULL;
    const struct rule *r =
        last_rule(granted, at_content, EFFECT_REWRITE_TO, &v);
    size_t count = 0;

    *out_all = arena_take(arena, (r ? v->effect_count : 1) * sizeof **out_all);
    for (size_t i = 0; r && i < v->effect_count; i++) {
        const struct effect *e = &v->effects[i];

        if (e->kind == EFFECT_REWRITE_TO && e->rule == r &&
            address_parse(arena_copy(arena, e->text),
                          &(*out_all)[count].address) == ADDRESS_OK)
            count++;
    }
    if (count)
        return count;
    (*out_all)[0].address = *recipient;
    return 1;
}

size_t destinies_find(const struct settings *s, struct span sender,
                      const struct address *recipient,
                      const struct verdict *granted,
                      const struct verdict *at_content, struct arena *arena,
                      struct destiny **out_all)
{
    struct span from = destinies_sender(sender, granted, at_content);
    struct span title =
        last_text(granted, at_content, EFFECT_ROUTE, span_make(NULL, 0));
    const struct route *named = title.at ? route_titled(s, title) : NULL;
    struct destiny *all;
    size_t count = find_addresses(recipient, granted, at_content, arena, &all);

    for (size_t i = 0; i < count; i++) {
        all[i].is_named = named != NULL;
        all[i].route = named ? named : route_find(s, from, &all[i].address);
    }
    *out_all = all;
    return count;
}

/* A route that is named, and would have been found, has the lane of all its other mail. */
int destinies_lane(const struct settings *s, struct span sender,
                   const struct destiny *d, struct buffer *out_key)
{
    size_t domain = out_key->len;

    if (!d->is_named || d->route == route_find(s, sender, &d->address))
        return lane_key(s, sender, &d->address, out_key);
    if (domain_fold(d->address.domain, out_key) < 0 || out_key->len == domain)
        return ERROR_SYNTAX;
    buffer_put_byte(out_key, '\t');
    buffer_put(out_key, d->route->title);
    return 0;
}
