/*
 * store_schema - the tables of queue.db, how they come to be, and how they
 * grow.
 *
 * user_version counts the steps that a file has had. A new file is one of
 * version 0, so creating and upgrading are the same thing: all steps that are
 * missing, in one transaction. A step, once released, is never edited; a change
 * is a new step at the end, and SCHEMA_VERSION follows by itself.
 *
 * The views are for people and stay as they are; the tables are ours and may
 * change: v_queue     one row for each waiting recipient: queue_id, message,
 * sender, recipient, lane, state, received, due, expires (text and _ms), size,
 *               attempts, reason, client, login
 *   v_attempts  one row for each attempt at a waiting recipient: queue_id,
 * message, recipient, at, at_ms, host, status, reply v_lanes     one row for
 * each lane with mail: lane, waiting, held, next_due (and _ms: "never" is null)
 */
#include "queue/store_private.h"

#include <stdio.h>

#define NEVER   "9223372036854775807"
#define ISO(ms) "strftime('%Y-%m-%dT%H:%M:%fZ',(" ms ")/1000.0,'unixepoch')"

/* clang-format off */
#define DIGIT(id, n) "substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ',((" id ">>" #n ")&31)+1,1)"
#define QUEUE_ID(id)                                                           \
    DIGIT(id, 60) "||" DIGIT(id, 55) "||" DIGIT(id, 50) "||" DIGIT(id, 45)     \
    "||" DIGIT(id, 40) "||" DIGIT(id, 35) "||" DIGIT(id, 30) "||" DIGIT(id, 25) \
    "||" DIGIT(id, 20) "||" DIGIT(id, 15) "||" DIGIT(id, 10) "||" DIGIT(id, 5) \
    "||" DIGIT(id, 0)

static const char step_1[] =
    /* alarm_ms: the least warn_ms or expire_ms of its recipients that wait; null: none.
     * purge_ms: when its deleted recipients go; null: it has none. */
    "CREATE TABLE message(id INTEGER PRIMARY KEY, sender TEXT, received_ms INTEGER,"
    " size INTEGER, header_bytes INTEGER, body INTEGER, smtputf8 INTEGER,"
    " has_8bit INTEGER, ret TEXT, envid TEXT, client TEXT, client_name TEXT,"
    " helo TEXT, login TEXT, listener TEXT, protocol TEXT, message_id TEXT,"
    " checksum INTEGER, has_file INTEGER, alarm_ms INTEGER, purge_ms INTEGER);"
    "CREATE INDEX message_alarm ON message(alarm_ms) WHERE alarm_ms IS NOT NULL;"
    "CREATE INDEX message_purge ON message(purge_ms) WHERE purge_ms IS NOT NULL;"
    "CREATE INDEX message_file ON message(has_file) WHERE has_file=1;"
    /* Apart, so that looking through messages does not read their content. A message
     * has a row here or a file, never both, never neither. */
    "CREATE TABLE content(message INTEGER PRIMARY KEY, bytes BLOB);"
    /* state: 0 waiting, +1 held, +2 deleted (since_ms: since then; due_ms never).
     * trail: attempts before, oldest first, a line time|host|status|reply each. */
    "CREATE TABLE recipient(message INTEGER, number INTEGER, address TEXT,"
    " orcpt TEXT, notify INTEGER, lane INTEGER, state INTEGER, due_ms INTEGER,"
    " attempts INTEGER, expire_ms INTEGER, warn_ms INTEGER, since_ms INTEGER,"
    " reply TEXT, trail TEXT, PRIMARY KEY(message,number)) WITHOUT ROWID;"
    "CREATE INDEX recipient_due ON recipient(lane,due_ms,message,number);"
    "CREATE TABLE lane(id INTEGER PRIMARY KEY, key TEXT UNIQUE);"
    "CREATE TABLE destination(name TEXT PRIMARY KEY, due_ms INTEGER, downs INTEGER,"
    " window INTEGER, last_good_ms INTEGER, last_error TEXT, at_ms INTEGER)"
    " WITHOUT ROWID;"
    "CREATE TABLE note(kind TEXT, key TEXT, value BLOB, expire_ms INTEGER,"
    " PRIMARY KEY(kind,key)) WITHOUT ROWID;"
    "CREATE INDEX note_expire ON note(expire_ms);"
    /* What waits to be copied into the history. Ids are given by the store and never
     * used twice, as `state` remembers the last one removed. kind: see store_private.h;
     * status: class * 1000000 + subject * 1000 + detail. */
    "CREATE TABLE event(id INTEGER PRIMARY KEY, at_ms INTEGER, kind INTEGER,"
    " message INTEGER, number INTEGER, received_ms INTEGER, size INTEGER,"
    " sender TEXT, recipient TEXT, client TEXT, client_name TEXT, helo TEXT,"
    " login TEXT, listener TEXT, protocol TEXT, message_id TEXT, status INTEGER,"
    " reply TEXT, host TEXT, delay_before INTEGER, delay_queue INTEGER,"
    " delay_connect INTEGER, delay_send INTEGER, attempts INTEGER,"
    " in_doubt INTEGER, trail TEXT);"
    "CREATE TABLE state(id INTEGER PRIMARY KEY CHECK(id=1), last_message INTEGER,"
    " last_event INTEGER);"
    /* Should queue.db be made anew beside an old history.db, event ids must not begin
     * again: they begin at the microsecond of creation. */
    "INSERT INTO state VALUES(1,0,"
    " CAST((julianday('now')-2440587.5)*86400000000 AS INTEGER));"

    "CREATE VIEW v_queue AS SELECT " QUEUE_ID("m.id") " AS queue_id, m.id AS message,"
    " m.sender, r.address AS recipient, l.key AS lane,"
    " CASE WHEN r.state&2 THEN 'deleted' WHEN r.state&1 THEN 'held'"
    "  ELSE 'waiting' END AS state,"
    " " ISO("m.received_ms") " AS received, m.received_ms,"
    " " ISO("nullif(r.due_ms," NEVER ")") " AS due, nullif(r.due_ms," NEVER ") AS due_ms,"
    " " ISO("nullif(r.expire_ms," NEVER ")") " AS expires,"
    " nullif(r.expire_ms," NEVER ") AS expires_ms,"
    " m.size, r.attempts, r.reply AS reason, m.client, m.login"
    " FROM message m CROSS JOIN recipient r ON r.message=m.id"
    " JOIN lane l ON l.id=r.lane;"

    "CREATE VIEW v_attempts AS WITH RECURSIVE line(message,number,address,this,rest) AS ("
    "  SELECT message,number,address,'',trail FROM recipient WHERE trail<>''"
    "  UNION ALL"
    "  SELECT message,number,address,substr(rest,1,instr(rest,char(10))-1),"
    "   substr(rest,instr(rest,char(10))+1) FROM line WHERE rest<>''),"
    " one(message,number,address,at_ms,rest) AS ("
    "  SELECT message,number,address,CAST(this AS INTEGER),"
    "   substr(this,instr(this,'|')+1) FROM line WHERE this<>''),"
    " two(message,number,address,at_ms,host,rest) AS ("
    "  SELECT message,number,address,at_ms,substr(rest,1,instr(rest,'|')-1),"
    "   substr(rest,instr(rest,'|')+1) FROM one)"
    " SELECT " QUEUE_ID("message") " AS queue_id, message, address AS recipient,"
    " " ISO("at_ms") " AS at, at_ms, host,"
    " substr(rest,1,instr(rest,'|')-1) AS status,"
    " substr(rest,instr(rest,'|')+1) AS reply FROM two;"

    "CREATE VIEW v_lanes AS SELECT l.key AS lane, sum(r.state=0) AS waiting,"
    " sum(r.state=1) AS held,"
    " " ISO("nullif(min(r.due_ms)," NEVER ")") " AS next_due,"
    " nullif(min(r.due_ms)," NEVER ") AS next_due_ms"
    " FROM lane l JOIN recipient r ON r.lane=l.id GROUP BY l.id;";

/* What MT-PRIORITY, DELIVERBY, XVERP and FUTURERELEASE asked for. by_how: see
 * store_private.h. header_8bit: what is not known may be so. */
static const char step_2[] =
    "ALTER TABLE message ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE message ADD COLUMN by_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE message ADD COLUMN by_how INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE message ADD COLUMN verp TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE message ADD COLUMN release_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE message ADD COLUMN header_8bit INTEGER NOT NULL DEFAULT 1;"
    "ALTER TABLE message ADD COLUMN unvouched INTEGER NOT NULL DEFAULT 0;";

/* What a person has suspended (0: not), and what waits until it is fetched. */
static const char step_3[] =
    "ALTER TABLE destination ADD COLUMN suspended_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE destination ADD COLUMN suspend_why TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE destination ADD COLUMN on_demand INTEGER NOT NULL DEFAULT 0;";

/* Where in its file a message's own head is, when it shares what follows; see store.h. */
static const char step_4[] =
    "ALTER TABLE message ADD COLUMN head_bytes INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE message ADD COLUMN head_at INTEGER NOT NULL DEFAULT 0;";

/* How it came, and what the rules said of each recipient; see queue_ruling_put. */
static const char step_5[] =
    "ALTER TABLE message ADD COLUMN tls TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE recipient ADD COLUMN ruling TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE event ADD COLUMN tls TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE event ADD COLUMN ruling TEXT NOT NULL DEFAULT '';";

/* What was said in the attempts at a message that did not succeed, a line each; and whose
 * order an event follows. */
static const char step_6[] =
    "ALTER TABLE event ADD COLUMN dialogue TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE event ADD COLUMN who TEXT NOT NULL DEFAULT '';"
    "CREATE TABLE dialogue(message INTEGER, at_ms INTEGER, host TEXT, text TEXT,"
    " PRIMARY KEY(message,at_ms)) WITHOUT ROWID;";

/* Whose order holds or has deleted a recipient; see store_deed.c. */
static const char step_7[] =
    "ALTER TABLE recipient ADD COLUMN held_by TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE recipient ADD COLUMN deleted_by TEXT NOT NULL DEFAULT '';";
/* clang-format on */

static const char *const steps[] = { step_1, step_2, step_3, step_4,
                                     step_5, step_6, step_7 };

enum { SCHEMA_VERSION = sizeof steps / sizeof *steps };

int store_schema_version(void)
{
    return SCHEMA_VERSION;
}

int store_schema_upgrade(struct database *d, const char *const *some_steps,
                         int from, int to, int application_id)
{
    char text[100];
    int rc;

    if ((rc = database_exec(d, "BEGIN IMMEDIATE")) < 0)
        return rc;
    for (int i = from; i < to && rc == 0; i++)
        rc = database_exec(d, some_steps[i]);
    if (rc == 0) {
        (void)snprintf(text, sizeof text,
                       "PRAGMA application_id=%d; PRAGMA user_version=%d;"
                       "COMMIT",
                       application_id, to);
        rc = database_exec(d, text);
    }
    if (rc < 0 && !sqlite3_get_autocommit(d->db))
        (void)sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

int store_schema_bring(struct database *d, int from)
{
    return store_schema_upgrade(d, steps, from, SCHEMA_VERSION,
                                STORE_APPLICATION_ID);
}
