/*
 * conditions - one line of a rule: a key and its values, understood.
 *
 * One reader for each fact. Values that are none of their kind are faults and
 * left out; the rule is not used then.
 */
#include "policy/config/conditions.h"

#include "policy/config/lists.h"
#include "policy/config/tables.h"
#include "policy/config/value.h"

/* FNV-1a over the texts, order and all: equal texts, equal identity. */
static uint64_t identity_of(const struct syntax_entry *e)
{
    uint64_t hash = 14695981039346656037u;

    for (size_t i = 0; i <= e->value_count; i++) {
        struct span s = i ? e->values[i - 1].text : e->key;

        for (size_t n = 0; n <= s.len; n++)
            hash = (hash ^ (n < s.len ? (unsigned char)s.at[n] : 0)) *
                   1099511628211u;
    }
    return hash;
}

static void read_patterns(struct reading *r, const struct syntax_entry *e,
                          struct condition *c)
{
    enum pattern_use use =
        c->fact == FACT_HELO ? PATTERN_OF_NAME : PATTERN_OF_MAILBOX;
    struct pattern *all = arena_take(r->arena, e->value_count * sizeof *all);
    struct buffer why = { 0 };
    size_t count = 0;

    for (size_t i = 0; i < e->value_count; i++) {
        buffer_clear(&why);
        if (pattern_parse(r->arena, e->values[i].text, use, &all[count], &why))
            count++;
        else
            faults_add(&r->faults, e->values[i].place, "%s %s",
                       faults_quote(&r->faults, e->values[i].text),
                       buffer_string(&why));
    }
    buffer_fini(&why);
    patterns_init(&c->patterns, all, count);
}

static void read_tls(struct reading *r, const struct syntax_entry *e,
                     struct condition *c)
{
    const struct syntax_text *t = keys_only_text(r, e);
    bool wanted = false;

    if (t && !value_boolean(t->text, &wanted))
        faults_add(&r->faults, t->place,
                   "%s is not right for tls, which takes true or false",
                   faults_quote(&r->faults, t->text));
    /* tls = false is the negation of tls = true */
    c->is_negated = !wanted;
}

/* Values that name tables go to the condition's; what is left is the list. */
static const struct syntax_entry *take_tables(struct reading *r,
                                              const struct syntax_entry *e,
                                              struct condition *c,
                                              struct syntax_entry *rest)
{
    enum table_use use = TABLE_OF_TEXTS;

    switch (c->fact) {
    case FACT_CLIENT:
        use = TABLE_OF_HOSTS;
        break;
    case FACT_FROM:
    case FACT_TO:
        use = TABLE_OF_MAILBOXES;
        break;
    case FACT_HELO:
    case FACT_CLIENT_NAME:
        use = TABLE_OF_NAMES;
        break;
    case FACT_LOGIN:
    case FACT_CERTIFICATE:
    case FACT_ATTACHMENT:
    case FACT_TAG:
        break;
    case FACT_TLS:
    case FACT_LISTENER:
    case FACT_SIZE:
    case FACT_TIME:
    case FACT_TODAY:
    case FACT_HEADER:
    case FACT_DNSBL:
        return e;
    }
    tables_take_all(r, e, use, rest, &c->tables, &c->table_count);
    return rest;
}

void conditions_read(struct reading *r, const struct key *key,
                     const struct syntax_entry *e, struct condition *c)
{
    struct syntax_entry rest;

    c->fact = (enum condition_fact)key->low;
    c->is_negated = key->high;
    c->identity = identity_of(e);
    e = take_tables(r, e, c, &rest);
    switch (c->fact) {
    case FACT_CLIENT:
        lists_read_networks(r, e, &c->networks);
        break;
    case FACT_FROM:
    case FACT_TO:
    case FACT_HELO:
        read_patterns(r, e, c);
        break;
    case FACT_LOGIN:
        lists_read_logins(r, e, &c->names);
        break;
    case FACT_CERTIFICATE:
        lists_read_certificates(r, e, &c->fingerprints, &c->names);
        break;
    case FACT_TLS:
        read_tls(r, e, c);
        break;
    case FACT_LISTENER:
    case FACT_CLIENT_NAME:
    case FACT_SIZE:
    case FACT_TIME:
    case FACT_TODAY:
    case FACT_HEADER:
    case FACT_ATTACHMENT:
    case FACT_DNSBL:
    case FACT_TAG:
        ASSERT(!"a fact that rules may ask for");
    }
}
