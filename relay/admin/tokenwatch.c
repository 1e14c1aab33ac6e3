/*
 * tokenwatch - the tokens as the file has them now.
 */
#include "relay/admin/tokenwatch.h"

#include "relay/net/log.h"

#include <stdlib.h>

enum { LOOK_MS = 500 };

void tokenwatch_init(struct tokenwatch *k, struct span path)
{
    *k = (struct tokenwatch){ .path = path.len ? span_dup(path) : NULL };
}

void tokenwatch_fini(struct tokenwatch *k)
{
    tokenfile_free(k->file);
    free(k->path);
    *k = (struct tokenwatch){ 0 };
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
           a->st_size == b->st_size && a->st_mode == b->st_mode &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static void read_again(struct tokenwatch *k)
{
    struct buffer why = { 0 };
    struct stat read = { 0 };

    tokenfile_free(k->file);
    k->file = tokenfile_read(k->path, &read, &why);
    if (k->file)
        k->seen = read; /* it may have changed since we looked */
    else
        log_text(LOG_WARNING, "no token is valid: %s", buffer_string(&why));
    buffer_fini(&why);
}

bool tokenwatch_look(struct tokenwatch *k, uint64_t now_ms, bool is_urgent)
{
    bool is_first = k->looked_ms == 0;
    struct stat now = { 0 };

    if (!k->path ||
        (!is_first && !is_urgent && now_ms - k->looked_ms < LOOK_MS))
        return false;
    k->looked_ms = now_ms ? now_ms : 1;
    if (stat(k->path, &now) < 0)
        now = (struct stat){ 0 };
    if (!is_first && is_same(&now, &k->seen))
        return false;
    k->seen = now;
    read_again(k);
    return true;
}

const struct tokenfile_entry *tokenwatch_find(const struct tokenwatch *k,
                                              struct span token)
{
    return k->file ? tokenfile_find(k->file, token) : NULL;
}

bool tokenwatch_has(const struct tokenwatch *k, const struct tokenfile_entry *e)
{
    return k->file && tokenfile_has(k->file, e);
}
