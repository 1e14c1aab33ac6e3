/*
 * annals - the history, read from its newest row back.
 *
 * A slice opens one statement for each source, all at the same place, and gives out the latest
 * of their heads until the clock ends it. The place moves on with every row that was looked
 * at, found or not, so that the next slice, of a minute later too, goes on where this one was.
 */
#include "queue/annals_private.h"

#include "policy/vocabulary/memory.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    PATTERN_MOST = 1000,
    CLOCK_ROWS = 64, /* between looks at the clock */
};

/* ------------------------------------------------------------- opening --- */

static int open_history(struct annals *a)
{
    int64_t version;
    int rc = past_open(&a->history, buffer_string(&a->history_path), &version);

    if (rc == 0 && version < HISTORY_VERSION)
        rc = ERROR_OLDER;
    return rc;
}

/* The outbox: what has a larger id than anything in the history was not copied. */
static int open_events(struct annals *a)
{
    int64_t has_dialogue;
    int rc;

    if ((rc = database_open(&a->queue, buffer_string(&a->queue_path),
                            DATABASE_PAST)) < 0 ||
        (rc = database_number(&a->queue,
                              "SELECT count(*) FROM pragma_table_info('event')"
                              " WHERE name='dialogue'",
                              &has_dialogue)) < 0)
        return rc;
    if (!has_dialogue)
        return ERROR_OLDER;
    return database_number(&a->history, "SELECT ifnull(max(id),0) FROM history",
                           &a->copied);
}

int annals_open(struct annals **out_a, const char *queue_path, bool with_events)
{
    struct annals *a = NEW(struct annals);
    int rc;

    history_path(queue_path, &a->history_path);
    buffer_put_string(&a->queue_path, queue_path);
    *out_a = a;
    if ((rc = open_history(a)) < 0)
        return rc;
    if (with_events)
        rc = open_events(a);
    a->has_events = with_events && rc == 0;
    return rc;
}

void annals_close(struct annals *a)
{
    if (!a)
        return;
    for (int i = 0; i < ANNALS_SOURCES; i++)
        (void)sqlite3_finalize(a->row[i]);
    database_close(&a->history);
    database_close(&a->queue);
    buffer_fini(&a->history_path);
    buffer_fini(&a->queue_path);
    free(a);
}

const char *annals_path(const struct annals *a)
{
    const struct buffer *b = a->queue.db ? &a->queue_path : &a->history_path;

    return b->at;
}

/* ------------------------------------------------------------ the walk --- */

static bool read_pattern(struct annals_pattern *p, struct span given)
{
    *p = (struct annals_pattern){ .is_given = given.len > 0, .is_exact = true };
    for (size_t i = 0; i < given.len; i++) {
        buffer_put_byte(&p->text, ascii_lower(given.at[i]));
        if (is_one_of(given.at[i], "*?["))
            p->is_exact = false;
    }
    (void)buffer_string(&p->text);
    return given.len <= PATTERN_MOST;
}

/* "*@example.org" means all of a domain, which an index leads to. */
static void read_domain(struct annals_pattern *p, struct span to)
{
    struct span domain = span_skip(to, 2);

    if (span_starts_nocase(to, SPAN("*@")) && domain.len &&
        span_find(domain, '@') == domain.len)
        (void)read_pattern(p, domain);
}

int annals_walk_init(struct annals_walk *w, const struct queue_filter *f,
                     const struct queue_place *after)
{
    bool is_good;

    *w = (struct annals_walk){ .filter = *f };
    if (after)
        w->place = *after;
    is_good = read_pattern(&w->from, f->from);
    if (span_is(f->from, SPAN("<>")))
        buffer_clear(&w->from.text);
    is_good &= read_pattern(&w->to, f->to);
    is_good &= read_pattern(&w->domain, f->domain);
    read_domain(&w->to_domain, f->to);
    is_good &= read_pattern(&w->client, f->client);
    is_good &= read_pattern(&w->login, f->login);
    is_good &= read_pattern(&w->reason, f->reason);
    return is_good ? 0 : ERROR_TOO_BIG;
}

void annals_walk_fini(struct annals_walk *w)
{
    buffer_fini(&w->from.text);
    buffer_fini(&w->to.text);
    buffer_fini(&w->domain.text);
    buffer_fini(&w->to_domain.text);
    buffer_fini(&w->client.text);
    buffer_fini(&w->login.text);
    buffer_fini(&w->reason.text);
    buffer_fini(&w->scratch);
}

/* One source in a slice. */
struct head {
    sqlite3_stmt *st; /* NULL: it has no more */
    int64_t at_ms;
};

struct slice {
    struct annals *annals;
    struct annals_walk *walk;
    struct head heads[ANNALS_SOURCES];
};

static int64_t monotonic_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int step_head(struct slice *s, int i)
{
    struct head *h = &s->heads[i];
    int rc;

    if (!h->st)
        return 0;
    rc = sqlite3_step(h->st);
    if (rc == SQLITE_ROW) {
        h->at_ms = column_number(h->st, COLUMN_AT);
        return 0;
    }
    if (rc != SQLITE_DONE)
        rc = database_fail(annals_database(s->annals, (enum annals_source)i),
                           rc);
    else
        rc = 0;
    (void)sqlite3_finalize(h->st);
    h->st = NULL;
    return rc;
}

static int open_heads(struct slice *s)
{
    int rc = s->walk->is_planned ? 0 : annals_plan(s->annals, s->walk);

    for (int i = 0; i < ANNALS_SOURCES && rc == 0; i++) {
        rc = annals_prepare(s->annals, s->walk, (enum annals_source)i,
                            &s->heads[i].st);
        if (rc == 0)
            rc = step_head(s, i);
    }
    return rc;
}

/* The latest; among equals the first; -1: that was all. */
static int latest_head(const struct slice *s)
{
    int best = -1;

    for (int i = 0; i < ANNALS_SOURCES; i++)
        if (s->heads[i].st &&
            (best < 0 || s->heads[i].at_ms > s->heads[best].at_ms))
            best = i;
    return best;
}

static int give(struct slice *s, int i, annals_fn *each, void *user,
                bool *out_taken)
{
    enum annals_source source = (enum annals_source)i;
    int64_t id = column_number(s->heads[i].st, COLUMN_ID);
    struct queue_told row;
    int rc = annals_row(s->annals, source, id, &row);

    if (rc < 0)
        return rc;
    *out_taken = each(user, &row);
    annals_row_done(s->annals, source);
    return 0;
}

static int walk(struct slice *s, uint32_t limit, int64_t until_ms,
                annals_fn *each, void *user, bool *out_more)
{
    struct annals_walk *w = s->walk;
    uint32_t looked = 0, found = 0;
    int i, rc = 0;

    while ((i = latest_head(s)) >= 0) {
        struct head *h = &s->heads[i];

        *out_more = true;
        if (found == limit || (looked % CLOCK_ROWS == CLOCK_ROWS - 1 &&
                               monotonic_ms() > until_ms))
            return 0;
        looked++;
        if (annals_match(w, (enum annals_source)i, h->st)) {
            bool is_taken;

            if ((rc = give(s, i, each, user, &is_taken)) < 0)
                return rc;
            if (!is_taken)
                return 0;
            found++;
        }
        w->place =
            (struct queue_place){ h->at_ms, column_number(h->st, COLUMN_ID),
                                  (unsigned)i };
        if ((rc = step_head(s, i)) < 0)
            return rc;
    }
    *out_more = false;
    return 0;
}

int annals_slice(struct annals *a, struct annals_walk *w, uint32_t limit,
                 int64_t slice_ms, annals_fn *each, void *user, bool *out_more)
{
    struct slice s = { .annals = a, .walk = w };
    int64_t until_ms = monotonic_ms() + slice_ms;
    int rc = database_exec(&a->history, "BEGIN");

    if (rc < 0)
        return rc;
    if ((rc = open_heads(&s)) == 0)
        rc = walk(&s, limit, until_ms, each, user, out_more);
    for (int i = 0; i < ANNALS_SOURCES; i++)
        (void)sqlite3_finalize(s.heads[i].st);
    if (database_exec(&a->history, "COMMIT") < 0 && rc == 0)
        rc = ERROR_STORE;
    return rc;
}
