/*
 * Every mistake a person makes in a rule, and what is seldom meant.
 */
#include "tests/unit/settings_faults.h"

#define LISTENER "listener \"l\" { address = \"127.0.0.1:25\" }\n"
#define GRANT    "rule \"g\" { client = {\"10.0.0.0/8\"} action = relay }\n"
#define ROUTE    "route \"*\" { via = {\"mx\"} }\n"

static void faults_of_conditions_are_told(void **state)
{
    static const struct fault_row rows[] = {
        { "rule \"a\" { listener = {\"edge\", \"x*\"} action = hold }\n",
          { "w.conf:1:24: there is no listener \"edge\"",
            "w.conf:1:32: there is no listener \"x*\"" } },
        { LISTENER "rule \"a\" { not-listener = m action = hold }\n",
          { "w.conf:2:27: there is no listener \"m\"" } },
        { "rule \"a\" { client-name = {\"a@b\", \"no ne\"} action = hold }\n",
          { "w.conf:1:27: \"a@b\" is not a host's name, *.name, * or "
            "'/expression/', or none for a client without a name",
            "w.conf:1:34: \"no ne\" is not" } },
        { "rule \"a\" { tls = \"SSLv3\" action = hold }\n",
          { "w.conf:1:18: \"SSLv3\" is not right for tls, which takes true, "
            "false, the oldest version (\"TLSv1.2\", \"TLSv1.3\") or the" } },
        { "rule \"a\" { tls = 8 action = hold }\n", { "w.conf:1:18: \"8\"" } },
        { "rule \"a\" { size = \"10 MB\" action = hold }\n",
          { "w.conf:1:19: \"10 MB\" is not right for size" } },
        { "rule \"a\" { size = 0 today = 0 action = hold }\n",
          { "w.conf:1:19: \"0\" is not right for size",
            "w.conf:1:29: \"0\" is not right for today" } },
        { "rule \"a\" { size = {1, 2} action = hold }\n",
          { "w.conf:1:23: \"size\" takes one value" } },
        { "rule \"a\" { time = {\"6-22\", \"25:00-26:00\", \"\", \"weekend\",\n"
          "\"mon-\"} action = hold }\n",
          { "w.conf:1:20: \"6-22\" is not a time such as \"22:00-06:00\"",
            "w.conf:1:28: \"25:00-26:00\"", "w.conf:1:43: \"\"",
            "w.conf:1:47: \"weekend\"", "w.conf:2:1: \"mon-\"" } },
        { "rule \"a\" { time = {\"mon 8:00\", \"sun 12:00-12:00\"}\n"
          "action = hold }\n",
          { "w.conf:1:20: \"mon 8:00\"", "w.conf:1:32: \"sun 12" } },
        { "rule \"a\" { header = {\"Sub ject\", \"Subject: hello\", \":/x/\",\n"
          "'S: /(/', \"\"} action = reject }\n",
          { "w.conf:1:22: \"Sub ject\" is not a header field such as \"List-Id",
            "w.conf:1:34: \"Subject: hello\" is not a header field",
            "w.conf:1:52: \":/x/\" is not",
            "w.conf:2:1: \"/(/\" is not an expression: missing closing",
            "w.conf:2:11: \"\" is not" } },
        { "rule \"a\" { attachment = {\"\", \"a/b/c\", \"te xt/html\", "
          "\"/a\"}\n"
          "action = reject }\n",
          { "w.conf:1:26: \"\" is not a file name such as \"*.exe\", a type",
            "w.conf:1:30: \"a/b/c\" is", "w.conf:1:39: \"te xt/html\" is",
            "w.conf:1:53: \"/a\" is" } },
        { "rule \"a\" { attachment = '/(/' action = reject }\n",
          { "w.conf:1:25: \"/(/\" is not an expression" } },
        { "rule \"a\" { dnsbl = {\"z\", \"z.test=10.0.0.1\", \"z.test*0\",\n"
          "\"z.test=127.0.0\", \"z.test=127.0.0.9..2\"} action = reject }\n",
          { "w.conf:1:21: \"z\" is not a list in the DNS such as zen.example",
            "w.conf:1:26: \"z.test=10.0.0.1\"", "w.conf:1:45: \"z.test*0\"",
            "w.conf:2:1: \"z.test=127.0.0\"", "w.conf:2:19: \"z.test=" } },
        { "rule \"a\" { dnsbl = {\"z.test=127.0.0.300\", "
          "\"z.test=127.0.0.[2\",\n"
          "\"z.test=127.0.0.2x\", \"z.test*1001\", \"[127.0.0.1]\"}\n"
          "action = reject }\n",
          { "w.conf:1:21: ", "w.conf:1:43: ", "w.conf:2:1: ", "w.conf:2:22: ",
            "w.conf:2:37: " } },
        { "rule \"a\" { dnsbl = \"z.test*2\" dnsbl-threshold = 3\n"
          "action = reject }\n",
          { "w.conf:1:31: its weights add up to 2 at most, and never to the "
            "threshold of 3" } },
        { "rule \"a\" { dnsbl = \"z.test*-2\" action = reject }\n",
          { "w.conf:1:12: its weights add up to 0 at most" } },
        { "rule \"a\" { dnsbl-threshold = 3 action = reject }\n",
          { "w.conf:1:12: dnsbl-threshold is the sum that dnsbl has to" } },
        { "rule \"a\" { dnsbl = z.test dnsbl-threshold = -1 action = reject "
          "}\n",
          { "w.conf:1:45: \"-1\" is not right for dnsbl-threshold" } },
        { "rule \"a\" { dnsbl = z.test dnsbl-threshold = {1, 2}\n"
          "action = reject }\n",
          { "\"dnsbl-threshold\" takes one value" } },
        { "rule \"a\" { tag = {\"a b\", \"\"} action = hold }\n",
          { "w.conf:1:19: \"a b\" is not a tag, or a pattern",
            "w.conf:1:26: \"\" is not a tag" } },
        { "rule \"a\" { client = {\"10.0.0.0/8\"} header = X attachment = a.x\n"
          "action = relay }\n",
          { "w.conf:1:36: relay is decided before the message comes, and "
            "header is in it",
            "w.conf:1:47: relay is decided before" } },
        { "rule \"a\" { listener = l tls = true action = relay }\n" LISTENER,
          { "w.conf:1:36: this opens the relay" } },
        { "rule \"a\" { action = relay mode = shadow }\n",
          { "w.conf:1:12: this opens the relay" } },
    };

    (void)state;
    CHECK_FAULTS(rows);
}

static void faults_of_actions_are_told(void **state)
{
    static const struct fault_row rows[] = {
        { "rule \"a\" { action = limit }\n",
          { "w.conf:1:12: limit needs per, such as per = client",
            "w.conf:1:12: limit needs rate, such as rate = {\"100/h\"}" } },
        { "rule \"a\" { action = limit per = clients rate = 5/h }\n",
          { "w.conf:1:33: \"clients\" is not right for per, which takes one "
            "of: "
            "client, login, from, from-domain, to-domain" } },
        { "rule \"a\" { action = limit per = client rate = {100, \"5/w\", "
          "\"0/h\","
          "\n\"x/h\", \"9/0s\"} }\n",
          { "w.conf:1:48: \"100\" is not a rate such as \"100/h\"",
            "w.conf:1:53: \"5/w\" is not", "w.conf:1:60: \"0/h\" is not",
            "w.conf:2:1: \"x/h\" is not", "w.conf:2:8: \"9/0s\" is not" } },
        { "rule \"a\" { action = limit per = login rate = {\"5MB/h\"} }\n",
          { "w.conf:1:47: \"5MB/h\" is a size, and this limit does not count "
            "bytes (count = bytes)" } },
        { "rule \"a\" { action = limit per = login rate = 1/h over = hold\n"
          "reply = \"450 4.7.1 x\" }\n",
          { "w.conf:2:1: with over = hold mail is taken" } },
        { "rule \"a\" { action = limit per = login rate = 1/h over = reject\n"
          "reply = \"450 4.7.1 x\" }\n",
          { "w.conf:2:1: the reply of limit with over = reject begins with "
            "5" } },
        { "rule \"a\" { action = limit per = login rate = 1/h\n"
          "reply = \"550 5.7.1 x\" }\n",
          { "the reply of limit with over = defer begins with 4" } },
        { "rule \"a\" { action = reject per = client rate = {\"1/h\"}\n"
          "mode = silent }\n",
          { "w.conf:2:8: \"silent\" is not right for mode, which takes one of: "
            "enforce, shadow" } },
        { "rule \"a\" { action = reject per = client rate = {\"1/h\"} }\n",
          { "w.conf:1:28: per goes with action = limit, not with reject",
            "w.conf:1:41: rate goes with action = limit, not with reject" } },
        { "rule \"a\" { client = 10.0.0.1 action = relay\n"
          "reply = \"250 2.0.0 x\" }\n",
          { "w.conf:2:9: \"250 2.0.0 x\" is not a reply" } },
        { "rule \"a\" { action = greylist reply = \"550 5.7.1 x\" }\n",
          { "w.conf:1:30: the reply of greylist begins with 4" } },
        { "rule \"a\" { action = greylist retry-within = 5min }\n",
          { "w.conf:1:30: nobody could ever pass" } },
        { "rule \"a\" { action = greylist retry-after = 3d }\n",
          { "w.conf:1:30: nobody could ever pass" } },
        { "rule \"a\" { action = greylist retry-after = 5 }\n",
          { "w.conf:1:44: \"5\" is not right for retry-after, which takes a "
            "duration" } },
        { "rule \"a\" { action = tag }\nrule \"b\" { action = copy }\n"
          "rule \"c\" { action = policy }\nrule \"d\" { action = rewrite }\n"
          "rule \"e\" { action = route }\n",
          { "w.conf:1:12: tag needs set-tag", "w.conf:2:12: copy needs copy",
            "w.conf:3:12: policy needs server",
            "w.conf:4:12: rewrite needs rewrite-from or rewrite-to",
            "w.conf:5:12: route needs route" } },
        { "rule \"a\" { action = tag set-tag = \"a b\" }\n",
          { "w.conf:1:35: \"a b\" is not a tag" } },
        { "rule \"a\" { action = tag tag = a }\n",
          { "w.conf:1:12: tag needs set-tag, such as set-tag = {\"NAME\"}" } },
        { "rule \"a\" { action = add-header add-header = {\"X-A\", \"X A: "
          "b\",\n"
          "\"X-B: \", \"X-C: \xc3\xbc\", \"X-D: %{who}\"} }\n",
          { "w.conf:1:46: \"X-A\" is not a header such as \"X-Checked: by",
            "w.conf:1:53: \"X A: b\" is not", "w.conf:2:1: \"X-B: \" is not",
            "w.conf:2:10: a header is plain ASCII",
            "w.conf:2:20: \"who\" in %{...} is not one of" } },
        { "rule \"a\" { action = add-header add-header = \"received: by me\" "
          "}\n",
          { "w.conf:1:45: Received is the trace" } },
        { "rule \"a\" { action = add-header add-header = \"X: a\rY: b\" }\n",
          { "w.conf:1:45: control character 0x0D" } },
        { "rule \"a\" { action = remove-header\n"
          "remove-header = {Received, \"Sub ject\"} }\n",
          { "w.conf:2:18: without its Received lines",
            "w.conf:2:28: \"Sub ject\" is not a header field" } },
        { "rule \"a\" { action = copy copy = {\"archive\", \"a@b@c\"} }\n",
          { "w.conf:1:34: \"archive\" is not an address",
            "w.conf:1:45: \"a@b@c\" is not an address" } },
        { "rule \"a\" { action = route route = \"archive\" }\n" ROUTE,
          { "w.conf:1:35: there is no route \"archive\"" } },
        { "rule \"a\" { action = route route = {a, b} }\n",
          { "w.conf:1:39: \"route\" takes one value" } },
        { "rule \"a\" { action = policy server = \"127.0.0.300:10023\" }\n",
          { "w.conf:1:37: \"127.0.0.300:10023\" is not a policy server such as "
            "\"127.0.0.1:10023\"" } },
        { "rule \"a\" { action = policy server = \"a b:1\" }\n"
          "rule \"b\" { action = policy server = \"::1:10023\" }\n"
          "rule \"c\" { action = policy server = \"postgrey:65536\" }\n"
          "rule \"d\" { action = policy server = \"[postgrey]:1\" }\n"
          "rule \"e\" { action = policy server = \":10023\" }\n",
          { "w.conf:1:37: \"a b:1\" is not", "w.conf:2:37: \"::1:10023\" is",
            "w.conf:3:37: \"postgrey:65536\" is",
            "w.conf:4:37: \"[postgrey]:1\" is",
            "w.conf:5:37: \":10023\" is not" } },
        { "rule \"a\" { action = policy server = {\"/a\", \"/b\"} }\n",
          { "\"server\" takes one value" } },
        { "rule \"a\" { action = rewrite rewrite-to = {\"a@b.test\", '/(/ "
          "x@y',\n"
          "'/a/ $1@b.test', '/(a)/ $1', '/(a)/ x'} }\n",
          { "w.conf:1:43: \"a@b.test\" is not an expression and what it "
            "becomes",
            "w.conf:1:55: \"/(/ x@y\" is not an expression: missing",
            "w.conf:2:1: \"/a/ $1@b.test\" has a $ that stands for nothing",
            "w.conf:2:30: \"/(a)/ x\" makes no address" } },
        { "rule \"a\" { action = rewrite rewrite-to = {'/a/ $x@b.test',\n"
          "'/a/ a@b.test$', '/(a)/ $2@b.test', '/ a@b', srs} }\n",
          { "w.conf:1:43: ", "w.conf:2:1: ", "w.conf:2:18: ",
            "w.conf:2:37: " } },
        { "rule \"a\" { action = rewrite rewrite-from = {srs} }\n",
          { "w.conf:1:29: srs signs with a secret: srs-secret-file = FILE" } },
        { "rule \"a\" { action = rewrite rewrite-from = {'/a/ a@b.test'}\n"
          "rewrite-to = {'/a/ a@b.test'} }\n",
          { "w.conf:2:1: a rule rewrites senders or recipients" } },
        { "listener { address = \"127.0.0.1:25\" greet-delay = 2min }\n",
          { "w.conf:1:51: \"2min\" is not right for greet-delay, which takes a "
            "duration" } },
        { "srs-secret-file = \"\" srs-domain = \"a b\"\n",
          { "the name of a file is empty", "\"a b\" is not a domain" } },
    };

    (void)state;
    CHECK_FAULTS(rows);
}

/* --- what is seldom meant --------------------------------------------------
 */

static void rules_that_cannot_act_are_doubted(void **state)
{
    static const struct fault_row rows[] = {
        /* the wide one first */
        { LISTENER ROUTE GRANT
          "rule \"n\" { client = {\"10.1.0.0/16\"} action = reject }\n",
          { "w.conf:4:1: warning: rule \"n\" is never reached: rule \"g\" at "
            "w.conf:3:1 decides before it" } },
        { LISTENER ROUTE "rule \"w\" { from = {\"*.x.test\", \"y.test\"}"
                         " action = reject }\n"
                         "rule \"n\" { from = {\"a.x.test\", \"b@y.test\","
                         " \"*.b.x.test\"} action = defer }\n" GRANT,
          { "rule \"n\" is never reached: rule \"w\"" } },
        { LISTENER ROUTE
          "rule \"w\" { from = {\"*\", '/a/'} action = reject }\n"
          "rule \"n\" { from = {'/b/', \"*\"} action = defer }\n"
          "rule \"o\" { from = \"<>\" action = defer }\n" GRANT,
          { "rule \"n\" is never reached: rule \"w\"" } },
        { LISTENER ROUTE "rule \"w\" { from = {'/a@/'} action = reject }\n"
                         "rule \"n\" { from = {'/a@/', \"a@b.test\"} action = "
                         "defer }\n"
                         "rule \"o\" { from = {\"a.test\"} action = defer }\n"
                         "rule \"p\" { from = {'/a/'} action = defer }\n" GRANT,
          { "rule \"n\" is never reached: rule \"w\"" } },
        { LISTENER ROUTE "rule \"w\" { not-client = 10.1.0.0/16"
                         " action = reject }\n"
                         "rule \"n\" { not-client = 10.0.0.0/8"
                         " action = defer }\n" GRANT,
          { "rule \"n\" is never reached: rule \"w\"" } },
        { LISTENER ROUTE "rule \"w\" { size = 1MB tls = true today = 5"
                         " action = reject }\n"
                         "rule \"n\" { size = 2MB tls = TLSv1.3 today = 6"
                         " helo = x action = defer }\n"
                         "rule \"o\" { size = 2MB tls = true today = 4"
                         " action = defer }\n" GRANT,
          { "rule \"n\" can never hold for its tls",
            "rule \"o\" can never hold for its tls",
            "rule \"w\" can never hold for its tls",
            "rule \"n\" is never reached: rule \"w\"" } },
        { LISTENER ROUTE "rule \"w\" { listener = \"*\" client-name = {none, "
                         "\"*.x\"} action = reject }\n"
                         "rule \"n\" { listener = l client-name = none"
                         " action = defer }\n"
                         "rule \"o\" { listener = l client-name = \"*.y\""
                         " action = defer }\n" GRANT,
          { "rule \"n\" is never reached: rule \"w\"" } },
        { LISTENER ROUTE "rule \"w\" { helo = x action = reject }\n"
                         "rule \"n\" { helo = x dnsbl = z.test"
                         " action = greylist }\n" GRANT,
          { "rule \"n\" is never reached: rule \"w\"" } },
        { "tls { client-authorities = /a certificate = /c key = /k }\n"
          "users { file = /u }\n"
          "listener \"l\" { address = \"127.0.0.1:25\" auth = optional\n"
          " client-certificate = optional }\n" ROUTE
          "rule \"w\" { certificate = {\"*\"} login = {\"*\"} action = reject "
          "}\n"
          "rule \"n\" { certificate = {\"a.test\", \"*.b.test\"}\n"
          "login = {joe, \"j*\"} action = defer }\n"
          "rule \"v\" { login = \"b*\" action = reject }\n"
          "rule \"m\" { login = {bob, \"c*\"} action = reject }\n"
          "rule \"k\" { login = {bob, \"b*\"} action = defer }\n" GRANT,
          { "rule \"n\" is never reached: rule \"w\"",
            "rule \"k\" is never reached: rule \"v\"" } },
        { LISTENER ROUTE
          "rule \"w\" { client-name = \"*.x\" action = reject }\n"
          "rule \"n\" { client-name = {\"*.a.x\", none}"
          " action = defer }\n"
          "rule \"m\" { client-name = {\"*.a.x\", '/b/'}"
          " action = defer }\n"
          "rule \"k\" { client-name = \"*.a.x\""
          " action = defer }\n"
          "rule \"o\" { time = mon helo = a action = defer }\n"
          "rule \"p\" { time = sun helo = a action = defer }\n"
          "rule \"q\" { client = {1.2.3.4, \"::1\"} helo = b"
          " action = defer }\n"
          "rule \"r\" { client = {1.2.3.4, \"::2\"} helo = b"
          " action = defer }\n" GRANT,
          { "rule \"k\" is never reached: rule \"w\"" } },
        /* what acts and goes on, or only says what it would do, hides nothing */
        { LISTENER ROUTE "rule \"t\" { action = tag set-tag = a }\n"
                         "rule \"l\" { action = limit per = client"
                         " rate = 1/h }\n"
                         "rule \"s\" { action = reject mode = shadow }\n" GRANT,
          { NULL } },
        { LISTENER ROUTE "rule \"w\" { from = x.test action = reject }\n"
                         "rule \"n\" { not-from = x.test action = defer }\n"
                         "rule \"o\" { helo = x.test action = defer }\n" GRANT,
          { NULL } },
        /* below the last grant */
        { LISTENER ROUTE GRANT "rule \"l\" { action = limit per = client"
                               " rate = 1/h }\n",
          { "w.conf:4:1: warning: rule \"l\" never acts on mail that is "
            "accepted: the last rule that grants stands above it, at "
            "w.conf:3:1" } },
        { LISTENER ROUTE GRANT "rule \"h\" { attachment = \"*.exe\""
                               " action = reject }\n"
                               "rule \"d\" { helo = x action = reject }\n",
          { "rule \"h\" never acts on mail that is accepted" } },
        /* tags */
        { LISTENER ROUTE "rule \"q\" { tag = b action = reject }\n"
                         "rule \"t\" { action = tag set-tag = {a, b} }\n"
                         "rule \"r\" { tag = B action = reject }\n"
                         "rule \"s\" { tag = {x, \"a*\"} action = reject }\n"
                         "rule \"u\" { not-tag = c action = reject }\n" GRANT,
          { "w.conf:3:1: warning: rule \"q\" asks for a tag that no rule above "
            "it sets",
            "w.conf:7:1: warning: rule \"u\" asks for a tag" } },
        { LISTENER ROUTE
          "rule \"t\" { action = tag set-tag = a mode = shadow }\n"
          "rule \"r\" { tag = a action = reject }\n" GRANT,
          { "rule \"r\" asks for a tag" } },
        /* contradictions */
        { LISTENER ROUTE "rule \"c\" { helo = {a, b} not-helo = {a, b}"
                         " action = reject }\n" GRANT,
          { "rule \"c\" never holds: one of its conditions denies another" } },
        /* limits */
        { LISTENER ROUTE
          "rule \"l\" { action = limit per = client"
          " rate = {\"100/h\", \"3000/d\", \"10/min\"} }\n" GRANT,
          { "w.conf:3:57: warning: \"3000/d\" is never exceeded: \"100/h\" is "
            "before it" } },
        { LISTENER ROUTE "rule \"l\" { action = limit per = client"
                         " rate = {\"5/h\", \"5/60min\"} }\n" GRANT,
          { "\"5/60min\" is never exceeded: \"5/h\"" } },
        { LISTENER ROUTE "rule \"l\" { action = limit per = login"
                         " rate = {\"5/h\"} }\n" GRANT,
          { "rule \"l\" can never hold for its login: all listeners" } },
        { "limits { message = 1MB }\n" LISTENER ROUTE
          "rule \"l\" { size = 2MB action = reject }\n" GRANT,
          { "rule \"l\" can never hold for its size: limits { message }" } },
        { "listener \"l\" { address = \"0.0.0.0:25\" }\n" ROUTE
          "rule \"g\" { client = {\"10.0.0.0/8\"} action = relay"
          " mode = shadow }\n",
          { "listener \"l\" refuses all mail: no rule has action = relay" } },
    };

    (void)state;
    CHECK_WARNINGS(rows);
}

/* Many rules with long lists are compared within bounds. */
static void doubts_are_cheap(void **state)
{
    struct buffer text = { 0 };

    (void)state;
    buffer_put_string(&text, LISTENER ROUTE);
    for (int i = 0; i < 300; i++) {
        buffer_printf(&text, "rule \"r%d\" { to = {", i);
        for (int k = 0; k < 100; k++)
            buffer_printf(&text, "\"d%d-%d.test\",", i, k);
        buffer_put_string(&text, "} action = reject }\n");
    }
    buffer_put_string(&text, GRANT);
    settings_release(read_well(buffer_string(&text)));
    buffer_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_of_conditions_are_told),
        cmocka_unit_test(faults_of_actions_are_told),
        cmocka_unit_test(rules_that_cannot_act_are_doubted),
        cmocka_unit_test(doubts_are_cheap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
