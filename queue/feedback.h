/*
 * feedback - how many connections does this destination bear?
 *
 * The window N starts at 5. Each delivery adds 1/N to a success count, and each
 * whole unit of it makes N one larger when the window is in full use. A failure
 * to connect or to greet takes 1/N from a failure count, and each unit below zero
 * makes N one smaller. A cohort of failures, N in a row with no success between
 * them, means the destination is down.
 *
 * Pure; the caller locks.
 */
#ifndef WAYPOST_FEEDBACK_H
#define WAYPOST_FEEDBACK_H

#include <stdbool.h>
#include <stdint.h>

enum { FEEDBACK_START = 5 };

struct feedback {
    uint32_t window, most;
    double success;
    double failure;
    double cohort; /* 1: a whole cohort has failed */
};

/* most: the route's `connections`, at least 1. */
void feedback_start(struct feedback *f, uint32_t most);
/* A new most, after a reload or from memory; what was learned is kept under it. */
void feedback_limit(struct feedback *f, uint32_t most);
/* A message was delivered while in_use connections were open. */
void feedback_delivered(struct feedback *f, uint32_t in_use);
/* A connection was greeted: failures in a row end. */
void feedback_greeted(struct feedback *f);
/* No connection or no greeting; true: the destination is down. */
bool feedback_failed(struct feedback *f);

#endif
