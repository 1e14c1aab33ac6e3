/*
 * pattern - does this mailbox, or this name, match one of these?
 *
 *   example.org      that domain alone
 *   *.example.org    what is below it
 *   a@example.org    one address, without case in the local part either, as
 *                    Postfix looks addresses up; quotes make no difference
 *   *                any domain
 *   <>               the null sender, which nothing else matches
 *   /expression/     PCRE2, without case, on local@domain
 *
 * Domains are compared folded (address.h). For names (HELO) an @ and <> make no
 * sense and are refused. Expressions are compiled once and run under limits.
 */
#ifndef WAYPOST_PATTERN_H
#define WAYPOST_PATTERN_H

#include "policy/expression.h"
#include "policy/vocabulary/address.h"
#include "policy/vocabulary/arena.h"
#include "policy/vocabulary/limits.h"

enum pattern_use { PATTERN_OF_MAILBOX, PATTERN_OF_NAME };

enum pattern_kind {
    PATTERN_ADDRESS, PATTERN_DOMAIN, PATTERN_BELOW, PATTERN_EXPRESSION,
    PATTERN_NULL, PATTERN_ANY, PATTERN_KINDS,
};

struct pattern {
    enum pattern_kind kind;
    uint32_t hash;
    struct span text;         /* in the form compared; of BELOW without "*." */
    struct expression *expression;
};

/* Of a text in the form compared, as in struct pattern and struct subject. */
uint32_t pattern_hash(struct span text);

/*
 * Reads one pattern; everything it needs is taken from the arena. False: it is
 * none, and out_why says so ("... is not ...", without the pattern's text).
 */
bool pattern_parse(struct arena *a, struct span text, enum pattern_use use,
                   struct pattern *out_pattern, struct buffer *out_why);

/* Many patterns, indexed. Takes over the array, which is reordered. */
struct patterns {
    struct pattern *all;      /* by kind, then by hash */
    size_t count;
    size_t first[PATTERN_KINDS + 1];
};

void patterns_init(struct patterns *p, struct pattern *all, size_t count);

/*
 * Who is asked about. Folded when it is first needed, so that a question that
 * nobody asks costs nothing, and at most once. Borrows what it was made of.
 */
enum { SUBJECT_LABELS = LIMIT_DOMAIN / 2 + 1 };

struct subject {
    struct span name;         /* a host's name, or */
    const struct address *address;
    bool is_folded;
    char text[LIMIT_LOCAL_PART + 1 + LIMIT_DOMAIN + 1];
    struct span mailbox;      /* local@domain in text; empty: null sender */
    struct span domain;       /* in text; empty: none that can be compared */
    uint32_t mailbox_hash;
    unsigned label_count;
    /* of the domain's last n labels, the last n - 1 ..., from the last one on */
    struct { unsigned char at; uint32_t hash; } ends[SUBJECT_LABELS];
};

void subject_of_address(struct subject *s, const struct address *a);
void subject_of_name(struct subject *s, struct span name);
/* Fills in the fields after is_folded. */
void subject_fold(struct subject *s);

enum answer patterns_match(const struct patterns *p, struct subject *s);

#endif
