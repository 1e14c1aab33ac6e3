/*
 * store - where the queue's facts are kept.
 *
 * The interface that a shared server database could stand behind as well: batches in,
 * outcomes out, no SQL above it, and no belief that this process wrote every row.
 * SQLite is behind it now (store_*.c). Its codes stop here: all functions answer 0 or a
 * negative error (ERROR_FULL, ERROR_STORE, ERROR_DAMAGED ...), and store_why tells the
 * person's sentence for the last one.
 *
 * One struct store: the writer's, the only one that writes or checkpoints. Any number of
 * struct store_reader: read-only connections, one for each thread that reads; each call is
 * one short read transaction.
 */
#ifndef WAYPOST_STORE_H
#define WAYPOST_STORE_H

#include "queue/queue.h"

struct store;
struct store_reader;
struct history;

/* A place among recipients. */
struct store_cursor { int64_t due_ms; uint64_t message; uint32_t number; };

/* ------------------------------------------------------------ opening ---- */

/*
 * Opens or creates path: flock on PATH.lock (held until close), application_id,
 * user_version, quick structural check, upgrade of older schemas in one transaction,
 * and where the WAL is not empty checkpoint(TRUNCATE) and fsync (Q6, Q7) before it
 * returns. WAL, synchronous=FULL, auto_vacuum=INCREMENTAL, wal_autocheckpoint off (the
 * writer calls store_checkpoint). out_why: one sentence with what to do.
 * notices (tmpfs, overlay, network file system): warning lines, separated by '\n'.
 */
MUST int store_open(struct store **out_s, const char *path,
                    struct buffer *out_why, struct buffer *out_notices);
void store_close(struct store *s);
const char *store_why(const struct store *s);

/* ------------------------------------------------- the writer's batch ---- */

MUST int store_begin(struct store *s);
/* ERROR_FULL: rolled back, nothing of it was fsynced, it may be tried again when there is
 * room. Any other failure is final (Q7): the caller ends the process. */
MUST int store_commit(struct store *s);
void store_rollback(struct store *s);
/* A job that fails alone: savepoint, then release (ok) or roll back (!ok). It costs about
 * 6 us of CPU (pages are copied aside), a third of a put and its settle: a batch may run
 * without, and only when one of its jobs fails be rolled back and run again with. When
 * job_end fails the batch must be rolled back. */
MUST int store_job_begin(struct store *s);
MUST int store_job_end(struct store *s, bool ok);

/* Lane id for a key, created when new. Cached inside; rolled back creations are
 * forgotten with their batch. */
MUST int store_lane(struct store *s, struct span key, int64_t *out_lane);

/*
 * Where content is. In a file a message may have a head of its own: head_bytes that stand at
 * head_at in the file, behind all that the message shares with others; its bytes are the head
 * and then the file from its beginning. checksum: of all bytes, with a head checksum_join.
 */
struct store_content {
    uint64_t checksum;
    bool has_file;
    uint32_t head_bytes;          /* 0: it has none */
    uint64_t head_at;
};

/* Envelope, recipients (lane ids found by key) and, unless it is in a file, content. */
MUST int store_put(struct store *s, const struct queue_message *m,
                   const struct store_content *c);

/* One recipient's outcome and its event. DELIVERED, FAILED, EXPIRED and DISCARDED remove
 * the row; the last one removes the message and its content (*out_removed; *out_has_file:
 * the caller unlinks the file after the commit). work gives envelope and recipient. */
MUST int store_settle(struct store *s, const struct queue_work *work, size_t i,
                      const struct queue_result *r, int64_t now_ms,
                      bool *out_removed, bool *out_has_file);

/* An acceptance has no event of its own: what becomes of a recipient in the end carries
 * the facts of its acceptance (client, size ...) and all its attempts. */

/* Destination memory: one row each, by name. */
struct store_destination {
    struct span name;
    int64_t due_ms;               /* resting until; 0: up */
    uint32_t downs;               /* failures in a row */
    uint32_t window;              /* learned concurrency */
    int64_t last_good_ms;
    struct span last_error;
    int64_t at_ms;                /* when this was written */
    int64_t suspended_ms;         /* until; 0: it is not */
    struct span suspend_why;
    bool is_on_demand;
};
MUST int store_destination_put(struct store *s, const struct store_destination *d);

MUST int store_note_put(struct store *s, struct span kind, struct span key,
                        struct span value, int64_t expire_ms);

/*
 * What is not on disk, asked row by row by lists, counts and changes alike, so that all
 * three mean the same. Either function may be NULL, and a view may be: then nothing of
 * the kind is known. Called within a transaction: must be quick.
 */
struct store_view {
    /* Is it being sent right now? */
    bool (*is_active)(void *user, uint64_t message, uint32_t number);
    /* Is the next hop of the lane down? *out_due_ms: it rests until then (what is over is
     * allowed: it is being tried); the reason is put. */
    bool (*is_resting)(void *user, struct span lane, int64_t *out_due_ms,
                       struct buffer *out_reason);
    void *user;
    /* The name of the destination that the lane leads to is put. */
    void (*destination)(void *user, struct span lane, struct buffer *out_name);
    /* What is being sent: the messages are told. NULL: nobody knows. */
    void (*claimed)(void *user, void (*each)(void *to, uint64_t message),
                    void *to);
    int64_t now_ms; /* for those that are looked for by what is due; 0: they are not */
    /* When it is known, only its messages are looked at. */
    const struct store_among *among;
};

/* The messages that a filter by domain, destination or state may mean; see store_among.c. */
struct store_among {
    bool is_over;                 /* looked for */
    bool is_known;                /* there are few: ids are all of them */
    uint64_t *ids;                /* sorted when known */
    size_t count, room;
    uint64_t first;               /* else: no message before it is meant */
    int64_t after_lane;
    uint32_t lanes;               /* looked at so far */
};
/* Is it of states that the lanes' rows of what is due lead to? */
bool store_among_has_state(const struct queue_filter *f);
/* One slice of the looking for; until is_over. */
MUST int store_among_look(struct store_reader *r, const struct queue_filter *f,
                          const struct store_view *view, struct store_among *a);
void store_among_fini(struct store_among *a);

/*
 * One slice of a change: at most `limit` messages with id > after_id that match.
 * skip(user, message, number) true: leave that recipient (it is being sent).
 * each(user, message): told of each changed message. lane(user, key): told of the lanes
 * of changed recipients, some more than once; may be NULL. count is added to. A filter means
 * recipients: those of a message that it does not mean are left alone. *out_last: where to
 * go on, 0 when done; a slice may change nothing and yet not be the last. An audit event is
 * written with the last slice, which tells how many; where that is not the first (after_id 0),
 * another one with the first, so that nothing is changed unsaid. DELETE marks rows deleted (due
 * never, purged in a day); files are kept until then.
 */
struct store_change {
    const struct queue_filter *filter;
    enum queue_change change;
    struct span who, route, why; /* as in struct queue_order */
    int64_t now_ms;
    const struct store_view *view;
    bool (*skip)(void *user, uint64_t message, uint32_t number);
    void (*each)(void *user, uint64_t message);
    void (*lane)(void *user, struct span key);
    /* Told of each recipient that was changed by anything but a retry; from: its lane, which it
     * leaves when deleted or moved; to: the one it comes to when undeleted or moved. What does
     * not apply is empty. May be NULL. */
    void (*moved)(void *user, uint64_t message, uint32_t number, struct span from,
                  struct span to, uint64_t size_bytes);
    void *user;
};
MUST int store_change(struct store *s, const struct store_change *c,
                      uint64_t after_id, uint32_t limit,
                      struct queue_count *count, uint64_t *out_last);
/* Makes recipients of the lane that have been tried before due now, at most limit. */
MUST int store_hasten(struct store *s, struct span lane, int64_t now_ms,
                      uint32_t limit, uint32_t *out_count);
/* Removes deleted messages whose day is over, at most limit; told of each with a file. */
MUST int store_purge(struct store *s, int64_t now_ms, uint32_t limit,
                     void (*has_file)(void *user, uint64_t message), void *user);
/* Removes what was said in attempts at messages that are gone: looks at about `limit` of them,
 * and goes on from there the next time. */
MUST int store_purge_dialogues(struct store *s, uint32_t limit);
/* Removes notes that have expired, at most limit. */
MUST int store_purge_notes(struct store *s, int64_t now_ms, uint32_t limit,
                           bool *out_more);
/* Lane key, size and age of its message for each recipient that is not deleted, sorted, after the
 * cursor's message and number (its due time is not looked at) and in front of the message
 * before_id. At most limit are looked at, deleted ones among them. */
typedef void store_size_fn(void *user, struct span lane, uint64_t size_bytes,
                           int64_t received_ms);
MUST int store_read_sizes(struct store *s, struct store_cursor *cursor,
                          uint64_t before_id, uint32_t limit,
                          store_size_fn *each, void *user, bool *out_more);
/* The same for the roll, which needs other facts, behind a recipient (-1: from the first one of
 * its message on) and up to a message; sorted. Told of the deleted ones too, so that a walk
 * goes on behind them: however many they are, no more than limit are looked at. */
struct store_waiting {
    uint64_t message, size_bytes;
    int64_t received_ms;
    uint32_t number;
    bool is_held, is_deleted;
    struct span sender, client, client_name, login, address, lane; /* borrowed */
};
typedef void store_waiting_fn(void *user, const struct store_waiting *w);
MUST int store_read_waiting(struct store *s, uint64_t message, int64_t number,
                            uint64_t end_id, uint32_t limit,
                            store_waiting_fn *each, void *user);
/* Events up to and with this id are in the history: remove them. */
MUST int store_events_done(struct store *s, int64_t last_event);

/* Bytes in the WAL since the last checkpoint. */
uint64_t store_wal_bytes(const struct store *s);
/* PASSIVE; when `reset`, RESTART is tried so that the WAL begins anew. Never waits for a
 * reader longer than a moment. */
MUST int store_checkpoint(struct store *s, bool reset);
/* Gives up to `pages` free pages back, when idle. */
MUST int store_vacuum(struct store *s, int pages);
/* A copy of the database into an empty file, begun; see store_copy.h. */
struct store_copy;
MUST int store_copy_of(struct store *s, const char *path,
                       struct store_copy **out_c);
/* The largest message id ever used (for queue_new_id). */
uint64_t store_last_id(const struct store *s);
/* The largest number ever given to an event. */
uint64_t store_last_event(const struct store *s);

/* ------------------------------------------------------------ reading ---- */

MUST int store_reader_open(struct store_reader **out_r, const char *path);
void store_reader_close(struct store_reader *r);

/* Every lane that has recipients waiting, with the earliest due time. Paged by lane id:
 * at most limit lanes are looked at; *out_last is where to go on, 0: that was all. */
typedef void store_lane_fn(void *user, int64_t lane, struct span key,
                           int64_t due_ms);
MUST int store_read_lanes(struct store_reader *r, int64_t after_lane,
                          uint32_t limit, store_lane_fn *each, void *user,
                          int64_t *out_last);

MUST int store_read_destinations(struct store_reader *r,
                                 void (*each)(void *user,
                                              const struct store_destination *d),
                                 void *user);

/*
 * Recipients of a lane due by now, sorted (due, message, number), after the cursor, at most
 * limit, gathered by message: one work for each message in the page, on one block that the
 * callee frees with free(); content is NULL (where it is is told, for the call). Small content
 * is fetched by store_read_content.
 */
typedef void store_work_fn(void *user, struct queue_work *take_work,
                           const struct store_content *c);
MUST int store_read_due(struct store_reader *r, int64_t lane, int64_t now_ms,
                        struct store_cursor *cursor, uint32_t limit,
                        store_work_fn *each, void *user, bool *out_more);
/* The earliest due time of a lane after now, or INT64_MAX. */
MUST int store_read_next_due(struct store_reader *r, int64_t lane,
                             int64_t after_ms, int64_t *out_due_ms);

/* Messages whose alarm (delay notice or expiry of any recipient) has come: works with all
 * their unsettled, unheld recipients. Sorted by id; fewer than limit: that was all. */
MUST int store_read_alarms(struct store_reader *r, int64_t now_ms,
                           uint64_t after_message, uint32_t limit,
                           store_work_fn *each, void *user);

/* Content of a small message, appended; ERROR_CHECKSUM, ERROR_GONE. */
MUST int store_read_content(struct store_reader *r, uint64_t message,
                            uint64_t checksum, struct buffer *out);

/* As queue_list and queue_count. A row has the recipients that the filter means. Looks at a
 * bounded number of messages: a slice may be empty and yet not be the last (*out_next 0).
 * store_count adds to *count. */
MUST int store_list(struct store_reader *r, const struct queue_filter *f,
                    uint64_t after_id, uint32_t limit, int64_t now_ms,
                    const struct store_view *view,
                    void (*each)(void *user, const struct queue_row *row),
                    void *user, uint64_t *out_next);
MUST int store_count(struct store_reader *r, const struct queue_filter *f,
                     int64_t now_ms, const struct store_view *view,
                     uint64_t after_id, uint32_t limit,
                     struct queue_count *count, uint64_t *out_next);
/* The same for the metrics. *survey is added to. */
MUST int store_survey(struct store_reader *r, const struct queue_filter *f,
                      int64_t now_ms, const struct store_view *view,
                      uint64_t after_id, uint32_t limit,
                      struct queue_survey *survey, uint64_t *out_next);
/* Each recipient that a filter means, in the order of store_list. view may be NULL. */
struct store_found {
    int64_t lane;
    uint64_t message, size_bytes;
    int64_t received_ms;
    bool is_first;                /* of its message */
    struct span sender, client, login, address; /* borrowed for the call */
};
typedef void store_found_fn(void *user, const struct store_found *f);
MUST int store_find(struct store_reader *r, const struct queue_filter *f,
                    int64_t now_ms, const struct store_view *view,
                    uint64_t after_id, uint32_t limit, store_found_fn *each,
                    void *user, uint64_t *out_next);
/* All that is stored of one message but its header and what its recipients' rows in a list
 * say; texts in the arena. ERROR_GONE: there is none. */
struct arena;
MUST int store_read_story(struct store_reader *r, uint64_t id, struct arena *a,
                          struct queue_story *out, struct store_content *out_c);
MUST int store_read_envelope_of(struct store_reader *r, uint64_t id,
                                struct arena *a, struct envelope *out_e,
                                struct store_content *out_c);
/* The key of a lane, appended; also from within store_find. */
MUST int store_read_lane_key(struct store_reader *r, int64_t lane,
                             struct buffer *out_key);
MUST int store_read_notes(struct store_reader *r, struct span kind,
                          int64_t now_ms, queue_note_fn *each, void *user);
/* The value of one, appended; nothing when there is none. Several may be read in one
 * transaction. */
MUST int store_read_note(struct store_reader *r, struct span kind,
                         struct span key, int64_t now_ms, struct buffer *out);
MUST int store_read_begin(struct store_reader *r);
void store_read_end(struct store_reader *r);
/* Ids of messages that have a file, sorted: for the removal of orphans at start. */
MUST int store_read_files(struct store_reader *r, uint64_t after_id,
                          uint32_t limit, uint64_t *ids, uint32_t *out_count);

/* ------------------------------------------------------------ history ---- */

/* PATH of the queue with "queue.db" replaced by "history.db" (or ".history" appended).
 * Its own connection, WAL, committed FULL. Copies up to `limit` events from the queue
 * (INSERT OR IGNORE by event id); *out_last is the last one copied, 0 when none. */
MUST int history_open(struct history **out_h, const char *queue_path);
MUST int history_drain(struct history *h, struct store_reader *r, uint32_t limit,
                       int64_t *out_last);
MUST int history_refusals(struct history *h, const struct queue_refusal *rows,
                          size_t count);
/* At most `limit` rows of each table are removed; *out_count: how many. */
MUST int history_prune(struct history *h, int64_t before_ms, uint32_t limit,
                       uint32_t *out_count);
/* About so many of the oldest. */
MUST int history_prune_oldest(struct history *h, uint32_t limit);
struct history_size {
    uint64_t file_bytes, used_bytes;
};
MUST int history_size(struct history *h, struct history_size *out);
/* Gives up to `pages` free pages back. */
MUST int history_vacuum(struct history *h, int pages);
void history_close(struct history *h);

/* XXH3 of content, fed in pieces (libxxhash). */
struct checksum;
struct checksum *checksum_new(void);
void checksum_add(struct checksum *c, struct span bytes);
uint64_t checksum_end(struct checksum *take_c);
uint64_t checksum_of(struct span bytes);
/* Of a head and what follows it. */
uint64_t checksum_join(uint64_t head, uint64_t rest);

#endif
