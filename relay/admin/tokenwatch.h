/*
 * tokenwatch - the tokens as the file has them now.
 *
 * Looked at again when it is asked, at most once in LOOK_MS. A file with a fault holds
 * no token until it is mended, since nobody knows what was meant to be taken out; the log
 * says so once.
 */
#ifndef WAYPOST_TOKENWATCH_H
#define WAYPOST_TOKENWATCH_H

#include "relay/admin/tokenfile.h"

struct tokenwatch {
    char *path;             /* NULL: none */
    struct tokenfile *file; /* NULL: it has a fault, or was not looked at */
    struct stat seen;
    uint64_t looked_ms;
};

/* Copies the path; a zeroed one holds none. */
void tokenwatch_init(struct tokenwatch *k, struct span path);
void tokenwatch_fini(struct tokenwatch *k);
/* True when another file is there now. Blocks for the disk. is_urgent: looks even if it
 * has just done so, since a token is asked for that was not there then. */
bool tokenwatch_look(struct tokenwatch *k, uint64_t now_ms, bool is_urgent);
/* NULL: there is no such token. */
const struct tokenfile_entry *tokenwatch_find(const struct tokenwatch *k,
                                              struct span token);
bool tokenwatch_has(const struct tokenwatch *k,
                    const struct tokenfile_entry *e);

#endif
