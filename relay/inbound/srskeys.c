/*
 * srskeys - the secrets that srs signs with, from srs-secret-file.
 *
 * Each reading that differs is a set of its own, and takes the place of the one
 * before by one pointer; sets are kept until the end, since a session may be
 * asking the old one. Reloads that change secrets are few.
 */
#include "relay/inbound/srskeys.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct set {
    struct set *before;
    struct srs_secrets secrets;
    struct span all[SRSKEYS_MOST];
    size_t len;
    char bytes[SRSKEYS_FILE_MOST + 1];
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
    explicit_bzero(take_s, sizeof *take_s);
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

static int complain(struct buffer *why, const char *path, int rc,
                    const char *text)
{
    buffer_put_escaped(why, span_of(path));
    buffer_printf(why, ": %s", text ? text : error_text(rc));
    return rc;
}

static int read_bytes(int fd, struct set *set)
{
    while (set->len < sizeof set->bytes) {
        ssize_t n =
            read(fd, set->bytes + set->len, sizeof set->bytes - set->len);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            break;
        set->len += n > 0 ? (size_t)n : 0;
    }
    return set->len > SRSKEYS_FILE_MOST ? ERROR_TOO_BIG : 0;
}

static int read_file(const char *path, struct set *set, bool *out_exposed,
                     struct buffer *why)
{
    /* a FIFO must not make us wait, nor a terminal become ours */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    int rc;

    if (fd < 0 || fstat(fd, &st) < 0)
        rc = complain(why, path, -errno, NULL);
    else if (!S_ISREG(st.st_mode))
        rc = complain(why, path, -EINVAL, "not a regular file");
    else if ((rc = read_bytes(fd, set)) < 0)
        (void)complain(why, path, rc, NULL);
    if (rc == 0 && out_exposed)
        *out_exposed = (st.st_mode & (S_IRWXG | S_IRWXO)) != 0;
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

/* Lines without anything in them are passed over. */
static int take_lines(const char *path, struct set *set, struct buffer *why)
{
    struct span rest = span_make(set->bytes, set->len);

    set->secrets = (struct srs_secrets){ .all = set->all, .hmac = hmac_sha1 };
    while (rest.len) {
        struct span line = span_split(rest, '\n', &rest);

        if (line.len && line.at[line.len - 1] == '\r')
            line.len--;
        if (line.len == 0)
            continue;
        if (set->secrets.count == SRSKEYS_MOST)
            return complain(why, path, ERROR_SYNTAX, "more than 16 secrets");
        if (line.len < SRS_SECRET_LEAST)
            return complain(why, path, ERROR_SYNTAX,
                            "a secret has 8 characters or more, one a line");
        set->all[set->secrets.count++] = line;
    }
    if (set->secrets.count == 0)
        return complain(why, path, ERROR_SYNTAX, "there is no secret in it");
    return 0;
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
    rc = read_file(path, set, out_exposed, out_why);
    if (rc == 0)
        rc = take_lines(path, set, out_why);
    free(path);
    if (rc < 0 || (now && now->len == set->len &&
                   memcmp(now->bytes, set->bytes, set->len) == 0)) {
        set_free(set);
        return rc;
    }
    set->before = k->last;
    k->last = set;
    atomic_store_explicit(&k->now, set, memory_order_release);
    return 0;
}
