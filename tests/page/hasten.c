/*
 * hasten - a clock that is behind and catches up, put under a program with LD_PRELOAD.
 *
 * So that an hour of real work can be staged in minutes: the program lives through the hour,
 * only faster, and is at the true time at its end. HASTEN is "BEGIN BEHIND RATE": when (by
 * the real monotonic clock, in ms) it began, how many seconds it was behind then, and how
 * much faster than real it goes until it is no longer. All clocks are behind by the same, so
 * several processes agree; what waits for a time waits so much shorter.
 */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000LL

static long long begin_ms = -1, behind_s, rate = 1;

static int64_t real_ns(clockid_t id)
{
    struct timespec t = { 0 };

    (void)syscall(SYS_clock_gettime, id, &t);
    return t.tv_sec * SECOND_NS + t.tv_nsec;
}

static int64_t lag_ns(void)
{
    int64_t left;

    if (begin_ms < 0) {
        const char *text = getenv("HASTEN");

        if (!text ||
            sscanf(text, "%lld %lld %lld", &begin_ms, &behind_s, &rate) != 3)
            begin_ms = behind_s = 0;
    }
    left = behind_s * SECOND_NS -
           (real_ns(CLOCK_MONOTONIC) - begin_ms * 1000000) * (rate - 1);
    return left > 0 ? left : 0;
}

int clock_gettime(clockid_t id, struct timespec *out)
{
    int64_t at;

    if (id == CLOCK_PROCESS_CPUTIME_ID || id == CLOCK_THREAD_CPUTIME_ID)
        return (int)syscall(SYS_clock_gettime, id, out);
    at = real_ns(id) - lag_ns();
    *out = (struct timespec){ at / SECOND_NS, at % SECOND_NS };
    return 0;
}

time_t time(time_t *out)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t);
    if (out)
        *out = t.tv_sec;
    return t.tv_sec;
}

int gettimeofday(struct timeval *out, void *zone)
{
    struct timespec t;

    (void)zone;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    *out = (struct timeval){ t.tv_sec, t.tv_nsec / 1000 };
    return 0;
}

static int shorter(int ms)
{
    if (ms <= 0 || lag_ns() == 0)
        return ms;
    return ms < rate ? 1 : (int)(ms / rate);
}

int epoll_pwait(int fd, struct epoll_event *out, int most, int ms,
                const sigset_t *mask)
{
    return (int)syscall(SYS_epoll_pwait, fd, out, most, shorter(ms), mask, 8);
}

int epoll_wait(int fd, struct epoll_event *out, int most, int ms)
{
    return epoll_pwait(fd, out, most, ms, NULL);
}

int poll(struct pollfd *fds, nfds_t count, int ms)
{
    struct timespec t;

    ms = shorter(ms);
    t = (struct timespec){ ms / 1000, ms % 1000 * 1000000L };
    return (int)syscall(SYS_ppoll, fds, count, ms < 0 ? NULL : &t, NULL, 8);
}

/* The moment of the program's clock, by the real one. */
static struct timespec really(clockid_t id, const struct timespec *at)
{
    int64_t lag = lag_ns(), now = real_ns(id);
    int64_t wait = at->tv_sec * SECOND_NS + at->tv_nsec - (now - lag);

    if (lag)
        wait /= rate;
    wait = now + (wait > 0 ? wait : 0);
    return (struct timespec){ wait / SECOND_NS, wait % SECOND_NS };
}

typedef int timedwait_fn(pthread_cond_t *, pthread_mutex_t *, clockid_t,
                         const struct timespec *);

int pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m, clockid_t id,
                           const struct timespec *at)
{
    timedwait_fn *next =
        (timedwait_fn *)dlsym(RTLD_NEXT, "pthread_cond_clockwait");
    struct timespec t = really(id, at);

    return next(c, m, id, &t);
}

/* libuv's and the queue's conditions go by the monotonic clock; a moment of the other is far
 * beyond it. */
int pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m,
                           const struct timespec *at)
{
    bool is_wall = at->tv_sec > 1000000000;

    return pthread_cond_clockwait(
        c, m, is_wall ? CLOCK_REALTIME : CLOCK_MONOTONIC, at);
}
