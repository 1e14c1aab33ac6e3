/*
 * tls_certificate - what stands in a peer's certificate, for people.
 *
 * Strangers wrote it: each text is escaped and cut. RFC 2253 for names.
 */
#include "relay/net/tls_private.h"

#include <openssl/bio.h>
#include <openssl/x509v3.h>
#include <time.h>

enum { TEXT_MOST = 500, NAMES_MOST = 10 };

static void put_name(struct buffer *b, const X509_NAME *name)
{
    BIO *memory = BIO_new(BIO_s_mem());
    char *at = NULL;
    long len;

    ASSERT(memory);
    (void)X509_NAME_print_ex(memory, name, 0, XN_FLAG_RFC2253);
    len = BIO_get_mem_data(memory, &at);
    if (len > 0)
        buffer_put_escaped(b,
                           span_first(span_make(at, (size_t)len), TEXT_MOST));
    (void)BIO_free(memory);
}

static int64_t moment_ms(const ASN1_TIME *t)
{
    struct tm tm;

    return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) * 1000 : 0;
}

/* RFC 5280 4.2.1.6: 4 or 16 bytes. */
static void put_address(struct buffer *b, const char *at, size_t len)
{
    struct host_address a = { .bytes = { [10] = 0xff, [11] = 0xff } };

    if (len == 4)
        memcpy(a.bytes + 12, at, 4);
    else if (len == sizeof a.bytes)
        memcpy(a.bytes, at, len);
    else
        return;
    host_address_print(b, &a);
}

/* DNS names and addresses that it is for. */
static void put_names(struct buffer *b, X509 *x)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    int count = all ? sk_GENERAL_NAME_num(all) : 0;

    for (int i = 0; i < count && i < NAMES_MOST; i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(all, i);
        const ASN1_STRING *s = n->type == GEN_DNS     ? n->d.dNSName
                               : n->type == GEN_IPADD ? n->d.iPAddress
                                                      : NULL;
        int len = s ? ASN1_STRING_length(s) : 0;
        const char *at = s ? (const char *)ASN1_STRING_get0_data(s) : NULL;

        if (!s || len <= 0)
            continue;
        buffer_put_string(b, b->len ? ", " : "");
        if (n->type == GEN_DNS)
            buffer_put_escaped(
                b, span_first(span_make(at, (size_t)len), TEXT_MOST));
        else
            put_address(b, at, (size_t)len);
    }
    GENERAL_NAMES_free(all);
}

bool tls_certificate_read(const struct tls *t, struct tls_certificate *out)
{
    long verified;
    X509 *x = tls_peer(t, &verified);

    if (!x)
        return false;
    *out = (struct tls_certificate){
        .from_ms = moment_ms(X509_get0_notBefore(x)),
        .until_ms = moment_ms(X509_get0_notAfter(x)),
    };
    put_name(&out->subject, X509_get_subject_name(x));
    put_name(&out->issuer, X509_get_issuer_name(x));
    put_names(&out->names, x);
    if (verified != X509_V_OK)
        buffer_put_string(&out->trouble,
                          X509_verify_cert_error_string(verified));
    return true;
}

void tls_certificate_fini(struct tls_certificate *c)
{
    buffer_fini(&c->subject);
    buffer_fini(&c->issuer);
    buffer_fini(&c->names);
    buffer_fini(&c->trouble);
}
