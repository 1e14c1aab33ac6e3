/*
 * userfile - the three files of users { }, as tables to look in.
 *
 * The text is read whole and kept; entries point into it and are sorted by key.
 */
#include "relay/inbound/userfile.h"

#include "policy/vocabulary/limits.h"
#include "policy/vocabulary/memory.h"
#include "policy/vocabulary/utf8.h"
#include "relay/net/secretfile.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>

enum { FILE_MOST = 64 * 1024 * 1024 };

struct userfile {
    enum userfile_kind kind;
    struct secretfile file; /* each line ends in NUL */
    struct userfile_entry *entries;
    size_t count, room;
    size_t have[PASSWORD_HASHES], have_any;
};

bool userfile_login_is_good(struct span login)
{
    if (login.len == 0 || login.len > LIMIT_LOGIN || login.at[0] == '#')
        return false;
    for (size_t i = 0; i < login.len; i++)
        if ((unsigned char)login.at[i] <= ' ' || login.at[i] == ':' ||
            login.at[i] == 0x7f)
            return false;
    return utf8_is_valid(login);
}

static int load(struct userfile *f, const char *path, struct buffer *out_why)
{
    int rc = secretfile_read(path, FILE_MOST, &f->file, out_why);

    if (rc < 0)
        return rc;
    if (f->file.len < (size_t)f->file.stat.st_size) /* it is being changed */
        return secretfile_complain(out_why, path, -EAGAIN, NULL);
    if (f->kind == USERFILE_CRAM && secretfile_is_exposed(&f->file))
        return secretfile_complain(
            out_why, path, -EACCES,
            "holds passwords and may be read by others than its owner; chmod "
            "600 it");
    return 0;
}

/* One verifier; NULL or what is wrong with it. It ends in NUL or a colon that is made
 * one. */
static const char *read_verifier(struct userfile_entry *e, char *text)
{
    static const char *const schemes[] = {
        "{CRYPT}",     "{SHA256-CRYPT}", "{SHA512-CRYPT}",
        "{BLF-CRYPT}", "{MD5-CRYPT}",
    };

    if (*text == '!' || *text == '*')
        return NULL;
    for (enum password_hash h = 0; h < PASSWORD_HASHES; h++) {
        struct span name = span_of(password_hash_name(h)), all = span_of(text);
        struct span at = span_first(span_skip(all, 1), name.len);

        if (*text != '{' || !span_is_nocase(at, name) ||
            text[1 + name.len] != '}')
            continue;
        if (e->scram[h].iterations)
            return "has two verifiers of one kind";
        if (!password_scram_parse(h, span_skip(all, name.len + 2),
                                  &e->scram[h]))
            return "has a SCRAM verifier that is not "
                   "ITERATIONS,SALT,STOREDKEY,SERVERKEY";
        return NULL;
    }
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (span_starts_nocase(span_of(text), span_of(schemes[i]))) {
            text += strlen(schemes[i]);
            break;
        }
    if (e->crypt)
        return "has two verifiers of one kind";
    if (*text == '{' || !password_crypt_knows(text))
        return "has a verifier that is neither {SCRAM-SHA-256}..., "
               "{SCRAM-SHA-1}... nor a hash of crypt(5)";
    e->crypt = text;
    return NULL;
}

static const char *read_verifiers(struct userfile_entry *e, char *line)
{
    const char *fault = NULL;
    char *colon = strchr(line, ':');

    if (!colon)
        return "should be LOGIN:VERIFIER";
    e->key = span_make(line, (size_t)(colon - line));
    while (!fault && colon) {
        char *at = colon + 1;

        colon = strchr(at, ':');
        if (colon)
            *colon = '\0';
        fault = read_verifier(e, at);
    }
    return fault;
}

static const char *read_password(struct userfile_entry *e, char *line)
{
    struct span rest;

    e->key = span_split(span_of(line), ':', &rest);
    e->value = rest;
    if (rest.len == 0 || rest.len > LIMIT_PASSWORD)
        return "should be LOGIN:PASSWORD";
    return NULL;
}

/* In lower case and, of a fingerprint, without colons, as openssl prints them. */
static struct span fold_certificate(char *at, size_t len)
{
    static const struct span prefix = SPAN_INIT("sha256:");
    bool is_print = span_starts_nocase(span_make(at, len), prefix);
    size_t n = 0;

    for (size_t i = 0; i < len; i++)
        if (!is_print || i < prefix.len || at[i] != ':')
            at[n++] = ascii_lower(at[i]);
    return span_make(at, n);
}

static const char *read_certificate(struct userfile_entry *e, char *line)
{
    struct span all = span_trim(span_of(line));
    size_t blank = all.len;

    while (blank > 0 && all.at[blank - 1] != ' ' && all.at[blank - 1] != '\t')
        blank--;
    e->value = span_skip(all, blank);
    all = span_trim(span_first(all, blank));
    if (all.len == 0)
        return "should be sha256:FINGERPRINT LOGIN or NAME LOGIN";
    e->key = fold_certificate(line + (all.at - line), all.len);
    if (span_starts_nocase(e->key, SPAN("sha256:")) &&
        (e->key.len != 7 + 64 ||
         strspn(e->key.at + 7, "0123456789abcdef") < 64))
        return "has a fingerprint that is not 64 hexadecimal digits";
    return userfile_login_is_good(e->value) ? NULL
                                            : "has a login that cannot be one";
}

static const char *read_line(struct userfile *f, char *line, unsigned number)
{
    struct userfile_entry e = { .line = number };
    const char *fault = NULL;

    switch (f->kind) {
    case USERFILE_VERIFIERS:
        fault = read_verifiers(&e, line);
        break;
    case USERFILE_CRAM:
        fault = read_password(&e, line);
        break;
    case USERFILE_CERTIFICATES:
        fault = read_certificate(&e, line);
        break;
    }
    if (!fault && f->kind != USERFILE_CERTIFICATES &&
        !userfile_login_is_good(e.key))
        fault = "has a login that cannot be one";
    if (fault)
        return fault;
    for (size_t h = 0; h < PASSWORD_HASHES; h++)
        f->have[h] += e.scram[h].iterations > 0;
    f->have_any += e.crypt || e.scram[PASSWORD_SHA_256].iterations ||
                   e.scram[PASSWORD_SHA_1].iterations;
    if (f->count == f->room) {
        f->room = f->room ? 2 * f->room : 16;
        f->entries = memory_grow(f->entries, f->room * sizeof *f->entries);
    }
    f->entries[f->count++] = e;
    return NULL;
}

static int compare_keys(struct span a, struct span b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n ? memcmp(a.at, b.at, n) : 0;

    return c ? c : (a.len > b.len) - (a.len < b.len);
}

static int compare(const void *a, const void *b)
{
    const struct userfile_entry *x = a, *y = b;
    int c = compare_keys(x->key, y->key);

    return c ? c : (x->line > y->line) - (x->line < y->line);
}

static bool parse(struct userfile *f, const char *path, struct buffer *out_why)
{
    unsigned number = 0;
    char *end = f->file.bytes + f->file.len;

    for (char *line = f->file.bytes, *next; line < end; line = next) {
        char *stop = memchr(line, '\n', (size_t)(end - line));
        const char *fault;

        stop = stop ? stop : end;
        next = stop + 1;
        if (stop > line && stop[-1] == '\r')
            stop--;
        *stop = '\0';
        number++;
        if (*line == '#' || line[strspn(line, " \t")] == '\0')
            if (strlen(line) == (size_t)(stop - line))
                continue;
        fault = strlen(line) < (size_t)(stop - line)
                    ? "has a NUL"
                    : read_line(f, line, number);
        if (fault) {
            buffer_printf(out_why, "%s:%u: %s", path, number, fault);
            return false;
        }
    }
    if (f->count)
        qsort(f->entries, f->count, sizeof *f->entries, compare);
    for (size_t i = 1; i < f->count; i++)
        if (span_is(f->entries[i - 1].key, f->entries[i].key)) {
            buffer_printf(out_why, "%s:%u: is there twice, first in line %u",
                          path, f->entries[i].line, f->entries[i - 1].line);
            return false;
        }
    return true;
}

struct userfile *userfile_read(enum userfile_kind kind, const char *path,
                               struct stat *out_stat, struct buffer *out_why)
{
    struct userfile *f = NEW(struct userfile);

    f->kind = kind;
    if (load(f, path, out_why) < 0 || !parse(f, path, out_why)) {
        userfile_free(f);
        return NULL;
    }
    *out_stat = f->file.stat;
    return f;
}

void userfile_free(struct userfile *take_f)
{
    if (!take_f)
        return;
    if (take_f->entries)
        OPENSSL_cleanse(take_f->entries,
                        take_f->count * sizeof *take_f->entries);
    secretfile_fini(&take_f->file);
    free(take_f->entries);
    free(take_f);
}

size_t userfile_count(const struct userfile *f)
{
    return f->count;
}

const struct userfile_entry *userfile_at(const struct userfile *f, size_t i)
{
    return &f->entries[i];
}

static const struct userfile_entry *find(const struct userfile *f,
                                         struct span key)
{
    size_t low = 0, high = f->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int c = compare_keys(key, f->entries[middle].key);

        if (c == 0)
            return &f->entries[middle];
        if (c < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const struct userfile_entry *userfile_find(const struct userfile *f,
                                           struct span key)
{
    const struct userfile_entry *e;
    char *folded;

    if (f->kind != USERFILE_CERTIFICATES)
        return find(f, key);
    folded = span_dup(key);
    e = find(f, fold_certificate(folded, key.len));
    free(folded);
    return e;
}

bool userfile_all_have(const struct userfile *f, enum password_hash hash)
{
    return f->have[hash] == f->have_any;
}

bool userfile_entry_is(const struct userfile_entry *e, struct span password,
                       struct password_work *work)
{
    char *copy = span_dup(password), *prepared = NULL;
    enum password_hash h = PASSWORD_SHA_256;
    bool is = false;

    if (!e->scram[h].iterations && !e->crypt)
        h = PASSWORD_SHA_1;
    if (strlen(copy) < password.len) {
        is = false; /* a NUL: no password that can be kept here has one */
    } else if (e->scram[h].iterations) {
        if (password_prepare(copy, &prepared))
            is = password_scram_is(h, &e->scram[h], span_of(prepared), work);
        else /* what was never kept fits nothing, after the same work */
            (void)password_scram_is(h, &e->scram[h], password, work);
    } else if (e->crypt) {
        is = password_crypt_is(e->crypt, copy, work);
    }
    password_forget(prepared);
    password_forget(copy);
    return is;
}
