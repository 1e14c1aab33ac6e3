/*
 * selftest_identity - who we are for others: our name, our certificates, our secrets.
 */
#include "relay/main/selftest.h"

#include "relay/net/date.h"
#include "relay/net/dns.h"
#include "relay/net/tls.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { DNS_PATIENCE_MS = 8000 };

/* ------------------------------------------------------------ the name ---- */

/* Does the name of this address lead to us? Others ask so before they take mail. */
static void look_back(struct selftest *t, const char *name,
                      const struct addrinfo *a)
{
    char host[NI_MAXHOST] = "", address[NI_MAXHOST] = "?";
    int rc;

    (void)getnameinfo(a->ai_addr, a->ai_addrlen, address, sizeof(address), NULL,
                      0, NI_NUMERICHOST);
    rc = getnameinfo(a->ai_addr, a->ai_addrlen, host, sizeof(host), NULL, 0,
                     NI_NAMEREQD);
    if (rc != 0)
        selftest_say(t, SELFTEST_WARNING,
                     "ask whoever gave you the address for a PTR record with "
                     "this name: many refuse mail without",
                     "%s is %s, which has no name", name, address);
    else if (!span_is_nocase(span_of(host), span_of(name)))
        selftest_say(t, SELFTEST_WARNING,
                     "let the PTR record and hostname be the same name",
                     "%s is %s, whose name is %s", name, address, host);
    else
        selftest_say(t, SELFTEST_OK, "", "%s is %s, and that is %s", name,
                     address, host);
}

void selftest_hostname(struct selftest *t)
{
    char *name = span_dup(t->settings->hostname);
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *all = NULL;
    int rc;

    if (!strchr(name, '.') || span_ends_nocase(span_of(name), SPAN(".local")) ||
        span_starts_nocase(span_of(name), SPAN("localhost")))
        selftest_say(t, SELFTEST_WARNING,
                     "set hostname to a name that others can look up",
                     "%s is no name that the world knows", name);
    else if (!t->has_network)
        selftest_say(t, SELFTEST_OK, "", "%s", name);
    if (!t->has_network) {
        free(name);
        return;
    }
    rc = getaddrinfo(name, NULL, &hints, &all);
    if (rc != 0)
        selftest_say(t, SELFTEST_WARNING,
                     "give it an A or AAAA record; many refuse mail from "
                     "names that have none",
                     "%s cannot be looked up: %s", name, gai_strerror(rc));
    for (const struct addrinfo *a = all; a; a = a->ai_next)
        look_back(t, name, a);
    if (all)
        freeaddrinfo(all);
    free(name);
}

/* -------------------------------------------------------------- DNS ------- */

struct question {
    struct dns_question question; /* first */
    struct dns_reply reply;       /* without its records */
    struct buffer why;
    bool is_answered;
    uv_timer_t timer;
};

static void on_reply(struct dns_question *q, const struct dns_reply *reply)
{
    struct question *k = (struct question *)q;

    k->reply = *reply;
    buffer_put_escaped(&k->why, reply->why);
    k->is_answered = true;
    uv_stop(k->timer.loop);
}

static void on_time(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static void judge_dns(struct selftest *t, const struct question *k)
{
    struct buffer why = k->why;

    if (!k->is_answered)
        selftest_say(t, SELFTEST_BAD,
                     "look at resolver { } and /etc/resolv.conf; nothing can "
                     "be sent by MX",
                     "no answer within %d s", DNS_PATIENCE_MS / 1000);
    else if (k->reply.kind == RESOLVER_FAILED && k->reply.is_bogus)
        selftest_say(t, SELFTEST_WARNING,
                     "let the resolver pass signatures on, or use "
                     "resolver { mode = recurse }",
                     "answers cannot be validated (DNSSEC): the resolver strips "
                     "signatures, and DANE is off");
    else if (k->reply.kind == RESOLVER_FAILED)
        selftest_say(t, SELFTEST_BAD,
                     "look at resolver { } and /etc/resolv.conf; nothing can "
                     "be sent by MX",
                     "no answer: %s", buffer_string(&why));
    else
        selftest_say(t, SELFTEST_OK, "", "answers come%s",
                     k->reply.is_secure ? ", and are validated (DNSSEC)"
                                        : "; they are not validated, and DANE "
                                          "is off");
}

static void ask_dns(struct selftest *t, uv_loop_t *loop, struct dns *d)
{
    struct question k = { .question.done = on_reply };
    struct span owner = dns_anchor(d);
    int rc;

    (void)uv_timer_init(loop, &k.timer);
    (void)uv_timer_start(&k.timer, on_time, DNS_PATIENCE_MS, 0);
    rc = dns_ask(d, &k.question, owner.len ? owner : SPAN("."), DNS_DNSKEY);
    if (rc < 0) {
        selftest_say(t, SELFTEST_BAD, "look at resolver { }",
                     "it cannot be asked: %s", error_text(rc));
    } else {
        (void)uv_run(loop, UV_RUN_DEFAULT);
        judge_dns(t, &k);
    }
    dns_cancel(d, &k.question);
    uv_close((uv_handle_t *)&k.timer, NULL);
    (void)uv_run(loop, UV_RUN_NOWAIT);
    buffer_fini(&k.why);
}

static void dns_closed(void *user)
{
    *(bool *)user = true;
}

void selftest_dns(struct selftest *t)
{
    struct dns_options options = { .settings = &t->settings->resolver,
                                   .resolv_path = "/etc/resolv.conf",
                                   .validate = true };
    struct buffer why = { 0 };
    struct dns *d = NULL;
    bool is_closed = false;
    uv_loop_t loop;

    if (uv_loop_init(&loop) < 0)
        return;
    if (dns_open(&d, &loop, &options, &why) < 0) {
        selftest_say(t, SELFTEST_BAD, "look at resolver { }", "%s",
                     buffer_string(&why));
    } else {
        ask_dns(t, &loop, d);
        dns_close(d, dns_closed, &is_closed);
        while (!is_closed)
            (void)uv_run(&loop, UV_RUN_ONCE);
    }
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    (void)uv_loop_close(&loop);
    buffer_fini(&why);
}

/* ------------------------------------------------------- certificates ----- */

static bool is_among(struct span names, struct span name)
{
    struct span one, parent;

    parent = span_skip(name, span_find(name, '.'));
    while (names.len) {
        one = span_trim(span_split(names, ',', &names));
        if (span_is_nocase(one, name) ||
            (one.len > 1 && one.at[0] == '*' && parent.len &&
             span_is_nocase(span_skip(one, 1), parent)))
            return true;
    }
    return false;
}

struct certificates {
    struct selftest *selftest;
    int64_t now_ms;
    size_t count;
};

static void each_certificate(void *user, struct span file, struct span names,
                             int64_t ends_ms)
{
    struct certificates *c = user;
    struct selftest *t = c->selftest;
    long long days = (ends_ms - c->now_ms) / DATE_DAY_MS;
    bool is_server = false;

    for (size_t i = 0; i < t->settings->tls.certificate_count; i++)
        is_server |= span_is(file, t->settings->tls.certificates[i]);
    c->count++;
    if (ends_ms < c->now_ms)
        selftest_say(t, SELFTEST_BAD, "renew it now", "%.*s has ended",
                     SPAN_FMT(file));
    else if (days < TLS_SOON_DAYS)
        selftest_say(t, SELFTEST_WARNING, "renew it", "%.*s ends in %lld days",
                     SPAN_FMT(file), days);
    else if (is_server && !is_among(names, t->settings->hostname))
        selftest_say(t, SELFTEST_WARNING,
                     "clients that verify us will not come in: get one with "
                     "hostname in it",
                     "%.*s is for %.*s, not for %.*s", SPAN_FMT(file),
                     SPAN_FMT(names), SPAN_FMT(t->settings->hostname));
    else
        selftest_say(t, SELFTEST_OK, "", "%.*s is for %.*s, %lld days more",
                     SPAN_FMT(file), SPAN_FMT(names), days);
}

void selftest_certificates(struct selftest *t)
{
    struct buffer faults = { 0 };
    struct tls_material *m = tls_material_new(t->settings, &faults);
    struct timespec now;
    struct certificates c = { .selftest = t };

    (void)clock_gettime(CLOCK_REALTIME, &now);
    c.now_ms = now.tv_sec * (int64_t)1000;
    if (m) {
        tls_material_each(m, each_certificate, &c);
        if (c.count == 0)
            selftest_say(t, SELFTEST_OK, "", "none is configured");
        tls_material_release(m);
    } else {
        struct span line = span_first(buffer_span(&faults),
                                      span_find(buffer_span(&faults), '\n'));

        selftest_say(t, SELFTEST_BAD, "mend the files that tls { } names",
                     "%.*s", SPAN_FMT(line));
    }
    buffer_fini(&faults);
}

/* ------------------------------------------------------------ secrets ----- */

static void look_at_file(struct selftest *t, struct span file, bool is_needed)
{
    char *path = span_dup(file);
    struct stat st;

    if (stat(path, &st) < 0) {
        if (is_needed || errno != ENOENT)
            selftest_say(t, SELFTEST_BAD,
                         "make it, or mend its name in the configuration",
                         "%s: %s", path, error_text(-errno));
    } else if (st.st_mode & (S_IRWXO | S_IWGRP)) {
        selftest_say(t, SELFTEST_BAD, "chmod 600, or 640 for the relay's group",
                     "%s can be read by others (mode %03o)", path,
                     (unsigned)st.st_mode & 0777);
    } else {
        selftest_say(t, SELFTEST_OK, "", "%s is there and nobody else's", path);
    }
    free(path);
}

void selftest_secrets(struct selftest *t)
{
    const struct settings *s = t->settings;

    if (s->users.file.len)
        look_at_file(t, s->users.file, true);
    if (s->admin.tokens.len)
        look_at_file(t, s->admin.tokens, false);
}
