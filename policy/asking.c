/*
 * asking - facts that only somebody else can tell: DNS, memory, another program.
 *
 * A list of senders that is dead, or answers with what no list says (its domain was sold),
 * counts for nothing: mail is not lost for it. RFC 5782 2.1. A client's name is the one that
 * leads back to its address; whoever fetches it sees to that.
 */
#include "policy/asking.h"

#include "policy/table.h"

#include <limits.h>

static void add(struct question *q, enum evidence_kind kind, struct span key,
                size_t rate)
{
    struct inquiry *i = &q->inquiry;

    for (size_t n = 0; n < i->count; n++)
        if (i->all[n].kind == kind && span_is(i->all[n].key, key))
            return;
    if (i->count == i->room) {
        size_t room = i->room ? i->room * 2 : 8;
        struct evidence_question *all =
            arena_take(q->arena, room * sizeof *all);

        if (i->count)
            memcpy(all, i->all, i->count * sizeof *all);
        i->all = all;
        i->room = room;
    }
    i->all[i->count++] = (struct evidence_question){
        .kind = kind,
        .key = arena_copy(q->arena, key),
        .rule = q->rule,
        .rate = rate,
    };
}

enum condition_said asking_find(struct question *q, enum evidence_kind kind,
                                struct span key, size_t rate,
                                struct span *out_answer)
{
    if (!q->facts->evidence)
        return CONDITION_UNKNOWN;
    switch (evidence_find(q->facts->evidence, kind, key, out_answer)) {
    case EVIDENCE_ANSWERED:
        return CONDITION_YES;
    case EVIDENCE_FAILED:
        return CONDITION_UNKNOWN;
    case EVIDENCE_NOT_ASKED:
        break;
    }
    add(q, kind, key, rate);
    return CONDITION_ASKS;
}

/* --- the client's name --------------------------------------------------- */

enum condition_said asking_client_name(const struct condition *c,
                                       struct question *q)
{
    struct buffer key = { 0 };
    struct span name;
    enum condition_said said;

    host_address_print(&key, &q->facts->client);
    said = asking_find(q, EVIDENCE_NAME, buffer_span(&key), 0, &name);
    buffer_fini(&key);
    if (said != CONDITION_YES)
        return said;
    if (name.len == 0)
        return c->or_none ? CONDITION_YES : CONDITION_NO;
    subject_of_name(&q->client_name, name);
    return condition_matches(c, &q->client_name);
}

/* --- lists of senders ---------------------------------------------------- */

void asking_list_name(struct buffer *b, const struct host_address *a,
                      struct span zone)
{
    host_reversed_print(b, a);
    buffer_put_byte(b, '.');
    buffer_put(b, zone);
}

static bool is_listed(const struct dnsbl_zone *z, struct span addresses)
{
    while (addresses.len) {
        struct span one = span_split(addresses, ' ', &addresses);
        struct host_address a;
        bool is_within = host_address_parse(one, &a) &&
                         host_address_is_v4(&a) && a.bytes[12] == 127;

        for (size_t i = 0; is_within && i < 4; i++)
            is_within =
                a.bytes[12 + i] >= z->low[i] && a.bytes[12 + i] <= z->high[i];
        if (is_within)
            return true;
    }
    return false;
}

enum condition_said asking_dnsbl(const struct condition *c, struct question *q)
{
    struct buffer name = { 0 };
    enum condition_said all = CONDITION_YES;
    int64_t sum = 0;

    if (!q->facts->evidence)
        return CONDITION_UNKNOWN;
    for (size_t i = 0; i < c->zone_count; i++) {
        struct span addresses;
        enum condition_said one;

        buffer_clear(&name);
        asking_list_name(&name, &q->facts->client, c->zones[i].zone);
        one = asking_find(q, EVIDENCE_ADDRESSES, buffer_span(&name), 0,
                          &addresses);
        if (one == CONDITION_ASKS)
            all = one;
        else if (one == CONDITION_YES && is_listed(&c->zones[i], addresses))
            sum += c->zones[i].weight;
    }
    buffer_fini(&name);
    if (all == CONDITION_ASKS)
        return all;
    return sum >= c->threshold ? CONDITION_YES : CONDITION_NO;
}

/* --- how much today ------------------------------------------------------ */

void asking_today_key(struct buffer *b, const struct facts *facts)
{
    buffer_put_string(b, "today\t");
    if (facts->login.len) {
        buffer_put_string(b, "login ");
        for (size_t i = 0; i < facts->login.len; i++)
            buffer_put_byte(b, ascii_lower(facts->login.at[i]));
    } else {
        buffer_put_string(b, "client ");
        host_network_print(b, &facts->client, 32, 64);
    }
}

enum condition_said asking_today(const struct condition *c, struct question *q)
{
    struct buffer key = { 0 };
    struct span said_text;
    uint64_t count;
    enum condition_said said;

    asking_today_key(&key, q->facts);
    said = asking_find(q, EVIDENCE_COUNT, buffer_span(&key), 0, &said_text);
    buffer_fini(&key);
    if (said != CONDITION_YES)
        return said;
    if (!span_number(said_text, &count))
        return CONDITION_UNKNOWN;
    return count >= c->at_least ? CONDITION_YES : CONDITION_NO;
}
