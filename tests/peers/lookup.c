/*
 * lookup - the resolver by itself, for tests.
 *
 *   lookup [forward=ADDR@PORT | system | recurse] [resolv=FILE] [hosts=FILE]
 *          [anchor=FILE] [insecure=NAME] [hostname=NAME] [own=ADDR]
 *
 * Reads lines "mx NAME...", "host NAME...", "anyhost NAME..." (bogus ones, too), "cancel NAME...", "flush" and answers each
 * name with one line "NAME KIND [FLAG...] PREFERENCE:HOST=ADDR,ADDR ... (why)", all
 * names of a line being asked at once; then an empty line.
 */
#include "relay/net/log.h"
#include "relay/net/resolver.h"

#include <stdio.h>
#include <stdlib.h>

static uv_loop_t loop;
static unsigned waiting;
static bool asking;

struct question {
    char name[LIMIT_DOMAIN * 4];
};

static void on_answer(void *user, const struct mx_answer *a)
{
    static const char *const kinds[] = { "ok", "no-domain", "no-data",
                                         "failed" };
    struct question *q = user;
    struct buffer b = { 0 };

    if (asking)
        abort(); /* never before the call has returned */
    buffer_printf(&b, "%s %s%s%s%s%s", q->name, kinds[a->kind],
                  a->is_null_mx ? " null" : "", a->is_own ? " own" : "",
                  a->is_unsafe ? " unsafe" : "", a->is_secure ? " secure" : "");
    for (size_t i = 0; i < a->count; i++) {
        const struct mx_host *h = &a->hosts[i];

        buffer_printf(&b, " %u:%.*s=", h->preference, SPAN_FMT(h->name));
        for (size_t k = 0; k < h->count; k++) {
            if (k > 0)
                buffer_put_byte(&b, ',');
            host_address_print(&b, &h->addresses[k]);
        }
    }
    if (a->why.len > 0)
        buffer_printf(&b, " (%.*s)", SPAN_FMT(a->why));
    puts(buffer_string(&b));
    buffer_fini(&b);
    free(q);
    if (--waiting == 0)
        uv_stop(&loop);
}

static void ask(struct resolver *r, const char *verb, const char *name)
{
    struct question *q = calloc(1, sizeof *q);
    struct resolver_query *query;

    if (!q)
        abort();
    snprintf(q->name, sizeof q->name, "%s", name);
    asking = true;
    if (strcmp(verb, "host") == 0 || strcmp(verb, "anyhost") == 0)
        query = resolver_host(r, span_of(name), strcmp(verb, "anyhost") == 0,
                              on_answer, q);
    else
        query = resolver_mx(r, span_of(name), on_answer, q);
    asking = false;
    if (strcmp(verb, "cancel") == 0) {
        resolver_cancel(query);
        free(q);
    } else {
        waiting++;
    }
}

static void run_line(struct resolver *r, char *line)
{
    char *rest = NULL;
    char *verb = strtok_r(line, " \n", &rest), *name;

    uv_update_time(&loop);
    if (verb && strcmp(verb, "flush") == 0)
        resolver_flush(r);
    while (verb && (name = strtok_r(NULL, " \n", &rest)))
        ask(r, verb, name);
    if (waiting > 0)
        uv_run(&loop, UV_RUN_DEFAULT);
    puts("");
    fflush(stdout);
}

static bool option_is(const char *arg, const char *key, struct span *out_value)
{
    size_t len = strlen(key);

    if (strncmp(arg, key, len) != 0)
        return false;
    *out_value = span_of(arg + len);
    return true;
}

struct run {
    struct resolver_settings settings;
    struct resolver_options options;
    struct span server, insecure;
    struct host_address own;
};

static bool read_option(struct run *run, const char *arg)
{
    struct resolver_settings *s = &run->settings;
    struct span v;

    if (option_is(arg, "forward=", &run->server)) {
        s->mode = RESOLVER_FORWARD;
        s->servers = &run->server;
        s->server_count = 1;
    } else if (strcmp(arg, "system") == 0) {
        s->mode = RESOLVER_SYSTEM;
    } else if (strcmp(arg, "recurse") == 0) {
        s->mode = RESOLVER_RECURSE;
    } else if (option_is(arg, "resolv=", &v)) {
        run->options.resolv_path = v.at;
    } else if (option_is(arg, "hosts=", &v)) {
        run->options.hosts_path = v.at;
    } else if (option_is(arg, "hints=", &v)) {
        s->root_hints = v;
    } else if (option_is(arg, "anchor=", &v)) {
        s->trust_anchor = v;
    } else if (option_is(arg, "insecure=", &run->insecure)) {
        s->insecure = &run->insecure;
        s->insecure_count = 1;
    } else if (option_is(arg, "hostname=", &v)) {
        run->options.hostname = v;
    } else if (option_is(arg, "own=", &v)) {
        run->options.own_addresses = &run->own;
        run->options.own_count = 1;
        return host_address_parse(v, &run->own);
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct run run = { .options = { .settings = &run.settings } };
    struct resolver *r;
    struct buffer why = { 0 };
    char *line = NULL;
    size_t size = 0;

    for (int i = 1; i < argc; i++) {
        if (!read_option(&run, argv[i])) {
            fprintf(stderr, "lookup: what is %s?\n", argv[i]);
            return 64;
        }
    }
    log_open(LOG_POSTFIX, SPAN("lookup"), false, (struct span){ 0 });
    if (uv_loop_init(&loop) < 0)
        return 71;
    if (resolver_open(&r, &loop, &run.options, &why) < 0) {
        fprintf(stderr, "lookup: %s\n", buffer_string(&why));
        buffer_fini(&why);
        return 78;
    }
    while (getline(&line, &size, stdin) >= 0)
        run_line(r, line);
    free(line);
    resolver_close(r, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    buffer_fini(&why);
    log_flush();
    return uv_loop_close(&loop) == 0 ? 0 : 70;
}
