/*
 * logline_events - which fields each event shows, between which words.
 */
#include "relay/net/logline_private.h"

#define AT(member) offsetof(struct log_line, member)

const struct logline_row logline_fields[] = {
    /* clang-format off */
    [F_ID]         = { "queue_id",   K_ID,         AT(id) },
    [F_OTHER_ID]   = { "report_id",  K_ID,         AT(other_id) },
    [F_ORIG_ID]    = { "orig_queue_id", K_ID,      AT(other_id) },
    [F_PEER]       = { "client",     K_PEER,       AT(host) },
    [F_NEXT_HOP]   = { "relay",      K_PEER_PORT,  AT(host) },
    [F_LISTENER]   = { "listener",   K_SPAN,       AT(listener) },
    [F_LOGIN]      = { "login",      K_SPAN,       AT(login) },
    [F_HELO]       = { "helo",       K_SPAN,       AT(helo) },
    [F_PROTOCOL]   = { "proto",      K_SPAN,       AT(protocol) },
    [F_SENDER]     = { "from",       K_SPAN,       AT(sender) },
    [F_RECIPIENT]  = { "to",         K_SPAN,       AT(recipient) },
    [F_MESSAGE_ID] = { "message_id", K_MESSAGE_ID, AT(message_id) },
    [F_RELAY]      = { "relay",      K_SPAN,       AT(relay) },
    [F_STATUS]     = { "status",     K_SPAN,       AT(status) },
    [F_STAGE]      = { "stage",      K_SPAN,       AT(stage) },
    [F_TEXT]       = { "text",       K_SPAN,       AT(text) },
    [F_RULE]       = { "rule",       K_SPAN,       AT(rule) },
    [F_PLACE]      = { "place",      K_PLACE,      AT(place) },
    [F_DSN]        = { "dsn",        K_STATUS,     AT(dsn) },
    [F_DELAY]      = { "delay",      K_DELAY,      AT(delay_ms) },
    [F_DELAYS]     = { "delays",     K_DELAYS,     AT(delay_ms) },
    [F_SIZE]       = { "size",       K_NUMBER,     AT(size) },
    [F_COUNT]      = { "count",      K_NUMBER,     AT(count) },
    [F_COMMANDS]   = { "commands",   K_NUMBER,     AT(commands) },
    [F_CONN_USE]   = { "conn_use",   K_USE,        AT(conn_use) },
    [F_ORIG_TO]    = { "orig_to",    K_SPAN,       AT(orig_to) },
    [F_MECHANISM]  = { "mechanism",  K_SPAN,       AT(mechanism) },
    [F_TRUST]      = { "trust",      K_TRUST,      AT(tls) },
    [F_TLS]        = { "tls",        K_PROTOCOL,   AT(tls) },
    [F_CIPHER]     = { "cipher",     K_CIPHER,     AT(tls) },
    [F_BITS]       = { "bits",       K_BITS,       AT(tls) },
    [F_RESUMED]    = { "resumed",    K_RESUMED,    AT(tls) },
    [F_TLS_POLICY] = { "tls_policy", K_TLS_POLICY, AT(tls) },
    [F_SESSION]    = { "session",    K_SPAN,       AT(session) },
    /* clang-format on */
};

/* Of events; MAY_MISS is of pieces. */
enum { URGENT = 1, WARNS = 2, MAY_MISS = LOGLINE_MAY_MISS };

const struct logline_event logline_events[LOG_EVENTS] = {
    /* clang-format off */
    [LOG_STARTED] = { "started", "qmgr", URGENT, "started", {
        { ", ", F_TEXT, "", MAY_MISS } } },
    [LOG_STOPPED] = { "stopped", "qmgr", URGENT, "stopped", {
        { ", ", F_TEXT, "", MAY_MISS } } },
    [LOG_NOTE] = { "note", "qmgr", URGENT, "", {
        { "", F_TEXT, "", 0 } } },
    [LOG_WARNING] = { "warning", "qmgr", URGENT | WARNS, "warning: ", {
        { "", F_TEXT, "", 0 } } },
    [LOG_FATAL] = { "fatal", "qmgr", URGENT, "fatal: ", {
        { "", F_TEXT, "", 0 } } },
    [LOG_CONNECT] = { "connect", "smtpd", 0, "connect from ", {
        { "", F_PEER, "", 0 } } },
    [LOG_DISCONNECT] = { "disconnect", "smtpd", 0, "disconnect from ", {
        { "", F_PEER, "", 0 }, { " commands=", F_COMMANDS, "", 0 },
        { " messages=", F_COUNT, "", 0 }, { " session=", F_SESSION, "", MAY_MISS } } },
    [LOG_LOST] = { "lost", "smtpd", 0, "lost connection after ", {
        { "", F_STAGE, "", 0 }, { " from ", F_PEER, "", 0 },
        { " (", F_TEXT, ")", MAY_MISS } } },
    [LOG_CLIENT] = { "client", "smtpd", 0, "", {
        { "", F_ID, ": ", 0 }, { "client=", F_PEER, "", 0 },
        { ", listener=", F_LISTENER, "", MAY_MISS },
        { ", login=", F_LOGIN, "", MAY_MISS },
        { ", orig_queue_id=", F_ORIG_ID, "", MAY_MISS },
        { ", rule=\"", F_RULE, "\"", MAY_MISS }, { " ", F_PLACE, "", MAY_MISS } } },
    [LOG_MESSAGE_ID] = { "message-id", "smtpd", 0, "", {
        { "", F_ID, ": ", 0 }, { "message-id=", F_MESSAGE_ID, "", 0 } } },
    [LOG_QUEUED] = { "queued", "qmgr", 0, "", {
        { "", F_ID, ": ", 0 }, { "from=<", F_SENDER, ">", 0 },
        { ", size=", F_SIZE, "", 0 }, { ", nrcpt=", F_COUNT, " (queue active)", 0 } } },
    [LOG_VERDICT] = { "verdict", "smtpd", 0, "", {
        { "", F_ID, ": ", 0 }, { "", F_STATUS, ": ", 0 },
        { "", F_STAGE, "", 0 }, { " from ", F_PEER, ": ", 0 }, { "", F_TEXT, ";", 0 },
        { " from=<", F_SENDER, ">", 0 }, { " to=<", F_RECIPIENT, ">", 0 },
        { " proto=", F_PROTOCOL, "", MAY_MISS }, { " helo=<", F_HELO, ">", MAY_MISS },
        { " login=", F_LOGIN, "", MAY_MISS },
        { " rule=\"", F_RULE, "\"", MAY_MISS }, { " ", F_PLACE, "", MAY_MISS } } },
    [LOG_REMARK] = { "remark", "smtpd", 0, "NOQUEUE: ", {
        { "", F_STATUS, ": ", 0 },
        { "", F_STAGE, "", 0 }, { " from ", F_PEER, ": ", 0 }, { "", F_TEXT, ";", 0 },
        { " from=<", F_SENDER, ">", 0 }, { " to=<", F_RECIPIENT, ">", MAY_MISS },
        { " proto=", F_PROTOCOL, "", MAY_MISS }, { " helo=<", F_HELO, ">", MAY_MISS },
        { " login=", F_LOGIN, "", MAY_MISS },
        { " rule=\"", F_RULE, "\"", MAY_MISS }, { " ", F_PLACE, "", MAY_MISS },
        { " session=", F_SESSION, "", MAY_MISS } } },
    [LOG_REFUSED] = { "refused", "smtpd", 0, "NOQUEUE: reject: ", {
        { "", F_STAGE, "", 0 }, { " from ", F_PEER, ": ", 0 }, { "", F_TEXT, ";", 0 },
        { " from=<", F_SENDER, ">", 0 }, { " to=<", F_RECIPIENT, ">", MAY_MISS },
        { " proto=", F_PROTOCOL, "", MAY_MISS }, { " helo=<", F_HELO, ">", MAY_MISS },
        { " login=", F_LOGIN, "", MAY_MISS },
        { " rule=\"", F_RULE, "\"", MAY_MISS }, { " ", F_PLACE, "", MAY_MISS },
        { " session=", F_SESSION, "", MAY_MISS } } },
    [LOG_DELIVERY] = { "delivery", "smtp", 0, "", {
        { "", F_ID, ": ", 0 }, { "to=<", F_RECIPIENT, ">", 0 },
        { ", orig_to=<", F_ORIG_TO, ">", MAY_MISS },
        { ", relay=", F_RELAY, "", 0 }, { ", conn_use=", F_CONN_USE, "", MAY_MISS },
        { ", delay=", F_DELAY, "", 0 }, { ", delays=", F_DELAYS, "", 0 },
        { ", dsn=", F_DSN, "", 0 }, { ", status=", F_STATUS, "", 0 },
        { " (", F_TEXT, ")", 0 } } },
    [LOG_REMOVED] = { "removed", "qmgr", 0, "", {
        { "", F_ID, ": removed", 0 } } },
    [LOG_REPORT] = { "report", "bounce", 0, "", {
        { "", F_ID, ": ", 0 }, { "sender ", F_STATUS, "", 0 },
        { " notification: ", F_OTHER_ID, "", 0 } } },
    [LOG_CONNECT_FAILED] = { "connect-failed", "smtp", 0, "connect to ", {
        { "", F_NEXT_HOP, "", 0 }, { ": ", F_TEXT, "", 0 } } },
    [LOG_TLS_IN] = { "tls-in", "smtpd", 0, "", {
        { "", F_TRUST, " TLS connection established", 0 }, { " from ", F_PEER, ": ", 0 },
        { "", F_TLS, "", 0 }, { " with cipher ", F_CIPHER, "", 0 },
        { " (", F_BITS, " bits)", 0 }, { ", ", F_RESUMED, "", MAY_MISS } } },
    [LOG_TLS_OUT] = { "tls-out", "smtp", 0, "", {
        { "", F_TRUST, " TLS connection established", 0 }, { " to ", F_NEXT_HOP, ": ", 0 },
        { "", F_TLS, "", 0 }, { " with cipher ", F_CIPHER, "", 0 },
        { " (", F_BITS, " bits)", 0 }, { ", ", F_RESUMED, "", MAY_MISS },
        { " (", F_TLS_POLICY, ")", MAY_MISS } } },
    [LOG_LOGIN] = { "login", "smtpd", 0, "", {
        { "", F_PEER, ": logged in", 0 }, { " as ", F_LOGIN, "", 0 },
        { " by ", F_MECHANISM, "", 0 } } },
    [LOG_LOGIN_FAILED] = { "login-failed", "smtpd", WARNS, "warning: ", {
        { "", F_PEER, ": SASL ", 0 }, { "", F_MECHANISM, " authentication failed: ", 0 },
        { "", F_TEXT, "", 0 }, { ", sasl_username=", F_LOGIN, "", MAY_MISS } } },
    /* clang-format on */
};

const char *logline_daemon(enum log_event event)
{
    return logline_events[event].daemon;
}

const char *logline_name(enum log_event event)
{
    return logline_events[event].name;
}

bool logline_is_urgent(enum log_event event)
{
    return logline_events[event].flags & URGENT;
}

bool logline_is_warning(enum log_event event)
{
    return logline_events[event].flags & WARNS;
}
