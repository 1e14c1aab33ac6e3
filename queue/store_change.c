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
 * What waits or is held may also be moved to another lane, and stays what it is, or be
 * bounced: it is "returned" then, which is never due and an alarm at once, until the relay
 * has settled it together with the report; nothing else meets it any more.
 *
 * While a recipient is held or deleted its clock stands still: expiry and delay
 * notice move on by that time when it is let go. A table says which states an
 * order meets; the others are left as they are and not counted.
 */
#include "queue/store_private.h"

#include "policy/vocabulary/id.h"
#include "policy/vocabulary/memory.h"

#include <stdlib.h>
#include <time.h>

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

static void put_moment(struct buffer *b, const char *name, int64_t ms)
{
    time_t t = (time_t)(ms / 1000);
    char text[32];
    struct tm tm;

    if (ms && gmtime_r(&t, &tm) &&
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm))
        buffer_printf(b, " %s=%s", name, text);
}

static void put_states(struct buffer *b, unsigned states)
{
    static const struct {
        enum queue_state state;
        const char *name;
    } names[] = {
        { STATE_ACTIVE, "active" },     { STATE_READY, "ready" },
        { STATE_DEFERRED, "deferred" }, { STATE_HELD, "held" },
        { STATE_DELETED, "deleted" },
    };
    const char *between = " state=";

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!(states & names[i].state))
            continue;
        buffer_put_string(b, between);
        buffer_put_string(b, names[i].name);
        between = ",";
    }
}

static void put_filter(struct buffer *b, const struct queue_filter *f)
{
    if (f->id)
        put_condition(b, "id", span_of(id_print(f->id).at));
    put_condition(b, "from", f->from);
    put_condition(b, "to", f->to);
    put_condition(b, "domain", f->domain);
    put_condition(b, "client", f->client);
    put_condition(b, "login", f->login);
    put_condition(b, "reason", f->reason);
    put_condition(b, "via", f->via);
    put_states(b, f->states);
    if (f->attempts)
        buffer_printf(b, " attempts=%u", f->attempts);
    put_moment(b, "before", f->older_ms);
    put_moment(b, "after", f->newer_ms);
}

/*
 * "delete from=a@* state=held: 2 messages, 3 recipients", with who in the place of the login.
 * count NULL: it has only begun.
 */
static int audit(struct store *s, const struct store_change *c,
                 const struct queue_count *count)
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
        .who = c->who,
    };

    buffer_clear(&s->text);
    buffer_put_string(&s->text, orders[c->change].name);
    put_condition(&s->text, "route", c->route);
    put_condition(&s->text, "why", c->why);
    put_filter(&s->text, f);
    if (count)
        buffer_printf(&s->text, ": %llu message%s, %llu recipient%s",
                      (unsigned long long)count->messages,
                      count->messages == 1 ? "" : "s",
                      (unsigned long long)count->recipients,
                      count->recipients == 1 ? "" : "s");
    else
        buffer_put_string(&s->text, ": begun");
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
        if (c->change == CHANGE_MOVE)
            rc = move_target(s, c, one, i ? one - 1 : NULL);
        else if (c->change == CHANGE_BOUNCE)
            rc = return_target(s, c, one);
        if (rc == 0)
            rc = write_target(s, one);
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

    for (size_t i = 0; (leaves || comes) && c->moved && i < t->count; i++) {
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

    if (rc == 0 && after_id == 0 && last)
        rc = audit(s, c, NULL);
    if (rc == 0)
        rc = write_targets(s, c, &t, count);
    if (rc == 0 && last == 0)
        rc = audit(s, c, count);
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

/* What was said about messages that are gone, a slice of them. */
int store_purge_dialogues(struct store *s, uint32_t limit)
{
    sqlite3_stmt *bound = database_statement(&s->db, DIALOGUES_BOUND);
    sqlite3_stmt *st = database_statement(&s->db, PURGE_DIALOGUES);
    uint64_t end_id = INT64_MAX;
    int rc;

    bind_number(bound, 1, (int64_t)s->dialogues_purged);
    bind_number(bound, 2, limit);
    if ((rc = database_step(&s->db, DIALOGUES_BOUND)) == 1) {
        end_id = (uint64_t)column_number(bound, 0);
        database_reset(&s->db, DIALOGUES_BOUND);
    }
    bind_number(st, 1, (int64_t)s->dialogues_purged);
    bind_number(st, 2, (int64_t)end_id);
    if (rc < 0 || (rc = database_run(&s->db, PURGE_DIALOGUES)) < 0)
        return store_note_failure(s, rc, "purging dialogues");
    s->dialogues_purged = end_id == INT64_MAX ? 0 : end_id;
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
