/*
 * remedy - what an administrator does about a failure.
 *
 * Borrows and keeps nothing. A failure without a row is told by its reason alone: advice that
 * does not fit is worse than none.
 */
#include "policy/vocabulary/remedy.h"

#include "policy/vocabulary/error.h"

#include <errno.h>

struct remedy {
    int rc;
    const char *what_to_do; /* ends the table: NULL */
};

/* clang-format off */
static const struct remedy writing[] = {
    { -ENOENT,       "its folder is missing: make it, or name another path" },
    { -ENOTDIR,      "one of its folders is a file: move that away, or name another path" },
    { -EISDIR,       "it is a folder: name a file in it, or another path" },
    { -EACCES,       "let the relay's user write there (chown, chmod), or name another path" },
    { -EPERM,        "let the relay's user write there (chown, chmod), or name another path" },
    { -EROFS,        "mount that disk for writing, or name another path" },
    { -ENAMETOOLONG, "name a shorter path" },
    { -ENOSPC,       "make room on that disk, then start again" },
    { -EDQUOT,       "make room in the quota of the relay's user, then start again" },
    { ERROR_FULL,    "make room on it, then start again" },
    { 0, NULL },
};

static const struct remedy reading[] = {
    { -ENOENT,  "put it there, or name another path" },
    { -ENOTDIR, "one of its folders is a file: name another path" },
    { -EISDIR,  "it is a folder: name a file in it" },
    { -EACCES,  "let the relay's user read it (chown, chmod)" },
    { -EPERM,   "let the relay's user read it (chown, chmod)" },
    { 0, NULL },
};

static const struct remedy listening[] = {
    { -EADDRNOTAVAIL, "no interface of this machine has that address: give it to one, or name "
                      "another; [::] stands for all" },
    { -EADDRINUSE,    "another program listens there (ss -ltnp shows which): stop it, or name "
                      "another port" },
    { -EACCES,        "ports under 1024 can be opened at the start alone, by root or a socket "
                      "unit: start it so, or name a higher port" },
    { -EAFNOSUPPORT,  "this machine has no IPv6: name an IPv4 address" },
    { 0, NULL },
};
/* clang-format on */

static void put(struct buffer *out, int rc, const struct remedy *row)
{
    buffer_printf(out, ": %s", error_text(rc));
    while (row->what_to_do && row->rc != rc)
        row++;
    if (row->what_to_do)
        buffer_printf(out, ": %s", row->what_to_do);
}

void remedy_put_writing(struct buffer *out, int rc)
{
    put(out, rc, writing);
}

void remedy_put_reading(struct buffer *out, int rc)
{
    put(out, rc, reading);
}

void remedy_put_listening(struct buffer *out, int rc)
{
    put(out, rc, listening);
}
