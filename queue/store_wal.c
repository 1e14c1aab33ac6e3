/*
 * store_wal - how large the WAL is, and emptying it; giving free pages back.
 *
 * SQLite never checkpoints by itself here: the writer chooses the moment. The
 * count of frames comes from SQLite's own hook after each commit; when it
 * shrinks, the WAL has begun anew and everything before is in the database.
 */
#include "queue/store_copy.h"
#include "queue/store_private.h"

#include <stdio.h>

enum {
    /* Readers that hold a snapshot are given so long when the WAL is to begin
       anew. */
    RESET_PATIENCE_MS = 50,
    USUAL_PATIENCE_MS = 5000,
    /* A WAL this long is begun anew even when nobody asked for it. */
    WAL_BYTES_MOST = 64 * 1024 * 1024,
    FRAME_HEADER = 24,
};

static int on_commit(void *user, sqlite3 *db, const char *name, int frames)
{
    struct store *s = user;

    (void)db;
    (void)name;
    if ((uint64_t)frames < s->wal_frames)
        s->wal_copied = 0;
    s->wal_frames = (uint64_t)frames;
    return SQLITE_OK;
}

int store_wal_watch(struct store *s)
{
    int64_t page;
    int rc = database_number(&s->db, "PRAGMA page_size", &page);

    if (rc < 0)
        return rc;
    s->frame_bytes = (uint64_t)page + FRAME_HEADER;
    (void)sqlite3_wal_hook(s->db.db, on_commit, s);
    return 0;
}

uint64_t store_wal_bytes(const struct store *s)
{
    return (s->wal_frames - s->wal_copied) * s->frame_bytes;
}

int store_checkpoint(struct store *s, bool reset)
{
    int frames = 0, copied = 0;
    int rc;

    if (s->wal_frames * s->frame_bytes > WAL_BYTES_MOST)
        reset = true;
    (void)sqlite3_busy_timeout(s->db.db, RESET_PATIENCE_MS);
    rc = sqlite3_wal_checkpoint_v2(s->db.db, NULL,
                                   reset ? SQLITE_CHECKPOINT_RESTART
                                         : SQLITE_CHECKPOINT_PASSIVE,
                                   &frames, &copied);
    (void)sqlite3_busy_timeout(s->db.db, USUAL_PATIENCE_MS);
    /* Waiting readers are no failure: what could be copied was, the rest is
     * next time's. */
    if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY)
        return store_note_failure(s, database_fail(&s->db, rc),
                                  "copying the WAL into the database");
    if (frames >= 0 && copied >= 0) {
        s->wal_frames = (uint64_t)frames;
        s->wal_copied = (uint64_t)copied;
    }
    return 0;
}

int store_vacuum(struct store *s, int pages)
{
    char sql[60];
    int rc;

    (void)snprintf(sql, sizeof sql, "PRAGMA incremental_vacuum(%d)", pages);
    rc = database_exec(&s->db, sql);
    return rc < 0 ? store_note_failure(s, rc, "giving free pages back") : 0;
}

int store_copy_of(struct store *s, const char *path, struct store_copy **out_c)
{
    return store_copy_begin(out_c, &s->db, path);
}

uint64_t store_last_id(const struct store *s)
{
    return s->last_message;
}

uint64_t store_last_event(const struct store *s)
{
    return (uint64_t)s->last_event;
}
