/*
 * dovecot: logins that Dovecot judges, against a server made of lines.
 *
 * A script is what the server does, connection by connection: "<" it reads a line that must
 * begin so (# stands for any number, and is remembered), ">" it writes one, "!" it closes
 * the connection and takes the next.
 */
#include "sasl_bench.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#define GREETING                                                               \
    "<VERSION\t1\t1", "<CPID\t#", ">VERSION\t1\t2", ">MECH\tPLAIN\tplaintext", \
        ">MECH\tLOGIN\tplaintext", ">MECH\tSCRAM-SHA-256\tmutual-auth",        \
        ">MECH\tGSSAPI", ">MECH\tEXTERNAL", ">SPID\t7", ">CUID\t8",            \
        ">COOKIE\tc0ffee", ">DONE"

struct server {
    pthread_t thread;
    int listener, fd;
    const char *const *script;
    char fault[512];
    FILE *in;
    char number[32]; /* of the latest # */
};

/* Does the line begin as told? # is any number. */
static bool fits(struct server *s, const char *line, const char *told)
{
    for (; *told; told++) {
        size_t n;

        if (*told != '#') {
            if (*line++ != *told)
                return false;
            continue;
        }
        n = strspn(line, "0123456789");
        if (n == 0 || n >= sizeof s->number)
            return false;
        (void)snprintf(s->number, sizeof s->number, "%.*s", (int)n, line);
        line += n;
    }
    return *line == '\n';
}

static bool take_connection(struct server *s)
{
    s->fd = accept(s->listener, NULL, NULL);
    s->in = s->fd >= 0 ? fdopen(s->fd, "r") : NULL;
    return s->in;
}

static void write_line(struct server *s, const char *told)
{
    for (const char *p = told; *p; p++)
        (void)!send(s->fd, *p == '#' ? s->number : p,
                    *p == '#' ? strlen(s->number) : 1, MSG_NOSIGNAL);
    (void)!send(s->fd, "\n", 1, MSG_NOSIGNAL);
}

static void *serve(void *arg)
{
    struct server *s = arg;
    char line[8192];

    for (const char *const *p = s->script; *p; p++) {
        if (!s->in && !take_connection(s))
            break;
        if (**p == '>') {
            write_line(s, *p + 1);
        } else if (**p == '!') {
            (void)fclose(s->in);
            s->in = NULL;
        } else if (!fgets(line, sizeof line, s->in)) {
            (void)snprintf(s->fault, sizeof s->fault, "instead of %s: nothing",
                           *p);
            break;
        } else if (!fits(s, line, *p + 1)) {
            (void)snprintf(s->fault, sizeof s->fault, "instead of %s: %.400s",
                           *p, line);
            break;
        }
    }
    if (s->in)
        (void)fclose(s->in);
    return NULL;
}

static void server_start(struct server *s, const char *const *script)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };

    *s = (struct server){ .script = script };
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", bench_path("auth"));
    (void)unlink(at.sun_path);
    s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(s->listener, 8), 0);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_end(struct server *s)
{
    (void)shutdown(s->listener, SHUT_RDWR);
    assert_int_equal(pthread_join(s->thread, NULL), 0);
    (void)close(s->listener);
    assert_string_equal(s->fault, "");
}

static struct sasl_desk *desk(void)
{
    return bench_desk(
        &(struct users_settings){ .dovecot = span_of(bench_path("auth")) });
}

static void what_it_offers_is_offered(void **state)
{
    static const char *const script[] = { GREETING, NULL };
    struct server s;
    struct sasl_desk *d;

    (void)state;
    server_start(&s, script);
    d = desk();
    /* what it cannot do through us is left out */
    assert_int_equal(sasl_mechanisms(d), MECHANISM_PLAIN | MECHANISM_LOGIN |
                                             MECHANISM_SCRAM_SHA_256);
    sasl_desk_close(d);
    server_end(&s);
}

static void its_verdict_is_the_answer(void **state)
{
    static const struct {
        const char *verdict;
        enum sasl_said said;
        const char *login, *text;
    } rows[] = {
        { ">OK\t#\tuser=user@example.org", SASL_OK, "user@example.org", "" },
        { ">OK\t#\toriginal_user=x\tuser=a\0011b", SASL_UNAVAILABLE, "", NULL },
        { ">OK\t#\tuser=gr\xc3\xbcn\tresp=djEyMw==", SASL_OK, "gr\xc3\xbcn",
          "v123" },
        { ">OK\t#\tuser=a\001tb", SASL_UNAVAILABLE, "", NULL },
        { ">OK\t#\tuser=a\001lb", SASL_UNAVAILABLE, "", NULL },
        { ">OK\t#\tuser=", SASL_UNAVAILABLE, "", NULL },
        { ">OK\t#", SASL_UNAVAILABLE, "", NULL },
        { ">OK\t#\tuser=a\tresp=?", SASL_UNAVAILABLE, "", NULL },
        { ">FAIL\t#\tuser=user", SASL_WRONG, "", "" },
        { ">FAIL\t#\tuser=user\tcode=authz_fail", SASL_WRONG, "", "" },
        { ">FAIL\t#", SASL_WRONG, "", "" },
        { ">FAIL\t#\tuser=user\ttemp", SASL_UNAVAILABLE, "",
          "Dovecot cannot tell now" },
        { ">FAIL\t#\tcode=temp_fail\treason=x", SASL_UNAVAILABLE, "",
          "Dovecot cannot tell now" },
        { ">CONT\t#\t??", SASL_UNAVAILABLE, "", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *script[] = {
            GREETING,
            "<AUTH\t#\tPLAIN\tservice=smtp\tnologin\trip=192.0.2.7\t"
            "resp=AHVzZXIAcGVuY2ls",
            ">OK\t9999\tuser=other", /* not ours */
            ">NEWS",
            rows[i].verdict,
            NULL,
        };
        struct server s;
        struct sasl_desk *d;
        struct talk t;

        server_start(&s, script);
        d = desk();
        if (talk_plain(&t, d, "user", "pencil") != rows[i].said)
            print_error("row %zu: %d %s\n", i, t.said, t.text);
        assert_int_equal(t.said, rows[i].said);
        assert_string_equal(t.login, rows[i].login);
        if (rows[i].text)
            assert_string_equal(t.text, rows[i].text);
        sasl_desk_close(d);
        server_end(&s);
    }
}

static void an_exchange_goes_through_word_by_word(void **state)
{
    static const char *const script[] = {
        GREETING,
        "<AUTH\t#\tLOGIN\tservice=smtp\tnologin\trip=192.0.2.7\tsecured",
        ">CONT\t#\tVXNlcm5hbWU6",
        "<CONT\t1\tdXNlcg==",
        ">CONT\t#\tUGFzc3dvcmQ6",
        "<CONT\t1\tcGVuY2ls",
        ">OK\t#\tuser=user",
        /* the connection is kept; an empty response is not none */
        "<AUTH\t2\tSCRAM-SHA-256\tservice=smtp\tnologin\trip=192.0.2.7\t"
        "secured\tresp=",
        ">CONT\t2\t",
        "<CONT\t2\tbiwsbj11c2Vy",
        ">FAIL\t2",
        NULL,
    };
    const struct tls_facts tls = { .bits = 256 };
    struct server s;
    struct sasl_desk *d;
    struct talk t;

    (void)state;
    server_start(&s, script);
    d = desk();
    talk_begin(
        &t, d,
        &(struct sasl_question){ .mechanism = MECHANISM_LOGIN, .tls = &tls });
    assert_int_equal(talk_step(&t, NULL, 0), SASL_MORE);
    assert_string_equal(t.text, "Username:");
    assert_int_equal(talk_step(&t, "user", 4), SASL_MORE);
    assert_string_equal(t.text, "Password:");
    assert_int_equal(talk_step(&t, "pencil", 6), SASL_OK);
    assert_string_equal(t.login, "user");
    talk_end(&t);
    talk_begin(&t, d,
               &(struct sasl_question){ .mechanism = MECHANISM_SCRAM_SHA_256,
                                        .tls = &tls });
    assert_int_equal(talk_step(&t, "", 0), SASL_MORE);
    assert_int_equal(talk_step(&t, "n,,n=user", 9), SASL_WRONG);
    talk_end(&t);
    sasl_desk_close(d);
    server_end(&s);
}

static void what_is_broken_here_does_not_reach_it(void **state)
{
    static const char *const script[] = { GREETING, NULL };
    struct server s;
    struct sasl_desk *d;
    struct talk t;

    (void)state;
    server_start(&s, script);
    d = desk();
    assert_int_equal(talk_once(&t, d, MECHANISM_PLAIN, "user\0pencil", 11),
                     SASL_BAD);
    assert_int_equal(talk_once(&t, d, MECHANISM_PLAIN, "a\0user\0pencil", 13),
                     SASL_WRONG);
    assert_int_equal(talk_once(&t, d, MECHANISM_PLAIN, NULL, 0), SASL_MORE);
    sasl_desk_close(d);
    server_end(&s);
}

static void a_connection_that_died_is_made_anew(void **state)
{
    static const char *const script[] = {
        GREETING,
        "!", /* Dovecot was started again */
        GREETING,
        "<AUTH\t1\tPLAIN\tservice=smtp\tnologin\trip=192.0.2.7\t"
        "resp=AHVzZXIAcGVuY2ls",
        ">OK\t1\tuser=user",
        "!",
        GREETING,
        "<AUTH\t1\tLOGIN\tservice=smtp\tnologin\trip=192.0.2.7",
        ">CONT\t1\t",
        "!", /* in the middle: that is for the client to try again */
        NULL,
    };
    struct server s;
    struct sasl_desk *d;
    struct talk t;

    (void)state;
    server_start(&s, script);
    d = desk();
    assert_int_equal(talk_plain(&t, d, "user", "pencil"), SASL_OK);
    talk_begin(&t, d, &(struct sasl_question){ .mechanism = MECHANISM_LOGIN });
    assert_int_equal(talk_step(&t, NULL, 0), SASL_MORE);
    assert_int_equal(talk_step(&t, "user", 4), SASL_UNAVAILABLE);
    talk_end(&t);
    sasl_desk_close(d);
    server_end(&s);
}

static void an_exchange_that_is_dropped_takes_its_connection_along(void **state)
{
    static const char *const script[] = {
        GREETING,
        "<AUTH\t1\tLOGIN\tservice=smtp\tnologin\trip=192.0.2.7",
        ">CONT\t1\t",
        NULL,
    };
    struct server s;
    struct sasl_desk *d;
    struct talk t;

    (void)state;
    server_start(&s, script);
    d = desk();
    talk_begin(&t, d, &(struct sasl_question){ .mechanism = MECHANISM_LOGIN });
    assert_int_equal(talk_step(&t, NULL, 0), SASL_MORE);
    talk_end(&t);
    server_end(&s);
    assert_int_equal(talk_plain(&t, d, "user", "pencil"), SASL_UNAVAILABLE);
    sasl_desk_close(d);
}

static void one_that_is_not_there_cannot_tell_now(void **state)
{
    static const char *const other_version[] = {
        "<VERSION\t1\t1",
        "<CPID\t#",
        ">VERSION\t2\t0",
        ">DONE",
        "!",
        "<VERSION\t1\t1",
        "<CPID\t#",
        ">VERSION\t2\t0",
        ">DONE",
        "!",
        NULL,
    };
    static const char *const later[] = {
        GREETING,
        "<AUTH\t1\tPLAIN\tservice=smtp\tnologin\trip=192.0.2.7\t"
        "resp=AHVzZXIAcGVuY2ls",
        ">FAIL\t1",
        NULL,
    };
    struct server s;
    struct sasl_desk *d;
    struct talk t;

    (void)state;
    (void)unlink(bench_path("auth"));
    d = desk();
    /* offered all the same: it may come up later */
    assert_int_equal(sasl_mechanisms(d), MECHANISM_PLAIN | MECHANISM_LOGIN);
    assert_int_equal(talk_plain(&t, d, "user", "pencil"), SASL_UNAVAILABLE);
    assert_non_null(strstr(t.text, "auth: No such file or directory"));
    server_start(&s, later);
    assert_int_equal(talk_plain(&t, d, "user", "pencil"), SASL_WRONG);
    server_end(&s);
    assert_true(sasl_mechanisms(d) & MECHANISM_SCRAM_SHA_256);
    sasl_desk_close(d);
    server_start(&s, other_version);
    d = desk();
    assert_int_equal(talk_plain(&t, d, "user", "pencil"), SASL_UNAVAILABLE);
    assert_non_null(strstr(t.text, "broke the protocol"));
    sasl_desk_close(d);
    server_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_offers_is_offered),
        cmocka_unit_test(its_verdict_is_the_answer),
        cmocka_unit_test(an_exchange_goes_through_word_by_word),
        cmocka_unit_test(what_is_broken_here_does_not_reach_it),
        cmocka_unit_test(a_connection_that_died_is_made_anew),
        cmocka_unit_test(
            an_exchange_that_is_dropped_takes_its_connection_along),
        cmocka_unit_test(one_that_is_not_there_cannot_tell_now),
    };

    return cmocka_run_group_tests(tests, bench_setup, bench_teardown);
}
