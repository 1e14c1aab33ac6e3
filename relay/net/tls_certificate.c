/*
 * tls_certificate - what stands in a peer's certificate, for people.
 *
 * Strangers wrote it: each text is escaped and cut. RFC 2253 for names.
 */
#include "relay/net/tls_private.h"

#include <openssl/bio.h>
#include <time.h>

enum { TEXT_MOST = 500 };

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

bool tls_certificate_read(const struct tls *t, struct tls_certificate *out)
{
    struct buffer names = { 0 };
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
    tls_names_list(x, &names);
    buffer_put_escaped(&out->names, span_first(buffer_span(&names), TEXT_MOST));
    buffer_fini(&names);
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
