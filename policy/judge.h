/*
 * judge - may this recipient be accepted from this client?
 *
 * Rules stand in order; for each recipient the first of relay, reject, defer and
 * discard whose conditions hold decides, hold acts and goes on, and nothing but
 * relay grants. No rule: 554 5.7.1 Relay access denied. Pure: facts in, verdict
 * out; the same answer for the same question.
 */
#ifndef WAYPOST_JUDGE_H
#define WAYPOST_JUDGE_H

#include "policy/settings.h"
#include "policy/vocabulary/address.h"

struct facts {
    struct host_address client;
    struct span helo;
    struct span login;            /* empty: not logged in */
    bool tls;                     /* the session is under TLS */
    struct span certificate;      /* the client's: "sha256:HEX", lower case; or empty */
    struct span certificate_name; /* in it and its chain verified; or empty */
    struct span listener;
    const struct address *sender;
    const struct address *recipient;
};

enum verdict_kind {
    VERDICT_RELAY,                /* accept; where it goes is the route's matter */
    VERDICT_REJECT,               /* reply is 5xx */
    VERDICT_DEFER,                /* reply is 4xx */
    VERDICT_DISCARD,              /* accept and forget, logged */
};

struct verdict {
    enum verdict_kind kind;
    bool hold;                    /* accept and keep */
    struct reply reply;           /* for REJECT and DEFER; text borrowed from the
                                     rule, "%{name}" not yet expanded */
    const struct rule *rule;      /* that decided; NULL: none granted */
    const struct rule *hold_rule; /* that held, or NULL */
};

struct verdict judge_recipient(const struct settings *s,
                               const struct facts *facts);

/* Writes text with %{recipient}, %{sender}, %{client}, %{helo}, %{rule},
 * %{login} expanded; CR, LF and NUL never come out. */
void verdict_text(struct buffer *b, struct span text, const struct facts *facts,
                  const struct rule *rule);

#endif
