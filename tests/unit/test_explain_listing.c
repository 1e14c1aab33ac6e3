/*
 * An explanation on one screen: aligned, short, coloured on a terminal alone, and safe to show.
 */
#include "relay/main/explain_listing.h"

#include <stdarg.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

static const char question[] =
    "\"source\":\"file\",\"why\":\"none "
    "runs\",\"config\":\"/etc/w/w.conf\",\"now\":1000,"
    "\"question\":{\"client\":\"192.0.2.7\",\"helo\":\"a\\u001b[2J\","
    "\"listener\":\"edge\","
    "\"tls\":false,\"from\":\"\",\"to\":\"b@example.org\",\"size\":0,"
    "\"message\":false},";

static const char rules[] =
    "\"rules\":["
    "{\"name\":\"ours\",\"place\":\"/etc/w/"
    "w.conf:5\",\"action\":\"relay\",\"shadow\":false,"
    "\"fate\":\"not-matched\",\"condition\":\"login = "
    "\\\"*\\\"\",\"fact\":\"not logged in\","
    "\"effects\":[]},"
    "{\"name\":\"a longer "
    "name\",\"place\":\"/etc/w/more/b.conf:12\",\"action\":\"reject\","
    "\"shadow\":true,\"fate\":\"matched\",\"effects\":[\"would 554 5.7.1 "
    "no\"]},"
    "{\"name\":\"it\",\"place\":\"/etc/w/"
    "w.conf:7\",\"action\":\"limit\",\"shadow\":false,"
    "\"fate\":\"matched\",\"effects\":[]},"
    "{\"name\":\"x\",\"place\":\"/etc/w/"
    "w.conf:8\",\"action\":\"relay\",\"fate\":\"not-reached\"},"
    "{\"name\":\"x\",\"place\":\"/etc/w/"
    "w.conf:9\",\"action\":\"relay\",\"fate\":\"not-reached\"},"
    "{\"name\":\"x\",\"place\":\"/etc/w/"
    "w.conf:10\",\"action\":\"relay\",\"fate\":\"not-reached\"},"
    "{\"name\":\"x\",\"place\":\"/etc/w/"
    "w.conf:11\",\"action\":\"relay\",\"fate\":\"not-reached\"}"
    "],";

static const char rest[] =
    "\"verdict\":{\"kind\":\"defer\",\"hold\":false,\"stage\":\"recipient\","
    "\"by\":\"rule\","
    "\"rule\":\"it\",\"place\":\"/etc/w/w.conf:7\",\"reply\":\"450 4.7.1 "
    "later\","
    "\"conditional\":true},"
    "\"evidence\":[{\"kind\":\"dns\",\"question\":\"7.zen\",\"rule\":\"it\","
    "\"how\":\"assumed\",\"answer\":\"not listed\"}],"
    "\"effects\":[],"
    "\"budgets\":[{\"rule\":\"it\",\"left\":0,\"limit\":100,\"period\":7200,"
    "\"free\":1090}],"
    "\"destinations\":[]";

static const char want[] =
    "The running relay was not asked (none runs). /etc/w/w.conf says:\n"
    "  client 192.0.2.7, helo a\\x1B[2J, listener \"edge\", no TLS, not logged "
    "in\n"
    "  from <> to <b@example.org>\n"
    "\n"
    "  ours           w.conf:5        relay            no     login = \"*\": "
    "not logged in\n"
    "  a longer name  more/b.conf:12  reject (shadow)  yes    would 554 5.7.1 "
    "no\n"
    "> it             w.conf:7        limit            YES    0 of 100 left "
    "per 2h, free in 90s\n"
    "  ... and 4 more that are not reached (--all)\n"
    "\n"
    "Verdict      DEFERRED at RCPT by rule \"it\", /etc/w/w.conf:7, if what is "
    "assumed is so\n"
    "Reply        450 4.7.1 later\n"
    "Budget       \"it\": 0 of 100 left per 2h, free in 90s\n"
    "Assumed      dns 7.zen: not listed  (it)\n";

static void print(struct buffer *b, const struct explain_looks *looks)
{
    struct buffer text = { 0 };
    json_error_t error;
    json_t *o;

    buffer_printf(&text, "{%s%s%s}", question, rules, rest);
    o = json_loads(buffer_string(&text), 0, &error);
    if (!o)
        fail_msg("%s", error.text);
    explain_listing_put(b, o, looks);
    json_decref(o);
    buffer_fini(&text);
}

static void it_is_aligned_and_short(void **state)
{
    struct buffer b = { 0 };

    (void)state;
    print(&b, &(struct explain_looks){ 0 });
    assert_string_equal(buffer_string(&b), want);
    buffer_fini(&b);
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;

    for (; (text = strstr(text, what)); text++)
        n++;
    return n;
}

static void colour_begins_and_ends(void **state)
{
    struct buffer b = { 0 };

    (void)state;
    print(&b, &(struct explain_looks){ .is_coloured = true, .is_full = true });
    assert_int_equal(count(buffer_string(&b), "not reached"), 4);
    assert_non_null(strstr(buffer_string(&b), "\033[33m> it "));
    assert_int_equal(count(buffer_string(&b), "\033[1;") +
                         count(buffer_string(&b), "\033[2m") +
                         count(buffer_string(&b), "\033[3"),
                     count(buffer_string(&b), "\033[0m"));
    assert_null(strstr(buffer_string(&b), "\033[2J"));
    buffer_fini(&b);
}

static void what_greylisting_remembers_is_told_in_words(void **state)
{
    static const char text[] =
        "{\"now\":1000,\"rules\":[{\"name\":\"g\",\"place\":\"w:1\","
        "\"action\":\"greylist\",\"fate\":\"matched\"}],\"evidence\":["
        "{\"kind\":\"memory\",\"question\":\"greyclient n\",\"rule\":\"g\","
        "\"how\":\"asked\",\"answer\":\"990000 5\"},"
        "{\"kind\":\"memory\",\"question\":\"grey n a b\",\"rule\":\"g\","
        "\"how\":\"asked\",\"answer\":\"880000 0 0\"},"
        "{\"kind\":\"memory\",\"question\":\"grey n a b\",\"rule\":\"g\","
        "\"how\":\"asked\",\"answer\":\"1 970000 3\"},"
        "{\"kind\":\"memory\",\"question\":\"grey n a b\",\"rule\":\"g\","
        "\"how\":\"asked\",\"answer\":\"1 2 3 4\"}]}";
    json_t *o = json_loads(text, 0, NULL);
    struct buffer b = { 0 };

    (void)state;
    explain_listing_put(&b, o, &(struct explain_looks){ 0 });
    assert_non_null(strstr(
        buffer_string(&b),
        "its network: let in 10s ago; "
        "the three together: first seen 2min ago, not let in yet; "
        "the three together: let in 30s ago; the three together: 1 2 3 4\n"));
    json_decref(o);
    buffer_fini(&b);
}

static void an_object_without_anything_breaks_nothing(void **state)
{
    struct buffer b = { 0 };
    json_t *o = json_object();

    (void)state;
    explain_listing_put(&b, o, &(struct explain_looks){ 0 });
    assert_true(b.len > 0);
    json_decref(o);
    buffer_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_aligned_and_short),
        cmocka_unit_test(colour_begins_and_ends),
        cmocka_unit_test(what_greylisting_remembers_is_told_in_words),
        cmocka_unit_test(an_object_without_anything_breaks_nothing),
    };

    return cmocka_run_group_tests_name("explain_listing", tests, NULL, NULL);
}
