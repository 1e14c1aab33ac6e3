/*
 * tls_pem - certificates, keys and authorities, out of their files.
 *
 * What is wrong with a file is a line in `faults`, with its path in front; what could be read
 * is there all the same.
 */
#include "relay/net/tls_private.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/remedy.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <unistd.h>

static void complain(struct buffer *faults, const char *path, int rc)
{
    buffer_printf(faults, "%s", path);
    remedy_put_reading(faults, rc);
    buffer_put_byte(faults, '\n');
}

static BIO *open_file(const char *path, struct buffer *faults)
{
    BIO *b;

    errno = 0;
    ERR_clear_error();
    b = BIO_new_file(path, "r");
    if (!b)
        complain(faults, path, errno ? -errno : -EIO);
    return b;
}

/* Is what ends a loop over a PEM file only its end? */
static bool is_at_end(void)
{
    unsigned long e = ERR_peek_last_error();
    bool is_end = e == 0 || (ERR_GET_LIB(e) == ERR_LIB_PEM &&
                             ERR_GET_REASON(e) == PEM_R_NO_START_LINE);

    if (is_end)
        ERR_clear_error();
    return is_end;
}

void tls_pem_certificates(struct tls_pair *p, const char *path,
                          struct buffer *faults)
{
    BIO *b = open_file(path, faults);
    X509 *x;

    if (!b)
        return;
    p->certificate = PEM_read_bio_X509_AUX(b, NULL, NULL, NULL);
    p->chain = sk_X509_new_null();
    if (!p->certificate) {
        buffer_printf(faults, "%s: %s\n", path,
                      is_at_end() ? "there is no certificate in it"
                                  : tls_context_reason());
    } else {
        while (sk_X509_num(p->chain) < TLS_CHAIN_MOST &&
               (x = PEM_read_bio_X509(b, NULL, NULL, NULL)) != NULL)
            (void)sk_X509_push(p->chain, x);
        if (!is_at_end())
            buffer_printf(faults, "%s: %s\n", path, tls_context_reason());
    }
    (void)BIO_free(b);
}

static int no_passphrase(char *buf, int size, int writing, void *is_encrypted)
{
    (void)buf;
    (void)size;
    (void)writing;
    *(bool *)is_encrypted = true;
    return -1;
}

void tls_pem_key(struct tls_pair *p, const char *path, struct buffer *faults)
{
    BIO *b = open_file(path, faults);
    bool is_encrypted = false;

    if (!b)
        return;
    p->key = PEM_read_bio_PrivateKey(b, NULL, no_passphrase, &is_encrypted);
    if (!p->key)
        buffer_printf(faults, "%s: %s\n", path,
                      is_encrypted ? "the key is encrypted; it must be in clear"
                                   : "there is no key in it");
    (void)BIO_free(b);
}

X509_STORE *tls_pem_authorities(const char *path, struct buffer *faults)
{
    X509_STORE *store = X509_STORE_new();

    ASSERT(store);
    ERR_clear_error();
    if (X509_STORE_load_file(store, path) != 1)
        buffer_printf(faults, "%s: %s\n", path,
                      access(path, R_OK) < 0 ? strerror(errno)
                                             : "there is no certificate in it");
    ERR_clear_error();
    /* One's own file may hold just the peer's certificate. */
    (void)X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    return store;
}

/* Does the folder hold certificates under the hashes of their names ("5ad8a5d6.0")? */
static bool is_hashed(const char *folder)
{
    DIR *d = opendir(folder);
    struct dirent *e;
    bool found = false;

    while (d && !found && (e = readdir(d)) != NULL)
        found = strspn(e->d_name, "0123456789abcdef") == 8 &&
                strcmp(e->d_name + 8, ".0") == 0;
    if (d)
        (void)closedir(d);
    return found;
}

X509_STORE *tls_pem_system_authorities(void)
{
    X509_STORE *store = X509_STORE_new();
    const char *folder = getenv(X509_get_default_cert_dir_env());

    ASSERT(store);
    if (!folder)
        folder = X509_get_default_cert_dir();
    /* From a hashed folder one is read when it is wanted; all of a bundle at once would
     * keep the loop for longer than anybody should wait. */
    if (!getenv(X509_get_default_cert_file_env()) && is_hashed(folder))
        (void)X509_STORE_load_path(store, folder);
    else
        (void)X509_STORE_set_default_paths(store);
    ERR_clear_error();
    return store;
}
