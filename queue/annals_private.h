/*
 * annals_private - what the files of the annals share.
 */
#ifndef WAYPOST_ANNALS_PRIVATE_H
#define WAYPOST_ANNALS_PRIVATE_H

#include "queue/annals.h"
#include "queue/store_private.h"

/* In the order of their ranks. */
enum annals_source { SOURCE_EVENT, SOURCE_REFUSAL, SOURCE_HISTORY };

struct annals {
    struct database history, queue;
    sqlite3_stmt *row[ANNALS_SOURCES]; /* all of one, by its id */
    struct buffer history_path, queue_path;
    bool has_events; /* the queue's outbox is read too */
    int64_t copied;  /* the last event that is in the history */
};

static inline struct database *annals_database(struct annals *a,
                                               enum annals_source s)
{
    return s == SOURCE_EVENT ? &a->queue : &a->history;
}

/* annals_plan.c */
/* Which index leads to what the walk wants? */
MUST int annals_plan(struct annals *a, struct annals_walk *w);
/* A statement over the source's rows behind w->place, newest first; columns as in enum
 * annals_column. *out_st NULL: the filter means none of this source. */
MUST int annals_prepare(struct annals *a, const struct annals_walk *w,
                        enum annals_source s, sqlite3_stmt **out_st);
enum annals_column {
    COLUMN_AT,
    COLUMN_ID,
    COLUMN_KIND,
    COLUMN_SENDER,
    COLUMN_RECIPIENT,
    COLUMN_CLIENT,
    COLUMN_CLIENT_NAME,
    COLUMN_LOGIN,
    COLUMN_REPLY,
    COLUMN_STATUS,
    COLUMN_ATTEMPTS,
    COLUMN_STAGE,
    COLUMN_MESSAGE,
    COLUMN_ASKED_TO, /* of the history, as the next two */
    COLUMN_ASKED_FROM,
    COLUMN_ORIG_TO,
    COLUMN_RULING, /* of the outbox: it has these three */
    ANNALS_COLUMNS
};

/* annals_match.c: does the filter mean the row on which the statement stands? */
bool annals_match(struct annals_walk *w, enum annals_source s,
                  sqlite3_stmt *st);
enum queue_what annals_what(enum annals_source s, int64_t kind,
                            struct span reply);

/* annals_row.c: the whole row, borrowed until annals_row_done. */
MUST int annals_row(struct annals *a, enum annals_source s, int64_t id,
                    struct queue_told *out);
void annals_row_done(struct annals *a, enum annals_source s);

#endif
