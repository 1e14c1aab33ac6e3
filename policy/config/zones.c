/*
 * zones - lists of hosts in the DNS, as a rule's `dnsbl` says them.
 *
 * Owns nothing.
 */
#include "policy/config/zones.h"

enum { WEIGHT_MOST = 1000, THRESHOLD_MOST = 100000 };

/* --- answers that count ----------------------------------------------------
 */

/* A number at the start of *s, which is taken off. */
static bool take_octet(struct span *s, unsigned char *out)
{
    size_t digits = 0;
    uint64_t n;

    while (digits < s->len && s->at[digits] >= '0' && s->at[digits] <= '9')
        digits++;
    if (digits > 3 || !span_number(span_first(*s, digits), &n) || n > 255)
        return false;
    *out = (unsigned char)n;
    *s = span_skip(*s, digits);
    return true;
}

static bool take(struct span *s, struct span mark)
{
    if (!span_starts_nocase(*s, mark))
        return false;
    *s = span_skip(*s, mark.len);
    return true;
}

static bool take_octets(struct span *s, unsigned char *low, unsigned char *high)
{
    bool in_brackets = take(s, SPAN("["));

    if (!take_octet(s, low))
        return false;
    *high = *low;
    if (take(s, SPAN("..")) && !take_octet(s, high))
        return false;
    return *low <= *high && take(s, SPAN("]")) == in_brackets;
}

static bool read_answer(struct span s, struct dnsbl_zone *z)
{
    for (unsigned i = 0; i < 4; i++)
        if ((i && !take(&s, SPAN("."))) ||
            !take_octets(&s, &z->low[i], &z->high[i]))
            return false;
    return s.len == 0 && z->low[0] == 127 && z->high[0] == 127;
}

/* --- one list --------------------------------------------------------------
 */

static bool read_weight(struct span s, int *out_weight)
{
    bool is_good = span_starts_nocase(s, SPAN("-"));
    uint64_t n;

    if (!span_number(span_skip(s, is_good), &n) || n == 0 || n > WEIGHT_MOST)
        return false;
    *out_weight = is_good ? -(int)n : (int)n;
    return true;
}

static bool read_zone(struct reading *r, struct span s, struct dnsbl_zone *out)
{
    struct dnsbl_zone z = { .low = { 127, 0, 0, 0 },
                            .high = { 127, 255, 254, 255 },
                            .weight = 1 };
    struct span weight, answer, name = span_split(s, '*', &weight);
    struct buffer folded = { 0 };
    struct host_address ignored;
    bool ok;

    name = span_split(span_trim(name), '=', &answer);
    ok = domain_fold(span_trim(name), &folded) == 0 &&
         !host_address_parse(buffer_span(&folded), &ignored) &&
         span_find(buffer_span(&folded), '.') < folded.len &&
         folded.at[0] != '[' &&
         (!answer.at || read_answer(span_trim(answer), &z)) &&
         (!weight.at || read_weight(span_trim(weight), &z.weight));
    if (ok) {
        z.zone = arena_copy(r->arena, buffer_span(&folded));
        *out = z;
    }
    buffer_fini(&folded);
    return ok;
}

void zones_read(struct reading *r, const struct syntax_entry *e,
                struct condition *c)
{
    c->threshold = 1;
    c->zones = arena_take(r->arena, e->value_count * sizeof *c->zones);
    for (size_t i = 0; i < e->value_count; i++) {
        if (read_zone(r, e->values[i].text, &c->zones[c->zone_count]))
            c->zone_count++;
        else
            faults_add(&r->faults, e->values[i].place,
                       "%s is not a list in the DNS such as zen.example.net, "
                       "zen.example.net=127.0.0.2..4 (answers that count) or "
                       "zen.example.net*2 (weight, -%d to %d)",
                       faults_quote(&r->faults, e->values[i].text), WEIGHT_MOST,
                       WEIGHT_MOST);
    }
}

/* --- the sum that is enough ------------------------------------------------
 */

static int most_of(const struct condition *c)
{
    int sum = 0;

    for (size_t i = 0; i < c->zone_count; i++)
        sum += c->zones[i].weight > 0 ? c->zones[i].weight : 0;
    return sum;
}

static void set_threshold(struct reading *r, struct place place,
                          struct condition *c, int threshold)
{
    c->threshold = threshold;
    /* another threshold, another condition; the last bit says not- */
    c->identity ^= (uint64_t)threshold << 1;
    if (most_of(c) < threshold)
        faults_add(&r->faults, place,
                   "its weights add up to %d at most, and never to the "
                   "threshold of %d",
                   most_of(c), threshold);
}

void zones_set_threshold(struct reading *r, const struct syntax_entry *section,
                         struct condition *conditions, size_t count)
{
    const struct syntax_entry *e =
        keys_find(section->entries, "dnsbl-threshold");
    const struct syntax_text *t = e ? keys_only_text(r, e) : NULL;
    struct place place = e ? e->place : section->place;
    uint64_t threshold = 1;
    bool is_used = false;

    if (e && !t)
        return;
    if (t && (!span_number(t->text, &threshold) || threshold == 0 ||
              threshold > THRESHOLD_MOST)) {
        faults_add(&r->faults, t->place,
                   "%s is not right for dnsbl-threshold, which takes a number, "
                   "1 to %d",
                   faults_quote(&r->faults, t->text), THRESHOLD_MOST);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (conditions[i].fact != FACT_DNSBL || !conditions[i].zone_count)
            continue;
        is_used = true;
        set_threshold(r, e ? place : keys_place(section, "dnsbl"),
                      &conditions[i], (int)threshold);
    }
    if (e && !is_used && !keys_find(section->entries, "dnsbl") &&
        !keys_find(section->entries, "not-dnsbl"))
        faults_add(&r->faults, e->place,
                   "dnsbl-threshold is the sum that dnsbl has to reach, and "
                   "there is no dnsbl in this rule");
}
