/*
 * Providers in the configuration: what a fetch is made of, and every way to get one
 * wrong.
 */
#include "policy/vocabulary/mechanism.h"
#include "tests/unit/settings_faults.h"

#define BASE    "listener \"edge\" { address = 127.0.0.1:25 }\n"
#define ACCOUNT "account \"us\" { user = joe  password-file = /pw }\n"

static void a_fetch_is_one_hop_with_a_login_and_a_listener_of_its_title(
    void **state)
{
    struct settings *s = read_well(
        BASE ACCOUNT
        "fetch isp { from = \"smtps://ODMR.isp.example\" login = us }\n");
    const struct fetch_settings *f = &s->fetches[0];

    (void)state;
    assert_int_equal(s->fetch_count, 1);
    assert_true(span_is(f->title, SPAN("isp")));
    assert_int_equal(f->route.via_count, 1);
    assert_int_equal(f->route.via[0].kind, HOP_SMTPS);
    assert_int_equal(f->route.via[0].port, 366);
    assert_true(span_is(f->route.via[0].host, SPAN("odmr.isp.example")));
    assert_true(span_is(f->route.via[0].account->user, SPAN("joe")));
    assert_int_equal(f->route.tls, ROUTE_TLS_VERIFY);
    assert_int_equal(f->every_ms, 0);
    assert_int_equal(f->domain_count, 0);
    assert_true(span_is(f->listener.title, SPAN("isp")));
    assert_true(f->listener.is_fetch);
    assert_int_equal(f->listener.auth, LISTENER_AUTH_NONE);
    assert_int_equal(f->listener.tls, LISTENER_TLS_NONE);
    assert_false(f->listener.turn || f->listener.submission ||
                 f->listener.normalize);
    assert_int_equal(s->listener_count, 1);
    settings_release(s);
}

static void everything_about_a_fetch_can_be_said(void **state)
{
    struct settings *s = read_well(
        BASE ACCOUNT
        "fetch a { from = \"smtp://us@[192.0.2.7]:2525\" tls = required\n"
        "  domains = {Example.ORG, \"b\xc3\xbc"
        "cher.example\"} every = 15min }\n"
        "fetch b { from = \"smtp://localhost\" tls = none user = u "
        "password-file = /b\n"
        "  mechanisms = {CRAM-MD5} }\n"
        "fetch c { from = \"smtp://h\" login = us tls-name = other.example\n"
        "  certificate = /c certificate-key = /k }\n");
    const struct fetch_settings *f = s->fetches;

    (void)state;
    assert_int_equal(s->fetch_count, 3);
    assert_int_equal(f[0].route.via[0].port, 2525);
    assert_true(f[0].route.via[0].is_literal);
    assert_true(span_is(f[0].route.via[0].account->title, SPAN("us")));
    assert_int_equal(f[0].every_ms, 15 * 60 * 1000);
    assert_int_equal(f[0].domain_count, 2);
    assert_true(span_is(f[0].domains[0], SPAN("example.org")));
    assert_true(span_is(f[0].domains[1], SPAN("xn--bcher-kva.example")));
    assert_int_equal(f[0].route.tls, ROUTE_TLS_REQUIRED);
    assert_int_equal(f[1].route.tls, ROUTE_TLS_NONE);
    assert_int_equal(f[1].route.via[0].account->mechanisms, MECHANISM_CRAM_MD5);
    assert_true(span_is(f[1].route.via[0].account->password_file, SPAN("/b")));
    assert_int_equal(f[2].route.via[0].port, 366);
    assert_int_equal(f[2].route.tls, ROUTE_TLS_VERIFY);
    assert_true(span_is(f[2].route.tls_name, SPAN("other.example")));
    assert_true(span_is(f[2].route.certificate, SPAN("/c")));
    settings_release(s);
}

#define FROM "from = \"smtp://h\" "

static void a_fetch_that_cannot_work_is_a_fault(void **state)
{
    /* clang-format off */
    static const struct fault_row rows[] = {
        { BASE ACCOUNT "fetch a { login = us }\n",
          { "w.conf:3:1: a fetch needs a provider: from = \"smtps://HOST\"" } },
        { BASE "fetch a { " FROM "}\n",
          { "w.conf:2:1: a provider gives mail only to whom it knows: login = "
            "ACCOUNT, or user and password-file" } },
        { BASE ACCOUNT "fetch { " FROM "login = us }\n",
          { "w.conf:3:1: a fetch needs a title: fetch \"NAME\" { ... }" } },
        { BASE ACCOUNT "fetch a { " FROM "login = us }\n"
          "fetch a { " FROM "login = us }\n",
          { "w.conf:4:7: there is a fetch \"a\" already, at w.conf:3:1" } },
        { BASE ACCOUNT "fetch edge { " FROM "login = us }\n",
          { "w.conf:3:7: the listener at w.conf:1:1 has the title \"edge\" "
            "already" } },
        { "listener { address = 127.0.0.1:25 }\n" ACCOUNT
          "fetch \"127.0.0.1:25\" { " FROM "login = us }\n",
          { "w.conf:3:7: the listener at w.conf:1:1 has the title" } },
        { BASE ACCOUNT "fetch a { from = mx login = us }\n",
          { "w.conf:3:18: \"mx\" is not a provider: smtp://HOST, "
            "smtp://HOST:PORT or smtps://HOST" } },
        { BASE ACCOUNT "fetch a { from = \"lmtp://h\" login = us }\n",
          { "\"lmtp://h\" is not a provider" } },
        { BASE ACCOUNT "fetch a { from = \"lmtp:/s\" login = us }\n",
          { "\"lmtp:/s\" is not a provider" } },
        { BASE ACCOUNT "fetch a { from = \"maildir:/m\" login = us }\n",
          { "\"maildir:/m\" is not a provider" } },
        { BASE ACCOUNT "fetch a { from = \"pickup:p\" login = us }\n",
          { "\"pickup:p\" is not a provider" } },
        { BASE ACCOUNT "fetch a { from = {\"smtp://h\", \"smtp://i\"} login = us }\n",
          { "w.conf:3:31: \"from\" takes one value, not a list" } },
        { BASE ACCOUNT "fetch a { from = \"smtp://a b\" login = us }\n",
          { "\"smtp://a b\" is not smtp://HOST" } },
        { BASE ACCOUNT "fetch a { from = \"smtps://h:0\" login = us }\n",
          { "\"smtps://h:0\" is not smtps://HOST" } },
        { BASE "fetch a { " FROM "login = us }\n",
          { "w.conf:2:37: there is no account \"us\"" } },
        { BASE "fetch a { from = \"smtp://us@h\" }\n",
          { "there is no account \"us\"" } },
        { BASE "fetch a { " FROM "user = u }\n",
          { "user and password-file go together" } },
        { BASE ACCOUNT "fetch a { " FROM "login = us user = u password-file = /p }\n",
          { "the account has its own user and secret" } },
        { BASE ACCOUNT "fetch a { " FROM "login = us mechanisms = {PLAIN} }\n",
          { "mechanisms go with user and password-file" } },
        { BASE "fetch a { " FROM "user = u password-file = /p "
          "mechanisms = {XOAUTH2} }\n",
          { "XOAUTH2 cannot show a password" } },
        { BASE ACCOUNT "fetch a { " FROM "login = us domains = {a..b} }\n",
          { "w.conf:3:51: \"a..b\" is not a domain" } },
        { BASE ACCOUNT "fetch a { " FROM "login = us domains = {a.b, A.B} }\n",
          { "\"a.b\" stands twice" } },
        { BASE ACCOUNT "fetch a { " FROM "login = us every = often }\n",
          { "every" } },
        { BASE ACCOUNT "fetch a { " FROM "login = us tls = optional }\n",
          { "the secret for \"smtp://h\" could go over the network in clear" } },
        { BASE ACCOUNT "fetch a { from = \"smtps://h\" login = us tls = none }\n",
          { "smtps:// is TLS from the first byte" } },
        { BASE ACCOUNT "fetch a { " FROM "login = us tls = required tls-name = h.x }\n",
          { "tls-name is only looked at with tls = verify" } },
        { BASE ACCOUNT "fetch a { " FROM "login = us certificate = /c }\n",
          { "certificate and certificate-key go together" } },
        { BASE ACCOUNT "fetch a { " FROM "login = us evry = 1h }\n",
          { "evry" } },
    };
    /* clang-format on */

    (void)state;
    CHECK_FAULTS(rows);
}

static void more_domains_than_one_line_can_name_are_a_fault(void **state)
{
    struct buffer text = { 0 };

    (void)state;
    buffer_put_string(&text,
                      BASE ACCOUNT "fetch a { " FROM "login = us domains = {");
    for (int i = 0; i < 30; i++)
        buffer_printf(&text, "%s\"domain-%02d.example\"", i ? ", " : "", i);
    buffer_put_string(&text, "} }\n");
    CHECK_FAULTS(((const struct fault_row[]){
        { buffer_string(&text),
          { "more than one ATRN can name (505 bytes" } } }));
    buffer_fini(&text);
}

static void a_secret_in_clear_text_is_warned_of(void **state)
{
    static const struct fault_row rows[] = {
        { BASE ACCOUNT "route \"*\" { via = mx }\n"
                       "fetch a { " FROM "login = us tls = none }\n",
          { "the secret for \"smtp://h\" goes over the network in clear" } },
    };

    (void)state;
    CHECK_WARNINGS(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            a_fetch_is_one_hop_with_a_login_and_a_listener_of_its_title),
        cmocka_unit_test(everything_about_a_fetch_can_be_said),
        cmocka_unit_test(a_fetch_that_cannot_work_is_a_fault),
        cmocka_unit_test(more_domains_than_one_line_can_name_are_a_fault),
        cmocka_unit_test(a_secret_in_clear_text_is_warned_of),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
