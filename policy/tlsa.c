/*
 * tlsa - which of a host's TLSA records say anything about its certificate?
 */
#include "policy/tlsa.h"

enum {
    DANE_TA = 2,
    DANE_EE = 3,
    SELECTORS = 2,
    MATCHINGS = 3,
    SHOWN_MOST = 32, /* bytes of data */
};

bool tlsa_read(struct span record, struct tlsa *out)
{
    if (record.len < 4)
        return false;
    *out = (struct tlsa){ .usage = (unsigned char)record.at[0],
                          .selector = (unsigned char)record.at[1],
                          .matching = (unsigned char)record.at[2],
                          .data = span_skip(record, 3) };
    return true;
}

bool tlsa_is_usable(const struct tlsa *t)
{
    static const size_t lengths[MATCHINGS] = { 0, 32, 64 };

    if ((t->usage != DANE_TA && t->usage != DANE_EE) ||
        t->selector >= SELECTORS || t->matching >= MATCHINGS)
        return false;
    if (t->matching == 0)
        return t->data.len > 0 && t->data.len <= TLSA_DATA_MOST;
    return t->data.len == lengths[t->matching];
}

void tlsa_print(struct buffer *b, const struct tlsa *t)
{
    struct span shown = span_first(t->data, SHOWN_MOST);

    buffer_printf(b, "%u %u %u ", t->usage, t->selector, t->matching);
    for (size_t i = 0; i < shown.len; i++)
        buffer_printf(b, "%02x", (unsigned)(unsigned char)shown.at[i]);
    if (shown.len < t->data.len)
        buffer_put_string(b, "...");
}
