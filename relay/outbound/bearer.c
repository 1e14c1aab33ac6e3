/*
 * bearer - what is said to an OAuth 2 token server, and what it says.
 *
 * The JSON library copies what it reads; its strings are zeroed before they are freed.
 */
#include "relay/outbound/bearer.h"

#include "policy/vocabulary/memory.h"
#include "policy/vocabulary/utf8.h"
#include "relay/outbound/secret.h"

#include <jansson.h>
#include <openssl/evp.h>

enum {
    LIFE_LEAST_S = 1,
    LIFE_MOST_S = 24 * 3600,
    TEXT_MOST = 200, /* of a server's words that are shown */
    CODE_MOST = 60,
};

void bearer_fini(struct bearer *b)
{
    secret_wipe(&b->token);
    secret_wipe(&b->refresh);
}

/* ----------------------------------------------------------- the question ---- */

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
           c == '~';
}

static void put_encoded(struct buffer *b, struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (is_unreserved(s.at[i]))
            buffer_put_byte(b, s.at[i]);
        else
            buffer_printf(b, "%%%02X", (unsigned char)s.at[i]);
    }
}

static void put_pair(struct buffer *b, const char *name, struct span value)
{
    if (b->len)
        buffer_put_byte(b, '&');
    buffer_put_string(b, name);
    buffer_put_byte(b, '=');
    put_encoded(b, value);
}

void bearer_put_form(struct buffer *form, const struct account *a,
                     struct span secret, struct span refresh,
                     bool secret_in_form)
{
    /* room at once: growing would leave copies of the secrets behind */
    (void)buffer_room(
        form,
        3 * (secret.len + refresh.len + a->scope.len + a->client_id.len) + 200);
    if (refresh.len) {
        put_pair(form, "grant_type", SPAN("refresh_token"));
        put_pair(form, "refresh_token", refresh);
    } else {
        put_pair(form, "grant_type", SPAN("client_credentials"));
    }
    if (a->scope.len)
        put_pair(form, "scope", a->scope);
    /* in one place only (2.3.1); without a secret the client is named here */
    if (a->client_id.len && (secret_in_form || !secret.len))
        put_pair(form, "client_id", a->client_id);
    if (secret.len && secret_in_form)
        put_pair(form, "client_secret", secret);
}

void bearer_put_header(struct buffer *header, struct span client_id,
                       struct span secret)
{
    struct buffer plain = { 0 };
    size_t most = 3 * (client_id.len + secret.len) + 1;
    char *room;
    int n;

    (void)buffer_room(&plain, most + 1);
    put_encoded(&plain, client_id);
    buffer_put_byte(&plain, ':');
    put_encoded(&plain, secret);
    (void)buffer_room(header, 2 * most + 64);
    buffer_put_string(header, "Authorization: Basic ");
    room = buffer_room(header, 4 * (plain.len / 3 + 1) + 1);
    n = EVP_EncodeBlock((unsigned char *)room, (unsigned char *)plain.at,
                        (int)plain.len);
    buffer_grew(header, (size_t)n);
    secret_wipe(&plain);
}

/* ------------------------------------------------------------- the answer ---- */

static void free_wiped(json_t *object)
{
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value) if (json_is_string(value))
    {
        /* ours alone, and about to be freed */
        union {
            const char *seen;
            char *own;
        } text = { json_string_value(value) };

        explicit_bzero(text.own, json_string_length(value));
    }
    json_decref(object);
}

static struct span text_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_string(value))
        return span_make(NULL, 0);
    return span_make(json_string_value(value), json_string_length(value));
}

/* Visible ASCII: anything else would break the line it is sent in. */
static bool is_token(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] <= ' ' || s.at[i] > '~')
            return false;
    return s.len > 0 && s.len <= BEARER_MOST;
}

/* A number; some servers write it as a string. */
static int64_t life_ms(const json_t *object)
{
    const json_t *value = json_object_get(object, "expires_in");
    uint64_t number;
    double s;

    if (json_is_number(value))
        s = json_number_value(value);
    else if (span_number(text_of(object, "expires_in"), &number))
        s = (double)number;
    else
        return BEARER_LIFE_MS;
    if (!(s > LIFE_LEAST_S))
        s = LIFE_LEAST_S;
    if (s > LIFE_MOST_S)
        s = LIFE_MOST_S;
    return (int64_t)(s * 1000);
}

static int take(const json_t *object, struct bearer *out, struct buffer *why)
{
    struct span token = text_of(object, "access_token");
    struct span refresh = text_of(object, "refresh_token");
    struct span type = text_of(object, "token_type");

    if (!token.len) {
        buffer_put_string(why, "has no access_token");
        return ERROR_PROTOCOL;
    }
    if (type.len && !span_is_nocase(type, SPAN("Bearer"))) {
        buffer_put_string(why, "has a token that is not of type Bearer");
        return ERROR_PROTOCOL;
    }
    if (!is_token(token)) {
        buffer_put_string(why, "has an access_token that is no token");
        return ERROR_PROTOCOL;
    }
    secret_keep(&out->token, token);
    if (is_token(refresh))
        secret_keep(&out->refresh, refresh);
    out->life_ms = life_ms(object);
    return 0;
}

int bearer_read(struct span body, struct bearer *out, struct buffer *why)
{
    json_error_t error;
    json_t *object = json_loadb(body.at ? body.at : "", body.len, 0, &error);
    int rc;

    if (!json_is_object(object)) {
        buffer_put_string(why, "is not a JSON object");
        json_decref(object);
        return ERROR_PROTOCOL;
    }
    rc = take(object, out, why);
    free_wiped(object);
    return rc;
}

int bearer_read_output(struct span output, struct bearer *out,
                       struct buffer *why)
{
    struct span rest, line = span_split(output, '\n', &rest);

    if (line.len && line.at[line.len - 1] == '\r')
        line.len--;
    line = span_trim(line);
    if (line.len && line.at[0] == '{')
        return bearer_read(output, out, why);
    if (!line.len || !is_token(line)) {
        buffer_put_string(why, line.len ? "has a first line that is no token"
                                        : "has an empty first line");
        return ERROR_PROTOCOL;
    }
    secret_keep(&out->token, line);
    out->life_ms = BEARER_LIFE_MS;
    return 0;
}

/* ------------------------------------------------------------ the refusal ---- */

bool bearer_is_client_refused(unsigned status, struct span body)
{
    static const struct span codes[] = {
        SPAN_INIT("invalid_client"),
        SPAN_INIT("invalid_request"),
        SPAN_INIT("unauthorized_client"),
    };
    json_t *object = json_loadb(body.at ? body.at : "", body.len, 0, NULL);
    struct span code = text_of(object, "error");
    bool is_it = status == 401;

    for (size_t i = 0; status == 400 && i < sizeof codes / sizeof codes[0]; i++)
        is_it |= span_is(code, codes[i]);
    json_decref(object);
    return is_it;
}

static bool shows(struct span text, const struct span *secrets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (secrets[i].len &&
            memmem(text.at, text.len, secrets[i].at, secrets[i].len))
            return true;
    return false;
}

/* So that escaping it again, as every reader does, changes nothing: spaces for white
 * space, question marks for what cannot be shown. At most so many bytes. */
static void put_clean(struct buffer *why, struct span text, size_t most)
{
    struct buffer clean = { .cap = most };

    while (text.len && !clean.overflow) {
        size_t n = utf8_is_showable(text);
        struct span next = span_first(text, n ? n : 1);
        bool is_space = strchr(" \t\r\n", next.at[0]) && next.at[0];

        text = span_skip(text, next.len);
        if (is_space && clean.len && clean.at[clean.len - 1] != ' ')
            buffer_put_byte(&clean, ' ');
        else if (!is_space)
            buffer_put(&clean, n && next.at[0] != '\\' ? next : SPAN("?"));
    }
    buffer_put(why, span_trim(buffer_span(&clean)));
    buffer_fini(&clean);
}

void bearer_put_refusal(struct buffer *why, unsigned status, struct span body,
                        const struct span *secrets, size_t count)
{
    json_t *object = json_loadb(body.at ? body.at : "", body.len, 0, NULL);
    struct span code = text_of(object, "error");
    struct span text = text_of(object, "error_description");

    buffer_printf(why, "answered %u", status);
    if (code.len && !shows(code, secrets, count)) {
        buffer_put_byte(why, ' ');
        put_clean(why, code, CODE_MOST);
    }
    if (text.len && !shows(text, secrets, count)) {
        buffer_put_string(why, ": ");
        put_clean(why, text, TEXT_MOST);
    }
    json_decref(object);
}
