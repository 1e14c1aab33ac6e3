/*
 * maillog - syslog(3), kept apart because its names are ours too.
 *
 * <syslog.h> defines LOG_WARNING and others as macros, which relay/net/log.h
 * uses for events: no file may include both.
 */
#ifndef WAYPOST_MAILLOG_H
#define WAYPOST_MAILLOG_H

#include <stdbool.h>

/* Does anybody listen to syslog(3)? */
bool maillog_is_there(void);

enum maillog_severity { MAILLOG_INFO, MAILLOG_WARNING, MAILLOG_FATAL };

/* One line, facility mail; ident is "waypost/smtpd". Any thread. */
void maillog_put(const char *ident, enum maillog_severity severity,
                 const char *text);

#endif
