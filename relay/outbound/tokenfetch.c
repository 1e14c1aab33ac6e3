/*
 * tokenfetch - a bearer token from its program or its server.
 *
 *   IDLE -> RUNS_COMMAND [tokenfetch_start]  -> IDLE [on_command]
 *   IDLE -> POSTS [start_post]               -> IDLE [on_posted]
 *           POSTS -> POSTS: the secret in the form instead of the header
 *
 * The client's secret goes by HTTP Basic, which every server must know (RFC 6749 2.3.1);
 * one that answers that it does not know the client gets it in the form as well, and what
 * has worked is remembered.
 *
 * A refresh token that was rotated is written to its file. When that fails it is kept
 * here, and used as long as the file still has the old one.
 */
#include "relay/outbound/tokenfetch.h"

#include "relay/net/log.h"
#include "relay/outbound/keyring_private.h"
#include "relay/outbound/secret.h"
#include "relay/outbound/weburl.h"

enum { ERROR_LINES_MOST = 10 }; /* of a command, in the log */

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
            buffer_put(&b, said); /* the log escapes it */
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
        keyring_take(e, &b);
    else
        keyring_fail(e, rc, buffer_span(&why), true);
    log_errors(e, end->errors, end->output);
    bearer_fini(&b);
    buffer_fini(&why);
}

/* ------------------------------------------------------------- token server ---- */

static void put_server(struct entry *e, struct buffer *why)
{
    buffer_put_string(why, "token server ");
    weburl_put_host(why, e->profile->account.token_url);
    buffer_put_byte(why, ' ');
}

/* The secrets of one fetch; the file's refresh token, or the one it should have. */
static int read_secrets(struct entry *e, struct buffer *why)
{
    const struct account *a = &e->profile->account;
    int rc = 0;

    if (a->client_secret_file.len)
        rc = keyring_read_secret(e, EXPOSED_CLIENT_SECRET,
                                 a->client_secret_file, &e->secret, why);
    if (rc == 0 && a->refresh_token_file.len)
        rc = keyring_read_secret(e, EXPOSED_REFRESH, a->refresh_token_file,
                                 &e->refresh, why);
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
    log_text(LOG_WARNING,
             "%.*s: the new refresh token cannot be written (%s); it is kept "
             "in memory only",
             SPAN_FMT(path), error_text(rc));
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
    q.body = buffer_span(&form);
    q.headers[0] = buffer_span(&header);
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
        keyring_take(e, &b);
    } else {
        keyring_fail(e, rc, buffer_span(&why), true);
    }
    bearer_fini(&b);
    buffer_fini(&why);
}

static void start_post(struct entry *e)
{
    struct buffer why = { 0 };
    int rc = weburl_check(e->profile->account.token_url, "token-url", &why);

    if (rc == 0)
        rc = read_secrets(e, &why);
    if (rc == 0) {
        e->in_form = e->place == PLACE_FORM;
        e->state = ENTRY_POSTS;
        post(e);
    } else {
        keyring_fail(e, rc, buffer_span(&why), false);
    }
    buffer_fini(&why);
}

void tokenfetch_start(struct entry *e)
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
