/*
 * stages - is it worth asking the judge before there is a recipient?
 *
 * A rule may refuse from the stage on at which the last of its conditions is known; and
 * again where something that a rule above it waited for becomes known. Owns nothing.
 */
#include "policy/stages.h"

#include "policy/condition.h"

enum {
    CONNECT = STAGE_BIT(STAGE_CONNECT),
    HELLO = STAGE_BIT(STAGE_HELLO),
    SENDER = STAGE_BIT(STAGE_SENDER),
    ALL = CONNECT | HELLO | SENDER,
};

/* When the fact may become known; 0: not before there is a recipient. */
static unsigned known_at(enum condition_fact fact)
{
    switch (fact) {
    case FACT_CLIENT:
    case FACT_LISTENER:
    case FACT_TIME:
    case FACT_CLIENT_NAME:
    case FACT_DNSBL:
        return CONNECT;
    case FACT_HELO:
        return HELLO;
    case FACT_FROM:
    case FACT_SIZE:
        return SENDER;
    case FACT_LOGIN:
    case FACT_CERTIFICATE:
    case FACT_TLS:
    case FACT_TODAY:
    case FACT_TAG:
        return ALL;
    case FACT_TO:
    case FACT_HEADER:
    case FACT_ATTACHMENT:
        break;
    }
    return 0;
}

/* The stages at which the rule may be told, and what of it becomes known when. */
static unsigned told_at(const struct rule *r, unsigned *news)
{
    unsigned at = ALL;

    *news = r->condition_count ? 0 : CONNECT;
    for (size_t i = 0; i < r->condition_count; i++) {
        unsigned known = known_at(r->conditions[i].fact);

        *news |= known;
        /* from the first of them on; stages follow each other as their bits do */
        at &= known ? ALL & ~((known & -known) - 1) : 0;
    }
    return at;
}

static bool refuses(const struct rule *r)
{
    return !r->is_shadow &&
           (r->action == ACTION_REJECT || r->action == ACTION_DEFER);
}

unsigned stages_that_may_refuse(const struct rule *rules, size_t count)
{
    unsigned all = 0, news = 0;

    for (size_t i = 0; i < count; i++) {
        unsigned own, at = told_at(&rules[i], &own);

        news |= own;
        if (refuses(&rules[i]))
            all |= at & news;
    }
    return all;
}

short stages_greeting_code(const struct verdict *v)
{
    if (v->kind == VERDICT_DEFER)
        return 421;
    return v->reply.code == 521 ? v->reply.code : 554;
}
