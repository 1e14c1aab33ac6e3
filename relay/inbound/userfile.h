/*
 * userfile - the three files of users { }, as tables to look in.
 *
 *   file           LOGIN:VERIFIER[:VERIFIER...]
 *                  a verifier is {SCRAM-SHA-256}ITERATIONS,SALT,STOREDKEY,SERVERKEY or
 *                  {SCRAM-SHA-1}... (in base64, as Dovecot writes them), or a hash of
 *                  crypt(5), with {CRYPT} in front of it or not; one that begins with !
 *                  or * is locked and fits nothing
 *   cram           LOGIN:PASSWORD       for CRAM-MD5, which needs the password itself;
 *                                       nobody but its owner may read it
 *   certificates   sha256:HEX LOGIN     a client certificate, by fingerprint
 *                  NAME LOGIN           or by a name in one that an authority vouches for
 *
 * One entry a line; empty lines and those that begin with # are skipped. A login is up to
 * LIMIT_LOGIN bytes of UTF-8 without colon, space or control character, and is compared
 * byte by byte. A table is immutable and may be read by any thread.
 */
#ifndef WAYPOST_USERFILE_H
#define WAYPOST_USERFILE_H

#include "relay/inbound/password.h"

#include <sys/stat.h>

enum userfile_kind { USERFILE_VERIFIERS, USERFILE_CRAM, USERFILE_CERTIFICATES };

struct userfile_entry {
    struct span key;   /* login; of a certificate its fingerprint or name */
    struct span value; /* password or, of a certificate, login */
    const char *crypt; /* NULL: none */
    struct password_scram scram[PASSWORD_HASHES]; /* iterations 0: none */
    unsigned line;
};

struct userfile;

/* NULL: out_why is a sentence with FILE or FILE:LINE in front. out_stat: of what was read. */
struct userfile *userfile_read(enum userfile_kind kind, const char *path,
                               struct stat *out_stat, struct buffer *out_why);
/* Wipes what it holds. */
void userfile_free(struct userfile *take_f);

size_t userfile_count(const struct userfile *f);
/* In order of keys. */
const struct userfile_entry *userfile_at(const struct userfile *f, size_t i);
/* NULL: nobody. Fingerprints and names of certificates in any case. */
const struct userfile_entry *userfile_find(const struct userfile *f,
                                           struct span key);
/* Has everybody, who has any verifier, one for this? True of an empty file. */
bool userfile_all_have(const struct userfile *f, enum password_hash hash);

bool userfile_login_is_good(struct span login);

/* Is it the password of this entry? By SCRAM-SHA-256's verifier if there is one, else by
 * the crypt hash, else by SCRAM-SHA-1's. */
bool userfile_entry_is(const struct userfile_entry *e, struct span password,
                       struct password_work *work);

#endif
