/*
 * courier_private - what a courier is, for its own files only.
 *
 * courier.c has its beginning, its end and what the delivery tells it; visit.c what it
 * does on a connection; turned.c what is different where that was a customer's.
 */
#ifndef WAYPOST_COURIER_PRIVATE_H
#define WAYPOST_COURIER_PRIVATE_H

#include "relay/outbound/courier.h"
#include "relay/outbound/itinerary.h"
#include "relay/outbound/parcel.h"
#include "relay/outbound/talk.h"

enum phase {
    PHASE_SEEKING,
    PHASE_VISITING,
    PHASE_READING,
    PHASE_FILING,
    PHASE_GONE,
};

struct maildir;
struct turned;

struct courier {
    struct courier *next, **here;
    struct delivery *delivery;
    struct queue_slot *slot;
    struct settings *settings;
    struct tls_material *tls; /* of these settings */
    const struct route *route; /* NULL: none */
    enum phase phase;
    struct arena arena; /* for the courier's life */
    struct span domain; /* of the first lane: MX look-ups */
    struct itinerary itinerary;
    struct parcel parcel;
    bool has_verdict;
    int64_t rest_ms;              /* how long the destination rests now; 0: it does not */
    struct client_outcome verdict;
    struct maildir *maildir; /* FILING; else NULL */
    struct turned *turned;   /* over the customer's own connection; else NULL */

    /* The connection. */
    struct talk talk;
    bool was_up;   /* the queue knows of a greeted connection */
    bool must_end; /* no more work on this connection */
    int64_t opened_ms;
    uint32_t conn_use;
};

/* With a slot, of the worker's; settings are held. */
struct courier *courier_new(struct delivery *d, struct queue_slot *slot,
                            struct settings *settings);
/* Moves the phase, as the table of successors allows. */
void courier_enter(struct courier *c, enum phase phase);
/* Gives the slot back. The courier is gone after it. */
void courier_let_go(struct courier *c);
/* Takes the next work into the parcel. */
bool courier_claim(struct courier *c);
/* Judges all work of this slot. The courier may be gone after it. */
void courier_give_verdicts(struct courier *c);

/* Takes a connected fd and begins to talk. */
void visit_begin(struct courier *c, int fd);
/* The same with a connection that was another's. */
void visit_take_over(struct courier *c, struct hand *take_h);
/* The client is done: notes what was said. */
void visit_note_outcomes(struct courier *c);
/* There is no connection any more: on to where a parcel in hand may still be taken, or the
 * end. The courier may be gone after it. */
void visit_over(struct courier *c);
/* The parcel's: large content has been read. The courier may be gone after it. */
void visit_head_arrived(void *courier, int rc, struct span bytes);
void visit_part_arrived(void *courier, int rc, struct span bytes);

#endif
