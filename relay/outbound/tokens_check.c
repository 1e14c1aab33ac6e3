/*
 * tokens_check - are the files of all accounts as they should be?
 *
 * Accounts are found where they are used: in routes and their next hops. One that is used
 * in several places is looked at once.
 */
#include "relay/outbound/secret.h"
#include "relay/outbound/tokens.h"
#include "relay/outbound/weburl.h"

#include <stdlib.h>
#include <unistd.h>

struct check {
    const struct settings *settings;
    struct buffer *faults, *warnings;
};

static void put_place(struct buffer *b, const struct account *a)
{
    buffer_printf(b, "%s:%u:%u: ", a->place.file ? a->place.file : "",
                  a->place.line, a->place.column);
}

static void check_file(struct check *c, const struct account *a,
                       const char *key, struct span path)
{
    struct buffer secret = { 0 }, why = { 0 };
    bool is_exposed = false;

    if (!path.len)
        return;
    if (secret_read(path, &secret, &is_exposed, &why) < 0) {
        put_place(c->faults, a);
        buffer_printf(c->faults, "%s: %s\n", key, buffer_string(&why));
    } else if (is_exposed) {
        put_place(c->warnings, a);
        buffer_printf(c->warnings, "warning: %s: ", key);
        buffer_put_escaped(c->warnings, path);
        buffer_put_string(c->warnings, ": others may read it: chmod 600\n");
    }
    secret_wipe(&secret);
    buffer_fini(&why);
}

static void check_url(struct check *c, const struct account *a)
{
    struct buffer why = { 0 };

    if (a->token_url.len &&
        weburl_check(a->token_url, "token-url", &why) < 0) {
        put_place(c->faults, a);
        buffer_printf(c->faults, "%s\n", buffer_string(&why));
    }
    buffer_fini(&why);
}

/* A name without a slash is looked for in PATH when it is started. */
static void check_command(struct check *c, const struct account *a)
{
    char *path;

    if (!a->token_command_count ||
        span_find(a->token_command[0], '/') == a->token_command[0].len)
        return;
    path = span_dup(a->token_command[0]);
    if (access(path, X_OK) < 0) {
        put_place(c->faults, a);
        buffer_put_string(c->faults, "token-command: ");
        buffer_put_escaped(c->faults, a->token_command[0]);
        buffer_put_string(c->faults, ": not a program that we may run\n");
    }
    free(path);
}

static void check_account(struct check *c, const struct account *a)
{
    check_file(c, a, "password-file", a->password_file);
    check_file(c, a, "client-secret-file", a->client_secret_file);
    check_file(c, a, "refresh-token-file", a->refresh_token_file);
    check_url(c, a);
    check_command(c, a);
}

/* Places where a route may use an account: itself, its hops, what a pickup is
 * delivered to. */
static size_t use_count(const struct route *r)
{
    return 1 + r->via_count + (r->offline.deliver_to != NULL);
}

/* The n-th; NULL: none there. */
static const struct account *use(const struct route *r, size_t n)
{
    if (n == 0)
        return r->account;
    return n <= r->via_count ? r->via[n - 1].account
                             : r->offline.deliver_to->account;
}

/* Routes, and behind them how providers are reached. */
static const struct route *route_at(const struct settings *s, size_t i)
{
    return i < s->route_count ? &s->routes[i]
                              : &s->fetches[i - s->route_count].route;
}

static bool was_before(const struct settings *s, size_t route, size_t place)
{
    const struct account *a = use(route_at(s, route), place);

    for (size_t i = 0; i <= route; i++)
        for (size_t j = 0; j < use_count(route_at(s, i)); j++) {
            if (i == route && j == place)
                return false;
            if (use(route_at(s, i), j) == a)
                return true;
        }
    return false;
}

void tokens_check_files(const struct settings *s, struct buffer *out_faults,
                        struct buffer *out_warnings)
{
    struct check c = { s, out_faults, out_warnings };

    for (size_t i = 0; i < s->route_count + s->fetch_count; i++)
        for (size_t j = 0; j < use_count(route_at(s, i)); j++) {
            const struct account *a = use(route_at(s, i), j);

            if (a && !was_before(s, i, j))
                check_account(&c, a);
        }
}
