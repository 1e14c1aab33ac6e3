/*
 * ledger - what was promised and what arrived, kept by those who never die.
 *
 * One memory-mapped file, one slot for each recipient. The generator writes
 * when it sent a message and when it read the 250; the sink writes when it
 * answered 250 to a copy. Neither is ever killed, so at the end the file is the
 * truth that the relay between them is held against. Slots are numbered from 1
 * and never used twice.
 *
 * The address says what the sink is to do with a recipient:
 *   l<slot>@  take it         d<slot>@  450 the first time, then take it
 *   f<slot>@  always 550      b<slot>@  the sender: a report for f<slot> goes
 * here
 */
#ifndef WAYPOST_TESTS_LEDGER_H
#define WAYPOST_TESTS_LEDGER_H

#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LEDGER_TIMES = 4, LEDGER_HEAD = 4096 };

enum ledger_flag {
    LEDGER_BAD = 1,      /* a copy whose content is not what was sent */
    LEDGER_DEFERRED = 2, /* had its 450 */
    LEDGER_REPORTED = 4, /* came back as a report */
    LEDGER_FAILED = 8,   /* was answered 550 */
};

struct ledger_slot {
    _Atomic uint64_t sent_ns;  /* just before the final dot was sent */
    _Atomic uint64_t acked_ns; /* the 250 was read */
    _Atomic uint32_t count;    /* copies that arrived */
    _Atomic uint32_t flags;
    _Atomic uint64_t arrived_ns[LEDGER_TIMES]; /* when each copy got its 250 */
    uint64_t unused;
};

struct ledger_head {
    uint64_t slots;
    _Atomic uint64_t next;      /* first slot not used yet */
    _Atomic uint64_t acked;     /* recipients */
    _Atomic uint64_t arrived;   /* recipients with at least one copy */
    _Atomic uint64_t copies;    /* all of them */
    _Atomic uint64_t strangers; /* copies of what no slot knows */
};

struct ledger {
    struct ledger_head *head;
    struct ledger_slot *slots;
};

static inline uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The file was made, zeroed and sized by whoever runs the harness. */
static inline struct ledger ledger_open(const char *path)
{
    struct ledger l = { 0 };
    struct stat st;
    void *map;
    int fd;

    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size <= LEDGER_HEAD) {
        perror(path);
        exit(1);
    }
    map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
               0);
    if (map == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    close(fd);
    l.head = map;
    l.slots = (struct ledger_slot *)((char *)map + LEDGER_HEAD);
    l.head->slots =
        ((uint64_t)st.st_size - LEDGER_HEAD) / sizeof(struct ledger_slot);
    return l;
}

#endif
