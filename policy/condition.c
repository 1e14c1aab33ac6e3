/*
 * condition - one line of a rule: a key and its values.
 *
 * Owns nothing.
 */
#include "policy/condition.h"

void question_init(struct question *q, const struct facts *facts)
{
    q->facts = facts;
    subject_of_address(&q->sender, facts->sender);
    subject_of_address(&q->recipient, facts->recipient);
    subject_of_name(&q->helo, facts->helo);
}

unsigned condition_tls_version(struct span s)
{
    static const char *const versions[] = { "TLSv1", "TLSv1.1", "TLSv1.2",
                                            "TLSv1.3" };

    for (unsigned i = 0; i < sizeof versions / sizeof versions[0]; i++)
        if (span_is_nocase(s, span_of(versions[i])))
            return 10 + i;
    return 0;
}

static enum answer ask(const struct condition *c, struct question *q)
{
    switch (c->fact) {
    case FACT_CLIENT:
        return networks_have(&c->networks, &q->facts->client);
    case FACT_FROM:
        return patterns_match(&c->patterns, &q->sender);
    case FACT_TO:
        return patterns_match(&c->patterns, &q->recipient);
    case FACT_HELO:
        return patterns_match(&c->patterns, &q->helo);
    case FACT_LOGIN:
        return names_have(&c->names, q->facts->login);
    case FACT_CERTIFICATE:
        /* apart: a name in a certificate may look like a fingerprint */
        return names_have(&c->fingerprints, q->facts->certificate) ||
               names_have(&c->names, q->facts->certificate_name);
    case FACT_TLS:
        return q->facts->tls;
    case FACT_LISTENER:
    case FACT_CLIENT_NAME:
    case FACT_SIZE:
    case FACT_TIME:
    case FACT_TODAY:
    case FACT_HEADER:
    case FACT_ATTACHMENT:
    case FACT_DNSBL:
    case FACT_TAG:
        break;
    }
    return ANSWER_UNKNOWN;
}

enum answer condition_holds(const struct condition *c, struct question *q)
{
    enum answer answer = ask(c, q);

    if (!c->is_negated || answer == ANSWER_UNKNOWN)
        return answer;
    return answer == ANSWER_YES ? ANSWER_NO : ANSWER_YES;
}

bool condition_names_somebody(const struct condition *c)
{
    return !c->is_negated &&
           (c->fact == FACT_CLIENT || c->fact == FACT_LOGIN ||
            c->fact == FACT_CERTIFICATE);
}

bool condition_names_domains(const struct condition *c)
{
    return c->fact == FACT_TO && !c->is_negated &&
           c->patterns.first[PATTERN_EXPRESSION] == c->patterns.count;
}
