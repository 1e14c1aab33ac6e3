/*
 * store_change - a person's orders, in slices.
 *
 *               retry
 *              +-----+
 *              |     v         hold
 *              waiting  ---------------->  held
 *               |   ^   <----------------   |  ^
 *        delete |   |        release        |  |
 *               v   | undelete       delete v  | undelete
 *              deleted                   deleted, held
 *                 |  a day later                |
 *                 +----------> gone <-----------+
 *
 * What waits or is held may also be moved to another lane, and stays what it is, or be
 * bounced: it is "returned" then, which is never due and an alarm at once, until the relay
 * has settled it together with the report; nothing else meets it any more.
 *
 * While a recipient is held or deleted its clock stands still: expiry and delay
 * notice move on by that time when it is let go. A table says which states an
 * order meets; the others are left as they are and not counted.
 */
#include "queue/store_private.h"

#include "policy/vocabulary/memory.h"

#include <stdlib.h>

static const struct order {
    const char *name;
    unsigned states;         /* meant when the filter names none */
    unsigned needs, forbids; /* stored bits */
    unsigned sets, clears;
} orders[] = {
    /* clang-format off */
    [CHANGE_RETRY]    = { "retry",    ~0U & ~STATE_DELETED,
                          0, STORED_HELD | STORED_DELETED | STORED_RETURNED, 0, 0 },
    [CHANGE_DELETE]   = { "delete",   ~0U & ~STATE_DELETED,
                          0, STORED_DELETED | STORED_RETURNED, STORED_DELETED, 0 },
    [CHANGE_UNDELETE] = { "undelete", STATE_DELETED,
                          STORED_DELETED, 0, 0, STORED_DELETED },
    [CHANGE_HOLD]     = { "hold",     ~0U & ~STATE_DELETED,
                          0, STORED_HELD | STORED_DELETED | STORED_RETURNED,
                          STORED_HELD, 0 },
    [CHANGE_RELEASE]  = { "release",  STATE_HELD,
                          STORED_HELD, STORED_DELETED, 0, STORED_HELD },
    [CHANGE_MOVE]     = { "move",     ~0U & ~STATE_DELETED,
                          0, STORED_DELETED | STORED_RETURNED, 0, 0 },
    [CHANGE_BOUNCE]   = { "bounce",   ~0U & ~STATE_DELETED,
                          0, STORED_DELETED | STORED_RETURNED,
                          STORED_RETURNED, STORED_HELD },
    /* clang-format on */
};

struct target {
    uint64_t message, size_bytes;
    uint32_t number;
    unsigned stored;
    int64_t due_ms, expire_ms, warn_ms, since_ms;
    int64_t lane, was_lane;
};

struct targets {
    const struct store_change *change;
    struct target *at;
    size_t count, size;
    size_t skipped; /* being sent */
};

static void choose(void *user, const struct scan_row *r)
{
    struct targets *t = user;
    const struct store_change *c = t->change;
    const struct order *o = &orders[c->change];

    if ((r->stored & o->needs) != o->needs || (r->stored & o->forbids))
        return;
    if (c->skip && c->skip(c->user, r->message, r->number)) {
        t->skipped++;
        return;
    }
    if (t->count == t->size) {
        t->size = t->size ? t->size * 2 : 64;
        t->at = memory_grow(t->at, t->size * sizeof *t->at);
    }
    t->at[t->count++] = (struct target){
        r->message,   r->size_bytes, r->number,   r->stored, r->due_ms,
        r->expire_ms, r->warn_ms,    r->since_ms, r->lane,   r->lane,
    };
}

static int64_t later(int64_t at_ms, int64_t by_ms)
{
    return at_ms == NEVER_MS ? NEVER_MS : at_ms + by_ms;
}

/* The order carried out on one recipient, in memory. */
static void apply(const struct store_change *c, struct target *t)
{
    const struct order *o = &orders[c->change];
    unsigned before = t->stored;

    t->stored = (t->stored & ~o->clears) | o->sets;
    if (t->stored != STORED_WAITING) {
        t->due_ms = NEVER_MS;
        if (before == STORED_WAITING)
            t->since_ms = c->now_ms;
        return;
    }
    if (before != STORED_WAITING) {
        t->expire_ms = later(t->expire_ms, c->now_ms - t->since_ms);
        t->warn_ms = later(t->warn_ms, c->now_ms - t->since_ms);
        t->since_ms = 0;
    }
    if (t->due_ms > c->now_ms)
        t->due_ms = c->now_ms;
}

/* "DOMAIN" or "DOMAIN\tOLD" becomes "DOMAIN\tROUTE". Neighbours mostly share a lane. */
static int move_target(struct store *s, const struct store_change *c,
                       struct target *t, const struct target *before)
{
    sqlite3_stmt *st = database_statement(&s->db, MOVE_RECIPIENT);
    struct span key;
    int rc;

    if (before && before->was_lane == t->was_lane) {
        t->lane = before->lane;
    } else {
        if ((rc = store_lane_key(&s->db, t->was_lane, &key)) < 0)
            return rc;
        buffer_clear(&s->text);
        buffer_put(&s->text, span_first(key, span_find(key, '\t')));
        buffer_put_byte(&s->text, '\t');
        buffer_put(&s->text, c->route);
        store_lane_key_done(&s->db);
        if ((rc = store_lane(s, buffer_span(&s->text), &t->lane)) < 0)
            return rc;
    }
    bind_number(st, 1, (int64_t)t->message);
    bind_number(st, 2, t->number);
    bind_number(st, 3, t->lane);
    return database_run(&s->db, MOVE_RECIPIENT);
}

/* Why, as a last reply is stored, and who. */
static int return_target(struct store *s, const struct store_change *c,
                         const struct target *t)
{
    sqlite3_stmt *st = database_statement(&s->db, RETURN_RECIPIENT);

    buffer_clear(&s->text);
    buffer_put_string(&s->text, "5.7.0 returned to the sender by an operator");
    if (c->why.len) {
        buffer_put_string(&s->text, ": ");
        buffer_put_escaped(&s->text, span_first(c->why, LIMIT_REPLY_STORED));
    }
    buffer_put_byte(&s->text, '\n');
    buffer_put(&s->text, c->who);
    bind_number(st, 1, (int64_t)t->message);
    bind_number(st, 2, t->number);
    bind_span(st, 3, buffer_span(&s->text));
    return database_run(&s->db, RETURN_RECIPIENT);
}

/* NULL: stays as it is. */
static void bind_deed(sqlite3_stmt *st, int at, const struct span *deed)
{
    if (deed)
        bind_span(st, at, *deed);
    else
        bind_nothing(st, at);
}

static int write_target(struct store *s, const struct store_change *c,
                        const struct target *t)
{
    sqlite3_stmt *st = database_statement(&s->db, CHANGE_RECIPIENT);
    const struct order *o = &orders[c->change];
    struct span deed = SPAN("");

    if (c->change == CHANGE_HOLD || c->change == CHANGE_DELETE) {
        buffer_clear(&s->text);
        store_deed_put(&s->text,
                       &(struct queue_deed){ c->who, c->why, c->now_ms });
        deed = buffer_span(&s->text);
    }
    bind_number(st, 1, (int64_t)t->message);
    bind_number(st, 2, t->number);
    bind_number(st, 3, t->stored);
    bind_number(st, 4, t->due_ms);
    bind_number(st, 5, t->since_ms);
    bind_number(st, 6, t->expire_ms);
    bind_number(st, 7, t->warn_ms);
    bind_deed(st, 8, (o->sets | o->clears) & STORED_HELD ? &deed : NULL);
    bind_deed(st, 9, (o->sets | o->clears) & STORED_DELETED ? &deed : NULL);
    return database_run(&s->db, CHANGE_RECIPIENT);
}

/* After the last recipient of a message: when are its deleted ones purged? */
static int write_purge(struct store *s, const struct store_change *c,
                       uint64_t message)
{
    enum statement which = c->change == CHANGE_DELETE ? SET_PURGE : CLEAR_PURGE;
    sqlite3_stmt *st = database_statement(&s->db, which);

    if (c->change != CHANGE_DELETE && c->change != CHANGE_UNDELETE)
        return 0;
    bind_number(st, 1, (int64_t)message);
    if (which == SET_PURGE)
        bind_number(st, 2, c->now_ms + STORE_DAY_MS);
    return database_run(&s->db, which);
}

static int write_targets(struct store *s, const struct store_change *c,
                         struct targets *t, struct queue_count *count)
{
    int rc = 0;

    for (size_t i = 0; i < t->count && rc == 0; i++) {
        struct target *one = &t->at[i];
        bool is_last =
            i + 1 == t->count || t->at[i + 1].message != one->message;

        apply(c, one);
        if (c->change == CHANGE_MOVE)
            rc = move_target(s, c, one, i ? one - 1 : NULL);
        else if (c->change == CHANGE_BOUNCE)
            rc = return_target(s, c, one);
        if (rc == 0)
            rc = write_target(s, c, one);
        if (rc < 0 || !is_last)
            continue;
        if (c->change != CHANGE_RETRY && c->change != CHANGE_MOVE)
            store_alarm_changed(s, one->message);
        rc = write_purge(s, c, one->message);
        if (rc < 0)
            break;
        if (c->each)
            c->each(c->user, one->message);
        count->messages++;
        count->bytes += one->size_bytes;
    }
    if (rc == 0)
        count->recipients += t->count;
    count->active += t->skipped;
    return rc;
}

/* The key of the lane that it leaves, or comes to, if it does. */
static int moved_key(struct store *s, int64_t lane, bool is_told,
                     struct buffer *out)
{
    struct span key;
    int rc;

    buffer_clear(out);
    if (!is_told)
        return 0;
    if ((rc = store_lane_key(&s->db, lane, &key)) < 0)
        return rc;
    buffer_put(out, key);
    store_lane_key_done(&s->db);
    return 0;
}

/* Who counts what waits has to know of these. */
static int tell_moved(struct store *s, const struct store_change *c,
                      const struct targets *t)
{
    bool is_move = c->change == CHANGE_MOVE;
    bool leaves = is_move || c->change == CHANGE_DELETE;
    bool comes = is_move || c->change == CHANGE_UNDELETE;
    size_t count = c->moved && c->change != CHANGE_RETRY ? t->count : 0;

    for (size_t i = 0; i < count; i++) {
        const struct target *one = &t->at[i];
        int rc;

        if ((rc = moved_key(s, one->was_lane, leaves, &s->text)) < 0 ||
            (rc = moved_key(s, one->lane, comes, &s->reply)) < 0)
            return rc;
        c->moved(c->user, one->message, one->number, buffer_span(&s->text),
                 buffer_span(&s->reply), one->size_bytes);
    }
    return 0;
}

static int tell_lanes(struct store *s, const struct store_change *c,
                      const struct targets *t)
{
    int64_t last = 0;

    for (size_t i = 0; c->lane && i < t->count; i++) {
        struct span key;
        int rc;

        if (t->at[i].lane == last)
            continue;
        last = t->at[i].lane;
        if ((rc = store_lane_key(&s->db, last, &key)) < 0)
            return rc;
        c->lane(c->user, key);
        store_lane_key_done(&s->db);
    }
    return 0;
}

int store_change(struct store *s, const struct store_change *c,
                 uint64_t after_id, uint32_t limit, struct queue_count *count,
                 uint64_t *out_last)
{
    const char *name = orders[c->change].name;
    struct targets t = { .change = c };
    struct scan scan = {
        .filter = c->filter,
        .states = orders[c->change].states,
        .now_ms = c->now_ms,
        .view = c->view,
        .after_id = after_id,
        .limit = limit,
        .each = choose,
        .user = &t,
    };
    bool is_among = c->view && c->view->among && c->view->among->is_known;
    uint64_t last;
    int rc = is_among ? store_among_scan(&s->db, &scan, &last)
                      : store_scan(&s->db, &scan, &last);

    if (rc == 0 && after_id == 0 && last)
        rc = store_audit_put(s, c, name, NULL);
    if (rc == 0)
        rc = write_targets(s, c, &t, count);
    if (rc == 0 && last == 0)
        rc = store_audit_put(s, c, name, count);
    if (rc == 0)
        rc = tell_lanes(s, c, &t);
    if (rc == 0)
        rc = tell_moved(s, c, &t);
    free(t.at);
    if (rc < 0)
        return store_note_failure(s, rc, "changing messages");
    *out_last = last;
    return 0;
}

int store_hasten(struct store *s, struct span lane, int64_t now_ms,
                 uint32_t limit, uint32_t *out_count)
{
    sqlite3_stmt *st = database_statement(&s->db, HASTEN);
    int rc;

    bind_span(st, 1, lane);
    bind_number(st, 2, now_ms);
    bind_number(st, 3, limit);
    if ((rc = database_run(&s->db, HASTEN)) < 0)
        return store_note_failure(s, rc, "making mail due");
    *out_count = (uint32_t)sqlite3_changes(s->db.db);
    return 0;
}
