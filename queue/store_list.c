/*
 * store_list - the queue as a person sees it: rows, and how many.
 *
 * A row is a message with those of its recipients that the filter means. Its
 * state is that of the busiest of them, in the order of enum queue_state.
 */
#include "queue/store_private.h"

#include "policy/vocabulary/arena.h"
#include "policy/vocabulary/memory.h"

#include <stdlib.h>

enum {
    ALL_BUT_DELETED = STATE_ACTIVE | STATE_READY | STATE_DEFERRED | STATE_HELD,
    /* Of one call, whose read transaction keeps the WAL from beginning anew; a thread of low
     * priority may need several times as long as the processor does. */
    LOOKS = 4000,
    SLICE_MS = 50,
};

/* Where a walk over the queue is, and how far it may go. */
struct stretch {
    const struct queue_filter *filter;
    int64_t now_ms;
    const struct store_view *view; /* may be NULL */
    uint64_t after_id;
    uint32_t limit;
};

/* In one transaction. */
static int walk_among(struct store_reader *r, const struct scan *scan,
                      uint64_t *out_next)
{
    int rc = store_read_begin(r);

    if (rc < 0)
        return rc;
    rc = store_among_scan(&r->db, scan, out_next);
    store_read_end(r);
    return rc;
}

static int walk(struct store_reader *r, const struct stretch *s,
                void (*each)(void *user, const struct scan_row *r), void *user,
                uint64_t *out_next)
{
    struct scan scan = {
        .filter = s->filter,
        .states = ALL_BUT_DELETED,
        .now_ms = s->now_ms,
        .view = s->view,
        .after_id = s->after_id,
        .limit = s->limit,
        .looks = LOOKS,
        .slice_ms = SLICE_MS,
        .each = each,
        .user = user,
    };

    if (s->view && s->view->among && s->view->among->is_known)
        return walk_among(r, &scan, out_next);
    if (s->view && s->view->among && s->view->among->first > scan.after_id)
        scan.after_id = s->view->among->first - 1;
    return store_scan(&r->db, &scan, out_next);
}

struct listing {
    struct queue_row row; /* of the message being gathered */
    struct queue_row_recipient *recipients;
    size_t size;
    struct arena arena; /* its texts */
    void (*each)(void *user, const struct queue_row *row);
    void *user;
};

static void give_row(struct listing *l)
{
    if (l->row.count) {
        l->row.recipients = l->recipients;
        l->each(l->user, &l->row);
    }
    l->row = (struct queue_row){ 0 };
    arena_reset(&l->arena);
}

static void begin_row(struct listing *l, const struct scan_row *r)
{
    l->row = (struct queue_row){
        .id = r->message,
        .received_ms = r->received_ms,
        .expire_ms = NEVER_MS,
        .size_bytes = r->size_bytes,
        .sender = arena_copy(&l->arena, r->sender),
        .client = arena_copy(&l->arena, r->client),
        .login = arena_copy(&l->arena, r->login),
        .helo = arena_copy(&l->arena, r->helo),
        .state = r->state,
    };
}

static void list_each(void *user, const struct scan_row *r)
{
    struct listing *l = user;

    if (r->is_first) {
        give_row(l);
        begin_row(l, r);
    }
    if (l->row.count == l->size) {
        l->size = l->size ? l->size * 2 : 16;
        l->recipients =
            memory_grow(l->recipients, l->size * sizeof *l->recipients);
    }
    l->recipients[l->row.count++] = (struct queue_row_recipient){
        .address = arena_copy(&l->arena, r->address),
        .reason = arena_copy(&l->arena, r->reason),
        .state = r->state,
        .attempts = r->attempts,
        .due_ms = r->next_ms,
    };
    if (r->deed.len)
        store_deed_read(arena_copy(&l->arena, r->deed),
                        &l->recipients[l->row.count - 1].deed);
    if (r->state < l->row.state)
        l->row.state = r->state;
    if (r->expire_ms < l->row.expire_ms)
        l->row.expire_ms = r->expire_ms;
}

int store_list(struct store_reader *r, const struct queue_filter *f,
               uint64_t after_id, uint32_t limit, int64_t now_ms,
               const struct store_view *view,
               void (*each)(void *user, const struct queue_row *row),
               void *user, uint64_t *out_next)
{
    struct listing l = { .each = each, .user = user };
    struct stretch s = { f, now_ms, view, after_id, limit };
    int rc = walk(r, &s, list_each, &l, out_next);

    if (rc == 0)
        give_row(&l);
    arena_reset(&l.arena);
    free(l.recipients);
    return rc;
}

static void count_each(void *user, const struct scan_row *r)
{
    struct queue_count *count = user;

    count->recipients++;
    if (r->is_first) {
        count->messages++;
        count->bytes += r->size_bytes;
    }
}

static bool is_of_all(const struct queue_filter *f)
{
    return !f->id && !f->from.len && !f->to.len && !f->domain.len &&
           !f->client.len && !f->login.len && !f->reason.len && !f->via.len &&
           !f->states && !f->older_ms && !f->newer_ms && !f->attempts;
}

/* Nothing has to be judged of what waits: it is added up where it stands. */
static int count_all(struct store_reader *r, uint64_t after_id,
                     struct queue_count *count, uint64_t *out_next)
{
    sqlite3_stmt *bound = database_statement(&r->db, SCAN_BOUND);
    sqlite3_stmt *st = database_statement(&r->db, COUNT_WAITING);
    int64_t end = INT64_MAX;
    int rc;

    bind_number(bound, 1, (int64_t)after_id);
    bind_number(bound, 2, LOOKS - 1);
    if ((rc = database_step(&r->db, SCAN_BOUND)) < 0)
        return rc;
    if (rc == 1) {
        end = column_number(bound, 0);
        database_reset(&r->db, SCAN_BOUND);
    }
    bind_number(st, 1, (int64_t)after_id);
    bind_number(st, 2, end);
    if ((rc = database_step(&r->db, COUNT_WAITING)) < 0)
        return rc;
    if (rc == 1) {
        count->messages += (uint64_t)column_number(st, 0);
        count->recipients += (uint64_t)column_number(st, 1);
        count->bytes += (uint64_t)column_number(st, 2);
        database_reset(&r->db, COUNT_WAITING);
    }
    *out_next = end == INT64_MAX ? 0 : (uint64_t)end;
    return 0;
}

int store_count(struct store_reader *r, const struct queue_filter *f,
                int64_t now_ms, const struct store_view *view,
                uint64_t after_id, uint32_t limit, struct queue_count *count,
                uint64_t *out_next)
{
    struct stretch s = { f, now_ms, view, after_id, limit };

    if (is_of_all(f))
        return count_all(r, after_id, count, out_next);
    return walk(r, &s, count_each, count, out_next);
}

struct surveying {
    struct queue_survey *survey;
    int64_t now_ms;
};

static void tally(struct histogram_sum *h, const struct histogram_scale *s,
                  uint64_t value)
{
    unsigned i = 0;

    while (i < s->count && value > s->bounds[i])
        i++;
    h->counts[i]++;
    h->sum += value;
}

static void survey_each(void *user, const struct scan_row *r)
{
    struct surveying *s = user;
    struct queue_survey *to = s->survey;
    int64_t age_s = (s->now_ms - r->received_ms) / 1000;

    to->recipients++;
    if (!r->is_first)
        return;
    to->messages++;
    to->bytes += r->size_bytes;
    if (!to->oldest_ms || r->received_ms < to->oldest_ms)
        to->oldest_ms = r->received_ms;
    tally(&to->ages, &histogram_waits, age_s > 0 ? (uint64_t)age_s : 0);
    tally(&to->sizes, &histogram_sizes, r->size_bytes);
}

int store_survey(struct store_reader *r, const struct queue_filter *f,
                 int64_t now_ms, const struct store_view *view,
                 uint64_t after_id, uint32_t limit, struct queue_survey *survey,
                 uint64_t *out_next)
{
    struct surveying to = { survey, now_ms };
    struct stretch s = { f, now_ms, view, after_id, limit };

    return walk(r, &s, survey_each, &to, out_next);
}

struct finding {
    store_found_fn *each;
    void *user;
};

static void find_each(void *user, const struct scan_row *r)
{
    const struct finding *f = user;

    f->each(f->user, &(struct store_found){ .lane = r->lane,
                                            .message = r->message,
                                            .size_bytes = r->size_bytes,
                                            .received_ms = r->received_ms,
                                            .is_first = r->is_first,
                                            .sender = r->sender,
                                            .client = r->client,
                                            .login = r->login,
                                            .address = r->address });
}

int store_find(struct store_reader *r, const struct queue_filter *f,
               int64_t now_ms, const struct store_view *view, uint64_t after_id,
               uint32_t limit, store_found_fn *each, void *user,
               uint64_t *out_next)
{
    struct finding finding = { each, user };
    struct stretch s = { f, now_ms, view, after_id, limit };

    return walk(r, &s, find_each, &finding, out_next);
}
