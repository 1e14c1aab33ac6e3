/*
 * address - mailboxes and domains as SMTP writes them.
 *
 *   Path       = "<" [ A-d-l ":" ] Mailbox ">"
 *   A-d-l      = "@" Domain *( "," "@" Domain )
 *   Mailbox    = ( Dot-string / Quoted-string ) "@" ( Domain / literal )
 *   Dot-string = 1*atext *( "." 1*atext )
 *   Quoted-string = DQUOTE *( qtext / "\" %d32-126 ) DQUOTE
 *   Domain     = label *( "." label )
 *
 * Each take_ function below reads one of these at the start of what is left,
 * moves past it and says whether it was there. No comments, no folding white
 * space: RFC 5321 4.1.2 has none. RFC 6531 3.3 adds UTF-8 to atext, qtext and
 * labels. Of literals only addresses are known.
 *
 * Owns nothing; an address borrows from the line it was read from.
 */
#include "policy/vocabulary/address.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/limits.h"
#include "policy/vocabulary/utf8.h"

#include <idn2.h>

enum { LABEL_MOST = 63 };

enum { IS_ATEXT = 1, IS_QTEXT = 2, IS_LABEL = 4 };

/* What a byte may be part of. */
/* clang-format off */
static const unsigned char classes[256] = {
    [' '] = IS_QTEXT,              ['!'] = IS_ATEXT | IS_QTEXT,
    ['#' ... '\''] = IS_ATEXT | IS_QTEXT,
    ['('] = IS_QTEXT,              [')'] = IS_QTEXT,
    ['*'] = IS_ATEXT | IS_QTEXT,   ['+'] = IS_ATEXT | IS_QTEXT,
    [','] = IS_QTEXT,              ['-'] = IS_ATEXT | IS_QTEXT | IS_LABEL,
    ['.'] = IS_QTEXT,              ['/'] = IS_ATEXT | IS_QTEXT,
    ['0' ... '9'] = IS_ATEXT | IS_QTEXT | IS_LABEL,
    [':'] = IS_QTEXT,              [';'] = IS_QTEXT,
    ['<'] = IS_QTEXT,              ['='] = IS_ATEXT | IS_QTEXT,
    ['>'] = IS_QTEXT,              ['?'] = IS_ATEXT | IS_QTEXT,
    ['@'] = IS_QTEXT,
    ['A' ... 'Z'] = IS_ATEXT | IS_QTEXT | IS_LABEL,
    ['['] = IS_QTEXT,              [']'] = IS_QTEXT,
    ['^' ... '`'] = IS_ATEXT | IS_QTEXT,
    ['a' ... 'z'] = IS_ATEXT | IS_QTEXT | IS_LABEL,
    ['{' ... '~'] = IS_ATEXT | IS_QTEXT,
    [0x80 ... 0xff] = IS_ATEXT | IS_QTEXT | IS_LABEL,
};
/* clang-format on */

static bool take_byte(struct span *s, char c)
{
    if (s->len == 0 || s->at[0] != c)
        return false;
    *s = span_skip(*s, 1);
    return true;
}

static size_t run_length(struct span s, unsigned class)
{
    size_t n = 0;

    while (n < s.len && classes[(unsigned char)s.at[n]] & class)
        n++;
    return n;
}

/* 1*class *( "." 1*class ) */
static bool take_dotted(struct span *s, unsigned class)
{
    struct span left = *s;

    do {
        size_t n = run_length(left, class);

        if (n == 0)
            return false;
        left = span_skip(left, n);
    } while (take_byte(&left, '.'));
    *s = left;
    return true;
}

static bool take_quoted(struct span *s)
{
    struct span left = *s;

    if (!take_byte(&left, '"'))
        return false;
    while (!take_byte(&left, '"')) {
        size_t n = run_length(left, IS_QTEXT);

        if (n == 0) {
            if (left.len < 2 || left.at[0] != '\\' || left.at[1] < 0x20 ||
                left.at[1] > 0x7e)
                return false;
            n = 2;
        }
        left = span_skip(left, n);
    }
    *s = left;
    return true;
}

/* A domain's extent; whether it is a good one is asked when it is whole. */
static bool take_domain(struct span *s)
{
    size_t n;

    if (s->len && s->at[0] == '[') {
        n = span_find(*s, ']');
        if (n == s->len)
            return false;
        *s = span_skip(*s, n + 1);
        return true;
    }
    return take_dotted(s, IS_LABEL);
}

static struct span taken(struct span before, struct span after)
{
    return span_first(before, before.len - after.len);
}

/* Is it a domain or a literal that may stand in an address? */
static enum address_fault check_domain(struct span domain, bool is_literal)
{
    struct host_address ignored;
    struct buffer folded = { .cap = LIMIT_DOMAIN };
    int rc;

    if (domain.len > LIMIT_DOMAIN)
        return ADDRESS_TOO_LONG;
    if (is_literal)
        return host_literal_parse(domain, &ignored) ? ADDRESS_OK
                                                    : ADDRESS_SYNTAX;
    if (!domain_is_valid(domain, true))
        return ADDRESS_SYNTAX;
    if (!utf8_has_high(domain))
        return ADDRESS_OK;
    rc = domain_fold(domain, &folded);
    buffer_fini(&folded);
    return rc < 0 ? ADDRESS_SYNTAX : ADDRESS_OK;
}

static enum address_fault take_mailbox(struct span *s, struct address *out)
{
    struct span left = *s;
    struct address a = { 0 };
    enum address_fault fault;

    if (!take_quoted(&left) && !take_dotted(&left, IS_ATEXT))
        return ADDRESS_SYNTAX;
    a.local = taken(*s, left);
    if (!take_byte(&left, '@'))
        return ADDRESS_SYNTAX;
    a.domain = left;
    if (!take_domain(&left))
        return ADDRESS_SYNTAX;
    a.domain = taken(a.domain, left);
    a.text = taken(*s, left);
    a.is_literal = a.domain.at[0] == '[';
    a.is_utf8 = utf8_has_high(a.text);
    if (a.is_utf8 && !utf8_is_valid(a.text))
        return ADDRESS_SYNTAX;
    if (a.local.len > LIMIT_LOCAL_PART)
        return ADDRESS_TOO_LONG;
    fault = check_domain(a.domain, a.is_literal);
    if (fault)
        return fault;
    /* the limit of a path counts its two brackets */
    if (a.text.len + 2 > LIMIT_PATH)
        return ADDRESS_TOO_LONG;
    *s = left;
    *out = a;
    return ADDRESS_OK;
}

/* "@a,@b:", read and thrown away; true also when there is none. */
static bool skip_source_route(struct span *s)
{
    struct span left = *s;

    if (left.len == 0 || left.at[0] != '@')
        return true;
    do {
        struct span domain;

        if (!take_byte(&left, '@'))
            return false;
        domain = left;
        if (!take_domain(&left))
            return false;
        domain = taken(domain, left);
        if (check_domain(domain, domain.at[0] == '[') != ADDRESS_OK)
            return false;
    } while (take_byte(&left, ','));
    if (!take_byte(&left, ':'))
        return false;
    *s = left;
    return true;
}

/* "postmaster" and nothing more before ">". RFC 5321 4.1.1.3 */
static bool take_postmaster(struct span *s, struct address *out)
{
    const struct span name = SPAN("postmaster");

    if (!span_starts_nocase(*s, name) || s->len == name.len ||
        s->at[name.len] != '>')
        return false;
    *out = (struct address){ .text = span_first(*s, name.len),
                             .local = span_first(*s, name.len) };
    *s = span_skip(*s, name.len);
    return true;
}

enum address_fault address_parse_path(struct span s, enum path_kind kind,
                                      bool smtputf8,
                                      struct address *out_address,
                                      struct span *out_rest)
{
    struct address a = { 0 };
    enum address_fault fault;

    while (take_byte(&s, ' '))
        ;
    if (!take_byte(&s, '<'))
        return ADDRESS_SYNTAX;
    if (kind == PATH_REVERSE && s.len && s.at[0] == '>') {
        a.text = a.local = span_first(s, 0);
    } else if (kind != PATH_FORWARD || !take_postmaster(&s, &a)) {
        if (!skip_source_route(&s))
            return ADDRESS_SYNTAX;
        fault = take_mailbox(&s, &a);
        if (fault)
            return fault;
    }
    if (!take_byte(&s, '>'))
        return ADDRESS_SYNTAX;
    if (a.is_utf8 && !smtputf8)
        return ADDRESS_NEEDS_UTF8;
    *out_address = a;
    *out_rest = s;
    return ADDRESS_OK;
}

enum address_fault address_parse(struct span s, struct address *out_address)
{
    struct address a;
    enum address_fault fault = take_mailbox(&s, &a);

    if (fault)
        return fault;
    if (s.len)
        return ADDRESS_SYNTAX;
    *out_address = a;
    return ADDRESS_OK;
}

bool domain_is_valid(struct span domain, bool allow_utf8)
{
    if (domain.len == 0 || domain.len > LIMIT_DOMAIN)
        return false;
    if (utf8_has_high(domain) && !(allow_utf8 && utf8_is_valid(domain)))
        return false;
    for (;;) {
        size_t n = span_find(domain, '.');

        if (n == 0 || n > LABEL_MOST || domain.at[0] == '-' ||
            domain.at[n - 1] == '-' ||
            run_length(span_first(domain, n), IS_LABEL) != n)
            return false;
        if (n == domain.len)
            return true;
        domain = span_skip(domain, n + 1);
    }
}

/* U-labels to A-labels; UTS 46 maps case and width on the way. */
static int fold_unicode(struct span domain, struct buffer *out_folded)
{
    char text[LIMIT_DOMAIN + 1], *ascii = NULL;
    int rc = ERROR_SYNTAX;

    if (domain.len > LIMIT_DOMAIN || memchr(domain.at, '\0', domain.len))
        return ERROR_SYNTAX;
    memcpy(text, domain.at, domain.len);
    text[domain.len] = '\0';
    if (idn2_to_ascii_8z(text, &ascii,
                         IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT |
                             IDN2_USE_STD3_ASCII_RULES) != IDN2_OK)
        return ERROR_SYNTAX;
    /* what mapping left must be a domain: it may have made dots of marks */
    if (domain_is_valid(span_of(ascii), false)) {
        for (char *p = ascii; *p; p++)
            *p = ascii_lower(*p);
        buffer_put(out_folded, span_of(ascii));
        rc = out_folded->overflow ? ERROR_TOO_BIG : 0;
    }
    idn2_free(ascii);
    return rc;
}

int domain_fold(struct span domain, struct buffer *out_folded)
{
    struct host_address ignored;
    char *room;

    if (domain.len > 1 && domain.at[domain.len - 1] == '.')
        domain.len--;
    if (domain.len == 0 || domain.len > LIMIT_DOMAIN)
        return ERROR_SYNTAX;
    if (utf8_has_high(domain))
        return fold_unicode(domain, out_folded);
    if (domain.at[0] == '[' ? !host_literal_parse(domain, &ignored)
                            : !domain_is_valid(domain, false))
        return ERROR_SYNTAX;
    room = buffer_room(out_folded, domain.len);
    if (!room)
        return ERROR_TOO_BIG;
    for (size_t i = 0; i < domain.len; i++)
        room[i] = ascii_lower(domain.at[i]);
    buffer_grew(out_folded, domain.len);
    return 0;
}

bool local_part_is_routed(struct span local)
{
    for (size_t i = 0; i < local.len; i++)
        if (local.at[i] == '%' || local.at[i] == '!' || local.at[i] == '@')
            return true;
    return false;
}

bool address_is_same(const struct address *a, const struct address *b)
{
    return span_is(a->local, b->local) && span_is_nocase(a->domain, b->domain);
}

uint32_t address_hash(const struct address *a)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < a->local.len; i++)
        h = (h ^ (unsigned char)a->local.at[i]) * 16777619u;
    for (size_t i = 0; i < a->domain.len; i++)
        h = (h ^ (unsigned char)ascii_lower(a->domain.at[i])) * 16777619u;
    return h;
}
