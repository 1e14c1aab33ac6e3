/*
 * findings - what a replay found, gathered.
 *
 * Nothing is kept of what is as before but its number, so that memory grows with the kinds
 * of change alone: GROUPS_MOST of them, what is beyond is only counted. Texts of strangers
 * are escaped when they are printed.
 */
#include "relay/main/findings.h"

#include "policy/vocabulary/memory.h"
#include "relay/main/findings_private.h"

#include <stdlib.h>

#define uthash_fatal(text) ASSERT(!(text))
#include <uthash.h>

enum { GROUPS_MOST = 10000 };

struct entry {
    UT_hash_handle hh;
    struct findings_group group; /* its key is behind it */
    char key[];
};

struct findings *findings_new(unsigned examples_most)
{
    struct findings *f = NEW(struct findings);

    f->examples_most = examples_most;
    return f;
}

/* NOLINTBEGIN(readability-function-size,clang-analyzer-unix.Malloc) */
static struct entry *find(const struct findings *f, struct span key)
{
    struct entry *e;

    HASH_FIND(hh, f->entries, key.at, key.len, e);
    return e;
}

static struct entry *enter(struct findings *f, struct span key)
{
    struct entry *e = memory_zero(1, sizeof *e + key.len);

    memcpy(e->key, key.at, key.len);
    HASH_ADD_KEYPTR(hh, f->entries, e->key, key.len, e);
    return e;
}

void findings_free(struct findings *f)
{
    struct entry *e, *next;

    if (!f)
        return;
    e = f->entries;
    HASH_CLEAR(hh, f->entries); /* they stay linked */
    for (; e; e = next) {
        next = e->hh.next;
        free(e);
    }
    arena_reset(&f->arena);
    free(f->sorted);
    free(f);
}
/* NOLINTEND(readability-function-size,clang-analyzer-unix.Malloc) */

/* Who decided then: who held, of what was held. */
static struct span rule_then(const struct queue_past *p)
{
    return p->ruling.held_by.len ? p->ruling.held_by : p->ruling.rule;
}

static void put_key(struct buffer *b, const struct finding *one,
                    const struct queue_past *p)
{
    buffer_printf(b, "%d %d %d %d %p %p %d.%u.%u.%u\n", one->kind, one->then,
                  one->now, one->because, (const void *)one->rule,
                  (const void *)one->unless, one->reply.code, one->reply.status.class,
                  one->reply.status.subject, one->reply.status.detail);
    buffer_put(b, one->route_then);
    buffer_put_byte(b, '\n');
    buffer_put(b, one->route_now);
    buffer_put_byte(b, '\n');
    if (one->kind == FINDING_REROUTED)
        return;
    buffer_put(b, rule_then(p));
    buffer_put_byte(b, '\n');
    buffer_put(b, p->ruling.place);
}

static void describe(struct findings *f, struct findings_group *g,
                     const struct finding *one, const struct queue_past *p)
{
    g->finding = *one;
    g->finding.reply.text = arena_copy(&f->arena, one->reply.text);
    g->rule_then = arena_copy(&f->arena, rule_then(p));
    if (p->ruling.held_by.len == 0)
        g->place_then = arena_copy(&f->arena, p->ruling.place);
}

static struct span keep_reply(struct findings *f, const struct finding *one)
{
    struct buffer text = { 0 };
    struct span kept;

    if (one->kind == FINDING_CHANGED && one->reply.code)
        reply_print(&text, &one->reply);
    kept = arena_copy(&f->arena, buffer_span(&text));
    buffer_fini(&text);
    return kept;
}

static void keep_example(struct findings *f, struct findings_group *g,
                         const struct finding *one, const struct queue_past *p)
{
    struct findings_example *e = arena_take(&f->arena, sizeof *e);

    *e = (struct findings_example){
        .at_ms = p->at_ms,
        .client = arena_copy(&f->arena, p->client),
        .helo = arena_copy(&f->arena, p->helo),
        .login = arena_copy(&f->arena, p->login),
        .sender = arena_copy(&f->arena, p->sender),
        .recipient = arena_copy(&f->arena, p->recipient),
        .stage = arena_copy(&f->arena, p->stage),
        .reply = arena_copy(&f->arena, p->reply),
        .reply_now = keep_reply(f, one),
    };
    *(g->last ? &g->last->next : &g->examples) = e;
    g->last = e;
}

void findings_add(struct findings *f, const struct finding *one,
                  const struct queue_past *p)
{
    struct buffer key = { 0 };
    struct entry *e;

    f->total++;
    f->kinds[one->kind]++;
    if (one->kind == FINDING_SAME)
        f->same[one->then]++;
    else if (one->kind == FINDING_CHANGED)
        f->changed[one->now]++;
    if (one->kind == FINDING_SAME || one->kind == FINDING_OTHER)
        return;
    put_key(&key, one, p);
    e = find(f, buffer_span(&key));
    if (!e && HASH_COUNT(f->entries) < GROUPS_MOST) {
        e = enter(f, buffer_span(&key));
        describe(f, &e->group, one, p);
    }
    buffer_fini(&key);
    if (!e)
        return;
    if (e->group.count++ < f->examples_most)
        keep_example(f, &e->group, one, p);
}

/* Changes first, those to one fate together, large ones in front. */
static int compare(const void *a, const void *b)
{
    const struct findings_group *x = *(struct findings_group *const *)a;
    const struct findings_group *y = *(struct findings_group *const *)b;

    if (x->finding.kind != y->finding.kind)
        return x->finding.kind < y->finding.kind ? -1 : 1;
    if (x->finding.kind == FINDING_CHANGED && x->finding.now != y->finding.now)
        return x->finding.now > y->finding.now ? -1 : 1;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

size_t findings_sort(struct findings *f)
{
    size_t count = HASH_COUNT(f->entries), n = 0;

    f->sorted = memory_grow(f->sorted, (count + 1) * sizeof(void *));
    for (struct entry *e = f->entries; e; e = e->hh.next) {
        e->group.order = n;
        f->sorted[n++] = &e->group;
    }
    qsort(f->sorted, count, sizeof(void *), compare);
    return count;
}
