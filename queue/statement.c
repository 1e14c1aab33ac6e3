/*
 * statement - every SQL statement that runs while mail flows, in one table.
 *
 * W: the writer's connection, R: a reader's, H: the history's, P: a reader's of the history. Times are milliseconds
 * since the epoch; 9223372036854775807 is "never". Columns of rows that are read by
 * shared code (an envelope, a recipient) are named once, above the table.
 */
#include "queue/database.h"

#define W DATABASE_WRITER
#define R DATABASE_READER
#define H DATABASE_HISTORY
#define P DATABASE_PAST

/* read by read_envelope (store_read.c), from its first column on */
#define ENVELOPE                                                               \
    "m.sender,m.received_ms,m.size,m.header_bytes,m.body,m.smtputf8,"          \
    "m.has_8bit,m.ret,m.envid,m.client,m.client_name,m.helo,m.login,"          \
    "m.listener,m.protocol,m.message_id,m.priority,m.by_ms,m.by_how,m.verp,"   \
    "m.release_ms,m.header_8bit,m.unvouched,m.tls"

/* read by read_recipient (store_read.c), from column 0 on */
#define RECIPIENT                                                              \
    "r.due_ms,r.message,r.number,r.address,r.orcpt,r.notify,l.key,r.state,"    \
    "r.attempts,r.expire_ms,r.warn_ms,r.reply,r.ruling"

#define EVENT                                                                  \
    "id,at_ms,kind,message,number,received_ms,size,sender,recipient,client,"   \
    "client_name,helo,login,listener,protocol,message_id,status,reply,host,"   \
    "delay_before,delay_queue,delay_connect,delay_send,attempts,in_doubt,"     \
    "trail,tls"

#define EVENT_VALUES                                                           \
    "?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,"      \
    "?20,?21,?22,?23,?24,?25,?26,?27"

/* clang-format off */
const struct statement_text statement_texts[STATEMENTS] = {
    /* ------------------------------------------------ the writer's batch ---- */
    [BEGIN_WRITE]      = { W, "BEGIN IMMEDIATE" },
    [COMMIT_BATCH]     = { W, "COMMIT" },
    [ROLLBACK_BATCH]   = { W, "ROLLBACK" },
    [JOB_OPEN]         = { W, "SAVEPOINT job" },
    [JOB_RELEASE]      = { W, "RELEASE job" },
    [JOB_UNDO]         = { W, "ROLLBACK TO job" },

    [FIND_LANE]        = { W, "SELECT id FROM lane WHERE key=?1" },
    [FIND_LANE_KEY]    = { R | W, "SELECT key FROM lane WHERE id=?1" },
    [PUT_LANE]         = { W, "INSERT INTO lane(key) VALUES(?1)" },

    [PUT_MESSAGE]      = { W,
        "INSERT INTO message(id,sender,received_ms,size,header_bytes,body,smtputf8,"
        "has_8bit,ret,envid,client,client_name,helo,login,listener,protocol,"
        "message_id,checksum,has_file,alarm_ms,priority,by_ms,by_how,verp,"
        "release_ms,header_8bit,unvouched,head_bytes,head_at,tls) VALUES("
        "?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,"
        "?21,?22,?23,?24,?25,?26,?27,?28,?29,?30)" },
    [PUT_CONTENT]      = { W, "INSERT INTO content(message,bytes) VALUES(?1,?2)" },
    [PUT_RECIPIENT]    = { W,
        "INSERT INTO recipient(message,number,address,orcpt,notify,lane,state,due_ms,"
        "attempts,expire_ms,warn_ms,since_ms,reply,trail,ruling) VALUES(?1,?2,?3,?4,?5,"
        "?6,?7,?8,?9,?10,?11,?12,?13,'',?14)" },
    [PUT_EVENT]        = { W,
        "INSERT INTO event(" EVENT ",ruling,dialogue,who)"
        " VALUES(" EVENT_VALUES ",?28,?29,?30)" },
    [PUT_DIALOGUE]     = { W,
        "INSERT OR IGNORE INTO dialogue(message,at_ms,host,text) VALUES(?1,?2,?3,?4)" },
    [TRIM_DIALOGUES]   = { W,
        "DELETE FROM dialogue WHERE message=?1 AND at_ms<="
        "(SELECT at_ms FROM dialogue WHERE message=?1 ORDER BY at_ms DESC LIMIT 1 OFFSET ?2)" },
    [FIND_DIALOGUE]    = { W,
        "SELECT text FROM dialogue WHERE message=?1 ORDER BY at_ms DESC LIMIT 1" },
    [REMOVE_DIALOGUES] = { W, "DELETE FROM dialogue WHERE message=?1" },
    /* where a slice of ?2 rows ends; and those in it whose message is gone */
    [DIALOGUES_BOUND]  = { W,
        "SELECT message FROM dialogue WHERE message>?1 ORDER BY message LIMIT 1 OFFSET ?2" },
    [PURGE_DIALOGUES]  = { W,
        "DELETE FROM dialogue WHERE message>?1 AND message<=?2"
        " AND NOT EXISTS(SELECT 1 FROM message WHERE id=dialogue.message)" },

    [REMOVE_RECIPIENT] = { W, "DELETE FROM recipient WHERE message=?1 AND number=?2" },
    [REMOVE_MESSAGE]   = { W,
        "DELETE FROM message WHERE id=?1"
        " AND NOT EXISTS(SELECT 1 FROM recipient WHERE message=?1)" },
    [REMOVE_CONTENT]   = { W, "DELETE FROM content WHERE message=?1" },

    [FIND_TRAIL]       = { W,
        "SELECT trail FROM recipient WHERE message=?1 AND number=?2" },
    /* a person may have held or deleted it since it was read: then it is not due */
    [DEFER_RECIPIENT]  = { W,
        "UPDATE recipient SET due_ms=CASE state WHEN 0 THEN ?3 ELSE due_ms END,"
        "expire_ms=?4,warn_ms=?5,attempts=?6,"
        "reply=CASE state WHEN 4 THEN reply ELSE ?7 END,trail=?8"
        " WHERE message=?1 AND number=?2" },
    [HOLD_RECIPIENT]   = { W,
        "UPDATE recipient SET state=CASE state WHEN 4 THEN 4 ELSE state|1 END,due_ms=9223372036854775807,since_ms=?3,"
        "attempts=?4,reply=CASE state WHEN 4 THEN reply ELSE ?5 END,trail=?6 WHERE message=?1 AND number=?2" },
    [WARN_RECIPIENT]   = { W,
        "UPDATE recipient SET expire_ms=?3,warn_ms=?4 WHERE message=?1 AND number=?2" },
    [FIND_ALARM]       = { W,
        "SELECT alarm_ms,(SELECT nullif(min("
        "CASE state WHEN 4 THEN 0 ELSE min(warn_ms,expire_ms) END),"
        "9223372036854775807) FROM recipient WHERE message=?1 AND state IN (0,4))"
        " FROM message WHERE id=?1" },
    [SET_ALARM]        = { W, "UPDATE message SET alarm_ms=?2 WHERE id=?1" },

    [PUT_DESTINATION]  = { W,
        "INSERT OR REPLACE INTO destination(name,due_ms,downs,window,last_good_ms,"
        "last_error,at_ms,suspended_ms,suspend_why,on_demand)"
        " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)" },
    [PUT_NOTE]         = { W,
        "INSERT OR REPLACE INTO note(kind,key,value,expire_ms) VALUES(?1,?2,?3,?4)" },
    [PURGE_NOTES]      = { W,
        "DELETE FROM note WHERE (kind,key) IN"
        " (SELECT kind,key FROM note WHERE expire_ms<=?1 LIMIT ?2)" },

    /* ---------------------------------------------------- people's orders ---- */
    [CHANGE_RECIPIENT] = { W,
        "UPDATE recipient SET state=?3,due_ms=?4,since_ms=?5,expire_ms=?6,warn_ms=?7,"
        "held_by=coalesce(?8,held_by),deleted_by=coalesce(?9,deleted_by)"
        " WHERE message=?1 AND number=?2" },
    [MOVE_RECIPIENT]   = { W,
        "UPDATE recipient SET lane=?3 WHERE message=?1 AND number=?2" },
    /* whose order it is stands behind a line end */
    [RETURN_RECIPIENT] = { W,
        "UPDATE recipient SET reply=?3 WHERE message=?1 AND number=?2" },
    /* what was tried and has a time of its own */
    [HASTEN]           = { W,
        "UPDATE recipient SET due_ms=?2 WHERE (message,number) IN"
        " (SELECT message,number FROM recipient INDEXED BY recipient_due"
        " WHERE lane=(SELECT id FROM lane WHERE key=?1) AND due_ms>?2"
        " AND due_ms<9223372036854775807 AND attempts>0 LIMIT ?3)" },
    [SET_PURGE]        = { W, "UPDATE message SET purge_ms=?2 WHERE id=?1" },
    [CLEAR_PURGE]      = { W,
        "UPDATE message SET purge_ms=NULL WHERE id=?1 AND NOT EXISTS"
        "(SELECT 1 FROM recipient WHERE message=?1 AND state&2)" },
    [FIND_PURGE]       = { W,
        "SELECT id FROM message INDEXED BY message_purge WHERE purge_ms<=?1"
        " ORDER BY purge_ms LIMIT 1" },
    /* numbered upwards from ?1 */
    [PURGE_EVENTS]     = { W,
        "INSERT INTO event(id,at_ms,kind,message,number,received_ms,size,sender,"
        "recipient,client,client_name,helo,login,listener,protocol,message_id,status,"
        "reply,host,delay_before,delay_queue,delay_connect,delay_send,attempts,"
        "in_doubt,trail,tls,ruling,who)"
        " SELECT ?1+row_number() OVER ()-1,?2,?3,m.id,r.number,m.received_ms,m.size,"
        "m.sender,r.address,m.client,m.client_name,m.helo,m.login,m.listener,"
        "m.protocol,m.message_id,0,r.reply,'',0,?2-m.received_ms,0,0,r.attempts,0,"
        "r.trail,m.tls,r.ruling,"
        "substr(r.deleted_by,1,max(0,instr(r.deleted_by,char(10))-1))"
        " FROM message m JOIN recipient r ON r.message=m.id"
        " WHERE m.id=?4 AND r.state&2" },
    [PURGE_RECIPIENTS] = { W, "DELETE FROM recipient WHERE message=?1 AND state&2" },

    [EVENTS_DONE]      = { W, "DELETE FROM event WHERE id<=?1" },
    [PUT_STATE]        = { W,
        "UPDATE state SET last_message=?1,last_event=?2 WHERE id=1" },

    /* ------------------------------------------------------------ reading ---- */
    [BEGIN_READ]       = { R, "BEGIN" },
    [COMMIT_READ]      = { R, "COMMIT" },
    [READ_LANES]       = { R,
        "SELECT id,key,(SELECT due_ms FROM recipient INDEXED BY recipient_due"
        " WHERE lane=lane.id ORDER BY due_ms LIMIT 1)"
        " FROM lane WHERE id>?1 ORDER BY id LIMIT ?2" },
    [READ_DESTINATIONS] = { R,
        "SELECT name,due_ms,downs,window,last_good_ms,last_error,at_ms,suspended_ms,"
        "suspend_why,on_demand FROM destination" },
    [READ_DUE]         = { R,
        "SELECT " RECIPIENT " FROM recipient r INDEXED BY recipient_due"
        " CROSS JOIN lane l ON l.id=?1 WHERE r.lane=?1 AND r.due_ms<=?2"
        " AND (r.due_ms,r.message,r.number)>(?3,?4,?5)"
        " ORDER BY r.due_ms,r.message,r.number LIMIT ?6" },
    [READ_NEXT_DUE]    = { R,
        "SELECT due_ms FROM recipient INDEXED BY recipient_due"
        " WHERE lane=?1 AND due_ms>?2 ORDER BY due_ms LIMIT 1" },
    /* few alarms among many messages: the index, then the first few by id; many: along
     * the ids, where the next is never far */
    [COUNT_ALARMS]     = { R,
        "SELECT count(*) FROM (SELECT 1 FROM message INDEXED BY message_alarm"
        " WHERE alarm_ms<=?1 LIMIT ?2)" },
    [READ_MANY_ALARMS] = { R,
        "SELECT id FROM message NOT INDEXED"
        " WHERE alarm_ms<=?1 AND id>?2 ORDER BY id LIMIT ?3" },
    [READ_ALARMS]      = { R,
        "SELECT id FROM message INDEXED BY message_alarm"
        " WHERE alarm_ms<=?1 AND id>?2 ORDER BY id LIMIT ?3" },
    [READ_ALARM_RECIPIENTS] = { R,
        "SELECT " RECIPIENT " FROM recipient r CROSS JOIN lane l ON l.id=r.lane"
        " WHERE r.message=?1 AND r.state IN (0,4) ORDER BY r.number" },
    [READ_MESSAGE]     = { R,
        "SELECT m.checksum,m.has_file,m.head_bytes,m.head_at," ENVELOPE
        " FROM message m WHERE m.id=?1" },
    [READ_CONTENT]     = { R, "SELECT bytes FROM content WHERE message=?1" },
    [READ_NOTES]       = { R,
        "SELECT key,value FROM note WHERE kind=?1 AND expire_ms>?2" },
    [READ_NOTE]        = { R,
        "SELECT value FROM note WHERE kind=?1 AND key=?2 AND expire_ms>?3" },
    [READ_SIZES]       = { W,
        "SELECT m.id,r.number,l.key,m.size,m.received_ms,r.state FROM message m"
        " CROSS JOIN recipient r ON r.message=m.id JOIN lane l ON l.id=r.lane"
        " WHERE m.id>=?1 AND m.id<?3 AND (m.id>?1 OR r.number>?2)"
        " ORDER BY m.id,r.number LIMIT ?4" },
    /* what the roll has of recipients behind (?1,?2), of messages up to ?3 */
    [READ_ROLL]        = { W,
        "SELECT m.id,r.number,m.size,m.sender,m.client,m.client_name,m.login,r.address,"
        "r.state,l.key,m.received_ms FROM message m"
        " CROSS JOIN recipient r ON r.message=m.id JOIN lane l ON l.id=r.lane"
        " WHERE m.id>=?1 AND m.id<=?3 AND (m.id>?1 OR r.number>?2)"
        " ORDER BY m.id,r.number LIMIT ?4" },
    [READ_FILES]       = { R,
        "SELECT id FROM message INDEXED BY message_file WHERE has_file=1 AND id>?1"
        " ORDER BY id LIMIT ?2" },
    /* the id at which a slice of ?2 messages ends */
    [SCAN_BOUND]       = { R | W,
        "SELECT id FROM message WHERE id>?1 ORDER BY id LIMIT 1 OFFSET ?2" },
    /* empty patterns are bound as NULL; states are judged in store_scan.c, and reasons
     * of recipients without one of their own where ?12 is 1 */
    [SCAN]             = { R | W,
        "SELECT m.id,m.received_ms,m.size,m.sender,m.client,m.login,m.helo,"
        "r.number,r.address,r.state,r.due_ms,r.attempts,r.expire_ms,r.warn_ms,"
        "r.since_ms,r.reply,r.lane,"
        "CASE WHEN r.state=0 THEN '' WHEN r.state&2 THEN r.deleted_by"
        " WHEN r.state&1 THEN r.held_by ELSE '' END"
        " FROM message m CROSS JOIN recipient r ON r.message=m.id"
        " WHERE m.id>?1 AND m.id<=?2"
        " AND (?3 IS NULL OR lower(m.sender) GLOB ?3)"
        " AND (?4 IS NULL OR lower(m.client) GLOB ?4"
        "  OR lower(m.client_name) GLOB ?4)"
        " AND (?5 IS NULL OR lower(m.login) GLOB ?5)"
        " AND m.received_ms<?6 AND m.received_ms>?7"
        " AND (?8 IS NULL OR lower(r.address) GLOB ?8)"
        " AND (?9 IS NULL OR lower(r.address) GLOB ?9)"
        " AND (?10 IS NULL OR lower(r.reply) GLOB ?10 OR (?12 AND r.reply=''))"
        " AND r.attempts>=?11"
        " ORDER BY m.id,r.number" },
    /* all that is not deleted, of messages ?1 < id <= ?2 */
    [COUNT_WAITING]    = { R,
        "SELECT count(*),sum(n),sum(size) FROM (SELECT m.size AS size,count(*) AS n"
        " FROM message m CROSS JOIN recipient r ON r.message=m.id"
        " WHERE m.id>?1 AND m.id<=?2 AND r.state&2=0 GROUP BY m.id)" },
    [PAGE_OF_LANES]    = { R, "SELECT id,key FROM lane WHERE id>?1 ORDER BY id LIMIT ?2" },
    [LANE_MESSAGES]    = { R,
        "SELECT message FROM recipient INDEXED BY recipient_due WHERE lane=?1"
        " AND due_ms>?3 AND due_ms<=?4 LIMIT ?2" },
    [READ_DIALOGUES]   = { R,
        "SELECT at_ms,host,text FROM dialogue WHERE message=?1 ORDER BY at_ms DESC LIMIT ?2" },
    [READ_STORY]       = { R,
        "SELECT r.number,l.key,r.trail,r.orcpt,r.notify,r.expire_ms,r.since_ms,r.ruling,"
        "r.state FROM recipient r CROSS JOIN lane l ON l.id=r.lane"
        " WHERE r.message=?1 ORDER BY r.number" },
    [READ_EVENTS]      = { R,
        "SELECT " EVENT ",ruling,dialogue,who FROM event WHERE id>?1 ORDER BY id LIMIT ?2" },

    /* ----------------------------------------------------------- the past ---- */
    /* messages ?1 < id <= ?2, by SCAN_BOUND */
    [READ_WAITING]     = { R,
        "SELECT m.id,r.number,m.received_ms,m.size,m.sender,r.address,m.client,"
        "m.client_name,m.helo,m.login,m.listener,m.tls,r.ruling"
        " FROM message m CROSS JOIN recipient r ON r.message=m.id"
        " WHERE m.id>?1 AND m.id<=?2 ORDER BY m.id,r.number" },
    [PAST_FIRST]       = { P,
        "SELECT (SELECT min(id) FROM history WHERE at_ms>=?1),"
        "(SELECT min(id) FROM refusal WHERE at_ms>=?1)" },
    [READ_PAST]        = { P,
        "SELECT id,message,number,received_ms,size,sender,recipient,client,"
        "client_name,helo,login,listener,tls,rule,place,held_by,asked_to,asked_from,"
        "kind FROM history WHERE id>=?1 ORDER BY id LIMIT ?2" },
    [READ_PAST_REFUSALS] = { P,
        "SELECT id,at_ms,size,sender,recipient,client,client_name,helo,login,"
        "listener,tls,rule,place,stage,reply,is_verdict"
        " FROM refusal WHERE id>=?1 ORDER BY id LIMIT ?2" },

    /* ------------------------------------------------------------ history ---- */
    [HISTORY_BEGIN]    = { H, "BEGIN IMMEDIATE" },
    [HISTORY_COMMIT]   = { H, "COMMIT" },
    [HISTORY_ROLLBACK] = { H, "ROLLBACK" },
    [HISTORY_PUT]      = { H,
        "INSERT OR IGNORE INTO history(" EVENT ",rule,place,held_by,asked_to,asked_from,"
        "dialogue,who,orig_to) VALUES(" EVENT_VALUES
        ",?28,?29,?30,?31,?32,?33,?34,?35)" },
    [HISTORY_REFUSAL]  = { H,
        "INSERT INTO refusal(at_ms,client,helo,login,sender,recipient,reply,rule,place,"
        "stage,client_name,listener,tls,size,is_verdict)"
        " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15)" },
    [HISTORY_PRUNE]    = { H,
        "DELETE FROM history WHERE id IN"
        " (SELECT id FROM history WHERE at_ms<?1 ORDER BY at_ms LIMIT ?2)" },
    [HISTORY_PRUNE_REFUSALS] = { H,
        "DELETE FROM refusal WHERE id IN"
        " (SELECT id FROM refusal WHERE at_ms<?1 ORDER BY at_ms LIMIT ?2)" },
    /* what comes behind the ?1 oldest */
    [HISTORY_OLDEST]   = { H,
        "SELECT at_ms FROM history ORDER BY at_ms LIMIT 1 OFFSET ?1" },
    [HISTORY_OLDEST_REFUSAL] = { H,
        "SELECT at_ms FROM refusal ORDER BY at_ms LIMIT 1 OFFSET ?1" },
};
/* clang-format on */
