/*
 * ranking - who fills the queue?
 *
 * What waits, counted by who sent it, where it came from or where it goes; a page at a time on
 * the thread of such questions. The table of names is bounded: what is over it is counted in a row
 * without a name. A message counts once wherever one of its matching recipients does. Where the
 * roll can tell, nothing is read, and names are not bounded.
 */
#include "policy/vocabulary/memory.h"
#include "queue/columns.h"
#include "queue/core.h"
#include "queue/criteria.h"
#include "queue/view.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE = 2000 };

struct ranking {
    struct recount recount; /* first */
    struct arena arena;
    struct queue_filter filter;
    struct store_among among;
    enum queue_rank_key by;
    size_t limit;
    uint64_t after_id;
    struct columns columns;
    bool has_asked;           /* the roll */
    struct queue_rank *ranks; /* that it gave, or NULL */
    size_t rank_count;
    struct store_reader *db; /* for the step, as is the next */
    struct store_view view;
    queue_rank_fn *done;
    uint64_t token;
};

static struct columns_row *meet_domain(struct ranking *s, struct span address)
{
    char folded[256];
    size_t at = span_find_last(address, '@');
    struct span domain = span_skip(address, at < address.len ? at + 1 : at);

    if (domain.len > sizeof folded)
        domain.len = sizeof folded;
    for (size_t i = 0; i < domain.len; i++)
        folded[i] = ascii_lower(domain.at[i]);
    return columns_name(&s->columns, span_make(folded, domain.len));
}

static void each_found(void *user, const struct store_found *f)
{
    struct ranking *s = user;
    struct columns_row *row = NULL;

    switch (s->by) {
    case RANK_FROM:
        row = columns_name(&s->columns, f->sender.len ? f->sender : SPAN("<>"));
        break;
    case RANK_CLIENT:
        row = columns_name(&s->columns, f->client);
        break;
    case RANK_LOGIN:
        row = columns_name(&s->columns, f->login);
        break;
    case RANK_DOMAIN:
        row = meet_domain(s, f->address);
        break;
    case RANK_VIA:
        row =
            columns_meet(&s->columns, f->lane, s->db, &s->view, &s->recount.rc);
        break;
    case RANK_KEYS:
        break;
    }
    if (row)
        columns_count(row, f->message, 1, f->size_bytes);
}

/* From memory, if it can be told from there. */
static bool look_up(struct queue *q, struct ranking *s)
{
    if (s->by == RANK_VIA)
        return roll_places(q, &s->filter, NULL, &s->columns, NULL);
    return roll_ranks(q, &s->filter, s->by, s->limit, &s->arena, &s->ranks,
                      &s->rank_count);
}

static bool step(struct store_reader *db, struct recount *r)
{
    struct ranking *s = (struct ranking *)r;
    struct queue *q = r->letter.port->queue;
    uint64_t next = 0;
    int rc;

    s->db = db;
    s->view = view_of(q);
    if (!s->has_asked) {
        s->has_asked = true;
        if (look_up(q, s))
            return true;
    }
    if (!view_narrow(&s->view, q, db, &s->filter, &s->among, &r->rc))
        return r->rc < 0;
    rc = store_find(db, &s->filter, queue_now_ms(q), &s->view, s->after_id,
                    PAGE, each_found, s, &next);
    if (rc < 0)
        s->recount.rc = rc;
    s->after_id = next;
    return s->recount.rc < 0 || next == 0;
}

static struct queue_rank rank_of(const struct columns_row *row, bool is_named)
{
    return (struct queue_rank){
        .is_named = is_named,
        .name = span_make(row->name, row->len),
        .count = { .messages = row->cells[COLUMNS_MESSAGES],
                   .recipients = row->total,
                   .bytes = row->cells[COLUMNS_BYTES] },
    };
}

static void tell(struct ranking *s, void *user)
{
    size_t count = 0;
    struct columns_row **top;
    struct queue_rank *ranks;

    if (s->ranks) {
        s->done(user, s->token, s->recount.rc, s->ranks, s->rank_count);
        return;
    }
    top = columns_top(&s->columns, s->limit, &count);
    ranks = NEW_ARRAY(struct queue_rank, count + 1);
    for (size_t i = 0; i < count; i++)
        ranks[i] = rank_of(top[i], true);
    if (s->columns.others)
        ranks[count++] = rank_of(s->columns.others, false);
    s->done(user, s->token, s->recount.rc, ranks, count);
    free(ranks);
    free(top);
}

static void open_letter(struct letter *take_l, bool is_dropped)
{
    struct ranking *s = (struct ranking *)take_l;

    if (!is_dropped)
        tell(s, take_l->port->user);
    free(s->ranks);
    columns_fini(&s->columns);
    store_among_fini(&s->among);
    arena_reset(&s->arena);
    free(s);
}

void queue_ranks(struct queue_port *p, const struct queue_filter *f,
                 enum queue_rank_key by, size_t limit, queue_rank_fn *done,
                 uint64_t token)
{
    struct ranking *s = NEW(struct ranking);

    s->recount.letter.port = p;
    s->recount.letter.open = open_letter;
    s->recount.walk = step;
    s->filter = criteria_copy(&s->arena, f);
    s->by = by;
    s->limit = limit;
    s->done = done;
    s->token = token;
    recounting_ask(&p->queue->recounting, &s->recount);
}
