/*
 * queue - the memory of the relay.
 *
 * Puts messages on disk, hands out what is due as work, and takes back what came
 * of it. It does not decide (retry times, routes and reports come from above) and
 * it knows neither sockets nor loops: each loop has a port, a mailbox whose
 * callbacks run on that loop's own thread when it drains it.
 *
 * What it promises (tests carry the numbers):
 *  Q1 durable before yes: a put's callback says 0 only after the transaction that
 *     holds envelope and content was fsynced (WAL, synchronous=FULL; content in a
 *     file was fsynced, file and folder, before that commit).
 *  Q2 never both gone and unreported: a settle and its report are one transaction.
 *  Q3 a crash un-claims: work lives in memory only; what is on disk and due is
 *     handed out again at the next start.
 *  Q4 duplicates only in doubt: settles go ahead of puts.
 *  Q5 whole or not at all: content that no put named is removed.
 *  Q6 no silent fresh start: foreign, damaged, newer or locked files are refused;
 *     content carries a checksum that is verified when it is read from disk.
 *  Q7 full disk is temporary (ERROR_FULL), a failed fsync or COMMIT is final.
 *  Q8 bounded memory: the active set and the cache have caps, whatever the backlog.
 *
 *   put --> [writer: group commit] --> active set --slot--> work --> settle --+
 *                  ^                      ^  refill (reader)                  |
 *                  +----------------------|-----------------------------------+
 *
 * Threads: one writer (the only SQLite connection that writes or checkpoints), one
 * reader (refill, alarms), one historian, a few for large content; and while somebody
 * asks, one for people's questions (lists, counts, history) and one for a backup. All
 * functions below may be called from any thread but those of a port, which belong
 * to the port's thread.
 */
#ifndef WAYPOST_QUEUE_H
#define WAYPOST_QUEUE_H

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/envelope.h"
#include "policy/vocabulary/error.h"
#include "policy/vocabulary/histogram.h"
#include "policy/vocabulary/rate.h"
#include "policy/vocabulary/reply.h"

struct queue;
struct queue_port;
struct queue_slot;
struct queue_body;
struct queue_work;

/* ------------------------------------------------------------ opening ---- */

/* Where a lane leads today. Filled by queue_route_fn; spans are copied. */
struct queue_destination {
    struct buffer name;           /* the caller's buffer, cleared before */
    uint32_t connections;         /* most at once; window starts at 5 or this */
    bool is_on_demand;            /* see queue_release */
    int64_t probe_ms;             /* on demand, and tried by itself so often; 0: not */
    int64_t change_ms;            /* when that changes, for people; 0: not by itself */
    const struct rate *rates;     /* works that are handed out at most; the caller's */
    size_t rate_count;            /* 0: any number; RATES_MOST at most */
};

/*
 * Asked for a lane's destination when the lane is first used and after
 * queue_reroute. Must be quick and pure; called with a lock held, on any thread.
 * A lane that has no route gets a destination all the same (say "none"); its work is
 * claimed and deferred by the relay like any other.
 */
typedef void queue_route_fn(void *user, struct span lane,
                            struct queue_destination *out);

enum queue_notice { QUEUE_INFO, QUEUE_WARNING, QUEUE_FATAL };
/* One line for the log, any thread. After QUEUE_FATAL the process must end with
 * _exit(75) as soon as the line is out: nothing more may be acknowledged. */
typedef void queue_notice_fn(void *user, enum queue_notice kind,
                             const char *text);

struct queue_options {
    const char *path;             /* of queue.db; its folder must exist */
    uint64_t reserve_bytes;       /* 0: smaller of 256 MB and a tenth of the disk */
    uint64_t cache_bytes;         /* content kept in memory; 0: 32 MB */
    uint32_t active_most;         /* recipients in memory; 0: 20000 */
    int64_t history_ms;           /* kept in history.db; 0: 30 days */
    uint64_t history_bytes;       /* of history.db at most; 0: no cap */
    bool read_only;               /* no writer, no lock: for commands when no
                                     daemon runs */
    queue_route_fn *route;
    void *route_user;
    queue_notice_fn *notice;
    void *notice_user;
    int64_t (*now_ms)(void);      /* wall clock; NULL: the real one */
    int64_t (*steady_ms)(void);   /* never set; NULL: now_ms, or the real one */
};

/*
 * Checks, locks, upgrades, recovers (Q6, Q7), removes orphans, starts threads.
 * On failure one sentence for a person, with what to do, is put into out_why.
 */
MUST int queue_open(struct queue **out_q, const struct queue_options *o,
                    struct buffer *out_why);

/* No new slot is opened and parked slots are told to close; puts, settles and open
 * slots go on. Irrevocable: the first step of going down. */
void queue_stop_claims(struct queue *q);
/* Finishes every job handed in, checkpoints, stops the threads. All ports must have
 * been closed. */
void queue_close(struct queue *q);

/* New routes: the active set is sorted anew, destinations no longer used go when their
 * slots do. route_user is not used any more after the return. */
void queue_reroute(struct queue *q, queue_route_fn *route, void *route_user);

/* ------------------------------------------------------------- ports ----- */

/* What a port is told, on its own thread, from within queue_port_drain. A port without
 * slot_opened is never given slots or alarms: it only puts, lists and changes. */
struct queue_port_events {
    /* Somebody must call queue_port_drain soon. ANY THREAD; must only wake. */
    void (*wake)(void *user);
    /* A slot was opened for this port: connect, then queue_slot_next. Always ended
     * by queue_slot_close. */
    void (*slot_opened)(void *user, struct queue_slot *slot);
    /* A parked slot: call queue_slot_next again, there may be work. */
    void (*slot_ready)(void *user, struct queue_slot *slot);
    /* A slot that is parked, or yet to be told of, should be closed (stop_claims,
     * or its destination is gone). */
    void (*slot_ended)(void *user, struct queue_slot *slot);
    /* Recipients whose delay notice or expiry has come, whatever their lane's
     * state. To be settled like any work. */
    void (*alarm)(void *user, struct queue_work *work);
    /* The writer's backlog fell under its cap again. */
    void (*eased)(void *user);
};

struct queue_port *queue_port_open(struct queue *q,
                                   const struct queue_port_events *events,
                                   void *user);
/* Runs the callbacks that wait. Port's thread only. */
void queue_port_drain(struct queue_port *p);
/* No slot may be open. Callbacks of jobs still under way are dropped, the jobs are
 * not. */
void queue_port_close(struct queue_port *p);

/* --------------------------------------------------------------- put ----- */

enum queue_notify {               /* RFC 3461; 0: not given (FAILURE, DELAY) */
    NOTIFY_NEVER = 1, NOTIFY_SUCCESS = 2, NOTIFY_FAILURE = 4, NOTIFY_DELAY = 8,
};

struct queue_recipient {
    uint32_t number;              /* within its message, from 0 */
    unsigned notify;              /* of enum queue_notify */
    struct span address;
    struct span orcpt;            /* "rfc822;a@b" decoded, or empty */
    struct span lane;             /* lane key; see policy/route.h */
    int64_t due_ms;               /* 0 in a put: now */
    int64_t expire_ms;            /* INT64_MAX: never */
    int64_t warn_ms;              /* delay notice; INT64_MAX: none, or sent */
    struct span last_reply;       /* "4.2.0 text" of the latest attempt */
    uint32_t attempts;            /* so far; 0 in a put */
    bool held;
    bool is_returned;             /* alarm only: a person returns it to its sender, and
                                     last_reply says why: OUTCOME_RETURNED */
    struct span returned_by;      /* who that is */
    struct span ruling;           /* by queue_ruling_put; empty: no rule was asked */
};

/*
 * What the rules said of a recipient, for the history: a small text that is kept with it.
 * Which rule accepted it and where that stands, which one held it, and what the client said
 * where rewriting made something else of it; all may be empty.
 */
struct queue_ruling {
    struct span rule, place, held_by; /* place: "FILE:LINE" */
    struct span asked_to;
    struct span asked_from;       /* "<>": the null sender */
    struct span orig_to;          /* the first address of all (ORCPT), where it is neither the
                                     recipient's nor asked_to */
};
void queue_ruling_put(struct buffer *b, const struct queue_ruling *r);
/* Borrows from text. */
void queue_ruling_read(struct span text, struct queue_ruling *out);

/* What a put takes. Spans are borrowed for the call only (the queue copies). */
struct queue_message {
    uint64_t id;                  /* from queue_new_id */
    struct envelope envelope;
    const struct queue_recipient *recipients;
    size_t recipient_count;
    char *take_content;           /* malloc'ed, ownership moves; NULL when in body */
    struct queue_body *take_body; /* finished content of large messages, or NULL */
    struct span head;             /* of one in body: what comes before the body's bytes;
                                     empty: nothing. size_bytes and header_bytes count it */
};

/* Never the same twice, sorts by time; also across restarts. */
uint64_t queue_new_id(struct queue *q);

/*
 * done says: rc 0, committed and fsynced; ERROR_FULL: 452 4.3.1; anything else: 451
 * 4.3.0, nothing was kept. The message is lost to the caller in either case. Called
 * with the port's user.
 */
typedef void queue_put_fn(void *user, uint64_t token, int rc, uint64_t id);
void queue_put(struct queue_port *p, const struct queue_message *take_m,
               queue_put_fn *done, uint64_t token);
/*
 * Several at once: all of them in one transaction or none, told of by one callback with the
 * id of the first. Each small one has content of its own. All large ones share one body,
 * which is on disk once, each with a head of its own or none; it need not have the id of any
 * of them.
 */
void queue_put_all(struct queue_port *p, const struct queue_message *take_all,
                   size_t count, queue_put_fn *done, uint64_t token);

/* Was there ever a message of this id, as far as queue and history remember? Reads the files:
 * takes a moment. Any thread; not for what this process puts at the same time. */
MUST int queue_knows(const struct queue *q, uint64_t id, bool *out_known);

/* Room for so many more bytes above the reserve? Cheap; the figure is at most a
 * second old. */
bool queue_has_room(struct queue *q, uint64_t bytes);
/* The writer is behind: stop reading content until `eased`. Cheap. */
bool queue_is_behind(struct queue *q);

/*
 * Large content, written to a file in parts while it arrives. Nothing of it is mail
 * until a put names it. Each append's done tells that those bytes have left memory;
 * keep at most two under way. Errors are kept: the put then fails.
 */
typedef void queue_body_fn(void *user, uint64_t token, int rc);
struct queue_body *queue_body_open(struct queue_port *p, uint64_t id);
void queue_body_append(struct queue_body *b, char *take_bytes, size_t len,
                       queue_body_fn *done, uint64_t token);
void queue_body_abandon(struct queue_body *take_b);

/* -------------------------------------------------------------- work ----- */

/*
 * Recipients of one message that share a destination, claimed until settled.
 * Everything in it is its own, on one block, but content.
 */
struct queue_work {
    uint64_t message;
    struct envelope envelope;
    struct queue_recipient *recipients;
    size_t count;
    struct span content;          /* all of it when small; at == NULL: it is in a file,
                                     read it with queue_read */
    bool is_alarm;                /* came by `alarm` */
    int64_t active_ms;            /* when it came into the active set */
};

/* The name of the destination, as queue_route_fn gave it. */
struct span queue_slot_destination(const struct queue_slot *slot);
/* The lane of the work that would come next, for the look-up of MX names before
 * anything is claimed (borrowed until the next call; empty when none). */
struct span queue_slot_lane(struct queue_slot *slot);
/* For the caller's own use. */
void queue_slot_attach(struct queue_slot *slot, void *data);
void *queue_slot_data(const struct queue_slot *slot);
/* What the caller wants to know of the destination another time: bits of its own, added to
 * those that are there. They last as long as the process, if they are looked at seldom: a
 * destination without mail may be forgotten. */
void queue_slot_mark(struct queue_slot *slot, uint32_t bits);
uint32_t queue_slot_marks(const struct queue_slot *slot);

/*
 * The next work for this slot, with at most `most` recipients, or NULL: then the slot
 * is parked until slot_ready or slot_ended, or until it is closed.
 * Turns: among senders of the destination one after the other; of one sender in order
 * of arrival.
 */
struct queue_work *queue_slot_next(struct queue_slot *slot, uint32_t most);

/* What this slot is given from now on goes to no host: its rates do not concern it. */
void queue_slot_exempt(struct queue_slot *slot);
/* The slot has a greeted connection: the destination is up, its backlog wakes. */
void queue_slot_connected(struct queue_slot *slot);
/*
 * No connection could be made or greeted. reason: "4.4.1 text". backoff_ms is asked for
 * when this makes the destination go down: n-th time in a row, from 1; answers how long
 * to rest. The slot stays open; close it.
 */
typedef int64_t queue_backoff_fn(void *user, unsigned n);
void queue_slot_failed(struct queue_slot *slot, struct span reason,
                       queue_backoff_fn *backoff, void *user);
/* Why the lane's destination could not be reached lately: "4.4.1 text"; nothing is put
 * when it can be. */
void queue_lane_error(struct queue *q, struct span lane, struct buffer *out);
/* The slot is given back. No work may be held by it unsettled. */
void queue_slot_close(struct queue_slot *take_slot);

/* Content in parts: up to len bytes from offset, at the end fewer. The first read of a
 * message verifies nothing; the one that reaches the end has seen all bytes in order
 * and fails with ERROR_CHECKSUM when they do not match. bytes are borrowed for the
 * call of done. */
typedef void queue_read_fn(void *user, uint64_t token, int rc, struct span bytes);
void queue_read(struct queue_port *p, const struct queue_work *work,
                uint64_t offset, size_t len, queue_read_fn *done, uint64_t token);

enum queue_outcome {
    OUTCOME_FREED,                /* not attempted after all; due as before */
    OUTCOME_DELIVERED,
    OUTCOME_DEFERRED,             /* due_ms, expire_ms, warn_ms are the new ones */
    OUTCOME_FAILED,
    OUTCOME_EXPIRED,
    OUTCOME_DISCARDED,            /* by a rule */
    OUTCOME_HELD,                 /* kept, not tried again until released */
    OUTCOME_WARNED,               /* alarm only: warn_ms and expire_ms are new */
    OUTCOME_RETURNED,             /* alarm only: to its sender, as a person wants it */
};

struct queue_result {
    enum queue_outcome outcome;
    int64_t due_ms, expire_ms, warn_ms;
    struct status status;         /* enhanced status code */
    struct span reply;            /* what was said, cleaned, one line */
    struct span host;             /* "mx.example.org[192.0.2.1]:25" or empty */
    int64_t delay_ms[4];          /* before the queue, in it, connecting, sending */
    bool in_doubt;                /* the connection went after the final dot */
    struct span dialogue;         /* what was said, a line each, where it did not succeed;
                                     or empty; recipients may share one (the same address) */
};

/*
 * What came of a work, one result for each of its recipients; the work is freed. Reports
 * (or NULL) go into the same transaction. done may be NULL; is_removed: nothing of the
 * message is left. rc < 0 only when the queue is fatally ill.
 */
typedef void queue_settle_fn(void *user, uint64_t token, int rc,
                             uint64_t message, bool is_removed);
void queue_settle(struct queue_port *p, struct queue_work *take_work,
                  const struct queue_result *results,
                  const struct queue_message *take_reports, size_t report_count,
                  queue_settle_fn *done, uint64_t token);

/* ---------------------------------------------------------- operating ---- */

/* Of a recipient, or of a message's busiest one. What is due but waits for a next hop that
 * is down and rests is deferred like what has a due time of its own. */
enum queue_state {
    STATE_ACTIVE = 1, STATE_READY = 2, STATE_DEFERRED = 4, STATE_HELD = 8,
    STATE_DELETED = 16,           /* can be undone for a day */
};

/* Empty spans and zeroes match everything. Text is a glob (* ? [...]), no case. As `from`,
 * "<>" is the null sender. */
struct queue_filter {
    uint64_t id;
    struct span from, to, domain, client, login, reason;
    struct span via;              /* of the name of its destination; or that name */
    unsigned states;              /* of enum queue_state; 0: all but deleted */
    int64_t older_ms, newer_ms;   /* received before, after; 0: any */
    uint32_t attempts;            /* at least */
};

/* A person's order that keeps a recipient as it is. */
struct queue_deed {
    struct span who, why;         /* why: empty when nobody said */
    int64_t at_ms;                /* 0: there is none */
};

struct queue_row_recipient {
    struct span address, reason;  /* reason: last reply; when there is none and its next
                                     hop is down: why */
    struct queue_deed deed;       /* holds it, or has deleted it */
    enum queue_state state;
    uint32_t attempts;
    int64_t due_ms;               /* not before the next hop's rest is over */
};

struct queue_row {
    uint64_t id;
    int64_t received_ms, expire_ms;
    uint64_t size_bytes;
    struct span sender, client, login, helo;
    enum queue_state state;
    const struct queue_row_recipient *recipients;
    size_t count;
};

/* Rows sorted by id, all borrowed for the call. next_id: pass it as after_id for the
 * page that follows; 0: that was the last. */
typedef void queue_page_fn(void *user, uint64_t token, int rc,
                           const struct queue_row *rows, size_t count,
                           uint64_t next_id);
/* The relay asks for text, below; rows are for tests, which look at each by itself. */
void queue_list(struct queue_port *p, const struct queue_filter *f,
                uint64_t after_id, uint32_t limit, queue_page_fn *done,
                uint64_t token);

/*
 * The same as text: `put` appends a row, on the thread that reads, so that a loop that passes a
 * long list on has nothing to do but that. is_long: one page of many that follow each other,
 * which gives way to all else, pages that somebody waits for too. `text` may be taken.
 */
typedef void queue_put_row_fn(struct buffer *b, const struct queue_row *row);
typedef void queue_list_text_fn(void *user, uint64_t token, int rc,
                                struct buffer *text, size_t count,
                                uint64_t next_id);
struct queue_list_want {
    const struct queue_filter *filter;
    uint64_t after_id;
    uint32_t limit;
    bool is_long;
    queue_put_row_fn *put;
};
void queue_list_text(struct queue_port *p, const struct queue_list_want *want,
                     queue_list_text_fn *done, uint64_t token);

/* All that the filter means, from the files alone, where no relay runs. False: enough. */
typedef bool queue_row_fn(void *user, const struct queue_row *row);
MUST int queue_list_files(const char *path, const struct queue_filter *f,
                          queue_row_fn *each, void *user);

struct queue_count {
    uint64_t messages, recipients, bytes;
    uint64_t active;              /* of an order: recipients that it would have met, and left
                                     alone since they were being sent */
};
typedef void queue_count_fn(void *user, uint64_t token, int rc,
                            const struct queue_count *count);
void queue_count(struct queue_port *p, const struct queue_filter *f,
                 queue_count_fn *done, uint64_t token);

enum queue_change {
    CHANGE_RETRY,                 /* due now, and the rest of their next hops is over */
    CHANGE_DELETE,                /* kept a day as deleted, then gone */
    CHANGE_UNDELETE, CHANGE_HOLD, CHANGE_RELEASE,
    CHANGE_MOVE,                  /* over another route from now on, due now unless held */
    CHANGE_BOUNCE,                /* back to their senders, held ones too: they come by
                                     `alarm`, as is_returned */
};
/*
 * What a person wants of waiting mail. Recipients that are being sent right now are left
 * alone. A lane key is a domain, and behind a tab, where there is one, the title of a route: a
 * move sets that. Done in slices, each durable for itself; after a crash what was done stays
 * so.
 */
struct queue_order {
    enum queue_change change;
    const struct queue_filter *filter;
    struct span who;              /* for the audit event */
    struct span route;            /* MOVE: its title */
    struct span why;              /* BOUNCE: words for the sender; HOLD and DELETE: for
                                     who looks at it later; or empty */
    queue_count_fn *progress;     /* now and then: what was changed so far; or NULL */
};
/* done: how many messages were changed. */
void queue_order(struct queue_port *p, const struct queue_order *o,
                 queue_count_fn *done, uint64_t token);

enum queue_destination_state {
    DESTINATION_UP,
    DESTINATION_RESTING,          /* it could not be reached: until due_ms, then a probe */
    DESTINATION_OFFLINE,          /* on demand, and not released; due_ms: the next probe */
    DESTINATION_SUSPENDED,        /* by a person, until due_ms */
};
enum { QUEUE_DESTINATION_STATES = DESTINATION_SUSPENDED + 1 };

/*
 * What an order would meet: the count, the first few messages, and the destinations with
 * most of the recipients, most first. All borrowed for the call.
 */
enum { PREVIEW_ROWS = 5, PREVIEW_DESTINATIONS = 10 };
struct queue_preview {
    struct queue_count count;
    const struct queue_row *rows;
    size_t row_count;
    struct { struct span name; uint64_t recipients; } busiest[PREVIEW_DESTINATIONS];
    size_t busiest_count;
    uint64_t destinations;        /* all of them */
};
typedef void queue_preview_fn(void *user, uint64_t token, int rc,
                             const struct queue_preview *s);
void queue_preview(struct queue_port *p, const struct queue_filter *f,
                  queue_preview_fn *done, uint64_t token);

/* Who fills the queue: names by the recipients they have there, most first, then in one row
 * that is not named what was too many names. A message counts once with each name that it has
 * recipients for. Borrowed for the call. */
enum queue_rank_key { RANK_FROM, RANK_CLIENT, RANK_LOGIN, RANK_DOMAIN, RANK_VIA, RANK_KEYS };
struct queue_rank {
    bool is_named;
    struct span name;             /* empty: no login, for one */
    struct queue_count count;
};
typedef void queue_rank_fn(void *user, uint64_t token, int rc,
                           const struct queue_rank *ranks, size_t count);
void queue_ranks(struct queue_port *p, const struct queue_filter *f,
                 enum queue_rank_key by, size_t limit, queue_rank_fn *done,
                 uint64_t token);

/*
 * All about one message, borrowed for the call; NULL: there is none. Its recipients in the
 * order of their numbers.
 */
struct queue_story_recipient {
    struct queue_row_recipient row;
    struct span lane, destination; /* its lane's key, and where that leads */
    struct span trail;            /* attempts, oldest first: "ms|host|status|reply\n" each */
    struct span orcpt;
    unsigned notify;
    int64_t expire_ms, since_ms;  /* held or deleted since; 0: it is not */
    bool is_returned;             /* to its sender, as soon as that is settled */
    struct queue_ruling ruling;
};
struct queue_dialogue {
    int64_t at_ms;
    struct span host, text;       /* text: a line each */
};
enum { STORY_DIALOGUES = 10, STORY_HEADER = 64 * 1024 };
struct queue_story {
    uint64_t id;
    struct envelope envelope;
    enum queue_state state;       /* of its busiest recipient */
    const struct queue_story_recipient *recipients;
    size_t count;
    struct queue_dialogue dialogues[STORY_DIALOGUES]; /* latest first */
    size_t dialogue_count;
    struct span header;           /* as it is, STORY_HEADER at most; empty: unreadable */
};
typedef void queue_story_fn(void *user, uint64_t token, int rc,
                            const struct queue_story *s);
void queue_story(struct queue_port *p, uint64_t id, queue_story_fn *done,
                 uint64_t token);

/*
 * The bytes of a message that waits, in parts, whatever becomes of it meanwhile. rc 0:
 * take_c is the caller's until queue_copy_close; ERROR_GONE: there is no such message.
 */
struct queue_copy;
typedef void queue_copy_fn(void *user, uint64_t token, int rc,
                           struct queue_copy *take_c);
void queue_copy_open(struct queue_port *p, uint64_t id, queue_copy_fn *done,
                     uint64_t token);
uint64_t queue_copy_size(const struct queue_copy *c);
uint32_t queue_copy_header_size(const struct queue_copy *c);
/* From offset on, up to len bytes. Whoever reads all of it in order learns with the last part
 * whether it is what was received: ERROR_CHECKSUM. One at a time. */
void queue_copy_read(struct queue_port *p, struct queue_copy *c,
                     uint64_t offset, size_t len, queue_read_fn *done,
                     uint64_t token);
/* The bytes of a read that is still under way are not to be looked at. */
void queue_copy_close(struct queue_copy *take_c);

/*
 * Recipients that wait by domain and by age, from a picture that is drawn anew now and then in
 * the background: each column ends at twice the age of the one before, from 5 minutes on, and
 * the last is open.
 */
enum { HEAT_COLUMNS = 10, HEAT_FIRST_MIN = 5 };
struct queue_heat_row {
    struct span domain;           /* empty: all that no row is kept for */
    uint64_t total, cells[HEAT_COLUMNS];
};
struct queue_heat {
    const struct queue_heat_row *rows; /* most first, at most `limit` */
    size_t count;
    uint64_t total, cells[HEAT_COLUMNS]; /* of all */
    int64_t at_ms;                /* when it was drawn; 0: none is there yet */
    bool is_complete;             /* false: the first is being drawn */
};
/* Borrowed for the call, which comes at once, on the caller's thread. */
typedef void queue_heat_fn(void *user, const struct queue_heat *h);
void queue_heat(struct queue *q, size_t limit, queue_heat_fn *each, void *user);

struct queue_stats {
    uint64_t messages_ready, messages_deferred, messages_held; /* recipients */
    uint64_t active, cached_bytes, slots, slots_parked;
    uint64_t puts, settles, commits, commit_us_last, commit_us_max;
    uint64_t wal_bytes, disk_free_bytes, history_behind, refusals_dropped;
    uint64_t destinations_down;
};
void queue_stats(struct queue *q, struct queue_stats *out);

/* What waits in one state; a message counts in each state that one of its recipients has.
 * What is being sent counts as what it was before. */
struct queue_survey {
    uint64_t messages, recipients, bytes;
    int64_t oldest_ms;            /* received; 0: there is none */
    struct histogram_sum ages, sizes; /* s, bytes; at the time of the count */
};
enum { SURVEY_READY, SURVEY_DEFERRED, SURVEY_HELD, QUEUE_SURVEYS };

/* For the metrics. Surveys are made every few seconds, seldomer the more there is. */
struct queue_figures {
    struct queue_survey surveys[QUEUE_SURVEYS];
    struct histogram_sum commit_us, commit_jobs; /* scales: histogram_moments, _batches */
    uint64_t reserve_bytes;       /* the disk's */
    bool is_history_paused;       /* the disk is low, or it cannot be written */
    uint64_t destinations[QUEUE_DESTINATION_STATES]; /* by state */
};
void queue_figures(struct queue *q, struct queue_figures *out);

/* A refusal, or what a rule discarded (reply is a 250), for the history: a bounded ring that
 * may drop (and counts it). */
struct queue_refusal {
    int64_t at_ms;
    struct span client, helo, login, sender, recipient, reply, rule;
    struct span place;            /* of the rule, "FILE:LINE" */
    struct span stage;            /* "RCPT" */
    struct span client_name, listener, tls; /* as in an envelope */
    uint64_t size_bytes;          /* declared; 0: not */
    bool is_verdict;              /* the rules decided; with no rule: none granted */
};
void queue_refuse(struct queue *q, const struct queue_refusal *r);

/*
 * What was decided once: a recipient that was accepted, waiting or gone, or a refusal. All
 * that lie in the files, also while a relay runs: nothing is locked, nothing is written. Read
 * in short pieces, so that what comes or goes meanwhile may be there or not, but nothing
 * twice. Reports and other mail of our own are not among them.
 */
struct queue_past {
    int64_t at_ms;                /* when it was received, or refused */
    bool is_refusal;              /* is_verdict, stage and reply are of refusals alone */
    bool is_verdict;
    bool is_recorded;             /* false: by a version that kept no rules of what it accepted */
    struct queue_ruling ruling;   /* of an accepted one all empty: no rule was asked */
    struct span sender, recipient; /* as the client said them */
    struct span client, client_name, helo, login, listener, tls, stage, reply;
    uint64_t size_bytes;
};
/* Borrowed for the call. False: enough. */
typedef bool queue_past_fn(void *user, const struct queue_past *p);
/* path: of queue.db. out_why: on failure a sentence. */
MUST int queue_past(const char *path, int64_t since_ms, queue_past_fn *each,
                    void *user, struct buffer *out_why);

/* ------------------------------------------------------------ history ---- */

/* What became of a recipient, or was done; bits. */
enum queue_what {
    WHAT_DELIVERED = 2, WHAT_FAILED = 4, WHAT_EXPIRED = 8, WHAT_DISCARDED = 16,
    WHAT_DELETED = 32, WHAT_CHANGED = 64, WHAT_RETURNED = 128, WHAT_REFUSED = 256,
};

/* A place in the history, between two rows; at_ms 0: in front of the newest. */
struct queue_place { int64_t at_ms, id; unsigned source; };

/* Texts that nobody gave are empty. */
struct queue_told {
    struct queue_place place;     /* behind it */
    enum queue_what what;
    uint64_t message;             /* 0: a refusal, or an order that meant many */
    int64_t received_ms;          /* 0: never was */
    uint64_t size_bytes;
    struct span sender, recipient, client, client_name, helo, login, listener, protocol,
        message_id, reply, host, tls, stage, dialogue;
    struct status status;
    int64_t delay_ms[4];          /* before the queue, in it, connecting, sending */
    uint32_t attempts;
    bool in_doubt;
    struct span trail;            /* earlier attempts: a line time|host|status|reply each */
    struct queue_ruling ruling;
    struct span who;              /* gave the order */
};

/*
 * One page, newest first, of what the filter means: `states` are of enum queue_what, older
 * and newer mean when it happened, attempts how many there were. Addresses mean the former ones
 * too: as the client said them, and as the message was first addressed. Rows are borrowed for the
 * call. next: pass it as `after` for the page that follows; NULL: that was the last. A page
 * that took long to find may be empty and yet not be the last, so that one can tell how far it
 * is, or stop asking. Rows that come meanwhile change nothing in the pages that follow.
 */
typedef void queue_history_fn(void *user, uint64_t token, int rc,
                              const struct queue_told *rows, size_t count,
                              const struct queue_place *next);
void queue_history(struct queue_port *p, const struct queue_filter *f,
                   const struct queue_place *after, uint32_t limit,
                   queue_history_fn *done, uint64_t token);

/* The same as text, which is what the relay asks for; see queue_list_text. */
typedef void queue_put_told_fn(struct buffer *b, const struct queue_told *row);
typedef void queue_history_text_fn(void *user, uint64_t token, int rc,
                                   struct buffer *text, size_t count,
                                   const struct queue_place *next);
struct queue_history_want {
    const struct queue_filter *filter;
    const struct queue_place *after; /* or NULL */
    uint32_t limit;
    bool is_long;
    queue_put_told_fn *put;
};
void queue_history_text(struct queue_port *p,
                        const struct queue_history_want *want,
                        queue_history_text_fn *done, uint64_t token);

/*
 * What became of recipients since an event, oldest first: for those who are told of it and
 * remember how far they got. Events are numbered in the order in which they become visible
 * here, so that what has come later has a larger number. place.id of a row is its number.
 */
struct queue_sequel {
    const struct queue_told *rows; /* borrowed for the call */
    size_t count;
    uint64_t last;           /* seen so far, wanted or not: pass it as after_id the next time */
    uint64_t oldest, newest; /* that the history has; 0: none at all */
    uint64_t begun;          /* the last that there was when the queue was opened */
};
typedef void queue_sequel_fn(void *user, uint64_t token, int rc,
                             const struct queue_sequel *s);
/* what: bits of enum queue_what, without refusals. Not all that the history has need be seen
 * at once: there may be more even if no row came, while last < newest. */
void queue_sequel(struct queue_port *p, uint64_t after_id, unsigned what,
                  uint32_t limit, queue_sequel_fn *done, uint64_t token);

/* The same from the files alone, where no relay runs: with what is still on its way into
 * the history. path: of queue.db. False of each: enough. Rows are borrowed for the call; NULL
 * now and then, so that one can tell how far it is. out_why: on failure a sentence. */
typedef bool queue_told_fn(void *user, const struct queue_told *row,
                           const struct queue_place *at);
MUST int queue_history_files(const char *path, const struct queue_filter *f,
                             queue_told_fn *each, void *user,
                             struct buffer *out_why);

/* ------------------------------------------------------- destinations ---- */

struct queue_destination_row {
    struct span name;
    enum queue_destination_state state;
    bool is_on_demand;
    int64_t due_ms;               /* while not up; INT64_MAX: not by itself */
    int64_t last_good_ms;         /* 0: never seen */
    uint32_t connections, window, slots; /* most, allowed now, open */
    uint32_t downs;               /* failures in a row */
    uint32_t active;              /* recipients in memory */
    uint32_t lanes;               /* that lead there and have mail */
    uint64_t waiting, waiting_bytes; /* recipients, held ones too, and their bytes; growing
                                     for a moment after a start, until all are counted */
    int64_t since_ms;             /* there has been some without a break; 0: there is none */
    bool is_fetched;              /* a customer has it: queue_turn */
    int64_t change_ms;            /* as queue_route_fn said */
    struct span error;            /* "4.4.1 text": why its mail waits */
    const struct rate *rates;     /* that limit it */
    size_t rate_count;
    int64_t held_ms;              /* mail waits for them alone, and the next goes then; 0: none
                                     does */
};

/* All that have mail or are not simply up, in no order, from `first` on, at most `limit`;
 * each is called with copies, no lock is held. Answers how many there are. */
typedef void queue_destination_fn(void *user,
                                  const struct queue_destination_row *row);
size_t queue_destinations(struct queue *q, size_t first, size_t limit,
                          queue_destination_fn *each, void *user);
/* The one of that name; `lanes` may be of a while ago. False: it is not known. */
bool queue_destination_find(struct queue *q, struct span name,
                            queue_destination_fn *each, void *user);

/*
 * The busiest destinations, by what waits and is open: looked for a slice at a time, so that
 * a million of them hold nobody up. One look is enough where there are some thousands. Of a
 * row, name, state, connections, window, slots, waiting, waiting_bytes and held_ms are set.
 */
struct queue_busy;
struct queue_busy *queue_busy_new(size_t most);
void queue_busy_free(struct queue_busy *b);
void queue_busy_look(struct queue *q, struct queue_busy *b);
/* Those of the latest complete round, in no order. */
void queue_busy_each(const struct queue_busy *b, queue_destination_fn *each,
                     void *user);

/*
 * An on-demand destination's mail waits, on disk and not in memory, until it is released;
 * then it is like any other until all that is due is gone, or until it cannot be reached:
 * then it waits again. Whatever the backlog, a release touches one destination. The
 * same ends the rest of any other. What was deferred for itself (a 4xx to one recipient) is
 * due then, too. False: there is no such destination, or a person has
 * suspended it, which a client's wish does not end.
 */
bool queue_release(struct queue *q, struct span destination);
/*
 * A customer fetches a destination's mail over a connection of his own (ATRN): from now on,
 * until the slot is closed, only this slot is given work of it, and only work of these lanes
 * (count 0: of all that lead there). It is given to the caller at once, `slot_opened` does
 * not come. Nothing is loaded before the first queue_slot_next; when all that is due is gone,
 * or it may go out no more, the slot is told slot_ended. What was deferred for itself is due.
 * When it is closed the destination waits again, if it is on demand and was not released
 * meanwhile. queue_slot_failed is no failure of the destination. Port's thread.
 */
enum queue_turn {
    QUEUE_TURNED,
    QUEUE_TURN_EMPTY,             /* none of these lanes has mail */
    QUEUE_TURN_TAKEN,             /* another has it already */
    QUEUE_TURN_SUSPENDED,         /* a person said no */
};
enum queue_turn queue_turn(struct queue_port *p, struct span destination,
                           const struct span *lanes, size_t count,
                           struct queue_slot **out_slot);
/* A person's release: ends a suspension too. */
bool queue_resume(struct queue *q, struct span destination);
/* One slot tries it now, whatever is due when. False as for queue_release. */
bool queue_probe(struct queue *q, struct span destination);
/* No claim until then (INT64_MAX: until queue_resume), also after a restart. Expiry goes
 * on. It need not be known yet. */
bool queue_suspend(struct queue *q, struct span destination, int64_t until_ms,
                   struct span reason);
/*
 * What a person has ordered of these takes effect at once, and is on its way to the disk.
 * done comes when it is there: after a crash they stand as they do then. rc < 0: it could not
 * be written.
 */
typedef void queue_remember_fn(void *user, uint64_t token, int rc);
void queue_remember(struct queue_port *p, const struct span *destinations,
                    size_t count, queue_remember_fn *done, uint64_t token);
/* Has this lane mail that waits, due or not? Cheap. */
bool queue_lane_waits(struct queue *q, struct span lane);
/* Would so many more bytes for this lane's destination be over its quota? Bytes of a message
 * count once for each recipient that waits. Cheap; until the queue has been counted after
 * a start it answers no. */
bool queue_is_over_quota(struct queue *q, struct span lane, uint64_t bytes,
                         uint64_t quota_bytes);

/* ------------------------------------------------------------- backup ---- */

/*
 * All that the queue holds at one moment, as bytes: lines of JSON, some followed by the bytes
 * of a file.
 *
 *   {"copied":N,"of":N}              before the rest, now and then: how far it is
 *   {"file":"NAME","size":N}         queue.db, queue.db.content/ID, history.db
 *   {"bytes":N}                      of it; they follow the line
 *   {"link":"NAME","to":"NAME"}      the same file by another name
 *   {"lost":"NAME"}                  it should be there and is not
 *   {"end":true,"messages":N,"recipients":N}
 *
 * Each call of done has some of them; the next one comes after queue_backup_next. The last has
 * is_end; with rc < 0 its bytes are a sentence for a person, and the rest is worth nothing.
 * One at a time: false, there is one already. What it costs: a copy of queue.db, then one of
 * the history, on the disk of the queue while it is made.
 */
typedef void queue_backup_fn(void *user, uint64_t token, int rc,
                             struct span bytes, bool is_end);
bool queue_backup_begin(struct queue_port *p, bool has_history,
                        queue_backup_fn *done, uint64_t token);
void queue_backup_next(struct queue *q);
/* Nobody waits for it any more. */
void queue_backup_cancel(struct queue *q, uint64_t token);

/* ------------------------------------------ files that no queue has open ---- */

/* The queue's lock, for who changes files that no queue has open: a descriptor that holds it
 * until it is closed. */
MUST int queue_lock_path(const char *path, int *out_fd, struct buffer *out_why);
/* What is in the queue at this path, which nobody has open: brings all of it into the one
 * file, so that it may be moved. */
MUST int queue_settle_files(const char *path, uint64_t *out_messages,
                            struct buffer *out_why);

/* A look at the files, which a relay may have open: whole, and ours? ERROR_GONE: there is no
 * history. */
MUST int queue_inspect(const char *path, int64_t *out_messages,
                       struct buffer *out_why);
MUST int queue_inspect_history(const char *path, int64_t *out_rows,
                               struct buffer *out_why);
/* A line for each thing to worry about where it lies: memory, a container, a network. */
void queue_inspect_folder(const char *path, struct buffer *out_notices);

struct queue_restored {
    uint64_t messages, recipients;
    uint64_t held;    /* recipients that were held for this */
    uint64_t damaged; /* messages whose content is not what it was, or not there */
};
/* Looks through a queue that came out of a backup: every page, every message's content
 * (Q6). Makes it fit to be used: what happens from now on is not taken for what happened
 * since the backup. is_held: all that waits is held. */
MUST int queue_restore_prepare(const char *path, bool is_held,
                               struct queue_restored *out,
                               struct buffer *out_why);

/* ------------------------------------------------------------- memory ---- */

/*
 * Memory of the relay that survives a restart (host penalties, greylisted pairs, policies
 * of other domains): small values by kind and key. A put is asynchronous and unconfirmed,
 * written together with mail; one with expire_ms 0 forgets. All of a kind may be read at
 * start. Should the disk be so slow that 20,000 wait to be written, more are dropped.
 */
void queue_note_put(struct queue *q, struct span kind, struct span key,
                    struct span value, int64_t expire_ms);
typedef void queue_note_fn(void *user, struct span key, struct span value);
MUST int queue_notes(struct queue *q, struct span kind, queue_note_fn *each,
                     void *user);

/* One of them, asked of the disk but for what is not written yet: a put that was made
 * before is seen, whoever made it. value: borrowed for the call; empty: none, or it has
 * expired. rc < 0: could not be read. */
typedef void queue_recall_fn(void *user, uint64_t token, int rc,
                             struct span value);
void queue_recall(struct queue_port *p, struct span kind, struct span key,
                  queue_recall_fn *done, uint64_t token);

/*
 * Budgets: at most `limit` in any period of that length, wherever it begins, taken together
 * over all loops and across restarts and crashes: before the yes the disk has it. The price:
 * what was taken comes back at most a sixteenth of the period late; the first of a key in a
 * sixteenth of a period waits for a commit; and of a busy key up to a hundredth of the limit
 * is taken ahead, which a crash forfeits. A clock set back frees nothing early, one set
 * forward frees what it skips.
 *
 * Or a count: what was taken since a moment that the caller names (local midnight). A later
 * moment begins at 0 again. The 100,000 keys used last are in memory; idle ones vanish from
 * the disk too.
 */
struct queue_charge {
    struct span key;              /* one key, one kind of budget */
    uint64_t amount;              /* 0: how much is used? */
    uint64_t limit;               /* UINT64_MAX: it is only counted */
    int64_t period_ms;            /* > 0; of a count: kept so long from since_ms on */
    int64_t since_ms;             /* 0: a rate; else a count */
};
struct queue_budget {
    uint64_t used, left;          /* with this charge, if it was taken */
    int64_t free_ms;              /* when so much will be left, if nobody takes any; 0: now;
                                     INT64_MAX: never, it is over the limit alone */
};

/*
 * All or nothing; a trial takes nothing. over: the first that is over its limit; count: none.
 * budgets: one for each charge, borrowed for the call. rc < 0: it could not be told, or
 * not be written.
 */
typedef void queue_charge_fn(void *user, uint64_t token, int rc, size_t over,
                             const struct queue_budget *budgets);
void queue_charge(struct queue_port *p, const struct queue_charge *charges,
                  size_t count, bool is_trial, queue_charge_fn *done,
                  uint64_t token);
/* The same at once, when it can be told from memory, which takes about a microsecond. False:
 * nothing was taken, ask with queue_charge. Any thread. */
bool queue_charge_try(struct queue *q, const struct queue_charge *charges,
                      size_t count, bool is_trial, size_t *out_over,
                      struct queue_budget *out_budgets);

#endif
