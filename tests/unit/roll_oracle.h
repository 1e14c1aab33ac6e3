/*
 * roll_oracle - what the walk on disk says, held against what the roll says.
 *
 * For tests of the roll: nothing is being written meanwhile. Each question that the roll answers
 * must have the walk's answer; how many it answered is counted, since it may decline.
 */
#ifndef WAYPOST_ROLL_ORACLE_H
#define WAYPOST_ROLL_ORACLE_H

#include "queue/core.h"
#include "queue/roll_private.h"
#include "queue/view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct oracle {
    struct queue *q;
    struct store_reader *db;
    size_t asked, answered;
};

static const struct queue_filter oracle_filters[] = {
    { .id = 0 },
    { .states = STATE_HELD },
    { .states = STATE_ACTIVE | STATE_READY | STATE_DEFERRED },
    { .states = 15 },
    { .states = 31 },
    { .from = SPAN_INIT("S1@X.test") },
    { .from = SPAN_INIT("<>") },
    { .from = SPAN_INIT("*") },
    { .from = SPAN_INIT("s[12]@*"), .states = STATE_HELD },
    { .client = SPAN_INIT("192.0.2.1") },
    { .client = SPAN_INIT("host?.test") },
    { .client = SPAN_INIT("192.*") },
    { .login = SPAN_INIT("bob1") },
    { .login = SPAN_INIT("BOB*"), .states = 7 },
    { .domain = SPAN_INIT("a.test") },
    { .domain = SPAN_INIT("*test") },
    { .domain = SPAN_INIT("?.TEST") },
    { .domain = SPAN_INIT("nobody.test") },
    { .domain = SPAN_INIT("*.group"), .login = SPAN_INIT("bob2") },
    { .via = SPAN_INIT("group") },
    { .via = SPAN_INIT("GRO*"), .states = STATE_HELD },
    { .via = SPAN_INIT("*"), .from = SPAN_INIT("s2*") },
    { .to = SPAN_INIT("r1@a.test") },
    { .to = SPAN_INIT("*@*.group") },
    { .to = SPAN_INIT("r*"), .domain = SPAN_INIT("b.test") },
    { .login = SPAN_INIT("bob1"), .reason = SPAN_INIT("4*") },
    { .client = SPAN_INIT("192.0.2.2"), .attempts = 1 },
    { .older_ms = 3 },
    { .newer_ms = 1 },
    { .newer_ms = 1, .older_ms = 4, .from = SPAN_INIT("s*") },
    { .newer_ms = 1000000, .states = STATE_HELD },
    { .older_ms = 2, .domain = SPAN_INIT("b.test") },
    { .newer_ms = 2, .reason = SPAN_INIT("4*") },
};

struct oracle_found {
    struct oracle *oracle;
    struct columns columns;
    enum queue_rank_key by;
    struct queue_count count;
    uint64_t ids[100000];
    size_t id_count;
};

static inline struct columns_row *oracle_row(struct oracle_found *f,
                                             const struct store_found *found)
{
    struct store_view view = view_of(f->oracle->q);
    struct buffer key = { 0 }, name = { 0 };
    struct columns_row *row;
    size_t at = span_find_last(found->address, '@');

    switch (f->by) {
    case RANK_FROM:
        return columns_name(&f->columns,
                            found->sender.len ? found->sender : SPAN("<>"));
    case RANK_CLIENT:
        return columns_name(&f->columns, found->client);
    case RANK_LOGIN:
        return columns_name(&f->columns, found->login);
    case RANK_DOMAIN:
        for (size_t i = at + 1; i < found->address.len; i++)
            buffer_put_byte(&name, ascii_lower(found->address.at[i]));
        break;
    case RANK_VIA:
    case RANK_KEYS:
        assert_int_equal(store_read_lane_key(f->oracle->db, found->lane, &key),
                         0);
        view.destination(view.user, buffer_span(&key), &name);
        break;
    }
    row = columns_name(&f->columns, buffer_span(&name));
    buffer_fini(&key);
    buffer_fini(&name);
    return row;
}

static inline void oracle_each(void *user, const struct store_found *found)
{
    struct oracle_found *f = user;

    f->count.recipients++;
    if (found->is_first) {
        f->count.messages++;
        f->count.bytes += found->size_bytes;
        f->ids[f->id_count++] = found->message;
    }
    columns_count(oracle_row(f, found), found->message, 1, found->size_bytes);
}

/* As the walk on disk has it. */
static inline struct oracle_found *oracle_walk(
    struct oracle *o, const struct queue_filter *filter, enum queue_rank_key by)
{
    struct oracle_found *f = NEW(struct oracle_found);
    struct store_view view = view_of(o->q);
    uint64_t next = 0;

    f->oracle = o;
    f->by = by;
    do {
        assert_int_equal(store_find(o->db, filter, queue_now_ms(o->q), &view,
                                    next, 1000, oracle_each, f, &next),
                         0);
    } while (next);
    return f;
}

static inline void oracle_end(struct oracle_found *take_f)
{
    columns_fini(&take_f->columns);
    free(take_f);
}

static inline void oracle_same_count(const struct queue_count *a,
                                     const struct queue_count *b)
{
    assert_int_equal(a->messages, b->messages);
    assert_int_equal(a->recipients, b->recipients);
    assert_int_equal(a->bytes, b->bytes);
}

static inline void oracle_same_rank(const struct columns_row *row,
                                    struct span name,
                                    const struct queue_count *count)
{
    assert_true(span_is(span_make(row->name, row->len), name));
    oracle_same_count(
        count, &(struct queue_count){ row->cells[COLUMNS_MESSAGES], row->total,
                                      row->cells[COLUMNS_BYTES] });
}

static inline void oracle_ranks(struct oracle *o, const struct queue_filter *f,
                                enum queue_rank_key by)
{
    struct oracle_found *walk = oracle_walk(o, f, by);
    struct queue_rank *ranks = NULL;
    struct columns places = { 0 };
    struct store_among first = { 0 };
    struct queue_count count;
    struct arena texts = { 0 };
    size_t n = 0, wanted = 0, i;
    struct columns_row **top = columns_top(&walk->columns, 4, &wanted), **told;

    o->asked++;
    if (by == RANK_VIA && roll_places(o->q, f, &count, &places, &first)) {
        o->answered++;
        oracle_same_count(&count, &walk->count);
        told = columns_top(&places, 4, &n);
        assert_int_equal(n, wanted);
        for (i = 0; i < n; i++)
            oracle_same_rank(
                top[i], span_make(told[i]->name, told[i]->len),
                &(struct queue_count){ told[i]->cells[COLUMNS_MESSAGES],
                                       told[i]->total,
                                       told[i]->cells[COLUMNS_BYTES] });
        assert_int_equal(first.count, walk->id_count < PREVIEW_ROWS
                                          ? walk->id_count
                                          : PREVIEW_ROWS);
        for (i = 0; i < first.count; i++)
            assert_int_equal(first.ids[i], walk->ids[i]);
        free(told);
    } else if (by != RANK_VIA &&
               roll_ranks(o->q, f, by, 4, &texts, &ranks, &n)) {
        o->answered++;
        assert_int_equal(n, wanted);
        for (i = 0; i < n; i++)
            oracle_same_rank(top[i], ranks[i].name, &ranks[i].count);
    }
    free(ranks);
    free(top);
    columns_fini(&places);
    store_among_fini(&first);
    arena_reset(&texts);
    oracle_end(walk);
}

/* All that the walk finds is among what the roll names, in order. */
static inline void oracle_among(struct oracle *o, const struct queue_filter *f,
                                const struct oracle_found *walk, bool is_exact)
{
    struct store_among among = { 0 };
    size_t at = 0;

    if (!roll_among(o->q, f, &among)) {
        store_among_fini(&among);
        return;
    }
    assert_true(among.is_over && among.is_known);
    for (size_t i = 0; i < walk->id_count; i++, at++) {
        while (at < among.count && among.ids[at] < walk->ids[i])
            at++;
        assert_true(at < among.count && among.ids[at] == walk->ids[i]);
    }
    if (is_exact)
        assert_int_equal(among.count, walk->id_count);
    store_among_fini(&among);
}

static inline void oracle_compare(struct oracle *o)
{
    size_t n = sizeof oracle_filters / sizeof *oracle_filters;

    for (size_t i = 0; i < n; i++) {
        const struct queue_filter *f = &oracle_filters[i];
        struct oracle_found *walk = oracle_walk(o, f, RANK_LOGIN);
        struct queue_count count;
        bool is_told = roll_count(o->q, f, &count);

        o->asked++;
        o->answered += is_told;
        if (is_told)
            oracle_same_count(&count, &walk->count);
        oracle_among(o, f, walk, is_told);
        oracle_end(walk);
        oracle_ranks(o, f, (enum queue_rank_key)((o->asked + i) % RANK_KEYS));
    }
}

#endif
