/*
 * tls_names - whose certificate is it?
 *
 * Comparison is OpenSSL's, which takes lengths and not NULs; what it must not do is said
 * here: no common name, no part of a label as wildcard, no wildcard over several labels.
 *
 * RFC 9525 6, RFC 7817.
 */
#include "relay/net/tls_private.h"

#include "policy/vocabulary/error.h"

#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdio.h>

enum {
    NAMES_LISTED = 3,
    STRICT = X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
             X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
};

static struct span without_dot(struct span name)
{
    if (name.len && name.at[name.len - 1] == '.')
        name.len--;
    return name;
}

/* What OpenSSL would take for a pattern (".example.org") or for a NUL-terminated string
 * is no name. */
static bool is_host_name(struct span name)
{
    if (!name.len || name.len > TLS_NAME_MOST || name.at[0] == '.')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.at[i];

        if (c <= ' ' || c >= 0x7f || c == '*')
            return false;
    }
    return true;
}

static const unsigned char *address_bytes(const struct host_address *a,
                                          size_t *out_len)
{
    bool is_v4 = host_address_is_v4(a);

    *out_len = is_v4 ? 4 : 16;
    return is_v4 ? a->bytes + 12 : a->bytes;
}

bool tls_names_serve(X509 *x, struct span name)
{
    name = without_dot(name);
    return is_host_name(name) &&
           X509_check_host(x, name.at, name.len,
                           X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

bool tls_names_match(X509 *x, struct span name)
{
    struct host_address a;
    const unsigned char *bytes;
    size_t len;

    if (host_address_parse(name, &a)) {
        bytes = address_bytes(&a, &len);
        return X509_check_ip(x, bytes, len, 0) == 1;
    }
    name = without_dot(name);
    return is_host_name(name) &&
           X509_check_host(x, name.at, name.len, STRICT, NULL) == 1;
}

void tls_names_expect(X509_VERIFY_PARAM *p, struct span name)
{
    struct host_address a;
    const unsigned char *bytes;
    size_t len;

    if (host_address_parse(name, &a)) {
        bytes = address_bytes(&a, &len);
        ASSERT(X509_VERIFY_PARAM_set1_ip(p, bytes, len) == 1);
        return;
    }
    name = without_dot(name);
    if (!is_host_name(name))
        name = SPAN("no.name.invalid");
    X509_VERIFY_PARAM_set_hostflags(p, STRICT);
    ASSERT(X509_VERIFY_PARAM_set1_host(p, name.at, name.len) == 1);
}

bool tls_names_can_ask(struct span name)
{
    struct host_address a;

    return !host_address_parse(name, &a) && is_host_name(without_dot(name));
}

static struct span text_of(const ASN1_STRING *s)
{
    return span_make((const char *)ASN1_STRING_get0_data(s),
                     (size_t)ASN1_STRING_length(s));
}

static bool is_clean(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.at[i] <= ' ' || (unsigned char)s.at[i] >= 0x7f)
            return false;
    return s.len > 0 && s.len <= TLS_NAME_MOST;
}

static bool put_first_of(const GENERAL_NAMES *names, int type,
                         struct buffer *out)
{
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);

        if (n->type != type || !is_clean(text_of(n->d.ia5)))
            continue;
        buffer_put(out, text_of(n->d.ia5));
        return true;
    }
    return false;
}

static void put_common_name(X509 *x, struct buffer *out)
{
    const X509_NAME *subject = X509_get_subject_name(x);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    const ASN1_STRING *cn;

    if (at < 0)
        return;
    cn = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    if (is_clean(text_of(cn)))
        buffer_put(out, text_of(cn));
}

void tls_names_first(X509 *x, struct buffer *out)
{
    GENERAL_NAMES *names =
        X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    bool found = names && (put_first_of(names, GEN_DNS, out) ||
                           put_first_of(names, GEN_EMAIL, out));

    GENERAL_NAMES_free(names);
    if (!found)
        put_common_name(x, out);
}

void tls_names_list(X509 *x, struct buffer *out)
{
    GENERAL_NAMES *names =
        X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    int listed = 0;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);

        if (n->type != GEN_DNS)
            continue;
        if (listed == NAMES_LISTED) {
            buffer_put_string(out, " ...");
            break;
        }
        buffer_put_string(out, listed++ ? ", " : "");
        buffer_put_escaped(out, span_first(text_of(n->d.ia5), TLS_NAME_MOST));
    }
    GENERAL_NAMES_free(names);
    if (!listed)
        buffer_put_string(out, "no host at all");
}

void tls_names_digest(X509 *x, char out[TLS_DIGEST_TEXT + 1])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    int at;

    if (X509_digest(x, EVP_sha256(), digest, &len) != 1)
        len = 0;
    at = snprintf(out, TLS_DIGEST_TEXT + 1, "sha256:");
    for (unsigned i = 0; i < len; i++)
        at += snprintf(out + at, (size_t)(TLS_DIGEST_TEXT + 1 - at), "%02x",
                       digest[i]);
}
