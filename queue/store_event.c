/*
 * store_event - the outbox of what happened, drained into the history.
 *
 * One narrow row for each outcome, with all that a log line and a history row
 * need, bound where it lies. Ids count upwards from the store's own memory;
 * `state` keeps the last one removed, so they are never used twice and SQLite's
 * AUTOINCREMENT, which writes a row of its own for each insert, is not needed.
 */
#include "queue/store_private.h"

static void bind_envelope(sqlite3_stmt *st, const struct envelope *e)
{
    static const struct envelope none;

    e = e ? e : &none;
    bind_number(st, 6, e->received_ms);
    bind_number(st, 7, (int64_t)e->size_bytes);
    bind_span(st, 8, e->sender);
    bind_span(st, 10, e->client);
    bind_span(st, 11, e->client_name);
    bind_span(st, 12, e->helo);
    bind_span(st, 13, e->login);
    bind_span(st, 14, e->listener);
    bind_span(st, 15, e->protocol);
    bind_span(st, 16, e->message_id);
    bind_span(st, 27, e->tls);
}

int store_event_put(struct store *s, const struct store_event *e)
{
    static const struct queue_recipient no_recipient;
    static const struct queue_result no_result;
    const struct queue_recipient *r =
        e->recipient ? e->recipient : &no_recipient;
    const struct queue_result *t = e->result ? e->result : &no_result;
    sqlite3_stmt *st = database_statement(&s->db, PUT_EVENT);
    bool is_attempt = e->kind == EVENT_DELIVERED || e->kind == EVENT_FAILED;
    int rc;

    bind_number(st, 1, ++s->last_event);
    bind_number(st, 2, e->at_ms);
    bind_number(st, 3, (int64_t)e->kind);
    bind_number(st, 4, (int64_t)e->message);
    bind_number(st, 5, r->number);
    bind_envelope(st, e->envelope);
    bind_span(st, 9, r->address);
    bind_number(st, 17,
                t->status.class * 1000000 + t->status.subject * 1000 +
                    t->status.detail);
    bind_span(st, 18, t->reply);
    bind_span(st, 19, t->host);
    for (int i = 0; i < 4; i++)
        bind_number(st, 20 + i, t->delay_ms[i]);
    bind_number(st, 24, (int64_t)r->attempts + is_attempt);
    bind_number(st, 25, t->in_doubt);
    bind_span(st, 26, e->trail);
    bind_span(st, 28, r->ruling);
    bind_span(st, 29, e->dialogue);
    bind_span(st, 30, e->who);
    rc = database_run(&s->db, PUT_EVENT);
    return rc < 0 ? store_note_failure(s, rc, "putting an event") : 0;
}

int store_events_done(struct store *s, int64_t last_event)
{
    sqlite3_stmt *st = database_statement(&s->db, PUT_STATE);
    int rc;

    bind_number(database_statement(&s->db, EVENTS_DONE), 1, last_event);
    rc = database_run(&s->db, EVENTS_DONE);
    if (rc == 0) {
        bind_number(st, 1, (int64_t)s->last_message);
        bind_number(st, 2, s->last_event);
        rc = database_run(&s->db, PUT_STATE);
    }
    return rc < 0 ? store_note_failure(s, rc, "removing events") : 0;
}
