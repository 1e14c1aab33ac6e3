/*
 * client_play - dialogues of the outbound client, as scripts.
 *
 * A script is a list of lines, played twice: the peer's bytes whole, then one by
 * one.
 *   S:bytes      the peer says this
 *   C:bytes      we must have put out exactly this
 *   =STATE       what the client must want
 *   start N      begins transactions[N]
 *   part:bytes / body:bytes   content; body: with the last of it
 *   content failed / refused:words / next / quit / timeout / lost:reason
 *   secured / tls failed:why / tls untrusted:why   how the handshake went
 *   convert / original   the form that the content must have
 *   out:lines    the outcomes, one line for each recipient
 *   trouble:line the session's trouble
 *   turn:domains ATRN, with commas between them
 *   rest:bytes   what was not read since it is for whoever is the server now
 *   about:words  what the trouble is about: tls, login, chunking
 */
#ifndef WAYPOST_CLIENT_PLAY_H
#define WAYPOST_CLIENT_PLAY_H

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/mechanism.h"
#include "relay/outbound/client.h"
#include "relay/outbound/login.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SIZE_OF(array) (sizeof(array) / sizeof((array)[0]))

enum { SCRIPT_LINES = 48 };

/* Of a handshake that went well. */
static const struct tls_facts play_facts = {
    .exporter = SPAN_INIT("0123456789abcdef0123456789abcdef")
};

static const char *const diagnosis_names[] = {
    [DIAGNOSIS_DELIVERED] = "DELIVERED",   [DIAGNOSIS_LATER] = "LATER",
    [DIAGNOSIS_OTHER_HOST] = "OTHER_HOST", [DIAGNOSIS_FAILED] = "FAILED",
    [DIAGNOSIS_AGAIN_NOW] = "AGAIN_NOW",   [DIAGNOSIS_IN_DOUBT] = "IN_DOUBT",
};

static const char *const wants_names[] = {
    [CLIENT_READS] = "READS",   [CLIENT_FREE] = "FREE",
    [CLIENT_SENDS] = "SENDS",   [CLIENT_DONE] = "DONE",
    [CLIENT_CLOSES] = "CLOSES", [CLIENT_STARTS_TLS] = "STARTS_TLS",
    [CLIENT_COMPUTES] = "COMPUTES", [CLIENT_TURNED] = "TURNED",
};

static void put_outcome(struct buffer *b, const struct client_outcome *o)
{
    buffer_printf(b, "%s ", diagnosis_names[o->diagnosis]);
    status_print(b, o->status);
    buffer_put_byte(b, ' ');
    buffer_put(b, o->reply);
    buffer_put_string(b, o->dsn_passed ? " (dsn)\n" : "\n");
}

/* Which script and line is being played, for messages. */
struct play {
    const char *name;
    bool by_byte;
    struct client *client;
    const struct client_transaction *transactions, *t;
    int64_t now_ms;
    struct buffer rest; /* that the client did not take */
};

static void must_equal(const struct play *p, const char *line, struct span got,
                       struct span wanted)
{
    if (span_is(got, wanted))
        return;
    print_error("%s (%s)\n  at: %s\n  got: %.*s\n", p->name,
                p->by_byte ? "byte by byte" : "whole", line, SPAN_FMT(got));
    fail();
}

/* What a thread would do. */
static inline void play_compute(struct client *c, int64_t now_ms)
{
    struct login *l = client_take_login(c);

    assert_null(client_take_login(c));
    login_compute(l);
    client_computed(c, l, now_ms);
}

static void feed(struct play *p, struct span bytes)
{
    size_t n = p->by_byte ? 1 : bytes.len;

    for (; bytes.len; bytes = span_skip(bytes, n)) {
        /* exact heap copies, so that a sanitizer sees what is read too far */
        char *copy = span_dup(span_first(bytes, n));

        size_t used = client_feed(p->client, span_make(copy, n), p->now_ms);

        buffer_put(&p->rest, span_skip(span_make(copy, n), used));
        memset(copy, '!', n);
        free(copy);
        if (client_wants(p->client) == CLIENT_COMPUTES)
            play_compute(p->client, p->now_ms);
    }
}

static void check(struct play *p, const char *line, const char *wanted)
{
    struct buffer got = { 0 };

    if (line[0] == 'C') {
        must_equal(p, line, buffer_span(client_output(p->client)),
                   span_of(wanted));
        buffer_clear(client_output(p->client));
        return;
    }
    if (line[0] == 'a') {
        if (client_tls_was_the_trouble(p->client))
            buffer_put_string(&got, "tls");
        if (client_login_was_refused(p->client))
            buffer_put_string(&got, "login");
        if (client_chunking_was_refused(p->client))
            buffer_put_string(&got, "chunking");
    } else if (line[0] == '=') {
        buffer_put_string(&got, wants_names[client_wants(p->client)]);
    } else if (line[0] == 'o') {
        ASSERT(p->t);
        for (size_t i = 0; i < p->t->count; i++)
            put_outcome(&got, &client_outcomes(p->client)[i]);
    } else if (client_trouble(p->client)->status.class) {
        put_outcome(&got, client_trouble(p->client));
    }
    must_equal(p, line, buffer_span(&got), span_of(wanted));
    buffer_fini(&got);
}

static void ask_for_mail(struct play *p, struct span words)
{
    struct span domains[8];
    size_t count = 0;

    while (words.len)
        domains[count++] = span_split(words, ',', &words);
    client_turn(p->client, domains, count, p->now_ms);
}

static const char *after(const char *line, const char *word)
{
    size_t n = strlen(word);

    return strncmp(line, word, n) == 0 ? line + n : NULL;
}

static void play_line(struct play *p, const char *line)
{
    const char *rest;

    if ((rest = after(line, "S:"))) {
        feed(p, span_of(rest));
    } else if ((rest = after(line, "C:")) || (rest = after(line, "=")) ||
               (rest = after(line, "out:")) || (rest = after(line, "about:")) ||
               (rest = after(line, "trouble:"))) {
        check(p, line, rest);
    } else if ((rest = after(line, "start "))) {
        p->t = &p->transactions[strtoul(rest, NULL, 10)];
        client_start(p->client, p->t, p->now_ms);
    } else if ((rest = after(line, "part:"))) {
        client_content(p->client, span_of(rest), false, p->now_ms);
    } else if ((rest = after(line, "body:"))) {
        client_content(p->client, span_of(rest), true, p->now_ms);
    } else if (after(line, "content failed")) {
        client_content_failed(p->client, p->now_ms);
    } else if ((rest = after(line, "refused:"))) {
        client_content_refused(p->client,
                               &(struct client_outcome){ DIAGNOSIS_FAILED,
                                                         STATUS(5, 6, 3),
                                                         span_of(rest) },
                               p->now_ms);
    } else if (after(line, "secured")) {
        client_secured(p->client, &play_facts, p->now_ms);
    } else if ((rest = after(line, "tls failed:"))) {
        client_tls_failed(p->client, span_of(rest), false, p->now_ms);
    } else if ((rest = after(line, "tls untrusted:"))) {
        client_tls_failed(p->client, span_of(rest), true, p->now_ms);
    } else if (after(line, "convert")) {
        assert_int_equal(client_form(p->client), CLIENT_FORM_7BIT);
    } else if (after(line, "original")) {
        assert_int_equal(client_form(p->client), CLIENT_FORM_ORIGINAL);
    } else if ((rest = after(line, "turn:"))) {
        ask_for_mail(p, span_of(rest));
    } else if ((rest = after(line, "rest:"))) {
        must_equal(p, line, buffer_span(&p->rest), span_of(rest));
    } else if (after(line, "next")) {
        client_next(p->client, p->now_ms);
    } else if (after(line, "quit")) {
        client_quit(p->client, p->now_ms);
    } else if ((rest = after(line, "lost:"))) {
        client_lost(p->client, span_of(rest), p->now_ms);
    } else if (after(line, "timeout")) {
        p->now_ms = client_deadline_ms(p->client);
        client_timeout(p->client, p->now_ms);
    } else {
        print_error("no such line: %s\n", line);
        fail();
    }
}

static const struct client_options play_options = {
    .hostname = SPAN_INIT("us"), .timeouts = &client_timeouts_default
};

struct script {
    const char *name;
    const struct client_options *options; /* NULL: play_options */
    const char *lines[SCRIPT_LINES];
};

static void play(const struct script *s, const struct client_transaction *t,
                 bool by_byte)
{
    struct play p = {
        .name = s->name, .by_byte = by_byte, .now_ms = 1000, .transactions = t
    };

    p.client = client_new(s->options ? s->options : &play_options, p.now_ms);
    for (size_t i = 0; i < SCRIPT_LINES && s->lines[i]; i++)
        play_line(&p, s->lines[i]);
    client_free(p.client);
    buffer_fini(&p.rest);
}

static inline void play_all(const struct script *scripts, size_t count,
                            const struct client_transaction *t)
{
    for (size_t i = 0; i < count; i++) {
        play(&scripts[i], t, false);
        play(&scripts[i], t, true);
    }
}

/*
 * What trouble comes to at a stage that is reached by `way`: "DIAGNOSIS status
 * WANTS", with what the client wants after client_next (or at once outside a
 * transaction); "nothing", or the command that is said instead.
 */
enum { TROUBLES = 6 };

static const char *const troubles[TROUBLES] = {
    "lost:",   "S:450 4.7.0 no\r\n", "S:550 5.7.0 no\r\n", "S:421 4.3.2 no\r\n",
    "timeout", "S:garbage\r\n",
};

struct stage {
    const char *name;
    const struct client_options *options;
    const char *way[30];
    /*               FIN  4xx  5xx  421  hang  garbage */
    const char *comes[TROUBLES];
};

static void strike(const struct stage *stage,
                   const struct client_transaction *t, size_t trouble,
                   struct buffer *got)
{
    struct play p = { .name = stage->name, .now_ms = 1000, .transactions = t };
    const struct client_outcome *o;

    p.client =
        client_new(stage->options ? stage->options : &play_options, p.now_ms);
    for (size_t i = 0; i < SIZE_OF(stage->way) && stage->way[i]; i++)
        play_line(&p, stage->way[i]);
    play_line(&p, troubles[trouble]);

    o = client_wants(p.client) == CLIENT_DONE ? client_outcomes(p.client)
                                              : client_trouble(p.client);
    if (o->status.class == 0) {
        struct span said = buffer_span(client_output(p.client));

        buffer_put_string(got, said.len ? "" : "nothing");
        buffer_put(got, span_first(said, span_find(said, '\r')));
    } else {
        buffer_printf(got, "%s ", diagnosis_names[o->diagnosis]);
        status_print(got, o->status);
        if (client_wants(p.client) == CLIENT_DONE)
            client_next(p.client, p.now_ms);
        buffer_printf(got, " %s", wants_names[client_wants(p.client)]);
    }
    client_free(p.client);
    buffer_fini(&p.rest);
}

static inline void strike_all(const struct stage *stages, size_t count,
                              const struct client_transaction *t)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < TROUBLES; j++) {
            struct buffer got = { 0 };

            strike(&stages[i], t, j, &got);
            if (strcmp(buffer_string(&got), stages[i].comes[j]) != 0)
                print_error("%s, %s\n", stages[i].name, troubles[j]);
            assert_string_equal(buffer_string(&got), stages[i].comes[j]);
            buffer_fini(&got);
        }
}

#endif
