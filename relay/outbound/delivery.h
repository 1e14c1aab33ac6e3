/*
 * delivery - the outbound side of one worker.
 *
 * Receives slots and alarms from the queue's port and gives each slot to a courier. All
 * functions run on the worker's thread.
 */
#ifndef WAYPOST_DELIVERY_H
#define WAYPOST_DELIVERY_H

#include "relay/net/registry.h"
#include "relay/net/worker.h"
#include "relay/outbound/hostmemory.h"

struct courier;
struct callouts;
struct fetch;
struct probe;
struct stsinquiry;
struct webpost_desk;

struct delivery {
    struct worker *worker;
    struct courier *couriers;
    struct fetch *fetches;
    struct probe *probes;
    size_t count;                 /* of these, of callers and of reckonings under way */
    struct callouts *callouts;
    struct stsinquiry *inquiries; /* about policies of domains */
    struct webpost_desk *web;     /* for these; NULL until one has to be fetched */
    struct hostmemory *hosts;
    struct registry registry;     /* who waits for content */
    size_t alarms;                /* of them, alarm works */
    int64_t cut_ms;               /* going down: when the rest is cut; 0: not */
    void (*empty)(struct worker *w);
};

/* Sets w->delivery; for the port's events below, with the worker as user. */
void delivery_open(struct worker *w);
void delivery_slot_opened(void *worker, struct queue_slot *slot);
void delivery_slot_ready(void *worker, struct queue_slot *slot);
void delivery_slot_ended(void *worker, struct queue_slot *slot);
/* For worker.sides: delivers over the customer's connection. */
void delivery_turn(struct worker *w, struct turn *take_t);
void delivery_alarm(void *worker, struct queue_work *work);
void delivery_tick(struct delivery *d);
/* Cuts what is before its final dot, waits for the rest at most drain_ms; `empty` is called
 * once, when no courier is left. The queue's claims have been stopped before. */
void delivery_shut_down(struct delivery *d, int64_t drain_ms,
                        void (*empty)(struct worker *w));
void delivery_close(struct delivery *d);
/* What a next hop did; remembered across restarts, as a note in the queue. */
void delivery_host_failed(struct delivery *d, const struct race_target *host);
void delivery_host_worked(struct delivery *d, const struct race_target *host);
/* A courier, an alarm or a reckoning has ended. */
void delivery_left(struct delivery *d);

#endif
