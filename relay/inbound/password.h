/*
 * password - what is kept instead of a password, and is this one right?
 *
 * Two kinds of verifier: a hash of crypt(5), whatever libxcrypt knows, and what SCRAM
 * needs. Each check is 3 to 50 ms of computing, so it runs on the desk's threads. Compares
 * take the same time wherever the difference is; what was derived from a password is
 * wiped. RFC 5802, 7677, 8018, 4013.
 */
#ifndef WAYPOST_PASSWORD_H
#define WAYPOST_PASSWORD_H

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/error.h"

#include <stdatomic.h>

/* How often was computed: a wrong user must cost what a wrong password costs. */
struct password_work {
    atomic_uint crypts, derivations;
};

enum password_hash { PASSWORD_SHA_256, PASSWORD_SHA_1, PASSWORD_HASHES };

enum {
    /* RFC 7677 asks for 4096 at least and for more where clients can bear it. 10,000 is
     * 3 ms of a server's core, and under a second for a printer that scans to mail, which
     * must compute the same at each login. */
    PASSWORD_ITERATIONS = 10000,
    PASSWORD_ITERATIONS_MOST = 10 * 1000 * 1000,
    PASSWORD_SALT = 16, /* of ours, bytes */
    PASSWORD_SALT_MOST = 64,
    PASSWORD_KEY_MOST = 32,
};

/* What a server keeps for SCRAM. RFC 5802 section 3. */
struct password_scram {
    unsigned iterations; /* 0: none */
    size_t salt_len;
    unsigned char salt[PASSWORD_SALT_MOST];
    unsigned char stored_key[PASSWORD_KEY_MOST];
    unsigned char server_key[PASSWORD_KEY_MOST];
};

/* "SCRAM-SHA-256" */
const char *password_hash_name(enum password_hash hash);
size_t password_hash_size(enum password_hash hash);

/* ITERATIONS,SALT,STOREDKEY,SERVERKEY, the last three in base64. */
bool password_scram_parse(enum password_hash hash, struct span text,
                          struct password_scram *out_v);
void password_scram_print(struct buffer *b, enum password_hash hash,
                          const struct password_scram *v);
/* Salt from the system's randomness. */
MUST int password_scram_make(enum password_hash hash, struct span prepared,
                             struct password_scram *out_v);
bool password_scram_is(enum password_hash hash, const struct password_scram *v,
                       struct span prepared, struct password_work *work);

/* Does libxcrypt know it? Those of DES, without a $ in front, are not taken: any password
 * that somebody wrote there as it is would look like one. Ends in NUL. */
bool password_crypt_knows(const char *hash);
/* A new hash of the system's best method (yescrypt). */
MUST int password_crypt_make(const char *password, struct buffer *out_hash);
bool password_crypt_is(const char *hash, const char *password,
                       struct password_work *work);

/* SASLprep; false: it is not UTF-8 or has what may not be in it. To be given to
 * password_forget. */
bool password_prepare(const char *password, char **out_prepared);
/* Wipes and frees; NULL is fine. */
void password_forget(char *take_secret);
/* Wipes all that a buffer has held, and gives its memory back. */
void password_forget_buffer(struct buffer *b);

#endif
