/*
 * table - values by the hundred thousand, from a file of their own: "table:FILE".
 *
 * A line is a key as it could stand in the list itself, and perhaps a value behind white
 * space (tableline.h): a network (192.0.2.0/24), a domain (also as @domain), *.domain, an
 * address, a login, /expression/, *, <>; # begins a comment. So one table may hold all
 * kinds, and each condition looks among those it has a use for: networks in a prefix tree,
 * names and addresses in a hash, expressions one after the other, in groups that are tried
 * as one. The most specific key wins, expressions come last; of equal keys the first line.
 *
 * A SQLite file is read as such lines by whoever reads files (key and value of its table
 * `entries`, or of NAME in "table:FILE#NAME").
 *
 * Immutable, with memory of its own: the file's bytes are kept, and keys are spans of them.
 */
#ifndef WAYPOST_TABLE_H
#define WAYPOST_TABLE_H

#include "policy/pattern.h"
#include "policy/vocabulary/network.h"

struct table;

/*
 * Reads lines; the buffer's bytes are the table's from now on. A line that cannot be
 * anything is left out and told in out_faults, one that stands twice in out_warnings, as
 * lines "LINE:COLUMN: text", those of each kind at most TABLE_FAULTS and how many more.
 */
enum { TABLE_FAULTS = 20 };
struct table *table_new(struct span name, struct buffer *take_lines,
                        struct buffer *out_faults, struct buffer *out_warnings);
/* Settings that are read after others may share what has not changed: the last to let go frees
 * it. Any thread. */
struct table *table_hold(struct table *t);
void table_free(struct table *t);

/* The file as written behind "table:". */
struct span table_name(const struct table *t);
/* How many keys it has. */
size_t table_size(const struct table *t);

/* What a table is asked about. */
enum table_use {
    TABLE_OF_HOSTS,     /* networks: table_has_network */
    TABLE_OF_MAILBOXES, /* domains, addresses, expressions: table_has_subject */
    TABLE_OF_NAMES, /* of HELO: the same, and anything that may be said there */
    TABLE_OF_TEXTS, /* logins, tags, types: any key but networks */
    TABLE_OF_ROUTES, /* domains, addresses, *: table_has_pattern */
};
/*
 * Lines that are nothing but a text, so that with this use they are mistakes; for
 * ROUTES also those a route cannot be found by. As out_faults of table_new.
 */
struct span table_flaws(const struct table *t, enum table_use use);
/* Has it any key for this? */
bool table_serves(const struct table *t, enum table_use use);

/* *out_value: what stands behind the key, "" where nothing does; may be NULL. */
enum answer table_has_network(const struct table *t,
                              const struct host_address *a,
                              struct span *out_value);
enum answer table_has_subject(const struct table *t, struct subject *s,
                              struct span *out_value);
/* A login, a tag, a type: compared as it stands, without case. *@domain holds every login
 * that ends so, and * every one. */
enum answer table_has_text(const struct table *t, struct span text,
                           struct span *out_value);

/* This very pattern, of those without expressions: hash is pattern_hash of the text. */
bool table_has_pattern(const struct table *t, enum pattern_kind kind,
                       uint32_t hash, struct span text);
/* Nothing but domains, and addresses in them? Then it may grant (condition.h). */
bool table_names_domains(const struct table *t);
/* Do its networks hold all public hosts? */
bool table_holds_everybody(const struct table *t);
/* Its exact domains, one after the other: from *at == 0 until false. */
bool table_next_domain(const struct table *t, size_t *at,
                       struct span *out_domain);

/* One line of it. */
struct table_line {
    enum pattern_kind kind;
    struct span key;          /* folded; of PATTERN_BELOW without "*." */
    struct span value;
    unsigned number;          /* of the line in the file */
};
/* Those that a mailbox may be found by, one after the other: from *at == 0 until false. */
bool table_next(const struct table *t, size_t *at, struct table_line *out_line);

#endif
