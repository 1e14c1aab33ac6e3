/*
 * keyring - what each account shows, and how it is come by.
 *
 *   IDLE -> RUNS_COMMAND or POSTS [tokenfetch_start] -> IDLE [keyring_take, keyring_fail]
 *
 * Whoever asks is answered at once while the token is good; past its refresh time a fetch
 * starts beside that. Without a good token they wait for the fetch, or, a moment after a
 * failed one, get that failure again. The refresh time is at 80 % of the token's life or
 * 60 s before its end, whichever is earlier, but not in the first half.
 */
#include "relay/outbound/keyring.h"

#include "policy/vocabulary/memory.h"
#include "relay/net/log.h"
#include "relay/outbound/keyring_private.h"
#include "relay/outbound/secret.h"
#include "relay/outbound/tokenfetch.h"

#include <stdlib.h>

enum {
    EARLY_MS = 60 * 1000, /* refresh so long before the end */
    SPARE_MS = 10 * 1000, /* a token that ends sooner is not shown any more */
};

void ticket_free(struct ticket *t)
{
    profile_free(t->profile);
    secret_wipe(&t->secret);
    buffer_fini(&t->why);
    free(t);
}

/* ------------------------------------------------------------------ entries ---- */

static void entry_free(struct entry *e)
{
    HASH_DEL(e->keyring->entries, e);
    while (e->waiting) {
        struct ticket *t = e->waiting;

        e->waiting = t->next;
        ticket_free(t);
    }
    profile_free(e->profile);
    secret_wipe(&e->token);
    secret_wipe(&e->secret);
    secret_wipe(&e->refresh);
    secret_wipe(&e->old_refresh);
    secret_wipe(&e->rotated);
    buffer_fini(&e->trouble);
    free(e);
}

static void make_room(struct keyring *k)
{
    struct entry *e, *next;

    HASH_ITER(hh, k->entries, e, next)
    {
        if (HASH_COUNT(k->entries) < KEYRING_MOST)
            return;
        /* an unwritten refresh token must not be forgotten */
        if (e->state == ENTRY_IDLE && !e->rotated.len)
            entry_free(e);
    }
}

/* uthash is all in macros */
/* NOLINTNEXTLINE(readability-function-size) */
static struct entry *entry_find(struct keyring *k, const struct profile *p)
{
    struct entry *e;

    HASH_FIND(hh, k->entries, p->key, PROFILE_KEY_SIZE, e);
    return e;
}

/* The order of the entries is that of their last use. */
/* NOLINTNEXTLINE(readability-function-size) */
static struct entry *entry_use(struct keyring *k, struct ticket *t)
{
    struct entry *e = entry_find(k, t->profile);

    if (e && e->state != ENTRY_IDLE)
        return e;
    if (e) {
        HASH_DEL(k->entries, e);
        profile_free(e->profile);
    } else {
        make_room(k);
        e = NEW(struct entry);
        e->keyring = k;
        e->waiting_end = &e->waiting;
    }
    e->profile = t->profile; /* the newest: it may have other authorities */
    t->profile = NULL;
    HASH_ADD_KEYPTR(hh, k->entries, e->profile->key, PROFILE_KEY_SIZE, e);
    return e;
}

static void warn_of_exposed(struct entry *e, unsigned which, struct span path)
{
    if (e->warned & which)
        return;
    e->warned |= which;
    log_text(LOG_WARNING,
             "%.*s holds a secret, and others may read it: chmod 600",
             SPAN_FMT(path));
}

int keyring_read_secret(struct entry *e, unsigned which, struct span path,
                        struct buffer *out, struct buffer *why)
{
    bool is_exposed = false;
    int rc = secret_read(path, out, &is_exposed, why);

    if (rc == 0 && is_exposed)
        warn_of_exposed(e, which, path);
    return rc;
}

/* ------------------------------------------------------------------ answers ---- */

static void answer(struct entry *e, struct ticket *t, int rc, struct span why)
{
    t->rc = rc;
    if (rc == 0)
        secret_keep(&t->secret, buffer_span(&e->token));
    else
        buffer_put(&t->why, why);
    e->keyring->answer(t);
}

static bool answer_all(struct entry *e, int rc, struct span why)
{
    struct ticket *t = e->waiting;
    bool has_any = t != NULL;

    e->waiting = NULL;
    e->waiting_end = &e->waiting;
    while (t) {
        struct ticket *next = t->next;

        answer(e, t, rc, why);
        t = next;
    }
    return has_any;
}

static void end_fetch(struct entry *e)
{
    e->state = ENTRY_IDLE;
    e->command = NULL;
    e->post = NULL;
    secret_wipe(&e->secret);
    secret_wipe(&e->refresh);
}

/* Trouble of our own files is asked for anew each time; the other is held, so that
 * nobody is asked again for a moment. */
void keyring_fail(struct entry *e, int rc, struct span why, bool is_held)
{
    struct buffer name = { 0 };

    end_fetch(e);
    if (is_held) {
        e->hold_ms = e->hold_ms ? 2 * e->hold_ms : KEYRING_HOLD_MS;
        if (e->hold_ms > KEYRING_HOLD_MOST_MS)
            e->hold_ms = KEYRING_HOLD_MOST_MS;
        e->again_ms = e->keyring->options.now_ms() + e->hold_ms;
        e->trouble_rc = rc;
        buffer_clear(&e->trouble);
        buffer_put(&e->trouble, why);
    }
    if (!answer_all(e, rc, why)) { /* they have a good one still */
        profile_put_name(&name, e->profile);
        log_text(LOG_WARNING, "no new token for %s: %.*s", buffer_string(&name),
                 SPAN_FMT(why));
    }
    buffer_fini(&name);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void keyring_take(struct entry *e, const struct bearer *b)
{
    int64_t life = b->life_ms, early = least(life / 5 * 4, life - EARLY_MS);
    struct buffer name = { 0 };

    end_fetch(e);
    secret_keep(&e->token, buffer_span(&b->token));
    e->fetched_ms = e->started_ms;
    e->refresh_ms = e->started_ms + (early > life / 2 ? early : life / 2);
    e->end_ms = e->started_ms + life - least(life / 10, SPARE_MS);
    e->is_after_refusal = e->was_refused;
    e->was_refused = false;
    e->hold_ms = e->again_ms = 0;
    profile_put_name(&name, e->profile);
    log_text(LOG_NOTE, "new token for %s, good for %lld s",
             buffer_string(&name), (long long)life / 1000);
    buffer_fini(&name);
    (void)answer_all(e, 0, span_make(NULL, 0));
}

/* ---------------------------------------------------------------- questions ---- */

/* A client certificate alone needs none. */
static void get_password(struct entry *e, struct ticket *t)
{
    const struct account *a = &e->profile->account;

    t->rc = a->mechanisms == MECHANISM_EXTERNAL ? 0 : ERROR_CONFIG;
    if (a->password_file.len)
        t->rc = keyring_read_secret(e, EXPOSED_PASSWORD, a->password_file,
                                    &t->secret, &t->why);
    else if (t->rc < 0)
        buffer_put_string(&t->why, "the account has no password-file");
    e->keyring->answer(t);
}

void keyring_get(struct keyring *k, struct ticket *t)
{
    struct entry *e = entry_use(k, t);
    int64_t now = k->options.now_ms();
    bool is_held = now < e->again_ms;

    if (!account_is_bearer(&e->profile->account)) {
        get_password(e, t);
        return;
    }
    if (e->token.len && now < e->end_ms) {
        bool is_late = now >= e->refresh_ms;

        answer(e, t, 0, span_make(NULL, 0));
        if (is_late && e->state == ENTRY_IDLE && !is_held)
            tokenfetch_start(e);
        return;
    }
    if (e->state == ENTRY_IDLE && is_held) {
        answer(e, t, e->trouble_rc, buffer_span(&e->trouble));
        return;
    }
    t->next = NULL;
    *e->waiting_end = t;
    e->waiting_end = &t->next;
    if (e->state == ENTRY_IDLE)
        tokenfetch_start(e);
}

/* A token that has just replaced a refused one is kept: the refusal may be meant for the
 * old one, and fetching again at once would not help if it is not. */
void keyring_refused(struct keyring *k, const struct profile *p)
{
    struct entry *e = entry_find(k, p);
    int64_t now = k->options.now_ms();

    if (!e || !e->token.len ||
        (e->is_after_refusal && now < e->fetched_ms + KEYRING_REFUSALS_MS))
        return;
    secret_wipe(&e->token);
    e->was_refused = true;
}

/* -------------------------------------------------------------- open, close ---- */

struct keyring *keyring_open(uv_loop_t *loop,
                             const struct tokens_options *options,
                             keyring_answer_fn *answer_fn)
{
    struct keyring *k = NEW(struct keyring);

    k->loop = loop;
    k->options = *options;
    k->answer = answer_fn;
    k->web = webpost_desk_open(loop);
    return k;
}

void keyring_close(struct keyring *k)
{
    struct entry *e, *next;

    webpost_desk_close(k->web);
    HASH_ITER(hh, k->entries, e, next)
    {
        if (e->state == ENTRY_RUNS_COMMAND)
            tokencommand_stop(e->command);
        entry_free(e);
    }
    free(k);
}
