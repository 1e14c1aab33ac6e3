/*
 * table - values by the hundred thousand, from a file of their own.
 *
 * Here it is asked; tablebuild.c makes it. A mailbox costs as many look-ups in the hash as
 * its domain has labels, and three more; a host one binary search. Nothing is allocated but
 * what PCRE2 needs.
 */
#include "policy/table_private.h"

#include "policy/tableline.h"

#include <stdlib.h>

uint32_t *table_slot(const struct table *t, unsigned kind, uint32_t hash,
                     struct span text)
{
    uint32_t mask = ((uint32_t)1 << t->slot_bits) - 1;
    uint32_t i =
        ((hash + kind * 0x9e3779b1u) * 0x85ebca6bu) >> (32 - t->slot_bits);

    for (;; i = (i + 1) & mask) {
        const struct table_entry *e;

        if (t->slots[i] == 0)
            return &t->slots[i];
        e = &t->entries[t->slots[i] - 1];
        if (e->hash == hash && e->kind == kind &&
            span_is(table_entry_text(e), text))
            return &t->slots[i];
    }
}

static const struct table_entry *find(const struct table *t, unsigned kind,
                                      uint32_t hash, struct span text)
{
    uint32_t n = t->kinds[kind] ? *table_slot(t, kind, hash, text) : 0;

    return n ? &t->entries[n - 1] : NULL;
}

static const struct table_entry *find_text(const struct table *t, unsigned kind,
                                           struct span text)
{
    return t->kinds[kind] ? find(t, kind, pattern_hash(text), text) : NULL;
}

static enum answer tell(const struct table_entry *e, struct span *out_value)
{
    if (e && out_value)
        *out_value = span_make(e->value, e->value_len);
    return e ? ANSWER_YES : ANSWER_NO;
}

/* --- the several kinds ---------------------------------------------------- */

enum answer table_has_network(const struct table *t,
                              const struct host_address *a,
                              struct span *out_value)
{
    const struct hosttree_node *n = hosttree_find(&t->hosts, a);

    return tell(n ? &t->entries[n->tag] : NULL, out_value);
}

/* The first of a group that matches; one that cannot tell spoils a no. */
static enum answer search_group(const struct table *t,
                                const struct table_group *g, struct span text,
                                struct span *out_value)
{
    enum answer answer = ANSWER_NO;

    if (g->all && expression_matches(g->all, text) == ANSWER_NO)
        return ANSWER_NO;
    for (const struct table_expression *x = g->first; x; x = x->next) {
        enum answer one = expression_matches(x->one, text);

        if (one == ANSWER_YES)
            return tell(&t->entries[x->entry], out_value);
        if (one == ANSWER_UNKNOWN)
            answer = one;
    }
    return answer;
}

static enum answer search(const struct table *t, struct span text,
                          struct span *out_value)
{
    enum answer answer = ANSWER_NO;

    for (const struct table_group *g = t->groups; g; g = g->next) {
        enum answer one = search_group(t, g, text, out_value);

        if (one == ANSWER_YES)
            return one;
        if (one == ANSWER_UNKNOWN)
            answer = one;
    }
    return answer;
}

static const struct table_entry *find_domain(const struct table *t,
                                             const struct subject *s)
{
    unsigned last = s->label_count - 1;
    const struct table_entry *e = NULL;

    if (s->label_count == 0)
        return NULL;
    if (s->ends[last].at == 0)
        e = find(t, PATTERN_DOMAIN, s->ends[last].hash, s->domain);
    if (!e && !s->address && s->ends[last].at == 0)
        e = find(t, TABLE_TEXT, s->ends[last].hash, s->domain);
    for (unsigned i = last; !e && i-- > 0;)
        e = find(t, PATTERN_BELOW, s->ends[i].hash,
                 span_skip(s->domain, s->ends[i].at));
    return e;
}

/* HELO 192.0.2.1 is a name, of a kind. */
static enum answer has_named_host(const struct table *t, struct span name,
                                  struct span *out_value)
{
    struct host_address a;

    if (t->hosts.count == 0 || !host_literal_parse(name, &a))
        return ANSWER_NO;
    return table_has_network(t, &a, out_value);
}

enum answer table_has_subject(const struct table *t, struct subject *s,
                              struct span *out_value)
{
    const struct table_entry *e = NULL;

    if (s->address && s->address->text.len == 0)
        return tell(find_text(t, PATTERN_NULL, SPAN("<>")), out_value);
    subject_fold(s);
    if (s->address)
        e = find(t, PATTERN_ADDRESS, s->mailbox_hash, s->mailbox);
    else if (has_named_host(t, s->name, out_value) == ANSWER_YES)
        return ANSWER_YES;
    e = e ? e : find_domain(t, s);
    e = e ? e : find_text(t, PATTERN_ANY, SPAN("*"));
    if (e)
        return tell(e, out_value);
    return search(t, s->address ? s->mailbox : s->name, out_value);
}

enum answer table_has_text(const struct table *t, struct span text,
                           struct span *out_value)
{
    char lower[TABLE_KEY_MOST], suffix[TABLE_KEY_MOST + 1] = "*";
    const struct table_entry *e = NULL;
    struct span folded = span_make(lower, text.len), end;
    size_t at = span_find_last(text, '@');

    if (text.len == 0 || text.len > sizeof lower)
        return ANSWER_NO;
    for (size_t i = 0; i < text.len; i++)
        lower[i] = ascii_lower(text.at[i]);
    /* most keys that are texts are patterns as well, and kept once */
    e = find_text(t, TABLE_TEXT, folded);
    e = e ? e : find_text(t, PATTERN_ADDRESS, folded);
    e = e ? e : find_text(t, PATTERN_DOMAIN, folded);
    if (!e && at < text.len) {
        end = span_skip(folded, at);
        memcpy(suffix + 1, end.at, end.len);
        e = find_text(t, PATTERN_ADDRESS, span_make(suffix, end.len + 1));
    }
    e = e ? e : find_text(t, PATTERN_ANY, SPAN("*"));
    return e ? tell(e, out_value) : search(t, text, out_value);
}

/* --- what it is ----------------------------------------------------------- */

struct span table_name(const struct table *t)
{
    return t->name;
}

size_t table_size(const struct table *t)
{
    return t->size;
}

struct span table_flaws(const struct table *t, enum table_use use)
{
    switch (use) {
    case TABLE_OF_HOSTS:
    case TABLE_OF_MAILBOXES:
        return buffer_span(&t->strays);
    case TABLE_OF_ROUTES:
        return buffer_span(&t->unroutable);
    case TABLE_OF_NAMES:
    case TABLE_OF_TEXTS:
        break;
    }
    return span_make(NULL, 0);
}

bool table_serves(const struct table *t, enum table_use use)
{
    size_t routable = t->kinds[PATTERN_ADDRESS] + t->kinds[PATTERN_DOMAIN] +
                      t->kinds[PATTERN_BELOW] + t->kinds[PATTERN_ANY];

    switch (use) {
    case TABLE_OF_HOSTS:
        return t->hosts.count;
    case TABLE_OF_ROUTES:
        return routable;
    case TABLE_OF_MAILBOXES:
        return routable + t->kinds[PATTERN_EXPRESSION] + t->kinds[PATTERN_NULL];
    case TABLE_OF_NAMES:
        return t->size;
    case TABLE_OF_TEXTS:
        return t->size > t->hosts.count;
    }
    return false;
}

bool table_has_pattern(const struct table *t, enum pattern_kind kind,
                       uint32_t hash, struct span text)
{
    return find(t, kind, hash, text);
}

bool table_names_domains(const struct table *t)
{
    return t->kinds[PATTERN_EXPRESSION] == 0 && t->kinds[PATTERN_ANY] == 0 &&
           t->kinds[PATTERN_NULL] == 0;
}

bool table_holds_everybody(const struct table *t)
{
    return hosttree_is_everything(&t->hosts);
}

bool table_next_domain(const struct table *t, size_t *at,
                       struct span *out_domain)
{
    while (*at < t->entry_count) {
        const struct table_entry *e = &t->entries[(*at)++];

        if (e->kind == PATTERN_DOMAIN) {
            *out_domain = table_entry_text(e);
            return true;
        }
    }
    return false;
}

bool table_next(const struct table *t, size_t *at, struct table_line *out_line)
{
    while (*at < t->entry_count) {
        const struct table_entry *e = &t->entries[(*at)++];

        if (e->kind >= PATTERN_KINDS)
            continue;
        *out_line = (struct table_line){
            .kind = (enum pattern_kind)e->kind,
            .key = table_entry_text(e),
            .value = span_make(e->value, e->value_len),
            .number = e->line,
        };
        return true;
    }
    return false;
}

struct table *table_hold(struct table *t)
{
    (void)atomic_fetch_add_explicit(&t->holders, 1, memory_order_relaxed);
    return t;
}

void table_free(struct table *t)
{
    if (!t ||
        atomic_fetch_sub_explicit(&t->holders, 1, memory_order_acq_rel) != 1)
        return;
    free(t->bytes);
    free(t->entries);
    free(t->slots);
    buffer_fini(&t->strays);
    buffer_fini(&t->unroutable);
    arena_reset(&t->arena);
    free(t);
}
