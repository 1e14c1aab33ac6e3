/*
 * findings_private - what gathering and printing share, and nobody else includes.
 */
#ifndef WAYPOST_FINDINGS_PRIVATE_H
#define WAYPOST_FINDINGS_PRIVATE_H

#include "relay/main/findings.h"

struct findings_example {
    struct findings_example *next;
    int64_t at_ms;
    struct span client, helo, login, sender, recipient, stage, reply;
    struct span reply_now; /* what it would be; empty: none */
};

/* The same change, by the same rule, of what the same rule had decided. */
struct findings_group {
    struct finding finding; /* the first of them: its reply */
    struct span rule_then, place_then;
    uint64_t count;
    size_t order; /* as they were met */
    struct findings_example *examples, *last;
};

struct entry;

struct findings {
    unsigned examples_most;
    struct arena arena;
    struct entry *entries;
    struct findings_group **sorted;
    uint64_t total, kinds[FINDING_OTHER + 1];
    uint64_t same[FATES];    /* as before: by what they were */
    uint64_t changed[FATES]; /* by what they would be */
};

/* f->sorted; answers how many. */
size_t findings_sort(struct findings *f);

#endif
