/*
 * unarchive - reading a backup's file.
 *
 * Sums are made of what was read, as the writer made them: the list at the end must be the
 * same text. So nothing can be missing, doubled or changed in between; the order is the
 * writer's too. Only what we write is understood: files and links below one folder.
 */
#include "relay/main/archive_private.h"

#include "policy/vocabulary/memory.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_BYTES = 256 * 1024 };

struct reading {
    int fd;
    const struct archive_events *events;
    void *user;
    struct buffer *why;
    char *bytes;
    struct buffer sums, said; /* as they are; as the file says */
    bool is_sums;             /* what is read now */
    EVP_MD_CTX *digest;
};

static int refuse(struct reading *r, const char *text)
{
    buffer_put_string(r->why, text);
    return ERROR_DAMAGED;
}

/* All of it, or it is cut off. */
static int read_all(struct reading *r, char *at, size_t len)
{
    while (len > 0) {
        ssize_t n = read(r->fd, at, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int rc = -errno;

            buffer_printf(r->why, "it cannot be read: %s", error_text(rc));
            return rc;
        }
        if (n == 0)
            return refuse(r, "it is cut off: its end is missing");
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

/* ------------------------------------------------------------ headers ---- */

static bool octal(const char *at, size_t len, uint64_t *out)
{
    uint64_t n = 0;
    size_t digits = 0;

    for (; digits < len && at[digits] >= '0' && at[digits] <= '7'; digits++)
        n = n * 8 + (uint64_t)(at[digits] - '0');
    *out = n;
    return digits > 0;
}

static bool size_of(const struct archive_header *h, uint64_t *out)
{
    uint64_t n = 0;

    if (!((unsigned char)h->size[0] & 0x80))
        return octal(h->size, sizeof(h->size) - 1, out);
    for (size_t i = sizeof(h->size) - 8; i < sizeof(h->size); i++)
        n = n << 8 | (unsigned char)h->size[i];
    *out = n;
    return n <= INT64_MAX;
}

/* Relative to our folder; a name that leads anywhere else is none. */
static bool name_of(const char *field, size_t size, struct span *out)
{
    struct span name = { field, strnlen(field, size) };
    struct span part, rest;

    if (!span_is(span_first(name, strlen(ARCHIVE_FOLDER)),
                 SPAN(ARCHIVE_FOLDER)))
        return false;
    *out = rest = span_skip(name, strlen(ARCHIVE_FOLDER));
    while (rest.len) {
        part = span_split(rest, '/', &rest);
        if (!part.len || part.at[0] == '.')
            return false;
    }
    return out->len > 0 && out->at[out->len - 1] != '/';
}

static bool is_end(const struct archive_header *h)
{
    static const struct archive_header zeros;

    return memcmp(h, &zeros, sizeof(zeros)) == 0;
}

/* ------------------------------------------------------------- members --- */

static int take_bytes(struct reading *r, struct span bytes)
{
    if (!r->is_sums) {
        ASSERT(EVP_DigestUpdate(r->digest, bytes.at, bytes.len) == 1);
        return r->events->bytes(r->user, bytes);
    }
    buffer_put(&r->said, bytes);
    return r->said.overflow ? refuse(r, "its list of sums is too long") : 0;
}

static int read_bytes(struct reading *r, uint64_t size)
{
    size_t over = (size_t)(size % ARCHIVE_BLOCK);
    int rc = 0;

    while (size > 0 && rc == 0) {
        size_t part = size < READ_BYTES ? (size_t)size : READ_BYTES;

        if ((rc = read_all(r, r->bytes, part)) == 0)
            rc = take_bytes(r, span_make(r->bytes, part));
        size -= part;
    }
    return rc == 0 && over ? read_all(r, r->bytes, ARCHIVE_BLOCK - over) : rc;
}

static int read_file(struct reading *r, struct span name, uint64_t size)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    int rc = 0;

    r->is_sums = span_is(name, SPAN(ARCHIVE_SUMS));
    ASSERT(EVP_DigestInit_ex(r->digest, EVP_sha256(), NULL) == 1);
    if (!r->is_sums)
        rc = r->events->begin(r->user, name, size);
    if (rc == 0)
        rc = read_bytes(r, size);
    if (rc < 0 || r->is_sums)
        return rc;
    ASSERT(EVP_DigestFinal_ex(r->digest, digest, NULL) == 1);
    archive_put_sum(&r->sums, digest, name);
    return r->sums.overflow ? refuse(r, "it has too many files")
                            : r->events->end(r->user);
}

static int read_member(struct reading *r, const struct archive_header *h)
{
    struct span name, to;
    uint64_t size, sum;

    if (memcmp(h->magic, "ustar", 5) != 0)
        return refuse(r, "it is not a backup");
    if (!octal(h->checksum, sizeof(h->checksum), &sum) ||
        sum != archive_checksum(h))
        return refuse(r, "it is damaged: a header is not as it was written");
    if (!name_of(h->name, sizeof(h->name), &name) || !size_of(h, &size))
        return refuse(r, "it is not a backup: it names files elsewhere");
    if (h->type == '0')
        return read_file(r, name, size);
    if (h->type != '1' || size || !name_of(h->link, sizeof(h->link), &to))
        return refuse(r, "it is not a backup: it holds more than files");
    return r->events->link(r->user, name, to);
}

static int read_members(struct reading *r)
{
    struct archive_header h;
    int rc;

    while ((rc = read_all(r, (char *)&h, sizeof(h))) == 0 && !is_end(&h)) {
        if (r->is_sums)
            return refuse(r, "it is damaged: something follows its sums");
        if ((rc = read_member(r, &h)) < 0)
            return rc;
    }
    if (rc < 0)
        return rc;
    if (!r->is_sums)
        return refuse(r, "it is not a backup: it has no sums");
    if (!span_is(buffer_span(&r->said), buffer_span(&r->sums)))
        return refuse(r, "it is damaged: a file in it does not match its sum");
    return 0;
}

int archive_read(int fd, const struct archive_events *events, void *user,
                 struct buffer *out_why)
{
    struct reading r = {
        .fd = fd,
        .events = events,
        .user = user,
        .why = out_why,
        .bytes = memory_take(READ_BYTES),
        .sums = { .cap = ARCHIVE_SUMS_MOST },
        .said = { .cap = ARCHIVE_SUMS_MOST },
        .digest = EVP_MD_CTX_new(),
    };
    int rc;

    ASSERT(r.digest);
    rc = read_members(&r);
    EVP_MD_CTX_free(r.digest);
    buffer_fini(&r.sums);
    buffer_fini(&r.said);
    free(r.bytes);
    return rc;
}
