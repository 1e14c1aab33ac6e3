/*
 * store_story - all that is stored of one message.
 *
 * For a person who looks at it: the envelope, each recipient with its lane and its attempts,
 * and what was said in the latest ones. One call within a read transaction of the caller's.
 */
#include "queue/store_private.h"

#include "policy/vocabulary/arena.h"
#include "policy/vocabulary/memory.h"

#include <stdlib.h>

static void keep(struct arena *a, struct span *s)
{
    *s = arena_copy(a, *s);
}

static void keep_envelope(struct arena *a, struct envelope *e)
{
    struct span *all[] = {
        &e->sender,      &e->ret,        &e->envid, &e->client,
        &e->client_name, &e->helo,       &e->login, &e->listener,
        &e->protocol,    &e->message_id, &e->verp,  &e->tls,
        NULL,
    };

    for (struct span **at = all; *at; at++)
        keep(a, *at);
}

static int read_recipients(struct store_reader *r, uint64_t id, struct arena *a,
                           struct queue_story *out)
{
    sqlite3_stmt *st = database_statement(&r->db, READ_STORY);
    struct queue_story_recipient *all = NULL;
    size_t count = 0, size = 0;
    int rc;

    bind_number(st, 1, (int64_t)id);
    while ((rc = database_step(&r->db, READ_STORY)) == 1) {
        struct queue_story_recipient *to;

        if (count == size) {
            size = size ? size * 2 : 8;
            all = memory_grow(all, size * sizeof *all);
        }
        to = &all[count++];
        *to = (struct queue_story_recipient){
            .lane = arena_copy(a, column_span(st, 1)),
            .trail = arena_copy(a, column_span(st, 2)),
            .orcpt = arena_copy(a, column_span(st, 3)),
            .notify = (unsigned)column_number(st, 4),
            .expire_ms = column_number(st, 5),
            .since_ms = column_number(st, 6),
            .is_returned = (column_number(st, 8) & STORED_RETURNED) != 0,
        };
        queue_ruling_read(arena_copy(a, column_span(st, 7)), &to->ruling);
    }
    if (rc == 0 && count) {
        struct queue_story_recipient *kept =
            arena_take(a, count * sizeof *kept);

        memcpy(kept, all, count * sizeof *kept);
        out->recipients = kept;
        out->count = count;
    }
    free(all);
    return rc;
}

static int read_dialogues(struct store_reader *r, uint64_t id, struct arena *a,
                          struct queue_story *out)
{
    sqlite3_stmt *st = database_statement(&r->db, READ_DIALOGUES);
    int rc;

    bind_number(st, 1, (int64_t)id);
    bind_number(st, 2, STORY_DIALOGUES);
    while ((rc = database_step(&r->db, READ_DIALOGUES)) == 1)
        out->dialogues[out->dialogue_count++] = (struct queue_dialogue){
            .at_ms = column_number(st, 0),
            .host = arena_copy(a, column_span(st, 1)),
            .text = arena_copy(a, column_span(st, 2)),
        };
    return rc;
}

int store_read_envelope_of(struct store_reader *r, uint64_t id, struct arena *a,
                           struct envelope *out_e, struct store_content *out_c)
{
    sqlite3_stmt *st = database_statement(&r->db, READ_MESSAGE);
    int rc;

    bind_number(st, 1, (int64_t)id);
    rc = database_step(&r->db, READ_MESSAGE);
    if (rc <= 0)
        return rc < 0 ? rc : ERROR_GONE;
    *out_c = (struct store_content){
        .checksum = (uint64_t)column_number(st, 0),
        .has_file = column_number(st, 1) != 0,
        .head_bytes = (uint32_t)column_number(st, 2),
        .head_at = (uint64_t)column_number(st, 3),
    };
    store_read_envelope(st, 4, out_e);
    keep_envelope(a, out_e);
    database_reset(&r->db, READ_MESSAGE);
    return 0;
}

int store_read_story(struct store_reader *r, uint64_t id, struct arena *a,
                     struct queue_story *out, struct store_content *out_c)
{
    int rc = store_read_envelope_of(r, id, a, &out->envelope, out_c);

    out->id = id;
    out->dialogue_count = 0;
    if (rc == 0)
        rc = read_recipients(r, id, a, out);
    if (rc == 0)
        rc = read_dialogues(r, id, a, out);
    return rc;
}
