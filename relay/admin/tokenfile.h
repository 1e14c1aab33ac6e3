/*
 * tokenfile - the tokens by which programs may use the HTTP interface over TCP.
 *
 *   NAME:ROLE:HASH:CREATED      one a line; ROLE is read or operator, HASH the SHA-256 of
 *                               the token in hexadecimal, CREATED seconds since 1970
 *
 * Empty lines and those that begin with # are skipped. A token is "wp_" and 256 random bits
 * in base32, made by us: nobody can guess one, so nothing would be won by a hash that is
 * slow, as those of passwords are; who reads the file learns no token. Whether one is right
 * takes as long as whether it is any.
 */
#ifndef WAYPOST_TOKENFILE_H
#define WAYPOST_TOKENFILE_H

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/error.h"
#include "relay/admin/role.h"

#include <openssl/sha.h>
#include <sys/stat.h>

enum {
    TOKENFILE_NAME_MOST = 64,
    TOKENFILE_TOKEN = 3 + 52 + 1, /* with the NUL at its end */
};

struct tokenfile_entry {
    struct span name;
    enum role role;
    unsigned char hash[SHA256_DIGEST_LENGTH];
    int64_t created_s;
};

struct tokenfile;

/* NULL: out_why is a sentence with FILE or FILE:LINE in front. A file that is not there
 * holds no tokens. out_stat: of what was read; zeroed where there is none. */
struct tokenfile *tokenfile_read(const char *path, struct stat *out_stat,
                                 struct buffer *out_why);
void tokenfile_free(struct tokenfile *take_f);

size_t tokenfile_count(const struct tokenfile *f);
/* As the lines stand. */
const struct tokenfile_entry *tokenfile_at(const struct tokenfile *f, size_t i);
/* NULL: there is no such token. */
const struct tokenfile_entry *tokenfile_find(const struct tokenfile *f,
                                             struct span token);
/* By name and hash: is it there still? */
bool tokenfile_has(const struct tokenfile *f, const struct tokenfile_entry *e);

/* A new token; negative where there is no randomness. */
MUST int tokenfile_make(char out_token[TOKENFILE_TOKEN]);
/* What stands behind "NAME:". */
void tokenfile_print(struct buffer *b, enum role role, const char *token,
                     int64_t created_s);

/* Letters, digits, and . _ - @ within. */
bool tokenfile_name_is_good(struct span name);
/* "read", "operator" */
bool tokenfile_role_parse(struct span s, enum role *out_role);
const char *tokenfile_role_name(enum role role);

#endif
