/*
 * The configuration: what a file means, what it includes, and what is seldom meant.
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
    "  rate = {\"10/s\", \"5000/24h\"}\n"
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
                             "messages-per-connection=6 idle=7s first=30s "
                             "rate=10/s+5000/d")));
    assert_true(span_is(r->via[0].host, SPAN("a.example")));
    assert_false(r->via[0].is_literal);
    assert_true(r->via[1].is_literal);
    assert_int_equal(r->via[1].port, 25);
    assert_int_equal(r->connections, 5);
    assert_int_equal(r->rate_count, 2);
    assert_int_equal(r->rates[0].amount, 10);
    assert_int_equal(r->rates[0].period_ms, 1000);
    assert_int_equal(r->rates[1].amount, 5000);
    assert_int_equal(r->rates[1].period_ms, 86400000);
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
        { "listener \"l\" { address = \"127.0.0.1:2525\" }\n" RULE
          "route \"a\" { via = {\"smtp://127.0.0.1:2525\"} }\n"
          "route \"b\" { via = {\"smtp://localhost:2525\"} }\n"
          "route \"c\" { via = {\"smtp://127.0.0.1:2526\", \"lmtp://127.0.0.1:2525\"} }\n",
          { "w.conf:3:1: warning: route \"a\" leads to \"smtp://127.0.0.1:2525\", "
            "where listener \"l\" of this relay is: its mail goes round in "
            "circles", "warning: route \"b\" leads to" } },
        { "listener \"l\" { address = \"[::]:25\" }\n" RULE
          "route \"a\" { via = {\"smtp://127.0.0.1\"} }\n"
          "route \"b\" { via = {\"smtp://192.0.2.1\"} }\n",
          { "w.conf:3:1: warning: route \"a\" leads to" } },
        /* another of the loopback's addresses is another's */
        { "listener \"l\" { address = \"127.0.0.2:25\" }\n" RULE
          "route \"a\" { via = {\"smtp://localhost\"} }\n"
          "route \"b\" { via = {\"smtp://127.0.0.1\"} }\n",
          { NULL } },
        { LISTENER ROUTE "rule \"o\" { to = {\"*.x.test\"} action = relay }\n",
          { "takes mail for *.x.test from anybody, and route \"*\" at "
            "w.conf:2:1 sends it by MX, which may lead back here\n" } },
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
        cmocka_unit_test(includes_stand_beside_the_file_that_names_them),
        cmocka_unit_test(an_include_that_cannot_be_is_a_fault),
        cmocka_unit_test(includes_have_an_end),
        cmocka_unit_test(an_unreadable_file_is_a_fault),
        cmocka_unit_test(nesting_has_an_end),
        cmocka_unit_test(what_is_seldom_meant_is_warned_of),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
