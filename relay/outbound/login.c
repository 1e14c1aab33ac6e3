/*
 * login - what we say to a next hop to log in.
 *
 * One row for each mechanism: what it begins with, what it answers. Where bytes of
 * a secret are gathered the buffer has its full size before, so that growing it
 * leaves no copy behind.
 */
#include "relay/outbound/login.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/memory.h"

#include <gsasl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* what OWASP asks for is the most that is in use; 0.7 s of a core */
    ITERATIONS_MOST = 600000,
    ROOM_FOR_WORDS = 256, /* RFC 7628's and the like, around names and secrets */
    SHOWN_LEAST = 6, /* shorter than this is in any text by chance */
};

typedef bool login_step_fn(struct login *l, struct span challenge,
                           struct buffer *out);

/* out is clear text, and base64 only on the wire. */
static login_step_fn begin_plain, begin_external, begin_bearer, begin_xoauth2,
    begin_scram, answer_scram, answer_cram, answer_login, answer_bearer,
    answer_xoauth2;

static const struct mechanism_row {
    login_step_fn *begin;  /* NULL: the server speaks first */
    login_step_fn *answer; /* NULL: nothing is asked */
    unsigned mechanism;
    bool is_slow;          /* the first answer */
} rows[] = {
    /* clang-format off */
    { begin_external, NULL,           MECHANISM_EXTERNAL, false },
    { begin_scram,    answer_scram,   MECHANISM_SCRAM_SHA_256_PLUS, true },
    { begin_scram,    answer_scram,   MECHANISM_SCRAM_SHA_1_PLUS, true },
    { begin_scram,    answer_scram,   MECHANISM_SCRAM_SHA_256, true },
    { begin_scram,    answer_scram,   MECHANISM_SCRAM_SHA_1, true },
    { begin_bearer,   answer_bearer,  MECHANISM_OAUTHBEARER, false },
    { begin_xoauth2,  answer_xoauth2, MECHANISM_XOAUTH2, false },
    { NULL,           answer_cram,    MECHANISM_CRAM_MD5, false },
    { begin_plain,    NULL,           MECHANISM_PLAIN, false },
    { NULL,           answer_login,   MECHANISM_LOGIN, false },
    /* clang-format on */
};

#define MECHANISMS_SCRAM                                                       \
    (MECHANISMS_BOUND | MECHANISM_SCRAM_SHA_256 | MECHANISM_SCRAM_SHA_1)

struct login {
    const struct mechanism_row *row;
    const struct client_options *o;
    const struct tls_facts *facts;
    Gsasl *gsasl;
    Gsasl_session *session;
    size_t room;      /* all that can be said needs no more, but for a challenge */
    unsigned answers; /* so far, the initial response not counted */
    bool is_complete;
    bool is_fine;        /* what was computed may be said */
    struct buffer asked; /* the challenge, clear */
    struct buffer sent; /* the last that was said, in base64 */
};

unsigned login_choose(const struct client_options *o, unsigned offered,
                      const struct tls_facts *facts)
{
    unsigned fit = MECHANISM_ALL & ~MECHANISMS_BEARER & ~MECHANISM_EXTERNAL;

    if (o->login.len && memchr(o->login.at, '\0', o->login.len))
        return 0;
    if (o->secret.len && memchr(o->secret.at, '\0', o->secret.len))
        return 0;
    if (o->secret_is_token)
        fit = MECHANISMS_BEARER;
    else if (o->secret.len == 0)
        fit = MECHANISM_EXTERNAL;
    else
        fit |= o->mechanisms & MECHANISM_EXTERNAL; /* only where asked for */
    if (o->mechanisms)
        fit &= o->mechanisms;
    if (!facts)
        fit &= ~(unsigned)MECHANISM_EXTERNAL;
    if (!facts || facts->exporter.len == 0)
        fit &= ~(unsigned)MECHANISMS_BOUND;
    return mechanism_best(fit & offered);
}

/* ------------------------------------------------------------- libgsasl ---- */

static void give(struct login *l, Gsasl_property p, struct span value)
{
    char *copy = span_dup(value);

    (void)gsasl_property_set(l->session, p, copy);
    explicit_bzero(copy, value.len);
    free(copy);
}

static bool open_session(struct login *l)
{
    if (gsasl_init(&l->gsasl) != GSASL_OK)
        return false;
    if (gsasl_client_start(l->gsasl, mechanism_name(l->row->mechanism),
                           &l->session) != GSASL_OK)
        return false;
    give(l, GSASL_AUTHID, l->o->login);
    give(l, GSASL_PASSWORD, l->o->secret);
    give(l, GSASL_SERVICE, SPAN("smtp"));
    give(l, GSASL_HOSTNAME, l->o->host);
    if (l->row->mechanism & MECHANISMS_BOUND) {
        struct span bytes = l->facts->exporter;
        char text[128];

        if (bytes.len > 64)
            return false;
        EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)bytes.at,
                        (int)bytes.len);
        give(l, GSASL_CB_TLS_EXPORTER, span_of(text));
    }
    return true;
}

/* Its own copies are its own business, but it shows them. */
static void wipe_property(struct login *l, Gsasl_property p)
{
    const char *value = gsasl_property_fast(l->session, p);

    if (value)
        explicit_bzero((char *)value, strlen(value));
}

static void close_session(struct login *l)
{
    if (l->session) {
        wipe_property(l, GSASL_PASSWORD);
        wipe_property(l, GSASL_SCRAM_SALTED_PASSWORD);
        gsasl_finish(l->session);
    }
    if (l->gsasl)
        gsasl_done(l->gsasl);
}

static int step(struct login *l, struct span in, struct buffer *out)
{
    char *said = NULL;
    size_t len = 0;
    int rc = gsasl_step(l->session, in.at, in.len, &said, &len);

    if (said) {
        if (rc == GSASL_OK || rc == GSASL_NEEDS_MORE)
            buffer_put(out, span_make(said, len));
        explicit_bzero(said, len);
        gsasl_free(said);
    }
    return rc;
}

/* ------------------------------------------------------ the mechanisms ---- */

static bool begin_scram(struct login *l, struct span challenge,
                        struct buffer *out)
{
    return step(l, challenge, out) == GSASL_NEEDS_MORE;
}

/* "r=...,s=...,i=4096" */
static bool costs_too_much(struct span challenge)
{
    while (challenge.at) {
        struct span one = span_split(challenge, ',', &challenge);
        uint64_t n;

        if (span_starts_nocase(one, SPAN("i=")))
            return !span_number(span_skip(one, 2), &n) || n > ITERATIONS_MOST;
    }
    return false;
}

static bool answer_scram(struct login *l, struct span challenge,
                         struct buffer *out)
{
    int rc;

    if (l->answers == 1 && costs_too_much(challenge))
        return false;
    rc = step(l, challenge, out);
    l->is_complete = rc == GSASL_OK; /* the server's signature is right */
    return rc == GSASL_OK || rc == GSASL_NEEDS_MORE;
}

static bool answer_cram(struct login *l, struct span challenge,
                        struct buffer *out)
{
    l->is_complete =
        l->answers == 1 && challenge.len && step(l, challenge, out) == GSASL_OK;
    return l->is_complete;
}

static bool begin_plain(struct login *l, struct span challenge,
                        struct buffer *out)
{
    (void)challenge;
    buffer_put_byte(out, '\0');
    buffer_put(out, l->o->login);
    buffer_put_byte(out, '\0');
    buffer_put(out, l->o->secret);
    return l->is_complete = true;
}

/* What is asked is never looked at: servers word it as they like. */
static bool answer_login(struct login *l, struct span challenge,
                         struct buffer *out)
{
    (void)challenge;
    if (l->answers > 2)
        return false;
    l->is_complete = l->answers == 2;
    buffer_put(out, l->is_complete ? l->o->secret : l->o->login);
    return true;
}

static bool begin_external(struct login *l, struct span challenge,
                           struct buffer *out)
{
    (void)challenge;
    buffer_put(out, l->o->login);
    return l->is_complete = true;
}

/* RFC 5801 4: a comma and an equals sign are not themselves. */
static void put_saslname(struct buffer *out, struct span name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.at[i] == ',')
            buffer_put_string(out, "=2C");
        else if (name.at[i] == '=')
            buffer_put_string(out, "=3D");
        else
            buffer_put_byte(out, name.at[i]);
    }
}

static bool begin_bearer(struct login *l, struct span challenge,
                         struct buffer *out)
{
    (void)challenge;
    buffer_put_string(out, "n,a=");
    put_saslname(out, l->o->login);
    buffer_put_string(out, ",\1");
    if (l->o->host.len) {
        buffer_put_string(out, "host=");
        buffer_put(out, l->o->host);
        buffer_printf(out, "\1port=%u\1", l->o->port);
    }
    buffer_put_string(out, "auth=Bearer ");
    buffer_put(out, l->o->secret);
    buffer_put_string(out, "\1\1");
    return l->is_complete = true;
}

/* RFC 7628 3.2.3: an error is told by a challenge; a lone ^A fetches the 535. */
static bool answer_bearer(struct login *l, struct span challenge,
                          struct buffer *out)
{
    (void)challenge;
    l->is_complete = false;
    buffer_put_string(out, "\1");
    return l->answers == 1;
}

static bool begin_xoauth2(struct login *l, struct span challenge,
                          struct buffer *out)
{
    (void)challenge;
    buffer_put_string(out, "user=");
    buffer_put(out, l->o->login);
    buffer_put_string(out, "\1auth=Bearer ");
    buffer_put(out, l->o->secret);
    buffer_put_string(out, "\1\1");
    return l->is_complete = true;
}

static bool answer_xoauth2(struct login *l, struct span challenge,
                           struct buffer *out)
{
    (void)challenge;
    (void)out;
    l->is_complete = false;
    return l->answers == 1;
}

/* --------------------------------------------------------- the exchange ---- */

static void wipe(struct buffer *b)
{
    if (b->at)
        explicit_bzero(b->at, b->size);
    buffer_fini(b);
}

/* Runs a step; what it says is in l->sent then, in base64. */
static bool say(struct login *l, login_step_fn *fn, struct span challenge)
{
    struct buffer clear = { 0 };
    bool is_fine;
    size_t size;

    (void)buffer_room(&clear, l->room + challenge.len);
    is_fine = fn(l, challenge, &clear);
    size = (clear.len + 2) / 3 * 4;
    wipe(&l->sent);
    EVP_EncodeBlock((unsigned char *)buffer_room(&l->sent, size + 1),
                    (const unsigned char *)clear.at, (int)clear.len);
    buffer_grew(&l->sent, size);
    wipe(&clear);
    return is_fine;
}

struct login *login_new(unsigned mechanism, const struct client_options *o,
                        const struct tls_facts *facts)
{
    struct login *l = NEW(struct login);
    bool is_fine = true;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].mechanism == mechanism)
            l->row = &rows[i];
    ASSERT(l->row);
    l->o = o;
    l->facts = facts;
    /* a name can become three times as long */
    l->room = o->login.len * 3 + o->secret.len + o->host.len + ROOM_FOR_WORDS;
    if (mechanism & (MECHANISMS_SCRAM | MECHANISM_CRAM_MD5))
        is_fine = open_session(l);
    if (is_fine && l->row->begin)
        is_fine = say(l, l->row->begin, SPAN(""));
    if (is_fine)
        return l;
    login_free(l);
    return NULL;
}

void login_free(struct login *l)
{
    if (!l)
        return;
    close_session(l);
    wipe(&l->sent);
    wipe(&l->asked);
    free(l);
}

unsigned login_mechanism(const struct login *l)
{
    return l->row->mechanism;
}

struct span login_initial(const struct login *l)
{
    return l->row->begin ? buffer_span(&l->sent) : (struct span){ NULL, 0 };
}

/* False: not base64. */
static bool decode(struct span text, struct buffer *out)
{
    int n;

    if (text.len == 0)
        return true;
    if (text.len > LIMIT_AUTH_LINE || text.len % 4)
        return false;
    n = EVP_DecodeBlock((unsigned char *)buffer_room(out, text.len),
                        (const unsigned char *)text.at, (int)text.len);
    if (n < 0)
        return false;
    buffer_grew(out, (size_t)n);
    for (size_t i = 1; i <= 2 && text.at[text.len - i] == '='; i++)
        out->len--;
    return true;
}

bool login_is_slow(const struct login *l)
{
    return l->row->is_slow && l->answers == 0;
}

bool login_ask(struct login *l, struct span challenge)
{
    /* LOGIN's prompts are not looked at, so they need not be base64 */
    bool is_read = l->row->mechanism != MECHANISM_LOGIN;

    buffer_clear(&l->asked);
    return l->row->answer && (!is_read || decode(challenge, &l->asked));
}

void login_compute(struct login *l)
{
    l->answers++;
    l->is_fine = say(l, l->row->answer, buffer_span(&l->asked));
}

bool login_tell(struct login *l, struct buffer *out)
{
    if (l->is_fine)
        buffer_put(out, buffer_span(&l->sent));
    return l->is_fine;
}

bool login_answer(struct login *l, struct span challenge, struct buffer *out)
{
    if (!login_ask(l, challenge))
        return false;
    login_compute(l);
    return login_tell(l, out);
}

bool login_is_complete(const struct login *l)
{
    return l->is_complete;
}

static bool has(struct span text, struct span what)
{
    return what.len >= SHOWN_LEAST && text.len >= what.len &&
           memmem(text.at, text.len, what.at, what.len);
}

bool login_is_told_by(const struct login *l, struct span text)
{
    return has(text, buffer_span(&l->sent)) || has(text, l->o->secret);
}
