/*
 * tables - the files that "table:FILE" names, each read once.
 *
 * FILE is taken relative to the folder of the file that names it, as with include. What is
 * wrong in a table is a fault with the table's own file and line.
 */
#ifndef WAYPOST_TABLES_H
#define WAYPOST_TABLES_H

#include "policy/config/keys.h"
#include "policy/table.h"

/* Does it name a table? */
bool tables_is_named(struct span text);

/*
 * The table that a text "table:FILE" names, which is one of settings->tables when all has
 * been read; it must have keys for this use, and no line that is a mistake there. NULL and a
 * fault: there is none. tables_take: for mailboxes.
 */
struct table *tables_take(struct reading *r, const struct syntax_text *text);
struct table *tables_take_for(struct reading *r, const struct syntax_text *text,
                              enum table_use use);

/*
 * Takes the values that name tables out of an entry: *out_rest is the entry without them,
 * perhaps with no value at all.
 */
void tables_take_all(struct reading *r, const struct syntax_entry *entry,
                     enum table_use use, struct syntax_entry *out_rest,
                     struct table ***out_tables, size_t *out_count);

/* All that were taken become the settings'; once, when all sections have been read. */
void tables_finish(struct reading *r);

#endif
