/*
 * TLS and logins of routes in the configuration: what each key means, its default, and every way
 * to get one wrong.
 */
#include "policy/route.h"
#include "tests/unit/settings_faults.h"

#include <stdlib.h>

#define ACCOUNTS                                                               \
    "account \"big\" { user = us password-file = /pw }\n"                      \
    "account \"joe@x.test\" { user = joe password-file = /pw2 }\n"             \
    "account \"cert\" { mechanisms = EXTERNAL }\n"

static void routes_have_the_tls_of_their_kind(void **state)
{
    static const struct {
        const char *keys, *key;
        enum route_tls tls;
    } rows[] = {
        { "via = mx", "mx", ROUTE_TLS_DANE },
        { "via = mx tls = dane", "mx", ROUTE_TLS_DANE },
        { "via = mx tls = required", "mx tls=required", ROUTE_TLS_REQUIRED },
        { "via = mx tls = none", "mx tls=none", ROUTE_TLS_NONE },
        { "via = \"smtp://a\"", "smtp://a:25", ROUTE_TLS_OPTIONAL },
        { "via = \"smtp://a\" tls = optional", "smtp://a:25",
          ROUTE_TLS_OPTIONAL },
        { "via = \"smtp://a\" tls = verify", "smtp://a:25 tls=verify",
          ROUTE_TLS_VERIFY },
        { "via = \"smtp://a\" tls = dane", "smtp://a:25 tls=dane",
          ROUTE_TLS_DANE },
        { "via = \"smtps://a\"", "smtps://a:465", ROUTE_TLS_VERIFY },
        { "via = {\"smtp://b\", \"smtps://a:466\"}",
          "smtp://b:25,smtps://a:466", ROUTE_TLS_VERIFY },
        { "via = \"smtps://a\" tls = required", "smtps://a:465 tls=required",
          ROUTE_TLS_REQUIRED },
        { "via = \"lmtp:/run/lmtp\"", "lmtp:/run/lmtp", ROUTE_TLS_NONE },
        { "via = \"LMTP://Store\"", "lmtp://store:24", ROUTE_TLS_NONE },
        { "via = {\"lmtp:/x y,z\", \"lmtp://[::1]:2424\"}",
          "lmtp:/x%20y%2Cz,lmtp://[::1]:2424", ROUTE_TLS_NONE },
        { "via = {\"lmtp:/x\", \"smtp://a\"}", "lmtp:/x,smtp://a:25",
          ROUTE_TLS_OPTIONAL },
        { "via = \"smtp://a\" account = big", "smtp://a:25 account=big",
          ROUTE_TLS_VERIFY },
        { "via = \"smtp://a\" user = us password-file = \"/p w\"",
          "smtp://a:25 account=us:/p%20w", ROUTE_TLS_VERIFY },
        { "via = {\"smtp://big@a\", \"smtp://joe@x.test@b:26\"}",
          "smtp://big@a:25,smtp://joe%40x.test@b:26", ROUTE_TLS_VERIFY },
        { "via = {\"smtp://big@a\", \"smtp://b\"} account = \"joe@x.test\"",
          "smtp://big@a:25,smtp://b:25 account=joe%40x.test",
          ROUTE_TLS_VERIFY },
        { "via = \"lmtp:/x\" account = big", "lmtp:/x account=big",
          ROUTE_TLS_NONE },
        { "via = \"lmtp://a\" account = big", "lmtp://a:24 account=big",
          ROUTE_TLS_VERIFY },
        { "via = mx account = big", "mx account=big", ROUTE_TLS_VERIFY },
        { "via = \"smtp://127.0.0.1\" account = big tls = none",
          "smtp://127.0.0.1:25 tls=none account=big", ROUTE_TLS_NONE },
        { "via = \"smtp://localhost\" account = big tls = optional",
          "smtp://localhost:25 tls=optional account=big", ROUTE_TLS_OPTIONAL },
        { "via = \"smtp://a\" account = cert tls = optional\n"
          "certificate = c certificate-key = k",
          "smtp://a:25 tls=optional account=cert cert=c", ROUTE_TLS_OPTIONAL },
        { "via = \"smtps://a\" account = big tls = optional",
          "smtps://a:465 tls=optional account=big", ROUTE_TLS_OPTIONAL },
        { "via = \"smtp://a\" tls = verify tls-name = \"Mail.X.test\"\n"
          "certificate = \"/c\" certificate-key = /k",
          "smtp://a:25 tls=verify name=mail.x.test cert=/c", ROUTE_TLS_VERIFY },
        { "via = \"smtps://a\" tls-name = \"2001:db8::1\"",
          "smtps://a:465 name=2001%3Adb8%3A%3A1", ROUTE_TLS_VERIFY },
        /* nor is mail that is treated otherwise led to the same destination */
        { "via = mx xforward = true chunking = false expire = 3d convert = "
          "never "
          "fold = 998",
          "mx convert=never fold=998 chunking=false xforward=true "
          "expire=3d",
          ROUTE_TLS_DANE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer text = { 0 };
        struct settings *s;

        buffer_printf(&text, "route \"*\" { %s }\n" ACCOUNTS, rows[i].keys);
        s = read_well(buffer_string(&text));
        if (!span_is(s->routes[0].key, span_of(rows[i].key)) ||
            s->routes[0].tls != rows[i].tls)
            fail_msg("%s: %.*s %d", rows[i].keys, SPAN_FMT(s->routes[0].key),
                     (int)s->routes[0].tls);
        settings_release(s);
        buffer_fini(&text);
    }
}

static void what_must_not_share_a_connection_has_another_name(void **state)
{
    static const char text[] = ACCOUNTS
        "route \"a\" { to = {\"a.test\"} via = mx }\n"
        "route \"b\" { to = {\"b.test\"} via = mx tls = required }\n"
        "route \"c\" { to = {\"c.test\"} via = mx tls = verify account = big "
        "}\n"
        "route \"d\" { to = {\"d.test\"} via = \"smtp://h\" account = big }\n"
        "route \"e\" { to = {\"e.test\"} via = \"smtp://big@h\" }\n"
        "route \"f\" { to = {\"f.test\"} via = \"smtp://h\" user = big\n"
        "  password-file = /pw }\n"
        "route \"g\" { to = {\"g.test\"} via = \"smtp://h\" user = big\n"
        "  password-file = /pw2 }\n";
    static const char *const names[] = {
        "mx:x.test",
        "mx:x.test tls=required",
        "mx:x.test account=big",
        "smtp://h:25 account=big",
        "smtp://big@h:25",
        "smtp://h:25 account=big:/pw",
        "smtp://h:25 account=big:/pw2",
    };
    struct settings *s = read_well(text);
    struct buffer name = { 0 };

    (void)state;
    for (size_t i = 0; i < s->route_count; i++) {
        buffer_clear(&name);
        destination_name(&s->routes[i], SPAN("x.test\ta"), &name);
        assert_string_equal(buffer_string(&name), names[i]);
    }
    buffer_fini(&name);
    settings_release(s);
}

static void hops_log_in_with_their_own_account_or_the_routes(void **state)
{
    struct settings *s =
        read_well("route \"*\" { via = {\"smtp://big@a\", \"smtps://b\", "
                  "\"smtp://joe@x.test@c\"}\n"
                  "  user = us password-file = /own }\n"
                  "route \"m\" { to = {\"m.test\"} via = {\"smtp://a\", "
                  "\"smtp://cert@b\"}\n"
                  "  certificate = /c certificate-key = /k "
                  "}\n" ACCOUNTS);
    const struct hop *via = s->routes[0].via;

    (void)state;
    assert_true(span_is(via[0].account->title, SPAN("big")));
    assert_int_equal(via[0].kind, HOP_SMTP);
    assert_true(span_is(via[0].host, SPAN("a")));
    assert_int_equal(via[1].kind, HOP_SMTPS);
    assert_int_equal(via[1].port, 465);
    assert_ptr_equal(via[1].account, s->routes[0].account);
    assert_int_equal(via[1].account->title.len, 0);
    assert_true(span_is(via[1].account->user, SPAN("us")));
    assert_true(span_is(via[1].account->password_file, SPAN("/own")));
    assert_int_equal(via[1].account->place.line, 2);
    assert_true(span_is(via[2].account->user, SPAN("joe")));
    assert_null(s->routes[1].account);
    assert_null(s->routes[1].via[0].account);
    assert_int_equal(s->routes[1].via[1].account->mechanisms,
                     MECHANISM_EXTERNAL);
    settings_release(s);
}

static void everything_else_about_a_route_is_heard(void **state)
{
    struct settings *s = read_well(
        "route \"a\" { to = {\"*\"} via = \"lmtp:/run/x\" convert = always\n"
        "  fold = 998 chunking = false xforward = true }\n"
        "route \"b\" { to = {\"b.test\"} via = mx convert = never\n"
        "  certificate = /c certificate-key = /k }\n"
        "route \"c\" { to = {\"c.test\"} via = mx }\n");
    const struct route *r = s->routes;

    (void)state;
    assert_int_equal(r[0].via[0].kind, HOP_LMTP);
    assert_true(span_is(r[0].via[0].path, SPAN("/run/x")));
    assert_int_equal(r[0].via[0].host.len, 0);
    assert_int_equal(r[0].convert, CONVERT_ALWAYS);
    assert_int_equal(r[0].fold, 998);
    assert_false(r[0].chunking);
    assert_true(r[0].xforward);
    assert_int_equal(r[1].convert, CONVERT_NEVER);
    assert_true(span_is(r[1].certificate, SPAN("/c")));
    assert_true(span_is(r[1].certificate_key, SPAN("/k")));
    assert_int_equal(r[2].convert, CONVERT_UNSIGNED);
    assert_int_equal(r[2].fold, 0);
    assert_true(r[2].chunking);
    assert_false(r[2].xforward);
    settings_release(s);
}

static void faults_of_routes_tls_and_logins_are_told(void **state)
{
    static const struct fault_row rows[] = {
        { "route \"*\" { via = mx tls = dane-must }\n",
          { "w.conf:1:28: \"dane-must\" is not right for tls, which takes one "
            "of: none, optional, required, verify, dane, dane-only" } },
        { "route \"*\" { via = \"smtp://192.0.2.1\" tls = dane-only }\n",
          { "an address has no TLSA records" } },
        { "route \"*\" { via = {\"smtp://a\", \"lmtp:/x\"} tls = dane-only }\n",
          { "there is no TLS on a socket" } },
        { "route \"*\" { via = mx account = bigg }\n" ACCOUNTS,
          { "w.conf:1:32: there is no account \"bigg\"; \"big\" was meant?" } },
        { "route \"*\" { via = \"smtps://joe@a\" }\n",
          { "w.conf:1:19: there is no account \"joe\"\n" } },
        { "route \"*\" { via = \"smtp://@a\" }\n",
          { "there is no account \"" } },
        { "route \"*\" { via = \"smtp://a\" account = big user = x "
          "}\n" ACCOUNTS,
          { "w.conf:1:44: the account has its own user and secret" } },
        { "route \"*\" { via = \"smtp://a\" account = big\n"
          "password-file = /x }\n" ACCOUNTS,
          { "w.conf:2:1: the account has its own user and secret" } },
        { "route \"*\" { via = \"smtp://a\" account = {big, big} }\n" ACCOUNTS,
          { "takes one value" } },
        { "route \"*\" { via = \"smtp://a\" user = x }\n",
          { "w.conf:1:30: user and password-file go together" } },
        { "route \"*\" { via = \"smtp://a\" password-file = /x }\n",
          { "w.conf:1:30: user and password-file go together" } },
        { "route \"*\" { via = \"smtp://a\" user = \"\" password-file = /x }\n",
          { "user and password-file go together" } },
        { "route \"*\" { via = {\"smtp://127.0.0.1\", \"smtp://a\"}\n"
          "account = big tls = optional }\n" ACCOUNTS,
          { "w.conf:2:15: the secret for \"smtp://a\" could go over the "
            "network in clear text" } },
        { "route \"*\" { via = mx tls = dane account = big }\n" ACCOUNTS,
          { "the secret for \"mx\" could go" } },
        { "route \"*\" { via = \"smtps://a\" tls = none }\n",
          { "w.conf:1:31: smtps:// is TLS from the first byte" } },
        { "route \"*\" { via = {\"lmtp:/x\", \"smtp://a\"} tls = verify }\n",
          { "there is no TLS on a socket" } },
        { "route \"*\" { via = \"smtp://a\" tls-name = b.test }\n",
          { "w.conf:1:30: tls-name is only looked at with tls = verify" } },
        { "route \"*\" { via = \"smtps://a\" tls-name = a_b }\n",
          { "\"a_b\" is not a domain" } },
        { "route \"*\" { via = mx certificate = /c }\n",
          { "w.conf:1:22: certificate and certificate-key go together" } },
        { "route \"*\" { via = mx certificate-key = /c }\n",
          { "w.conf:1:22: certificate and certificate-key go together" } },
        { "route \"*\" { via = \"smtp://a\" account = cert }\n" ACCOUNTS,
          { "w.conf:1:30: account \"cert\" shows a certificate, and this route "
            "has none" } },
        { "route \"*\" { via = \"smtp://cert@a\" }\n" ACCOUNTS,
          { "w.conf:1:13: account \"cert\" shows a certificate" } },
        { "route \"*\" { via = \"lmtp:/x\" certificate = /c\n"
          "certificate-key = /k }\n",
          { "w.conf:1:29: without TLS no certificate is shown" } },
        { "route \"*\" { via = mx fold = 20 convert = maybe chunking = 1 }\n",
          { "w.conf:1:22: lines are folded at 72 to", "never, unsigned, always",
            "true or false" } },
        { "route \"*\" { via = {\"lmtp:x\", \"lmtp:/\", \"lmtp://\",\n"
          "\"smtps://a:0\"} }\n",
          { "\"lmtp:x\" is not lmtp:/PATH", "\"lmtp:/\" is not",
            "\"lmtp://\" is not lmtp://HOST, lmtp://HOST:PORT",
            "\"smtps://a:0\" is not smtps://HOST" } },
        { "route \"*\" { via = {\"lmtp:/x\", \"lmtp:/x\", \"lmtp:/y\", mx}\n "
          "}\n",
          { "w.conf:1:31: \"lmtp:/x\" does not go with",
            "\"mx\" does not go with" } },
    };

    (void)state;
    CHECK_FAULTS(rows);
}

static void a_sockets_path_fits_its_address(void **state)
{
    static const struct {
        int length;
        bool is_good;
    } rows[] = { { 107, true }, { 108, false } };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct buffer text = { 0 }, faults = { 0 }, warnings = { 0 };
        struct settings *s;

        buffer_printf(&text, "route \"*\" { via = \"lmtp:/%0*d\" }\n",
                      rows[i].length - 1, 0);
        s = settings_text(buffer_string(&text), &faults, &warnings);
        assert_int_equal(s != NULL, rows[i].is_good);
        settings_release(s);
        buffer_fini(&text);
        buffer_fini(&faults);
        buffer_fini(&warnings);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_have_the_tls_of_their_kind),
        cmocka_unit_test(what_must_not_share_a_connection_has_another_name),
        cmocka_unit_test(hops_log_in_with_their_own_account_or_the_routes),
        cmocka_unit_test(everything_else_about_a_route_is_heard),
        cmocka_unit_test(faults_of_routes_tls_and_logins_are_told),
        cmocka_unit_test(a_sockets_path_fits_its_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
