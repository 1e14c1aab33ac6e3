/*
 * store_private - what the parts of the store share, and nobody else includes.
 */
#ifndef WAYPOST_STORE_PRIVATE_H
#define WAYPOST_STORE_PRIVATE_H

#include "queue/database.h"
#include "queue/store.h"

#include "policy/vocabulary/limits.h"

enum {
    STORE_APPLICATION_ID = 0x57617970,   /* "Wayp" */
    HISTORY_APPLICATION_ID = 0x57617968, /* "Wayh" */
    STORE_PAGE = 2048,
    STORE_TRAIL = 8 * 1024, /* bytes of attempts kept */
    STORE_LANES_CACHED = 50 * 1000,
    STORE_DAY_MS = 24 * 60 * 60 * 1000,
};

#define NEVER_MS INT64_MAX

/* What is stored in recipient.state: bits. */
enum stored_state {
    STORED_WAITING = 0,
    STORED_HELD = 1,
    STORED_DELETED = 2,
    STORED_RETURNED = 4, /* a person returns it: an alarm, until it is settled */
};

/* What is stored in message.by_how: bits. */
enum stored_by { STORED_BY_RETURN = 1, STORED_BY_TRACE = 2 };

/* What is stored in event.kind and history.kind; numbers never change. */
enum event_kind {
    EVENT_DELIVERED = 1,
    EVENT_FAILED = 2,
    EVENT_EXPIRED = 3,
    EVENT_DISCARDED = 4,
    EVENT_DELETED = 5, /* its day as deleted is over */
    EVENT_CHANGED = 6, /* a person's order: who in login, what in reply */
    EVENT_RETURNED = 7, /* to its sender, by a person's order */
};

struct lane_entry;

/* Messages whose alarm_ms may no longer be the least of their recipients'. */
struct alarm_list {
    uint64_t *ids;
    size_t count, size;
};

struct store {
    struct database db;
    int lock_fd;
    struct lane_entry *lanes; /* key -> id, bounded, oldest out first */
    bool has_new_lanes;       /* made in this batch; till its end */
    uint64_t last_message;    /* the largest id ever put */
    int64_t last_event;       /* the largest id ever given */
    uint64_t frame_bytes;     /* of one page in the WAL */
    uint64_t wal_frames;      /* in the WAL */
    uint64_t wal_copied;      /* of them in the database too */
    struct alarm_list alarms;
    uint64_t dialogues_purged; /* up to this message, in this round */
    struct buffer trail, reply, text, dialogue;
    char why[600];
};

struct store_reader {
    struct database db;
};

/* history_schema.c: as the steps of store_schema.c */
enum { HISTORY_VERSION = 4 };
extern const char *const history_steps[HISTORY_VERSION];

/* history.c: "queue.db" at the end becomes "history.db". */
void history_path(const char *queue_path, struct buffer *out);

/* past.c: read-only, while a relay writes it or none does; ours, and not of a later version. */
MUST int past_open(struct database *d, const char *path, int64_t *out_version);

/* store_schema.c */
int store_schema_version(void);
/* Steps from..to in one transaction, with the numbers that say so. */
MUST int store_schema_upgrade(struct database *d, const char *const *some_steps,
                              int from, int to, int application_id);
MUST int store_schema_bring(struct database *d, int from);

/* store_check.c: is this file ours, whole, and of our time? *out_version is 0
 * for a file that is new or empty. */
MUST int store_check(struct database *d, const char *path, int *out_version,
                     struct buffer *out_why);
/* What can be told without opening it. */
MUST int store_check_before(const char *path, struct buffer *out_why);
/* Are all its pages whole? ERROR_DAMAGED: d->why has the first thing that is wrong. */
MUST int store_check_pages(struct database *d);
/* The sentence for a failure; answers rc. */
MUST int store_check_refuse(struct database *d, int rc, const char *path,
                            struct buffer *out_why);
/* Which file system holds the path? A line for each thing to worry about. */
void store_check_folder(const char *path, struct buffer *out_notices);

/* store_batch.c */
/* Keeps the sentence of a failure; answers rc. */
MUST int store_note_failure(struct store *s, int rc, const char *doing);
void store_alarm_changed(struct store *s, uint64_t message);
void store_lanes_forget(struct store *s);

/* store_wal.c */
MUST int store_wal_watch(struct store *s);

/* store_event.c: one row of the outbox; the id is given here. */
struct store_event {
    enum event_kind kind;
    int64_t at_ms;
    uint64_t message;
    const struct envelope *envelope;
    const struct queue_recipient *recipient;
    const struct queue_result *result;
    struct span trail;
    struct span dialogue; /* of what did not succeed */
    struct span who;      /* of what a person wanted */
};
MUST int store_event_put(struct store *s, const struct store_event *e);

/* store_audit.c: an order of this name for the history. count NULL: it has only begun. */
MUST int store_audit_put(struct store *s, const struct store_change *c,
                         const char *name, const struct queue_count *count);

/* store_deed.c: as it is kept beside a recipient; what is read is borrowed. */
void store_deed_put(struct buffer *b, const struct queue_deed *d);
void store_deed_read(struct span text, struct queue_deed *out);

/* store_read.c */
/* The 16 columns of an envelope, borrowed from the statement. */
void store_read_envelope(sqlite3_stmt *st, int first, struct envelope *out);

/* store_scan.c: rows that a filter means, in the order of ids. */
struct scan_row {
    uint64_t message;
    int64_t received_ms;
    uint64_t size_bytes;
    struct span sender, client, login, helo;
    uint32_t number;
    struct span address;
    struct span reason; /* its last reply, else why its next hop rests */
    struct span deed; /* by store_deed_put; empty: no person keeps it as it is */
    unsigned stored; /* of enum stored_state */
    enum queue_state state;
    uint32_t attempts;
    int64_t due_ms, expire_ms, warn_ms, since_ms; /* as stored */
    int64_t next_ms; /* due_ms, but not before its next hop's rest is over */
    int64_t lane;
    bool is_first; /* of its message */
};
struct scan {
    const struct queue_filter *filter;
    unsigned states; /* when the filter names none */
    int64_t now_ms;
    const struct store_view *view; /* may be NULL */
    uint64_t after_id;
    uint32_t limit; /* messages that match */
    uint32_t looks; /* messages looked at; 0: SCAN_MESSAGES of store_scan.c */
    int64_t slice_ms; /* by the clock, at least one message; 0: any */
    void (*each)(void *user, const struct scan_row *row);
    void *user;
};
/* Also ends, with *out_next, after so many messages that only had to be looked
 * at that the read transaction would grow long. 0: there is no more. */
MUST int store_scan(struct database *d, const struct scan *scan,
                    uint64_t *out_next);
/* store_among.c: the same of view->among alone, which is known. */
MUST int store_among_scan(struct database *d, const struct scan *scan,
                          uint64_t *out_next);
/* The key of a lane, borrowed until lane_key_done; empty when it is not known. */
MUST int store_lane_key(struct database *d, int64_t lane, struct span *out_key);
void store_lane_key_done(struct database *d);

#endif
