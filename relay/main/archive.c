/*
 * archive - writing a backup's file.
 */
#include "relay/main/archive_private.h"

#include "policy/vocabulary/memory.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FLUSH_BYTES = 256 * 1024 };

#define OCTAL_MOST ((uint64_t)1 << 33) /* what 11 octal digits can say */

struct archive {
    int fd;
    int64_t mtime_s;
    struct buffer out, sums, name; /* name: of the file that is being written */
    uint64_t size, left, written;
    EVP_MD_CTX *digest;
};

_Static_assert(sizeof(struct archive_header) == ARCHIVE_BLOCK,
               "a header is a block");

struct archive *archive_new(int fd, int64_t mtime_s)
{
    struct archive *a = NEW(struct archive);

    a->fd = fd;
    a->mtime_s = mtime_s;
    a->digest = EVP_MD_CTX_new();
    ASSERT(a->digest);
    return a;
}

void archive_free(struct archive *a)
{
    if (!a)
        return;
    EVP_MD_CTX_free(a->digest);
    buffer_fini(&a->out);
    buffer_fini(&a->sums);
    buffer_fini(&a->name);
    free(a);
}

uint64_t archive_bytes(const struct archive *a)
{
    return a->written + a->out.len;
}

unsigned archive_checksum(const struct archive_header *h)
{
    const unsigned char *at = (const unsigned char *)h;
    size_t from = offsetof(struct archive_header, checksum);
    unsigned sum = 0;

    for (size_t i = 0; i < sizeof(*h); i++)
        sum += i >= from && i < from + sizeof(h->checksum) ? ' ' : at[i];
    return sum;
}

void archive_put_sum(struct buffer *b, const unsigned char *digest,
                     struct span name)
{
    for (int i = 0; i < ARCHIVE_DIGEST; i++)
        buffer_printf(b, "%02x", digest[i]);
    buffer_put_string(b, "  ");
    buffer_put(b, name);
    buffer_put_byte(b, '\n');
}

/* ------------------------------------------------------------- bytes ----- */

static int flush(struct archive *a)
{
    struct span left = buffer_span(&a->out);

    while (left.len) {
        ssize_t n = write(a->fd, left.at, left.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        left = span_skip(left, (size_t)n);
        a->written += (uint64_t)n;
    }
    buffer_clear(&a->out);
    return 0;
}

static int put(struct archive *a, struct span bytes)
{
    buffer_put(&a->out, bytes);
    return a->out.len < FLUSH_BYTES ? 0 : flush(a);
}

static int put_zeros(struct archive *a, size_t n)
{
    static const char zeros[ARCHIVE_BLOCK];
    int rc = 0;

    for (; n > 0 && rc == 0; n -= n < sizeof(zeros) ? n : sizeof(zeros))
        rc = put(a, span_make(zeros, n < sizeof(zeros) ? n : sizeof(zeros)));
    return rc;
}

/* ------------------------------------------------------------ headers ---- */

/* Large ones as GNU's tar does: a bit that says so, then the number itself. */
static void put_size(struct archive_header *h, uint64_t size)
{
    if (size < OCTAL_MOST) {
        (void)snprintf(h->size, sizeof(h->size), "%011llo",
                       (unsigned long long)size);
        return;
    }
    h->size[0] = (char)0x80;
    for (size_t i = sizeof(h->size) - 1; i > 0; i--, size >>= 8)
        h->size[i] = (char)(size & 0xff);
}

static int put_header(struct archive *a, char type, struct span name,
                      struct span to, uint64_t size)
{
    struct archive_header h = { .type = type };

    if (strlen(ARCHIVE_FOLDER) + name.len >= sizeof(h.name) ||
        strlen(ARCHIVE_FOLDER) + to.len >= sizeof(h.link))
        return ERROR_TOO_BIG;
    (void)snprintf(h.name, sizeof(h.name), "%s%.*s", ARCHIVE_FOLDER,
                   SPAN_FMT(name));
    if (to.len)
        (void)snprintf(h.link, sizeof(h.link), "%s%.*s", ARCHIVE_FOLDER,
                       SPAN_FMT(to));
    (void)snprintf(h.mode, sizeof(h.mode), "%07o", 0600);
    (void)snprintf(h.uid, sizeof(h.uid), "%07o", 0);
    (void)snprintf(h.gid, sizeof(h.gid), "%07o", 0);
    (void)snprintf(h.mtime, sizeof(h.mtime), "%011llo",
                   (unsigned long long)a->mtime_s);
    put_size(&h, size);
    memcpy(h.magic, "ustar", sizeof(h.magic));
    memcpy(h.version, "00", sizeof(h.version));
    (void)snprintf(h.checksum, sizeof(h.checksum), "%06o",
                   archive_checksum(&h));
    h.checksum[7] = ' ';
    return put(a, span_make((const char *)&h, sizeof(h)));
}

int archive_begin(struct archive *a, struct span name, uint64_t size)
{
    ASSERT(a->left == 0);
    buffer_clear(&a->name);
    buffer_put(&a->name, name);
    a->size = a->left = size;
    ASSERT(EVP_DigestInit_ex(a->digest, EVP_sha256(), NULL) == 1);
    return put_header(a, '0', name, SPAN(""), size);
}

int archive_put(struct archive *a, struct span bytes)
{
    if (bytes.len > a->left)
        return ERROR_SYNTAX;
    a->left -= bytes.len;
    ASSERT(EVP_DigestUpdate(a->digest, bytes.at, bytes.len) == 1);
    return put(a, bytes);
}

int archive_end(struct archive *a)
{
    size_t over = (size_t)(a->size % ARCHIVE_BLOCK);
    unsigned char digest[EVP_MAX_MD_SIZE];

    if (a->left)
        return ERROR_SYNTAX;
    ASSERT(EVP_DigestFinal_ex(a->digest, digest, NULL) == 1);
    archive_put_sum(&a->sums, digest, buffer_span(&a->name));
    return over ? put_zeros(a, ARCHIVE_BLOCK - over) : 0;
}

int archive_link(struct archive *a, struct span name, struct span to)
{
    return put_header(a, '1', name, to, 0);
}

int archive_finish(struct archive *a)
{
    struct buffer sums = a->sums;
    int rc;

    a->sums = (struct buffer){ 0 };
    rc = archive_begin(a, SPAN(ARCHIVE_SUMS), sums.len);
    if (rc == 0)
        rc = archive_put(a, buffer_span(&sums));
    if (rc == 0)
        rc = archive_end(a);
    if (rc == 0)
        rc = put_zeros(a, (size_t)2 * ARCHIVE_BLOCK);
    buffer_fini(&sums);
    return rc < 0 ? rc : flush(a);
}
