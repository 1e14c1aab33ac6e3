/*
 * syntax - a configuration's text as a tree, whatever its words mean.
 *
 *   file    = *entry
 *   entry   = word "=" value / word [ title ] "{" *entry "}"
 *   value   = text / "{" text *( "," text ) [ "," ] "}"
 *   title, text = word / string
 *
 * A value begins on the line of its "=". `include = "FILE"` is replaced by that
 * file's entries, wherever it stands; FILE is taken relative to the folder of
 * the file that names it. A file that includes itself, more than 16 deep, or
 * more than 1,000 files are faults.
 */
#ifndef WAYPOST_SYNTAX_H
#define WAYPOST_SYNTAX_H

#include "policy/config/faults.h"

struct syntax_text {
    struct span text;
    struct place place;
};

struct syntax_entry {
    struct span key;
    struct place place;
    struct syntax_entry *next;
    struct syntax_entry *next_of_kind; /* of sections; set by sections.c */
    struct syntax_text *values;        /* of key = value; at least one */
    size_t value_count;
    bool is_section;
    struct syntax_text title;     /* at == NULL: none */
    struct syntax_entry *entries; /* of a section */
};

struct syntax {
    struct arena arena;  /* the tree's; gone with syntax_fini */
    struct arena *names; /* file names, which outlive the tree */
    struct faults *faults;
    settings_file_fn *read_file;
    void *user;
    const struct syntax_file *open; /* innermost file being read */
    unsigned files;
};

/* The tree of a text; file names it in faults and is what includes are relative
 * to. NULL when there is nothing in it. */
struct syntax_entry *syntax_parse(struct syntax *x, struct span text,
                                  const char *file);
/* The tree of a file. */
struct syntax_entry *syntax_read(struct syntax *x, const char *path);
void syntax_fini(struct syntax *x);

#endif
