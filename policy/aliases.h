/*
 * aliases - other names of people, as a file of aliases(5) says them.
 *
 *   name: value, value ...      a name is a local part, quoted or not, without ASCII case
 *     value                     a line that begins with a space goes on
 *   # comment
 *
 * A value is an address, another name, :include:/FILE (values, one a line or with commas), or
 * /dev/null. \name is that name, whatever is said of it. "|program", /file and whatever else
 * begins with : are for hosts that deliver mail, which a relay does not: they are warned of and
 * lead nowhere. A file to include that cannot be read is its owner's matter, too: it is warned of,
 * and who would need it is known to be incomplete.
 *
 * All of it lives in the arena. Pure: files are read by whoever is asked.
 */
#ifndef WAYPOST_ALIASES_H
#define WAYPOST_ALIASES_H

#include "policy/vocabulary/arena.h"
#include "policy/vocabulary/buffer.h"

struct aliases;

enum alias_kind {
    ALIAS_ADDRESS,
    ALIAS_NAME,                   /* lower case as keys are; looked up in turn */
    ALIAS_FINAL_NAME,             /* not looked up */
    ALIAS_NOWHERE,                /* /dev/null */
    ALIAS_UNSUPPORTED,
    ALIAS_UNREADABLE,             /* an :include:/FILE that is not there now */
};

struct alias_target {
    enum alias_kind kind;
    struct span text;
};

struct alias {
    struct span name;             /* lower case, without quotes */
    const struct alias_target *targets;
    size_t count;
};

struct aliases_world {
    /* 0 and bytes appended, or a negative error, perhaps with a better word for it. */
    int (*read)(void *user, const char *path, struct buffer *out,
                struct buffer *out_why);
    /* "LINE:COLUMN: text\n" about a file. */
    void (*say)(void *user, bool is_warning, const char *file,
                struct span line);
    void *user;
};

/* text: what is in the file at path. */
struct aliases *aliases_new(struct arena *arena, const char *path,
                            struct span text, const struct aliases_world *w);
/* In any case; NULL: there is none, or there are no aliases. */
const struct alias *aliases_find(const struct aliases *a, struct span name);
size_t aliases_size(const struct aliases *a);

#endif
