/*
 * slot - leave to keep one connection to a destination.
 *
 *                    slot_opened            next: a work
 *   UNTOLD (promised) ----------> OPEN (promised) ----> OPEN <----+
 *      |  withdrawn                  ^  slot_ready        |  next |
 *      v                             +------ PARKED <-----+-------+
 *    gone                       |              next: NULL
 *                               +-- slot_ended --> LEAVING --> closed
 *
 * A slot is promised from when it is told that there is work until it asks. The
 * functions here are under the queue's lock but slot_tell; those of queue.h lock.
 */
#ifndef WAYPOST_SLOT_H
#define WAYPOST_SLOT_H

#include "queue/core.h"

enum slot_state { SLOT_UNTOLD, SLOT_OPEN, SLOT_PARKED, SLOT_LEAVING };
enum slot_news { SLOT_NO_NEWS, SLOT_OPENED, SLOT_READY, SLOT_ENDED };

struct queue_slot {
    struct queue *queue;
    struct destination *destination;
    struct queue_port *port;
    void *data;
    enum slot_state state;
    enum slot_news news; /* to be told; then it is in the port's list */
    bool is_promised;
    bool is_connected;
    bool has_failed;
    bool has_asked; /* as a probe: had its one work */
    bool is_exempt; /* from its destination's rates */
    uint32_t held;  /* works not settled */
    int64_t opened_ms; /* 0: since then it has asked */
    char *lane;     /* of queue_slot_lane */
    TAILQ_ENTRY(queue_slot) told, park;
};

/* Wakes or opens as many slots as there is work for, or the probe; asks for content
 * to be loaded. Call it when anything about d has changed. */
void slot_run(struct queue *q, struct destination *d);
/* A port came: all destinations. */
void slot_port_opened(struct queue *q);
/* A port goes: slots that it was not told of are taken back. */
void slot_withdraw(struct queue_port *p);
/* One for p, not promised, whatever SLOTS_MOST says: its connection is there. */
struct queue_slot *slot_given(struct queue_port *p, struct destination *d);
/* No slot of d is opened or used any more: those that nobody was told of are taken back,
 * the parked are told to close. */
void slot_clear(struct queue *q, struct destination *d);
/* d leads nowhere any more. */
void slot_end_parked(struct destination *d);
/* Neither parked nor leaving. */
uint32_t slot_busy(const struct destination *d);
/* What claim.c moves a slot with. slot_free is to be followed by slot_run. */
void slot_park(struct queue_slot *s);
void slot_unpark(struct queue_slot *s);
void slot_unpromise(struct queue_slot *s);
void slot_unannounce(struct queue_slot *s);
void slot_free(struct queue_slot *take_s);
/* Takes the lock. One thing to tell; false: none was left. */
bool slot_tell(struct queue_port *p);

#endif
