/*
 * explain_question - who would send what to whom, as JSON says it.
 */
#include "relay/main/explain_question.h"

#include "relay/inbound/complete.h"
#include "relay/net/date.h"

#include <openssl/evp.h>

enum { TEXT_MOST = 1024 };

struct reading_of {
    struct explain_question *q;
    const struct settings *settings;
    const struct listener_settings *listener;
    const json_t *object;
    struct buffer *why;
};

/* --- members ---------------------------------------------------------------- */

/* at NULL: it is not there. */
static bool text(struct reading_of *r, const char *key, struct span *out)
{
    const json_t *v = json_object_get(r->object, key);

    r->q->member = span_of(key);
    *out = (struct span){ NULL, 0 };
    if (!v)
        return true;
    if (!json_is_string(v) || json_string_length(v) > TEXT_MOST ||
        strlen(json_string_value(v)) != json_string_length(v)) {
        buffer_printf(r->why, "%s should be text of at most %d bytes", key,
                      TEXT_MOST);
        return false;
    }
    *out = arena_copy(&r->q->arena,
                      span_make(json_string_value(v), json_string_length(v)));
    if (!out->at)
        *out = SPAN("");
    return true;
}

static bool flag(struct reading_of *r, const char *key, bool *out)
{
    const json_t *v = json_object_get(r->object, key);

    r->q->member = span_of(key);
    *out = json_is_true(v);
    if (!v || json_is_boolean(v))
        return true;
    buffer_printf(r->why, "%s should be true or false", key);
    return false;
}

static bool check_members(struct reading_of *r)
{
    static const char *const known[] = {
        "client", "from", "to",          "listener",    "helo",    "login",
        "tls",    "size", "certificate", "client_name", "message", "ask",
    };
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)r->object, key, value)
    {
        size_t i = 0;

        while (i < sizeof known / sizeof known[0] && strcmp(key, known[i]) != 0)
            i++;
        if (i < sizeof known / sizeof known[0])
            continue;
        r->q->member = arena_copy(&r->q->arena, span_of(key));
        buffer_put_string(r->why, "there is nothing called \"");
        buffer_put_escaped(r->why, span_first(span_of(key), TEXT_MOST));
        buffer_put_byte(r->why, '"');
        return false;
    }
    return true;
}

/* --- who -------------------------------------------------------------------- */

static bool read_client(struct reading_of *r)
{
    struct span s;

    if (!text(r, "client", &s))
        return false;
    if (s.at && host_address_parse(s, &r->q->facts.client))
        return true;
    buffer_put_string(r->why, s.at ? "client: \"" : "client is missing");
    if (s.at) {
        buffer_put_escaped(r->why, s);
        buffer_put_string(r->why, "\" is not an IP address");
    }
    return false;
}

static const struct listener_settings *find_listener(const struct settings *s,
                                                     struct span title,
                                                     bool wants_login)
{
    for (size_t i = 0; title.at && i < s->listener_count; i++)
        if (span_is(s->listeners[i].title, title))
            return &s->listeners[i];
    for (size_t i = 0; title.at && i < s->fetch_count; i++)
        if (span_is(s->fetches[i].title, title))
            return &s->fetches[i].listener;
    if (title.at)
        return NULL;
    for (size_t i = 0; wants_login && i < s->listener_count; i++)
        if (s->listeners[i].auth != LISTENER_AUTH_NONE)
            return &s->listeners[i];
    for (size_t i = 0; i < s->listener_count; i++)
        if (s->listeners[i].auth != LISTENER_AUTH_REQUIRED)
            return &s->listeners[i];
    return s->listener_count ? &s->listeners[0] : NULL;
}

static bool read_listener(struct reading_of *r)
{
    struct span title;

    if (!text(r, "listener", &title))
        return false;
    r->listener = find_listener(r->settings, title, r->q->facts.login.len > 0);
    if (r->listener) {
        r->q->facts.listener = r->listener->title;
        return true;
    }
    if (!title.at)
        return true;
    buffer_put_string(r->why, "there is no listener \"");
    buffer_put_escaped(r->why, title);
    buffer_put_byte(r->why, '"');
    return false;
}

/* What a client that says nothing of it would have. */
static bool read_tls(struct reading_of *r)
{
    struct facts *f = &r->q->facts;
    struct span certificate;

    if (!flag(r, "tls", &f->tls) || !text(r, "certificate", &certificate))
        return false;
    f->tls = f->tls || certificate.len ||
             (r->listener && r->listener->tls == LISTENER_TLS_IMPLICIT);
    if (!f->tls)
        return true;
    f->tls_version = SPAN("TLSv1.3");
    f->tls_bits = 256;
    f->cipher = SPAN("TLS_AES_256_GCM_SHA384");
    f->certificate = certificate;
    if (!span_starts_nocase(certificate, SPAN("sha256:")))
        f->certificate_name = certificate;
    return true;
}

static bool read_helo(struct reading_of *r)
{
    struct facts *f = &r->q->facts;
    struct buffer literal = { 0 };

    if (!text(r, "helo", &f->helo))
        return false;
    if (f->helo.at)
        return true;
    buffer_put_string(&literal,
                      host_address_is_v4(&f->client) ? "[" : "[IPv6:");
    host_address_print(&literal, &f->client);
    buffer_put_byte(&literal, ']');
    f->helo = arena_copy(&r->q->arena, buffer_span(&literal));
    buffer_fini(&literal);
    return true;
}

/* --- addresses -------------------------------------------------------------- */

/* As in MAIL and RCPT, with or without <>; completed where the listener does. */
static bool read_address(struct reading_of *r, const char *key,
                         enum path_kind kind, struct address *out)
{
    bool completes = !r->listener || r->listener->submission;
    struct buffer path = { 0 }, completed = { 0 };
    struct span s, rest = { 0 }, kept;
    bool is_good;

    if (!text(r, key, &s))
        return false;
    if (!s.at) {
        buffer_printf(r->why, "%s is missing", key);
        return false;
    }
    if (s.len && s.at[0] == '<')
        buffer_put(&path, s);
    else
        buffer_printf(&path, "<%.*s>", SPAN_FMT(s));
    if (completes &&
        complete_path(buffer_span(&path), r->settings->origin, &completed))
        kept = arena_copy(&r->q->arena, buffer_span(&completed));
    else
        kept = arena_copy(&r->q->arena, buffer_span(&path));
    is_good = address_parse_path(kept, kind, true, out, &rest) == ADDRESS_OK &&
              rest.len == 0;
    if (!is_good) {
        buffer_printf(r->why, "%s: \"", key);
        buffer_put_escaped(r->why, s);
        buffer_put_string(r->why, "\" is not an address");
    }
    buffer_fini(&path);
    buffer_fini(&completed);
    return is_good;
}

/* --- what ------------------------------------------------------------------- */

/* A file on disk has line ends of its own. */
static void put_crlf(struct buffer *b, struct span s)
{
    while (s.len) {
        struct span rest, line = span_split(s, '\n', &rest);

        if (line.len && line.at[line.len - 1] == '\r')
            line.len--;
        buffer_put(b, line);
        buffer_put_string(b, "\r\n");
        s = rest;
    }
}

static bool decode(struct reading_of *r, struct span base64)
{
    struct buffer raw = { 0 };
    int n;

    n = EVP_DecodeBlock(
        (unsigned char *)buffer_room(&raw, base64.len / 4 * 3 + 3),
        (const unsigned char *)base64.at, (int)base64.len);
    if (n >= 0) {
        /* what pads the last group is decoded as zeros */
        for (size_t i = 1; i <= 2 && i < base64.len; i++)
            n -= base64.at[base64.len - i] == '=';
        buffer_grew(&raw, (size_t)n);
        put_crlf(&r->q->message, buffer_span(&raw));
    }
    buffer_fini(&raw);
    return n >= 0;
}

static bool read_message(struct reading_of *r)
{
    const json_t *v = json_object_get(r->object, "message");
    const json_t *size = json_object_get(r->object, "size");

    r->q->member = SPAN("size");
    if (size && (!json_is_integer(size) || json_integer_value(size) < 0)) {
        buffer_put_string(r->why, "size should be a number of bytes");
        return false;
    }
    if (v) {
        struct span text =
            span_make(json_string_value(v), json_string_length(v));

        r->q->member = SPAN("message");
        r->q->has_message = json_is_string(v) &&
                            text.len / 4 * 3 <= EXPLAIN_MESSAGE_MOST + 2 &&
                            decode(r, text);
        if (!r->q->has_message) {
            buffer_printf(r->why, "message should be base64 of at most %d MB",
                          EXPLAIN_MESSAGE_MOST / 1024 / 1024);
            return false;
        }
    }
    r->q->facts.size_bytes =
        size ? (uint64_t)json_integer_value(size) : (uint64_t)r->q->message.len;
    return true;
}

bool explain_question_read(struct explain_question *q, const struct settings *s,
                           const json_t *o, int64_t now_ms,
                           struct buffer *out_why)
{
    struct reading_of r = { q, s, NULL, o, out_why };
    struct facts *f = &q->facts;

    if (!json_is_object(o)) {
        buffer_put_string(out_why, "the question should be a JSON object");
        return false;
    }
    if (!check_members(&r) || !read_client(&r) ||
        !text(&r, "login", &f->login) || !read_listener(&r) || !read_tls(&r) ||
        !read_helo(&r) || !read_address(&r, "from", PATH_REVERSE, &q->sender) ||
        !read_address(&r, "to", PATH_FORWARD, &q->recipient) ||
        !text(&r, "client_name", &q->client_name) ||
        !flag(&r, "ask", &q->may_ask) || !read_message(&r))
        return false;
    f->sender = &q->sender;
    f->recipient = &q->recipient;
    f->protocol = SPAN("ESMTP");
    f->mechanism = f->login.len ? SPAN("PLAIN") : SPAN("");
    f->session = SPAN("explain");
    f->now_ms = now_ms;
    date_local(now_ms, &f->minute, &f->weekday);
    return true;
}

void explain_question_fini(struct explain_question *q)
{
    arena_reset(&q->arena);
    buffer_fini(&q->message);
}
