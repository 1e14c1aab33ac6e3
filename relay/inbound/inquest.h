/*
 * inquest - finds out what rules and routes want to know.
 *
 * A round is all that is asked at once: by a session, or by somebody who wants the rules
 * explained. Each question becomes an errand and goes to the fetcher of its kind, which
 * answers it exactly once by inquest_answer, before it has returned or later; when the last
 * answer is there whoever asked goes on. A question whose time is over has failed. When an
 * answer is not waited for any more the errand is called off, and a late one finds nobody.
 */
#ifndef WAYPOST_INQUEST_H
#define WAYPOST_INQUEST_H

#include "policy/evidence.h"
#include "policy/settings.h"
#include "relay/net/worker.h"

struct errand;
struct visit;

/* Who asks; embedded in its owner. */
struct inquest {
    struct worker *worker;
    /* Where answers go; NULL: they are not waited for any more. */
    struct evidence *(*evidence)(struct inquest *n);
    /* The last answer of the round is there; it may ask again at once, or be gone. */
    void (*answered)(struct inquest *n);
    void *user;
    struct inquest *next, **here; /* the intake's */
    struct settings *settings;    /* of the round; borrowed */
    struct errand *errands;       /* under way */
    bool is_beginning;
};

/* One question under way. Fetchers know it by its token, or, where they call it off, by
 * itself. */
struct errand {
    struct errand *next, **here;
    struct inquest *by;
    struct worker *worker;
    uint64_t token;
    enum evidence_kind kind;
    struct span key;              /* a copy */
    int64_t until_ms;             /* then it has failed; 0: when who asks says so */
    /* Set by the fetcher, or NULL: called once if the answer is not wanted any more; then none
     * may come. */
    void (*cancel)(struct errand *e);
    void *what;                   /* the fetcher's own */
    struct errand *beside;        /* of a kind that is fetched together: the next one, to be
                                     answered after this one and at once */
    const struct evidence_question *question; /* while it is fetched */
};

/* Settings are in e->by. False: it cannot be asked, and no answer will come. Of a kind that is
 * fetched together e is the first. */
typedef bool inquest_fetch_fn(struct errand *e);

/* worker, evidence, answered and user are set. On the worker's thread, like all of it. */
void inquest_init(struct inquest *n);
/* What is under way is called off. */
void inquest_fini(struct inquest *n);
/* Sends somebody after each; what is left of an older round is called off. settings are held
 * by who asks, as long as answers are waited for. False: nothing has to be waited for, and
 * answered is not called. */
bool inquest_begin(struct inquest *n, struct settings *s,
                   const struct evidence_question *all, size_t count);

/* SESSION_ASKS: begins the round, once, however often it is called; where nothing has to be
 * waited for the engine goes on at once. */
void inquest_hold(struct visit *v);
/* The inquest of a visit that begins; its session need not be there yet. */
void inquest_attach(struct visit *v);
/* From a fetcher, on the worker's thread. */
void inquest_answer(struct worker *w, uint64_t token, enum evidence_state state,
                    struct span answer);
/* Errands whose time is over fail. */
void inquest_tick(struct intake *i, int64_t now_ms);
/* Nobody who asks is left. */
void inquest_close(struct intake *i);

/* errand_dns.c: reverse DNS, and lists of senders */
inquest_fetch_fn errand_dns_name, errand_dns_addresses;
/* errand_memory.c: what the queue remembers */
inquest_fetch_fn errand_memory_note, errand_memory_budget, errand_memory_count,
    errand_memory_charge;
/* errand_server.c: policy servers */
inquest_fetch_fn errand_server;
/* errand_mailbox.c: the route's host */
inquest_fetch_fn errand_mailbox;

#endif
