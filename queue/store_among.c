/*
 * store_among - the few messages that a filter by domain, destination or state may mean.
 *
 * Lanes are looked through first, a page at a time: those whose domain or destination the
 * filter means lead by the index of what is due to their messages, whose ids are sorted. A
 * filter is then asked of these alone, so that it means the same as ever, in the same order.
 * Messages that come to those lanes meanwhile are not among them.
 *
 * What is due now is ready, but where its lane's destination rests; then it is deferred, as what
 * is due later. So the same index leads to the few that are ready where most are deferred, and
 * the other way round; what is being sent is told.
 *
 * A lane's domain is that of its recipients' addresses, folded; where the two may be written
 * differently (IDN, address literals) the lane is one of those. Where there are too many lanes
 * or messages, or where a pattern could match in front of the domain, all messages are
 * looked at.
 */
#include "queue/store_private.h"

#include "policy/vocabulary/memory.h"

#include <stdlib.h>

enum {
    AMONG_MESSAGES = 20 * 1000,
    AMONG_LANES = 100 * 1000,
    AMONG_PAGE = 500,     /* lanes in one slice */
    AMONG_LOOKS = 1000,   /* messages looked at in one slice */
    AMONG_PATTERN = 1000, /* what is longer is for store_scan to refuse */
    DUE = STATE_READY | STATE_ACTIVE,
};

struct search {
    struct store_reader *r;
    struct store_among *to;
    const struct store_view *view;
    struct buffer domain, via; /* patterns in small letters; empty: any */
    bool is_ending;            /* the domain's: it began with a star */
    unsigned states;           /* that it is narrowed by; 0: any */
};

static void put_small(struct buffer *b, struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        buffer_put_byte(b, ascii_lower(s.at[i]));
}

static bool is_plain(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] & 0x80 || strchr("*?[@", s.at[i]))
            return false;
    return true;
}

bool store_among_has_state(const struct queue_filter *f)
{
    return f->states && (!(f->states & ~DUE) || f->states == STATE_DEFERRED);
}

/* Text without wildcards, or behind one star: that cannot end in front of the domain. */
static bool is_useful(const struct queue_filter *f, unsigned states)
{
    const struct span all[] = { f->from,  f->to,     f->domain, f->client,
                                f->login, f->reason, f->via };
    struct span domain = f->domain;

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].len > AMONG_PATTERN)
            return false;
    if (span_starts_nocase(domain, SPAN("*")))
        domain = span_skip(domain, 1);
    return !f->id && (f->domain.len || f->via.len || states) &&
           is_plain(domain);
}

static bool is_domain(const struct search *s, struct span key)
{
    struct span domain = span_first(key, span_find(key, '\t'));
    struct span wanted = buffer_span(&s->domain);

    if (!is_plain(domain) || domain.len == 0)
        return true;
    for (size_t i = 0; i + 4 <= domain.len; i++)
        if (span_is(span_make(domain.at + i, 4), SPAN("xn--")))
            return true;
    return s->is_ending ? span_ends_nocase(domain, wanted)
                        : wanted.len == 0 || span_is_nocase(domain, wanted);
}

/* As in store_scan.c. */
static bool is_destination(struct search *s, struct span key)
{
    struct buffer name = { 0 }, small = { 0 };
    bool is_it;

    if (!s->via.len)
        return true;
    if (s->view && s->view->destination)
        s->view->destination(s->view->user, key, &name);
    put_small(&small, buffer_span(&name));
    is_it = span_begins_nocase(buffer_span(&small), buffer_span(&s->via)) ||
            sqlite3_strglob(buffer_string(&s->via), buffer_string(&small)) == 0;
    buffer_fini(&name);
    buffer_fini(&small);
    return is_it;
}

static void put_id(void *user, uint64_t message)
{
    struct store_among *to = user;

    if (to->count > AMONG_MESSAGES)
        return;
    if (to->count == to->room) {
        to->room = to->room ? to->room * 2 : 64;
        to->ids = memory_grow(to->ids, to->room * sizeof *to->ids);
    }
    to->ids[to->count++] = message;
}

/* Does what is due wait all the same? As in store_scan.c. */
static bool is_resting(const struct search *s, struct span key)
{
    struct buffer reason = { 0 };
    int64_t due_ms = 0;
    bool is_it = s->view->is_resting &&
                 s->view->is_resting(s->view->user, key, &due_ms, &reason);

    buffer_fini(&reason);
    return is_it && due_ms > s->view->now_ms;
}

/* When is due what the states mean? After, and until. */
static void bind_due(sqlite3_stmt *st, const struct search *s, struct span key)
{
    int64_t after_ms = INT64_MIN, until_ms = INT64_MAX;

    if (s->states) {
        bool rests = is_resting(s, key);

        if (s->states & STATE_READY)
            until_ms = rests ? INT64_MIN : s->view->now_ms;
        else if (!rests)
            after_ms = s->view->now_ms;
    }
    bind_number(st, 3, after_ms);
    bind_number(st, 4, until_ms);
}

/* One more than may be shows that there are too many. */
static int take_lane(struct search *s, int64_t lane, struct span key)
{
    struct store_among *to = s->to;
    sqlite3_stmt *st = database_statement(&s->r->db, LANE_MESSAGES);
    int rc;

    bind_number(st, 1, lane);
    bind_number(st, 2, (int64_t)(AMONG_MESSAGES + 1 - to->count));
    bind_due(st, s, key);
    while ((rc = database_step(&s->r->db, LANE_MESSAGES)) == 1)
        put_id(to, (uint64_t)column_number(st, 0));
    return rc;
}

static int look_at_lanes(struct search *s, bool *out_more)
{
    sqlite3_stmt *st = database_statement(&s->r->db, PAGE_OF_LANES);
    int count = 0, rc;

    bind_number(st, 1, s->to->after_lane);
    bind_number(st, 2, AMONG_PAGE);
    while ((rc = database_step(&s->r->db, PAGE_OF_LANES)) == 1) {
        struct span key = column_span(st, 1);

        count++;
        s->to->after_lane = column_number(st, 0);
        if (!is_domain(s, key) || !is_destination(s, key))
            continue;
        if ((rc = take_lane(s, s->to->after_lane, key)) < 0 ||
            s->to->count > AMONG_MESSAGES) {
            database_reset(&s->r->db, PAGE_OF_LANES);
            break;
        }
    }
    *out_more = count == AMONG_PAGE;
    return rc < 0 ? rc : 0;
}

static int compare_ids(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static void sort(struct store_among *a)
{
    size_t n = 0;

    if (a->count)
        qsort(a->ids, a->count, sizeof *a->ids, compare_ids);
    for (size_t i = 0; i < a->count; i++)
        if (n == 0 || a->ids[n - 1] != a->ids[i])
            a->ids[n++] = a->ids[i];
    a->count = n;
}

int store_among_look(struct store_reader *r, const struct queue_filter *f,
                     const struct store_view *view, struct store_among *a)
{
    struct search s = { .r = r, .to = a, .view = view };
    bool has_more = false;
    int rc = 0;

    if (view && view->now_ms && view->claimed && store_among_has_state(f))
        s.states = f->states;
    a->is_over = !is_useful(f, s.states);
    if (a->is_over)
        return 0;
    s.is_ending = span_starts_nocase(f->domain, SPAN("*"));
    put_small(&s.domain, span_skip(f->domain, s.is_ending));
    put_small(&s.via, f->via);
    if (view && !a->lanes && s.states & STATE_ACTIVE)
        view->claimed(view->user, put_id, a);
    if (s.states != STATE_ACTIVE)
        rc = look_at_lanes(&s, &has_more);
    buffer_fini(&s.domain);
    buffer_fini(&s.via);
    if (rc < 0)
        return rc;
    a->lanes += AMONG_PAGE;
    a->is_known = !has_more && a->count <= AMONG_MESSAGES;
    a->is_over =
        a->is_known || a->count > AMONG_MESSAGES || a->lanes >= AMONG_LANES;
    if (a->is_known)
        sort(a);
    return 0;
}

/* The place of the first id behind this one. */
static size_t place_after(const struct store_among *a, uint64_t after_id)
{
    size_t low = 0, high = a->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (a->ids[middle] > after_id)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

struct given {
    void (*each)(void *user, const struct scan_row *r);
    void *user;
    uint32_t messages;
};

static void give(void *user, const struct scan_row *r)
{
    struct given *g = user;

    g->messages += r->is_first;
    g->each(g->user, r);
}

/* One after the other, each as if it had been asked for by its id. */
int store_among_scan(struct database *d, const struct scan *asked,
                     uint64_t *out_next)
{
    const struct store_among *a = asked->view->among;
    struct queue_filter one = *asked->filter;
    struct given given = { asked->each, asked->user, 0 };
    size_t first = place_after(a, asked->after_id), i;
    struct scan scan = *asked;
    uint64_t next = 0;
    int rc = 0;

    scan.filter = &one;
    scan.each = give;
    scan.user = &given;
    for (i = first; rc == 0 && i < a->count && i < first + AMONG_LOOKS &&
                    given.messages < asked->limit;
         i++) {
        one.id = a->ids[i];
        scan.after_id = 0;
        rc = store_scan(d, &scan, &next);
    }
    if (rc == 0)
        *out_next = i > first && i < a->count ? a->ids[i - 1] : 0;
    return rc;
}

void store_among_fini(struct store_among *a)
{
    free(a->ids);
    *a = (struct store_among){ 0 };
}
