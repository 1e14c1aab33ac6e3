/*
 * tls_material - certificates, keys and authorities, read once and shared.
 *
 * Everything is read and checked before anything is used, so that a configuration that
 * serves at all serves wholly; each fault is a sentence with its file in front. How every
 * file looked then is remembered, and so a changed one is noticed. Ticket keys are the
 * contexts' own: material of a day is stale, so that they change.
 */
#include "relay/net/tls_private.h"

#include "policy/vocabulary/memory.h"
#include "relay/net/date.h"
#include "relay/net/worker.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

/* --------------------------------------------------------------- files ---- */

static void look_at(struct tls_file *f, const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return;
    f->changed_ns =
        st.st_mtim.tv_sec * (int64_t)1000000000 + st.st_mtim.tv_nsec;
    f->size = (uint64_t)st.st_size;
    f->inode = st.st_ino;
}

/* Answers its path, NUL-terminated. */
static const char *watch(struct tls_material *m, struct span path, bool is_key)
{
    struct tls_file *f;

    m->files = memory_grow(m->files, (m->file_count + 1) * sizeof *m->files);
    f = &m->files[m->file_count++];
    *f = (struct tls_file){ .path = span_dup(path), .is_key = is_key };
    look_at(f, f->path);
    return f->path;
}

static void read_pair(struct tls_material *m, struct tls_pair *p,
                      struct span certificate, struct span key,
                      struct buffer *faults)
{
    char *certificate_path = span_dup(certificate), *key_path = span_dup(key);

    (void)watch(m, certificate, false);
    (void)watch(m, key, true);
    tls_pem_certificates(p, certificate_path, faults);
    tls_pem_key(p, key_path, faults);
    if (p->certificate && p->key &&
        X509_check_private_key(p->certificate, p->key) != 1)
        buffer_printf(faults, "%s: is not the key of %s\n", key_path,
                      certificate_path);
    else if (p->certificate && p->key && !tls_context_takes(p))
        buffer_printf(faults, "%s: %s\n", certificate_path,
                      tls_context_reason());
    ERR_clear_error();
    p->path = certificate_path;
    free(key_path);
}

/* ------------------------------------------------------------- building ---- */

static bool is_of_other_type(const struct tls_material *m, size_t which)
{
    for (size_t i = 0; i < which; i++)
        if (m->pairs[i].is_default &&
            EVP_PKEY_get_base_id(m->pairs[i].key) ==
                EVP_PKEY_get_base_id(m->pairs[which].key))
            return false;
    return true;
}

/* The first pair, and those of another type for the same name. */
static void choose_default(struct tls_material *m)
{
    struct buffer name = { 0 };

    tls_names_first(m->pairs[0].certificate, &name);
    for (size_t i = 0; i < m->pair_count; i++) {
        struct tls_pair *p = &m->pairs[i];
        struct buffer other = { 0 };

        tls_names_first(p->certificate, &other);
        p->is_default =
            i == 0 || (is_of_other_type(m, i) &&
                       span_is_nocase(buffer_span(&name), buffer_span(&other)));
        m->default_count += p->is_default;
        buffer_fini(&other);
    }
    buffer_fini(&name);
}

static void read_pairs(struct tls_material *m, struct buffer *faults)
{
    const struct tls_settings *t = &m->settings->tls;
    size_t count = t->certificate_count < t->key_count ? t->certificate_count
                                                       : t->key_count;

    m->pairs = NEW_ARRAY(struct tls_pair, count ? count : 1);
    m->pair_count = count;
    for (size_t i = 0; i < count; i++)
        read_pair(m, &m->pairs[i], t->certificates[i], t->keys[i], faults);
}

/* Its place among the clients' certificates. */
static size_t find_client(struct tls_material *m, const struct route *r,
                          struct buffer *faults)
{
    struct tls_client *c;

    if (r->certificate.len == 0)
        return 0;
    for (size_t i = 1; i < m->client_count; i++)
        if (span_is(m->clients[i].certificate, r->certificate) &&
            span_is(m->clients[i].key, r->certificate_key))
            return i;
    c = &m->clients[m->client_count];
    c->certificate = r->certificate;
    c->key = r->certificate_key;
    read_pair(m, &c->pair, c->certificate, c->key, faults);
    return m->client_count++;
}

static void read_clients(struct tls_material *m, struct buffer *faults)
{
    const struct settings *s = m->settings;

    size_t most = s->route_count + s->fetch_count;

    m->clients = NEW_ARRAY(struct tls_client, most + 1);
    m->client_count = 1;
    m->client_of_route = NEW_ARRAY(size_t, most + 1);
    for (size_t i = 0; i < most; i++)
        m->client_of_route[i] = find_client(
            m,
            i < s->route_count ? &s->routes[i]
                               : &s->fetches[i - s->route_count].route,
            faults);
}

static void make_contexts(struct tls_material *m)
{
    const struct settings *s = m->settings;

    m->listener_count = s->listener_count;
    m->listeners = NEW_ARRAY(struct tls_listener, s->listener_count + 1);
    if (m->pair_count)
        choose_default(m);
    for (size_t i = 0; m->pair_count && i < s->listener_count; i++) {
        const struct listener_settings *l = &s->listeners[i];

        if (l->tls == LISTENER_TLS_NONE)
            continue;
        m->listeners[i].modern = tls_context_server(m, i, false);
        if (l->legacy_tls.v4_count + l->legacy_tls.v6_count)
            m->listeners[i].legacy = tls_context_server(m, i, true);
    }
    for (size_t i = 0; i < m->client_count; i++) {
        m->clients[i].strict = tls_context_client(m, &m->clients[i].pair, true);
        m->clients[i].loose = tls_context_client(m, &m->clients[i].pair, false);
    }
}

struct tls_material *tls_material_new(const struct settings *s,
                                      struct buffer *out_faults)
{
    struct tls_material *m = NEW(struct tls_material);
    size_t before = out_faults->len;

    atomic_init(&m->holders, 1);
    m->settings = settings_hold((struct settings *)s); /* only its count */
    m->made_ms = wall_ms();
    m->bio = tls_bio_method();
    m->cache = tls_cache_new();
    read_pairs(m, out_faults);
    read_clients(m, out_faults);
    m->authorities = s->tls.authorities.len
                         ? tls_pem_authorities(
                               watch(m, s->tls.authorities, false), out_faults)
                         : tls_pem_system_authorities();
    m->client_authorities =
        s->tls.client_authorities.len
            ? tls_pem_authorities(watch(m, s->tls.client_authorities, false),
                                  out_faults)
            : X509_STORE_new();
    if (out_faults->len != before) {
        tls_material_release(m);
        return NULL;
    }
    make_contexts(m);
    return m;
}

/* ------------------------------------------------------------ its life ---- */

static void pair_fini(struct tls_pair *p)
{
    X509_free(p->certificate);
    sk_X509_pop_free(p->chain, X509_free);
    EVP_PKEY_free(p->key);
    free(p->path);
}

struct tls_material *tls_material_hold(struct tls_material *m)
{
    if (m)
        atomic_fetch_add(&m->holders, 1);
    return m;
}

void tls_material_release(struct tls_material *m)
{
    if (!m || atomic_fetch_sub(&m->holders, 1) > 1)
        return;
    for (size_t i = 0; m->listeners && i < m->listener_count; i++) {
        SSL_CTX_free(m->listeners[i].modern);
        SSL_CTX_free(m->listeners[i].legacy);
    }
    for (size_t i = 0; i < m->client_count; i++) {
        SSL_CTX_free(m->clients[i].strict);
        SSL_CTX_free(m->clients[i].loose);
        pair_fini(&m->clients[i].pair);
    }
    for (size_t i = 0; i < m->pair_count; i++)
        pair_fini(&m->pairs[i]);
    for (size_t i = 0; i < m->file_count; i++)
        free(m->files[i].path);
    X509_STORE_free(m->authorities);
    X509_STORE_free(m->client_authorities);
    tls_cache_free(m->cache);
    BIO_meth_free(m->bio);
    free(m->listeners);
    free(m->clients);
    free(m->client_of_route);
    free(m->pairs);
    free(m->files);
    settings_release(m->settings);
    free(m);
}

bool tls_material_is_stale(const struct tls_material *m)
{
    for (size_t i = 0; i < m->file_count; i++) {
        const struct tls_file *f = &m->files[i];
        struct tls_file now = { 0 };

        look_at(&now, f->path);
        if (now.changed_ns != f->changed_ns || now.size != f->size ||
            now.inode != f->inode)
            return true;
    }
    return wall_ms() - m->made_ms > DATE_DAY_MS;
}

static int64_t end_of(const struct tls_pair *p)
{
    struct tm tm;

    if (!p->certificate ||
        ASN1_TIME_to_tm(X509_get0_notAfter(p->certificate), &tm) != 1)
        return INT64_MAX;
    return (int64_t)timegm(&tm) * 1000;
}

static void tell_pair(const struct tls_pair *p, tls_certificate_fn *each,
                      void *user)
{
    int64_t end = end_of(p);
    struct buffer names = { 0 };

    if (end == INT64_MAX)
        return;
    tls_names_list(p->certificate, &names);
    each(user, span_of(p->path), buffer_span(&names), end);
    buffer_fini(&names);
}

void tls_material_each(const struct tls_material *m, tls_certificate_fn *each,
                       void *user)
{
    for (size_t i = 0; i < m->pair_count; i++)
        tell_pair(&m->pairs[i], each, user);
    for (size_t i = 0; i < m->client_count; i++)
        tell_pair(&m->clients[i].pair, each, user);
}

static void warn_of_end(const struct tls_pair *p, int64_t now_ms,
                        struct buffer *out)
{
    int64_t end = end_of(p), days = (end - now_ms) / DATE_DAY_MS;
    time_t at = (time_t)(end / 1000);
    char date[32];
    struct tm tm;

    if (end == INT64_MAX || end - now_ms > (int64_t)TLS_SOON_DAYS * DATE_DAY_MS)
        return;
    (void)gmtime_r(&at, &tm);
    (void)strftime(date, sizeof date, "%Y-%m-%d %H:%M UTC", &tm);
    if (end <= now_ms)
        buffer_printf(out, "%s: the certificate ended on %s\n", p->path, date);
    else
        buffer_printf(out, "%s: the certificate ends on %s, in %lld day%s\n",
                      p->path, date, (long long)days, days == 1 ? "" : "s");
}

void tls_material_warn(const struct tls_material *m, int64_t now_ms,
                       struct buffer *out)
{
    for (size_t i = 0; i < m->pair_count; i++)
        warn_of_end(&m->pairs[i], now_ms, out);
    for (size_t i = 0; i < m->client_count; i++)
        warn_of_end(&m->clients[i].pair, now_ms, out);
    for (size_t i = 0; i < m->file_count; i++) {
        const struct tls_file *f = &m->files[i];
        struct stat st;

        if (f->is_key && stat(f->path, &st) == 0 && (st.st_mode & S_IROTH))
            buffer_printf(out,
                          "%s: everybody on this machine can read the key\n",
                          f->path);
    }
}
