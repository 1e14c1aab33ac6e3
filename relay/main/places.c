/*
 * places - the files and folders that a relay needs, by its settings.
 */
#include "relay/main/places.h"

#include "policy/vocabulary/buffer.h"

struct listing {
    place_fn *each;
    void *user;
};

static void tell(const struct listing *l, enum place_kind kind,
                 struct span path)
{
    struct buffer copy = { 0 };

    if (path.len == 0)
        return;
    buffer_put(&copy, path);
    l->each(l->user, kind, buffer_string(&copy));
    buffer_fini(&copy);
}

static void tell_account(const struct listing *l, const struct account *a)
{
    if (!a)
        return;
    tell(l, PLACE_READ, a->password_file);
    tell(l, PLACE_READ, a->client_secret_file);
    tell(l, PLACE_KEPT, a->refresh_token_file);
}

/* The folder in front of what depends on the recipient. */
static struct span maildir_root(struct span path)
{
    struct span fixed = span_first(path, span_find(path, '%'));

    if (fixed.len == path.len)
        return path;
    return span_first(fixed, span_find_last(fixed, '/'));
}

static void tell_hop(const struct listing *l, const struct hop *h)
{
    tell_account(l, h->account);
    if (h->kind == HOP_MAILDIR)
        tell(l, PLACE_FOLDER, maildir_root(h->path));
}

static void tell_route(const struct listing *l, const struct route *r)
{
    tell(l, PLACE_READ, r->certificate);
    tell(l, PLACE_READ, r->certificate_key);
    tell_account(l, r->account);
    for (size_t i = 0; i < r->via_count; i++)
        tell_hop(l, &r->via[i]);
    if (r->offline.deliver_to)
        tell_hop(l, r->offline.deliver_to);
}

static void tell_secrets(const struct listing *l, const struct settings *s)
{
    const struct tls_settings *t = &s->tls;

    for (size_t i = 0; i < t->certificate_count; i++)
        tell(l, PLACE_READ, t->certificates[i]);
    for (size_t i = 0; i < t->key_count; i++)
        tell(l, PLACE_READ, t->keys[i]);
    tell(l, PLACE_READ, t->authorities);
    tell(l, PLACE_READ, t->client_authorities);
    tell(l, PLACE_READ, s->users.file);
    tell(l, PLACE_READ, s->users.cram_file);
    tell(l, PLACE_READ, s->users.certificates);
    tell(l, PLACE_READ, s->users.senders);
    tell(l, PLACE_READ, s->srs.secret_file);
    for (size_t i = 0; i < s->webhook_count; i++) {
        tell(l, PLACE_READ, s->webhooks[i].secret_file);
        tell(l, PLACE_READ, s->webhooks[i].authorities);
    }
}

static void tell_state(const struct listing *l, const struct settings *s)
{
    tell(l, PLACE_STATE, s->queue.path);
    tell(l, PLACE_STATE, s->admin.socket);
    if (s->sendmail.is_on)
        tell(l, PLACE_STATE, s->sendmail.socket);
    if (s->sendmail.drops)
        tell(l, PLACE_STATE, s->sendmail.drop);
    tell(l, PLACE_LOG, s->log.file);
}

/* The table's file, without the name of a part of it. */
static void tell_table(const struct listing *l, struct span name)
{
    tell(l, PLACE_TABLE, span_first(name, span_find_last(name, '#')));
}

void places_each(const struct settings *s, const char *config,
                 const struct sources *sources, place_fn *each, void *user)
{
    const struct listing l = { each, user };
    const void *at = NULL;
    const char *path;

    if (config)
        each(user, PLACE_READ, config);
    while (sources && (path = sources_next_file(sources, &at)))
        each(user, PLACE_READ, path);
    /* lists that aliases include are among them */
    for (at = NULL; sources && (path = sources_next_table(sources, &at));)
        tell_table(&l, span_of(path));
    tell_state(&l, s);
    tell_secrets(&l, s);
    if (s->admin.http.len)
        tell(&l, PLACE_READ, s->admin.tokens);
    tell(&l, PLACE_READ, s->resolver.root_hints);
    tell(&l, PLACE_READ, s->resolver.trust_anchor);
    for (size_t i = 0; i < s->route_count; i++)
        tell_route(&l, &s->routes[i]);
    for (size_t i = 0; i < s->fetch_count; i++)
        tell_route(&l, &s->fetches[i].route);
}

static bool runs(const struct account *a)
{
    return a && a->token_command_count > 0;
}

static bool route_runs(const struct route *r)
{
    bool yes = runs(r->account);

    if (r->offline.deliver_to)
        yes = yes || runs(r->offline.deliver_to->account);
    for (size_t i = 0; i < r->via_count; i++)
        yes = yes || runs(r->via[i].account);
    return yes;
}

const char *places_program(const struct settings *s)
{
    if (s->users.pam.len)
        return "pam";
    for (size_t i = 0; i < s->route_count; i++)
        if (route_runs(&s->routes[i]))
            return "token-command";
    for (size_t i = 0; i < s->fetch_count; i++)
        if (route_runs(&s->fetches[i].route))
            return "token-command";
    return NULL;
}
