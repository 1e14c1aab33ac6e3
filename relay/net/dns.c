/*
 * dns - libunbound on a loop.
 *
 * The context runs its own thread (ub_ctx_async) rather than libunbound's event
 * interface, which would tie us to libevent; answers come over a pipe. All
 * options are set, and each return code is looked at, before the first
 * question, since libunbound silently keeps its defaults afterwards. A first
 * question that is answered from built-in data makes it read the settings at
 * once, so that a bad one is found at start and not with the first mail.
 *
 * libunbound sees neither /etc/hosts nor resolv.conf: its reading of the first
 * hides MX records of names listed there, and of an empty second it asks the
 * root servers.
 */
#include "relay/net/dns.h"

#include "policy/vocabulary/memory.h"
#include "relay/net/gauge.h"
#include "relay/net/log.h"
#include "relay/net/referral.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unbound.h>
#include <unistd.h>

#define DEFAULT_ANCHOR "/usr/share/dns/root.key"

enum { CLASS_IN = 1, RCODE_NXDOMAIN = 3, RCODE_SERVFAIL = 2 };

struct dns {
    struct ub_ctx *context;
    uv_poll_t poll;
    struct arena arena;
    struct span anchor;
    bool is_broken;
    struct gauge *gauge;
    void (*closed)(void *user);
    void *user;
};

/*
 * Set on every context. The memory of servers that do not answer is kept short,
 * since it would outlive an outage by up to 15 minutes. What a resolver in
 * front says of private names is right (the last five; not for recursion).
 */
static const struct option {
    const char *name, *value;
    bool recurse;
} options[] = {
    { "infra-host-ttl:", "30", true },
    { "infra-cache-max-rtt:", "20000", true },
    { "outgoing-range:", "256", true },
    { "msg-cache-size:", "4m", true },
    { "rrset-cache-size:", "8m", true },
    { "do-not-query-localhost:", "no", false },
    { "unblock-lan-zones:", "yes", false },
    { "insecure-lan-zones:", "yes", false },
    { "local-zone:", "test. nodefault", false },
    { "local-zone:", "home.arpa. nodefault", false },
};

static int dns_refused(int ub, const char *what, const char *value,
                       struct buffer *out_why)
{
    if (ub == UB_NOERROR)
        return 0;
    buffer_printf(out_why, "resolver: %s %s: %s", what, value, ub_strerror(ub));
    return ERROR_CONFIG;
}

static int dns_set(struct dns *d, const char *name, const char *value,
                   struct buffer *out_why)
{
    return dns_refused(ub_ctx_set_option(d->context, name, value), name, value,
                       out_why);
}

static int dns_set_servers(struct dns *d, const struct resolver_settings *s,
                           struct buffer *out_why)
{
    int rc;

    if (s->server_count == 0) {
        buffer_put_string(out_why, "resolver: mode forward needs a server");
        return ERROR_CONFIG;
    }
    for (size_t i = 0; i < s->server_count; i++) {
        const char *server = arena_string(&d->arena, s->servers[i]);

        if ((rc = dns_refused(ub_ctx_set_fwd(d->context, server), "server",
                              server, out_why)) < 0)
            return rc;
    }
    return 0;
}

/* As the C library does: no file or no server in it means the one on this host.
 */
static int dns_set_resolv(struct dns *d, const char *path,
                          struct buffer *out_why)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t size = 0, count = 0;
    ssize_t len;

    while (file && (len = getline(&line, &size, file)) >= 0) {
        struct span rest = span_trim(span_make(line, (size_t)len));
        struct span server;

        if (!span_starts_nocase(rest, SPAN("nameserver")))
            continue;
        rest = span_trim(span_skip(rest, strlen("nameserver")));
        rest = span_first(rest, span_find(rest, '\n'));
        rest = span_first(rest, span_find(rest, '\t'));
        server = span_trim(span_first(rest, span_find(rest, ' ')));
        if (ub_ctx_set_fwd(d->context, arena_string(&d->arena, server)) == 0)
            count++;
    }
    free(line);
    if (file)
        (void)fclose(file);
    return count > 0 ? 0
                     : dns_refused(ub_ctx_set_fwd(d->context, "127.0.0.1"),
                                   "server", "127.0.0.1", out_why);
}

/* The first word of the file that is not a comment: the owner of the anchor. */
static struct span anchor_owner(struct dns *d, const char *path)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t size = 0;
    ssize_t len;
    struct span owner = SPAN("");

    while (file && (len = getline(&line, &size, file)) >= 0) {
        struct span word = span_trim(span_make(line, (size_t)len));

        word = span_first(word, strcspn(word.at, " \t\r\n"));
        if (word.len == 0 || word.at[0] == ';' || word.at[0] == '#')
            continue;
        if (word.at[word.len - 1] == '.')
            word.len--;
        owner = arena_copy(&d->arena, word);
        break;
    }
    free(line);
    if (file)
        (void)fclose(file);
    return owner.len ? owner : SPAN("");
}

/*
 * Only a file that was named, or recursion and named servers with Debian's
 * anchor at hand, switch the validator on: what stands behind resolv.conf is
 * anybody's guess.
 */
struct span dns_anchor_file(const struct resolver_settings *s)
{
    if (s->trust_anchor.len > 0)
        return s->trust_anchor;
    if (s->mode == RESOLVER_SYSTEM || access(DEFAULT_ANCHOR, R_OK) < 0)
        return (struct span){ NULL, 0 };
    return SPAN(DEFAULT_ANCHOR);
}

static int dns_set_anchor(struct dns *d, const struct resolver_settings *s,
                          struct buffer *out_why)
{
    struct span file = dns_anchor_file(s);
    const char *path;
    int rc;

    if (!file.at)
        return dns_set(d, "module-config:", "iterator", out_why);
    path = arena_string(&d->arena, file);
    if (access(path, R_OK) < 0) {
        buffer_printf(out_why, "resolver: trust-anchor %s: %s", path,
                      error_text(-errno));
        return ERROR_CONFIG;
    }
    if ((rc = dns_set(d, "module-config:", "validator iterator", out_why)) < 0)
        return rc;
    for (size_t i = 0; i < s->insecure_count; i++) {
        const char *name = arena_string(&d->arena, s->insecure[i]);

        if ((rc = dns_set(d, "domain-insecure:", name, out_why)) < 0)
            return rc;
    }
    d->anchor = anchor_owner(d, path);
    return dns_refused(ub_ctx_add_ta_file(d->context, path), "trust-anchor",
                       path, out_why);
}

static int dns_configure(struct dns *d, const struct dns_options *o,
                         struct buffer *out_why)
{
    const struct resolver_settings *s = o->settings;
    bool recurses = s->mode == RESOLVER_RECURSE;
    int rc;

    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        if (recurses && !options[i].recurse)
            continue;
        if ((rc = dns_set(d, options[i].name, options[i].value, out_why)) < 0)
            return rc;
    }
    if (o->validate)
        rc = dns_set_anchor(d, s, out_why);
    else
        rc = dns_set(d, "module-config:", "iterator", out_why);
    if (rc < 0)
        return rc;
    if (s->mode == RESOLVER_FORWARD)
        return dns_set_servers(d, s, out_why);
    if (s->mode == RESOLVER_SYSTEM)
        return dns_set_resolv(d, o->resolv_path, out_why);
    if (s->root_hints.len > 0)
        return dns_set(d, "root-hints:", arena_string(&d->arena, s->root_hints),
                       out_why);
    return 0;
}

static void dns_on_start(void *user, int failure, struct ub_result *result)
{
    (void)user;
    (void)failure;
    ub_resolve_free(result);
}

static void dns_on_readable(uv_poll_t *poll, int status, int events)
{
    struct dns *d = poll->data;

    (void)events;
    if (status >= 0 && ub_process(d->context) == UB_NOERROR)
        return;
    log_text(LOG_WARNING, "resolver: libunbound's thread has ended");
    d->is_broken = true;
    uv_poll_stop(&d->poll);
}

MUST int dns_open(struct dns **out_d, uv_loop_t *loop,
                  const struct dns_options *o, struct buffer *out_why)
{
    struct dns *d = NEW(struct dns);
    int rc, ub;

    d->gauge = o->gauge;
    d->context = ub_ctx_create();
    if (!d->context) {
        buffer_put_string(out_why, "resolver: libunbound does not start");
        rc = ERROR_CONFIG;
        goto fail;
    }
    (void)ub_ctx_debugout(d->context,
                          NULL); /* its words would mix with our log */
    if ((rc = dns_configure(d, o, out_why)) < 0)
        goto fail;
    ub = ub_ctx_async(d->context, 1);
    if (ub == UB_NOERROR)
        ub = ub_resolve_async(d->context, "localhost", DNS_A, CLASS_IN, NULL,
                              dns_on_start, NULL);
    if ((rc = dns_refused(ub, "libunbound", "does not start", out_why)) < 0)
        goto fail;
    if ((rc = uv_poll_init(loop, &d->poll, ub_fd(d->context))) < 0)
        goto fail;
    d->poll.data = d;
    rc = uv_poll_start(&d->poll, UV_READABLE, dns_on_readable);
    ASSERT(rc == 0);
    *out_d = d;
    return 0;
fail:
    ub_ctx_delete(d->context);
    arena_reset(&d->arena);
    free(d);
    return rc;
}

static void dns_on_closed(uv_handle_t *h)
{
    struct dns *d = h->data;

    ub_ctx_delete(d->context);
    if (d->closed)
        d->closed(d->user);
    arena_reset(&d->arena);
    free(d);
}

void dns_close(struct dns *take_d, void (*closed)(void *user), void *user)
{
    take_d->closed = closed;
    take_d->user = user;
    uv_close((uv_handle_t *)&take_d->poll, dns_on_closed);
}

static void dns_take(const struct ub_result *result, struct span *records,
                     struct dns_reply *out)
{
    out->records = records;
    if (result->canonname)
        out->name = span_of(result->canonname);
    while (out->count < DNS_RECORDS && result->data[out->count]) {
        size_t i = out->count++;

        records[i] = span_make(result->data[i], (size_t)result->len[i]);
    }
}

static void dns_judge(const struct ub_result *result, struct span *records,
                      struct dns_reply *out)
{
    struct span packet =
        span_make(result->answer_packet, (size_t)result->answer_len);

    out->is_secure = result->secure != 0;
    out->is_bogus = result->bogus != 0;
    if (result->bogus) {
        out->kind = RESOLVER_FAILED;
        out->why = span_of(result->why_bogus ? result->why_bogus
                                             : "DNSSEC validation failed");
        if (result->havedata)
            dns_take(result, records, out);
    } else if (result->nxdomain || result->rcode == RCODE_NXDOMAIN) {
        out->kind = RESOLVER_NO_DOMAIN;
    } else if (result->rcode != 0) {
        out->kind = RESOLVER_FAILED;
        out->why = result->rcode == RCODE_SERVFAIL
                       ? SPAN("name server failure")
                       : SPAN("name server refused");
    } else if (!result->havedata && referral_is(packet)) {
        out->kind = RESOLVER_FAILED;
        out->why = SPAN("name server does not know, and points elsewhere");
    } else if (!result->havedata) {
        out->kind = RESOLVER_NO_DATA;
    } else {
        out->kind = RESOLVER_OK;
        dns_take(result, records, out);
    }
}

static void dns_on_answer(void *user, int failure, struct ub_result *result)
{
    struct dns_question *q = user;
    struct span records[DNS_RECORDS];
    struct dns_reply reply = { .kind = RESOLVER_FAILED };

    q->is_open = false;
    if (failure == 0 && result)
        dns_judge(result, records, &reply);
    else if (failure == UB_SYNTAX)
        reply.kind = RESOLVER_NO_DOMAIN;
    else
        reply.why = span_of(ub_strerror(failure));
    gauge_add(q->gauge, GAUGE_DNS, (uv_hrtime() - q->asked_ns) / 1000);
    if (reply.kind == RESOLVER_FAILED)
        gauge_count(q->gauge, GAUGE_DNS_FAILED);
    q->done(q, &reply);
    ub_resolve_free(result);
}

MUST int dns_ask(struct dns *d, struct dns_question *q, struct span name,
                 enum dns_type type)
{
    char text[LIMIT_DOMAIN + 1];
    int ub;

    ASSERT(!q->is_open);
    if (name.len > LIMIT_DOMAIN || span_find(name, '\0') < name.len ||
        span_find(name, '\\') < name.len)
        return ERROR_SYNTAX;
    if (name.len > 0)
        memcpy(text, name.at, name.len);
    else
        text[name.len++] = '.';
    text[name.len] = '\0';
    ub = ub_resolve_async(d->context, text, (int)type, CLASS_IN, q,
                          dns_on_answer, &q->id);
    if (ub == UB_SYNTAX)
        return ERROR_SYNTAX;
    if (ub != UB_NOERROR) {
        log_text(LOG_WARNING, "resolver: %s", ub_strerror(ub));
        d->is_broken = true;
        return ERROR_GONE;
    }
    q->is_open = true;
    q->gauge = d->gauge;
    q->asked_ns = uv_hrtime();
    return 0;
}

void dns_cancel(struct dns *d, struct dns_question *q)
{
    if (q->is_open)
        (void)ub_cancel(d->context, q->id);
    q->is_open = false;
}

struct span dns_anchor(const struct dns *d)
{
    return d->anchor;
}

bool dns_is_broken(const struct dns *d)
{
    return d->is_broken;
}
