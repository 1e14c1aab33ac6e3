/*
 * sasl: logins by password, by certificate and by SCRAM, against a users file; libgsasl's
 * own client speaks the other side.
 */
#include "sasl_bench.h"

#include <fcntl.h>

#define TEXT(literal) "" literal, sizeof(literal) - 1

/* RFC 5802 section 5 and RFC 7677 section 3: the user "user" with the password "pencil"
 * (which libgsasl's client is asked to confirm below). "old" has a hash only, in another
 * file. */
#define SHA_256_OF_PENCIL                                                      \
    "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,"                            \
    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"                            \
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
#define SHA_1_OF_PENCIL                                                        \
    "{SCRAM-SHA-1}4096,QSXCR+Q6sek8bf92,"                                      \
    "6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE="
/* "secret", by crypt with 1000 rounds */
#define CRYPT_OF_SECRET                                                        \
    "$5$rounds=1000$sa1tsa1tsa1t$"                                             \
    "1EjL6sOiTYs5PbXsI/sqLSakJvx6frAbQ4hhNQ7YG/9"

static const char users[] = "# who may log in\n"
                            "\n"
                            "user:" SHA_256_OF_PENCIL ":" SHA_1_OF_PENCIL "\n"
                            "one:" SHA_256_OF_PENCIL ":" SHA_1_OF_PENCIL "\n";
static const char hashes[] = "old:" CRYPT_OF_SECRET "\n"
                             "locked:!" CRYPT_OF_SECRET "\n";

static struct sasl_desk *desk_with(const char *text)
{
    bench_write("users", text);
    return bench_desk(
        &(struct users_settings){ .file = span_of(bench_path("users")) });
}

static void plain_is_read_to_the_letter(void **state)
{
    static const struct {
        const char *at;
        size_t len;
        enum sasl_said said;
    } rows[] = {
        { TEXT("\0user\0pencil"), SASL_OK },
        { TEXT("user\0user\0pencil"), SASL_OK },
        { TEXT("other\0user\0pencil"), SASL_WRONG },
        { TEXT("\0user\0pencil2"), SASL_WRONG },
        { TEXT("\0user\0"), SASL_WRONG },
        { TEXT("\0user\0p"), SASL_WRONG },
        { TEXT("\0nobody\0pencil"), SASL_WRONG },
        { TEXT("\0USER\0pencil"), SASL_WRONG },
        { TEXT("\0user\0\xff\xfe"), SASL_WRONG },
        { TEXT("\0us\xff\0pencil"), SASL_WRONG },
        { TEXT("userpencil"), SASL_BAD },
        { TEXT("user\0pencil"), SASL_BAD },
        { TEXT("\0user\0pencil\0"), SASL_BAD },
        { TEXT("\0user\0pen\0cil"), SASL_BAD },
        { TEXT("\0\0pencil"), SASL_BAD },
        { TEXT("\0\0"), SASL_BAD },
        { TEXT(""), SASL_BAD },
        { TEXT("*"), SASL_BAD },
    };
    struct sasl_desk *d = desk_with(users);
    struct talk t;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (talk_once(&t, d, MECHANISM_PLAIN, rows[i].at, rows[i].len) !=
            rows[i].said)
            print_error("row %zu: %d\n", i, t.said);
        assert_int_equal(t.said, rows[i].said);
        assert_string_equal(t.login, t.said == SASL_OK ? "user" : "");
        assert_int_equal(t.text_len, 0);
    }
    sasl_desk_close(d);
}

static void an_empty_password_is_none(void **state)
{
    struct sasl_desk *d =
        desk_with("open:"
                  "$5$rounds=1000$saltsalt$Naw4j7Jsi9DJmo461n8iSYTXTcY98Ufoq.Xsn7KkFN7\n");
    struct talk t;

    (void)state;
    assert_int_equal(talk_plain(&t, d, "open", ""), SASL_WRONG);
    sasl_desk_close(d);
}

static void a_hash_of_crypt_is_enough_for_a_password(void **state)
{
    struct sasl_desk *d = desk_with(hashes);
    struct talk t;

    (void)state;
    assert_int_equal(sasl_mechanisms(d), MECHANISM_PLAIN | MECHANISM_LOGIN);
    assert_int_equal(talk_plain(&t, d, "old", "secret"), SASL_OK);
    assert_int_equal(talk_plain(&t, d, "old", "Secret"), SASL_WRONG);
    assert_int_equal(talk_plain(&t, d, "locked", "secret"), SASL_WRONG);
    assert_int_equal(
        talk_once(&t, d, MECHANISM_SCRAM_SHA_256, TEXT("n,,n=old,r=abc")),
        SASL_UNAVAILABLE);
    sasl_desk_close(d);
}

static void login_asks_for_the_name_and_the_password(void **state)
{
    static const struct {
        const char *first, *name, *password;
        enum sasl_said said;
    } rows[] = {
        { NULL, "user", "pencil", SASL_OK },
        { "user", NULL, "pencil", SASL_OK },
        { NULL, "user", "pencil2", SASL_WRONG },
        { NULL, "nobody", "pencil", SASL_WRONG },
        { NULL, "user", "", SASL_WRONG },
        { NULL, "", NULL, SASL_BAD },
        { "", NULL, NULL, SASL_BAD },
    };
    struct sasl_desk *d = desk_with(users);
    struct talk t;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *name = rows[i].name ? rows[i].name : rows[i].first;

        talk_begin(&t, d,
                   &(struct sasl_question){ .mechanism = MECHANISM_LOGIN });
        if (!rows[i].first) {
            assert_int_equal(talk_step(&t, NULL, 0), SASL_MORE);
            assert_string_equal(t.text, "Username:");
        }
        (void)talk_step(&t, name, strlen(name));
        if (rows[i].password) {
            assert_int_equal(t.said, SASL_MORE);
            assert_string_equal(t.text, "Password:");
            (void)talk_step(&t, rows[i].password, strlen(rows[i].password));
        }
        assert_int_equal(t.said, rows[i].said);
        assert_string_equal(t.login, t.said == SASL_OK ? "user" : "");
        /* a line too many */
        assert_int_equal(talk_step(&t, "more", 4), SASL_BAD);
        talk_end(&t);
    }
    sasl_desk_close(d);
}

/* What a client of the library's is told; and how it spoke. */
struct client {
    const char *login, *password, *authzid;
    const char *exporter; /* base64; NULL: it cannot bind */
};

static int client_callback(Gsasl *g, Gsasl_session *s, Gsasl_property what)
{
    const struct client *c = gsasl_session_hook_get(s);
    const char *value = what == GSASL_AUTHID            ? c->login
                        : what == GSASL_PASSWORD        ? c->password
                        : what == GSASL_AUTHZID         ? c->authzid
                        : what == GSASL_CB_TLS_EXPORTER ? c->exporter
                                                        : NULL;

    (void)g;
    if (!value)
        return GSASL_NO_CALLBACK;
    return gsasl_property_set(s, what, value);
}

static const unsigned char channel[32] = "the channel's 32 exported bytes";

/* The whole exchange; the client must be content with our last words too. */
static enum sasl_said converse(struct talk *t, struct sasl_desk *d,
                               const struct sasl_question *q,
                               const struct client *c)
{
    Gsasl *g;
    Gsasl_session *s;
    char *out = NULL;
    size_t len = 0;
    int rc;

    assert_int_equal(gsasl_init(&g), GSASL_OK);
    gsasl_callback_set(g, client_callback);
    assert_int_equal(gsasl_client_start(g, mechanism_name(q->mechanism), &s),
                     GSASL_OK);
    gsasl_session_hook_set(s, (void *)(uintptr_t)c);
    talk_begin(t, d, q);
    if (q->mechanism == MECHANISM_CRAM_MD5)
        assert_int_equal(talk_step(t, NULL, 0), SASL_MORE);
    do {
        rc = gsasl_step(s, t->text, t->text_len, &out, &len);
        if (rc != GSASL_OK && rc != GSASL_NEEDS_MORE)
            fail_msg("client: %s", gsasl_strerror(rc));
        (void)talk_step(t, out ? out : "", len);
        gsasl_free(out);
    } while (t->said == SASL_MORE);
    if (t->said == SASL_OK && t->text_len) {
        assert_int_equal(gsasl_step(s, t->text, t->text_len, &out, &len),
                         GSASL_OK);
        gsasl_free(out);
    }
    talk_end(t);
    gsasl_finish(s);
    gsasl_done(g);
    return t->said;
}

static void a_client_of_the_library_logs_in_by_each_mechanism(void **state)
{
    static const unsigned mechanisms[] = {
        MECHANISM_PLAIN,         MECHANISM_SCRAM_SHA_1,
        MECHANISM_SCRAM_SHA_256, MECHANISM_SCRAM_SHA_1_PLUS,
        MECHANISM_CRAM_MD5,      MECHANISM_SCRAM_SHA_256_PLUS,
    };
    static const struct {
        struct client client;
        enum sasl_said said;
    } rows[] = {
        { { "user", "pencil", NULL }, SASL_OK },
        { { "one", "pencil", NULL }, SASL_OK },
        { { "user", "pencil", "user" }, SASL_OK },
        { { "user", "pencil", "one" }, SASL_WRONG },
        { { "user", "pencils", NULL }, SASL_WRONG },
        { { "user", "p", NULL }, SASL_WRONG },
        { { "nobody", "pencil", NULL }, SASL_WRONG },
        { { "n=o,body", "pencil", NULL }, SASL_WRONG },
        /* prepared: a soft hyphen is nothing */
        { { "user",
            "pen\xc2\xad"
            "cil",
            NULL },
          SASL_OK },
    };
    struct tls_facts tls = { .exporter = { (const char *)channel, 32 } };
    struct sasl_desk *d;
    struct talk t;
    char *binding;

    (void)state;
    bench_write("users", users);
    bench_write("cram", "user:pencil\none:pencil\n");
    d = bench_desk(
        &(struct users_settings){ .file = span_of(bench_path("users")),
                                  .cram_file = span_of(bench_path("cram")) });
    assert_int_equal(gsasl_base64_to((const char *)channel, 32, &binding, NULL),
                     GSASL_OK);
    for (size_t m = 0; m < sizeof mechanisms / sizeof *mechanisms; m++)
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            struct client c = rows[i].client;
            bool is_plus = mechanisms[m] & MECHANISMS_BOUND;

            assert_true(sasl_mechanisms(d) & mechanisms[m]);
            if (mechanisms[m] == MECHANISM_CRAM_MD5 && c.authzid)
                continue; /* it has none */
            c.exporter = is_plus ? binding : NULL;
            (void)converse(&t, d,
                           &(struct sasl_question){ .mechanism = mechanisms[m],
                                                    .tls = &tls,
                                                    .offered = MECHANISM_ALL },
                           &c);
            if (t.said != rows[i].said)
                print_error("%s, row %zu: %d %s\n",
                            mechanism_name(mechanisms[m]), i, t.said, t.text);
            assert_int_equal(t.said, rows[i].said);
            assert_string_equal(t.login, t.said == SASL_OK ? c.login : "");
        }
    gsasl_free(binding);
    sasl_desk_close(d);
}

static void what_binds_the_channel_must_bind_this_one(void **state)
{
    static const char other[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    struct tls_facts tls = { .exporter = { (const char *)channel, 32 } };
    const struct client c = { "user", "pencil", NULL, other };
    struct sasl_question q = { .mechanism = MECHANISM_SCRAM_SHA_256_PLUS,
                               .tls = &tls,
                               .offered = MECHANISM_ALL };
    struct sasl_desk *d = desk_with(users);
    struct talk t;

    (void)state;
    assert_int_equal(converse(&t, d, &q, &c), SASL_WRONG);
    q.mechanism = MECHANISM_SCRAM_SHA_1_PLUS;
    assert_int_equal(converse(&t, d, &q, &c), SASL_WRONG);
    tls.exporter.len = 0; /* as of TLS that has none */
    assert_int_equal(converse(&t, d, &q, &c), SASL_WRONG);
    sasl_desk_close(d);
}

static void the_first_words_of_scram_are_judged(void **state)
{
    static const unsigned plain = MECHANISM_PLAIN,
                          plus = MECHANISM_SCRAM_SHA_256_PLUS;
    static const struct {
        const char *at;
        size_t len;
        unsigned mechanism, offered;
        enum sasl_said said;
    } rows[] = {
        { TEXT("n,,n=user,r=abc"), 0, MECHANISM_ALL, SASL_MORE },
        { TEXT("n,,n=nobody,r=abc"), 0, MECHANISM_ALL, SASL_MORE },
        /* "you did not offer to bind": true, or not */
        { TEXT("y,,n=user,r=abc"), 0, plain, SASL_MORE },
        { TEXT("y,,n=user,r=abc"), 0, plus, SASL_WRONG },
        /* binds without saying so in the mechanism's name, and the reverse */
        { TEXT("p=tls-exporter,,n=user,r=abc"), 0, plus, SASL_WRONG },
        { TEXT("n,,n=user,r=abc"), plus, plus, SASL_WRONG },
        { TEXT("y,,n=user,r=abc"), plus, plus, SASL_WRONG },
        { TEXT("p=tls-unique,,n=user,r=abc"), plus, plus, SASL_WRONG },
        { TEXT("p=tls-exporter,,n=user,r=abc"), plus, plus, SASL_MORE },
        { TEXT("p=,,n=user,r=abc"), plus, plus, SASL_WRONG },
        /* broken */
        { TEXT(""), 0, plain, SASL_BAD },
        { TEXT("n"), 0, plain, SASL_BAD },
        { TEXT("n,,"), 0, plain, SASL_BAD },
        { TEXT("n,,n=,r=abc"), 0, plain, SASL_BAD },
        { TEXT("n,,n=user"), 0, plain, SASL_BAD },
        { TEXT("n,,n=us\0er,r=abc"), 0, plain, SASL_BAD },
        { TEXT("n,,n=\xff\xfe,r=abc"), 0, plain, SASL_WRONG },
        { TEXT("\0user\0pencil"), 0, plain, SASL_BAD },
    };
    struct tls_facts tls = { .exporter = { (const char *)channel, 32 } };
    struct sasl_desk *d = desk_with(users);
    struct talk t;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        talk_begin(&t, d,
                   &(struct sasl_question){
                       .mechanism = rows[i].mechanism ? rows[i].mechanism
                                                      : MECHANISM_SCRAM_SHA_256,
                       .tls = &tls,
                       .offered = rows[i].offered });
        if (talk_step(&t, rows[i].at, rows[i].len) != rows[i].said)
            print_error("row %zu: %d\n", i, t.said);
        assert_int_equal(t.said, rows[i].said);
        if (t.said == SASL_MORE) { /* and a last word that is none */
            assert_int_equal(talk_step(&t, TEXT("c=biws,r=abc")), SASL_BAD);
            assert_int_equal(talk_step(&t, TEXT("c=biws,r=abc")), SASL_BAD);
        }
        talk_end(&t);
    }
    sasl_desk_close(d);
}

/* The server's first words without its nonce. */
static void salt_of(struct sasl_desk *d, const char *login, char *out,
                    size_t size)
{
    char words[300];
    const char *at;
    struct talk t;
    int n = snprintf(words, sizeof words, "n,,n=%s,r=abc", login);

    assert_int_equal(
        talk_once(&t, d, MECHANISM_SCRAM_SHA_256, words, (size_t)n), SASL_MORE);
    at = strstr(t.text, ",s=");
    assert_non_null(at);
    (void)snprintf(out, size, "%s", at);
}

static void an_unknown_login_is_shown_a_salt_that_stays(void **state)
{
    struct sasl_desk *d = desk_with(users);
    char known[128], a[128], b[128];

    (void)state;
    salt_of(d, "user", known, sizeof known);
    assert_string_equal(known, ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
    salt_of(d, "nobody", a, sizeof a);
    salt_of(d, "nobody", b, sizeof b);
    assert_string_equal(a, b);
    assert_string_not_equal(a, known);
    assert_int_equal(strlen(a), strlen(known));
    assert_non_null(strstr(a, ",i=4096"));
    salt_of(d, "somebody", b, sizeof b);
    assert_string_not_equal(a, b);
    sasl_desk_close(d);
}

static void a_wrong_user_costs_what_a_wrong_password_costs(void **state)
{
    static const struct {
        const char *users, *login;
        unsigned crypts, derivations;
    } rows[] = {
        { users, "user", 0, 1 },    { users, "nobody", 0, 1 },
        { users, "\xff", 0, 1 },    { hashes, "old", 1, 0 },
        { hashes, "nobody", 1, 0 }, { hashes, "locked", 1, 0 },
    };
    static const char *const passwords[] = { "wrong", "", "\xff\xfe", "\001" };
    struct talk t;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sasl_desk *d = desk_with(rows[i].users);

        for (unsigned k = 1; k <= 4; k++) {
            assert_int_equal(talk_plain(&t, d, rows[i].login, passwords[k - 1]),
                             SASL_WRONG);
            assert_int_equal(t.text_len, 0);
            assert_int_equal(d->work.crypts, k * rows[i].crypts);
            assert_int_equal(d->work.derivations, k * rows[i].derivations);
        }
        sasl_desk_close(d);
    }
}

static void a_success_is_remembered_for_a_minute_and_a_failure_never(
    void **state)
{
    struct sasl_desk *d = desk_with(users);
    struct talk t;

    (void)state;
    assert_int_equal(talk_plain(&t, d, "user", "pencil"), SASL_OK);
    assert_int_equal(talk_plain(&t, d, "user", "pencil"), SASL_OK);
    assert_string_equal(t.login, "user");
    assert_int_equal(d->work.derivations, 1);
    assert_int_equal(talk_plain(&t, d, "user", "pencils"), SASL_WRONG);
    assert_int_equal(talk_plain(&t, d, "user", "pencils"), SASL_WRONG);
    assert_int_equal(d->work.derivations, 3);
    assert_int_equal(talk_plain(&t, d, "one", "pencil"), SASL_OK);
    assert_int_equal(d->work.derivations, 4);
    atomic_fetch_add(&bench_now_ms, PASSWORD_CACHE_MS - 1);
    assert_int_equal(talk_plain(&t, d, "user", "pencil"), SASL_OK);
    assert_int_equal(d->work.derivations, 4);
    atomic_fetch_add(&bench_now_ms, 1);
    assert_int_equal(talk_plain(&t, d, "user", "pencil"), SASL_OK);
    assert_int_equal(d->work.derivations, 5);
    sasl_desk_close(d);
}

static void a_file_that_changed_is_read_again_a_second_later(void **state)
{
    struct sasl_desk *d = desk_with(users);
    struct talk t;

    (void)state;
    assert_int_equal(talk_plain(&t, d, "user", "pencil"), SASL_OK);
    bench_write("users", hashes);
    assert_int_equal(talk_plain(&t, d, "old", "secret"), SASL_WRONG);
    assert_int_equal(talk_plain(&t, d, "user", "pencil"), SASL_OK);
    atomic_fetch_add(&bench_now_ms, SASL_LOOK_MS);
    assert_int_equal(talk_plain(&t, d, "old", "secret"), SASL_OK);
    /* what was remembered has gone with the file */
    assert_int_equal(talk_plain(&t, d, "user", "pencil"), SASL_WRONG);
    assert_int_equal(sasl_mechanisms(d), MECHANISM_PLAIN | MECHANISM_LOGIN);
    /* a slip of the editor, then no file at all: the former logins stay */
    bench_write("users", "old:secret\n");
    atomic_fetch_add(&bench_now_ms, SASL_LOOK_MS);
    assert_int_equal(talk_plain(&t, d, "old", "secret"), SASL_OK);
    assert_int_equal(unlink(bench_path("users")), 0);
    atomic_fetch_add(&bench_now_ms, SASL_LOOK_MS);
    assert_int_equal(talk_plain(&t, d, "old", "secret"), SASL_OK);
    bench_write("users", users);
    atomic_fetch_add(&bench_now_ms, SASL_LOOK_MS);
    assert_int_equal(talk_plain(&t, d, "user", "pencil"), SASL_OK);
    assert_int_equal(talk_plain(&t, d, "old", "secret"), SASL_WRONG);
    sasl_desk_close(d);
}

static void a_reload_that_fails_leaves_the_former_settings(void **state)
{
    struct sasl_desk *d = desk_with(users), *none = NULL;
    struct settings s = { 0 };
    struct buffer why = { 0 };
    struct talk begun, t;

    (void)state;
    s.users.file = SPAN("/nowhere/users");
    assert_true(sasl_desk_open(&none, &s, &why) < 0);
    assert_null(none);
    assert_non_null(strstr(buffer_string(&why), "/nowhere/users: "));
    buffer_clear(&why);
    assert_true(sasl_desk_reload(d, &s, &why) < 0);
    assert_true(why.len > 0);
    assert_int_equal(talk_plain(&t, d, "user", "pencil"), SASL_OK);
    /* one that has begun ends with what it began with */
    talk_begin(&begun, d,
               &(struct sasl_question){ .mechanism = MECHANISM_LOGIN });
    assert_int_equal(talk_step(&begun, TEXT("user")), SASL_MORE);
    bench_write("others", hashes);
    s.users.file = span_of(bench_path("others"));
    assert_int_equal(sasl_desk_reload(d, &s, &why), 0);
    assert_int_equal(talk_plain(&t, d, "user", "pencil"), SASL_WRONG);
    assert_int_equal(talk_plain(&t, d, "old", "secret"), SASL_OK);
    assert_int_equal(talk_step(&begun, TEXT("pencil")), SASL_OK);
    talk_end(&begun);
    s.users.file = SPAN("");
    assert_int_equal(sasl_desk_reload(d, &s, &why), 0);
    assert_int_equal(sasl_mechanisms(d), 0);
    assert_int_equal(talk_plain(&t, d, "old", "secret"), SASL_UNAVAILABLE);
    sasl_desk_close(d);
    buffer_fini(&why);
}

static void a_certificate_says_who_it_is(void **state)
{
#define PRINT "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    static const struct {
        const char *fingerprint, *name, *authzid, *login;
        enum sasl_said said;
    } rows[] = {
        { "sha256:" PRINT, "", "", "printer", SASL_OK },
        { "sha256:" PRINT, "", "printer", "printer", SASL_OK },
        { "sha256:" PRINT, "", "user", "", SASL_WRONG },
        { "sha256:" OTHER, "", "", "", SASL_WRONG },
        { "sha256:" OTHER, "Mail.Example", "", "mail", SASL_OK },
        { "sha256:" PRINT, "mail.example", "", "printer", SASL_OK },
        { "", "", "printer", "", SASL_WRONG },
        { "", PRINT, "", "", SASL_WRONG },
    };
    struct sasl_desk *d;
    struct talk t;

    (void)state;
    bench_write("certificates", "sha256:" PRINT " printer\n"
                                "mail.example\tmail\n");
    d = bench_desk(&(struct users_settings){
        .certificates = span_of(bench_path("certificates")) });
    assert_int_equal(sasl_mechanisms(d), MECHANISM_EXTERNAL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tls_facts tls = { .fingerprint = span_of(rows[i].fingerprint),
                                 .name = span_of(rows[i].name) };
        struct sasl_question q = { .mechanism = MECHANISM_EXTERNAL,
                                   .tls = &tls };

        if (!*rows[i].fingerprint && !*rows[i].name)
            q.tls = NULL;
        talk_begin(&t, d, &q);
        if (i % 2) { /* with and without an initial response */
            assert_int_equal(talk_step(&t, NULL, 0), SASL_MORE);
            assert_int_equal(t.text_len, 0);
        }
        (void)talk_step(&t, rows[i].authzid, strlen(rows[i].authzid));
        assert_int_equal(t.said, rows[i].said);
        assert_string_equal(t.login, rows[i].login);
        talk_end(&t);
    }
    sasl_desk_close(d);
}

static void threads_take_work(struct sasl_desk *d, unsigned count)
{
    (void)pthread_mutex_lock(&d->lock);
    d->threads_at_work = count;
    (void)pthread_cond_broadcast(&d->work_is_there);
    (void)pthread_mutex_unlock(&d->lock);
}

static void more_than_the_desk_holds_are_told_so(void **state)
{
    struct sasl_desk *d = desk_with(users);
    struct talk *t = NEW_ARRAY(struct talk, SASL_WAITING_MOST + 1);
    const struct sasl_question q = { .mechanism = MECHANISM_LOGIN };
    struct talk *last = &t[SASL_WAITING_MOST];

    (void)state;
    threads_take_work(d, 0);
    for (unsigned i = 0; i < SASL_WAITING_MOST; i++) {
        talk_begin(&t[i], d, &q);
        sasl_step(t[i].x, false, SPAN(""));
    }
    talk_begin(last, d, &q);
    assert_int_equal(talk_step(last, NULL, 0), SASL_UNAVAILABLE);
    assert_string_equal(last->text, "too many logins wait to be checked");
    talk_end(last);
    threads_take_work(d, 2);
    for (unsigned i = 0; i < SASL_WAITING_MOST; i++) {
        while (!t[i].is_answered)
            bench_run_task();
        assert_int_equal(t[i].said, SASL_MORE);
        talk_end(&t[i]);
    }
    free(t);
    sasl_desk_close(d);
}

/* The secret of the next test, so written that it is nowhere in memory as it is. */
static const char masked[] = { 'k' ^ 1, 'e' ^ 1, 'y' ^ 1, '-' ^ 1, 'o' ^ 1,
                               'f' ^ 1, '-' ^ 1, 't' ^ 1, 'h' ^ 1, 'e' ^ 1,
                               '-' ^ 1, 'd' ^ 1, 'o' ^ 1, 'o' ^ 1, 'r' ^ 1 };

static size_t unmask(char *out)
{
    for (size_t i = 0; i < sizeof masked; i++)
        out[i] = (char)(masked[i] ^ 1);
    return sizeof masked;
}

static unsigned count_secrets(const char *at, size_t len)
{
    unsigned n = 0;

    for (size_t i = 0; i + sizeof masked <= len; i++) {
        size_t k = 0;

        while (k < sizeof masked && at[i + k] == (char)(masked[k] ^ 1))
            k++;
        n += k == sizeof masked;
    }
    return n;
}

/* In all that this process may write to; what a sanitizer keeps for itself is too much. */
static unsigned secrets_in_memory(void)
{
    enum { PIECE = 1 << 20, MOST = 256 << 20 };
    static char piece[PIECE];
    FILE *maps = fopen("/proc/self/maps", "r");
    int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    unsigned long from, to;
    char line[512], mode[8];
    unsigned n = 0;

    assert_true(maps && fd >= 0);
    while (fgets(line, sizeof line, maps)) {
        if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) != 3 ||
            mode[1] != 'w' || to - from > MOST)
            continue;
        for (unsigned long at = from; at < to; at += PIECE - sizeof masked) {
            size_t want = to - at < PIECE ? to - at : PIECE;
            ssize_t got;

            if (at <= (uintptr_t)piece + PIECE && at + want > (uintptr_t)piece)
                continue; /* this is where we look at it */
            got = pread(fd, piece, want, (off_t)at);
            if (got > 0)
                n += count_secrets(piece, (size_t)got);
            explicit_bzero(piece, sizeof piece);
        }
    }
    (void)fclose(maps);
    (void)close(fd);
    return n;
}

/* The first bytes of freed memory are soon overwritten, so the secret stands behind. */
enum { IN_FRONT = 64 };

static void no_password_stays_in_memory(void **state)
{
    static const char *const files[] = { users, hashes };
    static const char *const logins[] = { "user", "old" };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char r[128] = "", *password;
        size_t login = strlen(logins[i]), len;
        struct sasl_desk *d = desk_with(files[i]);
        struct talk t;

        memcpy(r + 1, logins[i], login);
        password = r + login + 2;
        memset(password, 'x', IN_FRONT);
        len = IN_FRONT + unmask(password + IN_FRONT);
        assert_true(secrets_in_memory() >= 1); /* it would be found */
        talk_begin(&t, d,
                   &(struct sasl_question){ .mechanism = MECHANISM_LOGIN });
        assert_int_equal(talk_step(&t, logins[i], login), SASL_MORE);
        assert_int_equal(talk_step(&t, password, len), SASL_WRONG);
        talk_end(&t);
        assert_int_equal(talk_once(&t, d, MECHANISM_PLAIN, r, login + 2 + len),
                         SASL_WRONG);
        explicit_bzero(r, sizeof r);
        assert_int_equal(secrets_in_memory(), 0);
        sasl_desk_close(d);
    }
}

/* A clock at which a thread stands still in the middle of its work. */
static pthread_barrier_t in_the_middle;

static int64_t clock_that_stops(void)
{
    (void)pthread_barrier_wait(&in_the_middle); /* it works now */
    (void)pthread_barrier_wait(&in_the_middle); /* and may go on */
    return bench_clock();
}

static void what_was_dropped_is_not_heard_of_again(void **state)
{
    struct sasl_desk *d = desk_with(users);
    const struct sasl_question q = { .mechanism = MECHANISM_LOGIN };
    struct talk rests, waits[3], works, answered;

    (void)state;
    talk_begin(&rests, d, &q);
    talk_end(&rests);
    talk_begin(&rests, d, &q);
    assert_int_equal(talk_step(&rests, NULL, 0), SASL_MORE);
    talk_end(&rests);

    threads_take_work(d, 0);
    for (size_t i = 0; i < 3; i++) {
        talk_begin(&waits[i], d, &q);
        sasl_step(waits[i].x, false, SPAN(""));
    }
    for (size_t i = 3; i-- > 0;)
        talk_end(&waits[(i + 1) % 3]); /* first, last, the one between */
    assert_int_equal(d->waiting, 0);

    assert_int_equal(pthread_barrier_init(&in_the_middle, NULL, 2), 0);
    d->clock = clock_that_stops;
    talk_begin(&works, d, &q);
    sasl_step(works.x, false, SPAN(""));
    threads_take_work(d, 1);
    (void)pthread_barrier_wait(&in_the_middle);
    talk_end(&works);
    (void)pthread_barrier_wait(&in_the_middle);

    /* the one thread answers in order: this one after it */
    talk_begin(&answered, d, &q);
    sasl_step(answered.x, false, SPAN(""));
    (void)pthread_barrier_wait(&in_the_middle);
    (void)pthread_barrier_wait(&in_the_middle);
    (void)pthread_mutex_lock(&bench_lock);
    while (!bench_first)
        (void)pthread_cond_wait(&bench_posted, &bench_lock);
    (void)pthread_mutex_unlock(&bench_lock);
    talk_end(&answered);
    bench_run_task();
    assert_null(bench_first);
    assert_false(works.is_answered || answered.is_answered);
    (void)pthread_barrier_destroy(&in_the_middle);
    sasl_desk_close(d);
}

/* pam_exec gives the password to a program's standard input. */
static void pam_judges_a_password(void **state)
{
    static const char service[] =
        "auth [success=1 default=ignore] "
        "pam_exec.so quiet expose_authtok /bin/sh %s/judge\n"
        "auth requisite pam_deny.so\n"
        "auth required pam_permit.so\n"
        "account [success=1 default=ignore] "
        "pam_exec.so quiet /bin/sh %s/account\n"
        "account requisite pam_deny.so\n"
        "account required pam_permit.so\n";
    static const char judge[] =
        "test \"$PAM_USER:$PAM_RHOST:$(tr -d '\\000')\" = "
        "'user:192.0.2.7:pencil' ||\n"
        "test \"$PAM_USER\" = expired\n";
    static const struct {
        const char *login, *password;
        enum sasl_said said;
    } rows[] = {
        { "user", "pencil", SASL_OK },       { "user", "pencils", SASL_WRONG },
        { "user", "", SASL_WRONG },          { "nobody", "pencil", SASL_WRONG },
        { "expired", "pencil", SASL_WRONG }, { "us er", "pencil", SASL_WRONG },
    };
    char text[512];
    struct sasl_desk *d =
        bench_desk(&(struct users_settings){ .pam = SPAN("mail") });
    struct talk t;

    (void)state;
    (void)snprintf(text, sizeof text, service, bench_folder, bench_folder);
    bench_write("mail", text);
    bench_write("judge", judge);
    bench_write("account", "test \"$PAM_USER\" != expired\n");
    d->pam_folder = bench_folder;
    assert_int_equal(sasl_mechanisms(d), MECHANISM_PLAIN | MECHANISM_LOGIN);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (talk_plain(&t, d, rows[i].login, rows[i].password) != rows[i].said)
            print_error("row %zu: %d %s\n", i, t.said, t.text);
        assert_int_equal(t.said, rows[i].said);
    }
    /* remembered: PAM is not asked */
    bench_write("mail", "auth required pam_no_such_module.so\n"
                        "account required pam_permit.so\n");
    assert_int_equal(talk_plain(&t, d, "user", "pencil"), SASL_OK);
    assert_int_equal(talk_plain(&t, d, "user", "pencils"), SASL_UNAVAILABLE);
    assert_memory_equal(t.text, "PAM: ", 5);
    assert_null(strstr(t.text, "pencils"));
    sasl_desk_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_is_read_to_the_letter),
        cmocka_unit_test(an_empty_password_is_none),
        cmocka_unit_test(a_hash_of_crypt_is_enough_for_a_password),
        cmocka_unit_test(login_asks_for_the_name_and_the_password),
        cmocka_unit_test(a_client_of_the_library_logs_in_by_each_mechanism),
        cmocka_unit_test(what_binds_the_channel_must_bind_this_one),
        cmocka_unit_test(the_first_words_of_scram_are_judged),
        cmocka_unit_test(an_unknown_login_is_shown_a_salt_that_stays),
        cmocka_unit_test(a_wrong_user_costs_what_a_wrong_password_costs),
        cmocka_unit_test(
            a_success_is_remembered_for_a_minute_and_a_failure_never),
        cmocka_unit_test(a_file_that_changed_is_read_again_a_second_later),
        cmocka_unit_test(a_reload_that_fails_leaves_the_former_settings),
        cmocka_unit_test(a_certificate_says_who_it_is),
        cmocka_unit_test(more_than_the_desk_holds_are_told_so),
        cmocka_unit_test(what_was_dropped_is_not_heard_of_again),
        cmocka_unit_test(no_password_stays_in_memory),
        cmocka_unit_test(pam_judges_a_password),
    };

    return cmocka_run_group_tests(tests, bench_setup, bench_teardown);
}
