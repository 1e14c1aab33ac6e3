/*
 * rule_choice - the rules that need looking at, by what is known.
 *
 * For each facet whose fact is known, the rules that may hold are gathered as bits, and what
 * is in all sets is chosen. What is not known yet chooses nothing. Owns nothing.
 */
#include "policy/rule_index_private.h"
#include "policy/table.h"

static void put_numbers(uint64_t *bits, const struct rule_numbers *n)
{
    for (size_t i = 0; i < n->count; i++)
        bits[n->all[i] / RULE_INDEX_WORD] |= (uint64_t)1
                                             << n->all[i] % RULE_INDEX_WORD;
}

static void put_key(uint64_t *bits, struct rule_entry *head, struct span key)
{
    struct rule_entry *e = head ? rule_index_entry(head, key) : NULL;

    if (e)
        put_numbers(bits, &e->rules);
}

static void put_subject(uint64_t *bits, const struct facet *f,
                        struct subject *s)
{
    for (size_t i = 0; i < f->table_count; i++)
        if (table_has_subject(f->tables[i].table, s, NULL) != ANSWER_NO)
            put_numbers(bits, &f->tables[i].rules);
    if (s->address && s->address->text.len == 0) {
        put_numbers(bits, &f->null);
        return;
    }
    put_numbers(bits, &f->any);
    subject_fold(s);
    if (s->address)
        put_key(bits, f->exact, s->mailbox);
    put_key(bits, f->exact, s->domain);
    for (unsigned i = 0; f->below && i < s->label_count; i++)
        put_key(bits, f->below, span_skip(s->domain, s->ends[i].at));
}

static void put_text(uint64_t *bits, const struct facet *f, struct span text)
{
    char lower[LIMIT_LOGIN];

    if (text.len == 0)
        return;
    for (size_t i = 0; i < f->table_count; i++)
        if (table_has_text(f->tables[i].table, text, NULL) != ANSWER_NO)
            put_numbers(bits, &f->tables[i].rules);
    put_numbers(bits, &f->any);
    for (size_t i = 0; i < text.len && i < sizeof lower; i++)
        lower[i] = ascii_lower(text.at[i]);
    if (text.len <= sizeof lower)
        put_key(bits, f->exact, span_make(lower, text.len));
}

static void put_host(uint64_t *bits, const struct facet *f,
                     const struct host_address *a)
{
    bool is_v4 = host_address_is_v4(a);
    unsigned __int128 host = 0;
    size_t n;

    for (size_t i = 0; i < f->table_count; i++)
        if (table_has_network(f->tables[i].table, a, NULL) != ANSWER_NO)
            put_numbers(bits, &f->tables[i].rules);
    for (size_t i = 0; i < sizeof a->bytes; i++)
        host = host << 8 | a->bytes[i];
    n = rule_index_span(f, host, is_v4);
    if (n > 0 && f->spans[n - 1].is_v4 == is_v4)
        put_numbers(bits, &f->spans[n - 1].rules);
}

/* False: the fact is not known yet, or tells nothing. */
static bool put_facet(uint64_t *bits, const struct facet *f,
                      enum condition_fact fact, struct question *q)
{
    const struct facts *known = q->facts;

    if (!f->is_used)
        return false;
    if (fact == FACT_CLIENT)
        put_host(bits, f, &known->client);
    else if (fact == FACT_LISTENER)
        put_text(bits, f, known->listener);
    else if (fact == FACT_LOGIN && !q->may_log_in)
        put_text(bits, f, known->login);
    else if (fact == FACT_HELO && known->stage != STAGE_CONNECT)
        put_subject(bits, f, &q->helo);
    else if (fact == FACT_FROM && known->sender)
        put_subject(bits, f, &q->sender);
    else if (fact == FACT_TO && known->recipient && !question_is_bare(q))
        put_subject(bits, f, &q->recipient);
    else
        return false;
    return true;
}

void rule_choice_init(struct rule_choice *c, const struct rule_index *i,
                      struct question *q, size_t rule_count)
{
    uint64_t one[RULE_CHOICE_RULES / RULE_INDEX_WORD];

    c->count = rule_count;
    c->next = 0;
    c->is_all = !i || i->count != rule_count || rule_count > RULE_CHOICE_RULES;
    if (c->is_all)
        return;
    memset(c->bits, 0xff, i->words * sizeof *c->bits);
    for (size_t f = 0; f < RULE_INDEX_FACETS; f++) {
        memcpy(one, i->facets[f].always, i->words * sizeof *one);
        if (!put_facet(one, &i->facets[f], rule_index_facts[f], q))
            continue;
        for (size_t w = 0; w < i->words; w++)
            c->bits[w] &= one[w];
    }
}

size_t rule_choice_next(struct rule_choice *c)
{
    if (c->is_all)
        return c->next < c->count ? c->next++ : c->count;
    while (c->next < c->count) {
        uint64_t word =
            c->bits[c->next / RULE_INDEX_WORD] >> c->next % RULE_INDEX_WORD;

        if (word) {
            size_t n = c->next + (size_t)__builtin_ctzll(word);

            c->next = n + 1;
            return n < c->count ? n : c->count;
        }
        c->next = (c->next / RULE_INDEX_WORD + 1) * RULE_INDEX_WORD;
    }
    return c->count;
}
