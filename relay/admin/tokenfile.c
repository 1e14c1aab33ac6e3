/*
 * tokenfile - the tokens by which programs may use the HTTP interface over TCP.
 */
#include "relay/admin/tokenfile.h"

#include "policy/vocabulary/memory.h"
#include "relay/net/secretfile.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <unistd.h>

enum { FILE_MOST = 1024 * 1024, RANDOM_BYTES = 32 };

struct tokenfile {
    struct secretfile file;
    struct tokenfile_entry *entries;
    size_t count, room;
};

static const char *const roles[] = {
    [ROLE_READ] = "read", [ROLE_OPERATOR] = "operator"
};

/* ------------------------------------------------------------- values ---- */

bool tokenfile_role_parse(struct span s, enum role *out_role)
{
    for (enum role r = ROLE_READ; r <= ROLE_OPERATOR; r++)
        if (span_is(s, span_of(roles[r]))) {
            *out_role = r;
            return true;
        }
    return false;
}

const char *tokenfile_role_name(enum role role)
{
    return roles[role];
}

bool tokenfile_name_is_good(struct span name)
{
    if (name.len == 0 || name.len > TOKENFILE_NAME_MOST)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9');
        bool is_mark = c == '.' || c == '_' || c == '-' || c == '@';

        if (!is_plain && (i == 0 || !is_mark))
            return false;
    }
    return true;
}

static void hash_of(struct span token, unsigned char *out)
{
    (void)SHA256((const unsigned char *)token.at, token.len, out);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool hash_parse(struct span s, unsigned char *out)
{
    if (s.len != (size_t)2 * SHA256_DIGEST_LENGTH)
        return false;
    for (size_t i = 0; i < SHA256_DIGEST_LENGTH; i++) {
        int high = hex_digit(s.at[i * 2]), low = hex_digit(s.at[i * 2 + 1]);

        if (high < 0 || low < 0)
            return false;
        out[i] = (unsigned char)(high * 16 + low);
    }
    return true;
}

/* ------------------------------------------------------------- reading --- */

static const char *read_line(struct tokenfile *f, struct span line)
{
    struct tokenfile_entry e = { 0 };
    struct span rest;
    uint64_t created;

    e.name = span_split(line, ':', &rest);
    if (!tokenfile_name_is_good(e.name))
        return "has a name that cannot be one";
    if (!tokenfile_role_parse(span_split(rest, ':', &rest), &e.role))
        return "has a role that is neither read nor operator";
    if (!hash_parse(span_split(rest, ':', &rest), e.hash))
        return "has a hash that is not 64 hexadecimal digits";
    if (!rest.at || !span_number(rest, &created) || created > INT64_MAX)
        return "should be NAME:ROLE:HASH:CREATED";
    e.created_s = (int64_t)created;
    for (size_t i = 0; i < f->count; i++)
        if (span_is(f->entries[i].name, e.name))
            return "has a name that is there already";
    if (f->count == f->room) {
        f->room = f->room ? 2 * f->room : 8;
        f->entries = memory_grow(f->entries, f->room * sizeof(*f->entries));
    }
    f->entries[f->count++] = e;
    return NULL;
}

static bool parse(struct tokenfile *f, const char *path, struct buffer *out_why)
{
    struct span left = span_make(f->file.bytes, f->file.len);
    unsigned number = 0;

    while (left.len) {
        struct span line = span_trim(span_split(left, '\n', &left));
        const char *fault;

        number++;
        if (line.len == 0 || line.at[0] == '#')
            continue;
        fault = read_line(f, line);
        if (fault) {
            buffer_printf(out_why, "%s:%u: %s", path, number, fault);
            return false;
        }
    }
    return true;
}

static bool load(struct tokenfile *f, const char *path, struct buffer *out_why)
{
    if (secretfile_read(path, FILE_MOST, &f->file, out_why) < 0)
        return false;
    if (f->file.stat.st_mode & (S_IWGRP | S_IWOTH)) {
        (void)secretfile_complain(out_why, path, -EACCES,
                                  "may be written by others than its owner; "
                                  "chmod 600 it");
        return false;
    }
    return parse(f, path, out_why);
}

struct tokenfile *tokenfile_read(const char *path, struct stat *out_stat,
                                 struct buffer *out_why)
{
    struct tokenfile *f = NEW(struct tokenfile);

    if (access(path, F_OK) < 0 && errno == ENOENT) {
        *out_stat = (struct stat){ 0 };
        return f;
    }
    if (!load(f, path, out_why)) {
        tokenfile_free(f);
        return NULL;
    }
    *out_stat = f->file.stat;
    return f;
}

void tokenfile_free(struct tokenfile *f)
{
    if (!f)
        return;
    secretfile_fini(&f->file);
    free(f->entries);
    free(f);
}

size_t tokenfile_count(const struct tokenfile *f)
{
    return f->count;
}

const struct tokenfile_entry *tokenfile_at(const struct tokenfile *f, size_t i)
{
    return &f->entries[i];
}

/* ------------------------------------------------------------- finding --- */

/* All are looked at, so that time tells nothing. */
const struct tokenfile_entry *tokenfile_find(const struct tokenfile *f,
                                             struct span token)
{
    const struct tokenfile_entry *found = NULL;
    unsigned char hash[SHA256_DIGEST_LENGTH];

    hash_of(token, hash);
    for (size_t i = 0; i < f->count; i++)
        if (CRYPTO_memcmp(hash, f->entries[i].hash, sizeof(hash)) == 0)
            found = &f->entries[i];
    OPENSSL_cleanse(hash, sizeof(hash));
    return found;
}

bool tokenfile_has(const struct tokenfile *f, const struct tokenfile_entry *e)
{
    for (size_t i = 0; i < f->count; i++)
        if (span_is(f->entries[i].name, e->name) &&
            f->entries[i].role == e->role &&
            memcmp(f->entries[i].hash, e->hash, sizeof(e->hash)) == 0)
            return true;
    return false;
}

/* -------------------------------------------------------------- making --- */

int tokenfile_make(char out_token[TOKENFILE_TOKEN])
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    unsigned char bytes[RANDOM_BYTES + 1] = { 0 };
    char *at = out_token;

    if (RAND_bytes(bytes, RANDOM_BYTES) != 1)
        return -EIO;
    memcpy(at, "wp_", 3);
    at += 3;
    for (unsigned bit = 0; bit < RANDOM_BYTES * 8; bit += 5) {
        unsigned two = bytes[bit / 8] * 256U + bytes[bit / 8 + 1];

        *at++ = digits[two >> (11 - bit % 8) & 31];
    }
    *at = '\0';
    OPENSSL_cleanse(bytes, sizeof(bytes));
    return 0;
}

void tokenfile_print(struct buffer *b, enum role role, const char *token,
                     int64_t created_s)
{
    unsigned char hash[SHA256_DIGEST_LENGTH];

    hash_of(span_of(token), hash);
    buffer_printf(b, "%s:", roles[role]);
    for (size_t i = 0; i < sizeof(hash); i++)
        buffer_printf(b, "%02x", hash[i]);
    buffer_printf(b, ":%lld", (long long)created_s);
}
