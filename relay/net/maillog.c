/*
 * maillog - syslog(3), kept apart because its names are ours too.
 *
 * syslog(3) has one ident for the process, and we speak as several daemons, so
 * that tools written for Postfix find their way: the ident is set for each
 * line, under a lock.
 */
#include "relay/net/maillog.h"

#include <pthread.h>
#include <syslog.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static const int priorities[] = {
    [MAILLOG_INFO] = LOG_INFO,
    [MAILLOG_WARNING] = LOG_WARNING,
    [MAILLOG_FATAL] = LOG_CRIT,
};

void maillog_put(const char *ident, enum maillog_severity severity,
                 const char *text)
{
    pthread_mutex_lock(&one_at_a_time);
    openlog(ident, LOG_PID, LOG_MAIL);
    syslog(priorities[severity], "%s", text);
    /* ident is only lent: syslog must not keep it */
    openlog("waypost", LOG_PID, LOG_MAIL);
    pthread_mutex_unlock(&one_at_a_time);
}
