/*
 * Any bytes as the path of MAIL or RCPT: what is accepted is within its limits,
 * has no byte that could end a line, and reads the same a second time, alone.
 */
#include "policy/pattern.h"
#include "policy/vocabulary/address.h"
#include "policy/vocabulary/error.h"
#include "policy/vocabulary/limits.h"
#include "policy/vocabulary/reply.h"
#include "policy/vocabulary/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const struct address *a)
{
    struct buffer folded = { .cap = LIMIT_DOMAIN }, twice = { 0 };
    struct address again;

    ASSERT(address_parse(a->text, &again) == ADDRESS_OK);
    ASSERT(span_is(again.local, a->local) && span_is(again.domain, a->domain));
    ASSERT(again.is_utf8 == a->is_utf8 && again.is_literal == a->is_literal);
    ASSERT(domain_fold(a->domain, &folded) == 0);
    ASSERT(domain_fold(buffer_span(&folded), &twice) == 0);
    ASSERT(span_is(buffer_span(&folded), buffer_span(&twice)));
    ASSERT(!utf8_has_high(buffer_span(&folded)));
    buffer_fini(&folded);
    buffer_fini(&twice);
}

static void check_subject(const struct address *a)
{
    struct subject s;

    subject_of_address(&s, a);
    subject_fold(&s);
    ASSERT(s.mailbox.len <= sizeof s.text);
    ASSERT(a->domain.len == 0 || s.label_count > 0);
}

static void check_path(struct span input, enum path_kind kind, bool smtputf8)
{
    struct address a;
    struct span rest;

    if (address_parse_path(input, kind, smtputf8, &a, &rest) != ADDRESS_OK)
        return;
    ASSERT(a.text.len + 2 <= LIMIT_PATH && a.local.len <= LIMIT_LOCAL_PART);
    ASSERT(smtputf8 || !utf8_has_high(a.text));
    ASSERT(utf8_is_valid(a.text));
    for (size_t i = 0; i < a.text.len; i++)
        ASSERT((unsigned char)a.text.at[i] >= 0x20 && a.text.at[i] != 0x7f);
    ASSERT(rest.at + rest.len == input.at + input.len);
    ASSERT(rest.at[-1] == '>');
    check_subject(&a);
    if (a.domain.len)
        check_again(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = { (const char *)data, size };
    struct host_address host;
    struct network network;
    struct reply reply;
    struct address a;

    check_path(input, PATH_REVERSE, false);
    check_path(input, PATH_REVERSE, true);
    check_path(input, PATH_FORWARD, false);
    check_path(input, PATH_FORWARD, true);
    (void)host_literal_parse(input, &host);
    (void)network_parse(input, &network);
    (void)reply_parse(input, &reply);
    (void)address_parse(input, &a);
    return 0;
}
