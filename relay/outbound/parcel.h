/*
 * parcel - the work in hand: who of it goes to this host, who to another, who is done.
 *
 *              parcel_start            parcel_collect
 *     HERE ----------------> SHOWN --+--> settled       delivered, failed, later
 *      ^  ^                          |
 *      |  +---- not taken this time -+
 *      |                             +--> ELSEWHERE     another host may take it
 *      +----------- parcel_moves -----------+
 *
 * Each transaction settles one recipient at least or moves it elsewhere, and only a new
 * host brings those back; so it ends, whatever the peers say. Outcomes are noted as they
 * come and settled together when the parcel is dropped; who has no note then is freed.
 * Owns the work, and at most one read of its content.
 */
#ifndef WAYPOST_PARCEL_H
#define WAYPOST_PARCEL_H

#include "relay/outbound/delivery.h"
#include "relay/outbound/packing.h"
#include "relay/outbound/settlement.h"

enum { PARCEL_SESSIONS_MOST = 2 }; /* hosts that one work is shown to at once */

enum parcel_fate {
    PARCEL_DONE,  /* nobody is left: drop it */
    PARCEL_STAYS, /* some are still to be shown to this host */
    PARCEL_MOVES, /* the rest goes to another host */
    PARCEL_STALE, /* the kept connection was dead: nothing was said */
};

/* rc < 0: it cannot be read. bytes are borrowed for the call. */
typedef void parcel_read_fn(void *user, int rc, struct span bytes);

struct parcel {
    struct delivery *delivery;
    void *user; /* for the two below */
    parcel_read_fn *on_head, *on_part, *reading;
    uint64_t read_token; /* 0: no read under way */
    bool is_held;        /* there is a work */
    struct settlement settlement;
    struct client_recipient to[LIMIT_TRANSACTION_RECIPIENTS];
    size_t here[LIMIT_TRANSACTION_RECIPIENTS];
    size_t elsewhere[LIMIT_TRANSACTION_RECIPIENTS];
    size_t here_count, shown, elsewhere_count;
    size_t settled;
    size_t afresh_from; /* settled must be so many for a fresh try */
    unsigned sessions;
    bool frees_lost;    /* who was not settled when the connection went is due as before */
    bool was_taken;     /* by one recipient at least */
    int content_rc;     /* of the read that failed, or 0 */
    struct buffer head; /* of large content, for a report */
    uint64_t offset;    /* of content handed over */
    bool converts;      /* this host does not take it as it is: it is re-encoded */
    struct packing packing;
    struct buffer verp; /* the reverse-path made of the recipient */
    struct client_transaction transaction;
};

void parcel_init(struct parcel *p, struct delivery *d, parcel_read_fn *on_head,
                 parcel_read_fn *on_part, void *user);
/* Holds nothing any more. */
void parcel_fini(struct parcel *p);
/* settings and route are borrowed until it is dropped. */
void parcel_take(struct parcel *p, struct settings *settings,
                 const struct route *route, struct queue_work *take_work);
/* Settles; no work: nothing. */
void parcel_drop(struct parcel *p);

/* Is the content in a file? Then its beginning is read first. */
bool parcel_is_large(const struct parcel *p);
/* on_head comes later. */
void parcel_read_head(struct parcel *p);

/* The same for everybody. */
void parcel_judge(struct parcel *p, const struct client_outcome *o);
/* Content is gone or damaged: held for a person; else tried later. */
void parcel_content_failed(struct parcel *p, int rc);

/* It meets a host on its conn_use-th message. */
void parcel_meet(struct parcel *p, uint32_t conn_use, int64_t connect_ms);
/* Begins a transaction with those who are here; only when the client is free. */
void parcel_start(struct parcel *p, struct client *client);
/* Content for a client that wants some: at once, or on_part comes later. */
void parcel_send(struct parcel *p, struct client *client);
/* on_part's: to the client that waits for it. */
void parcel_send_part(struct parcel *p, struct client *client, int rc,
                      struct span bytes);
/* For one who needs no client: all before the i-th of the work have their note; content is
 * wanted from its beginning. */
void parcel_rewind(struct parcel *p, size_t i);
/* Large content: on_part comes later with the next bytes. */
void parcel_read_part(struct parcel *p);
/* The next bytes in this form, in place; false: they cannot be, *out_why. */
bool parcel_pack(struct parcel *p, enum client_form form, struct span *bytes,
                 bool *out_last, struct client_outcome *out_why);

/* Notes the outcomes of a client that is done, before client_next. */
enum parcel_fate parcel_collect(struct parcel *p, struct client *client,
                                struct span host, bool has_other_host);

/* Was it delivered to anybody? */
bool parcel_was_taken(const struct parcel *p);

/* May the same hosts be asked once more, since the connection broke with some still to
 * be shown? Once, and again each time that somebody was settled since. */
bool parcel_may_go_afresh(const struct parcel *p);
void parcel_goes_afresh(struct parcel *p);
/* Off to another host: all are here again. */
void parcel_moves(struct parcel *p);

#endif
