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
                                 else of this client */
    FACT_HEADER,              /* "Name", "Name: /pattern/"; needs the message */
    FACT_ATTACHMENT,          /* names "*.exe" and types "application/zip", or '/pattern/' of
                                 the name; needs the message */
    FACT_DNSBL,               /* zones: "zen.example.net", "zone=127.0.0.2", "zone*3"; with
                                 weights the sum has to reach `dnsbl-threshold` (1) */
    FACT_TAG,                 /* set by an earlier rule */
};

/* One value of FACT_HEADER. */
struct header_test {
    struct span name;         /* of the field, without ":" */
    bool has_value;           /* false: it is enough that the field is there */
    struct patterns values;   /* has_value: expressions alone (PATTERN_OF_NAME) */
    struct table *table;      /* has_value: or the whole value is a line of it; or NULL */
};

/* Of a field of that name: its value, unfolded, encoded words decoded. */
enum answer header_test_matches(const struct header_test *h, struct span value);

/* One zone of FACT_DNSBL. An answer counts where each octet lies within its bounds; for any
 * answer 127.0.0.0 to 127.255.254.255 (above are the lists' own complaints). */
struct dnsbl_zone {
    struct span zone;         /* folded, without a dot at either end */
    unsigned char low[4], high[4];
    int weight;               /* 1; below 0 for a list of good ones */
};

/* One value of FACT_TIME. Over midnight (to <= from) it is of the day it began. */
struct moment {
    unsigned char days;       /* bit 0: Sunday */
    uint16_t from, to;        /* minutes; 0 and 24 * 60: the whole day */
};

/* Which fields are filled depends on the fact. `tables` stand beside any list but those of
 * SIZE, TODAY, TIME, TLS, DNSBL and HEADER. */
struct condition {
    enum condition_fact fact;
    bool is_negated;
    uint64_t identity;        /* the same for the same key and values */
    struct span text;         /* as written, for people: a long list is cut */
    struct networks networks; /* of FACT_CLIENT */
    struct patterns patterns; /* of FACT_FROM, FACT_TO, FACT_HELO, FACT_CLIENT_NAME; of
                                 FACT_ATTACHMENT expressions of names */
    struct names names;       /* of FACT_LOGIN, FACT_LISTENER, FACT_TAG; of FACT_CERTIFICATE
                                 those in it, of certificates that verified; of
                                 FACT_ATTACHMENT globs of names */
    struct names fingerprints; /* of FACT_CERTIFICATE */
    struct names types;       /* of FACT_ATTACHMENT: those with a slash, globs too */
    bool or_none;             /* FACT_CLIENT_NAME: "none", a client without a name */
    unsigned tls_version;     /* FACT_TLS: at least, see condition_tls_version; 0: any ... */
    unsigned tls_bits;        /* ... and the cipher's bits at least; both 0: any TLS */
    uint64_t at_least;        /* of FACT_SIZE in bytes, of FACT_TODAY */
    struct moment *moments;   /* of FACT_TIME: within one of them */
    size_t moment_count;
    struct header_test *headers; /* of FACT_HEADER: one of them holds */
    size_t header_count;
    struct dnsbl_zone *zones; /* of FACT_DNSBL */
    size_t zone_count;
    int threshold;            /* the sum of weights to reach */
    struct table **tables;
    size_t table_count;
};

/* "TLSv1.3" as a number that compares, 13; 0: it is none. */
unsigned condition_tls_version(struct span s);

/* What a condition says now. */
enum condition_said {
    CONDITION_NO,
    CONDITION_YES,
    CONDITION_UNKNOWN,        /* an expression ran into its limits, or nobody could tell */
    CONDITION_ASKS,           /* its questions are in the inquiry */
    CONDITION_LATER,          /* the fact is not known at this stage */
};

/* Questions that are to be asked, each once. */
struct inquiry {
    struct evidence_question *all; /* in the arena */
    size_t count, room;
};

/* Facts with what was derived from them; one for each judgement. */
struct question {
    const struct settings *settings;
    const struct facts *facts;
    struct arena *arena;
    struct subject sender, recipient, helo, client_name;
    bool may_log_in, may_begin_tls; /* it has not, and could yet */
    const struct rule *rule;  /* whose conditions are asked */
    struct span *tags;        /* set so far */
    size_t tag_count, tag_room;
    const struct rule **taggers; /* that may yet set theirs */
    size_t tagger_count, tagger_room;
    struct inquiry inquiry;
};

/* Nothing is taken from the arena before it is needed. */
void question_init(struct question *q, const struct settings *s,
                   const struct facts *facts, struct arena *arena);

/* Is the recipient "postmaster" without a domain? */
bool question_is_bare(const struct question *q);

/* q->rule is set. */
enum condition_said condition_holds(const struct condition *c,
                                    struct question *q);
/* Its patterns, and the tables beside them; negation is the caller's. */
enum condition_said condition_matches(const struct condition *c,
                                      struct subject *s);
/* Is its answer somebody else's? Such ones are asked last. */
bool condition_asks_others(const struct condition *c);

/* Its networks, or those of one of its tables, are all there are. */
bool condition_is_any_client(const struct condition *c);
/* A `client` that is not everybody, `login` or `certificate`, not negated; or a `to` that
 * is not and names nothing but domains (and addresses in them): what may grant. */
bool condition_names_somebody(const struct condition *c);
bool condition_names_domains(const struct condition *c);

#endif
