/*
 * condition - one line of a rule: a key and its values.
 *
 * Holds when the fact it asks about matches one of the values, or with `not-` in
 * front of the key, none of them. So `login` never holds for a client that is
 * not logged in, and `not-login = {"*"}` holds for nobody else; `certificate`
 * likewise.
 */
#ifndef WAYPOST_CONDITION_H
#define WAYPOST_CONDITION_H

#include "policy/judge.h"
#include "policy/names.h"
#include "policy/networks.h"
#include "policy/pattern.h"

enum condition_fact {
    FACT_CLIENT, FACT_FROM, FACT_TO, FACT_HELO,
    FACT_LOGIN,
    FACT_CERTIFICATE,
    FACT_TLS,                 /* true, false, or "TLSv1.3" at least, or "128" bits at least */
    FACT_LISTENER,            /* titles of listeners and fetches */
    FACT_CLIENT_NAME,         /* reverse DNS, confirmed forward: patterns of names; "none" */
    FACT_SIZE,                /* "10MB": that or more */
    FACT_TIME,                /* "22:00-06:00", "sat-sun", "mon-fri 08:00-18:00" */
    FACT_TODAY,               /* that many recipients or more since midnight, of this login,
                                 else client; see design.md section 5: "day count so far" */
    FACT_HEADER,              /* "Name", "Name: /pattern/"; needs the message */
    FACT_ATTACHMENT,          /* names "*.exe" and types "application/zip", or '/pattern/' of
                                 the name; needs the message */
    FACT_DNSBL,               /* zones: "zen.example.net", "zone=127.0.0.2", "zone*3"; with
                                 weights the sum has to reach `dnsbl-threshold` (1) */
    FACT_TAG,                 /* set by an earlier rule */
};

struct condition {
    enum condition_fact fact;
    bool is_negated;
    uint64_t identity;        /* the same for the same key and values */
    struct networks networks; /* of FACT_CLIENT */
    struct patterns patterns; /* of FACT_FROM, FACT_TO, FACT_HELO */
    struct names names;       /* of FACT_LOGIN; of FACT_CERTIFICATE those in it,
                                 of certificates that verified */
    struct names fingerprints; /* of FACT_CERTIFICATE */
};

/* Facts with what was derived from them; one for each judgement. */
struct question {
    const struct facts *facts;
    struct subject sender, recipient, helo;
};

void question_init(struct question *q, const struct facts *facts);

enum answer condition_holds(const struct condition *c, struct question *q);

/* A `client`, `login` or `certificate` that is not negated, or a `to` that is
 * not and names nothing but domains (and addresses in them): what may grant. */
bool condition_names_somebody(const struct condition *c);
bool condition_names_domains(const struct condition *c);

#endif
