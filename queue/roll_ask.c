/*
 * roll_ask - which rows does a filter mean?
 *
 * Names are held against the patterns once each, as store_scan.c would hold the texts of all
 * messages; then a row is a look at a byte for each dimension. An address ends with its lane's
 * domain, but where they may be written differently (IDN, a quoted local part): such a lane is
 * odd, and then a filter by domain is not exact.
 */
#include "queue/roll_private.h"

#include "queue/core.h"
#include "queue/view.h"

#include <sqlite3.h>
#include <stdlib.h>

enum {
    PATTERN_MOST = 1000,
    FREE = STATE_ACTIVE | STATE_READY | STATE_DEFERRED
};

/* One pattern of a filter, in small letters. */
struct pattern {
    struct buffer text;
    bool is_plain;       /* the text itself, and ASCII */
    struct buffer small; /* what is held against it */
};

static void put_small(struct buffer *b, struct span s)
{
    char *at = buffer_room(b, s.len);

    for (size_t i = 0; i < s.len; i++)
        at[i] = ascii_lower(s.at[i]);
    buffer_grew(b, s.len);
}

static bool is_plain(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] & 0x80 || s.at[i] == '\0' || strchr("*?[]", s.at[i]))
            return false;
    return true;
}

static struct pattern pattern_of(const char *prefix, struct span s)
{
    struct pattern p = { .is_plain = is_plain(s) };

    buffer_put_string(&p.text, prefix);
    put_small(&p.text, s);
    (void)buffer_string(&p.text);
    return p;
}

static bool is_match(struct pattern *p, struct span text)
{
    if (p->is_plain)
        return span_is_nocase(buffer_span(&p->text), text);
    buffer_clear(&p->small);
    put_small(&p->small, text);
    return sqlite3_strglob(p->text.at, buffer_string(&p->small)) == 0;
}

static void pattern_fini(struct pattern *p)
{
    buffer_fini(&p->text);
    buffer_fini(&p->small);
}

static uint8_t *bytes_of(const struct roll_names *all)
{
    return memory_zero(all->size + 1, 1);
}

/* ------------------------------------------------------------- people ---- */

/* A client by its address or its name. */
static bool is_called(struct pattern *p, enum roll_dimension d,
                      struct span text)
{
    size_t end = d == ROLL_CLIENT ? span_find(text, '\0') : text.len;

    return is_match(p, span_first(text, end)) ||
           (end < text.len && is_match(p, span_skip(text, end + 1)));
}

static void match_people(struct roll_pass *p, enum roll_dimension d,
                         struct span wanted)
{
    const struct roll_names *all = &p->queue->roll.names[d];
    bool is_null = d == ROLL_SENDER && span_is(wanted, SPAN("<>"));
    struct pattern pattern = pattern_of("", is_null ? SPAN("") : wanted);

    p->match[d] = wanted.len ? bytes_of(all) : NULL;
    for (uint32_t i = 0; wanted.len && i < all->size; i++)
        if (all->at[i])
            p->match[d][i] = is_called(&pattern, d, roll_text(all->at[i]));
    pattern_fini(&pattern);
}

/* -------------------------------------------------------------- lanes ---- */

/* What is known of the domain that an address ends with. */
struct domains {
    struct pattern domain; /* "*@" in front when it has wildcards */
    struct span to;        /* plain; empty: any */
    bool has_domain;
};

static bool is_domain(struct domains *w, const struct roll_name *n)
{
    struct span domain =
        span_first(roll_text(n), span_find(roll_text(n), '\t'));
    struct buffer address = { 0 };
    bool is_it;

    if (n->is_odd)
        return true;
    if (w->to.len && !span_is_nocase(w->to, domain))
        return false;
    if (!w->has_domain || w->domain.is_plain)
        return !w->has_domain || is_match(&w->domain, domain);
    buffer_put_byte(&address, '@');
    buffer_put(&address, domain);
    is_it = is_match(&w->domain, buffer_span(&address));
    buffer_fini(&address);
    return is_it;
}

/* As in store_scan.c: a name may look like a pattern, and need not be all of it. */
static bool leads_there(const struct store_view *v, struct pattern *via,
                        struct span lane)
{
    struct buffer name = { 0 };
    bool is_it;

    v->destination(v->user, lane, &name);
    is_it = span_begins_nocase(buffer_span(&name), buffer_span(&via->text)) ||
            is_match(via, buffer_span(&name));
    buffer_fini(&name);
    return is_it;
}

static struct span domain_of_address(struct span to)
{
    size_t at = span_find_last(to, '@');
    struct span domain = span_skip(to, at < to.len ? at + 1 : at);

    return is_plain(domain) ? domain : (struct span){ 0 };
}

static void match_lanes(struct roll_pass *p)
{
    const struct roll_names *all = &p->queue->roll.names[ROLL_LANE];
    const struct queue_filter *f = p->filter;
    struct domains w = { .to = domain_of_address(f->to),
                         .has_domain = f->domain.len > 0 };
    struct store_view view = view_of(p->queue);
    struct pattern via = pattern_of("", f->via);
    bool is_exact;

    if (!w.to.len && !w.has_domain && !f->via.len) {
        pattern_fini(&via);
        return;
    }
    is_exact =
        is_plain(f->domain) && span_find(f->domain, '@') == f->domain.len;
    w.domain = pattern_of(is_exact ? "" : "*@", f->domain);
    w.domain.is_plain = is_exact;
    p->match[ROLL_LANE] = bytes_of(all);
    for (uint32_t i = 0; i < all->size; i++)
        if (all->at[i])
            p->match[ROLL_LANE][i] =
                is_domain(&w, all->at[i]) &&
                (!f->via.len ||
                 leads_there(&view, &via, roll_text(all->at[i])));
    pattern_fini(&w.domain);
    pattern_fini(&via);
}

/* ------------------------------------------------------------ the pass --- */

static bool is_short(const struct queue_filter *f)
{
    const struct span all[] = { f->from,  f->to,     f->domain, f->client,
                                f->login, f->reason, f->via };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].len > PATTERN_MOST)
            return false;
    return true;
}

bool roll_pass_begin(struct roll_pass *p, struct queue *q,
                     const struct queue_filter *f)
{
    unsigned states = f->states ? f->states : FREE | STATE_HELD;

    *p = (struct roll_pass){ .queue = q, .filter = f };
    if (f->id || (states & STATE_DELETED) || !is_short(f))
        return false;
    p->takes_free = states & FREE;
    p->takes_held = states & STATE_HELD;
    p->is_aged = f->older_ms || f->newer_ms;
    p->is_exact = !f->to.len && !f->reason.len && !f->attempts &&
                  (!p->is_aged || q->roll.strange == 0) &&
                  (!p->takes_free || (states & FREE) == FREE) &&
                  (!f->domain.len || q->roll.names[ROLL_LANE].odd == 0);
    match_people(p, ROLL_SENDER, f->from);
    match_people(p, ROLL_CLIENT, f->client);
    match_people(p, ROLL_LOGIN, f->login);
    match_lanes(p);
    p->is_any = !p->is_aged && !p->match[ROLL_SENDER] &&
                !p->match[ROLL_CLIENT] && !p->match[ROLL_LOGIN] &&
                !p->match[ROLL_LANE];
    return true;
}

void roll_pass_end(struct roll_pass *p)
{
    for (int d = 0; d < ROLL_DIMENSIONS; d++)
        free(p->match[d]);
}

/* One whose row does not tell may be of any age. */
static bool is_of_age(const struct queue_filter *f, const struct roll_row *row)
{
    int64_t ms = roll_received_ms(row);

    return row->before_ms == ROLL_STRANGE ||
           ((!f->older_ms || ms < f->older_ms) &&
            (!f->newer_ms || ms > f->newer_ms));
}

static bool is_from(const struct roll_pass *p, const struct roll_row *row)
{
    if (p->is_aged && !is_of_age(p->filter, row))
        return false;
    for (int d = 0; d < ROLL_LANE; d++)
        if (p->match[d] && !p->match[d][row->who[d]])
            return false;
    return true;
}

static bool is_meant(const struct roll_pass *p, uint32_t lane, bool is_held)
{
    return (is_held ? p->takes_held : p->takes_free) &&
           (!p->match[ROLL_LANE] || p->match[ROLL_LANE][lane]);
}

/* True: enough. */
static bool walk_row(const struct roll_pass *p, const struct roll_row *row,
                     roll_hit_fn *hit, void *user)
{
    const struct roll_extras *e;
    bool is_first = true;

    if (row->many && is_meant(p, row->lane, row->is_held)) {
        if (!hit(user, row, row->lane, row->many, true))
            return true;
        is_first = false;
    }
    e = row->has_extras ? roll_extras_find(&p->queue->roll, row->id) : NULL;
    for (uint32_t i = 0; e && i < e->count; i++) {
        if (!is_meant(p, e->at[i].lane, e->at[i].is_held))
            continue;
        if (!hit(user, row, e->at[i].lane, 1, is_first))
            return true;
        is_first = false;
    }
    return false;
}

void roll_pass_walk(const struct roll_pass *p, roll_hit_fn *hit, void *user)
{
    const struct roll *r = &p->queue->roll;

    for (size_t i = 0; i < r->chunk_count; i++) {
        const struct roll_chunk *c = r->chunks[i];

        for (uint32_t k = 0; k < c->used; k++)
            if (roll_is_live(&c->rows[k]) && is_from(p, &c->rows[k]) &&
                walk_row(p, &c->rows[k], hit, user))
                return;
    }
}
