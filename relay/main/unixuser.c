/*
 * unixuser - who a user of this machine is.
 */
#include "relay/main/unixuser.h"

#include "policy/vocabulary/limits.h"
#include "policy/vocabulary/memory.h"
#include "policy/vocabulary/utf8.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>

enum { ENTRY_LEAST = 4096, ENTRY_MOST = 1024 * 1024 };

/* The entry's strings are in *out_room, which the caller frees; NULL: there is none. */
static const struct passwd *find(uid_t uid, struct passwd *entry,
                                 char **out_room)
{
    struct passwd *found = NULL;
    size_t size = ENTRY_LEAST;
    int rc;

    *out_room = NULL;
    do {
        free(*out_room);
        *out_room = memory_take(size);
        rc = getpwuid_r(uid, entry, *out_room, size, &found);
        size *= 2;
    } while (rc == ERANGE && size <= ENTRY_MOST);
    return found;
}

static bool is_login(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.at[i] <= ' ' || s.at[i] == 0x7f)
            return false;
    return s.len && s.len <= LIMIT_LOGIN && utf8_is_valid(s);
}

void unixuser_put_login(struct buffer *b, uid_t uid)
{
    struct passwd entry;
    char *room;
    const struct passwd *p = find(uid, &entry, &room);

    if (p && is_login(span_of(p->pw_name)))
        buffer_put_string(b, p->pw_name);
    else
        buffer_printf(b, "uid=%u", (unsigned)uid);
    free(room);
}

/* The first part of the comment; "&" stands for the login. passwd(5) */
void unixuser_put_name(struct buffer *b, uid_t uid)
{
    struct passwd entry;
    char *room;
    const struct passwd *p = find(uid, &entry, &room);
    struct span gecos = p ? span_of(p->pw_gecos) : SPAN("");

    gecos = span_first(gecos, span_find(gecos, ','));
    for (size_t i = 0; i < gecos.len; i++) {
        char c = gecos.at[i];

        if (c == '&')
            buffer_put_string(b, p->pw_name);
        else if ((unsigned char)c >= ' ' && c != 0x7f)
            buffer_put_byte(b, c);
    }
    free(room);
}
