/*
 * variants - the messages that one draft becomes.
 *
 * Recipients are taken in order, then copies; each goes to the variant that is
 * like what its rules made of it, found by a hash of sender and edits. All are
 * first in one list, with a table by address over it; then each variant's are
 * put side by side.
 *
 * Owns nothing when it is done: the result is in the caller's arena.
 */
#include "relay/inbound/variants_private.h"

#include "policy/route.h"
#include "policy/vocabulary/memory.h"
#include "queue/queue.h"
#include "relay/inbound/headeredit.h"

#include <stdlib.h>

/* --- gathering ---------------------------------------------------------------- */

/* A list entry: an addressee and whose variant it is. */
struct entry {
    struct addressee who;
    uint32_t hash;
    uint32_t variant;
};

struct gathering {
    const struct draft *draft;
    const struct settings *settings;
    struct arena *arena;
    struct entry *all;
    size_t count, room;
    uint32_t *slots; /* of all, + 1; 0: free */
    size_t slot_count;
    struct variant *variants;
    uint64_t *hashes; /* of each */
    size_t variant_count, variant_room;
    const struct effect **edits; /* of the recipient at hand */
    size_t edit_count, edit_room;
};

static size_t next_slot(const struct gathering *g, size_t at)
{
    return (at + 1) & (g->slot_count - 1);
}

enum { ANY_VARIANT = UINT32_MAX };

static bool is_there(const struct gathering *g, const struct address *a,
                     uint32_t hash, uint32_t variant)
{
    if (g->slot_count == 0)
        return false;
    for (size_t at = hash & (g->slot_count - 1); g->slots[at];
         at = next_slot(g, at)) {
        const struct entry *e = &g->all[g->slots[at] - 1];

        if (e->hash == hash &&
            (variant == ANY_VARIANT || e->variant == variant) &&
            address_is_same(&e->who.destiny.address, a))
            return true;
    }
    return false;
}

static void enter(struct gathering *g, size_t entry)
{
    size_t at = g->all[entry].hash & (g->slot_count - 1);

    while (g->slots[at])
        at = next_slot(g, at);
    g->slots[at] = (uint32_t)entry + 1;
}

static void grow(struct gathering *g)
{
    g->room = g->room ? g->room * 2 : 16;
    g->all = memory_grow(g->all, g->room * sizeof *g->all);
    free(g->slots);
    g->slot_count = g->room * 2;
    g->slots = NEW_ARRAY(uint32_t, g->slot_count);
    for (size_t i = 0; i < g->count; i++)
        enter(g, i);
}

static bool put(struct gathering *g, const struct addressee *who,
                uint32_t variant, bool is_copy)
{
    const struct address *a = &who->destiny.address;
    uint32_t hash = address_hash(a);

    if (is_there(g, a, hash, is_copy ? ANY_VARIANT : variant))
        return true;
    if (g->count == VARIANTS_ADDRESSES)
        return false;
    if (g->count == g->room)
        grow(g);
    g->all[g->count] =
        (struct entry){ .who = *who, .hash = hash, .variant = variant };
    enter(g, g->count++);
    return true;
}

/* --- which variant? ------------------------------------------------------------ */

static void add_edit(struct gathering *g, const struct effect *e)
{
    if (g->edit_count == g->edit_room) {
        g->edit_room = g->edit_room ? g->edit_room * 2 : 8;
        g->edits = memory_grow(g->edits, g->edit_room * sizeof(void *));
    }
    g->edits[g->edit_count++] = e;
}

static const struct effect *next_edit(const struct verdict *v, size_t *at)
{
    while (v && *at < v->effect_count && !headeredit_is(&v->effects[*at]))
        ++*at;
    return v && *at < v->effect_count ? &v->effects[*at] : NULL;
}

/* Of both verdicts, in the order of the rules. */
static void find_edits(struct gathering *g, const struct draft_recipient *r)
{
    size_t granted = 0, later = 0;

    g->edit_count = 0;
    for (;;) {
        const struct effect *a = next_edit(&r->verdict, &granted);
        const struct effect *b = next_edit(r->at_content, &later);

        if (!a && !b)
            return;
        if (a && (!b || a->rule <= b->rule)) {
            add_edit(g, a);
            granted++;
        } else {
            add_edit(g, b);
            later++;
        }
    }
}

static bool is_like(const struct gathering *g, const struct variant *v,
                    struct span sender)
{
    if (v->edit_count != g->edit_count || !span_is(v->sender, sender))
        return false;
    for (size_t i = 0; i < g->edit_count; i++) {
        const struct effect *a = v->edits[i], *b = g->edits[i];

        if (a != b && (a->kind != b->kind || !span_is(a->text, b->text)))
            return false;
    }
    return true;
}

static uint32_t add_variant(struct gathering *g, struct span sender,
                            uint64_t hash)
{
    struct variant v = { .sender = sender, .edit_count = g->edit_count };

    if (g->variant_count == g->variant_room) {
        g->variant_room = g->variant_room ? g->variant_room * 2 : 8;
        g->variants =
            memory_grow(g->variants, g->variant_room * sizeof *g->variants);
        g->hashes = memory_grow(g->hashes, g->variant_room * sizeof(uint64_t));
    }
    v.edits = arena_take(g->arena, g->edit_count * sizeof(void *));
    if (g->edit_count)
        memcpy(v.edits, g->edits, g->edit_count * sizeof(void *));
    g->hashes[g->variant_count] = hash;
    g->variants[g->variant_count] = v;
    return (uint32_t)g->variant_count++;
}

static uint32_t find_variant(struct gathering *g,
                             const struct draft_recipient *r)
{
    struct span sender =
        destinies_sender(g->draft->envelope.sender, &r->verdict, r->at_content);
    uint64_t hash = variants_hash(VARIANTS_HASH, sender);

    find_edits(g, r);
    for (size_t i = 0; i < g->edit_count; i++)
        hash = variants_hash(hash ^ g->edits[i]->kind, g->edits[i]->text);
    for (size_t i = 0; i < g->variant_count; i++)
        if (g->hashes[i] == hash && is_like(g, &g->variants[i], sender))
            return (uint32_t)i;
    return add_variant(g, sender, hash);
}

/* --- recipients and copies ------------------------------------------------------ */

/* Who was named, for reports and the log: RFC 3461 4.2. */
static struct span original(struct gathering *g,
                            const struct draft_recipient *r)
{
    struct buffer text = { 0 };
    struct span said;

    if (r->orcpt.len)
        return r->orcpt;
    buffer_put_string(&text, r->address.is_utf8 ? "utf-8;" : "rfc822;");
    buffer_put(&text, r->address.text);
    said = arena_copy(g->arena, buffer_span(&text));
    buffer_fini(&text);
    return said;
}

static bool put_recipient(struct gathering *g, const struct draft_recipient *r)
{
    struct addressee who = {
        .from = r,
        .orcpt = r->orcpt,
        .notify = r->notify,
        .hold = r->hold,
    };
    struct destiny *all;
    size_t count =
        destinies_find(g->settings, g->draft->envelope.sender, &r->address,
                       &r->verdict, r->at_content, g->arena, &all);
    uint32_t variant = find_variant(g, r);
    bool fits = true;

    if (count > 1 || !address_is_same(&all[0].address, &r->address))
        who.orcpt = original(g, r);
    for (size_t i = 0; fits && i < count; i++) {
        who.destiny = all[i];
        fits = put(g, &who, variant, false);
    }
    return fits;
}

static bool put_copies(struct gathering *g, const struct draft_recipient *r,
                       const struct verdict *v)
{
    struct addressee who = { .from = r,
                             .notify = NOTIFY_NEVER,
                             .is_copy = true };
    bool fits = true;

    for (size_t i = 0; fits && v && i < v->effect_count; i++) {
        const struct effect *e = &v->effects[i];
        uint32_t variant;

        if (e->kind != EFFECT_COPY ||
            address_parse(e->text, &who.destiny.address) != ADDRESS_OK)
            continue;
        variant = find_variant(g, r);
        who.destiny.route = route_find(g->settings, g->variants[variant].sender,
                                       &who.destiny.address);
        fits = put(g, &who, variant, true);
    }
    return fits;
}

static bool gather(struct gathering *g)
{
    const struct draft *d = g->draft;
    bool fits = true;

    for (size_t i = 0; fits && i < d->count; i++)
        if (!d->recipients[i].discard)
            fits = put_recipient(g, &d->recipients[i]);
    for (size_t i = 0; fits && i < d->count; i++)
        fits = put_copies(g, &d->recipients[i], &d->recipients[i].verdict) &&
               put_copies(g, &d->recipients[i], d->recipients[i].at_content);
    return fits;
}

/* --- the result ----------------------------------------------------------------- */

/* Each variant's side by side, in their order. A copy that others were there for
 * may have left a variant of nobody. */
static void arrange(struct gathering *g, struct variants *out)
{
    struct addressee *all =
        arena_take(g->arena, g->count * sizeof(struct addressee));
    size_t kept = 0;

    for (size_t i = 0; i < g->count; i++)
        g->variants[g->all[i].variant].count++;
    for (size_t i = 0; i < g->variant_count; i++) {
        g->variants[i].all = all;
        all += g->variants[i].count;
        g->variants[i].count = 0;
    }
    for (size_t i = 0; i < g->count; i++) {
        struct variant *v = &g->variants[g->all[i].variant];

        v->all[v->count++] = g->all[i].who;
    }
    out->all = arena_take(g->arena, g->variant_count * sizeof *out->all);
    for (size_t i = 0; i < g->variant_count; i++)
        if (g->variants[i].count)
            out->all[kept++] = g->variants[i];
    out->count = kept;
}

/* What all variants together take in memory while they are put. */
static bool fits_memory(const struct draft *d, const struct variants *v)
{
    uint64_t each = d->head.len + (d->taken_bytes ? 0 : d->content.len);
    uint64_t all = 0;

    for (size_t i = 0; i < v->count; i++) {
        all += each;
        for (size_t n = 0; n < v->all[i].edit_count; n++)
            all += v->all[i].edits[n]->text.len;
    }
    return v->count <= 1 || all <= VARIANTS_BYTES;
}

bool variants_find(const struct draft *d, const struct settings *s,
                   struct arena *arena, struct variants *out)
{
    struct gathering g = { .draft = d, .settings = s, .arena = arena };
    struct variants found = { 0 };
    bool fits = gather(&g);

    if (fits) {
        arrange(&g, &found);
        fits = fits_memory(d, &found);
    }
    if (fits)
        *out = found;
    if (fits && found.count)
        found.all[0].id = d->id;
    free(g.all);
    free(g.slots);
    free(g.variants);
    free(g.hashes);
    free(g.edits);
    return fits;
}

void variants_write_head(const struct draft *d, const struct variant *v,
                         struct buffer *out)
{
    struct span head = buffer_span(&d->head);
    struct span trace = span_first(head, d->trace_bytes);
    struct span section = span_skip(head, d->trace_bytes);

    headeredit_write(v && v->trace.len ? v->trace : trace, section,
                     d->taken_bytes + d->content.len > 0, v ? v->edits : NULL,
                     v ? v->edit_count : 0, out);
}

struct addressee variants_plain(const struct draft *d, const struct settings *s,
                                const struct draft_recipient *r)
{
    return (struct addressee){
        .from = r,
        .destiny = { .address = r->address,
                     .route = route_find(s, d->envelope.sender, &r->address) },
        .orcpt = r->orcpt,
        .notify = r->notify,
        .hold = r->hold,
    };
}
