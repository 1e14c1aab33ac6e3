/*
 * store_change - a person's orders, in slices; and the end of what was deleted.
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
                          0, STORED_HELD | STORED_DELETED, 0, 0 },
    [CHANGE_DELETE]   = { "delete",   ~0U & ~STATE_DELETED,
                          0, STORED_DELETED, STORED_DELETED, 0 },
    [CHANGE_UNDELETE] = { "undelete", STATE_DELETED,
                          STORED_DELETED, 0, 0, STORED_DELETED },
    [CHANGE_HOLD]     = { "hold",     ~0U & ~STATE_DELETED,
                          0, STORED_HELD | STORED_DELETED, STORED_HELD, 0 },
    [CHANGE_RELEASE]  = { "release",  STATE_HELD,
                          STORED_HELD, STORED_DELETED, 0, STORED_HELD },
    /* clang-format on */
};

struct target {
    uint64_t message, size_bytes;
    uint32_t number;
    unsigned stored;
    int64_t due_ms, expire_ms, warn_ms, since_ms;
    int64_t lane;
};

struct targets {
    const struct store_change *change;
    struct target *at;
    size_t count, size;
};

static void choose(void *user, const struct scan_row *r)
{
    struct targets *t = user;
    const struct store_change *c = t->change;
    const struct order *o = &orders[c->change];

    if ((r->stored & o->needs) != o->needs || (r->stored & o->forbids))
        return;
    if (c->skip && c->skip(c->user, r->message, r->number))
        return;
    if (t->count == t->size) {
        t->size = t->size ? t->size * 2 : 64;
        t->at = memory_grow(t->at, t->size * sizeof *t->at);
    }
    t->at[t->count++] = (struct target){
        r->message,   r->size_bytes, r->number,   r->stored, r->due_ms,
        r->expire_ms, r->warn_ms,    r->since_ms, r->lane,
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

static int write_target(struct store *s, const struct target *t)
{
    sqlite3_stmt *st = database_statement(&s->db, CHANGE_RECIPIENT);

    bind_number(st, 1, (int64_t)t->message);
    bind_number(st, 2, t->number);
    bind_number(st, 3, t->stored);
    bind_number(st, 4, t->due_ms);
    bind_number(st, 5, t->since_ms);
    bind_number(st, 6, t->expire_ms);
    bind_number(st, 7, t->warn_ms);
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

static void put_condition(struct buffer *b, const char *name, struct span value)
{
    if (!value.len)
        return;
    buffer_printf(b, " %s=", name);
    buffer_put_escaped(b, span_first(value, LIMIT_PATH));
}

/* "delete id=.. from=.. to=..", with who in the place of the login. */
static int audit(struct store *s, const struct store_change *c)
{
    const struct queue_filter *f = c->filter;
    struct envelope e = { .login = c->who };
    struct queue_result r = { 0 };
    struct store_event event = {
        .kind = EVENT_CHANGED,
        .at_ms = c->now_ms,
        .message = f->id,
        .envelope = &e,
        .result = &r,
    };

    buffer_clear(&s->text);
    buffer_put_string(&s->text, orders[c->change].name);
    put_condition(&s->text, "from", f->from);
    put_condition(&s->text, "to", f->to);
    put_condition(&s->text, "domain", f->domain);
    put_condition(&s->text, "client", f->client);
    put_condition(&s->text, "login", f->login);
    put_condition(&s->text, "reason", f->reason);
    if (f->states)
        buffer_printf(&s->text, " states=%u", f->states);
    if (f->attempts)
        buffer_printf(&s->text, " attempts=%u", f->attempts);
    if (f->older_ms)
        buffer_printf(&s->text, " older=%lld", (long long)f->older_ms);
    if (f->newer_ms)
        buffer_printf(&s->text, " newer=%lld", (long long)f->newer_ms);
    r.reply = buffer_span(&s->text);
    return store_event_put(s, &event);
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
        rc = write_target(s, one);
        if (rc < 0 || !is_last)
            continue;
        if (c->change != CHANGE_RETRY)
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
    return rc;
}

/* Who counts what waits has to know of these. */
static int tell_moved(struct store *s, const struct store_change *c,
                      const struct targets *t)
{
    bool is_it = c->change == CHANGE_DELETE || c->change == CHANGE_UNDELETE;

    for (size_t i = 0; is_it && c->moved && i < t->count; i++) {
        const struct target *one = &t->at[i];
        struct span key;
        int rc;

        if ((rc = store_lane_key(&s->db, one->lane, &key)) < 0)
            return rc;
        c->moved(c->user, one->message, one->number, key, one->size_bytes);
        store_lane_key_done(&s->db);
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
    uint64_t last;
    int rc = store_scan(&s->db, &scan, &last);

    if (rc == 0 && after_id == 0)
        rc = audit(s, c);
    if (rc == 0)
        rc = write_targets(s, c, &t, count);
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

/* ----------------------------------------------------------- purge ---- */

static int purge_one(struct store *s, uint64_t message, int64_t now_ms,
                     bool *out_has_file)
{
    struct database *d = &s->db;
    sqlite3_stmt *events = database_statement(d, PURGE_EVENTS);
    int rc;

    bind_number(events, 1, s->last_event + 1);
    bind_number(events, 2, now_ms);
    bind_number(events, 3, EVENT_DELETED);
    bind_number(events, 4, (int64_t)message);
    bind_number(database_statement(d, PURGE_RECIPIENTS), 1, (int64_t)message);
    bind_number(database_statement(d, REMOVE_MESSAGE), 1, (int64_t)message);
    bind_number(database_statement(d, REMOVE_CONTENT), 1, (int64_t)message);
    bind_number(database_statement(d, CLEAR_PURGE), 1, (int64_t)message);
    if ((rc = database_run(d, PURGE_EVENTS)) < 0)
        return rc;
    s->last_event += sqlite3_changes(d->db);
    if ((rc = database_run(d, PURGE_RECIPIENTS)) < 0 ||
        (rc = database_run(d, REMOVE_MESSAGE)) < 0)
        return rc;
    *out_has_file = false;
    if (sqlite3_changes(d->db) == 0)
        return database_run(d, CLEAR_PURGE);
    if ((rc = database_run(d, REMOVE_CONTENT)) < 0)
        return rc;
    *out_has_file = sqlite3_changes(d->db) == 0;
    return 0;
}

int store_purge(struct store *s, int64_t now_ms, uint32_t limit,
                void (*has_file)(void *user, uint64_t message), void *user)
{
    sqlite3_stmt *find = database_statement(&s->db, FIND_PURGE);
    int rc = 0;

    for (uint32_t i = 0; i < limit; i++) {
        uint64_t message;
        bool is_file;

        bind_number(find, 1, now_ms);
        if ((rc = database_step(&s->db, FIND_PURGE)) <= 0)
            break;
        message = (uint64_t)column_number(find, 0);
        database_reset(&s->db, FIND_PURGE);
        if ((rc = purge_one(s, message, now_ms, &is_file)) < 0)
            break;
        if (is_file && has_file)
            has_file(user, message);
    }
    return rc < 0 ? store_note_failure(s, rc, "purging") : 0;
}

int store_purge_notes(struct store *s, int64_t now_ms, uint32_t limit,
                      bool *out_more)
{
    sqlite3_stmt *st = database_statement(&s->db, PURGE_NOTES);
    int rc;

    bind_number(st, 1, now_ms);
    bind_number(st, 2, limit);
    if ((rc = database_run(&s->db, PURGE_NOTES)) < 0)
        return store_note_failure(s, rc, "purging notes");
    *out_more = (uint32_t)sqlite3_changes(s->db.db) == limit;
    return 0;
}

/* ----------------------------------------------------------- count ---- */

int store_read_sizes(struct store *s, struct store_cursor *cursor,
                     uint64_t before_id, uint32_t limit, store_size_fn *each,
                     void *user, bool *out_more)
{
    sqlite3_stmt *st = database_statement(&s->db, READ_SIZES);
    uint32_t count = 0;
    int rc;

    bind_number(st, 1, (int64_t)cursor->message);
    bind_number(st, 2, cursor->number);
    bind_number(st, 3, (int64_t)before_id);
    bind_number(st, 4, limit);
    while ((rc = database_step(&s->db, READ_SIZES)) == 1) {
        count++;
        cursor->message = (uint64_t)column_number(st, 0);
        cursor->number = (uint32_t)column_number(st, 1);
        each(user, column_span(st, 2), (uint64_t)column_number(st, 3),
             column_number(st, 4));
    }
    if (rc < 0)
        return store_note_failure(s, rc, "counting what waits");
    *out_more = count == limit;
    return 0;
}
