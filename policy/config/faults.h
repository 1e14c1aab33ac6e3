/*
 * faults - everything that is wrong with a configuration, said in one run.
 *
 * Faults are gathered while reading goes on and written at the end in the order
 * of their places, so that what was found by a late check stands beside what
 * was found by the parser. Bytes of the file are escaped before they are shown.
 */
#ifndef WAYPOST_FAULTS_H
#define WAYPOST_FAULTS_H

#include "policy/settings.h"

struct fault;

struct faults {
    struct arena *arena; /* texts live here */
    struct fault *faults;
    size_t fault_count, fault_room;
    struct fault *warnings;
    size_t warning_count, warning_room;
};

/* %s and friends must be harmless; show what the file says with faults_quote.
 */
void faults_add(struct faults *f, struct place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void faults_warn(struct faults *f, struct place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Lines "LINE:COLUMN: text" about one file; the text is shown as it is. */
void faults_add_lines(struct faults *f, const char *file, struct span lines);
void faults_warn_lines(struct faults *f, const char *file, struct span lines);

/* "text" in quotes, escaped and shortened; valid as long as the arena. */
const char *faults_quote(struct faults *f, struct span text);

/* "FILE:LINE:COLUMN" */
const char *faults_place(struct faults *f, struct place place);

/* One line for each, sorted by place. */
void faults_write(struct faults *f, struct buffer *out_faults,
                  struct buffer *out_warnings);
void faults_fini(struct faults *f);

/*
 * The name among `count` names, each at names + i * stride, that is near enough
 * to `text` to have been meant (a slip or two); NULL: none.
 */
const char *faults_nearest(struct span text, const char *const *names,
                           size_t count, size_t stride);

#endif
