/*
 * store_put - messages, lanes, and the small memories go in.
 *
 * The hot path: three inserts for a message of one recipient, everything bound
 * where it lies. Lane keys are looked up in a bounded hash; a batch or a job
 * that made lanes and was rolled back empties it, which is rare and simple.
 *
 * There is no event for an acceptance: whatever becomes of a recipient in the
 * end carries the facts of its acceptance too, so a delivered message costs one
 * event and not two.
 */
#include "queue/store_private.h"

#include "policy/vocabulary/memory.h"

#include <stdlib.h>

#define uthash_fatal(text) ASSERT(!(text))
#include <uthash.h>

struct lane_entry {
    UT_hash_handle hh;
    int64_t id;
    char key[];
};

void store_lanes_forget(struct store *s)
{
    struct lane_entry *e = s->lanes, *next;

    HASH_CLEAR(hh, s->lanes); /* the entries stay linked */
    for (; e; e = next) {
        next = e->hh.next;
        free(e);
    }
}

/* uthash is macros: the linter counts them as this function's own statements, and does not
 * see that the table lets go of what is freed. */
/* NOLINTBEGIN(readability-function-size,clang-analyzer-unix.Malloc) */
static void lane_remember(struct store *s, struct span key, int64_t id)
{
    struct lane_entry *e = memory_take(sizeof *e + key.len);

    if (HASH_COUNT(s->lanes) >= STORE_LANES_CACHED) {
        struct lane_entry *oldest = s->lanes;

        HASH_DEL(s->lanes, oldest);
        free(oldest);
    }
    e->id = id;
    memcpy(e->key, key.at, key.len);
    HASH_ADD_KEYPTR(hh, s->lanes, e->key, key.len, e);
}

static struct lane_entry *lane_find(struct store *s, struct span key)
{
    struct lane_entry *e;

    HASH_FIND(hh, s->lanes, key.at, key.len, e);
    return e;
}
/* NOLINTEND(readability-function-size,clang-analyzer-unix.Malloc) */

int store_lane(struct store *s, struct span key, int64_t *out_lane)
{
    sqlite3_stmt *find = database_statement(&s->db, FIND_LANE);
    const struct lane_entry *e;
    int64_t id;
    int rc;

    if (key.len == 0)
        key = SPAN("");
    e = lane_find(s, key);
    if (e) {
        *out_lane = e->id;
        return 0;
    }
    bind_span(find, 1, key);
    rc = database_step(&s->db, FIND_LANE);
    if (rc < 0)
        return store_note_failure(s, rc, "looking for a lane");
    if (rc == 1) {
        id = column_number(find, 0);
        database_reset(&s->db, FIND_LANE);
    } else {
        bind_span(database_statement(&s->db, PUT_LANE), 1, key);
        if ((rc = database_run(&s->db, PUT_LANE)) < 0)
            return store_note_failure(s, rc, "making a lane");
        id = sqlite3_last_insert_rowid(s->db.db);
        s->has_new_lanes = true;
    }
    lane_remember(s, key, id);
    *out_lane = id;
    return 0;
}

/* The least time at which somebody must look after a recipient. */
static int64_t alarm_of(const struct queue_message *m)
{
    int64_t alarm_ms = NEVER_MS;

    for (size_t i = 0; i < m->recipient_count; i++) {
        const struct queue_recipient *r = &m->recipients[i];

        if (r->held)
            continue;
        alarm_ms = r->warn_ms < alarm_ms ? r->warn_ms : alarm_ms;
        alarm_ms = r->expire_ms < alarm_ms ? r->expire_ms : alarm_ms;
    }
    return alarm_ms;
}

static int64_t by_how(const struct envelope *e)
{
    return (e->deliver_by_mode == DELIVER_BY_RETURN ? STORED_BY_RETURN : 0) |
           (e->deliver_by_trace ? STORED_BY_TRACE : 0);
}

static int put_message(struct store *s, const struct queue_message *m,
                       const struct store_content *c)
{
    sqlite3_stmt *st = database_statement(&s->db, PUT_MESSAGE);
    const struct envelope *e = &m->envelope;
    int64_t alarm_ms = alarm_of(m);

    bind_number(st, 1, (int64_t)m->id);
    bind_span(st, 2, e->sender);
    bind_number(st, 3, e->received_ms);
    bind_number(st, 4, (int64_t)e->size_bytes);
    bind_number(st, 5, e->header_bytes);
    bind_number(st, 6, (int64_t)e->body);
    bind_number(st, 7, e->smtputf8);
    bind_number(st, 8, e->has_8bit);
    bind_span(st, 9, e->ret);
    bind_span(st, 10, e->envid);
    bind_span(st, 11, e->client);
    bind_span(st, 12, e->client_name);
    bind_span(st, 13, e->helo);
    bind_span(st, 14, e->login);
    bind_span(st, 15, e->listener);
    bind_span(st, 16, e->protocol);
    bind_span(st, 17, e->message_id);
    bind_number(st, 18, (int64_t)c->checksum);
    bind_number(st, 19, c->has_file);
    if (alarm_ms == NEVER_MS)
        bind_nothing(st, 20);
    else
        bind_number(st, 20, alarm_ms);
    bind_number(st, 21, e->priority);
    bind_number(st, 22, e->deliver_by_ms);
    bind_number(st, 23, by_how(e));
    bind_span(st, 24, e->verp);
    bind_number(st, 25, e->release_ms);
    bind_number(st, 26, e->header_8bit);
    bind_number(st, 27, e->is_unvouched);
    bind_number(st, 28, c->head_bytes);
    bind_number(st, 29, (int64_t)c->head_at);
    bind_span(st, 30, e->tls);
    return database_run(&s->db, PUT_MESSAGE);
}

static int put_recipient(struct store *s, const struct queue_message *m,
                         const struct queue_recipient *r)
{
    sqlite3_stmt *st = database_statement(&s->db, PUT_RECIPIENT);
    int64_t due_ms = r->due_ms ? r->due_ms : m->envelope.received_ms;
    int64_t lane = 0;
    int rc;

    if ((rc = store_lane(s, r->lane, &lane)) < 0)
        return rc;
    bind_number(st, 1, (int64_t)m->id);
    bind_number(st, 2, r->number);
    bind_span(st, 3, r->address);
    bind_span(st, 4, r->orcpt);
    bind_number(st, 5, r->notify);
    bind_number(st, 6, lane);
    bind_number(st, 7, r->held ? STORED_HELD : STORED_WAITING);
    bind_number(st, 8, r->held ? NEVER_MS : due_ms);
    bind_number(st, 9, r->attempts);
    bind_number(st, 10, r->expire_ms);
    bind_number(st, 11, r->warn_ms);
    bind_number(st, 12, r->held ? m->envelope.received_ms : 0);
    bind_span(st, 13, r->last_reply);
    bind_span(st, 14, r->ruling);
    return database_run(&s->db, PUT_RECIPIENT);
}

static int put_content(struct store *s, const struct queue_message *m)
{
    sqlite3_stmt *st = database_statement(&s->db, PUT_CONTENT);

    ASSERT(m->take_content || m->envelope.size_bytes == 0);
    bind_number(st, 1, (int64_t)m->id);
    bind_bytes(st, 2, span_make(m->take_content, m->envelope.size_bytes));
    return database_run(&s->db, PUT_CONTENT);
}

int store_put(struct store *s, const struct queue_message *m,
              const struct store_content *c)
{
    int rc = put_message(s, m, c);

    if (rc == 0 && !c->has_file)
        rc = put_content(s, m);
    for (size_t i = 0; i < m->recipient_count && rc == 0; i++)
        rc = put_recipient(s, m, &m->recipients[i]);
    if (rc < 0)
        return store_note_failure(s, rc, "putting a message");
    if (m->id > s->last_message)
        s->last_message = m->id;
    return 0;
}

int store_destination_put(struct store *s, const struct store_destination *d)
{
    sqlite3_stmt *st = database_statement(&s->db, PUT_DESTINATION);
    int rc;

    bind_span(st, 1, d->name);
    bind_number(st, 2, d->due_ms);
    bind_number(st, 3, d->downs);
    bind_number(st, 4, d->window);
    bind_number(st, 5, d->last_good_ms);
    bind_span(st, 6, d->last_error);
    bind_number(st, 7, d->at_ms);
    bind_number(st, 8, d->suspended_ms);
    bind_span(st, 9, d->suspend_why);
    bind_number(st, 10, d->is_on_demand);
    rc = database_run(&s->db, PUT_DESTINATION);
    return rc < 0 ? store_note_failure(s, rc, "putting a destination") : 0;
}

int store_note_put(struct store *s, struct span kind, struct span key,
                   struct span value, int64_t expire_ms)
{
    sqlite3_stmt *st = database_statement(&s->db, PUT_NOTE);
    int rc;

    bind_span(st, 1, kind);
    bind_span(st, 2, key);
    bind_bytes(st, 3, value);
    bind_number(st, 4, expire_ms);
    rc = database_run(&s->db, PUT_NOTE);
    return rc < 0 ? store_note_failure(s, rc, "putting a note") : 0;
}
