/*
 * maillog - syslog(3), kept apart because its names are ours too.
 *
 * syslog(3) has one ident for the process, and we speak as several daemons, so
 * that tools written for Postfix find their way: the ident is set for each
 * line, under a lock.
 */
#include "relay/net/maillog.h"

#include <paths.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static const int priorities[] = {
    [MAILLOG_INFO] = LOG_INFO,
    [MAILLOG_WARNING] = LOG_WARNING,
    [MAILLOG_FATAL] = LOG_CRIT,
};

bool maillog_is_there(void)
{
    const struct sockaddr_un to = { .sun_family = AF_UNIX,
                                    .sun_path = _PATH_LOG };
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool is_there;

    if (fd < 0)
        return false;
    is_there = connect(fd, (const struct sockaddr *)&to, sizeof to) == 0;
    (void)close(fd);
    return is_there;
}

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
