/*
 * response - an answer as the server sends it: its headers, its bytes, its stream.
 *
 * Every answer, errors too, carries what keeps a browser from making anything else of it:
 * no guessing of types, no frames, no scripts, no referrer, no cache. A file may have a
 * policy of its own, and is kept by the browser until its ETag changes.
 */
#include "relay/admin/response.h"

#include <openssl/sha.h>
#include <stdio.h>

enum {
    STREAM_BLOCK = 16 * 1024,
    LIST_SILENCE_S = 3600, /* a list may be read slowly by a person */
    PUSH_SILENCE_S = 120,  /* who reads no news so long is gone */
    ETAG_BYTES = 12,
};

/* clang-format off */
static const char *const medias[] = {
    [MEDIA_JSON] = "application/json",
    [MEDIA_LINES] = "application/x-ndjson",
    [MEDIA_METRICS] = "text/plain; version=0.0.4; charset=utf-8",
    [MEDIA_EVENTS] = "text/event-stream",
    [MEDIA_MESSAGE] = "message/rfc822",
    [MEDIA_FILE] = "application/octet-stream",
};

static const struct { const char *name, *value; } shields[] = {
    { "X-Content-Type-Options", "nosniff" },
    { "X-Frame-Options", "DENY" },
    { "Referrer-Policy", "no-referrer" },
    { "Cross-Origin-Resource-Policy", "same-origin" },
    { "Cross-Origin-Opener-Policy", "same-origin" },
};
/* clang-format on */

#define POLICY "default-src 'none'; frame-ancestors 'none'; sandbox"

static void put(struct MHD_Response *to, const char *name, const char *value)
{
    ASSERT(MHD_add_response_header(to, name, value) == MHD_YES);
}

/* ------------------------------------------------------------ streams ---- */

/* Hands the server what is there of a stream; at its end asks for more. */
static ssize_t read_stream(void *user, uint64_t position, char *to, size_t most)
{
    struct request *r = user;
    struct span left = span_skip(buffer_span(&r->answer), r->sent);

    (void)position;
    if (r->is_cut)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (left.len && left.at) {
        left = span_first(left, most);
        memcpy(to, left.at, left.len);
        r->sent += left.len;
        return (ssize_t)left.len;
    }
    if ((r->more || r->is_push) && r->admin->is_closing)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (!r->more && !r->is_push)
        return MHD_CONTENT_READER_END_OF_STREAM;
    buffer_clear(&r->answer);
    r->sent = 0;
    if (r->is_push)
        request_wait(r);
    else
        r->more(r);
    return 0;
}

static struct MHD_Response *make_stream(struct request *r)
{
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, STREAM_BLOCK, read_stream, r, NULL);

    (void)MHD_set_connection_option(
        r->connection, MHD_CONNECTION_OPTION_TIMEOUT,
        (unsigned)(r->is_push ? PUSH_SILENCE_S : LIST_SILENCE_S));
    ASSERT(response);
    put(response, "Connection", "close");
    return response;
}

/* -------------------------------------------------------------- files ---- */

/* Of the content, in quotes; weak where it is a form of it. */
static void print_etag(char out[ETAG_BYTES * 2 + 3], struct span bytes)
{
    unsigned char hash[SHA256_DIGEST_LENGTH];

    (void)SHA256((const unsigned char *)bytes.at, bytes.len, hash);
    *out++ = '"';
    for (int i = 0; i < ETAG_BYTES; i++, out += 2)
        (void)snprintf(out, 3, "%02x", hash[i]);
    (void)snprintf(out, 2, "\"");
}

static bool has_it(struct request *r, const char *etag)
{
    const char *had = MHD_lookup_connection_value(
        r->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_IF_NONE_MATCH);

    return had && (strcmp(had, "*") == 0 || strstr(had, etag));
}

static struct MHD_Response *make_file(struct request *r)
{
    const struct request_file *f = r->file;
    char etag[ETAG_BYTES * 2 + 3];
    struct MHD_Response *response;
    size_t len = f->bytes.len;

    print_etag(etag, f->bytes);
    if (has_it(r, etag)) {
        r->status = MHD_HTTP_NOT_MODIFIED;
        len = 0;
    }
    /* It is only ever read. */
    response = MHD_create_response_from_buffer(len, (void *)f->bytes.at,
                                               MHD_RESPMEM_PERSISTENT);
    ASSERT(response);
    put(response, "ETag", etag);
    put(response, "Cache-Control", "no-cache");
    put(response, "Content-Security-Policy", f->policy ? f->policy : POLICY);
    if (f->encoding)
        put(response, "Content-Encoding", f->encoding);
    return response;
}

/* ---------------------------------------------------------------- all ---- */

static const char *media_of(const struct request *r)
{
    if (r->status >= 400 || !r->endpoint)
        return medias[MEDIA_JSON];
    if (r->is_stream && r->endpoint->media == MEDIA_JSON) /* with progress */
        return medias[MEDIA_LINES];
    return r->file ? r->file->media : medias[r->endpoint->media];
}

static void put_refusal(const struct request *r, struct MHD_Response *to)
{
    if (r->status == MHD_HTTP_METHOD_NOT_ALLOWED)
        put(to, "Allow", r->allow);
    if (r->status == MHD_HTTP_UNAUTHORIZED)
        put(to, "WWW-Authenticate", "Bearer realm=\"waypost\"");
    if (r->status == MHD_HTTP_TOO_MANY_REQUESTS)
        put(to, "Retry-After", "2");
}

const char *response_media(enum endpoint_media media)
{
    return medias[media];
}

enum MHD_Result response_send(struct request *r)
{
    bool is_file = r->file && r->status < 400;
    struct MHD_Response *response;
    enum MHD_Result rc;

    if (is_file)
        response = make_file(r);
    else if (r->is_stream)
        response = make_stream(r);
    else
        response = MHD_create_response_from_buffer(r->answer.len, r->answer.at,
                                                   MHD_RESPMEM_MUST_COPY);
    ASSERT(response);
    put(response, "Content-Type", media_of(r));
    for (size_t i = 0; i < sizeof(shields) / sizeof(shields[0]); i++)
        put(response, shields[i].name, shields[i].value);
    if (!is_file) {
        put(response, "Cache-Control", "no-store");
        put(response, "Content-Security-Policy", POLICY);
    }
    if (media_of(r) == medias[MEDIA_MESSAGE])
        put(response, "Content-Disposition", "attachment");
    put_refusal(r, response);
    rc = MHD_queue_response(r->connection, (unsigned)r->status, response);
    MHD_destroy_response(response);
    return rc;
}
