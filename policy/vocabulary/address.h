/*
 * address - mailboxes and domains as SMTP writes them.
 *
 * Pure grammar: nothing here looks anything up. Local parts are never changed;
 * domains compare without case, and an internationalised one equals its A-label
 * form (libidn2, UTS 46 non-transitional). RFC 5321 4.1.2 and 4.1.3, RFC 6531.
 */
#ifndef WAYPOST_ADDRESS_H
#define WAYPOST_ADDRESS_H

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/network.h"

struct address {
    struct span text;     /* whole mailbox as written, no <>, no source route;
                             empty: the null reverse-path */
    struct span local;    /* as written, quotes included */
    struct span domain;   /* as written; empty for "postmaster" alone */
    bool is_utf8;         /* has bytes over 127: needs SMTPUTF8 */
    bool is_literal;      /* domain is [192.0.2.1] or [IPv6:...] */
};

enum address_fault {
    ADDRESS_OK,
    ADDRESS_SYNTAX,       /* 501 5.1.3 or 5.1.7 */
    ADDRESS_TOO_LONG,     /* local part over 64, domain over 255, path over 256 */
    ADDRESS_NEEDS_UTF8,   /* 553 5.6.7: is_utf8 but SMTPUTF8 was not given */
};

enum path_kind { PATH_REVERSE, PATH_FORWARD };

/*
 * Reads "<path>" at the start of s, as after MAIL FROM: or RCPT TO:. A source
 * route is read and thrown away. PATH_REVERSE allows <>; PATH_FORWARD allows
 * <postmaster> in any case. A path without <> is ADDRESS_SYNTAX. Spaces in front of
 * "<" are skipped. *out_rest is what follows ">". out_address borrows from s.
 */
enum address_fault address_parse_path(struct span s, enum path_kind kind,
                                      bool smtputf8,
                                      struct address *out_address,
                                      struct span *out_rest);

/* A bare mailbox "a@b" (UTF-8 allowed), all of s. For configuration, filters. */
enum address_fault address_parse(struct span s, struct address *out_address);

/* Domain grammar: labels of letters, digits, inner hyphens (and UTF-8 when
 * allowed), 63 octets each, 255 in all, no empty label. Underscore is refused. */
bool domain_is_valid(struct span domain, bool allow_utf8);

/*
 * The form in which domains are compared and stored as keys: lower case,
 * A-labels, no trailing dot. At most 255 octets. ERROR_SYNTAX when libidn2
 * refuses it or it is no domain. A literal is kept as written but for case.
 */
int domain_fold(struct span domain, struct buffer *out_folded)
    __attribute__((warn_unused_result));

/* Would a relay further on read a second address in this local part (%, !, @)?
 * A quoted local part is looked into. RFC 5321 does not, open relays did. */
bool local_part_is_routed(struct span local);

/* Domains without case, local parts as they are: is it the same mailbox, as far as anybody
 * but its host can tell? */
bool address_is_same(const struct address *a, const struct address *b);
/* Equal for those. FNV-1a; not to be relied on against who chooses addresses. */
uint32_t address_hash(const struct address *a);

#endif
