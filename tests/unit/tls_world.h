/*
 * tls_world - certificates of the moment, and settings that name them.
 *
 * Authorities and certificates are made when a test asks for them and live in a folder of
 * their own; nothing of it is kept, so nothing can run out.
 */
#ifndef WAYPOST_TLS_WORLD_H
#define WAYPOST_TLS_WORLD_H

#include "policy/settings.h"
#include "policy/vocabulary/error.h"
#include "policy/vocabulary/memory.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WORLD_DAY_S = 24 * 3600, WORLD_FILES = 64 };

struct tls_authority {
    X509 *certificate;
    EVP_PKEY *key;
};

struct tls_world {
    char folder[64];
    char *files[WORLD_FILES];
    size_t file_count;
    long serial;
    struct tls_authority good, unknown; /* "good" is in the file authorities */
    char *authorities;
};

struct tls_order {
    const char *file;    /* FILE.pem and FILE.key */
    const char *cn;      /* NULL: a subject without one */
    const char *san;     /* "DNS:a.example, IP:192.0.2.1"; NULL: none */
    struct span raw_dns; /* one DNS name of these bytes instead */
    const char *usage;   /* extendedKeyUsage; NULL: none */
    const struct tls_authority *by; /* NULL: self-signed */
    int begins_day, ends_day;       /* from today; 0, 0: good for a year */
    bool is_rsa;
};

static inline void world_extend(X509 *x, X509 *issuer, int nid,
                                const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *e;

    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ASSERT(e && X509_add_ext(x, e, -1) == 1);
    X509_EXTENSION_free(e);
}

static inline void world_put_raw_name(X509 *x, struct span name)
{
    GENERAL_NAMES *all = GENERAL_NAMES_new();
    GENERAL_NAME *n = GENERAL_NAME_new();
    ASN1_IA5STRING *s = ASN1_IA5STRING_new();

    ASSERT(ASN1_STRING_set(s, name.at, (int)name.len) == 1);
    GENERAL_NAME_set0_value(n, GEN_DNS, s);
    (void)sk_GENERAL_NAME_push(all, n);
    ASSERT(X509_add1_ext_i2d(x, NID_subject_alt_name, all, 0, 0) == 1);
    GENERAL_NAMES_free(all);
}

static inline X509 *world_certificate(struct tls_world *w, EVP_PKEY *key,
                                      const char *cn)
{
    X509 *x = X509_new();
    X509_NAME *subject = X509_get_subject_name(x);

    (void)X509_set_version(x, 2);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(x), ++w->serial);
    (void)X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_ASC,
                                     (const unsigned char *)"Test", -1, -1, 0);
    if (cn)
        (void)X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                         (const unsigned char *)cn, -1, -1, 0);
    (void)X509_set_pubkey(x, key);
    (void)X509_gmtime_adj(X509_getm_notBefore(x), -WORLD_DAY_S);
    (void)X509_gmtime_adj(X509_getm_notAfter(x), 365L * WORLD_DAY_S);
    return x;
}

static inline struct tls_authority world_authority(struct tls_world *w,
                                                   const char *cn)
{
    struct tls_authority a = { .key = EVP_EC_gen("P-256") };

    a.certificate = world_certificate(w, a.key, cn);
    (void)X509_set_issuer_name(a.certificate,
                               X509_get_subject_name(a.certificate));
    world_extend(a.certificate, a.certificate, NID_basic_constraints,
                 "critical,CA:TRUE");
    ASSERT(X509_sign(a.certificate, a.key, EVP_sha256()) > 0);
    return a;
}

static inline FILE *world_file(struct tls_world *w, const char *name,
                               const char *suffix, char **out_path)
{
    struct buffer path = { 0 };
    FILE *f;

    buffer_printf(&path, "%s/%s%s", w->folder, name, suffix);
    f = fopen(buffer_string(&path), "w");
    ASSERT(f && w->file_count < WORLD_FILES);
    w->files[w->file_count++] = path.at;
    *out_path = path.at;
    return f;
}

/* Answers the paths' folder entry: what tls { certificate key } would name. */
static inline void world_order(struct tls_world *w, const struct tls_order *o,
                               struct span *out_certificate,
                               struct span *out_key)
{
    EVP_PKEY *key = o->is_rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
    X509 *x = world_certificate(w, key, o->cn);
    struct tls_authority self = { x, key };
    const struct tls_authority *by = o->by ? o->by : &self;
    char *certificate_path, *key_path;
    FILE *f;

    (void)X509_set_issuer_name(x, X509_get_subject_name(by->certificate));
    if (o->begins_day || o->ends_day) {
        (void)X509_gmtime_adj(X509_getm_notBefore(x),
                              (long)o->begins_day * WORLD_DAY_S);
        (void)X509_gmtime_adj(X509_getm_notAfter(x),
                              (long)o->ends_day * WORLD_DAY_S + 3600);
    }
    if (o->san)
        world_extend(x, by->certificate, NID_subject_alt_name, o->san);
    if (o->raw_dns.len)
        world_put_raw_name(x, o->raw_dns);
    if (o->usage)
        world_extend(x, by->certificate, NID_ext_key_usage, o->usage);
    ASSERT(X509_sign(x, by->key, EVP_sha256()) > 0);
    f = world_file(w, o->file, ".pem", &certificate_path);
    ASSERT(PEM_write_X509(f, x) == 1 && fclose(f) == 0);
    f = world_file(w, o->file, ".key", &key_path);
    ASSERT(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 &&
           fclose(f) == 0);
    (void)chmod(key_path, 0600);
    *out_certificate = span_of(certificate_path);
    *out_key = span_of(key_path);
    X509_free(x);
    EVP_PKEY_free(key);
}

static inline void world_open(struct tls_world *w)
{
    FILE *f;

    *w = (struct tls_world){ .folder = "/tmp/waypost-tls-XXXXXX" };
    ASSERT(mkdtemp(w->folder));
    w->good = world_authority(w, "Good CA");
    w->unknown = world_authority(w, "Unknown CA");
    f = world_file(w, "ca", ".pem", &w->authorities);
    ASSERT(PEM_write_X509(f, w->good.certificate) == 1 && fclose(f) == 0);
}

static inline void world_close(struct tls_world *w)
{
    for (size_t i = 0; i < w->file_count; i++) {
        (void)unlink(w->files[i]);
        free(w->files[i]);
    }
    (void)rmdir(w->folder);
    X509_free(w->good.certificate);
    EVP_PKEY_free(w->good.key);
    X509_free(w->unknown.certificate);
    EVP_PKEY_free(w->unknown.key);
}

#endif
