/*
 * sasl - may this client log in, and as whom?
 *
 * The desk is one for the process: it knows today's backend (users file, PAM or Dovecot's
 * socket) and has a small pool of threads where everything that may verify a password runs
 * whole (16 ms and more each), so that no loop waits. Successes of PLAIN and LOGIN are
 * remembered a minute as keyed digests. A wrong user and a wrong password get the same
 * answer after the same work. Secrets are wiped when they were used.
 *
 * An exchange is one AUTH command. Steps alternate: sasl_step, then done comes exactly
 * once, later, on the worker's thread; a dropped exchange's does not come.
 *
 *   sasl_begin -> sasl_step(initial response, or none) -> MORE challenge -> sasl_step ...
 *                                                      -> OK | WRONG | UNAVAILABLE | BAD
 *
 * RFC 4422, 4616, 5802, 7677, 2195, 9266; draft-murchison-sasl-login.
 */
#ifndef WAYPOST_SASL_H
#define WAYPOST_SASL_H

#include "policy/settings.h"
#include "relay/net/tls.h"
#include "relay/net/worker.h"

struct sasl_desk;
struct sasl_exchange;

/* Reads the files of settings.users once (they are read again when they change). The first
 * fault is a sentence in out_why. */
MUST int sasl_desk_open(struct sasl_desk **out_d, const struct settings *s,
                        struct buffer *out_why);
/* The files are looked at now, and not within a second. False: there is a fault in one, and the
 * former logins stay. Any thread; takes as long as reading them. */
bool sasl_desk_look(struct sasl_desk *d);
/* Another configuration; exchanges under way end with the old one. On failure the old one
 * stays. Main thread. */
MUST int sasl_desk_reload(struct sasl_desk *d, const struct settings *s,
                          struct buffer *out_why);
/* No exchange may be left. */
void sasl_desk_close(struct sasl_desk *d);

/* What the backend can verify, of enum mechanism: also -PLUS forms and EXTERNAL, which the
 * caller offers only where TLS and a client certificate are there. */
unsigned sasl_mechanisms(struct sasl_desk *d);

/* What the files say of the login today, as a number: another one when it is no longer there, or
 * its password was changed. 0: they say nothing (PAM, Dovecot, certificates). Any thread. */
uint64_t sasl_stamp(struct sasl_desk *d, struct span login);

struct sasl_question {
    unsigned mechanism;           /* one */
    const struct tls_facts *tls;  /* NULL: clear text; copied */
    unsigned offered;             /* of enum mechanism: to detect a downgrade of SCRAM */
    struct host_address client;   /* for PAM and Dovecot */
    struct span hostname;         /* ours; copied */
};

enum sasl_said {
    SASL_MORE,                    /* text: the challenge, not base64; may be empty */
    SASL_OK,                      /* login; text: last words for the client, or empty */
    SASL_WRONG,                   /* 535 5.7.8: user, password or authorisation identity */
    SASL_UNAVAILABLE,             /* 454 4.7.0: cannot tell now; text: why, for the log */
    SASL_BAD,                     /* 501 5.5.2: the client breaks the mechanism's grammar */
};

struct sasl_result {
    enum sasl_said said;
    struct span text, login;      /* borrowed for the call */
    uint64_t stamp;               /* SASL_OK: of what the login was checked by */
};

typedef void sasl_done_fn(void *worker, uint64_t token, const struct sasl_result *r);

struct sasl_exchange *sasl_begin(struct sasl_desk *d, struct worker *w,
                                 const struct sasl_question *q,
                                 sasl_done_fn *done, uint64_t token);
/* response: decoded; has_response false: the client gave no initial response. Copied, and
 * wiped after use. */
void sasl_step(struct sasl_exchange *x, bool has_response, struct span response);
void sasl_drop(struct sasl_exchange *take_x);

#endif
