/*
 * sasl_book - what the settings and the files of users say, as it is looked up.
 *
 * A book is made of both by sasl_book_of, or of newer files alone by sasl_book_again, and never
 * changed after that. A file that is unreadable or wrong makes none.
 */
#include "relay/inbound/pambase.h"
#include "relay/inbound/sasl_private.h"

#include "policy/vocabulary/memory.h"
#include "relay/net/log.h"

#include <stdlib.h>
#include <unistd.h>

/* How long opening waits for Dovecot to say what it can. */
enum { LEARN_MS = 1000 };

struct sasl_book *sasl_book_hold(struct sasl_book *b)
{
    atomic_fetch_add(&b->holders, 1);
    return b;
}

void sasl_book_release(struct sasl_book *b)
{
    if (atomic_fetch_sub(&b->holders, 1) > 1)
        return;
    for (size_t i = 0; i < SASL_FILES; i++) {
        userfile_free(b->files[i]);
        free(b->paths[i]);
    }
    dovecot_free(b->dovecot);
    password_cache_free(b->cache);
    free(b->service);
    free(b->socket);
    free(b);
}

unsigned sasl_book_mechanisms(const struct sasl_book *b)
{
    const struct userfile *users = b->files[USERFILE_VERIFIERS];
    unsigned set = 0;

    switch (b->backend) {
    case SASL_FILE:
        set = MECHANISM_PLAIN | MECHANISM_LOGIN;
        /* A client takes the best that is offered and does not come back with
         * another, so SCRAM is for when it fits everybody. */
        if (userfile_all_have(users, PASSWORD_SHA_256))
            set |= MECHANISM_SCRAM_SHA_256 | MECHANISM_SCRAM_SHA_256_PLUS;
        if (userfile_all_have(users, PASSWORD_SHA_1))
            set |= MECHANISM_SCRAM_SHA_1 | MECHANISM_SCRAM_SHA_1_PLUS;
        break;
    case SASL_PAM:
        set = MECHANISM_PLAIN | MECHANISM_LOGIN;
        break;
    case SASL_DOVECOT:
        set = dovecot_mechanisms(b->dovecot);
        break;
    case SASL_NOBODY:
        break;
    }
    if (b->files[USERFILE_CRAM])
        set |= MECHANISM_CRAM_MD5;
    if (b->files[USERFILE_CERTIFICATES])
        set |= MECHANISM_EXTERNAL;
    return set;
}

/* Reads the files that b names. On failure b is released. */
static struct sasl_book *fill(struct sasl_book *b, struct buffer *out_why)
{
    atomic_store(&b->holders, 1);
    b->cache = password_cache_new();
    for (size_t i = 0; i < SASL_FILES; i++) {
        if (!b->paths[i])
            continue;
        b->files[i] = userfile_read((enum userfile_kind)i, b->paths[i],
                                    &b->seen[i], out_why);
        if (!b->files[i]) {
            if (i != USERFILE_CERTIFICATES && access(b->paths[i], F_OK) < 0)
                buffer_put_string(out_why, ": waypost user add makes it");
            sasl_book_release(b);
            return NULL;
        }
    }
    if (b->socket)
        b->dovecot = dovecot_new(b->socket);
    return b;
}

static char *copy(struct span s)
{
    return s.len ? span_dup(s) : NULL;
}

struct sasl_book *sasl_book_of(const struct users_settings *u,
                               struct buffer *out_why)
{
    struct sasl_book *b = NEW(struct sasl_book);

    b->paths[USERFILE_VERIFIERS] = copy(u->file);
    b->paths[USERFILE_CRAM] = copy(u->cram_file);
    b->paths[USERFILE_CERTIFICATES] = copy(u->certificates);
    b->service = copy(u->pam);
    b->socket = copy(u->dovecot);
    b->backend = u->dovecot.len ? SASL_DOVECOT
                 : u->pam.len   ? SASL_PAM
                 : u->file.len  ? SASL_FILE
                                : SASL_NOBODY;
    b = fill(b, out_why);
    if (b && b->dovecot && !dovecot_learn(b->dovecot, LEARN_MS, out_why)) {
        /* It may come up later; what fits nearly every Dovecot is offered. */
        log_text(LOG_WARNING, "logins: %s", buffer_string(out_why));
        buffer_clear(out_why);
    }
    if (b && b->backend == SASL_PAM &&
        pambase_is_out_of_reach(NULL, u->pam, PAMBASE_SHADOW))
        log_text(LOG_WARNING,
                 "logins: PAM cannot read " PAMBASE_SHADOW " as this user, so "
                 "none is let in (454): put the relay's user into the group "
                 "of that file (usermod -aG shadow USER) and restart it");
    if (b)
        b->mechanisms = sasl_book_mechanisms(b);
    return b;
}

struct sasl_book *sasl_book_again(const struct sasl_book *old,
                                  struct buffer *out_why)
{
    struct sasl_book *b = NEW(struct sasl_book);

    for (size_t i = 0; i < SASL_FILES; i++)
        b->paths[i] = copy(span_of(old->paths[i]));
    b->service = copy(span_of(old->service));
    b->socket = copy(span_of(old->socket));
    b->backend = old->backend;
    b = fill(b, out_why);
    if (b && b->dovecot)
        dovecot_inherit(b->dovecot, old->dovecot);
    if (b)
        b->mechanisms = sasl_book_mechanisms(b);
    return b;
}

/* ----------------------------------------------------- has it changed? ---- */

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev &&
           a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_mode == b->st_mode;
}

bool sasl_book_has_changed(const struct sasl_book *b, struct stat *tried)
{
    bool is_other = false;

    for (size_t i = 0; i < SASL_FILES; i++) {
        struct stat now = { 0 };

        if (!b->paths[i])
            continue;
        if (stat(b->paths[i], &now) < 0)
            now = (struct stat){ 0 };
        is_other = is_other || !is_same_file(&now, &tried[i]);
        tried[i] = now;
    }
    return is_other;
}

/* FNV-1a. */
static uint64_t mix(uint64_t sum, const void *at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum = (sum ^ ((const unsigned char *)at)[i]) * 0x100000001b3;
    return sum;
}

uint64_t sasl_book_stamp(const struct sasl_book *b, struct span login)
{
    uint64_t sum = 0xcbf29ce484222325;
    bool is_there = false;

    for (size_t i = 0; i < USERFILE_CERTIFICATES; i++) {
        const struct userfile_entry *e =
            b->files[i] ? userfile_find(b->files[i], login) : NULL;

        if (!e)
            continue;
        is_there = true;
        sum = mix(sum, e->value.at, e->value.len);
        sum = mix(sum, e->crypt, e->crypt ? strlen(e->crypt) : 0);
        for (size_t k = 0; k < PASSWORD_HASHES; k++)
            sum = mix(sum, e->scram[k].stored_key, PASSWORD_KEY_MOST);
    }
    return is_there ? sum | 1 : 0;
}
