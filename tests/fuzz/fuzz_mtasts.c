/*
 * Any bytes as a policy of MTA-STS and as the record that announces one, and as a TLSA
 * record: what is read is within its limits, and what is kept of it reads as the same.
 */
#include "policy/mtasts.h"
#include "policy/tlsa.h"
#include "policy/vocabulary/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_policy(struct span input)
{
    struct buffer kept = { 0 }, twice = { 0 };
    struct mtasts_policy p, again;

    if (mtasts_policy_read(input, &p) != NULL)
        return;
    ASSERT(p.count <= MTASTS_PATTERNS && p.max_age_s <= MTASTS_AGE_MOST_S);
    for (size_t i = 0; i < p.count; i++) {
        ASSERT(p.patterns[i].len > 0);
        ASSERT(mtasts_policy_has(&p, p.patterns[i]));
    }
    mtasts_policy_print(&kept, &p);
    ASSERT(mtasts_policy_read(buffer_span(&kept), &again) == NULL);
    mtasts_policy_print(&twice, &again);
    ASSERT(span_is(buffer_span(&kept), buffer_span(&twice)));
    buffer_fini(&kept);
    buffer_fini(&twice);
}

static void check_record(struct span input)
{
    char id[MTASTS_ID_MOST + 1];

    if (!mtasts_record_find(&input, 1, id))
        return;
    ASSERT(id[0] && strlen(id) <= MTASTS_ID_MOST);
    for (const char *c = id; *c; c++)
        ASSERT((*c >= '0' && *c <= '9') ||
               (ascii_lower(*c) >= 'a' && ascii_lower(*c) <= 'z'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = { (const char *)data, size };
    struct buffer shown = { 0 };
    struct tlsa t;

    check_policy(input);
    check_record(input);
    if (tlsa_read(input, &t)) {
        (void)tlsa_is_usable(&t);
        tlsa_print(&shown, &t);
        ASSERT(shown.len < 100);
    }
    buffer_fini(&shown);
    return 0;
}
