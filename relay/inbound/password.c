/*
 * password - what is kept instead of a password, and is this one right?
 */
#include "relay/inbound/password.h"

#include "policy/vocabulary/memory.h"

#include <crypt.h>
#include <gsasl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>

/* clang-format off */
static const struct {
    const char *name;   size_t size;    const EVP_MD *(*md)(void);
} hashes[PASSWORD_HASHES] = {
    [PASSWORD_SHA_256] = { "SCRAM-SHA-256", 32, EVP_sha256 },
    [PASSWORD_SHA_1] = { "SCRAM-SHA-1", 20, EVP_sha1 },
};
/* clang-format on */

const char *password_hash_name(enum password_hash hash)
{
    return hashes[hash].name;
}

size_t password_hash_size(enum password_hash hash)
{
    return hashes[hash].size;
}

/* Base64 of at most `most` bytes; false when it is not that. */
static bool base64_read(struct span text, unsigned char *out, size_t most,
                        size_t *out_len)
{
    unsigned char all[(PASSWORD_SALT_MOST + 2) / 3 * 3];
    size_t pad = 0, len;
    int n;

    if (text.len == 0 || text.len % 4 != 0 || text.len / 4 * 3 > sizeof all)
        return false;
    while (pad < 2 && text.at[text.len - 1 - pad] == '=')
        pad++;
    n = EVP_DecodeBlock(all, (const unsigned char *)text.at, (int)text.len);
    if (n < 0)
        return false;
    len = (size_t)n - pad;
    if (len > most)
        return false;
    memcpy(out, all, len);
    *out_len = len;
    return true;
}

static void base64_print(struct buffer *b, const unsigned char *at, size_t len)
{
    char *room = buffer_room(b, (len + 2) / 3 * 4 + 1);

    if (room)
        buffer_grew(
            b, (size_t)EVP_EncodeBlock((unsigned char *)room, at, (int)len));
}

bool password_scram_parse(enum password_hash hash, struct span text,
                          struct password_scram *out_v)
{
    struct password_scram v = { 0 };
    struct span field[4], rest = text;
    uint64_t iterations;
    size_t stored, server;

    for (size_t i = 0; i < 4; i++)
        field[i] = span_split(rest, ',', &rest);
    if (rest.at || !span_number(field[0], &iterations) || iterations == 0 ||
        iterations > PASSWORD_ITERATIONS_MOST)
        return false;
    v.iterations = (unsigned)iterations;
    if (!base64_read(field[1], v.salt, sizeof v.salt, &v.salt_len) ||
        v.salt_len == 0 ||
        !base64_read(field[2], v.stored_key, sizeof v.stored_key, &stored) ||
        !base64_read(field[3], v.server_key, sizeof v.server_key, &server) ||
        stored != hashes[hash].size || server != hashes[hash].size)
        return false;
    *out_v = v;
    return true;
}

void password_scram_print(struct buffer *b, enum password_hash hash,
                          const struct password_scram *v)
{
    buffer_printf(b, "%u,", v->iterations);
    base64_print(b, v->salt, v->salt_len);
    buffer_put_byte(b, ',');
    base64_print(b, v->stored_key, hashes[hash].size);
    buffer_put_byte(b, ',');
    base64_print(b, v->server_key, hashes[hash].size);
}

/* The two keys of a password, with the salt and the iterations of v. */
static bool derive(enum password_hash hash, struct span prepared,
                   struct password_scram *v)
{
    const EVP_MD *md = hashes[hash].md();
    int size = (int)hashes[hash].size;
    unsigned char salted[PASSWORD_KEY_MOST], client[PASSWORD_KEY_MOST];
    bool ok;

    ok = PKCS5_PBKDF2_HMAC(prepared.at, (int)prepared.len, v->salt,
                           (int)v->salt_len, (int)v->iterations, md, size,
                           salted) == 1 &&
         HMAC(md, salted, size, (const unsigned char *)"Server Key", 10,
              v->server_key, NULL) &&
         HMAC(md, salted, size, (const unsigned char *)"Client Key", 10, client,
              NULL) &&
         EVP_Digest(client, (size_t)size, v->stored_key, NULL, md, NULL) == 1;
    OPENSSL_cleanse(salted, sizeof salted);
    OPENSSL_cleanse(client, sizeof client);
    return ok;
}

int password_scram_make(enum password_hash hash, struct span prepared,
                        struct password_scram *out_v)
{
    struct password_scram v = { .iterations = PASSWORD_ITERATIONS,
                                .salt_len = PASSWORD_SALT };

    ASSERT(prepared.len <= INT_MAX);
    if (RAND_bytes(v.salt, PASSWORD_SALT) != 1 || !derive(hash, prepared, &v))
        return ERROR_TLS;
    *out_v = v;
    return 0;
}

bool password_scram_is(enum password_hash hash, const struct password_scram *v,
                       struct span prepared, struct password_work *work)
{
    struct password_scram mine = *v;
    bool is;

    ASSERT(prepared.len <= INT_MAX);
    atomic_fetch_add(&work->derivations, 1);
    is = derive(hash, prepared, &mine) &&
         CRYPTO_memcmp(mine.stored_key, v->stored_key, hashes[hash].size) == 0;
    OPENSSL_cleanse(&mine, sizeof mine);
    return is;
}

bool password_crypt_knows(const char *hash)
{
    int rc = *hash == '$' ? crypt_checksalt(hash) : CRYPT_SALT_INVALID;

    return rc == CRYPT_SALT_OK || rc == CRYPT_SALT_METHOD_LEGACY;
}

int password_crypt_make(const char *password, struct buffer *out_hash)
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    struct crypt_data *data = NEW(struct crypt_data);
    const char *made = NULL;

    if (crypt_gensalt_rn(NULL, 0, NULL, 0, setting, sizeof setting))
        made = crypt_rn(password, setting, data, sizeof *data);
    if (made)
        buffer_put_string(out_hash, made);
    OPENSSL_cleanse(data, sizeof *data);
    free(data);
    return made ? 0 : ERROR_SYNTAX;
}

bool password_crypt_is(const char *hash, const char *password,
                       struct password_work *work)
{
    struct crypt_data *data = NEW(struct crypt_data);
    const char *made;
    bool is;

    atomic_fetch_add(&work->crypts, 1);
    made = crypt_rn(password, hash, data, sizeof *data);
    is = made && strlen(made) == strlen(hash) &&
         CRYPTO_memcmp(made, hash, strlen(hash)) == 0;
    OPENSSL_cleanse(data, sizeof *data);
    free(data);
    return is;
}

bool password_prepare(const char *password, char **out_prepared)
{
    const char *p = password;

    while (*p >= ' ' && *p <= '~')
        p++;
    if (!*p) { /* stays as it is; the library would leave copies behind */
        *out_prepared = span_dup(span_of(password));
        return true;
    }
    return gsasl_saslprep(password, GSASL_ALLOW_UNASSIGNED, out_prepared,
                          NULL) == GSASL_OK;
}

void password_forget(char *take_secret)
{
    if (take_secret)
        OPENSSL_cleanse(take_secret, strlen(take_secret));
    free(take_secret);
}

void password_forget_buffer(struct buffer *b)
{
    if (b->at)
        OPENSSL_cleanse(b->at, b->size);
    buffer_fini(b);
}
