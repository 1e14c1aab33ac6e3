/*
 * process - what the process costs: time, memory, descriptors, as all programs tell it.
 */
#include "relay/admin/exposition.h"
#include "relay/admin/metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static double seconds(const struct timeval *t)
{
    return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

/* Pages of /proc/self/statm: all, and those in memory. */
static bool read_pages(unsigned long long *out_all,
                       unsigned long long *out_here)
{
    FILE *file = fopen("/proc/self/statm", "re");
    char line[256], *end = line;
    bool is_read = file && fgets(line, sizeof line, file);

    if (file)
        (void)fclose(file);
    if (!is_read)
        return false;
    *out_all = strtoull(line, &end, 10);
    *out_here = strtoull(end, &end, 10);
    return true;
}

/* Without the one that looks. */
static unsigned count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    const struct dirent *e;
    unsigned n = 0;

    if (!folder)
        return 0;
    while ((e = readdir(folder)) != NULL)
        n += e->d_name[0] != '.';
    (void)closedir(folder);
    return n ? n - 1 : 0;
}

void process_put(struct buffer *b, int64_t started_ms)
{
    double page = (double)sysconf(_SC_PAGESIZE);
    unsigned long long all, here;
    unsigned open = count_descriptors();
    struct rusage used;
    struct rlimit most;

    exposition_single(b, "process_start_time_seconds", EXPOSITION_GAUGE,
                      "When the process started, since the epoch.",
                      (double)started_ms / 1000);
    if (getrusage(RUSAGE_SELF, &used) == 0)
        exposition_single(b, "process_cpu_seconds_total", EXPOSITION_COUNTER,
                          "Processor time, user and system.",
                          seconds(&used.ru_utime) + seconds(&used.ru_stime));
    if (read_pages(&all, &here)) {
        exposition_single(b, "process_resident_memory_bytes", EXPOSITION_GAUGE,
                          "Memory in use.", (double)here * page);
        exposition_single(b, "process_virtual_memory_bytes", EXPOSITION_GAUGE,
                          "Address space in use.", (double)all * page);
    }
    if (open)
        exposition_single(b, "process_open_fds", EXPOSITION_GAUGE,
                          "Open descriptors.", open);
    if (getrlimit(RLIMIT_NOFILE, &most) == 0)
        exposition_single(b, "process_max_fds", EXPOSITION_GAUGE,
                          "Descriptors that may be open at most.",
                          (double)most.rlim_cur);
}
