/*
 * Every way to get a configuration wrong, and what is said of it.
 */
#include "tests/unit/settings_faults.h"

#define LISTENER "listener \"l\" { address = \"127.0.0.1:25\" }\n"
#define RULE     "rule \"r\" { client = {\"10.0.0.0/8\"} action = relay }\n"
#define TEN_BYTES "0123456789"
#define LONG_PATH /* 108 bytes */                                            \
    "/run/wp/" TEN_BYTES TEN_BYTES TEN_BYTES TEN_BYTES TEN_BYTES TEN_BYTES     \
        TEN_BYTES TEN_BYTES TEN_BYTES TEN_BYTES
#define ROUTE    "route \"*\" { via = {\"mx\"} }\n"

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
        { "admin { socket = " LONG_PATH " }\nsendmail { socket = " LONG_PATH " }\n"
          "users { dovecot = " LONG_PATH " }\n",
          { "w.conf:1:18: the path of a socket has at most 107 bytes, and this one has 108",
            "w.conf:2:21: the path of a socket has at most 107",
            "w.conf:3:19: the path of a socket has at most 107" } },
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
        { "rule \"a\" { certificate = {\"sha256:12\", \"md5:12\", "
          "\"a*.test\",\n"
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
          { "w.conf:1:20: \"*@c.test\" would match nobody: \"c.test\" "
            "alone" } },
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
          { "\"who\" in %{...} is not one of",
            "\"x\" in %{...} is not one of" } },
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
          { "\"smtp://a/b\" is", "there is no account \"u\"",
            "\"smtp://1.2.3\" is", "\"smtp://[a]:25\" is",
            "\"smtp://a..b\" is" } },
        { "route \"r\" { via = mx tls = dane-must connections = 0 idle = "
          "10min\n"
          " rats = {\"1/h\"} first = 2h }\n",
          { "\"dane-must\" is not right for tls", "1 to 10000", "0s to 5min",
            "no key \"rats\"", "w.conf:2:17: the first wait" } },
        { "route \"r\" { via = mx rate = {\"100\", \"0/h\", \"5/400d\",\n"
          "\"1/100ms\", \"x/h\"} }\n",
          { "w.conf:1:30: \"100\" is not a rate such as", "\"0/h\" is not",
            "\"5/400d\" is not", "w.conf:2:1: \"1/100ms\" is not",
            "\"x/h\" is not" } },
        { "route \"r\" { via = mx rate = \"5MB/h\" }\n",
          { "w.conf:1:29: \"5MB/h\" is a size, and a route's rate counts "
            "messages" } },
        { "route \"r\" { via = mx\n"
          "rate = {\"1/s\", \"30/min\", \"1000/h\", \"10000/d\", "
          "\"60000/7d\"} }\n",
          { "w.conf:2:47: a route has 4 rates at most" } },
        { "route \"r\" { via = mx rate = {} }\n", { "w.conf:1:29: the list of \"rate\" is empty" } },
    };

    (void)state;
    CHECK_FAULTS(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_of_the_text_say_where),
        cmocka_unit_test(faults_of_keys_say_what_was_meant),
        cmocka_unit_test(faults_of_listeners_are_told),
        cmocka_unit_test(faults_of_rules_are_told),
        cmocka_unit_test(a_rule_that_opens_the_relay_is_a_fault),
        cmocka_unit_test(faults_of_routes_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
