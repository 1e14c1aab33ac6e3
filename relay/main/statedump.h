/*
 * statedump - SIGUSR2: what the relay is doing, into the log.
 *
 * For when nothing else answers any more: a few dozen lines, however much there is, and no
 * secrets among them.
 */
#ifndef WAYPOST_STATEDUMP_H
#define WAYPOST_STATEDUMP_H

struct station;

/* Main loop. */
void statedump_log(struct station *st);

#endif
