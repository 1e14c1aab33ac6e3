/*
 * The judge in the course of a session: what is decided when, what is asked, what waits for
 * the message.
 */
#include "tests/unit/judgement_bench.h"

static void what_is_known_is_decided_at_once_and_nothing_out_of_order(
    void **state)
{
    static const char bad[] = "rule \"bad\" { client = {\"203.0.113.9\"} "
                              "action = reject }\n";
    static const struct row rows[] = {
        { bad, STAGE_CONNECT,
          .expected = "reject bad: 554 5.7.1 203.0.113.9: Access denied" },
        { "rule \"slow\" { client = {\"203.0.113.9\"} action = defer }",
          STAGE_CONNECT,
          .expected = "defer slow: 450 4.7.1 203.0.113.9: Try again later" },
        { "rule \"h\" { helo = {\"client.test\"} action = reject }",
          STAGE_CONNECT, .expected = "open" },
        { "rule \"h\" { helo = {\"client.test\"} action = reject }",
          STAGE_HELLO,
          .expected = "reject h: 554 5.7.1 203.0.113.9: Access denied" },
        /* who may yet log in is not turned away before */
        { "rule \"staff\" { login = {\"*\"} action = relay }\n"
          "rule \"all\" { action = reject }",
          STAGE_HELLO, .expected = "open" },
        { "rule \"staff\" { login = {\"*\"} action = relay }\n"
          "rule \"all\" { action = reject }",
          STAGE_HELLO, .login = "joe", .expected = "open" },
        { "rule \"staff\" { login = {\"*\"} action = relay }\n"
          "rule \"all\" { action = reject }",
          STAGE_CONNECT, .listener = "edge",
          .expected = "reject all: 554 5.7.1 203.0.113.9: Access denied" },
        { "rule \"staff\" { login = {\"*\"} action = relay }\n"
          "rule \"all\" { action = reject }",
          STAGE_SENDER,
          .expected = "reject all: 554 5.7.1 203.0.113.9: Access denied" },
        { "rule \"clear\" { tls = false action = reject }", STAGE_HELLO,
          .expected = "open" },
        { "rule \"clear\" { tls = false action = reject }", STAGE_HELLO,
          .listener = "edge",
          .expected = "reject clear: 554 5.7.1 203.0.113.9: Access denied" },
        { "rule \"f\" { from = {\"ext.test\"} action = reject }", STAGE_HELLO,
          .expected = "open" },
        { "rule \"f\" { from = {\"ext.test\"} action = reject }", STAGE_SENDER,
          .expected = "reject f: 554 5.7.1 203.0.113.9: Access denied" },
        /* a rule that is not known yet stands above */
        { "rule \"f\" { from = {\"x.test\"} action = defer }\n"
          "rule \"bad\" { client = {\"203.0.113.9\"} action = reject }\n",
          STAGE_CONNECT, .expected = "open" },
        /* ... but one that only adds something does not stand in the way */
        { "rule \"f\" { from = {\"x.test\"} action = hold }\n"
          "rule \"t\" { from = {\"x.test\"} action = tag set-tag = {\"x\"} }\n"
          "rule \"bad\" { client = {\"203.0.113.9\"} action = reject }\n",
          STAGE_CONNECT,
          .expected = "reject bad: 554 5.7.1 203.0.113.9: Access denied" },
        { "rule \"t\" { from = {\"x.test\"} action = tag set-tag = {\"x\"} }\n"
          "rule \"x\" { tag = {\"x\"} action = defer }\n"
          "rule \"bad\" { client = {\"203.0.113.9\"} action = reject }\n",
          STAGE_CONNECT, .expected = "open" },
        { "rule \"drop\" { client = {\"203.0.113.9\"} action = discard }\n"
          "rule \"all\" { action = reject }",
          STAGE_CONNECT, .expected = "open" },
        { "rule \"l\" { action = limit per = client rate = {\"1/h\"} }\n"
          "rule \"all\" { action = reject }",
          STAGE_SENDER, .expected = "open" },
        { "", STAGE_SENDER, .expected = "open" },
        { "", STAGE_RECIPIENT,
          .expected = "reject: 554 5.7.1 <v@ok.test>: Relay access denied" },
    };

    (void)state;
    CHECK(rows);
}

static void the_facts_say_what_they_hold(void **state)
{
#define IF(condition) "rule \"r\" { " condition " action = discard }\n" OURS
    static const struct row rows[] = {
        { IF("tls = \"TLSv1.2\""), .tls = true, .expected = "discard r" },
        { IF("tls = \"TLSv1.3\""), .tls = true, .expected = "relay ours" },
        { IF("tls = 128"), .tls = true, .expected = "discard r" },
        { IF("tls = 256"), .tls = true, .expected = "relay ours" },
        { IF("not-tls = \"TLSv1.3\""), .expected = "discard r" },
        { IF("listener = {\"IN\"}"), .expected = "discard r" },
        { IF("listener = {\"edge\"}"), .expected = "relay ours" },
        { IF("not-listener = {\"edge\"}"), .expected = "discard r" },
        { IF("time = {\"09:00-11:00\"}"), .expected = "discard r" },
        { IF("time = {\"22:00-06:00\"}"), .expected = "relay ours" },
        { IF("time = {\"sat-sun\"}"), .expected = "discard r" },
        { IF("time = {\"mon-fri 09:00-11:00\"}"), .expected = "relay ours" },
        /* what began on Friday evening goes on until Saturday at eleven */
        { IF("time = {\"fri 22:00-11:00\"}"), .expected = "discard r" },
        { IF("time = {\"sat 22:00-11:00\"}"), .expected = "relay ours" },
        { IF("size = 10KB"), .size = 10240, .expected = "discard r" },
        { IF("size = 10KB"), .size = 10, .expected = "relay ours aside:r" },
        { IF("size = 10KB"), .expected = "relay ours aside:r" },
        { IF("not-size = 10KB"), .size = 20480, .expected = "relay ours" },
        { "rule \"small\" { client = {\"203.0.113.9\"} not-size = 10KB "
          "action = relay }",
          .size = 10, .to = "<a@ext.test>", .expected = "relay small" },
    };

    (void)state;
    CHECK(rows);
}

static void tables_stand_beside_any_list(void **state)
{
#define LONG_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"
#define UNTOLD(rule)                                                           \
    "defer " rule ": 451 4.3.5 <v@ok.test>: Cannot tell now, try again later"
    static const struct row rows[] = {
        { IF("client = {\"192.0.2.1\", \"table:nets\"}"),
          .expected = "discard r" },
        { IF("client = {\"table:nets\"}"), .client = "192.0.2.1",
          .expected = "relay ours" },
        { IF("not-client = {\"table:nets\"}"), .client = "2001:db8::1",
          .expected = "discard r" },
        { IF("to = {\"x.test\", \"table:mails\"}"), .expected = "discard r" },
        { IF("from = {\"table:mails\"}"), .expected = "discard r" },
        { IF("from = {\"table:mails\"}"), .from = "<t@ext.test>",
          .expected = "relay ours" },
        { IF("from = {\"table:mails\"}"), .from = "<>",
          .expected = "relay ours" },
        { IF("login = {\"ann\", \"table:texts\"}"), .login = "JOE",
          .expected = "discard r" },
        { IF("login = {\"table:texts\"}"), .expected = "relay ours" },
        { IF("helo = {\"table:wild\"}"), .helo = "aaa",
          .expected = "discard r" },
        { IF("helo = {\"table:wild\"}"), .helo = LONG_A,
          .expected = UNTOLD("r") },
        { IF("helo = {\"x\", \"table:wild\", \"table:mails\"}"), .helo = LONG_A,
          .expected = UNTOLD("r") },
        { IF("login = {\"table:wild\"}"), .login = LONG_A,
          .expected = UNTOLD("r") },
        { IF("certificate = {\"table:texts\"}"), .tls = true,
          .certificate_name = "mail.C.test", .expected = "discard r" },
        { IF("certificate = {\"table:texts\"}"), .tls = true,
          .certificate = "sha256:11", .expected = "discard r" },
        { IF("certificate = {\"table:texts\"}"), .tls = true,
          .certificate = "sha256:22", .certificate_name = "sha256:11",
          .expected = "relay ours" },
        { IF("certificate = {\"*\"}"), STAGE_HELLO, .expected = "open" },
        { "rule \"t\" { action = tag set-tag = {\"x\"} }\n" IF(
              "tag = {\"table:texts\"}"),
          .expected = "discard r [tag x]" },
        { "rule \"t\" { action = tag set-tag = {\"" LONG_A
          "\"} }\n" IF("tag = {\"table:wild\"}"),
          .expected = UNTOLD("r") " [tag " LONG_A "]" },
        { IF("header = {'Subject: table:texts'}"), STAGE_CONTENT,
          .content = "Subject: spam\r\n\r\n", .expected = "discard r" },
        { IF("header = {'Subject: table:texts'}"), STAGE_CONTENT,
          .content = "Subject: spam!\r\n\r\n", .expected = "open" },
        { IF("header = {'Subject: table:wild', '/Subject: /x/'}"),
          STAGE_CONTENT, .content = "Subject: " LONG_A "\r\n\r\n",
          .expected = UNTOLD("r") },
        { IF("attachment = {\"table:texts\"}"), STAGE_CONTENT,
          .content = "Content-Type: a/b; name=BAD.exe\r\n\r\n",
          .expected = "discard r" },
        { IF("attachment = {\"table:wild\", '/^(b+)+$/'}"), STAGE_CONTENT,
          .content = "Content-Type: a/b; name=" LONG_A "\r\n\r\n",
          .expected = UNTOLD("r") },
    };

    (void)state;
    CHECK(rows);
}

static void what_was_not_seen_whole_is_not_denied(void **state)
{
    static const char rules[] =
        "rule \"r\" { attachment = {\"*.exe\"} action = discard }\n"
        "rule \"h\" { header = {'Subject: /never/'} action = discard }\n" OURS;
    struct buffer text = { 0 };
    struct row row = { rules, STAGE_CONTENT, .expected = UNTOLD("r") };

    (void)state;
    /* more than are remembered */
    buffer_put_string(&text, "Content-Type: multipart/x; boundary=b\r\n\r\n");
    for (int i = 0; i < 1100; i++)
        buffer_printf(&text, "--b\r\nContent-Type: a/b%d\r\n\r\n", i);
    row.content = buffer_string(&text);
    assert_true(check_row(&row, 0));
    buffer_clear(&text);
    for (int i = 0; i < 5000; i++)
        buffer_put_string(&text, "Subject:x\r\n");
    row.content = buffer_string(&text);
    row.expected = UNTOLD("h");
    assert_true(check_row(&row, 1));
    buffer_fini(&text);
}

static void a_client_has_the_name_that_leads_back_to_it(void **state)
{
#define NAMED(values)                                                          \
    "rule \"n\" { client-name = {" values "} action = discard }\n" OURS
    static const struct row rows[] = {
        { NAMED("\"*.ext.test\""), .expected = "asks name:203.0.113.9" },
        { NAMED("\"*.ext.test\""), .answers = { "name 203.0.113.9=a.EXT.test" },
          .expected = "discard n" },
        { NAMED("\"*.ext.test\""), .answers = { "name 203.0.113.9=ext.test" },
          .expected = "relay ours" },
        { NAMED("\"*.ext.test\""), .answers = { "name 203.0.113.9=" },
          .expected = "relay ours" },
        { NAMED("\"none\""), .answers = { "name 203.0.113.9=" },
          .expected = "discard n" },
        { NAMED("\"none\""), .answers = { "name 203.0.113.9=a.test" },
          .expected = "relay ours" },
        { NAMED("\"*.ext.test\""), .answers = { "name 203.0.113.9" },
          .expected = "defer n: 451 4.3.5 <v@ok.test>: Cannot tell now, try "
                      "again later" },
        /* of the session nothing is said that is not certain */
        { NAMED("\"*.ext.test\""), STAGE_CONNECT,
          .answers = { "name 203.0.113.9" }, .expected = "open" },
        { "rule \"n\" { client-name = {\"a.test\"} to = {\"x.test\"} "
          "action = reject }\n" OURS,
          .expected = "relay ours" },
    };

    (void)state;
    CHECK(rows);
}

static void lists_of_senders_are_weighed(void **state)
{
#define LISTS(values)                                                          \
    "rule \"l\" { dnsbl = {" values "} action = reject }\n" OURS
#define DENIED "reject l: 554 5.7.1 <v@ok.test>: Access denied"
    static const struct row rows[] = {
        { LISTS("\"bl.test\""), .expected = "asks list:" QUERY },
        { LISTS("\"bl.test\""), .answers = { "list " QUERY "=127.0.0.2" },
          .expected = DENIED },
        { LISTS("\"bl.test\""), .answers = { "list " QUERY "=" },
          .expected = "relay ours" },
        /* a dead list, a domain that was sold, a complaint about us */
        { LISTS("\"bl.test\""), .answers = { "list " QUERY },
          .expected = "relay ours" },
        { LISTS("\"bl.test\""), .answers = { "list " QUERY "=192.0.2.1" },
          .expected = "relay ours" },
        { LISTS("\"bl.test\""), .answers = { "list " QUERY "=127.255.255.254" },
          .expected = "relay ours" },
        { LISTS("\"bl.test=127.0.0.3\""),
          .answers = { "list " QUERY "=127.0.0.2" }, .expected = "relay ours" },
        { LISTS("\"bl.test=127.0.0.[2..4]\""),
          .answers = { "list " QUERY "=127.0.0.10 127.0.0.4" },
          .expected = DENIED },
        { LISTS("\"bl.test*2\", \"w.test*-1\""),
          .answers = { "list " QUERY "=127.0.0.2" },
          .expected = "asks list:9.113.0.203.w.test" },
        { "rule \"l\" { dnsbl = {\"bl.test*2\", \"w.test*-1\"} "
          "dnsbl-threshold = 2 action = reject }\n" OURS,
          .answers = { "list " QUERY "=127.0.0.2",
                       "list 9.113.0.203.w.test=127.0.0.2" },
          .expected = "relay ours" },
        { "rule \"l\" { dnsbl = {\"bl.test*2\", \"w.test*-1\"} "
          "dnsbl-threshold = 2 action = reject }\n" OURS,
          .answers = { "list " QUERY "=127.0.0.2", "list 9.113.0.203.w.test" },
          .expected = DENIED },
    };

    (void)state;
    CHECK(rows);
}

static void questions_are_gathered_but_only_those_that_matter(void **state)
{
    static const struct row rows[] = {
        /* two rules in one go */
        { "rule \"a\" { dnsbl = {\"a.test\"} action = reject }\n"
          "rule \"n\" { client-name = {\"none\"} action = reject }\n" LISTED
              OURS,
          .expected = "asks list:9.113.0.203.a.test name:203.0.113.9 "
                      "list:" QUERY },
        /* at the earliest stage at which the rest of the rule holds */
        { LISTED OURS, STAGE_CONNECT, .expected = "asks list:" QUERY },
        { "rule \"l\" { dnsbl = {\"bl.test\"} from = {\"x.test\"} "
          "action = reject }\n" OURS,
          STAGE_CONNECT, .expected = "open" },
        { "rule \"l\" { dnsbl = {\"bl.test\"} from = {\"x.test\"} "
          "action = reject }\n" OURS,
          STAGE_SENDER, .expected = "open" },
        { "rule \"l\" { dnsbl = {\"bl.test\"} from = {\"ext.test\"} "
          "action = reject }\n" OURS,
          STAGE_SENDER, .expected = "asks list:" QUERY },
        /* below what decides nothing is asked */
        { "rule \"lan\" { client = {\"203.0.113.0/24\"} action = relay "
          "}\n" LISTED,
          .expected = "relay lan" },
        { "rule \"lan\" { client = {\"203.0.113.0/24\"} action = relay "
          "}\n" LISTED,
          STAGE_CONNECT, .expected = "open" },
        { "rule \"a\" { dnsbl = {\"a.test\"} action = reject }\n"
          "rule \"lan\" { client = {\"203.0.113.0/24\"} action = relay "
          "}\n" LISTED,
          .expected = "asks list:9.113.0.203.a.test" },
        /* what is only added is not asked for who is refused anyway */
        { "rule \"h\" { dnsbl = {\"a.test\"} action = hold }\n"
          "rule \"no\" { to = {\"ok.test\"} action = reject }\n",
          .expected = "reject no: 554 5.7.1 <v@ok.test>: Access denied" },
        { "rule \"h\" { dnsbl = {\"a.test\"} action = hold }\n" OURS,
          .expected = "asks list:9.113.0.203.a.test" },
        { "rule \"h\" { dnsbl = {\"a.test\"} action = hold }\n" OURS,
          STAGE_CONNECT, .expected = "open" },
        { "rule \"h\" { dnsbl = {\"a.test\"} action = hold }\n" LISTED,
          STAGE_CONNECT, .expected = "asks list:" QUERY },
        /* a grant is of no use before there is a recipient, but to what is below it */
        { "rule \"g\" { client = {\"203.0.113.9\"} dnsbl = {\"a.test\"} "
          "action = relay }\n" OURS,
          STAGE_CONNECT, .expected = "open" },
        { "rule \"g\" { client = {\"203.0.113.9\"} dnsbl = {\"a.test\"} "
          "action = relay }\nrule \"all\" { action = reject }\n",
          STAGE_CONNECT, .expected = "asks list:9.113.0.203.a.test" },
        /* a tag that an answer may set */
        { "rule \"t\" { dnsbl = {\"a.test\"} action = tag set-tag = {\"x\"} }\n"
          "rule \"x\" { tag = {\"x\"} action = reject }\n" OURS,
          STAGE_CONNECT, .expected = "asks list:9.113.0.203.a.test" },
        { "rule \"t\" { dnsbl = {\"a.test\"} action = tag set-tag = {\"x\"} }\n"
          "rule \"x\" { tag = {\"x\"} action = reject }\n" OURS,
          STAGE_CONNECT, .answers = { "list 9.113.0.203.a.test=127.0.0.2" },
          .expected =
              "reject x: 554 5.7.1 203.0.113.9: Access denied [tag x]" },
        { "rule \"t\" { dnsbl = {\"a.test\"} action = tag set-tag = {\"x\"} }\n"
          "rule \"x\" { tag = {\"x\"} action = defer }\n"
          "rule \"no\" { to = {\"ok.test\"} action = reject }\n",
          .expected = "asks list:9.113.0.203.a.test" },
        /* a limit may decide, so what is below it waits */
        { "rule \"l\" { client-name = {\"none\"} action = limit per = client "
          "rate = {\"1/h\"} }\n" LISTED,
          STAGE_CONNECT, .expected = "open" },
    };

    (void)state;
    CHECK(rows);
}

static void what_needs_the_message_is_set_aside(void **state)
{
#define SUBJECT(value, action)                                                 \
    "rule \"s\" { header = {'Subject: /" value "/'} " action " }\n"
    static const struct row rows[] = {
        { SUBJECT("spam", "action = reject") OURS,
          .expected = "relay ours aside:s" },
        { SUBJECT("spam", "action = reject"),
          .expected = "reject: 554 5.7.1 <v@ok.test>: Relay access denied" },
        { "rule \"s\" { to = {\"x.test\"} header = {\"Subject\"} "
          "action = reject }\n" OURS,
          .expected = "relay ours" },
        { OURS SUBJECT("spam", "action = reject"), .expected = "relay ours" },
        { SUBJECT("spam", "action = reject mode = shadow") OURS,
          .expected = "relay ours end:s" },
        /* a tag that is set with the message */
        { SUBJECT(
              "spam",
              "action = tag set-tag = {\"x\"}") "rule \"x\" { tag = {\"x\"} "
                                                "action = reject }\n" OURS,
          .expected = "relay ours aside:s,x" },
        { SUBJECT("spam", "action = reject") OURS, STAGE_CONTENT,
          .content = "Subject: spam\r\n\r\nx\r\n",
          .expected = "reject s: 554 5.7.1 <v@ok.test>: Access denied" },
        { SUBJECT("spam", "action = reject") OURS, STAGE_CONTENT,
          .content = "Subject: ham\r\n\r\nSubject: spam\r\n",
          .expected = "open" },
        { SUBJECT(
              "spam",
              "action = tag set-tag = {\"x\"}") "rule \"x\" { tag = {\"x\"} "
                                                "action = hold }\n" OURS,
          STAGE_CONTENT, .content = "Subject: a\r\n spam\r\n\r\n",
          .expected = "open [tag x] [hold]" },
        { SUBJECT("spam",
                  "action = discard") "rule \"t\" { header = {\"X-Never\"} "
                                      "action = reject }\n" OURS,
          STAGE_CONTENT, .content = "subject:spam\r\nx-never: 1\r\n\r\n",
          .expected = "discard s" },
        /* tags from before hold still; order is that of the rules */
        { "rule \"t\" { action = tag set-tag = {\"x\"} }\n"
          "rule \"w\" { header = {\"A\"} action = reject mode = shadow }\n"
          "rule \"s\" { tag = {\"x\"} header = {\"A\"} action = defer }\n" OURS,
          STAGE_CONTENT, .content = "A: 1\r\n\r\n",
          .expected = "defer s: 450 4.7.1 <v@ok.test>: Try again later "
                      "[shadow 554 5.7.1 <v@ok.test>: Access denied]" },
        { "rule \"s\" { attachment = {\"*.exe\"} action = reject }\n" OURS,
          STAGE_CONTENT,
          .content = "Content-Type: application/x; name=A.EXE\r\n\r\n",
          .expected = "reject s: 554 5.7.1 <v@ok.test>: Access denied" },
        { "rule \"s\" { attachment = {\"application/*\"} action = reject "
          "}\n" OURS,
          STAGE_CONTENT, .content = "Content-Type: application/x\r\n\r\n",
          .expected = "reject s: 554 5.7.1 <v@ok.test>: Access denied" },
        { "rule \"s\" { attachment = {'/^a.*z$/'} action = reject }\n" OURS,
          STAGE_CONTENT,
          .content = "Content-Type: application/x; name=Abcz\r\n\r\n",
          .expected = "reject s: 554 5.7.1 <v@ok.test>: Access denied" },
        { "rule \"s\" { attachment = {\"*.exe\"} action = reject }\n" OURS,
          STAGE_CONTENT, .content = "A: b\r\n\r\na.exe\r\n",
          .expected = "open" },
        { "rule \"s\" { size = 10 action = reject }\n" OURS, STAGE_CONTENT,
          .content = "A: b\r\n\r\nxx\r\n",
          .expected = "reject s: 554 5.7.1 <v@ok.test>: Access denied" },
        { "rule \"s\" { size = 10KB action = reject }\n" OURS, STAGE_CONTENT,
          .content = "A: b\r\n\r\nxx\r\n", .expected = "open" },
    };

    (void)state;
    CHECK(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            what_is_known_is_decided_at_once_and_nothing_out_of_order),
        cmocka_unit_test(the_facts_say_what_they_hold),
        cmocka_unit_test(tables_stand_beside_any_list),
        cmocka_unit_test(what_was_not_seen_whole_is_not_denied),
        cmocka_unit_test(a_client_has_the_name_that_leads_back_to_it),
        cmocka_unit_test(lists_of_senders_are_weighed),
        cmocka_unit_test(questions_are_gathered_but_only_those_that_matter),
        cmocka_unit_test(what_needs_the_message_is_set_aside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
