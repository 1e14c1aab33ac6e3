/*
 * dovecot - a client of Dovecot's authentication socket.
 *
 *   we:      VERSION 1 1, CPID number
 *   it:      VERSION 1 n, MECH name ... , SPID, CUID, COOKIE, DONE
 *   we:      AUTH id MECHANISM service=smtp rip=... secured resp=BASE64
 *   it:      CONT id BASE64 | OK id user=... | FAIL id [temp] [code=...]
 *   we:      CONT id BASE64
 *
 * A line is fields with a tab between. What it says of other ids is skipped. A kept
 * connection may have died meanwhile; the exchange is then begun again on another.
 */
#include "relay/inbound/dovecot.h"

#include "policy/vocabulary/memory.h"
#include "relay/inbound/dovecot_link.h"
#include "relay/inbound/password.h"
#include "relay/inbound/userfile.h"

#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>

enum {
    WAIT_MS = 10 * 1000,
    KEPT_MOST = 16,
};

struct dovecot {
    pthread_mutex_t lock;
    char *path;
    struct dovecot_link *kept;
    unsigned kept_count;
    atomic_uint mechanisms;
};

struct dovecot *dovecot_new(const char *path)
{
    struct dovecot *d = NEW(struct dovecot);

    ASSERT(pthread_mutex_init(&d->lock, NULL) == 0);
    d->path = span_dup(span_of(path));
    atomic_store(&d->mechanisms, MECHANISM_PLAIN | MECHANISM_LOGIN);
    return d;
}

void dovecot_free(struct dovecot *take_d)
{
    struct dovecot_link *next;

    if (!take_d)
        return;
    for (struct dovecot_link *k = take_d->kept; k; k = next) {
        next = k->next;
        dovecot_link_close(k);
    }
    (void)pthread_mutex_destroy(&take_d->lock);
    free(take_d->path);
    free(take_d);
}

unsigned dovecot_mechanisms(struct dovecot *d)
{
    return atomic_load(&d->mechanisms);
}

void dovecot_inherit(struct dovecot *d, struct dovecot *old)
{
    atomic_store(&d->mechanisms, atomic_load(&old->mechanisms));
}

void dovecot_drop(struct dovecot_link *take_link)
{
    dovecot_link_close(take_link);
}

static int link_open(struct dovecot *d, int64_t until_ms,
                     struct dovecot_link **out_link)
{
    unsigned set;
    int rc = dovecot_link_open(d->path, until_ms, out_link, &set);

    if (rc == 0)
        atomic_store(&d->mechanisms, set & MECHANISMS_CARRIED);
    return rc;
}

static struct dovecot_link *link_take(struct dovecot *d)
{
    struct dovecot_link *k;

    (void)pthread_mutex_lock(&d->lock);
    k = d->kept;
    if (k) {
        d->kept = k->next;
        d->kept_count--;
    }
    (void)pthread_mutex_unlock(&d->lock);
    return k;
}

static void link_put(struct dovecot *d, struct dovecot_link *take_link)
{
    bool is_kept;

    (void)pthread_mutex_lock(&d->lock);
    is_kept = d->kept_count < KEPT_MOST;
    if (is_kept) {
        take_link->next = d->kept;
        d->kept = take_link;
        d->kept_count++;
    }
    (void)pthread_mutex_unlock(&d->lock);
    if (!is_kept)
        dovecot_link_close(take_link);
}

static enum dovecot_said complain(const struct dovecot *d, int rc,
                                  struct buffer *out_text)
{
    buffer_clear(out_text);
    buffer_printf(out_text, "Dovecot at %s: %s", d->path, error_text(rc));
    return DOVECOT_UNAVAILABLE;
}

bool dovecot_learn(struct dovecot *d, int timeout_ms, struct buffer *out_why)
{
    struct dovecot_link *k;
    int rc = link_open(d, dovecot_link_now_ms() + timeout_ms, &k);

    if (rc < 0)
        (void)complain(d, rc, out_why);
    else
        link_put(d, k);
    return rc == 0;
}

static void put_base64(struct buffer *b, struct span s)
{
    char *room = buffer_room(b, (s.len + 2) / 3 * 4 + 1);

    buffer_grew(b, (size_t)EVP_EncodeBlock((unsigned char *)room,
                                           (const unsigned char *)s.at,
                                           (int)s.len));
}

static bool get_base64(struct buffer *b, struct span s)
{
    size_t pad = 0;
    char *room;
    int n;

    if (s.len == 0)
        return true;
    if (s.len % 4 != 0)
        return false;
    while (pad < 2 && s.at[s.len - 1 - pad] == '=')
        pad++;
    room = buffer_room(b, s.len);
    n = EVP_DecodeBlock((unsigned char *)room, (const unsigned char *)s.at,
                        (int)s.len);
    if (n < (int)pad)
        return false;
    buffer_grew(b, (size_t)n - pad);
    return true;
}

/* Dovecot writes what may not stand in a line as \001 and a letter. */
static void put_unescaped(struct buffer *b, struct span s)
{
    static const char letters[] = "1trl", meant[] = "\001\t\r\n";

    for (size_t i = 0; i < s.len; i++) {
        const char *letter;

        if (s.at[i] != '\001' || i + 1 == s.len) {
            buffer_put_byte(b, s.at[i]);
            continue;
        }
        i++;
        letter = s.at[i] ? strchr(letters, s.at[i]) : NULL;
        buffer_put_byte(b, s.at[i] == '0' ? '\0'
                           : letter       ? meant[letter - letters]
                                          : s.at[i]);
    }
}

/* What follows OK or FAIL and the id. */
struct verdict_words {
    bool is_temporary;
    struct span user, resp;
};

static struct verdict_words read_words(struct span rest)
{
    struct verdict_words w = { 0 };

    while (rest.len) {
        struct span value, word = span_split(rest, '\t', &rest);
        struct span key = span_split(word, '=', &value);

        if (span_is(key, SPAN("user")))
            w.user = value;
        else if (span_is(key, SPAN("resp")))
            w.resp = value;
        else if (span_is(word, SPAN("temp")) ||
                 span_is(word, SPAN("code=temp_fail")))
            w.is_temporary = true;
    }
    return w;
}

static int read_ok(struct span rest, struct buffer *out_text,
                   struct buffer *out_login)
{
    struct verdict_words w = read_words(rest);

    buffer_clear(out_login);
    put_unescaped(out_login, w.user);
    if (!userfile_login_is_good(buffer_span(out_login)) ||
        !get_base64(out_text, w.resp))
        return ERROR_PROTOCOL;
    return DOVECOT_OK;
}

/* What it says of our exchange: enum dovecot_said, or an error. */
static int read_verdict(struct dovecot_link *k, struct buffer *out_text,
                        struct buffer *out_login)
{
    int64_t until_ms = dovecot_link_now_ms() + WAIT_MS;
    struct span line, word, rest;
    uint64_t id;
    int rc;

    for (;;) {
        if ((rc = dovecot_link_read(k, until_ms, &line)) < 0)
            return rc;
        word = span_split(line, '\t', &rest);
        if (!span_number(span_split(rest, '\t', &rest), &id) || id != k->id)
            continue;
        if (span_is(word, SPAN("CONT")))
            return get_base64(out_text, span_split(rest, '\t', &rest))
                       ? DOVECOT_MORE
                       : ERROR_PROTOCOL;
        if (span_is(word, SPAN("OK")))
            return read_ok(rest, out_text, out_login);
        if (!span_is(word, SPAN("FAIL")))
            continue;
        if (!read_words(rest).is_temporary)
            return DOVECOT_WRONG;
        buffer_put_string(out_text, "Dovecot cannot tell now");
        return DOVECOT_UNAVAILABLE;
    }
}

/* Sends a line and reads what becomes of it. The link goes where it belongs. */
static int ask(struct dovecot *d, struct dovecot_link *take_link,
               struct span line, struct dovecot_link **out_link,
               struct buffer *out_text, struct buffer *out_login)
{
    int rc =
        dovecot_link_send(take_link, line, dovecot_link_now_ms() + WAIT_MS);

    if (rc == 0)
        rc = read_verdict(take_link, out_text, out_login);
    if (rc < 0)
        dovecot_link_close(take_link);
    else if (rc == DOVECOT_MORE)
        *out_link = take_link;
    else
        link_put(d, take_link);
    return rc;
}

static void put_request(struct buffer *b, struct dovecot_link *k,
                        const struct dovecot_question *q)
{
    k->id = k->id % 0x7fffffff + 1;
    buffer_printf(b, "AUTH\t%u\t%s\tservice=smtp\tnologin\trip=", k->id,
                  mechanism_name(q->mechanism));
    host_address_print(b, &q->client);
    if (q->is_tls)
        buffer_put_string(b, "\tsecured");
    if (q->has_response) { /* must be the last */
        buffer_put_string(b, "\tresp=");
        put_base64(b, q->response);
    }
    buffer_put_byte(b, '\n');
}

enum dovecot_said dovecot_begin(struct dovecot *d,
                                const struct dovecot_question *q,
                                struct dovecot_link **out_link,
                                struct buffer *out_text,
                                struct buffer *out_login)
{
    struct dovecot_link *k;
    struct buffer line = { 0 };
    bool was_kept;
    int rc;

    /* Room for all of it at once, so that no copy of a secret is left behind. */
    (void)buffer_room(&line, 2 * q->response.len + 256);
    do {
        k = link_take(d);
        was_kept = k != NULL;
        rc = k ? 0 : link_open(d, dovecot_link_now_ms() + WAIT_MS, &k);
        if (rc < 0)
            break;
        buffer_clear(&line);
        put_request(&line, k, q);
        rc = ask(d, k, buffer_span(&line), out_link, out_text, out_login);
    } while (was_kept && (rc == ERROR_GONE || rc == -ECONNRESET));
    password_forget_buffer(&line);
    return rc < 0 ? complain(d, rc, out_text) : (enum dovecot_said)rc;
}

enum dovecot_said dovecot_go_on(struct dovecot *d, struct dovecot_link **link,
                                struct span response, struct buffer *out_text,
                                struct buffer *out_login)
{
    struct dovecot_link *k = *link;
    struct buffer line = { 0 };
    int rc;

    *link = NULL;
    (void)buffer_room(&line, 2 * response.len + 256);
    buffer_printf(&line, "CONT\t%u\t", k->id);
    put_base64(&line, response);
    buffer_put_byte(&line, '\n');
    rc = ask(d, k, buffer_span(&line), link, out_text, out_login);
    password_forget_buffer(&line);
    return rc < 0 ? complain(d, rc, out_text) : (enum dovecot_said)rc;
}
