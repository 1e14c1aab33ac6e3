/*
 * sasl_scram - SCRAM and CRAM-MD5, spoken by libgsasl.
 *
 * The library asks for what is kept of a user; one that is not there is given what looks
 * the same: some entry's iterations, a salt that is his alone and stays, and keys that
 * nobody knows a password for.
 *
 * Channel binding is tls-exporter. A client that could bind, but says that we did not offer
 * it while we did ("y"), has met somebody who changed what we said. RFC 5802 section 6,
 * 9266, 2195.
 */
#include "relay/inbound/sasl_private.h"

#include "policy/vocabulary/memory.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

static enum password_hash hash_of(unsigned mechanism)
{
    return mechanism & (MECHANISM_SCRAM_SHA_1 | MECHANISM_SCRAM_SHA_1_PLUS)
               ? PASSWORD_SHA_1
               : PASSWORD_SHA_256;
}

static void set_base64(Gsasl_session *session, Gsasl_property what,
                       const void *at, size_t len)
{
    unsigned char *text = memory_zero(1, (len + 2) / 3 * 4 + 1);

    (void)EVP_EncodeBlock(text, at, (int)len);
    (void)gsasl_property_set(session, what, (const char *)text);
    OPENSSL_cleanse(text, (len + 2) / 3 * 4);
    free(text);
}

static struct span login_of(Gsasl_session *session)
{
    return span_of(gsasl_property_fast(session, GSASL_AUTHID));
}

/* Once: whose verifier this exchange is about. */
static void choose(struct sasl_exchange *x)
{
    const struct userfile *f = x->book->files[USERFILE_VERIFIERS];
    enum password_hash hash = hash_of(x->mechanism);
    struct span login = login_of(x->gsasl);
    const struct userfile_entry *e = userfile_find(f, login);
    struct password_scram *v = &x->verifier;

    if (x->is_chosen)
        return;
    x->is_chosen = true;
    if (e && sasl_entry_has(e, hash)) {
        *v = e->scram[hash];
        return;
    }
    x->is_decoy = true;
    e = sasl_decoy_entry(x->desk, f, login, hash);
    *v = e ? e->scram[hash]
           : (struct password_scram){ .iterations = PASSWORD_ITERATIONS,
                                      .salt_len = PASSWORD_SALT };
    sasl_decoy_bytes(x->desk, password_hash_name(hash), login, v->salt,
                     v->salt_len);
    sasl_decoy_bytes(x->desk, "key", login, v->stored_key,
                     sizeof v->stored_key);
}

/* CRAM-MD5 needs the password; an unknown login has one that nobody knows. */
static void set_password(struct sasl_exchange *x)
{
    struct span login = login_of(x->gsasl);
    const struct userfile_entry *e =
        userfile_find(x->book->files[USERFILE_CRAM], login);
    unsigned char key[16];
    char *password;

    if (!e) {
        x->is_decoy = true;
        sasl_decoy_bytes(x->desk, "password", login, key, sizeof key);
        set_base64(x->gsasl, GSASL_PASSWORD, key, sizeof key);
        return;
    }
    password = span_dup(e->value);
    (void)gsasl_property_set(x->gsasl, GSASL_PASSWORD, password);
    password_forget(password);
}

int sasl_scram_callback(Gsasl *g, Gsasl_session *session, Gsasl_property what)
{
    struct sasl_exchange *x = gsasl_session_hook_get(session);
    size_t size = password_hash_size(hash_of(x->mechanism));
    char number[16];

    (void)g;
    if (what == GSASL_PASSWORD && x->mechanism == MECHANISM_CRAM_MD5) {
        set_password(x);
        return GSASL_OK;
    }
    if (x->mechanism == MECHANISM_CRAM_MD5)
        return GSASL_NO_CALLBACK;
    if (what == GSASL_CB_TLS_EXPORTER) {
        if (!(x->mechanism & MECHANISMS_BOUND) || x->exporter.len == 0)
            return GSASL_NO_CB_TLS_EXPORTER;
        set_base64(session, what, x->exporter.at, x->exporter.len);
        return GSASL_OK;
    }
    if (what != GSASL_SCRAM_ITER && what != GSASL_SCRAM_SALT &&
        what != GSASL_SCRAM_STOREDKEY && what != GSASL_SCRAM_SERVERKEY)
        return GSASL_NO_CALLBACK;
    choose(x);
    if (what == GSASL_SCRAM_ITER) {
        (void)snprintf(number, sizeof number, "%u", x->verifier.iterations);
        (void)gsasl_property_set(session, what, number);
    } else if (what == GSASL_SCRAM_SALT) {
        set_base64(session, what, x->verifier.salt, x->verifier.salt_len);
    } else if (what == GSASL_SCRAM_STOREDKEY) {
        set_base64(session, what, x->verifier.stored_key, size);
    } else {
        set_base64(session, what, x->verifier.server_key, size);
    }
    return GSASL_OK;
}

/* What the library keeps and frees without wiping. */
static void wipe_properties(Gsasl_session *session)
{
    static const Gsasl_property secrets[] = {
        GSASL_PASSWORD,
        GSASL_SCRAM_STOREDKEY,
        GSASL_SCRAM_SERVERKEY,
        GSASL_SCRAM_SALTED_PASSWORD,
    };

    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) {
        const char *at = gsasl_property_fast(session, secrets[i]);
        void *own; /* the session's, which it shows as const */

        memcpy(&own, &at, sizeof own);
        if (at)
            OPENSSL_cleanse(own, strlen(at));
    }
}

static enum sasl_said conclude(struct sasl_exchange *x, int rc)
{
    struct span authzid;

    switch (rc) {
    case GSASL_NEEDS_MORE:
        return SASL_MORE;
    case GSASL_OK:
        authzid = span_of(gsasl_property_fast(x->gsasl, GSASL_AUTHZID));
        buffer_put(&x->login, login_of(x->gsasl));
        if (x->is_decoy || x->login.len == 0 ||
            (authzid.len && !span_is(authzid, buffer_span(&x->login))))
            return SASL_WRONG;
        return SASL_OK;
    case GSASL_MECHANISM_PARSE_ERROR:
    case GSASL_BASE64_ERROR:
    case GSASL_MECHANISM_CALLED_TOO_MANY_TIMES:
        return SASL_BAD;
    case GSASL_CRYPTO_ERROR:
    case GSASL_UNKNOWN_MECHANISM:
        buffer_put_string(&x->text, gsasl_strerror(rc));
        return SASL_UNAVAILABLE;
    default:
        return SASL_WRONG;
    }
}

static enum sasl_said converse(struct sasl_exchange *x)
{
    struct span r = buffer_span(&x->response);
    enum sasl_said said;
    char *out = NULL;
    size_t out_len = 0;
    int rc = GSASL_OK;

    if (span_find(r, '\0') < r.len)
        return SASL_BAD;
    if (!x->gsasl) {
        rc = gsasl_server_start(x->desk->gsasl, mechanism_name(x->mechanism),
                                &x->gsasl);
        if (rc != GSASL_OK)
            return conclude(x, rc);
        gsasl_session_hook_set(x->gsasl, x);
    }
    rc = gsasl_step(x->gsasl, r.at, r.len, &out, &out_len);
    wipe_properties(x->gsasl);
    said = conclude(x, rc);
    if (out && (said == SASL_MORE || said == SASL_OK))
        buffer_put(&x->text, span_make(out, out_len));
    if (out)
        OPENSSL_cleanse(out, out_len);
    gsasl_free(out);
    return said;
}

enum sasl_said sasl_scram(struct sasl_exchange *x)
{
    if (!x->has_response) /* the client speaks first */
        return SASL_MORE;
    if (x->response.len == 0)
        return SASL_BAD;
    if (!x->gsasl && !(x->mechanism & MECHANISMS_BOUND)) {
        char flag = x->response.at[0];

        if (flag == 'p' || (flag == 'y' && (x->offered & MECHANISMS_BOUND)))
            return SASL_WRONG;
    }
    return converse(x);
}

enum sasl_said sasl_cram_md5(struct sasl_exchange *x)
{
    /* The server speaks first. */
    if (x->has_response != (x->gsasl != NULL))
        return SASL_BAD;
    return converse(x);
}
