/*
 * The configuration: what a file means, and every way to get one wrong.
 */
#include "tests/unit/settings_faults.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define LISTENER "listener \"l\" { address = \"127.0.0.1:25\" }\n"
#define RULE     "rule \"r\" { client = {\"10.0.0.0/8\"} action = relay }\n"
#define ROUTE    "route \"*\" { via = {\"mx\"} }\n"

static void without_a_file_loopback_clients_relay_by_mx(void **state)
{
    struct settings_source source = { .machine_name = "MX.ok.test",
                                      .state_folder = "/state" };
    struct buffer faults = { 0 }, warnings = { 0 };
    struct settings *s = settings_read(&source, &faults, &warnings);

    (void)state;
    assert_non_null(s);
    assert_int_equal(warnings.len, 0);
    assert_true(span_is(s->hostname, SPAN("mx.ok.test")));
    assert_true(span_is(s->origin, SPAN("mx.ok.test")));
    assert_true(span_is(s->queue.path, SPAN("/state/queue.db")));
    assert_true(span_is(s->admin.socket, SPAN("/state/waypost.sock")));
    assert_true(span_is(s->admin.tokens, SPAN("/state/tokens")));
    assert_int_equal(s->admin.http.len, 0);
    assert_int_equal(s->listener_count, 1);
    assert_true(span_is(s->listeners[0].address, SPAN("127.0.0.1:2525")));
    assert_int_equal(s->listeners[0].port, 2525);
    assert_true(host_address_is_loopback(&s->listeners[0].host));
    assert_int_equal(s->rule_count, 1);
    assert_int_equal(s->route_count, 1);
    assert_int_equal(s->routes[0].via[0].kind, HOP_MX);
    settings_release(settings_hold(s));
    settings_release(s);
    settings_release(NULL);
    buffer_fini(&faults);
    buffer_fini(&warnings);
}

static void a_machine_without_a_good_name_is_localhost(void **state)
{
    static const char *const names[] = { "my_host", "", NULL };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct settings_source source = { .machine_name = names[i] };
        struct buffer faults = { 0 }, warnings = { 0 };
        struct settings *s = settings_read(&source, &faults, &warnings);

        assert_non_null(s);
        assert_true(span_is(s->hostname, SPAN("localhost")));
        assert_non_null(strstr(buffer_string(&warnings), "hostname"));
        assert_true(span_is(s->queue.path, SPAN("queue.db")));
        settings_release(s);
        buffer_fini(&faults);
        buffer_fini(&warnings);
    }
}

static void the_defaults_are_those_of_limits_h(void **state)
{
    struct settings *s = read_well(LISTENER RULE ROUTE);

    (void)state;
    assert_int_equal(s->limits.message_bytes, LIMIT_MESSAGE);
    assert_int_equal(s->limits.header_bytes, LIMIT_HEADER);
    assert_int_equal(s->limits.command_line, LIMIT_COMMAND_LINE);
    assert_int_equal(s->limits.recipients, LIMIT_RECIPIENTS);
    assert_int_equal(s->limits.hops, LIMIT_HOPS);
    assert_int_equal(s->limits.sessions_per_client, LIMIT_SESSIONS_PER_CLIENT);
    assert_int_equal(s->limits.errors, LIMIT_ERRORS);
    assert_int_equal(s->limits.silence_ms, LIMIT_SILENCE_S * 1000);
    assert_int_equal(s->limits.data_rate, LIMIT_DATA_RATE);
    assert_int_equal(s->limits.login_failures, LIMIT_LOGIN_FAILURES);
    assert_int_equal(s->limits.handshake_ms, LIMIT_HANDSHAKE_S * 1000);
    assert_int_equal(s->limits.future_release_ms,
                     LIMIT_FUTURE_RELEASE_S * 1000ll);
    assert_int_equal(s->retry.first_ms, 60000);
    assert_int_equal(s->retry.most_ms, 3600000);
    assert_int_equal(s->retry.expire_ms, 5ll * 86400000);
    assert_int_equal(s->retry.expire_report_ms, 2ll * 86400000);
    assert_int_equal(s->retry.warn_ms, 4ll * 3600000);
    assert_int_equal(s->drain_ms, 60000);
    assert_int_equal(s->workers, 0);
    assert_int_equal(s->queue.reserve_bytes, 0);
    assert_int_equal(s->queue.history_ms, 30ll * 86400000);
    assert_int_equal(s->log.form, LOG_POSTFIX);
    assert_true(span_is(s->log.tag, SPAN("waypost")));
    assert_false(s->log.syslog);
    assert_int_equal(s->resolver.mode, RESOLVER_SYSTEM);
    assert_int_equal(s->postmaster.len, 0);
    assert_int_equal(s->routes[0].connections, 20);
    assert_int_equal(s->routes[0].messages_per_connection, 0);
    assert_int_equal(s->routes[0].idle_ms, 2000);
    settings_release(s);
}

static const char full[] =
    "\xef\xbb\xbf# everything that may be said\r\n"
    "hostname = \"Relay.Example.org\"  origin = 'example.org'\r\n"
    "postmaster = ops@example.org # nobody\n"
    "workers = 3 drain=10s\n"
    "queue { path = /q/queue.db  reserve = 2GB history = 1d }\n"
    "admin { socket = \"/run/w.sock\" }\n"
    "limits { message = 1MB header = 10KB command-line = 512 recipients = 7\n"
    "  sessions-per-client = 8 hops = 9 errors = 10 silence = 1min\n"
    "  data-rate = 11 }\n"
    "retry { first = 2min most = 2h expire = 3d expire-reports = 1d warn = 0 "
    "}\n"
    "resolver { mode = forward server = {\"127.0.0.1@5301\", ::1}\n"
    "  insecure = {\"Lan\", \"test\",} trust-anchor = /k }\n"
    "log { form = json tag = w/x syslog = true }\n"
    "listener \"edge\" { address = [::]:25 line-ends = normalize tls = none\n"
    "  auth = none }\n"
    "listener { address = \"0.0.0.0:25\" line-ends = strict }\n"
    "rule \"a\" { client = {\"10.0.0.0/8\",\"::1\"} not-from = {\"<>\"}\n"
    "  action = relay }\n"
    "rule \"b\" { helo = {\"*.bad\"} to = {'/^x+@/'} action = reject\n"
    "  reply = \"550 5.7.1 no %{helo}, 100%\" }\n"
    "rule \"c\" { to = {\"Example.ORG\", \"a@b.test\", \"*.sub.test\"}\n"
    "  action = relay }\n"
    "rule \"d\" { action = hold }\n"
    "rule \"e\" { action = defer }\n"
    "route \"big\" { to = {\"BIG.example\", \"A@b.test\", \"*.Sub.test\"}\n"
    "  from = {\"<>\", \"x.test\"}\n"
    "  via = {\"smtp://A.example:587\",\n \"smtp://[2001:DB8::1]\",\n"
    "         \"smtp://192.0.2.1:26\", \"SMTP://Mail_In\"} tls = none\n"
    "  connections = 5 messages-per-connection = 6 idle = 7s first = 30s }\n"
    "route \"*\" { via = mx }\n";

static void check_top(const struct settings *s)
{
    assert_true(span_is(s->hostname, SPAN("relay.example.org")));
    assert_true(span_is(s->origin, SPAN("example.org")));
    assert_true(span_is(s->postmaster, SPAN("ops@example.org")));
    assert_int_equal(s->workers, 3);
    assert_int_equal(s->drain_ms, 10000);
    assert_true(span_is(s->queue.path, SPAN("/q/queue.db")));
    assert_int_equal(s->queue.reserve_bytes, 2ll << 30);
    assert_int_equal(s->limits.message_bytes, 1 << 20);
    assert_int_equal(s->limits.data_rate, 11);
    assert_int_equal(s->retry.warn_ms, 0);
    assert_int_equal(s->resolver.mode, RESOLVER_FORWARD);
    assert_int_equal(s->resolver.server_count, 2);
    assert_true(span_is(s->resolver.servers[1], SPAN("::1")));
    assert_int_equal(s->resolver.insecure_count, 2);
    assert_true(span_is(s->resolver.insecure[0], SPAN("lan")));
    assert_int_equal(s->log.form, LOG_JSON);
    assert_true(s->log.syslog);
}

static void check_route(const struct route *r)
{
    assert_true(span_is(r->title, SPAN("big")));
    assert_int_equal(r->to_count, 3);
    assert_true(span_is(r->to[0], SPAN("big.example")));
    assert_true(span_is(r->to[1], SPAN("a@b.test")));
    assert_true(span_is(r->to[2], SPAN("*.sub.test")));
    assert_int_equal(r->from_count, 2);
    assert_int_equal(r->via_count, 4);
    assert_true(
        span_is(r->key, SPAN("smtp://a.example:587,smtp://[2001:db8::1]:25,"
                             "smtp://192.0.2.1:26,smtp://mail_in:25 "
                             "tls=none connections=5 "
                             "messages-per-connection=6 idle=7s first=30s")));
    assert_true(span_is(r->via[0].host, SPAN("a.example")));
    assert_false(r->via[0].is_literal);
    assert_true(r->via[1].is_literal);
    assert_int_equal(r->via[1].port, 25);
    assert_int_equal(r->connections, 5);
    assert_int_equal(r->messages_per_connection, 6);
    assert_int_equal(r->idle_ms, 7000);
    assert_int_equal(r->retry.first_ms, 30000);
    assert_int_equal(r->retry.most_ms, 2 * 3600000);
}

static void everything_that_may_be_said_is_heard(void **state)
{
    struct settings *s = read_well(full);

    (void)state;
    check_top(s);
    assert_int_equal(s->listener_count, 2);
    assert_true(s->listeners[0].normalize);
    assert_false(s->listeners[1].normalize);
    assert_true(span_is(s->listeners[0].title, SPAN("edge")));
    assert_true(span_is(s->listeners[1].title, SPAN("0.0.0.0:25")));
    assert_int_equal(s->listeners[0].place.line, 14);
    assert_int_equal(s->rule_count, 5);
    assert_int_equal(s->rules[1].reply.code, 550);
    assert_int_equal(s->rules[1].place.line, 19);
    assert_int_equal(s->rules[1].condition_count, 2);
    assert_int_equal(s->own_domain_count, 1);
    assert_true(span_is(s->own_domains[0], SPAN("example.org")));
    assert_int_equal(s->route_count, 2);
    check_route(&s->routes[0]);
    assert_true(span_is(s->routes[1].key, SPAN("mx")));
    settings_release(s);
}

/* --- faults ----------------------------------------------------------------
 */

static void faults_of_the_text_say_where(void **state)
{
    static const struct fault_row rows[] = {
        { "workers = 1\n  drain = \"60s\nlog { }\n",
          { "w.conf:2:11: this quote is not closed" } },
        { "x\n", { "w.conf:1:1: \"x\" is not followed by = or {" } },
        { "workers =\ndrain = 1s\n",
          { "w.conf:1:1: \"workers\" has no value" } },
        { "workers = = 1\n", { "w.conf:1:1: \"workers\" has no value" } },
        { "log {\n form = json\n",
          { "w.conf:1:5: this brace is never closed" } },
        { "}\nworkers = x\n",
          { "w.conf:1:1: this brace closes nothing",
            "w.conf:2:11: \"x\" is not right for workers" } },
        { "resolver { insecure = {} }\n", { "w.conf:1:23: the list of" } },
        { "resolver { insecure = { , \"a\" } }\n",
          { "w.conf:1:25: nothing stands before this comma" } },
        { "resolver { insecure = {\"a\" \"b\"} }\n",
          { "w.conf:1:28: a comma is missing" } },
        { "resolver { insecure = {\"a\", \n mode = system }\n",
          { "w.conf:1:23: this list is not closed before \"=\"" } },
        { "resolver { insecure = {\"a\"",
          { "w.conf:1:23: this brace is never closed",
            "w.conf:1:10: this brace is never closed" } },
        { "hostname = \"a\\b\"\n",
          { "w.conf:1:12: a backslash", "w.conf:1:12: \"a\\x5Cb\" is not a" } },
        { "log { tag = a#b }\n", { "w.conf:1:13: # inside a bare word" } },
        { "log { tag = 'a\x01' }\n",
          { "w.conf:1:13: control character 0x01" } },
        { "log { tag = 'a\tb' }\n", { "w.conf:1:13: control character 0x09" } },
        { "log { tag = a\rb }\n", { "w.conf:1:13: control character 0x0D" } },
        { "admin { socket = \"\xff\" }\n",
          { "w.conf:1:18: \"\\xFF\" is not UTF-8" } },
        { "admin { socket = \"\xc3\xbc\" x = 1 }\n",
          { "w.conf:1:22: admin has no key \"x\"" } },
        { "= 1\n\"a\" = 2\n",
          { "w.conf:1:1: \"=\" where a key should stand",
            "w.conf:2:1: \"a\" is not followed" } },
        { "a b c {\n x = 1\n}\nworkers = y\n",
          { "w.conf:1:1: \"a\" is not followed",
            "w.conf:4:11: \"y\" is not right" } },
    };

    (void)state;
    CHECK_FAULTS(rows);
}

static void faults_of_keys_say_what_was_meant(void **state)
{
    static const struct fault_row rows[] = {
        { "hostnam = a.test\n",
          { "w.conf:1:1: the top level has no key "
            "\"hostnam\" that this version knows; "
            "\"hostname\" was meant?" } },
        { "completely-other = 1\n", { "knows\n" } },
        { "a-name-that-is-far-longer-than-any-key-we-have = 1\n",
          { "knows\n" } },
        { "lisener \"x\" { }\n",
          { "w.conf:1:1: there is no section \"lisener\" "
            "that this version knows; \"listener\"" } },
        { "pickup { key = x }\n",
          { "no section \"pickup\" that this version knows" } },
        { "workers = 1 workers = 2\n",
          { "w.conf:1:13: workers was set before, at w.conf:1:1" } },
        { "log { }\nlog { }\n",
          { "w.conf:2:1: log stands a second time, first at "
            "w.conf:1:1" } },
        { "log \"x\" { }\n", { "w.conf:1:5: log has no title" } },
        { "workers = {1, 2}\n",
          { "w.conf:1:15: \"workers\" takes one value" } },
        { "workers = 257\n",
          { "w.conf:1:11: \"257\" is not right for workers, "
            "which takes a number, 0 to 256" } },
        { "drain = 60\n", { "such as 60s, 10min, 4h or 5d, 0s to 1h" } },
        { "drain = 2h\n", { "0s to 1h" } },
        { "drain = 99999999999999999999s\n", { "not right for drain" } },
        { "drain = 10000000000000000d\n", { "not right for drain" } },
        { "queue { reserve = 5XB }\n",
          { "w.conf:1:19: \"5XB\" is not right for "
            "reserve, which takes a size" } },
        { "queue { reserve = 16777216TB }\n", { "not right for reserve" } },
        { "queue { path = \"\" }\n", { "w.conf:1:16: the name of a file" } },
        { "limits { message = 1 }\n", { "1024 to 1099511627776" } },
        { "log { syslog = yes form = xml tag = \"a b\" }\n",
          { "w.conf:1:16: \"yes\" is not right for syslog, which takes true or "
            "false",
            "w.conf:1:27: \"xml\" is not right for form, which takes one of: "
            "postfix, json",
            "w.conf:1:37: a syslog tag has no spaces" } },
        { "log { tag = \"\" }\n", { "empty" } },
        { "hostname = my_host\norigin = a..b\npostmaster = me\n",
          { "w.conf:1:12: \"my_host\" is not a domain",
            "w.conf:2:10: \"a..b\" is not a domain",
            "w.conf:3:14: \"me\" is not an address" } },
        { "hostname = \"[1.2.3]\"\n", { "is not a" } },
        { "retry { first = 2h }\n",
          { "w.conf:1:9: the first wait is longer" } },
        { "retry { most = 30s }\n",
          { "w.conf:1:9: the first wait is longer" } },
        { "resolver { mode = forward }\n", { "needs a server" } },
        { "resolver { server = 127.0.0.1 }\n", { "only with mode = forward" } },
        { "resolver { root-hints = /x }\n", { "only with mode = recurse" } },
        { "resolver { mode = forward server = {\"ns.test\", \"1.2.3.4@0\"} }\n",
          { "\"ns.test\" is not an address of a name server",
            "\"1.2.3.4@0\" is not an address" } },
        { "admin { http = \"8025\" }\n",
          { "\"8025\" is not an address with a port" } },
        { "admin { allow-hosts = {\"a b\"} }\n",
          { "\"a b\" is not a domain" } },
    };

    (void)state;
    CHECK_FAULTS(rows);
}

static void faults_of_listeners_are_told(void **state)
{
    static const struct fault_row rows[] = {
        { "listener \"a\" { }\n",
          { "w.conf:1:1: a listener needs an address" } },
        { "listener \"a\" { address = \"127.0.0.1\" }\n",
          { "w.conf:1:26: \"127.0.0.1\" is not an address with a port" } },
        { "listener \"a\" { address = \"::1:25\" }\n",
          { "is not an address" } },
        { "listener \"a\" { address = \"[1.2.3.4]:25\" }\n", { "is not an" } },
        { "listener \"a\" { address = \"localhost:25\" }\n", { "is not an" } },
        { "listener \"a\" { address = \"0.0.0.0:0\" }\n", { "is not an" } },
        { "listener \"a\" { address = \"0.0.0.0:65536\" }\n", { "is not an" } },
        { "listener \"a\" { address = {\"0.0.0.0:1\",\"0.0.0.0:2\"} }\n",
          { "takes one value" } },
        { "listener \"a\" { address = 0.0.0.0:25 }\n"
          "listener \"b\" { address = \"[::ffff:0.0.0.0]:25\" }\n",
          { "w.conf:2:16: the listener at w.conf:1:1 has this address" } },
        { "listener \"a\" { address = 0.0.0.0:25 }\n"
          "listener \"a\" { address = 0.0.0.0:26 }\n",
          { "w.conf:2:10: there is a listener \"a\" already, at w.conf:1:1" } },
        { "listener \"a\" { address = 0.0.0.0:25 tls = maybe\n"
          "auth = needed turns = true }\n",
          { "w.conf:1:43: \"maybe\" is not right for tls, which takes one of: "
            "none, optional, required, implicit\n",
            "w.conf:2:8: \"needed\" is not right for auth",
            "w.conf:2:15: a listener has no key \"turns\"" } },
        { "listener \"a\" { address = 0.0.0.0:25 tls = optional\n"
          "auth = required submission = true }\n",
          { "w.conf:1:37: tls = optional needs a certificate: tls {",
            "w.conf:2:1: auth = required, but nobody can log in: users {" } },
    };

    (void)state;
    CHECK_FAULTS(rows);
}

static void faults_of_rules_are_told(void **state)
{
    static const struct fault_row rows[] = {
        { "rule { action = reject }\n",
          { "w.conf:1:1: a rule needs a title" } },
        { "rule \"a\" { }\n", { "w.conf:1:1: a rule needs an action" } },
        { "rule \"a\" { action = sign }\n",
          { "one of: relay, reject, defer, discard, hold, limit, greylist, "
            "tag, add-header, remove-header, rewrite, copy, route, policy; "
            "more this version does not know" } },
        { "rule \"a\" { action = reject }\nrule \"a\" { action = hold }\n",
          { "w.conf:2:6: there is a rule \"a\" already" } },
        { "rule \"a\" { client = {\"10.0.0.1/8\", \"x\"} action = relay }\n",
          { "w.conf:1:22: \"10.0.0.1/8\" is not a network",
            "w.conf:1:36: \"x\" is not a network" } },
        { "rule \"a\" { logins = {\"*\"} spf = {\"z\"} action = relay }\n",
          { "no key \"logins\" that this version knows; \"login\" was meant?",
            "no key \"spf\"" } },
        { "rule \"a\" { login = \"\" tls = yes not-tls = 3\n"
          "action = relay }\n",
          { "w.conf:1:20: \"\" is not a login, *@example.org, or *",
            "w.conf:1:29: \"yes\" is not right for tls, which takes true,",
            "w.conf:1:43: \"3\" is not right for tls, which takes true," } },
        { "rule \"a\" { tls = {true, true} action = reject }\n",
          { "takes one value" } },
        { "rule \"a\" { certificate = {\"sha256:12\", \"md5:12\", \"a*.test\",\n"
          "\"\"} action = relay }\n",
          { "w.conf:1:27: \"sha256:12\" is not sha256: with 64 hex",
            "\"md5:12\" is not", "\"a*.test\" is not", "\"\" is not" } },
        { "rule \"a\" { to = {\"a@\", \"@b\", \".c\", \"table:/x\", '/(/'}\n"
          " action = reject }\n",
          { "w.conf:1:18: \"a@\" is not an address",
            "w.conf:1:24: \"@b\" is not a domain: write it without @",
            "w.conf:1:30: \".c\" is not a domain; *.domain",
            "w.conf:1:36: cannot read the table \"/x\": No such file",
            "w.conf:1:48: \"/(/\" is not an expression: missing closing" } },
        { "rule \"a\" { from = {\"*@c.test\"} action = reject }\n",
          { "w.conf:1:20: \"*@c.test\" would match nobody: \"c.test\" alone" } },
        { "rule \"a\" { from = {\"a_b\", \"[1.2]\", \"\", \"a b\"}\n"
          " action = reject }\n",
          { "\"a_b\" is not a domain, *.domain, address",
            "\"[1.2]\" is not a domain", "\"\" is not a",
            "\"a b\" is not a" } },
        { "rule \"a\" { helo = {\"<>\", \"a@b\"} action = reject }\n",
          { "\"<>\" is not a host's name", "\"a@b\" is not a host's name" } },
        { "rule \"a\" { action = reject reply = \"450 4.7.1 x\" }\n",
          { "w.conf:1:28: the reply of reject begins with 5" } },
        { "rule \"a\" { action = defer reply = \"554 5.7.1 x\" }\n",
          { "w.conf:1:27: the reply of defer begins with 4" } },
        { "rule \"a\" { action = hold reply = \"554 5.7.1 x\" }\n",
          { "w.conf:1:26: reply goes with action = reject, defer, limit, "
            "greylist, not with hold" } },
        { "rule \"a\" { action = reject reply = {\"a\", \"b\"} }\n",
          { "takes one value" } },
        { "rule \"a\" { action = reject reply = \"no\" }\n",
          { "w.conf:1:36: \"no\" is not a reply such as" } },
        { "rule \"a\" { action = reject reply = \"554 %{who} %{x\" }\n",
          { "\"who\" in %{...} is not one of", "\"x\" in %{...} is not one of" } },
        { "rule \"a\" { action = reject reply = \"554 \xc3\xbc\" }\n",
          { "plain ASCII" } },
    };

    (void)state;
    CHECK_FAULTS(rows);
}

static void a_rule_that_opens_the_relay_is_a_fault(void **state)
{
    static const char *const open[] = {
        "",
        "to = {\"*\"}",
        "to = {\"ok.test\", \"*\"}",
        "to = {'/ok/'}",
        "to = {\"ok.test\", '/ok/'}",
        "to = {\"<>\"} from = {\"a@b\"} not-to = {\"x.test\"} to2 = x",
        "not-to = {\"x.test\"}",
        "not-client = {\"10.0.0.0/8\"}",
        "from = {\"ok.test\"}",
        "helo = {\"mx.ok.test\"}",
        "client = {\"0.0.0.0/0\"}",
        "client = {\"::/0\"}",
        "client = {\"10.0.0.0/8\", \"2000::/3\"}",
        "client = {\"0.0.0.0/1\", \"128.0.0.0/1\"}",
        "client = {\"::/1\", \"8000::/1\"}",
        "client = {\"::ffff:0.0.0.0/96\"}",
        "client = {\"0.0.0.0/0\"} from = {\"ok.test\"}",
        "not-login = {\"*\"}",
        "not-certificate = {\"*\"}",
        "tls = true",
        "tls = true to = {\"*\"}",
        "client = {\"0.0.0.0/0\"} not-client = {\"10.0.0.0/8\"}",
    };
    static const char *const closed[] = {
        "client = {\"10.0.0.0/8\"}",
        "client = {\"10.0.0.0/8\"} to = {\"*\"}",
        "client = {\"10.0.0.0/8\"} to = {'/x/'}",
        "to = {\"ok.test\"}",
        "to = {\"*.ok.test\", \"a@b.test\"}",
        "client = {\"0.0.0.0/0\"} to = {\"ok.test\"}",
        "client = {\"0.0.0.0/1\"}",
        "login = {\"*\"}",
        "login = {\"joe\"} client = {\"0.0.0.0/0\"}",
        "certificate = {\"*.ok.test\"}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
        struct buffer text = { 0 }, faults = { 0 }, warnings = { 0 };

        buffer_printf(&text, "rule \"x\" { %s action = relay }", open[i]);
        if (settings_text(buffer_string(&text), &faults, &warnings))
            fail_msg("taken: %s", open[i]);
        if (!strstr(open[i], "to2") &&
            !strstr(buffer_string(&faults), "this opens the relay"))
            fail_msg("%s: %s", open[i], buffer_string(&faults));
        buffer_fini(&text);
        buffer_fini(&faults);
        buffer_fini(&warnings);
    }
    for (size_t i = 0; i < sizeof closed / sizeof closed[0]; i++) {
        struct buffer text = { 0 };

        buffer_printf(&text, "rule \"x\" { %s action = relay }", closed[i]);
        settings_release(read_well(buffer_string(&text)));
        buffer_fini(&text);
    }
}

static void faults_of_routes_are_told(void **state)
{
    static const struct fault_row rows[] = {
        { "route \"a.test\" { }\n",
          { "w.conf:1:1: a route needs a next hop" } },
        { "route { via = mx }\n", { "a route needs a title" } },
        { "route \"not a domain\" { via = mx }\n",
          { "w.conf:1:7: \"not a domain\" is not a domain" } },
        { "route \"<>\" { via = mx }\n", { "\"<>\" is not what a route" } },
        { "route \"r\" { to = {'/x/'} via = mx }\n",
          { "\"/x/\" is not what a route" } },
        { "route \"r\" { from = {\"@x\"} via = mx }\n",
          { "\"@x\" is not a domain" } },
        { "route \"r\" { via = {\"mx\", \"smtp://a\"} }\n",
          { "w.conf:1:26: \"smtp://a\" does not go with" } },
        { "route \"r\" { via = {\"smtp://a\", \"mx\"} }\n",
          { "\"mx\" does not" } },
        { "route \"r\" { via = {\"mx\", \"mx\"} }\n", { "\"mx\" does not" } },
        { "route \"r\" { via = {\"smtp://a\", \"smtp://A:25\"} }\n",
          { "\"smtp://A:25\" does not" } },
        { "route \"r\" { via = {\"smtps://a\", \"lmtp:/x\", \"pickup:x\"} }\n",
          { "\"pickup:x\" does not go with what stands before it" } },
        { "route \"r\" { via = \"uucp:x\" }\n",
          { "\"uucp:x\" is not a next hop that this version knows" } },
        { "route \"r\" { via = {\"smtp://\", \"smtp://a:\", \"smtp://a:0\",\n"
          "\"smtp://[::1\", \"smtp://::1\"} }\n",
          { "\"smtp://\" is", "\"smtp://a:\" is", "\"smtp://a:0\" is",
            "\"smtp://[::1\" is", "\"smtp://::1\" is" } },
        { "route \"r\" { via = {\"smtp://a/b\", \"smtp://u@a\", "
          "\"smtp://1.2.3\",\n"
          "\"smtp://[a]:25\", \"smtp://a..b\"} }\n",
          { "\"smtp://a/b\" is", "there is no account \"u\"", "\"smtp://1.2.3\" is",
            "\"smtp://[a]:25\" is", "\"smtp://a..b\" is" } },
        { "route \"r\" { via = mx tls = dane-must connections = 0 idle = 10min\n"
          " rate = {\"1/h\"} first = 2h }\n",
          { "\"dane-must\" is not right for tls", "1 to 10000", "0s to 5min",
            "no key \"rate\"", "w.conf:2:17: the first wait" } },
    };

    (void)state;
    CHECK_FAULTS(rows);
}

/* --- includes ---------------------------------------------------------------
 */

static struct settings *read_files(const struct settings_text_file *files,
                                   struct buffer *faults,
                                   struct buffer *warnings)
{
    struct settings_source source = { .path = files[0].name,
                                      .machine_name = "mx.ok.test",
                                      .state_folder = "/state",
                                      .read_file = settings_text_read,
                                      .user = (void *)(uintptr_t)files };

    return settings_read(&source, faults, warnings);
}

static void includes_stand_beside_the_file_that_names_them(void **state)
{
    static const struct settings_text_file files[] = {
        { "/etc/w/w.conf", "workers = 1 include = \"more/a.conf\"\n" ROUTE },
        { "/etc/w/more/a.conf", "include = b.conf include = \"/abs.conf\"\n" },
        { "/etc/w/more/b.conf", LISTENER "log { include = \"log.part\" }\n" },
        { "/etc/w/more/log.part", "form = json" },
        { "/abs.conf", RULE },
        { NULL, NULL },
    };
    struct buffer faults = { 0 }, warnings = { 0 };
    struct settings *s = read_files(files, &faults, &warnings);

    (void)state;
    assert_string_equal(buffer_string(&faults), "");
    assert_non_null(s);
    assert_string_equal(s->listeners[0].place.file, "/etc/w/more/b.conf");
    assert_string_equal(s->rules[0].place.file, "/abs.conf");
    assert_int_equal(s->log.form, LOG_JSON);
    settings_release(s);
    buffer_fini(&faults);
    buffer_fini(&warnings);
}

static void an_include_that_cannot_be_is_a_fault(void **state)
{
    static const struct settings_text_file files[] = {
        { "d/w.conf", "include = a.conf\ninclude = {\"x\", \"y\"}\n"
                      "include = \"\"\nworkers = x\n  include = missing\n" },
        { "d/a.conf", "include = w.conf\ninclude = \"../d/a.conf\"" },
        { NULL, NULL },
    };
    static const char *const expected[] = {
        "d/a.conf:1:11: \"d/w.conf\" includes itself\n",
        "d/a.conf:2:11: cannot read \"d/../d/a.conf\": ",
        "d/w.conf:2:1: include takes the name of one file\n",
        "d/w.conf:3:1: include takes the name of one file\n",
        "d/w.conf:4:11: \"x\" is not right",
        "d/w.conf:5:13: cannot read \"d/missing\": ",
    };
    struct buffer faults = { 0 }, warnings = { 0 };
    const char *at;

    (void)state;
    assert_null(read_files(files, &faults, &warnings));
    at = buffer_string(&faults);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        at = strstr(at, expected[i]); /* in this order */
        if (!at)
            fail_msg("%s\n%s", expected[i], buffer_string(&faults));
    }
    assert_int_equal(lines_of(&faults), 6);
    buffer_fini(&faults);
    buffer_fini(&warnings);
}

/* Every file includes the next ones, whatever it is called. */
static int read_endless(void *user, const char *path, struct buffer *out)
{
    unsigned width = *(const unsigned *)user;
    static unsigned number;

    (void)path;
    for (unsigned i = 0; i < width; i++)
        buffer_printf(out, "include = f%u\n", number++);
    return 0;
}

static void includes_have_an_end(void **state)
{
    static const struct {
        unsigned width;
        const char *fault;
    } rows[] = {
        { 1, "more than 16 files deep" },
        { 40, "more than 1000 files" },
    };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        unsigned width = rows[i].width;
        struct settings_source source = { .path = "w.conf",
                                          .machine_name = "a.test",
                                          .read_file = read_endless,
                                          .user = &width };
        struct buffer faults = { 0 }, warnings = { 0 };

        assert_null(settings_read(&source, &faults, &warnings));
        assert_non_null(strstr(buffer_string(&faults), rows[i].fault));
        buffer_fini(&faults);
        buffer_fini(&warnings);
    }
}

static void an_unreadable_file_is_a_fault(void **state)
{
    struct settings_source source = { .path = "w.conf" };
    struct buffer faults = { 0 }, warnings = { 0 };

    (void)state;
    assert_null(settings_read(&source, &faults, &warnings));
    assert_string_equal(
        buffer_string(&faults),
        "w.conf:1:1: cannot read \"w.conf\": no longer there\n");
    buffer_fini(&faults);
    buffer_fini(&warnings);
}

static void nesting_has_an_end(void **state)
{
    struct buffer text = { 0 }, faults = { 0 }, warnings = { 0 };

    (void)state;
    for (int i = 0; i < 10000; i++)
        buffer_put_string(&text, "a {\n");
    assert_null(settings_text(buffer_string(&text), &faults, &warnings));
    assert_non_null(strstr(buffer_string(&faults), "nested too deep"));
    buffer_fini(&text);
    buffer_fini(&faults);
    buffer_fini(&warnings);
}

/* --- warnings ----------------------------------------------------------------
 */

static void what_is_seldom_meant_is_warned_of(void **state)
{
    static const struct fault_row rows[] = {
        { LISTENER RULE ROUTE, { NULL } },
        { RULE, { "w.conf:1:1: warning: no listener", "warning: no route" } },
        { "listener \"l\" { address = \"0.0.0.0:25\" }\n" ROUTE,
          { "w.conf:1:1: warning: listener \"l\" refuses all mail" } },
        { LISTENER ROUTE, { NULL } },
        { LISTENER ROUTE "rule \"o\" { to = {\"*.x.test\", \"ok.test\","
                         " \"a@b.test\"} action = relay }\n",
          { "w.conf:3:1: warning: rule \"o\" takes mail for a@b.test from "
            "anybody, and route \"*\" at w.conf:2:1 sends it by MX, which may "
            "lead back here (2 more like it)" } },
        { LISTENER ROUTE "rule \"o\" { to = {\"*.x.test\"} action = relay }\n",
          { "takes mail for *.x.test from" } },
        { LISTENER ROUTE "rule \"o\" { to = {\"*.x.test\", \"ok.test\"}"
                         " action = relay }\n"
                         "route \"*.x.test\" { via = \"smtp://a\" }\n"
                         "route \"ok.test\" { via = \"smtp://a\" }\n",
          { NULL } },
        { LISTENER ROUTE RULE
          "rule \"all\" { action = reject }\nrule \"late\" { action = hold }\n"
          "rule \"later\" { from = {\"x.test\"} action = defer }\n",
          { "w.conf:5:1: warning: rule \"late\" is never reached: rule \"all\" "
            "at w.conf:4:1 decides before it",
            "w.conf:6:1: warning: rule \"later\" is never reached" } },
        { LISTENER ROUTE RULE
          "rule \"s\" { client = {\"10.0.0.0/8\"} from = {\"x.test\"}"
          " action = reject }\n"
          "rule \"t\" { from = {\"x.test\"} action = reject }\n"
          "rule \"h\" { helo = {\"x\"} action = hold }\n"
          "rule \"u\" { helo = {\"x\"} action = reject }\n",
          { "rule \"s\" is never reached",
            "w.conf:6:1: warning: rule \"h\" never acts on mail that is "
            "accepted: the last rule that grants stands above it, at "
            "w.conf:3:1" } },
        { LISTENER "route \"*\" { via = \"smtp://a\" }\n"
                   "rule \"d\" { to = {\"ok.test\"} action = relay }\n"
                   "rule \"e\" { to = {\"ok.test\"} action = reject }\n"
                   "rule \"f\" { to = {\"ok.test\"} from = {\"a.test\"} action "
                   "= relay }\n",
          { "rule \"f\" is never reached" } },
        { LISTENER ROUTE "route \"x\" { to = {\"a.test\", \"*.a.test\","
                         " \"u@a.test\"} via = \"smtp://a\" }\n"
                         "route \"y\" { to = {\"b.test\", \"*.A.test\","
                         " \"U@a.test\", \"*\"} via = \"smtp://b\" }\n"
                         "route \"z\" { to = {\"a.test\"} from = {\"<>\"}"
                         " via = \"smtp://c\" }\n",
          { "w.conf:4:1: warning: route \"y\" gets no mail for \"*.a.test\": "
            "route \"x\" at w.conf:3:1 stands before it",
            "no mail for \"u@a.test\"", "no mail for \"*\": route \"*\"" } },
    };

    (void)state;
    CHECK_WARNINGS(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_file_loopback_clients_relay_by_mx),
        cmocka_unit_test(a_machine_without_a_good_name_is_localhost),
        cmocka_unit_test(the_defaults_are_those_of_limits_h),
        cmocka_unit_test(everything_that_may_be_said_is_heard),
        cmocka_unit_test(faults_of_the_text_say_where),
        cmocka_unit_test(faults_of_keys_say_what_was_meant),
        cmocka_unit_test(faults_of_listeners_are_told),
        cmocka_unit_test(faults_of_rules_are_told),
        cmocka_unit_test(a_rule_that_opens_the_relay_is_a_fault),
        cmocka_unit_test(faults_of_routes_are_told),
        cmocka_unit_test(includes_stand_beside_the_file_that_names_them),
        cmocka_unit_test(an_include_that_cannot_be_is_a_fault),
        cmocka_unit_test(includes_have_an_end),
        cmocka_unit_test(an_unreadable_file_is_a_fault),
        cmocka_unit_test(nesting_has_an_end),
        cmocka_unit_test(what_is_seldom_meant_is_warned_of),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
