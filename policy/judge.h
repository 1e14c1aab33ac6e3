/*
 * judge - may this recipient be accepted from this client, and what is to be done with it?
 *
 * Rules stand in order; for each recipient the first of relay, reject, defer and discard
 * whose conditions hold decides; other actions act and go on; nothing but relay grants. No
 * rule: 554 5.7.1 Relay access denied. For people: relay/manual/rules.md.
 *
 * Pure: facts in, verdict out; the same answer for the same question. It may be asked at
 * every stage, always from the top: a rule that cannot be told yet (its facts come later)
 * ends the walk, so nothing is ever decided out of order. What only somebody else can tell
 * it asks for (VERDICT_ASKS, see evidence.h), and is asked again with the answers.
 *
 *   stage CONNECT ... SENDER:  VERDICT_OPEN, or a refusal that no later rule can change
 *   stage RECIPIENT:           the verdict; rules that need the message and stand above the
 *                              granting one are set aside
 *   stage CONTENT:             what the rules set aside say, in order; the first that
 *                              decides overrides
 */
#ifndef WAYPOST_JUDGE_H
#define WAYPOST_JUDGE_H

#include "policy/evidence.h"
#include "policy/settings.h"
#include "policy/vocabulary/address.h"
#include "policy/vocabulary/arena.h"

enum stage {                      /* what is known; each stage has what those before have */
    STAGE_RECIPIENT,              /* the zero: everything but the message */
    STAGE_CONNECT,                /* client, listener, time */
    STAGE_HELLO,                  /* helo; TLS and login where there are, else they may come */
    STAGE_SENDER,                 /* sender, declared size, TLS and login or none */
    STAGE_CONTENT,                /* the message, its real size */
};

struct facts {
    enum stage stage;
    struct host_address client;
    struct span helo;
    struct span login;            /* empty: not logged in */
    bool tls;                     /* the session is under TLS */
    struct span tls_version;      /* "TLSv1.3"; empty: clear text */
    unsigned tls_bits;            /* of the cipher */
    struct span certificate;      /* the client's: "sha256:HEX", lower case; or empty */
    struct span certificate_name; /* in it and its chain verified; or empty */
    struct span listener;
    const struct address *sender; /* NULL before SENDER */
    const struct address *recipient; /* NULL before RECIPIENT */
    uint64_t size_bytes;          /* declared, at CONTENT the real one; 0: not said */
    int64_t now_ms;               /* since the epoch */
    unsigned minute;              /* of the local day */
    unsigned weekday;             /* 0: Sunday */
    const struct evidence *evidence; /* NULL: nothing can be asked, what would be is unknown */
    const struct digest *message; /* CONTENT; see policy/digest.h */
    const struct srs_secrets *srs_secrets; /* see policy/srs.h; NULL: none were read */
    /* For texts and policy servers; no condition looks at them. */
    struct span session;          /* its name in the log, the same for all of it */
    struct span queue_id;         /* of the message, where it has one */
    struct span protocol;         /* "SMTP" or "ESMTP" */
    struct span mechanism;        /* of the login, "PLAIN" */
    struct span cipher;           /* of TLS */
    unsigned recipient_count;     /* accepted in this transaction so far */
    uint16_t client_port, server_port;
    struct host_address server;   /* ours, that the client connected to */
};

enum verdict_kind {
    VERDICT_RELAY,                /* accept; where it goes is the route's matter */
    VERDICT_REJECT,               /* reply is 5xx */
    VERDICT_DEFER,                /* reply is 4xx */
    VERDICT_DISCARD,              /* accept and forget, logged */
    VERDICT_OPEN,                 /* before RECIPIENT: go on; CONTENT: as it was granted */
    VERDICT_ASKS,                 /* questions are to be answered first */
};

/* What is to be done with an accepted recipient, or with the message. In rule order; texts
 * are in the rule, or expanded in the arena that was given. */
enum effect_kind {
    EFFECT_HOLD,                  /* accept and keep */
    EFFECT_TAG,                   /* text: the tag (`tag` conditions see it; logged) */
    EFFECT_ADD_HEADER,            /* text: "Name: value" */
    EFFECT_REMOVE_HEADER,         /* text: the name, or "Name: /pattern/" */
    EFFECT_REWRITE_FROM,          /* text: the new reverse-path */
    EFFECT_REWRITE_TO,            /* text: one new forward-path; several effects of one rule:
                                     all of them instead of the one */
    EFFECT_COPY,                  /* text: an address that gets a copy, NOTIFY=NEVER */
    EFFECT_ROUTE,                 /* text: title of the route */
    EFFECT_CHARGE,                /* text: budget key; amount: how much is taken of the rate
                                     rule->limit.rates[rate] when the recipient (or, said at
                                     CONTENT, the message) is accepted; the same key and rate
                                     once for a message, but where recipients are counted */
    EFFECT_COUNT,                 /* text: key of EVIDENCE_COUNT; one more recipient, when it is
                                     accepted; until expire_ms, the next midnight */
    EFFECT_NOTE,                  /* text: "KIND\tKEY", value: what is to be remembered until
                                     expire_ms; done whatever the verdict is */
    EFFECT_LOG,                   /* text: what a policy server had to say (WARN, INFO) */
    EFFECT_SHADOW,                /* the rule is in shadow mode and would have acted; text:
                                     what it would have done, for the log */
};

struct effect {
    enum effect_kind kind;
    const struct rule *rule;
    struct span text, value;
    uint64_t amount;
    int64_t expire_ms;
    size_t rate;
};

struct verdict {
    enum verdict_kind kind;
    bool hold;                    /* an EFFECT_HOLD is among the effects */
    struct reply reply;           /* for REJECT and DEFER; text borrowed from the rule or the
                                     arena, "%{name}" not yet expanded */
    const struct rule *rule;      /* that decided; NULL: none granted */
    const struct rule *hold_rule; /* that held, or NULL */
    const struct effect *effects;
    size_t effect_count;
    /* RELAY and DISCARD: rules that wait for the message. A recipient whose rules set aside
     * are not those of the first is sent apart (452 4.5.3). */
    const struct rule *const *set_aside;
    size_t set_aside_count;
    /* ... and those that count messages or bytes, or are in shadow mode: asked again with the
     * message, but they part nobody. */
    const struct rule *const *at_end;
    size_t at_end_count;
    const struct evidence_question *questions; /* ASKS */
    size_t question_count;
};

/* What became of one rule, for `waypost explain`. */
enum rule_fate {
    RULE_MATCHED, RULE_NOT_MATCHED, RULE_UNKNOWN, RULE_SET_ASIDE, RULE_NOT_REACHED,
    RULE_SPARES,                  /* it does not refuse our postmaster */
};
struct judge_watch {
    /* which: the first condition that did not hold or is not known, or NULL. */
    void (*rule)(void *user, const struct rule *r, enum rule_fate fate,
                 const struct condition *which);
    void *user;
};

/* arena: what the verdict points to lives there. watch may be NULL. */
struct verdict judge(const struct settings *s, const struct facts *facts,
                     struct arena *arena, const struct judge_watch *watch);
/* Of a recipient that we answer for ourselves (postmaster), who needs no rule that grants: the
 * rules that do not spare it (ourselves.h) are asked, and aliases hold. A RELAY has no rule. */
struct verdict judge_ourselves(const struct settings *s,
                               const struct facts *facts, struct arena *arena,
                               const struct judge_watch *watch);
/* CONTENT: what the rules that waited say of a recipient. granted is what judge answered for
 * it: of that set_aside, at_end and effects (tags) are looked at. VERDICT_OPEN: as granted,
 * with the effects given now besides. To be asked for each recipient; a reply is then that of
 * the whole message, the first recipient's that has one. */
struct verdict judge_content(const struct settings *s, const struct facts *facts,
                             const struct verdict *granted, struct arena *arena,
                             const struct judge_watch *watch);

/* Writes text with %{recipient}, %{sender}, %{client}, %{helo}, %{rule}, %{login},
 * %{session} and %{queue-id} expanded; CR, LF and NUL never come out. */
void verdict_text(struct buffer *b, struct span text, const struct facts *facts,
                  const struct rule *rule);

#endif
