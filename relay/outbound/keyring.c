/*
 * keyring - what each account shows, and how it is come by.
 *
 *   IDLE -> RUNS_COMMAND [start]            -> IDLE [take, fail]
 *   IDLE -> POSTS [start]                   -> IDLE [take, fail]
 *           POSTS -> POSTS: the secret in the form instead of the header
 *
 * Whoever asks is answered at once while the token is good; past its refresh time a fetch
 * starts beside that. Without a good token they wait for the fetch, or, a moment after a
 * failed one, get that failure again. The refresh time is at 80 % of the token's life or
 * 60 s before its end, whichever is earlier, but not in the first half.
 *
 * The client's secret goes by HTTP Basic, which every server must know (RFC 6749 2.3.1);
 * one that answers that it does not know the client gets it in the form as well, and what
 * has worked is remembered.
 *
 * A refresh token that was rotated is written to its file. When that fails it is kept
 * here, and used as long as the file still has the old one.
 */
#include "relay/outbound/keyring.h"

#include "policy/vocabulary/memory.h"
#include "relay/net/log.h"
#include "relay/outbound/bearer.h"
#include "relay/outbound/secret.h"
#include "relay/outbound/tokencommand.h"
#include "relay/outbound/webpost.h"

#include <stdlib.h>
#include <uthash.h>

enum {
    EARLY_MS = 60 * 1000,  /* refresh so long before the end */
    SPARE_MS = 10 * 1000,  /* a token that ends sooner is not shown any more */
    ERROR_LINES_MOST = 10, /* of a command, in the log */
};

enum entry_state { ENTRY_IDLE, ENTRY_RUNS_COMMAND, ENTRY_POSTS };
/* Where the client's secret stands. */
enum secret_place { PLACE_UNKNOWN, PLACE_HEADER, PLACE_FORM };

enum { EXPOSED_PASSWORD = 1, EXPOSED_CLIENT_SECRET = 2, EXPOSED_REFRESH = 4 };

struct entry {
    UT_hash_handle hh;
    struct keyring *keyring;
    struct profile *profile;
    enum entry_state state;
    struct tokencommand *command;
    struct webpost *post;
    struct ticket *waiting, **waiting_end;

    struct buffer token; /* empty: none */
    int64_t fetched_ms, refresh_ms, end_ms;
    bool was_refused;      /* there is none because a next hop refused it */
    bool is_after_refusal; /* it has replaced a refused one */

    int64_t started_ms;            /* the fetch under way */
    struct buffer secret, refresh; /* what it was asked with */
    bool in_form;
    enum secret_place place;
    struct buffer old_refresh,
        rotated; /* not written yet; old: the file has it */

    int64_t hold_ms, again_ms; /* after a failure: no fetch before again_ms */
    int trouble_rc;
    struct buffer trouble;
    unsigned warned; /* of which exposed file */
};

struct keyring {
    uv_loop_t *loop;
    struct tokens_options options;
    keyring_answer_fn *answer;
    struct webpost_desk *web;
    struct entry *entries;
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

static struct entry *entry_find(struct keyring *k, const struct profile *p)
{
    struct entry *e;

    HASH_FIND(hh, k->entries, p->key, PROFILE_KEY_SIZE, e);
    return e;
}

/* The order of the entries is that of their last use. */
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
    struct buffer b = { 0 };

    if (e->warned & which)
        return;
    e->warned |= which;
    buffer_put_escaped(&b, path);
    log_text(LOG_WARNING,
             "%s holds a secret, and others may read it: chmod 600",
             buffer_string(&b));
    buffer_fini(&b);
}

static int read_secret(struct entry *e, unsigned which, struct span path,
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
static void fail(struct entry *e, int rc, struct span why, bool is_held)
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

static void take(struct entry *e, struct bearer *b)
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

/* ------------------------------------------------------------ token-command ---- */

/* Not what has the token in it, as the output of a shell's -x has. */
static void log_errors(struct entry *e, struct span errors, struct span output)
{
    struct span rest = errors, line = span_split(output, '\n', &output);
    struct buffer b = { 0 };
    unsigned lines = 0;

    line = span_trim(line);
    while (rest.len && lines++ < ERROR_LINES_MOST) {
        struct span said = span_split(rest, '\n', &rest);

        buffer_clear(&b);
        if (e->token.len &&
            memmem(said.at, said.len, e->token.at, e->token.len))
            buffer_put_string(&b, "(a line that has the token in it)");
        else if (line.len && said.len &&
                 memmem(said.at, said.len, line.at, line.len))
            buffer_put_string(&b, "(a line that has the output in it)");
        else
            buffer_put_escaped(&b, said);
        log_text(LOG_WARNING, "token-command: %s", buffer_string(&b));
    }
    buffer_fini(&b);
}

static void on_command(void *user, const struct tokencommand_end *end)
{
    struct entry *e = user;
    struct bearer b = { 0 };
    struct buffer why = { 0 };
    int rc = end->rc;

    if (rc < 0) {
        buffer_put(&why, end->why);
    } else {
        buffer_put_string(&why, "what token-command printed ");
        rc = bearer_read_output(end->output, &b, &why);
    }
    if (rc == 0)
        take(e, &b);
    else
        fail(e, rc, buffer_span(&why), true);
    log_errors(e, end->errors, end->output);
    bearer_fini(&b);
    buffer_fini(&why);
}

/* ------------------------------------------------------------- token server ---- */

static void put_server(struct entry *e, struct buffer *why)
{
    buffer_put_string(why, "token server ");
    webpost_put_host(why, e->profile->account.token_url);
    buffer_put_byte(why, ' ');
}

/* The secrets of one fetch; the file's refresh token, or the one it should have. */
static int read_secrets(struct entry *e, struct buffer *why)
{
    const struct account *a = &e->profile->account;
    int rc = 0;

    if (a->client_secret_file.len)
        rc = read_secret(e, EXPOSED_CLIENT_SECRET, a->client_secret_file,
                         &e->secret, why);
    if (rc == 0 && a->refresh_token_file.len)
        rc = read_secret(e, EXPOSED_REFRESH, a->refresh_token_file, &e->refresh,
                         why);
    if (rc < 0 || !e->rotated.len)
        return rc;
    if (span_is(buffer_span(&e->refresh), buffer_span(&e->old_refresh))) {
        secret_keep(&e->refresh, buffer_span(&e->rotated));
    } else { /* somebody has written a newer one */
        secret_wipe(&e->rotated);
        secret_wipe(&e->old_refresh);
    }
    return rc;
}

static void rotate(struct entry *e, struct bearer *b)
{
    struct span path = e->profile->account.refresh_token_file;
    struct buffer name = { 0 };
    int rc;

    if (!path.len)
        return;
    if (b->refresh.len &&
        !span_is(buffer_span(&b->refresh), buffer_span(&e->refresh))) {
        if (!e->rotated.len)
            secret_keep(&e->old_refresh, buffer_span(&e->refresh));
        secret_keep(&e->rotated, buffer_span(&b->refresh));
    }
    if (!e->rotated.len)
        return;
    rc = secret_replace(path, buffer_span(&e->rotated));
    if (rc == 0) {
        secret_wipe(&e->rotated);
        secret_wipe(&e->old_refresh);
        return;
    }
    buffer_put_escaped(&name, path);
    log_text(LOG_WARNING,
             "%s: the new refresh token cannot be written (%s); it is kept in "
             "memory only",
             buffer_string(&name), error_text(rc));
    buffer_fini(&name);
}

static void on_posted(void *user, const struct webpost_answer *a);

static void post(struct entry *e)
{
    const struct account *a = &e->profile->account;
    const struct tokens_options *o = &e->keyring->options;
    struct buffer form = { 0 }, header = { 0 };
    struct webpost_question q = { .url = a->token_url,
                                  .authorities = e->profile->authorities,
                                  .connect_ms = o->connect_ms,
                                  .total_ms = o->total_ms };

    bearer_put_form(&form, a, buffer_span(&e->secret), buffer_span(&e->refresh),
                    e->in_form);
    if (e->secret.len && !e->in_form)
        bearer_put_header(&header, a->client_id, buffer_span(&e->secret));
    q.form = buffer_span(&form);
    q.header = buffer_span(&header);
    e->post = webpost_send(e->keyring->web, &q, on_posted, e);
    secret_wipe(&form);
    secret_wipe(&header);
}

static bool may_try_form(const struct entry *e, const struct webpost_answer *a)
{
    return a->rc == 0 && e->secret.len && !e->in_form &&
           e->place == PLACE_UNKNOWN &&
           bearer_is_client_refused(a->status, a->body);
}

/* 0, or negative and why. */
static int judge_answer(struct entry *e, const struct webpost_answer *a,
                        struct bearer *out, struct buffer *why)
{
    const struct span secrets[] = { buffer_span(&e->secret),
                                    buffer_span(&e->refresh) };

    put_server(e, why);
    if (a->rc < 0) {
        buffer_put_string(why, "cannot be asked: ");
        buffer_put(why, a->why);
        return a->rc;
    }
    if (a->status != 200) {
        bearer_put_refusal(why, a->status, a->body, secrets, 2);
        return ERROR_PROTOCOL;
    }
    buffer_put_string(why, "gave an answer that ");
    return bearer_read(a->body, out, why);
}

static void on_posted(void *user, const struct webpost_answer *a)
{
    struct entry *e = user;
    struct bearer b = { 0 };
    struct buffer why = { 0 };
    int rc;

    e->post = NULL;
    if (may_try_form(e, a)) {
        e->in_form = true;
        post(e);
        return;
    }
    rc = judge_answer(e, a, &b, &why);
    if (rc == 0) {
        e->place = e->in_form ? PLACE_FORM : PLACE_HEADER;
        rotate(e, &b);
        take(e, &b);
    } else {
        fail(e, rc, buffer_span(&why), true);
    }
    bearer_fini(&b);
    buffer_fini(&why);
}

/* ---------------------------------------------------------------- questions ---- */

static void start_post(struct entry *e)
{
    struct buffer why = { 0 };
    int rc = webpost_check_url(e->profile->account.token_url, &why);

    if (rc == 0)
        rc = read_secrets(e, &why);
    if (rc == 0) {
        e->in_form = e->place == PLACE_FORM;
        e->state = ENTRY_POSTS;
        post(e);
    } else {
        fail(e, rc, buffer_span(&why), false);
    }
    buffer_fini(&why);
}

static void start(struct entry *e)
{
    const struct account *a = &e->profile->account;
    struct keyring *k = e->keyring;

    e->started_ms = k->options.now_ms();
    if (a->token_command_count == 0) {
        start_post(e);
        return;
    }
    e->state = ENTRY_RUNS_COMMAND;
    e->command =
        tokencommand_start(k->loop, a->token_command, a->token_command_count,
                           k->options.command_ms, on_command, e);
}

static void get_password(struct entry *e, struct ticket *t)
{
    struct span path = e->profile->account.password_file;

    t->rc = ERROR_CONFIG;
    if (path.len)
        t->rc = read_secret(e, EXPOSED_PASSWORD, path, &t->secret, &t->why);
    else
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
            start(e);
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
        start(e);
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
