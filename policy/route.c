/*
 * route - where does mail for this recipient go today?
 *
 * One hash for addresses and exact domains (an address has an @), one for the
 * domains of *.suffix, one entry for *, one hash of titles for lane keys. Each
 * pattern's entry lists the routes that have it, in file order; look-ups try
 * the entries from the most specific on, so 100,000 routes cost a recipient as
 * many look-ups as its domain has labels, and one more. Tables in files stay
 * what they are, a hash each, and are asked at each step: a few of them hold
 * what would be a hundred thousand entries here.
 *
 * The index owns its hashes and borrows the routes and their tables.
 */
#include "policy/route.h"

#include "policy/pattern.h"
#include "policy/table.h"
#include "policy/vocabulary/memory.h"

#include <stdlib.h>
#include <uthash.h>

/* One route under one pattern. */
struct candidate {
    struct candidate *next;
    const struct route *route;
    struct patterns *senders; /* NULL: any */
};

struct route_entry {
    UT_hash_handle hh;
    struct span key;
    struct candidate *first, **end;
};

/* A table and the routes that name it. */
struct route_table {
    struct route_table *next;
    const struct table *table;
    struct candidate *first, **end;
};

struct route_index {
    struct arena arena;
    struct route_table *tables;
    struct route_entry *exact, *below, *titles;
    struct route_entry any;
};

/* --- building ------------------------------------------------------------ */

/* NOLINTNEXTLINE(readability-function-size): uthash's macros */
static struct route_entry *find_entry(struct route_entry *head, struct span key)
{
    struct route_entry *e;

    HASH_FIND(hh, head, key.at, key.len, e);
    return e;
}

/* NOLINTNEXTLINE(readability-function-size): uthash's macros */
static struct route_entry *entry_of(struct route_index *i,
                                    struct route_entry **head, struct span key)
{
    struct route_entry *e = find_entry(*head, key);

    if (e)
        return e;
    e = arena_take(&i->arena, sizeof *e);
    e->key = arena_copy(&i->arena, key);
    e->end = &e->first;
    HASH_ADD_KEYPTR(hh, *head, e->key.at, e->key.len, e);
    return e;
}

/* Adds to the list that ends at *end. */
static void add(struct route_index *i, struct candidate ***end,
                const struct route *route, struct patterns *senders)
{
    struct candidate *c = arena_take(&i->arena, sizeof *c);

    *c = (struct candidate){ .route = route, .senders = senders };
    **end = c;
    *end = &c->next;
}

static struct route_table *table_of(struct route_index *i,
                                    const struct table *table)
{
    struct route_table **t = &i->tables;

    while (*t && (*t)->table != table)
        t = &(*t)->next;
    if (!*t) {
        *t = arena_take(&i->arena, sizeof **t);
        (*t)->table = table;
        (*t)->end = &(*t)->first;
    }
    return *t;
}

static struct patterns *compile_senders(struct route_index *i,
                                        const struct route *route)
{
    struct patterns *senders = arena_take(&i->arena, sizeof *senders);
    struct pattern *all =
        arena_take(&i->arena, route->from_count * sizeof *all);
    struct buffer why = { 0 };
    size_t count = 0;

    if (route->from_count == 0)
        return NULL;
    /* each was read once already, when the configuration was judged */
    for (size_t n = 0; n < route->from_count; n++)
        count += pattern_parse(&i->arena, route->from[n], PATTERN_OF_MAILBOX,
                               &all[count], &why);
    buffer_fini(&why);
    patterns_init(senders, all, count);
    return senders;
}

static struct route_entry *entry_of_pattern(struct route_index *i,
                                            struct span to)
{
    if (span_is(to, SPAN("*")))
        return &i->any;
    if (span_starts_nocase(to, SPAN("*.")))
        return entry_of(i, &i->below, span_skip(to, 2));
    return entry_of(i, &i->exact, to);
}

struct route_index *route_index_new(const struct route *routes, size_t count)
{
    struct route_index *i = NEW(struct route_index);

    i->any.end = &i->any.first;
    for (size_t n = 0; n < count; n++) {
        const struct route *r = &routes[n];
        struct patterns *senders = compile_senders(i, r);

        for (size_t t = 0; t < r->to_count; t++)
            add(i, &entry_of_pattern(i, r->to[t])->end, r, senders);
        for (size_t t = 0; t < r->to_table_count; t++)
            add(i, &table_of(i, r->to_tables[t])->end, r, senders);
        add(i, &entry_of(i, &i->titles, r->title)->end, r, senders);
    }
    return i;
}

void route_index_free(struct route_index *i)
{
    if (!i)
        return;
    HASH_CLEAR(hh, i->exact);
    HASH_CLEAR(hh, i->below);
    HASH_CLEAR(hh, i->titles);
    arena_reset(&i->arena);
    free(i);
}

/* --- looking up ---------------------------------------------------------- */

/* One search: who sends, read only when a route asks. */
struct search {
    struct span sender;
    bool has_sender; /* false: only routes for any sender */
    bool is_read;
    struct address address;
    struct subject subject;
};

static bool sends(struct search *s, const struct patterns *senders)
{
    if (!s->has_sender)
        return false;
    if (!s->is_read) {
        s->is_read = true;
        /* what cannot be read matches no pattern, not even <> */
        if (s->sender.len &&
            address_parse(s->sender, &s->address) != ADDRESS_OK) {
            s->has_sender = false;
            return false;
        }
        subject_of_address(&s->subject, &s->address);
    }
    return patterns_match(senders, &s->subject) == ANSWER_YES;
}

/* Among the routes of one pattern: one with `from` first, then file order, which is
 * that of their places in memory. */
struct choice {
    const struct candidate *plain, *sent;
};

static void consider(struct choice *best, const struct candidate *c,
                     struct search *s)
{
    for (; c; c = c->next) {
        const struct candidate **slot = c->senders ? &best->sent : &best->plain;

        if ((!*slot || c->route < (*slot)->route) &&
            (!c->senders || sends(s, c->senders)))
            *slot = c;
    }
}

static const struct candidate *choose(const struct route_index *i,
                                      const struct route_entry *e,
                                      struct search *s, enum pattern_kind kind,
                                      uint32_t hash, struct span text)
{
    struct choice best = { 0 };

    consider(&best, e ? e->first : NULL, s);
    for (const struct route_table *t = i->tables; t; t = t->next)
        if (table_has_pattern(t->table, kind, hash, text))
            consider(&best, t->first, s);
    return best.sent ? best.sent : best.plain;
}

struct found {
    const struct route *route;
    bool by_more; /* by more than the recipient's domain */
};

static struct found found(const struct candidate *c, bool by_address)
{
    return (struct found){ c ? c->route : NULL,
                           c && (by_address || c->senders) };
}

static const struct candidate *find_domain(const struct route_index *i,
                                           struct search *s,
                                           const struct subject *to)
{
    unsigned last = to->label_count - 1;
    const struct candidate *c = NULL;

    if (to->label_count == 0)
        return NULL;
    if (to->ends[last].at == 0)
        c = choose(i, find_entry(i->exact, to->domain), s, PATTERN_DOMAIN,
                   to->ends[last].hash, to->domain);
    for (unsigned n = last; !c && n-- > 0;) {
        struct span below = span_skip(to->domain, to->ends[n].at);

        c = choose(i, find_entry(i->below, below), s, PATTERN_BELOW,
                   to->ends[n].hash, below);
    }
    return c;
}

static struct found find(const struct route_index *i, struct search *s,
                         struct subject *recipient)
{
    const struct span any = SPAN("*");
    const struct candidate *c;

    subject_fold(recipient);
    if (recipient->address) {
        c = choose(i, find_entry(i->exact, recipient->mailbox), s,
                   PATTERN_ADDRESS, recipient->mailbox_hash,
                   recipient->mailbox);
        if (c)
            return found(c, true);
    }
    c = find_domain(i, s, recipient);
    if (c)
        return found(c, false);
    return found(choose(i, &i->any, s, PATTERN_ANY,
                        i->tables ? pattern_hash(any) : 0, any),
                 false);
}

const struct route *route_find(const struct settings *s, struct span sender,
                               const struct address *recipient)
{
    struct search search = { .sender = sender, .has_sender = true };
    struct subject subject;

    subject_of_address(&subject, recipient);
    return find(s->route_index, &search, &subject).route;
}

int lane_key(const struct settings *s, struct span sender,
             const struct address *recipient, struct buffer *out_key)
{
    struct search search = { .sender = sender, .has_sender = true };
    struct subject subject;
    struct found hit;

    subject_of_address(&subject, recipient);
    subject_fold(&subject);
    if (subject.domain.len == 0)
        return ERROR_SYNTAX;
    hit = find(s->route_index, &search, &subject);
    buffer_put(out_key, subject.domain);
    if (hit.by_more) {
        buffer_put_byte(out_key, '\t');
        buffer_put(out_key, hit.route->title);
    }
    return 0;
}

const struct route *route_titled(const struct settings *s, struct span title)
{
    struct route_entry *e = find_entry(s->route_index->titles, title);

    return e ? e->first->route : NULL;
}

struct span lane_domain(struct span key)
{
    return span_first(key, span_find(key, '\t'));
}

const struct route *route_of_lane(const struct settings *s, struct span key)
{
    struct span title, domain = span_split(key, '\t', &title);
    struct search nobody = { .has_sender = false };
    const struct route *titled = title.at ? route_titled(s, title) : NULL;
    struct subject subject;

    if (titled)
        return titled;
    subject_of_name(&subject, domain);
    return find(s->route_index, &nobody, &subject).route;
}

void destination_name(const struct route *r, struct span lane,
                      struct buffer *out_name)
{
    if (r->via_count && r->via[0].kind == HOP_MX) {
        buffer_put_string(out_name, "mx:");
        buffer_put(out_name, lane_domain(lane));
        buffer_put(out_name, span_skip(r->key, sizeof "mx" - 1));
    } else {
        buffer_put(out_name, r->key);
    }
}
