/*
 * sequel - what the history has behind an event, oldest first.
 *
 * By the number of the event, which is the key of the table: a look touches LOOK_MOST rows at
 * most, whatever the history holds and however few of them are wanted.
 */
#include "policy/vocabulary/memory.h"
#include "queue/annals_private.h"
#include "queue/core.h"

#include <stdlib.h>

enum { LOOK_MOST = 2000, ROWS_MOST = 1000 };

struct sequel {
    struct recount recount; /* first */
    struct arena arena;
    unsigned what;
    uint32_t limit;
    struct queue_told *rows;
    struct queue_sequel told;
    queue_sequel_fn *done;
    uint64_t token;
};

static int read_bounds(struct annals *a, struct queue_sequel *out)
{
    int64_t oldest = 0, newest = 0;
    int rc;

    if ((rc = database_number(&a->history,
                              "SELECT ifnull(min(id),0) FROM history",
                              &oldest)) < 0 ||
        (rc = database_number(&a->history,
                              "SELECT ifnull(max(id),0) FROM history",
                              &newest)) < 0)
        return rc;
    out->oldest = (uint64_t)oldest;
    out->newest = (uint64_t)newest;
    return 0;
}

/* ERROR_GONE is no failure: it was removed meanwhile. */
static int keep_row(struct annals *a, struct sequel *s, int64_t id)
{
    struct queue_told *row = &s->rows[s->told.count];
    int rc = annals_row(a, SOURCE_HISTORY, id, row);

    if (rc < 0)
        return rc == ERROR_GONE ? 0 : rc;
    recounting_keep(&s->arena, row);
    s->told.count++;
    annals_row_done(a, SOURCE_HISTORY);
    return 0;
}

static int look(struct annals *a, struct sequel *s, sqlite3_stmt *st)
{
    int rc = 0, code = SQLITE_DONE;

    bind_number(st, 1, (int64_t)s->told.last);
    bind_number(st, 2, LOOK_MOST);
    while (rc == 0 && s->told.count < s->limit &&
           (code = sqlite3_step(st)) == SQLITE_ROW) {
        int64_t id = column_number(st, 0);

        if (s->what &
            annals_what(SOURCE_HISTORY, column_number(st, 1), SPAN("")))
            rc = keep_row(a, s, id);
        if (rc == 0)
            s->told.last = (uint64_t)id;
    }
    if (rc == 0 && code != SQLITE_ROW && code != SQLITE_DONE)
        rc = database_fail(&a->history, code);
    return rc;
}

static bool step_sequel(struct annals *a, struct recount *r)
{
    struct sequel *s = (struct sequel *)r;
    sqlite3_stmt *st = NULL;
    int code;

    if ((r->rc = read_bounds(a, &s->told)) < 0)
        return true;
    code = sqlite3_prepare_v2(
        a->history.db,
        "SELECT id,kind FROM history WHERE id>?1 ORDER BY id LIMIT ?2", -1, &st,
        NULL);
    r->rc =
        code == SQLITE_OK ? look(a, s, st) : database_fail(&a->history, code);
    (void)sqlite3_finalize(st);
    return true;
}

static void open_letter(struct letter *take_l, bool is_dropped)
{
    struct sequel *s = (struct sequel *)take_l;

    s->told.rows = s->rows;
    if (!is_dropped)
        s->done(take_l->port->user, s->token, s->recount.rc, &s->told);
    arena_reset(&s->arena);
    free(s->rows);
    free(s);
}

void queue_sequel(struct queue_port *p, uint64_t after_id, unsigned what,
                  uint32_t limit, queue_sequel_fn *done, uint64_t token)
{
    struct sequel *s = NEW(struct sequel);

    s->recount.letter.port = p;
    s->recount.letter.open = open_letter;
    s->recount.step = step_sequel;
    s->what = what;
    s->limit = limit && limit < ROWS_MOST ? limit : ROWS_MOST;
    s->rows = NEW_ARRAY(struct queue_told, s->limit);
    s->told.last = after_id;
    s->told.begun = p->queue->begun_event;
    s->done = done;
    s->token = token;
    recounting_ask(&p->queue->recounting, &s->recount);
}
