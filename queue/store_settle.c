/*
 * store_settle - what came of an attempt is written down.
 *
 *   delivered, failed, expired, discarded   the recipient goes, an event stays;
 * with the last recipient the message and content go deferred, held the
 * recipient stays; the attempt is packed into its trail and has no event of its
 * own warned                                  only the next alarm is new freed
 * nothing happened
 *
 * Together with the puts of reports this runs in the caller's transaction, so a
 * message is never both gone and unreported. (Q2)
 *
 * The trail: "time|host|status|reply\n" for each attempt, oldest first, 8 KB;
 * when it is full the oldest lines go.
 */
#include "queue/store_private.h"

struct settlement {
    const struct queue_work *work;
    const struct queue_recipient *recipient;
    const struct queue_result *result;
    int64_t now_ms;
    bool removed, has_file;
};

typedef int settle_fn(struct store *s, struct settlement *t,
                      enum event_kind kind);

static void bind_recipient(sqlite3_stmt *st, const struct settlement *t)
{
    bind_number(st, 1, (int64_t)t->work->message);
    bind_number(st, 2, t->recipient->number);
}

/* ------------------------------------------------------- the trail ---- */

static int trail_read(struct store *s, const struct settlement *t)
{
    sqlite3_stmt *st = database_statement(&s->db, FIND_TRAIL);
    int rc;

    buffer_clear(&s->trail);
    if (t->recipient->attempts == 0)
        return 0;
    bind_recipient(st, t);
    rc = database_step(&s->db, FIND_TRAIL);
    if (rc <= 0)
        return rc;
    buffer_put(&s->trail, column_span(st, 0));
    database_reset(&s->db, FIND_TRAIL);
    return 0;
}

/* One field of a line: what separates must not stand in it. */
static void trail_put_field(struct buffer *b, struct span field)
{
    for (size_t i = 0; i < field.len; i++) {
        char c = field.at[i];

        buffer_put_byte(b, c == '\n' || c == '|' ? ' ' : c);
    }
}

static void put_status(struct buffer *b, struct status status)
{
    buffer_printf(b, "%u.%u.%u", status.class, status.subject, status.detail);
}

static void trail_add(struct store *s, const struct settlement *t)
{
    const struct queue_result *r = t->result;

    buffer_printf(&s->trail, "%lld|", (long long)t->now_ms);
    trail_put_field(&s->trail, span_first(r->host, LIMIT_PATH));
    buffer_put_byte(&s->trail, '|');
    put_status(&s->trail, r->status);
    buffer_put_byte(&s->trail, '|');
    trail_put_field(&s->trail, span_first(r->reply, LIMIT_REPLY_STORED));
    buffer_put_byte(&s->trail, '\n');
    while (s->trail.len > STORE_TRAIL)
        buffer_drop(&s->trail, span_find(buffer_span(&s->trail), '\n') + 1);
}

/* "4.2.0 text", as recipients show their last reply. */
static void last_reply(struct store *s, const struct queue_result *r)
{
    buffer_clear(&s->reply);
    if (r->status.class) {
        put_status(&s->reply, r->status);
        buffer_put_byte(&s->reply, ' ');
    }
    buffer_put(&s->reply, span_first(r->reply, LIMIT_REPLY_STORED));
}

/* -------------------------------------------------- the dialogue ---- */

/* Recipients that share one settle share it: the first keeps it. The latest few stay. */
static int dialogue_keep(struct store *s, const struct settlement *t)
{
    sqlite3_stmt *put = database_statement(&s->db, PUT_DIALOGUE);
    sqlite3_stmt *trim = database_statement(&s->db, TRIM_DIALOGUES);
    const struct queue_result *r = t->result;
    int rc;

    if (r->dialogue.len == 0)
        return 0;
    bind_number(put, 1, (int64_t)t->work->message);
    bind_number(put, 2, t->now_ms);
    bind_span(put, 3, span_first(r->host, LIMIT_PATH));
    bind_span(put, 4, r->dialogue);
    if ((rc = database_run(&s->db, PUT_DIALOGUE)) < 0 ||
        sqlite3_changes(s->db.db) == 0)
        return rc;
    bind_number(trim, 1, (int64_t)t->work->message);
    bind_number(trim, 2, STORY_DIALOGUES);
    return database_run(&s->db, TRIM_DIALOGUES);
}

/* This one, else the latest there is. */
static int dialogue_last(struct store *s, const struct settlement *t,
                         enum event_kind kind, struct span *out)
{
    sqlite3_stmt *st = database_statement(&s->db, FIND_DIALOGUE);
    int rc;

    *out = t->result->dialogue;
    if (out->len || t->recipient->attempts == 0 ||
        (kind != EVENT_FAILED && kind != EVENT_EXPIRED))
        return 0;
    bind_number(st, 1, (int64_t)t->work->message);
    if ((rc = database_step(&s->db, FIND_DIALOGUE)) <= 0)
        return rc;
    buffer_clear(&s->dialogue);
    buffer_put(&s->dialogue, column_span(st, 0));
    *out = buffer_span(&s->dialogue);
    database_reset(&s->db, FIND_DIALOGUE);
    return 0;
}

/* Its message is gone. One that was never deferred has none, as a rule; what is left over is
 * found by store_purge_dialogues. */
static int dialogues_remove(struct store *s, const struct settlement *t)
{
    if (t->recipient->attempts == 0)
        return 0;
    bind_number(database_statement(&s->db, REMOVE_DIALOGUES), 1,
                (int64_t)t->work->message);
    return database_run(&s->db, REMOVE_DIALOGUES);
}

/* --------------------------------------------------- each outcome ---- */

static int settle_gone(struct store *s, struct settlement *t,
                       enum event_kind kind)
{
    struct database *d = &s->db;
    struct store_event event = {
        .kind = kind,
        .at_ms = t->now_ms,
        .message = t->work->message,
        .envelope = &t->work->envelope,
        .recipient = t->recipient,
        .result = t->result,
        .who = t->recipient->returned_by,
    };
    int rc;

    if ((rc = trail_read(s, t)) < 0 ||
        (rc = dialogue_last(s, t, kind, &event.dialogue)) < 0)
        return rc;
    event.trail = buffer_span(&s->trail);
    bind_recipient(database_statement(d, REMOVE_RECIPIENT), t);
    bind_number(database_statement(d, REMOVE_MESSAGE), 1,
                (int64_t)t->work->message);
    if ((rc = store_event_put(s, &event)) < 0 ||
        (rc = database_run(d, REMOVE_RECIPIENT)) < 0 ||
        (rc = database_run(d, REMOVE_MESSAGE)) < 0)
        return rc;
    if (sqlite3_changes(d->db) == 0) {
        store_alarm_changed(s, t->work->message);
        return dialogue_keep(s, t);
    }
    bind_number(database_statement(d, REMOVE_CONTENT), 1,
                (int64_t)t->work->message);
    if ((rc = dialogues_remove(s, t)) < 0 ||
        (rc = database_run(d, REMOVE_CONTENT)) < 0)
        return rc;
    t->removed = true;
    t->has_file = sqlite3_changes(d->db) == 0;
    return 0;
}

static int settle_deferred(struct store *s, struct settlement *t,
                           enum event_kind kind)
{
    sqlite3_stmt *st = database_statement(&s->db, DEFER_RECIPIENT);
    const struct queue_result *r = t->result;
    int rc;

    (void)kind;
    if ((rc = trail_read(s, t)) < 0)
        return rc;
    trail_add(s, t);
    last_reply(s, r);
    bind_recipient(st, t);
    bind_number(st, 3, r->due_ms);
    bind_number(st, 4, r->expire_ms);
    bind_number(st, 5, r->warn_ms);
    bind_number(st, 6, (int64_t)t->recipient->attempts + 1);
    bind_span(st, 7, buffer_span(&s->reply));
    bind_span(st, 8, buffer_span(&s->trail));
    if (r->expire_ms != t->recipient->expire_ms ||
        r->warn_ms != t->recipient->warn_ms)
        store_alarm_changed(s, t->work->message);
    if ((rc = dialogue_keep(s, t)) < 0)
        return rc;
    return database_run(&s->db, DEFER_RECIPIENT);
}

static int settle_held(struct store *s, struct settlement *t,
                       enum event_kind kind)
{
    sqlite3_stmt *st = database_statement(&s->db, HOLD_RECIPIENT);
    int rc;

    (void)kind;
    if ((rc = trail_read(s, t)) < 0)
        return rc;
    trail_add(s, t);
    last_reply(s, t->result);
    bind_recipient(st, t);
    bind_number(st, 3, t->now_ms);
    bind_number(st, 4, (int64_t)t->recipient->attempts + 1);
    bind_span(st, 5, buffer_span(&s->reply));
    bind_span(st, 6, buffer_span(&s->trail));
    store_alarm_changed(s, t->work->message);
    return database_run(&s->db, HOLD_RECIPIENT);
}

static int settle_warned(struct store *s, struct settlement *t,
                         enum event_kind kind)
{
    sqlite3_stmt *st = database_statement(&s->db, WARN_RECIPIENT);

    (void)kind;
    bind_recipient(st, t);
    bind_number(st, 3, t->result->expire_ms);
    bind_number(st, 4, t->result->warn_ms);
    store_alarm_changed(s, t->work->message);
    return database_run(&s->db, WARN_RECIPIENT);
}

static int settle_freed(struct store *s, struct settlement *t,
                        enum event_kind kind)
{
    (void)s;
    (void)t;
    (void)kind;
    return 0;
}

static const struct {
    settle_fn *run;
    enum event_kind kind;
} outcomes[] = {
    [OUTCOME_FREED] = { settle_freed, 0 },
    [OUTCOME_DELIVERED] = { settle_gone, EVENT_DELIVERED },
    [OUTCOME_DEFERRED] = { settle_deferred, 0 },
    [OUTCOME_FAILED] = { settle_gone, EVENT_FAILED },
    [OUTCOME_EXPIRED] = { settle_gone, EVENT_EXPIRED },
    [OUTCOME_DISCARDED] = { settle_gone, EVENT_DISCARDED },
    [OUTCOME_HELD] = { settle_held, 0 },
    [OUTCOME_WARNED] = { settle_warned, 0 },
    [OUTCOME_RETURNED] = { settle_gone, EVENT_RETURNED },
};

int store_settle(struct store *s, const struct queue_work *work, size_t i,
                 const struct queue_result *r, int64_t now_ms,
                 bool *out_removed, bool *out_has_file)
{
    struct settlement t = {
        .work = work,
        .recipient = &work->recipients[i],
        .result = r,
        .now_ms = now_ms,
    };
    int rc;

    ASSERT(i < work->count);
    ASSERT((size_t)r->outcome < sizeof outcomes / sizeof *outcomes);
    rc = outcomes[r->outcome].run(s, &t, outcomes[r->outcome].kind);
    if (rc < 0)
        return store_note_failure(s, rc, "settling");
    *out_removed = t.removed;
    *out_has_file = t.has_file;
    return 0;
}
