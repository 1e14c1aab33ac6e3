/*
 * Listeners, logins and accounts in the configuration: what each key means, its default, and
 * every way to get one wrong.
 */
#include "policy/senders.h"
#include "tests/unit/settings_faults.h"

#include <stdio.h>
#include <stdlib.h>

#define TLS   "tls { certificate = /c key = /k }\n"
#define USERS "users { file = /u }\n"

/* --- listeners -------------------------------------------------------------
 */

static void a_listener_offers_tls_where_there_is_a_certificate(void **state)
{
    static const struct {
        const char *text;
        enum listener_tls tls;
    } rows[] = {
        { "listener { address = 0.0.0.0:25 }\n", LISTENER_TLS_NONE },
        /* wherever tls { } stands */
        { "listener { address = 0.0.0.0:25 }\n" TLS, LISTENER_TLS_OPTIONAL },
        { TLS "listener { address = 0.0.0.0:25 tls = none }\n",
          LISTENER_TLS_NONE },
        { TLS "listener { address = 0.0.0.0:25 tls = required }\n",
          LISTENER_TLS_REQUIRED },
        { TLS "listener { address = 0.0.0.0:465 tls = implicit }\n",
          LISTENER_TLS_IMPLICIT },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct settings *s = read_well(rows[i].text);
        const struct listener_settings *l = &s->listeners[0];

        assert_int_equal(l->tls, rows[i].tls);
        assert_int_equal(l->auth, LISTENER_AUTH_NONE);
        assert_int_equal(l->client_certificate, CERTIFICATE_NONE);
        assert_int_equal(l->mechanisms, MECHANISMS_SERVED);
        assert_false(l->auth_without_tls || l->submission || l->hides_client);
        assert_int_equal(l->legacy_tls.v4_count + l->proxy.v4_count +
                             l->xclient.v4_count + l->xforward.v4_count +
                             l->verp.v4_count,
                         0);
        settings_release(s);
    }
}

static const char full[] =
    "users { from-header = true  senders = /senders  cram = /cram  file = /u\n"
    "  certificates = /certs }\n"
    "listener \"a\" { address = \"0.0.0.0:587\" auth = optional\n"
    "  client-certificate = optional auth-without-tls = true\n"
    "  submission = true received = no-client turn = true\n"
    "  mechanisms = {cram-md5, \"PLAIN\", \"External\"}\n"
    "  legacy-tls = {\"192.0.2.0/24\"} proxy = \"10.0.0.1\"\n"
    "  xclient = {\"10.0.0.2\", \"2001:db8::/32\"} xforward = \"10.0.0.3\"\n"
    "  verp = \"10.0.0.4\" }\n"
    "listener \"b\" { address = \"0.0.0.0:25\" client-certificate = required\n"
    "  received = full auth = required tls = required }\n"
    "tls { certificate = {\"/a.pem\", \"/b.pem\"} key = {\"/a.key\", "
    "\"/b.key\"}\n"
    "  authorities = /ca client-authorities = /clients }\n"
    "limits { login-failures = 3 handshake = 30s future-release = 0 }\n";

static struct settings *read_files(const struct settings_text_file *files,
                                   struct buffer *faults)
{
    struct settings_source source = { .path = files[0].name,
                                      .machine_name = "mx.ok.test",
                                      .read_file = settings_text_read,
                                      .user = (void *)(uintptr_t)files };
    struct buffer warnings = { 0 };
    struct settings *s = settings_read(&source, faults, &warnings);

    buffer_fini(&warnings);
    return s;
}

static bool has_host(const struct networks *n, const char *host)
{
    struct host_address a;

    assert_true(host_address_parse(span_of(host), &a));
    return networks_have(n, &a);
}

static void check_sections(const struct settings *s)
{
    assert_int_equal(s->tls.certificate_count, 2);
    assert_int_equal(s->tls.key_count, 2);
    assert_true(span_is(s->tls.certificates[1], SPAN("/b.pem")));
    assert_true(span_is(s->tls.keys[0], SPAN("/a.key")));
    assert_true(span_is(s->tls.authorities, SPAN("/ca")));
    assert_true(span_is(s->tls.client_authorities, SPAN("/clients")));
    assert_true(span_is(s->users.file, SPAN("/u")));
    assert_true(span_is(s->users.cram_file, SPAN("/cram")));
    assert_true(span_is(s->users.certificates, SPAN("/certs")));
    assert_true(span_is(s->users.senders, SPAN("/senders")));
    assert_true(s->users.from_header);
    assert_int_equal(s->limits.login_failures, 3);
    assert_int_equal(s->limits.handshake_ms, 30000);
    assert_int_equal(s->limits.future_release_ms, 0);
}

static void everything_about_logins_is_heard(void **state)
{
    static const struct settings_text_file files[] = {
        { "w.conf", full },
        { "/senders", "joe joe@ok.test\n" },
        { NULL, NULL },
    };
    struct buffer faults = { 0 };
    struct settings *s = read_files(files, &faults);
    const struct listener_settings *l;
    struct address joe;

    (void)state;
    assert_string_equal(buffer_string(&faults), "");
    check_sections(s);
    l = &s->listeners[0];
    assert_int_equal(l->tls, LISTENER_TLS_OPTIONAL);
    assert_int_equal(l->auth, LISTENER_AUTH_OPTIONAL);
    assert_int_equal(l->client_certificate, CERTIFICATE_OPTIONAL);
    assert_true(l->auth_without_tls && l->submission && l->hides_client);
    assert_true(l->turn);
    assert_int_equal(l->mechanisms,
                     MECHANISM_CRAM_MD5 | MECHANISM_PLAIN | MECHANISM_EXTERNAL);
    assert_true(has_host(&l->legacy_tls, "192.0.2.9"));
    assert_true(has_host(&l->proxy, "10.0.0.1"));
    assert_true(has_host(&l->xclient, "10.0.0.2"));
    assert_true(has_host(&l->xclient, "2001:db8::5"));
    assert_true(has_host(&l->xforward, "10.0.0.3"));
    assert_true(has_host(&l->verp, "10.0.0.4"));
    assert_false(has_host(&l->verp, "10.0.0.3"));
    l = &s->listeners[1];
    assert_int_equal(l->auth, LISTENER_AUTH_REQUIRED);
    assert_int_equal(l->client_certificate, CERTIFICATE_REQUIRED);
    assert_false(l->hides_client);
    assert_non_null(s->senders);
    assert_int_equal(address_parse(SPAN("joe@ok.test"), &joe), ADDRESS_OK);
    assert_true(senders_allow(s->senders, SPAN("joe"), &joe));
    assert_false(senders_allow(s->senders, SPAN("ann"), &joe));
    settings_release(s);
    buffer_fini(&faults);
}

static void faults_of_the_table_of_senders_stand_at_its_lines(void **state)
{
    static const struct settings_text_file bad[] = {
        { "w.conf", "users {\n senders = /etc/senders }\n" },
        { "/etc/senders", "joe joe@ok.test\nann\nbob %s:%n\n" },
        { NULL, NULL },
    };
    static const struct settings_text_file missing[] = {
        { "w.conf", "users {\n senders = /etc/senders }\n" },
        { NULL, NULL },
    };
    struct buffer faults = { 0 };

    (void)state;
    assert_null(read_files(bad, &faults));
    assert_string_equal(
        buffer_string(&faults),
        "/etc/senders:2:1: \"ann\" has no address after it\n"
        "/etc/senders:3:5: \"%s:%n\" is not an address: a@b, @domain or *\n");
    buffer_clear(&faults);
    assert_null(read_files(missing, &faults));
    assert_non_null(strstr(buffer_string(&faults),
                           "w.conf:2:2: cannot read \"/etc/senders\": "));
    buffer_fini(&faults);
}

static void faults_of_tls_and_users_are_told(void **state)
{
    static const struct fault_row rows[] = {
        { "tls { certificate = {\"/a\", \"/b\"} key = /k }\n",
          { "w.conf:1:28: this certificate has no key" } },
        { "tls { certificate = /a }\n",
          { "w.conf:1:21: this certificate has no key" } },
        { "tls { key = {\"/a\", \"/b\"} certificate = /c }\n",
          { "w.conf:1:20: this key has no certificate" } },
        { "tls { key = \"\" authorities = {\"a\", \"b\"} }\n",
          { "w.conf:1:13: the name of a file is empty",
            "authorities\" takes one value" } },
        { "tls { certificat = /a }\n",
          { "tls has no key \"certificat\" that this version knows; "
            "\"certificate\" was meant?" } },
        { "users { file = /u pam = waypost }\n",
          { "w.conf:1:19: pam does not go with file: one of file, pam and "
            "dovecot" } },
        { "users { dovecot = /s pam = waypost file = /u }\n",
          { "w.conf:1:22: pam does not go with file",
            "w.conf:1:9: dovecot does not go with file" } },
        { "users { dovecot = /s cram = /c }\n",
          { "w.conf:1:22: cram goes with file, or stands alone; dovecot "
            "has" } },
        { "users { file = /u from-header = true }\n",
          { "w.conf:1:19: from-header asks the table of senders" } },
        { "users { from-header = yes }\n", { "takes true or false" } },
        { "users { file = \"\" }\n", { "the name of a file is empty" } },
        { "users \"x\" { file = /u }\nusers { }\n",
          { "w.conf:1:7: users has no title",
            "w.conf:2:1: users stands a second time" } },
        { "limits { login-failures = 0 handshake = 0s\n"
          "future-release = 2000d }\n",
          { "1 to 1000", "1s to 1h", "w.conf:2:18: \"2000d\"" } },
    };

    (void)state;
    CHECK_FAULTS(rows);
}

static void faults_of_listeners_tls_and_logins_are_told(void **state)
{
    static const struct fault_row rows[] = {
        { "listener { address = 0.0.0.0:25 tls = implicit }\n",
          { "w.conf:1:33: tls = implicit needs a certificate: tls {" } },
        { TLS "listener { address = 0.0.0.0:25 auth = optional }\n",
          { "w.conf:2:33: auth = optional, but nobody can log in" } },
        { USERS "listener { address = 0.0.0.0:25 auth = required }\n",
          { "w.conf:2:33: nobody can log in here: there is no TLS" } },
        { "listener { address = 0.0.0.0:25 client-certificate = optional\n"
          "legacy-tls = \"10.0.0.0/8\" }\n",
          { "w.conf:1:33: without TLS no client can show a certificate",
            "w.conf:2:1: this listener has no TLS, old or new" } },
        { "listener { address = 0.0.0.0:25 received = some\n"
          "submission = 1 mechanisms = {\"plain\", \"NTLM\"} proxy = x }\n",
          { "full, no-client", "true or false",
            "w.conf:2:39: \"NTLM\" is not a way to log in that this version "
            "knows, which are: EXTERNAL SCRAM-SHA-256-PLUS",
            "w.conf:2:55: \"x\" is not a network" } },
        { TLS USERS "listener { address = 0.0.0.0:25 auth = required\n"
                    "mechanisms = {\"PLAIN\", \"CRAM-MD5\"} }\n",
          { "w.conf:4:1: users { } has nothing to verify CRAM-MD5 with (",
            "w.conf:4:1: CRAM-MD5 is for who fetches his mail: turn" } },
        { TLS USERS "listener { address = 0.0.0.0:25 turn = true }\n",
          { "w.conf:3:33: mail is fetched after a login only: auth = req" } },
        { TLS "listener { address = 0.0.0.0:25 turn = true auth = required }\n",
          { "w.conf:2:45: auth = required, but nobody can log in" } },
        { TLS "users { cram = /c }\n"
              "listener { address = 0.0.0.0:25 auth = required }\n",
          { "w.conf:3:33: nobody can log in here: CRAM-MD5, which is all" } },
        { TLS "users { pam = x }\n"
              "listener { address = 0.0.0.0:25 auth = required\n"
              "mechanisms = {\"PLAIN\", \"SCRAM-SHA-1\", EXTERNAL} }\n",
          { "to verify EXTERNAL SCRAM-SHA-1 with" } },
        { TLS USERS "listener { address = 0.0.0.0:25 auth = required\n"
                    "mechanisms = XOAUTH2 }\n",
          { "to verify XOAUTH2 with" } },
        { "listener { address = 0.0.0.0:25 xclient = \"::/0\"\n"
          "proxy = {\"0.0.0.0/1\", \"128.0.0.0/1\"} }\n",
          { "w.conf:1:33: this opens the relay: everybody could say",
            "w.conf:2:1: this opens the relay" } },
    };

    (void)state;
    CHECK_FAULTS(rows);
}

static void every_backend_lets_somebody_in(void **state)
{
    static const char *const rows[] = {
        "users { file = /u }",           "users { cram = /u } #",
        "users { file = /u cram = /c }", "users { pam = waypost }",
        "users { dovecot = /s }",        "users { certificates = /c }",
    };
    static const char *const mechanisms[] = {
        "{\"SCRAM-SHA-256-PLUS\", PLAIN}",
        "CRAM-MD5",
        "{CRAM-MD5, LOGIN}",
        "{PLAIN, LOGIN}",
        "{XOAUTH2, CRAM-MD5, \"SCRAM-SHA-1\"}",
        "EXTERNAL",
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer text = { 0 };

        buffer_printf(&text,
                      TLS "listener { address = 0.0.0.0:25 auth = required\n"
                          "turn = true mechanisms = %s }\n%s\n",
                      mechanisms[i], rows[i]);
        settings_release(read_well(buffer_string(&text)));
        buffer_fini(&text);
    }
    /* on loopback anybody may be let in front */
    settings_release(read_well("listener { address = 127.0.0.1:25\n"
                               "xclient = \"0.0.0.0/0\" }\n"));
}

/* --- accounts ---------------------------------------------------------------
 */

static void accounts_hold_what_they_say(void **state)
{
    struct settings *s = read_well(
        "account \"a\" { user = u@x.test token-url = \"https://t.test/tok\"\n"
        "  client-id = id client-secret-file = /s refresh-token-file = /r\n"
        "  scope = \"mail send\" mechanisms = {XOAUTH2, OAUTHBEARER} }\n"
        "account \"b\" { user = u token-command = {\"/bin/tok\", \"-x\"} }\n"
        "account \"c\" { user = u password-file = /p\n"
        "  mechanisms = {PLAIN, \"SCRAM-SHA-256\"} }\n"
        "route \"*\" { via = {\"smtps://a@h\", \"smtps://b@i\", "
        "\"smtps://c@j\"} }\n");
    const struct account *a = s->routes[0].via[0].account;
    const struct account *b = s->routes[0].via[1].account;
    const struct account *c = s->routes[0].via[2].account;

    (void)state;
    assert_true(account_is_bearer(a) && account_is_bearer(b));
    assert_false(account_is_bearer(c));
    assert_true(span_is(a->user, SPAN("u@x.test")));
    assert_true(span_is(a->token_url, SPAN("https://t.test/tok")));
    assert_true(span_is(a->client_id, SPAN("id")));
    assert_true(span_is(a->client_secret_file, SPAN("/s")));
    assert_true(span_is(a->refresh_token_file, SPAN("/r")));
    assert_true(span_is(a->scope, SPAN("mail send")));
    assert_int_equal(a->mechanisms, MECHANISMS_BEARER);
    assert_int_equal(b->token_command_count, 2);
    assert_true(span_is(b->token_command[1], SPAN("-x")));
    assert_int_equal(b->mechanisms, 0);
    assert_int_equal(c->mechanisms, MECHANISM_PLAIN | MECHANISM_SCRAM_SHA_256);
    assert_int_equal(c->place.line, 5);
    settings_release(s);
}

static void faults_of_accounts_are_told(void **state)
{
    static const struct fault_row rows[] = {
        { "account { user = u password-file = /p }\n",
          { "w.conf:1:1: an account needs a title" } },
        { "account \"a\" { user = u password-file = /p }\n"
          "account \"a\" { user = u password-file = /p }\n",
          { "w.conf:2:9: there is an account \"a\" already" } },
        { "account \"a\" { }\n",
          { "w.conf:1:1: an account needs a secret: password-file, ",
            "w.conf:1:1: an account needs a user" } },
        { "account \"a\" { user = u mechanisms = PLAIN }\n",
          { "an account needs a secret" } },
        { "account \"a\" { user = u password-file = /p token-command = x\n"
          "token-url = \"https://a/\" client-id = x client-secret-file = /s "
          "}\n",
          { "w.conf:1:43: token-command does not go with password-file",
            "w.conf:2:1: token-url does not go with password-file" } },
        { "account \"a\" { user = \"\" token-command = {\"x\", \"\"} scope = "
          "\"\"\n"
          "password = secret }\n",
          { "w.conf:1:22: this is empty", "w.conf:1:47: this is empty",
            "w.conf:1:59: this is empty",
            "an account has no key \"password\" that this version knows" } },
        { "account \"a\" { user = u password-file = /p client-id = x\n"
          "scope = y client-secret-file = /s refresh-token-file = /r }\n",
          { "w.conf:1:43: client-id is used only with token-url",
            "scope is used only", "client-secret-file is used only",
            "refresh-token-file is used only" } },
        { "account \"a\" { user = u token-url = \"https://a/\" }\n",
          { "token-url needs a client-id",
            "token-url needs a client-secret-file, a refresh-token-file" } },
        { "account \"a\" { user = u password-file = /p\n"
          "mechanisms = {XOAUTH2, PLAIN} }\n",
          { "w.conf:2:1: XOAUTH2 cannot show a password" } },
        { "account \"a\" { user = u token-command = x\n"
          "mechanisms = {XOAUTH2, PLAIN, LOGIN} }\n",
          { "w.conf:2:1: PLAIN LOGIN cannot show a token" } },
        { "account \"a\" { user = u password-file = /p mechanisms = GSSAPI }\n",
          { "\"GSSAPI\" is not a way to log in that this version knows" } },
    };

    (void)state;
    CHECK_FAULTS(rows);
}

static void tokens_are_fetched_where_nobody_listens(void **state)
{
    static const struct {
        const char *url;
        bool is_good;
    } rows[] = {
        { "https://t.test/token", true },
        { "HTTPS://t.test", true },
        { "http://127.0.0.1:8080/token", true },
        { "http://[::1]:8080/token", true },
        { "http://localhost/token", true },
        { "http://127.0.0.1/token", true },
        { "http://t.test/token", false },
        { "http://127.0.0.1@t.test/token", false },
        { "http://127.0.0.1:80@t.test/token", false },
        { "http://localhost.t.test/", false },
        { "http://[::1].t.test/", false },
        { "https://", false },
        { "https:///x", false },
        { "https://a b/", false },
        { "ftp://127.0.0.1/", false },
        { "", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer text = { 0 }, faults = { 0 }, warnings = { 0 };
        struct settings *s;

        buffer_printf(&text,
                      "account \"a\" { user = u client-id = i\n"
                      "client-secret-file = /s token-url = \"%s\" }\n",
                      rows[i].url);
        s = settings_text(buffer_string(&text), &faults, &warnings);
        if ((s != NULL) != rows[i].is_good)
            fail_msg("%s: %s", rows[i].url, buffer_string(&faults));
        if (!s)
            assert_non_null(
                strstr(buffer_string(&faults), "is not an https:// URL"));
        settings_release(s);
        buffer_fini(&text);
        buffer_fini(&faults);
        buffer_fini(&warnings);
    }
}

/* --- warnings ----------------------------------------------------------------
 */

#define LISTENER "listener \"l\" { address = \"127.0.0.1:25\" }\n"
#define ROUTE    "route \"*\" { via = {\"mx\"} }\n"

static void what_can_never_hold_is_warned_of(void **state)
{
    static const struct fault_row rows[] = {
        { LISTENER ROUTE "rule \"a\" { login = {\"*\"} action = relay }\n"
                         "rule \"b\" { not-login = {\"*\"} action = reject }\n",
          { "w.conf:3:1: warning: rule \"a\" can never hold for its login: all "
            "listeners have auth = none" } },
        { LISTENER ROUTE USERS TLS
          "listener { address = 0.0.0.0:587 auth = required }\n"
          "rule \"a\" { login = {\"*\"} tls = true action = relay }\n",
          { NULL } },
        { "listener { address = 127.0.0.1:25 xclient = \"127.0.0.1\" }\n" ROUTE
          "rule \"a\" { login = {\"*\"} action = relay }\n",
          { NULL } },
        { LISTENER ROUTE "rule \"a\" { client = \"10.0.0.0/8\" tls = true\n"
                         "action = relay }\n"
                         "rule \"b\" { tls = false action = reject }\n",
          { "rule \"a\" can never hold for its tls: all listeners have tls" } },
        { LISTENER ROUTE "rule \"a\" { certificate = \"x.test\"\n"
                         "action = relay }\n",
          { "rule \"a\" can never hold for its certificate: all listeners" } },
        { TLS "listener { address = 127.0.0.1:25 client-certificate = optional"
              " }\n" ROUTE "rule \"a\" { certificate = \"x.test\"\n"
              "action = relay }\n",
          { "for its certificate: names need tls { client-authorities" } },
        { TLS "listener { address = 127.0.0.1:25 client-certificate = optional"
              " }\n" ROUTE "rule \"a\" { certificate = \"SHA256:"
              "00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff"
              "\"\naction = relay }\n",
          { NULL } },
        { TLS "listener { address = 127.0.0.1:25 legacy-tls = \"0.0.0.0/0\""
              " }\n" ROUTE,
          { "w.conf:2:35: warning: everybody may use TLS 1.0 here" } },
        { LISTENER ROUTE "account \"a\" { user = u password-file = /p }\n",
          { "w.conf:3:1: warning: account \"a\" is used by no route" } },
        { LISTENER "account \"a\" { user = u password-file = /p }\n"
                   "route \"*\" { via = \"smtp://a\" account = a\n"
                   "tls = none }\n",
          { "w.conf:4:1: warning: the secret for \"smtp://a\" goes over the "
            "network in clear text" } },
        { USERS ROUTE "listener { address = 127.0.0.1:25 auth = optional }\n",
          { "w.conf:3:35: warning: nobody can log in here" } },
        { USERS ROUTE "listener { address = 127.0.0.1:25 auth = optional\n"
                      "auth-without-tls = true }\n",
          { NULL } },
        /* who logs in need not be a client of ours */
        { LISTENER ROUTE TLS USERS
          "listener { address = 127.0.0.1:587 auth = required }\n"
          "rule \"a\" { login = {\"*\"} to = {\"ok.test\"} action = relay }\n"
          "rule \"b\" { login = {\"*\"} to = {\"ok.test\"} action = reject }\n",
          { "rule \"b\" is never reached" } },
    };

    (void)state;
    CHECK_WARNINGS(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_listener_offers_tls_where_there_is_a_certificate),
        cmocka_unit_test(everything_about_logins_is_heard),
        cmocka_unit_test(faults_of_the_table_of_senders_stand_at_its_lines),
        cmocka_unit_test(faults_of_tls_and_users_are_told),
        cmocka_unit_test(faults_of_listeners_tls_and_logins_are_told),
        cmocka_unit_test(every_backend_lets_somebody_in),
        cmocka_unit_test(accounts_hold_what_they_say),
        cmocka_unit_test(faults_of_accounts_are_told),
        cmocka_unit_test(tokens_are_fetched_where_nobody_listens),
        cmocka_unit_test(what_can_never_hold_is_warned_of),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
