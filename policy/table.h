/*
 * table - values by the hundred thousand, from a file of their own: "table:FILE".
 *
 * A line is a key as it could stand in the list itself, and perhaps a value behind white
 * space: a network (192.0.2.0/24), a domain, *.domain, an address, a login, '/expression/';
 * # begins a comment. So one table may hold all kinds, and each condition looks among those
 * it has a use for: networks in a prefix tree, names and addresses in a hash, expressions as
 * one combined pattern where that can be. The first line in the file wins, exact forms before
 * expressions. A SQLite file is read as such lines by whoever reads files (key and value of
 * its table `entries`, or of NAME in "table:FILE#NAME").
 *
 * Immutable; part of the settings, in their arena. Faults name the table's file and line.
 */
#ifndef WAYPOST_TABLE_H
#define WAYPOST_TABLE_H

#include "policy/pattern.h"
#include "policy/vocabulary/network.h"

struct table;

/* The file as written behind "table:". */
struct span table_name(const struct table *t);
size_t table_size(const struct table *t);

/* *out_value: what stands behind the key, "" where nothing does; may be NULL. */
enum answer table_has_network(const struct table *t,
                              const struct host_address *a,
                              struct span *out_value);
enum answer table_has_subject(const struct table *t, struct subject *s,
                              struct span *out_value);
/* A login, a tag, a type: compared as it stands, without case. */
enum answer table_has_text(const struct table *t, struct span text,
                           struct span *out_value);

#endif
