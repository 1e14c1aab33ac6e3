/*
 * sqltable - a table kept in a SQLite file of somebody else's, as lines.
 *
 * The store is queue's, and SQLite with it. This is no store: a file that another program
 * writes is looked at once, by one statement, on whatever thread reads the configuration, and
 * becomes the text that it could have been; so policy learns nothing of SQL, and the queue
 * nothing of tables. That is why it stands beside the other readers of files.
 *
 * The file is opened for reading only, and waits a moment while it is locked. It is SQLite
 * alone that opens it: closing a descriptor of our own would drop the locks of a connection
 * that this process may have to it.
 */
#ifndef WAYPOST_SQLTABLE_H
#define WAYPOST_SQLTABLE_H

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/error.h"

/*
 * Writes a line "'KEY' 'VALUE'" for each row of the table or view NAME (`entries`), whose
 * columns are key and, where there is one, value. 1: done; 0: it is no SQLite file, and
 * nothing was written; negative: out_why says what is wrong. Rows whose key or value cannot
 * stand on a line are wrong, too.
 */
MUST int sqltable_read(const char *path, struct span name, size_t most_bytes,
                       struct buffer *out, struct buffer *out_why);

#endif
