/*
 * probe_private - what the files of a probe share.
 */
#ifndef WAYPOST_PROBE_PRIVATE_H
#define WAYPOST_PROBE_PRIVATE_H

#include "relay/net/acquaintance.h"
#include "relay/outbound/advice.h"
#include "relay/outbound/probe.h"
#include "relay/outbound/talk.h"
#include "relay/outbound/witness.h"

#include <jansson.h>

enum probe_state { PROBE_OK, PROBE_WARNING, PROBE_BAD, PROBE_INFO };

/* What is to be probed, and what the queue knows of it. */
struct probe_target {
    const struct route *route;    /* NULL: there is none */
    struct span recipient;        /* empty: no address was given */
    struct span domain;           /* or empty: of a destination with many */
    struct span destination;
    bool is_known;                /* the queue has it: what follows holds */
    enum queue_destination_state state;
    int64_t due_ms, last_good_ms;
    uint64_t waiting;
    bool has_rate;
};

struct probe_folder;

struct probe {
    struct probe *next, **here;
    struct delivery *delivery;
    struct settings *settings;
    struct tls_material *tls;     /* of these settings */
    struct arena arena;
    probe_told_fn *told;          /* NULL: over, and gone at the next tick */
    void *user;
    struct span sender;           /* at NULL: nobody in particular */
    int64_t began_ms;
    uint64_t since_ns;            /* the latest line, or what is timed now began */
    struct probe_target target;

    /* The member of via that is visited: a route that leads nowhere else. */
    size_t member;
    struct route leg;
    struct itinerary itinerary;
    bool has_itinerary;
    struct talk talk;
    struct witness witness;
    struct envelope envelope;
    struct client_recipient recipient;
    struct probe_folder *folder;  /* being tested; or NULL */

    /* The connection. */
    enum client_stage awaiting;   /* STAGE_IDLE: nothing */
    short code;                   /* its refusal; 0: none came */
    enum client_stage ended_at;   /* the same of what was awaited before */
    short ended_code;
    enum client_stage refused_at; /* of a transaction: what was refused first */
    short refusal;                /* the code of that; 0: nothing was */
    bool has_asked;               /* the transaction was begun */
    struct buffer mechanism;      /* of the login */
    json_t *lines;                /* said and heard since the latest line; or NULL */

    /* What came of it. */
    bool has_worked;              /* a host let us in */
    bool has_failed;              /* in this leg, and it was told */
    bool is_fetched;              /* a pickup that nobody delivers to */
    struct buffer worked;         /* "host[192.0.2.1]:25" */
    enum failure failure;         /* the one that came furthest */
    struct buffer trouble;        /* its words */
};

/* ----------------------------------------------------------------- probe.c ---- */

/* A stage's line; detail may be NULL. */
void probe_tell(struct probe *p, const char *stage, enum probe_state state,
                json_t *take_detail, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* The same, and a failure: text is its words. */
void probe_fail(struct probe *p, const char *stage, enum failure f,
                json_t *take_detail, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* Escaped, as JSON. */
json_t *probe_text(struct span s);
void probe_put(json_t *o, const char *key, json_t *take_value);
/* What comes now is timed. */
void probe_start_clock(struct probe *p);
/* This member is done with: the next, or the end. */
void probe_go_on(struct probe *p);

/* ---------------------------------------------------------- probe_target.c ---- */

/* Finds out what is meant, and tells the stages route and queue. False: nothing can be. */
bool probe_target_find(struct probe *p, struct span name);

/* --------------------------------------------------------- probe_session.c ---- */

/* Visits the hosts of the leg; probe_go_on follows. */
void probe_session_begin(struct probe *p);

/* ---------------------------------------------------------- probe_lookup.c ---- */

/* The itinerary's event: the names of the leg were looked up. */
void probe_lookup_tell(void *user, const struct mx_answer *a);

/* ------------------------------------------------------- probe_assurance.c ---- */

/* The itinerary's event: what TLS with the next host must prove. */
void probe_assurance_tell(void *user, const struct assurance *a);

/* ------------------------------------------------------------- probe_tls.c ---- */

/* The handshake succeeded: what was agreed, and the certificate. */
void probe_tls_tell(struct probe *p, const struct tls *tls);
/* It failed: the certificate, if one was shown. */
void probe_tls_tell_refused(struct probe *p, const struct tls *tls);

/* ---------------------------------------------------------- probe_folder.c ---- */

/* A maildir: can it be written? probe_go_on follows. */
void probe_folder_begin(struct probe *p);
/* What is under way finds nobody any more. */
void probe_folder_forget(struct probe *p);

#endif
