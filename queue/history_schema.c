/*
 * history_schema - the tables of history.db, how they come to be, and how they grow.
 *
 * As in store_schema.c: user_version counts the steps, and a released one is never edited.
 *
 * The views are for people and stay as they are; what comes, comes at their end:
 *   v_history   what became of each recipient: at, at_ms, what (delivered, failed, expired,
 *               discarded, deleted, changed, returned, refused), queue_id, message, sender,
 *               recipient, status, reply, host, received, received_ms, size, client, client_name,
 *               helo, login, listener, protocol, message_id, attempts, in_doubt,
 *               delay_before_ms, delay_queue_ms, delay_connect_ms, delay_send_ms, trail
 *               (earlier attempts, a line time|host|status|reply each), rule, place, held_by, tls, stage,
 *               asked_to, asked_from (what the client said where it was rewritten),
 *               dialogue (what was said in attempts that did not succeed), who (ordered it),
 *               orig_to (as it was first addressed, where that is another address again)
 *   v_verdicts  what the rules said of each recipient whose mail has left, and of each that
 *               was refused: at, at_ms, verdict (accepted, held, refused, deferred,
 *               discarded), rule, place, stage, client, client_name, helo, login, listener,
 *               tls, sender, recipient, size, reply, held_by, queue_id
 */
#include "queue/store_private.h"

#define ISO(ms) "strftime('%Y-%m-%dT%H:%M:%fZ',(" ms ")/1000.0,'unixepoch')"

/* a column that older rows do not have */
#define TEXT(column)   "ifnull(" column ",'')"
#define NUMBER(column) "ifnull(" column ",0)"
/* a rule that discards says yes to the client */
#define WHAT_OF_REFUSAL                                                        \
    "CASE substr(reply,1,1) WHEN '2' THEN 'discarded' ELSE 'refused' END"

/* clang-format off */
#define DIGIT(n) "substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ',((message>>" #n ")&31)+1,1)"
#define QUEUE_ID                                                               \
    "CASE message WHEN 0 THEN '' ELSE " DIGIT(60) "||" DIGIT(55) "||" DIGIT(50) \
    "||" DIGIT(45) "||" DIGIT(40) "||" DIGIT(35) "||" DIGIT(30) "||" DIGIT(25) \
    "||" DIGIT(20) "||" DIGIT(15) "||" DIGIT(10) "||" DIGIT(5) "||" DIGIT(0) " END"

static const char step_1[] =
    /* id is that of the event */
    "CREATE TABLE history(id INTEGER PRIMARY KEY, at_ms INTEGER, kind INTEGER,"
    " message INTEGER, number INTEGER, received_ms INTEGER, size INTEGER,"
    " sender TEXT, recipient TEXT, client TEXT, client_name TEXT, helo TEXT,"
    " login TEXT, listener TEXT, protocol TEXT, message_id TEXT, status INTEGER,"
    " reply TEXT, host TEXT, delay_before INTEGER, delay_queue INTEGER,"
    " delay_connect INTEGER, delay_send INTEGER, attempts INTEGER,"
    " in_doubt INTEGER, trail TEXT);"
    "CREATE INDEX history_at ON history(at_ms);"
    "CREATE INDEX history_message ON history(message);"
    "CREATE INDEX history_recipient ON history(recipient,at_ms);"
    "CREATE INDEX history_sender ON history(sender,at_ms);"
    "CREATE TABLE refusal(id INTEGER PRIMARY KEY, at_ms INTEGER, client TEXT,"
    " helo TEXT, login TEXT, sender TEXT, recipient TEXT, reply TEXT, rule TEXT);"
    "CREATE INDEX refusal_at ON refusal(at_ms);"
    "CREATE INDEX refusal_recipient ON refusal(recipient,at_ms);"
    "CREATE INDEX refusal_sender ON refusal(sender,at_ms);"

    "CREATE VIEW v_history AS SELECT " ISO("at_ms") " AS at, at_ms,"
    " CASE kind WHEN 1 THEN 'delivered' WHEN 2 THEN 'failed' WHEN 3 THEN 'expired'"
    "  WHEN 4 THEN 'discarded' WHEN 5 THEN 'deleted' WHEN 6 THEN 'changed'"
    "  ELSE 'unknown' END AS what,"
    " " QUEUE_ID " AS queue_id, message, sender, recipient,"
    " CASE status WHEN 0 THEN '' ELSE (status/1000000)||'.'||(status/1000%1000)"
    "  ||'.'||(status%1000) END AS status,"
    " reply, host, " ISO("received_ms") " AS received, received_ms, size, client,"
    " client_name, helo, login, listener, protocol, message_id, attempts, in_doubt,"
    " delay_before AS delay_before_ms, delay_queue AS delay_queue_ms,"
    " delay_connect AS delay_connect_ms, delay_send AS delay_send_ms, trail,"
    " '' AS rule FROM history"
    " UNION ALL SELECT " ISO("at_ms") ", at_ms, 'refused', '', 0, sender, recipient,"
    " '', reply, '', NULL, NULL, 0, client, '', helo, login, '', '', '', 0, 0,"
    " 0, 0, 0, 0, '', rule FROM refusal;";

/* What the rules said, and what they were asked: null in what is older. A refusal is a
 * verdict where the rules decided; v_history has at its end what is new. */
static const char step_2[] =
    "ALTER TABLE history ADD COLUMN tls TEXT;"
    "ALTER TABLE history ADD COLUMN rule TEXT;"
    "ALTER TABLE history ADD COLUMN place TEXT;"
    "ALTER TABLE history ADD COLUMN held_by TEXT;"
    "ALTER TABLE history ADD COLUMN asked_to TEXT;"
    "ALTER TABLE history ADD COLUMN asked_from TEXT;"
    "ALTER TABLE refusal ADD COLUMN place TEXT;"
    "ALTER TABLE refusal ADD COLUMN stage TEXT;"
    "ALTER TABLE refusal ADD COLUMN client_name TEXT;"
    "ALTER TABLE refusal ADD COLUMN listener TEXT;"
    "ALTER TABLE refusal ADD COLUMN tls TEXT;"
    "ALTER TABLE refusal ADD COLUMN size INTEGER;"
    "ALTER TABLE refusal ADD COLUMN is_verdict INTEGER;"

    "DROP VIEW v_history;"
    "CREATE VIEW v_history AS SELECT " ISO("at_ms") " AS at, at_ms,"
    " CASE kind WHEN 1 THEN 'delivered' WHEN 2 THEN 'failed' WHEN 3 THEN 'expired'"
    "  WHEN 4 THEN 'discarded' WHEN 5 THEN 'deleted' WHEN 6 THEN 'changed'"
    "  ELSE 'unknown' END AS what,"
    " " QUEUE_ID " AS queue_id, message, sender, recipient,"
    " CASE status WHEN 0 THEN '' ELSE (status/1000000)||'.'||(status/1000%1000)"
    "  ||'.'||(status%1000) END AS status,"
    " reply, host, " ISO("received_ms") " AS received, received_ms, size, client,"
    " client_name, helo, login, listener, protocol, message_id, attempts, in_doubt,"
    " delay_before AS delay_before_ms, delay_queue AS delay_queue_ms,"
    " delay_connect AS delay_connect_ms, delay_send AS delay_send_ms, trail,"
    " " TEXT("rule") " AS rule, " TEXT("place") " AS place,"
    " " TEXT("held_by") " AS held_by, " TEXT("tls") " AS tls, '' AS stage,"
    " " TEXT("asked_to") " AS asked_to, " TEXT("asked_from") " AS asked_from"
    " FROM history"
    " UNION ALL SELECT " ISO("at_ms") ", at_ms, " WHAT_OF_REFUSAL ", '', 0, sender,"
    " recipient, '', reply, '', NULL, NULL, " NUMBER("size") ", client,"
    " " TEXT("client_name") ", helo, login, " TEXT("listener") ", '', '', 0, 0,"
    " 0, 0, 0, 0, '', rule, " TEXT("place") ", '', " TEXT("tls") ","
    " " TEXT("stage") ", '', '' FROM refusal;"

    "CREATE VIEW v_verdicts AS SELECT " ISO("received_ms") " AS at,"
    " received_ms AS at_ms,"
    " CASE " TEXT("held_by") " WHEN '' THEN 'accepted' ELSE 'held' END AS verdict,"
    " rule, " TEXT("place") " AS place, 'RCPT' AS stage, client, client_name, helo,"
    " login, listener, " TEXT("tls") " AS tls,"
    " CASE " TEXT("asked_from") " WHEN '' THEN sender WHEN '<>' THEN ''"
    "  ELSE asked_from END AS sender,"
    " CASE " TEXT("asked_to") " WHEN '' THEN recipient ELSE asked_to END AS recipient,"
    " size, '' AS reply, " TEXT("held_by") " AS held_by, " QUEUE_ID " AS queue_id"
    " FROM history WHERE kind<>6 AND rule<>''"
    " UNION ALL SELECT " ISO("at_ms") ", at_ms,"
    " CASE " WHAT_OF_REFUSAL " WHEN 'refused' THEN CASE substr(reply,1,1)"
    "  WHEN '4' THEN 'deferred' ELSE 'refused' END ELSE 'discarded' END,"
    " rule, " TEXT("place") ", " TEXT("stage") ", client, " TEXT("client_name") ","
    " helo, login, " TEXT("listener") ", " TEXT("tls") ", sender, recipient,"
    " " NUMBER("size") ", reply, '', '' FROM refusal WHERE is_verdict;";

/* What was said in attempts that did not succeed, and whose order it was. The indexes by
 * which people ask are not here: see history_index.c. */
static const char step_3[] =
    "ALTER TABLE history ADD COLUMN dialogue TEXT;"
    "ALTER TABLE history ADD COLUMN who TEXT;"
    "DROP VIEW v_history;"
    "CREATE VIEW v_history AS SELECT " ISO("at_ms") " AS at, at_ms,"
    " CASE kind WHEN 1 THEN 'delivered' WHEN 2 THEN 'failed' WHEN 3 THEN 'expired'"
    "  WHEN 4 THEN 'discarded' WHEN 5 THEN 'deleted' WHEN 6 THEN 'changed'"
    "  WHEN 7 THEN 'returned'"
    "  ELSE 'unknown' END AS what,"
    " " QUEUE_ID " AS queue_id, message, sender, recipient,"
    " CASE status WHEN 0 THEN '' ELSE (status/1000000)||'.'||(status/1000%1000)"
    "  ||'.'||(status%1000) END AS status,"
    " reply, host, " ISO("received_ms") " AS received, received_ms, size, client,"
    " client_name, helo, login, listener, protocol, message_id, attempts, in_doubt,"
    " delay_before AS delay_before_ms, delay_queue AS delay_queue_ms,"
    " delay_connect AS delay_connect_ms, delay_send AS delay_send_ms, trail,"
    " " TEXT("rule") " AS rule, " TEXT("place") " AS place,"
    " " TEXT("held_by") " AS held_by, " TEXT("tls") " AS tls, '' AS stage,"
    " " TEXT("asked_to") " AS asked_to, " TEXT("asked_from") " AS asked_from,"
    " " TEXT("dialogue") " AS dialogue, " TEXT("who") " AS who FROM history"
    " UNION ALL SELECT " ISO("at_ms") ", at_ms, " WHAT_OF_REFUSAL ", '', 0, sender,"
    " recipient, '', reply, '', NULL, NULL, " NUMBER("size") ", client,"
    " " TEXT("client_name") ", helo, login, " TEXT("listener") ", '', '', 0, 0,"
    " 0, 0, 0, 0, '', rule, " TEXT("place") ", '', " TEXT("tls") ","
    " " TEXT("stage") ", '', '', '', '' FROM refusal;";

/* As it was first addressed; the indexes over it are not here either. */
static const char step_4[] =
    "ALTER TABLE history ADD COLUMN orig_to TEXT;"
    "DROP VIEW v_history;"
    "CREATE VIEW v_history AS SELECT " ISO("at_ms") " AS at, at_ms,"
    " CASE kind WHEN 1 THEN 'delivered' WHEN 2 THEN 'failed' WHEN 3 THEN 'expired'"
    "  WHEN 4 THEN 'discarded' WHEN 5 THEN 'deleted' WHEN 6 THEN 'changed'"
    "  WHEN 7 THEN 'returned'"
    "  ELSE 'unknown' END AS what,"
    " " QUEUE_ID " AS queue_id, message, sender, recipient,"
    " CASE status WHEN 0 THEN '' ELSE (status/1000000)||'.'||(status/1000%1000)"
    "  ||'.'||(status%1000) END AS status,"
    " reply, host, " ISO("received_ms") " AS received, received_ms, size, client,"
    " client_name, helo, login, listener, protocol, message_id, attempts, in_doubt,"
    " delay_before AS delay_before_ms, delay_queue AS delay_queue_ms,"
    " delay_connect AS delay_connect_ms, delay_send AS delay_send_ms, trail,"
    " " TEXT("rule") " AS rule, " TEXT("place") " AS place,"
    " " TEXT("held_by") " AS held_by, " TEXT("tls") " AS tls, '' AS stage,"
    " " TEXT("asked_to") " AS asked_to, " TEXT("asked_from") " AS asked_from,"
    " " TEXT("dialogue") " AS dialogue, " TEXT("who") " AS who,"
    " " TEXT("orig_to") " AS orig_to FROM history"
    " UNION ALL SELECT " ISO("at_ms") ", at_ms, " WHAT_OF_REFUSAL ", '', 0, sender,"
    " recipient, '', reply, '', NULL, NULL, " NUMBER("size") ", client,"
    " " TEXT("client_name") ", helo, login, " TEXT("listener") ", '', '', 0, 0,"
    " 0, 0, 0, 0, '', rule, " TEXT("place") ", '', " TEXT("tls") ","
    " " TEXT("stage") ", '', '', '', '', '' FROM refusal;";
/* clang-format on */

const char *const history_steps[HISTORY_VERSION] = { step_1, step_2,
                                                     step_3, step_4 };
