/*
 * sasl_plain - PLAIN, LOGIN and EXTERNAL, and how a password is checked.
 *
 * These three are read here and not by libgsasl, since it cuts passwords at a NUL, keeps
 * copies that it does not wipe, and does not take LOGIN's initial response.
 *
 * A login that nobody has is worth the same work as one that somebody has: some entry of
 * the file is checked instead, and the outcome thrown away. RFC 4616, 4422 appendix A;
 * draft-murchison-sasl-login.
 */
#include "relay/inbound/sasl_private.h"

#include "policy/vocabulary/limits.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

void sasl_decoy_bytes(struct sasl_desk *d, const char *what, struct span login,
                      unsigned char *out, size_t n)
{
    unsigned char all[EVP_MAX_MD_SIZE];
    struct buffer b = { 0 };

    ASSERT(n <= 64);
    buffer_printf(&b, "%s:", what);
    buffer_put(&b, login);
    ASSERT(HMAC(EVP_sha512(), d->secret, sizeof d->secret,
                (const unsigned char *)b.at, b.len, all, NULL));
    memcpy(out, all, n);
    buffer_fini(&b);
}

bool sasl_entry_has(const struct userfile_entry *e, enum password_hash hash)
{
    if (hash < PASSWORD_HASHES)
        return e->scram[hash].iterations > 0;
    return e->crypt || e->scram[PASSWORD_SHA_256].iterations ||
           e->scram[PASSWORD_SHA_1].iterations;
}

const struct userfile_entry *sasl_decoy_entry(struct sasl_desk *d,
                                              const struct userfile *f,
                                              struct span login,
                                              enum password_hash hash)
{
    size_t count = userfile_count(f), at;

    if (count == 0)
        return NULL;
    sasl_decoy_bytes(d, "entry", login, (unsigned char *)&at, sizeof at);
    for (size_t i = 0; i < count; i++) {
        const struct userfile_entry *e =
            userfile_at(f, (at % count + i) % count);

        if (sasl_entry_has(e, hash))
            return e;
    }
    return NULL;
}

static enum sasl_said check_file(struct sasl_exchange *x, struct span login,
                                 struct span password)
{
    const struct userfile *f = x->book->files[USERFILE_VERIFIERS];
    const struct userfile_entry *e = userfile_find(f, login), *checked = e;
    bool is;

    if (!e || !sasl_entry_has(e, PASSWORD_HASHES))
        checked = sasl_decoy_entry(x->desk, f, login, PASSWORD_HASHES);
    is = checked && userfile_entry_is(checked, password, &x->desk->work);
    return is && checked == e ? SASL_OK : SASL_WRONG;
}

static enum sasl_said check(struct sasl_exchange *x, struct span login,
                            struct span password)
{
    struct password_cache *cache = x->book->cache;
    int64_t now = x->desk->clock();
    enum sasl_said said = SASL_WRONG;

    if (password.len > LIMIT_PASSWORD)
        return SASL_WRONG;
    if (password_cache_has(cache, login, password, now))
        return SASL_OK;
    if (x->book->backend == SASL_FILE)
        said = check_file(x, login, password);
    else if (x->book->backend == SASL_PAM)
        said = sasl_pam_check(x, login, password);
    if (password.len == 0) /* none at all, whatever a backend thinks of it: RFC 4616 2 */
        said = SASL_WRONG;
    if (said == SASL_OK)
        password_cache_put(cache, login, password, now);
    return said;
}

bool sasl_plain_split(struct span response, struct span *out_authzid,
                      struct span *out_login, struct span *out_password)
{
    struct span rest, login, authzid, password;

    authzid = span_split(response, '\0', &rest);
    login = span_split(rest, '\0', &password);
    if (!password.at || login.len == 0 ||
        span_find(password, '\0') < password.len)
        return false;
    *out_authzid = authzid;
    *out_login = login;
    *out_password = password;
    return true;
}

enum sasl_said sasl_plain(struct sasl_exchange *x)
{
    struct span authzid, login, password;

    if (!x->has_response)
        return SASL_MORE;
    if (!sasl_plain_split(buffer_span(&x->response), &authzid, &login,
                          &password))
        return SASL_BAD;
    if (authzid.len && !span_is(authzid, login))
        return SASL_WRONG;
    buffer_put(&x->login, login);
    return check(x, login, password);
}

enum sasl_said sasl_login(struct sasl_exchange *x)
{
    struct span r = buffer_span(&x->response);

    if (!x->has_response) {
        buffer_put_string(&x->text, "Username:");
        return SASL_MORE;
    }
    if (span_find(r, '\0') < r.len)
        return SASL_BAD;
    if (x->login.len > 0)
        return check(x, buffer_span(&x->login), r);
    if (r.len == 0)
        return SASL_BAD;
    buffer_put(&x->login, r);
    buffer_put_string(&x->text, "Password:");
    return SASL_MORE;
}

/* The certificate says who it is; the client may only agree. */
enum sasl_said sasl_external(struct sasl_exchange *x)
{
    const struct userfile *f = x->book->files[USERFILE_CERTIFICATES];
    const struct userfile_entry *e = NULL;
    struct span authzid = buffer_span(&x->response);

    if (!x->has_response)
        return SASL_MORE;
    if (*x->fingerprint)
        e = userfile_find(f, span_of(x->fingerprint));
    if (!e && *x->name)
        e = userfile_find(f, span_of(x->name));
    if (!e || (authzid.len && !span_is(authzid, e->value)))
        return SASL_WRONG;
    buffer_put(&x->login, e->value);
    return SASL_OK;
}
