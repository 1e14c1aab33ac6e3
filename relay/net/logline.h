/*
 * logline - one event as one line, in Postfix's words or as a JSON object.
 *
 * Pure: no time, no descriptor. Both forms come from the same table of events
 * and the same table of fields.
 */
#ifndef WAYPOST_LOGLINE_H
#define WAYPOST_LOGLINE_H

#include "relay/net/log.h"

/* "smtpd", "smtp", "qmgr" or "bounce": which of Postfix's daemons would say it.
 */
const char *logline_daemon(enum log_event event);
/* "delivery", as the JSON object's "event" says. */
const char *logline_name(enum log_event event);
/* Does one of the fields that the event shows contain this text, which is not empty? No case. */
bool logline_has(const struct log_line *line, struct span text);
/* Must it be seen at once? What is about us, not about one message. */
bool logline_is_urgent(enum log_event event);
/* Something that a person should look into? */
bool logline_is_warning(enum log_event event);
/* "ID: client=host[ip] ..." */
void logline_put_text(struct buffer *b, const struct log_line *line);
/* "queue_id":"...", ... without the braces, so that more may stand around it.
 */
void logline_put_json(struct buffer *b, const struct log_line *line);
/* Bytes of strangers inside a JSON string, without the quotes. */
void logline_put_json_string(struct buffer *b, struct span s);

#endif
