/*
 * inquest - finds out what rules and routes want to know.
 *
 * A round is all that is asked at once: by a session, or by somebody who wants the rules
 * explained. Each question goes to the fetcher of its kind, which answers it exactly once by
 * inquest_answer, never before it has returned; when the last answer is there whoever asked
 * goes on. A kind that nobody fetches has no answer. One for an inquest that is gone, or that
 * did not wait so long, is dropped.
 */
#ifndef WAYPOST_INQUEST_H
#define WAYPOST_INQUEST_H

#include "policy/evidence.h"
#include "policy/settings.h"
#include "relay/net/worker.h"

struct visit;

/* Who asks; embedded in its owner. */
struct inquest {
    struct worker *worker;
    /* Where answers go; NULL: they are not waited for any more. */
    struct evidence *(*evidence)(struct inquest *n);
    /* The last answer of the round is there; it may ask again at once, or be gone. */
    void (*answered)(struct inquest *n);
    void *user;
    uint64_t token;               /* in the intake's registry */
    uint32_t round;
    size_t unanswered;            /* of the round; 0: none is under way */
};

/* q and what it points to are borrowed for the call, and s (held by who asks) besides; false:
 * it cannot be asked, and no answer will come. */
typedef bool inquest_fetch_fn(struct worker *w, struct settings *s,
                              const struct evidence_question *q,
                              uint64_t token);

/* worker, evidence, answered and user are set. On the worker's thread, like all of it. */
void inquest_init(struct inquest *n);
/* What is under way finds nobody. */
void inquest_fini(struct inquest *n);
/* Sends somebody after each; an older round is not waited for. What it answers is how many
 * are under way: with 0 nothing has to be waited for, and answered is not called. */
size_t inquest_begin(struct inquest *n, struct settings *s,
                     const struct evidence_question *all, size_t count);

/* SESSION_ASKS: begins the round, once, however often it is called; where nothing has to be
 * waited for the engine goes on at once. */
void inquest_hold(struct visit *v);
/* The inquest of a visit that begins; its session need not be there yet. */
void inquest_attach(struct visit *v);
/* From a fetcher, on the worker's thread. */
void inquest_answer(struct worker *w, uint64_t token, enum evidence_state state,
                    struct span answer);
/* Nobody who asks is left: what is still under way finds nobody. */
void inquest_close(struct intake *i);

#endif
