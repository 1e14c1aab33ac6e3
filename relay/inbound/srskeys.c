/*
 * srskeys - the secrets that srs signs with, from srs-secret-file.
 *
 * Each reading that differs is a set of its own, and takes the place of the one
 * before by one pointer; sets are kept until the end, since a session may be
 * asking the old one. Reloads that change secrets are few.
 */
#include "relay/inbound/srskeys.h"

#include "policy/vocabulary/memory.h"
#include "relay/net/secretfile.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdatomic.h>
#include <stdlib.h>

struct set {
    struct set *before;
    struct srs_secrets secrets;
    struct span all[SRSKEYS_MOST];
    struct secretfile file;
};

struct srskeys {
    _Atomic(struct set *) now; /* NULL: none are to be used */
    struct set *last;          /* all there ever were */
};

static void hmac_sha1(struct span secret, struct span text,
                      unsigned char out_hash[SRS_HASH])
{
    unsigned len = SRS_HASH;

    ASSERT(HMAC(EVP_sha1(), secret.at, (int)secret.len,
                (const unsigned char *)(text.at ? text.at : ""), text.len,
                out_hash, &len));
}

static void set_free(struct set *take_s)
{
    secretfile_fini(&take_s->file);
    free(take_s);
}

struct srskeys *srskeys_new(void)
{
    return NEW(struct srskeys);
}

void srskeys_free(struct srskeys *k)
{
    while (k && k->last) {
        struct set *before = k->last->before;

        set_free(k->last);
        k->last = before;
    }
    free(k);
}

const struct srs_secrets *srskeys_now(const struct srskeys *k)
{
    struct set *set =
        k ? atomic_load_explicit(&k->now, memory_order_acquire) : NULL;

    return set ? &set->secrets : NULL;
}

/* --- reading the file ------------------------------------------------------
 */

/* Lines without anything in them are passed over. */
static int take_lines(const char *path, struct set *set, struct buffer *why)
{
    struct span rest = span_make(set->file.bytes, set->file.len);

    set->secrets = (struct srs_secrets){ .all = set->all, .hmac = hmac_sha1 };
    while (rest.len) {
        struct span line = span_split(rest, '\n', &rest);

        if (line.len && line.at[line.len - 1] == '\r')
            line.len--;
        if (line.len == 0)
            continue;
        if (set->secrets.count == SRSKEYS_MOST)
            return secretfile_complain(why, path, ERROR_SYNTAX,
                                       "more than 16 secrets");
        if (line.len < SRS_SECRET_LEAST)
            return secretfile_complain(
                why, path, ERROR_SYNTAX,
                "a secret has 8 characters or more, one a line");
        set->all[set->secrets.count++] = line;
    }
    if (set->secrets.count == 0)
        return secretfile_complain(why, path, ERROR_SYNTAX,
                                   "there is no secret in it");
    return 0;
}

static bool is_same(const struct set *a, const struct set *b)
{
    return a->file.len == b->file.len &&
           memcmp(a->file.bytes, b->file.bytes, a->file.len) == 0;
}

int srskeys_read(struct srskeys *k, const struct settings *s, bool *out_exposed,
                 struct buffer *out_why)
{
    struct set *set, *now = atomic_load(&k->now);
    char *path;
    int rc;

    if (s->srs.secret_file.len == 0) {
        atomic_store_explicit(&k->now, NULL, memory_order_release);
        return 0;
    }
    set = NEW(struct set);
    path = span_dup(s->srs.secret_file);
    rc = secretfile_read(path, SRSKEYS_FILE_MOST, &set->file, out_why);
    if (rc == 0 && out_exposed)
        *out_exposed = secretfile_is_exposed(&set->file);
    if (rc == 0)
        rc = take_lines(path, set, out_why);
    free(path);
    if (rc < 0 || (now && is_same(now, set))) {
        set_free(set);
        return rc;
    }
    set->before = k->last;
    k->last = set;
    atomic_store_explicit(&k->now, set, memory_order_release);
    return 0;
}
