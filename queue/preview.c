/*
 * preview - what would an order meet?
 *
 * The roll tells all but the first few rows; or it goes as a count, a page at a time on the
 * thread of such questions. The rows are those of a list, and where each lane leads is asked
 * once.
 */
#include "policy/vocabulary/memory.h"
#include "queue/columns.h"
#include "queue/core.h"
#include "queue/criteria.h"
#include "queue/rows.h"
#include "queue/view.h"

#include <stdlib.h>

enum { PAGE = 2000 };

struct preview {
    struct recount recount; /* first */
    struct arena arena;
    struct queue_filter filter;
    struct store_among among;
    uint64_t after_id;
    struct queue_row rows[PREVIEW_ROWS];
    size_t row_count;
    bool has_asked;         /* the roll, and: */
    bool is_counted;        /* it told all but the rows */
    bool is_listed;         /* the rows are there */
    struct columns columns; /* destinations */
    struct queue_count count;
    struct store_reader *db; /* for the step, as is the next */
    struct store_view view;
    queue_preview_fn *done;
    uint64_t token;
};

static void each_row(void *user, const struct queue_row *row)
{
    struct preview *s = user;

    if (s->row_count < PREVIEW_ROWS)
        rows_copy(&s->arena, row, &s->rows[s->row_count++]);
}

static void each_found(void *user, const struct store_found *f)
{
    struct preview *s = user;
    struct columns_row *row =
        columns_meet(&s->columns, f->lane, s->db, &s->view, &s->recount.rc);

    s->count.recipients++;
    if (f->is_first) {
        s->count.messages++;
        s->count.bytes += f->size_bytes;
    }
    if (row)
        row->total++;
}

static bool step(struct store_reader *db, struct recount *r)
{
    struct preview *s = (struct preview *)r;
    struct queue *q = r->letter.port->queue;
    int64_t now_ms = queue_now_ms(q);
    uint64_t next = 0;
    int rc;

    s->db = db;
    s->view = view_of(q);
    if (!s->has_asked) {
        s->has_asked = true;
        s->is_counted =
            roll_places(q, &s->filter, &s->count, &s->columns, &s->among);
    }
    if (!view_narrow(&s->view, q, db, &s->filter, &s->among, &r->rc))
        return r->rc < 0;
    if (!s->is_listed) {
        s->recount.rc = store_list(db, &s->filter, s->after_id, PREVIEW_ROWS,
                                   now_ms, &s->view, each_row, s, &next);
        s->is_listed = s->recount.rc < 0 || s->row_count || next == 0;
        s->after_id = s->is_listed ? 0 : next;
        return s->recount.rc < 0 || (s->is_listed && s->is_counted);
    }
    rc = store_find(db, &s->filter, now_ms, &s->view, s->after_id, PAGE,
                    each_found, s, &next);
    if (rc < 0)
        s->recount.rc = rc;
    s->after_id = next;
    return s->recount.rc < 0 || next == 0;
}

static void tell(struct preview *s, void *user)
{
    struct queue_preview out = { .count = s->count,
                                 .rows = s->rows,
                                 .row_count = s->row_count,
                                 .destinations = s->columns.names };
    struct columns_row **top =
        columns_top(&s->columns, PREVIEW_DESTINATIONS, &out.busiest_count);

    for (size_t i = 0; i < out.busiest_count; i++) {
        out.busiest[i].name = span_make(top[i]->name, top[i]->len);
        out.busiest[i].recipients = top[i]->total;
    }
    s->done(user, s->token, s->recount.rc, &out);
    free(top);
}

static void open_letter(struct letter *take_l, bool is_dropped)
{
    struct preview *s = (struct preview *)take_l;

    if (!is_dropped)
        tell(s, take_l->port->user);
    columns_fini(&s->columns);
    store_among_fini(&s->among);
    arena_reset(&s->arena);
    free(s);
}

void queue_preview(struct queue_port *p, const struct queue_filter *f,
                   queue_preview_fn *done, uint64_t token)
{
    struct preview *s = NEW(struct preview);

    s->recount.letter.port = p;
    s->recount.letter.open = open_letter;
    s->recount.walk = step;
    s->filter = criteria_copy(&s->arena, f);
    s->done = done;
    s->token = token;
    recounting_ask(&p->queue->recounting, &s->recount);
}
