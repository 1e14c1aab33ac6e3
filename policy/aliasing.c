/*
 * aliasing - where the mail of a local name goes.
 *
 * Depth first; each name is looked up once. One that leads back to itself stands for the mailbox
 * there, one that two others lead to is looked at but once.
 */
#include "policy/aliasing.h"

#include "policy/aliases.h"
#include "policy/ourselves.h"

struct walk {
    const struct settings *s;
    struct arena *arena;
    struct name {
        struct span text;
        bool is_open; /* what it leads to is being looked up */
    } *names;
    size_t name_count;
    struct aliasing found;
    bool has_nowhere, has_unsupported, has_alias, is_too_many, is_unreadable;
};

static bool has(const struct span *all, size_t count, struct span s)
{
    size_t i = 0;

    while (i < count && !span_is_nocase(all[i], s))
        i++;
    return i < count;
}

static void add_address(struct walk *w, struct span text)
{
    if (has(w->found.all, w->found.count, text))
        return;
    if (w->found.count == ALIASING_MOST) {
        w->is_too_many = true;
        return;
    }
    w->found.all[w->found.count++] = text;
}

static void add_at_origin(struct walk *w, struct span name)
{
    struct buffer b = { 0 };

    buffer_put(&b, name);
    buffer_put_byte(&b, '@');
    buffer_put(&b, w->s->origin.len ? w->s->origin : w->s->hostname);
    add_address(w, arena_copy(w->arena, buffer_span(&b)));
    buffer_fini(&b);
}

static void look_up(struct walk *w, struct span name);

static void add_name(struct walk *w, struct span text)
{
    size_t i = 0;

    while (i < w->name_count && !span_is_nocase(w->names[i].text, text))
        i++;
    if (i < w->name_count) {
        if (w->names[i].is_open)
            add_at_origin(w, text);
        return;
    }
    if (w->name_count == ALIASING_MOST) {
        w->is_too_many = true;
        return;
    }
    w->names[w->name_count++] = (struct name){ text, true };
    look_up(w, text);
    w->names[i].is_open = false;
}

static bool is_local(const struct settings *s, const struct address *a)
{
    struct buffer folded = { 0 };
    bool yes = a->domain.len == 0;

    if (!yes && !a->is_literal && domain_fold(a->domain, &folded) == 0)
        yes = span_is(buffer_span(&folded), SPAN("localhost")) ||
              is_our_domain(s, buffer_span(&folded));
    buffer_fini(&folded);
    return yes;
}

static bool is_at_localhost(const struct address *a)
{
    return span_is_nocase(a->domain, SPAN("localhost"));
}

/* "joe" of "\"joe\"". */
static struct span unquoted(struct span local)
{
    if (local.len >= 2 && local.at[0] == '"' && local.at[local.len - 1] == '"')
        return span_first(span_skip(local, 1), local.len - 2);
    return local;
}

static void add_target(struct walk *w, const struct alias_target *t)
{
    struct address a;

    switch (t->kind) {
    case ALIAS_ADDRESS:
        if (address_parse(t->text, &a) == ADDRESS_OK && is_local(w->s, &a))
            add_name(w, a.local);
        else
            add_address(w, t->text);
        break;
    case ALIAS_NAME:
        add_name(w, t->text);
        break;
    case ALIAS_FINAL_NAME:
        add_at_origin(w, t->text);
        break;
    case ALIAS_NOWHERE:
        w->has_nowhere = true;
        break;
    case ALIAS_UNSUPPORTED:
        w->has_unsupported = true;
        break;
    case ALIAS_UNREADABLE:
        w->is_unreadable = true;
        break;
    }
}

static bool is_of_postmaster(struct span name)
{
    return span_is_nocase(name, SPAN("postmaster")) ||
           span_is_nocase(name, SPAN("mailer-daemon")) ||
           span_is_nocase(name, SPAN("root"));
}

static void look_up(struct walk *w, struct span name)
{
    const struct alias *found = aliases_find(w->s->aliases, unquoted(name));
    struct address a;

    w->has_alias |= found != NULL;
    if (found) {
        for (size_t i = 0; i < found->count; i++)
            add_target(w, &found->targets[i]);
    } else if (!is_of_postmaster(name) || !w->s->postmaster.len) {
        add_at_origin(w, name);
    } else {
        w->has_alias = true;
        if (address_parse(w->s->postmaster, &a) == ADDRESS_OK &&
            is_local(w->s, &a))
            add_name(w, a.local);
        else
            add_address(w, w->s->postmaster);
    }
}

static enum aliasing_said walk(struct walk *w, struct span name)
{
    w->names = arena_take(w->arena, ALIASING_MOST * sizeof *w->names);
    w->found.all = arena_take(w->arena, ALIASING_MOST * sizeof *w->found.all);
    add_name(w, name);
    if (w->is_unreadable)
        return ALIASING_LATER;
    if (w->is_too_many)
        return ALIASING_TOO_MANY;
    if (w->found.count)
        return ALIASING_LEADS;
    return w->has_nowhere ? ALIASING_NOWHERE : ALIASING_CANNOT;
}

/* Where the bounces of mail to this name go. */
static struct span owner_of(const struct walk *of, struct span name)
{
    struct walk w = { .s = of->s, .arena = of->arena };
    struct buffer b = { 0 };
    struct span owner = SPAN("");

    buffer_put_string(&b, "owner-");
    buffer_put(&b, unquoted(name));
    if (aliases_find(w.s->aliases, buffer_span(&b)) &&
        walk(&w, arena_copy(w.arena, buffer_span(&b))) == ALIASING_LEADS &&
        w.found.count == 1)
        owner = w.found.all[0];
    buffer_fini(&b);
    return owner;
}

enum aliasing_said aliasing_find(const struct settings *s,
                                 const struct address *a, struct arena *arena,
                                 struct aliasing *out)
{
    struct walk w = { .s = s, .arena = arena };
    enum aliasing_said said;

    if (a->text.len == 0 || !is_local(s, a))
        return ALIASING_NONE;
    said = walk(&w, arena_copy(arena, a->local));
    if (!w.has_alias && !is_at_localhost(a))
        return ALIASING_NONE;
    w.found.owner = w.has_alias ? owner_of(&w, a->local) : SPAN("");
    *out = w.found;
    return said;
}
