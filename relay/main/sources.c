/*
 * sources - the files that a configuration was read from, as they were then.
 */
#include "relay/main/sources.h"

#include "policy/table.h"
#include "policy/vocabulary/memory.h"
#include "relay/main/sqltable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FILE_MOST = 16 * 1024 * 1024,
    TABLE_MOST = 256 * 1024 * 1024,
    READ_AT_ONCE = 65536,
};

/* Another stamp, another file. That of a SQLite file in WAL mode is in two places. */
struct stamp {
    struct {
        dev_t dev;
        ino_t ino;
        off_t size;
        struct timespec modified, changed;
    } file, wal;
};

struct sources_file {
    struct sources_file *next;
    char *path;
    struct buffer text;
};

struct sources_table {
    struct sources_table *next;
    char *path;               /* perhaps with #NAME */
    struct stamp read, seen;  /* what was read; what was there at the last look */
    struct buffer text;       /* of a list */
    bool is_faulty;  /* it is not what was read: what was there before stays */
    bool is_to_keep; /* it is not read at all: see sources_keep */
};

struct sources {
    const struct sources *kept;
    const struct settings *in_use;
    struct sources_file *files;
    struct sources_table *tables;
};

struct sources *sources_new(const struct sources *kept,
                            const struct settings *in_use)
{
    struct sources *s = NEW(struct sources);

    s->kept = kept;
    s->in_use = in_use;
    return s;
}

void sources_free(struct sources *s)
{
    struct sources_file *f = s ? s->files : NULL;
    struct sources_table *t = s ? s->tables : NULL;

    while (f) {
        struct sources_file *next = f->next;

        free(f->path);
        buffer_fini(&f->text);
        free(f);
        f = next;
    }
    while (t) {
        struct sources_table *next = t->next;

        free(t->path);
        buffer_fini(&t->text);
        free(t);
        t = next;
    }
    free(s);
}

/* --- reading -------------------------------------------------------------- */

static int read_all(const char *path, int flags, size_t most,
                    struct buffer *out)
{
    size_t before = out->len;
    int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    int rc = 0;
    ssize_t n;

    if (fd < 0)
        return -errno;
    for (;;) {
        char *room = buffer_room(out, READ_AT_ONCE);

        if (!room || out->len - before > most) {
            rc = ERROR_TOO_BIG;
            break;
        }
        n = read(fd, room, READ_AT_ONCE);
        if (n < 0)
            rc = -errno;
        if (n <= 0)
            break;
        buffer_grew(out, (size_t)n);
    }
    (void)close(fd);
    return rc;
}

static const struct sources_file *find(const struct sources *s, const char *path)
{
    const struct sources_file *f = s ? s->files : NULL;

    while (f && strcmp(f->path, path) != 0)
        f = f->next;
    return f;
}

int sources_read_file(void *user, const char *path, struct buffer *out)
{
    struct sources *s = user;
    const struct sources_file *kept = find(s->kept, path);
    struct sources_file *f;
    struct buffer text = { 0 };
    int rc = 0;

    if (kept)
        buffer_put(&text, buffer_span(&kept->text));
    else
        rc = read_all(path, 0, FILE_MOST, &text);
    if (rc < 0) {
        buffer_fini(&text);
        return rc;
    }
    buffer_put(out, buffer_span(&text));
    f = NEW(struct sources_file);
    *f = (struct sources_file){ s->files, span_dup(span_of(path)), text };
    s->files = f;
    return 0;
}

const char *sources_next_file(const struct sources *s, const void **at)
{
    const struct sources_file *f = *at;

    f = f ? f->next : s->files;
    *at = f;
    return f ? f->path : NULL;
}

const char *sources_next_table(const struct sources *s, const void **at)
{
    const struct sources_table *t = *at;

    t = t ? t->next : s->tables;
    *at = t;
    return t ? t->path : NULL;
}

static struct sources_table *find_table(const struct sources *s,
                                        const char *path)
{
    struct sources_table *t = s->tables;

    while (t && strcmp(t->path, path) != 0)
        t = t->next;
    return t;
}

/* FILE of "FILE#NAME"; for the caller to free. */
static char *file_of(const char *path, struct span *out_name)
{
    struct span file = span_of(path);
    size_t mark = span_find_last(file, '#');

    *out_name = span_skip(file, mark + 1);
    return span_dup(span_first(file, mark));
}

static int take_stamp(const char *file, struct stamp *out)
{
    struct buffer wal = { 0 };
    struct stat st;
    int rc = 0;

    memset(out, 0, sizeof *out);
    if (stat(file, &st) < 0)
        return -errno;
    out->file.dev = st.st_dev;
    out->file.ino = st.st_ino;
    out->file.size = st.st_size;
    out->file.modified = st.st_mtim;
    out->file.changed = st.st_ctim;
    if (!S_ISREG(st.st_mode))
        rc = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
    buffer_printf(&wal, "%s-wal", file);
    if (stat(buffer_string(&wal), &st) == 0 && st.st_size > 0) {
        out->wal.ino = st.st_ino;
        out->wal.size = st.st_size;
        out->wal.modified = st.st_mtim;
    }
    buffer_fini(&wal);
    return rc;
}

static int read_table(const char *file, struct span name, struct buffer *out,
                      struct buffer *out_why)
{
    int rc = sqltable_read(file, name, TABLE_MOST, out, out_why);

    if (rc < 0)
        return rc;
    if (rc > 0)
        return 0;
    if (name.len) {
        buffer_put_string(out_why, "only of a SQLite file a part can be named "
                                   "behind #");
        return ERROR_SYNTAX;
    }
    /* a user's list may have become a pipe since it was looked at: not waited for */
    return read_all(file, O_NONBLOCK | O_NOCTTY, TABLE_MOST, out);
}

/* Its entry, which may be there already. */
static struct sources_table *note(struct sources *s, const char *path)
{
    struct sources_table *t = find_table(s, path);

    if (!t) {
        t = NEW(struct sources_table);
        t->path = span_dup(span_of(path));
        t->next = s->tables;
        s->tables = t;
    }
    return t;
}

int sources_read_table(void *user, const char *path, struct buffer *out,
                       struct buffer *out_why)
{
    struct sources *s = user;
    struct sources_table *t = note(s, path);
    struct span name;
    char *file = file_of(path, &name);
    int rc = take_stamp(file, &t->read);

    t->seen = t->read;
    /* an empty file is a SQLite file, too, if one asks SQLite */
    if (rc == 0 && (t->read.file.size > 0 || name.len))
        rc = read_table(file, name, out, out_why);
    free(file);
    return rc;
}

static bool is_same(const struct stamp *a, const struct stamp *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* What it was in the sources before, where that is what it shall be: then it is noted. */
static const struct sources_table *keep(struct sources *s, const char *path)
{
    const struct sources_table *old =
        s->kept ? find_table(s->kept, path) : NULL;
    struct sources_table *t = find_table(s, path);
    struct span name;
    char *file = file_of(path, &name);
    struct stamp now;

    memset(&now, 0, sizeof now);
    if (old && !(t && t->is_to_keep) &&
        (take_stamp(file, &now) < 0 || !is_same(&now, &old->read)))
        old = NULL;
    free(file);
    if (old && !(t && t->is_to_keep)) {
        t = note(s, path);
        memcpy(&t->read, &now, sizeof now);
        memcpy(&t->seen, &now, sizeof now);
        t->is_faulty = old->is_faulty;
    }
    return old;
}

struct table *sources_kept_table(void *user, const char *path)
{
    struct sources *s = user;

    for (size_t i = 0; s->in_use && i < s->in_use->table_count; i++)
        if (span_is(table_name(s->in_use->tables[i]), span_of(path)))
            return keep(s, path) ? table_hold(s->in_use->tables[i]) : NULL;
    return NULL;
}

int sources_read_list(void *user, const char *path, struct buffer *out,
                      struct buffer *out_why)
{
    struct sources *s = user;
    const struct sources_table *old = keep(s, path);
    struct buffer text = { 0 };
    struct sources_table *t;
    int rc = 0;

    if (old && old->text.at)
        buffer_put(&text, buffer_span(&old->text));
    else
        rc = sources_read_table(s, path, &text, out_why);
    t = note(s, path);
    buffer_fini(&t->text);
    if (rc == 0) {
        buffer_put(out, buffer_span(&text));
        t->text = text;
    } else {
        buffer_fini(&text);
    }
    return rc;
}

void sources_keep(struct sources *s, const char *path,
                  const struct sources *tried)
{
    const struct sources_table *other = find_table(tried, path);
    struct sources_table *t = note(s, path);

    t->is_to_keep = t->is_faulty = true;
    memcpy(&t->read, &other->read, sizeof t->read);
    memcpy(&t->seen, &other->seen, sizeof t->seen);
}

unsigned sources_faulty(const struct sources *s)
{
    unsigned n = 0;

    for (const struct sources_table *t = s->tables; t; t = t->next)
        n += t->is_faulty;
    return n;
}

/* --- looking -------------------------------------------------------------- */

bool sources_look(struct sources *s)
{
    bool is_news = false, is_moving = false;

    for (struct sources_table *t = s->tables; t; t = t->next) {
        struct span name;
        char *file = file_of(t->path, &name);
        struct stamp now;

        (void)take_stamp(file, &now);
        is_moving = is_moving || !is_same(&now, &t->seen);
        is_news = is_news || !is_same(&now, &t->read);
        memcpy(&t->seen, &now, sizeof now);
        free(file);
    }
    return is_news && !is_moving;
}

void sources_give_up(struct sources *s, const struct sources *tried)
{
    for (struct sources_table *t = s->tables; t; t = t->next) {
        const struct sources_table *other = find_table(tried, t->path);

        if (other && !is_same(&t->read, &other->read))
            t->is_faulty = true;
        memcpy(&t->read, other ? &other->read : &t->seen, sizeof t->read);
    }
}

const char *sources_next_changed(const struct sources *s,
                                 const struct sources *before, const void **at)
{
    const struct sources_table *t = *at;

    for (t = t ? t->next : s->tables; t; t = t->next) {
        const struct sources_table *old = find_table(before, t->path);

        if (!t->is_to_keep && (!old || !is_same(&old->read, &t->read)))
            break;
    }
    *at = t;
    return t ? t->path : NULL;
}
