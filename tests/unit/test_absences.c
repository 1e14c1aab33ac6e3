/*
 * Hosts that are often away, in the configuration: pickups, maildirs, offline { }.
 */
#include "policy/route.h"
#include "tests/unit/settings_faults.h"

#include <stdio.h>
#include <stdlib.h>

#define DAY_MS   (24ll * 3600 * 1000)
#define ACCOUNTS "account \"big\" { user = us password-file = /pw }\n"
#define LOGINS                                                                 \
    "listener { address = 127.0.0.1:25 auth = required auth-without-tls = "    \
    "true }\nusers { file = /u }\n"
#define RULE "rule \"r\" { client = {\"10.0.0.0/8\"} action = relay }\n"

static struct settings *read_route(const char *keys)
{
    struct buffer text = { 0 };
    struct settings *s;

    buffer_printf(&text, "route \"*\" { %s }\n" ACCOUNTS, keys);
    s = read_well(buffer_string(&text));
    buffer_fini(&text);
    return s;
}

static void everything_about_a_branch_office_is_heard(void **state)
{
    struct settings *s = read_well(
        "route \"branch.test\" { via = {\"pickup:branch\"} expire = 40d\n"
        "  quota = 2GB warn = 1d\n"
        "  offline { login = {\"branch\", \"*@branch.test\"}\n"
        "    client = {\"203.0.113.0/24\"} certificate = {\"*.branch.test\"}\n"
        "    deliver-to = \"smtp://Branch.test:2525\" probe = 10min\n"
        "    window = {\"22:00-6:30\", \"12:00-24:00\"} } }\n"
        "route \"b.test\" { via = \"smtp://b\" offline { window = "
        "\"00:00-24:00\" } }\n"
        "route \"c.test\" { via = mx }\n");
    const struct route *r = s->routes;
    const struct offline_settings *o = &r->offline;

    (void)state;
    assert_int_equal(r->via_count, 1);
    assert_int_equal(r->via[0].kind, HOP_PICKUP);
    assert_true(span_is(r->via[0].host, SPAN("branch")));
    assert_true(span_is(r->key, SPAN("pickup:branch")));
    assert_int_equal(r->quota_bytes, 2ull << 30);
    assert_int_equal(r->retry.expire_ms, 40 * DAY_MS);
    assert_int_equal(r->retry.warn_ms, DAY_MS);
    assert_true(o->is_set);
    assert_true(names_have(&o->logins, SPAN("x@branch.test")));
    assert_int_equal(o->clients.v4_count, 1);
    assert_true(names_have(&o->certificates, SPAN("mail.branch.test")));
    assert_int_equal(o->fingerprints.exact_count, 0);
    assert_int_equal(o->deliver_to->kind, HOP_SMTP);
    assert_true(span_is(o->deliver_to->host, SPAN("branch.test")));
    assert_int_equal(o->deliver_to->port, 2525);
    assert_int_equal(o->probe_ms, 600000);
    assert_int_equal(o->window_count, 2);
    assert_int_equal(o->windows[0].from, 22 * 60);
    assert_int_equal(o->windows[0].to, 6 * 60 + 30);
    assert_int_equal(o->windows[1].from, 12 * 60);
    assert_int_equal(o->windows[1].to, 24 * 60);
    assert_true(r[1].offline.is_set);
    assert_null(r[1].offline.deliver_to);
    assert_int_equal(r[1].offline.probe_ms, 0);
    assert_int_equal(r[1].quota_bytes, 0);
    assert_false(r[2].offline.is_set);
    settings_release(s);
}

static void what_waits_for_a_pickup_waits_long_and_silently(void **state)
{
    static const struct {
        const char *text;
        int64_t expire, reports, warn;
    } rows[] = {
        { "route \"*\" { via = \"pickup:b\" }\n", 30 * DAY_MS, 30 * DAY_MS, 0 },
        { "route \"*\" { via = \"pickup:b\" expire = 2d }\n", 2 * DAY_MS,
          2 * DAY_MS, 0 },
        { "route \"*\" { via = \"pickup:b\" expire-reports = 7d warn = 1d }\n",
          30 * DAY_MS, 7 * DAY_MS, DAY_MS },
        { "route \"*\" { via = \"pickup:b\" }\nretry { expire = 60d warn = 1h "
          "}\n",
          60 * DAY_MS, 60 * DAY_MS, 0 },
        { "route \"*\" { via = \"pickup:b\" }\nretry { expire = 3d }\n",
          30 * DAY_MS, 30 * DAY_MS, 0 },
        /* another host is another matter */
        { "route \"*\" { via = mx offline { login = x } }\n", 5 * DAY_MS,
          2 * DAY_MS, DAY_MS / 6 },
        { "route \"*\" { via = \"maildir:/var/mail\" }\n", 5 * DAY_MS,
          2 * DAY_MS, DAY_MS / 6 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct settings *s = read_well(rows[i].text);
        const struct retry_settings *r = &s->routes[0].retry;

        if (r->expire_ms != rows[i].expire ||
            r->expire_report_ms != rows[i].reports ||
            r->warn_ms != rows[i].warn)
            fail_msg("row %zu: %lld %lld %lld", i, (long long)r->expire_ms,
                     (long long)r->expire_report_ms, (long long)r->warn_ms);
        settings_release(s);
    }
}

/* --- next hops --------------------------------------------------------------
 */

static void pickups_and_maildirs_have_names(void **state)
{
    static const struct {
        const char *keys, *key;
        enum hop_kind kind;
        enum route_tls tls;
    } rows[] = {
        { "via = \"pickup:A-b_c.9\"", "pickup:A-b_c.9", HOP_PICKUP,
          ROUTE_TLS_OPTIONAL },
        { "via = \"Pickup:x\" tls = required", "pickup:x", HOP_PICKUP,
          ROUTE_TLS_REQUIRED },
        { "via = \"pickup:x\" tls = none", "pickup:x", HOP_PICKUP,
          ROUTE_TLS_NONE },
        { "via = \"pickup:x\" offline { deliver-to = \"smtp://a\" }",
          "pickup:x", HOP_PICKUP, ROUTE_TLS_OPTIONAL },
        { "via = \"pickup:x\" offline { deliver-to = \"smtps://a\" }",
          "pickup:x", HOP_PICKUP, ROUTE_TLS_VERIFY },
        { "via = \"pickup:x\" offline { deliver-to = \"lmtp:/s\" }", "pickup:x",
          HOP_PICKUP, ROUTE_TLS_NONE },
        { "via = \"pickup:x\" offline { deliver-to = \"smtp://a\" }\n"
          "account = big",
          "pickup:x", HOP_PICKUP, ROUTE_TLS_VERIFY },
        { "via = \"pickup:x\" offline { deliver-to = \"smtp://big@a\" }",
          "pickup:x", HOP_PICKUP, ROUTE_TLS_VERIFY },
        { "via = \"pickup:x\" offline { deliver-to = \"smtp://a\" }\n"
          "tls = verify tls-name = \"b.test\"",
          "pickup:x", HOP_PICKUP, ROUTE_TLS_VERIFY },
        { "via = \"maildir:/var/mail/%d/%u\"", "maildir:/var/mail/%d/%u",
          HOP_MAILDIR, ROUTE_TLS_NONE },
        { "via = \"MAILDIR:/mail/%u@%d/\"", "maildir:/mail/%u%40%d",
          HOP_MAILDIR, ROUTE_TLS_NONE },
        { "via = \"maildir:/50%%/a b\" tls = none", "maildir:/50%%/a%20b",
          HOP_MAILDIR, ROUTE_TLS_NONE },
        { "via = \"maildir:/m/..%d.\"", "maildir:/m/..%d.", HOP_MAILDIR,
          ROUTE_TLS_NONE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct settings *s = read_route(rows[i].keys);
        const struct route *r = &s->routes[0];

        if (!span_is(r->key, span_of(rows[i].key)) || r->tls != rows[i].tls ||
            r->via[0].kind != rows[i].kind)
            fail_msg("%s: %.*s %d", rows[i].keys, SPAN_FMT(r->key),
                     (int)r->tls);
        settings_release(s);
    }
}

static void all_lanes_of_a_pickup_or_maildir_are_one_destination(void **state)
{
    struct settings *s =
        read_well("route \"a\" { to = {\"a.test\", \"*.a.test\"}\n"
                  "  via = \"pickup:x\" offline { login = {a, b} } }\n"
                  "route \"b.test\" { via = \"pickup:x\" quota = 1GB\n"
                  "  offline { login = {B, A} } }\n"
                  "route \"c.test\" { via = \"maildir:/m/%d/%u\" }\n"
                  "route \"d.test\" { via = \"maildir:/m/%d/%u/\" }\n");
    static const char *const rows[][2] = {
        { "a.test", "pickup:x" },         { "x.a.test", "pickup:x" },
        { "b.test", "pickup:x" },         { "y.a.test\ta", "pickup:x" },
        { "c.test", "maildir:/m/%d/%u" }, { "d.test", "maildir:/m/%d/%u" },
    };
    struct buffer name = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct span lane = span_of(rows[i][0]);

        buffer_clear(&name);
        destination_name(route_of_lane(s, lane), lane, &name);
        assert_string_equal(buffer_string(&name), rows[i][1]);
    }
    buffer_fini(&name);
    assert_true(span_is(s->routes[2].via[0].path, SPAN("/m/%d/%u")));
    assert_int_equal(s->routes[2].via[0].host.len, 0);
    settings_release(s);
}

static void what_is_released_logs_in_with_its_own_account_or_the_routes(
    void **state)
{
    static const struct {
        const char *keys, *user;
    } rows[] = {
        { "offline { deliver-to = \"smtps://a\" } account = big", "us" },
        { "offline { deliver-to = \"smtps://big@a\" }", "us" },
        { "offline { deliver-to = \"smtps://big@a\" } user = x\n"
          "password-file = /x",
          "us" },
        { "offline { deliver-to = \"smtps://a\" } user = x\n"
          "password-file = /x",
          "x" },
        { "offline { deliver-to = \"smtps://a\" }", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer text = { 0 };
        struct settings *s;
        const struct account *a;

        buffer_printf(&text, "via = \"pickup:x\" %s", rows[i].keys);
        s = read_route(buffer_string(&text));
        a = s->routes[0].offline.deliver_to->account;
        assert_int_equal(a != NULL, rows[i].user != NULL);
        assert_true(!a || span_is(a->user, span_of(rows[i].user)));
        settings_release(s);
        buffer_fini(&text);
    }
}

/* --- faults -----------------------------------------------------------------
 */

static void faults_of_pickups_and_maildirs_are_told(void **state)
{
    static const struct fault_row rows[] = {
        { "route \"*\" { via = {\"pickup:\", \"pickup:a b\", \"pickup:a/b\"} "
          "}\n",
          { "w.conf:1:20: \"pickup:\" is not pickup:NAME", "\"pickup:a b\"",
            "\"pickup:a/b\"" } },
        { "route \"*\" { via = {\"pickup:a\", \"pickup:b\"} }\n",
          { "w.conf:1:32: \"pickup:b\" does not go with what stands" } },
        { "route \"*\" { via = {\"smtp://a\", \"maildir:/m\", \"pickup:b\"} "
          "}\n",
          { "w.conf:1:32: \"maildir:/m\" does not go", "\"pickup:b\" does" } },
        { "route \"*\" { via = {\"maildir:/m\", mx} }\n",
          { "w.conf:1:34: \"mx\" does not go" } },
        { "route \"*\" { via = \"maildir:m\" }\n",
          { "\"maildir:m\" is not maildir:/PATH, such as "
            "maildir:/var/mail/%d/%u: the path is a whole one" } },
        { "route \"*\" { via = \"maildir:/\" }\n", { "a whole one" } },
        { "route \"*\" { via = \"maildir://\" }\n", { "no folder of it is" } },
        { "route \"*\" { via = \"maildir:/a//b\" }\n",
          { "no folder of it is empty, . or .." } },
        { "route \"*\" { via = \"maildir:/a/./%u\" }\n",
          { "no folder of it is empty" } },
        { "route \"*\" { via = \"maildir:/a/../%u\" }\n",
          { "no folder of it is empty" } },
        { "route \"*\" { via = \"maildir:/a/%u/..\" }\n",
          { "no folder of it is empty" } },
        { "route \"*\" { via = \"maildir:/a/%x\" }\n",
          { "and no other % means anything" } },
        { "route \"*\" { via = \"maildir:/a/%U\" }\n", { "no other %" } },
        { "route \"*\" { via = \"maildir:/a/%\" }\n", { "no other %" } },
        { "route \"*\" { via = \"maildir:/%d/%u\" }\n",
          { "%d and %u stand after its first folder" } },
        { "route \"*\" { via = \"maildir:/m%u\" }\n",
          { "after its first folder" } },
        { "route \"*\" { via = \"maildir:/m/%u\" tls = required\n"
          "account = big }\n" ACCOUNTS,
          { "w.conf:1:35: there is no TLS into a maildir",
            "w.conf:2:1: account is for a host that is connected to, and a "
            "maildir is none\n" } },
        { "route \"*\" { via = \"pickup:x\" tls = verify user = a\n"
          "password-file = b certificate = c certificate-key = d }\n",
          { "w.conf:1:30: whoever fetches from a pickup is not looked up",
            "w.conf:1:43: user is for a host that is connected to, and a "
            "pickup is none without offline { deliver-to }",
            "w.conf:2:19: certificate is" } },
        { "route \"*\" { via = \"pickup:x\" tls-name = a.test\n"
          "offline { deliver-to = \"smtp://a\" } }\n",
          { "tls-name is only looked at with tls = verify" } },
        { "route \"*\" { via = \"pickup:x\" account = big tls = optional\n"
          "offline { deliver-to = \"smtp://a\" } }\n" ACCOUNTS,
          { "w.conf:1:44: the secret for \"smtp://a\" could go" } },
        { "route \"*\" { via = \"pickup:x\" tls = none\n"
          "offline { deliver-to = \"smtps://a\" } }\n",
          { "smtps:// is TLS from the first byte" } },
        { "route \"*\" { via = mx quota = lots }\n",
          { "\"lots\" is not right for quota, which takes a size" } },
    };

    (void)state;
    CHECK_FAULTS(rows);
}

static void faults_of_offline_are_told(void **state)
{
    static const struct fault_row rows[] = {
        { "route \"*\" { via = mx offline { } }\n",
          { "w.conf:1:22: nobody is named in it and nothing set" } },
        { "route \"*\" { via = mx offline \"x\" { login = a } }\n",
          { "w.conf:1:30: offline has no title" } },
        { "route \"*\" { via = mx offline = yes }\n",
          { "w.conf:1:22: offline is a section: offline { KEY = VALUE" } },
        { "route \"*\" { via { mx = yes } }\n",
          { "a route needs a next hop",
            "w.conf:1:13: via is a key: via = VALUE" } },
        { "route \"*\" { via = mx offline { login = a }\n"
          "offline { login = b } }\n",
          { "w.conf:2:1: offline was set before, at w.conf:1:22" } },
        { "route \"*\" { via = mx ofline { login = a } }\n",
          { "a route has no section \"ofline\" that this version knows; "
            "\"offline\" was meant?" } },
        { "route \"*\" { via = mx offline { logins = a } }\n",
          { "offline has no key \"logins\" that this version knows; \"login\" "
            "was meant?" } },
        { "route \"*\" { via = mx offline { login = \"\" client = x\n"
          "certificate = \"sha256:12\" } }\n",
          { "w.conf:1:40: \"\" is not a login",
            "w.conf:1:52: \"x\" is not a "
            "network",
            "w.conf:2:15: \"sha256:12\" is not sha256:" } },
        { "route \"*\" { via = mx offline { probe = 9s } }\n",
          { "w.conf:1:32: a host is probed every 10s at most" } },
        { "route \"*\" { via = mx offline { probe = 5000d } }\n",
          { "\"5000d\" is not right for probe" } },
        { "route \"*\" { via = mx offline { deliver-to = \"smtp://a\" } }\n",
          { "w.conf:1:32: mail is delivered to what via says" } },
        { "route \"*\" { via = \"maildir:/m\"\n"
          "offline { deliver-to = \"smtp://a\" } }\n",
          { "w.conf:2:11: mail is delivered to what via says" } },
        { "route \"*\" { via = \"pickup:x\" offline { deliver-to = mx } }\n",
          { "mail is released to a host of its own, and \"mx\" is none" } },
        { "route \"*\" { via = \"pickup:x\"\n"
          "offline { deliver-to = \"pickup:y\" } }\n",
          { "w.conf:2:24: mail is released to a host of its own" } },
        { "route \"*\" { via = \"pickup:x\"\n"
          "offline { deliver-to = {\"smtp://a\", \"smtp://b\"} } }\n",
          { "takes one value, not a list" } },
        { "route \"*\" { via = \"pickup:x\"\n"
          "offline { deliver-to = \"smtp://no@a\" } }\n",
          { "there is no account \"no\"" } },
        { "route \"*\" { via = \"pickup:x\" offline { login = a\n"
          "probe = 1min window = \"1:00-2:00\" } }\n",
          { "w.conf:2:1: probe says when a host is tried, and without "
            "deliver-to this pickup has none",
            "w.conf:2:14: window says" } },
    };

    (void)state;
    CHECK_FAULTS(rows);
}

static void a_window_is_two_times_of_the_day(void **state)
{
    static const struct {
        const char *window;
        bool is_good;
    } rows[] = {
        { "22:00-06:00", true },    { "6:00-22:00", true },
        { "00:00-24:00", true },    { "23:59-00:00", true },
        { "0:00-0:01", true },      { "", false },
        { "22:00", false },         { "22:00-", false },
        { "-06:00", false },        { "22-06", false },
        { "22:0-06:00", false },    { "22:000-06:00", false },
        { "022:00-06:00", false },  { "22:60-06:00", false },
        { "24:00-06:00", false },   { "22:00-24:01", false },
        { "22:00-25:00", false },   { "08:00-08:00", false },
        { "22:00 - 06:00", false }, { "22:00-06:00-08:00", false },
        { "+2:00-06:00", false },   { "22.00-06.00", false },
        { ":00-06:00", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer text = { 0 }, faults = { 0 }, warnings = { 0 };
        struct settings *s;

        buffer_printf(&text,
                      "route \"*\" { via = mx offline { window = \"%s\" } }\n",
                      rows[i].window);
        s = settings_text(buffer_string(&text), &faults, &warnings);
        if ((s != NULL) != rows[i].is_good)
            fail_msg("%s: %s", rows[i].window, buffer_string(&faults));
        if (!s)
            assert_non_null(strstr(buffer_string(&faults), "w.conf:1:41: \""));
        settings_release(s);
        buffer_fini(&text);
        buffer_fini(&faults);
        buffer_fini(&warnings);
    }
}

/* One of a pair of routes is as given, the other has these keys. */
#define PAIR(first, second)                                                    \
    "route \"a.test\" { " first " }\nroute \"b.test\" { " second " }"          \
    "\n" ACCOUNTS
#define PICKUP(keys) "via = \"pickup:x\" offline { login = a } " keys
#define RELEASED(to) "via = \"pickup:x\" offline { deliver-to = \"" to "\" }"

static void routes_of_one_destination_agree_about_it(void **state)
{
    static const char *const good[] = {
        PAIR(PICKUP(""), PICKUP("quota = 1GB expire = 2d")),
        PAIR(RELEASED("smtp://A"), RELEASED("smtp://a:25")),
        PAIR("via = \"smtp://a\"", "via = \"smtp://b\" offline { login = a }"),
        /* another destination for each domain */
        PAIR("via = mx", "via = mx offline { login = a }"),
        PAIR("via = \"smtp://a\" offline { client = {\"10.0.0.0/9\","
             " \"10.128.0.0/9\"} }",
             "via = \"smtp://A:25\" offline { client = \"10.0.0.0/8\" }"),
    };
    static const struct fault_row rows[] = {
        { PAIR("via = \"smtp://a\"", "via = \"smtp://a:25\" offline { login = "
                                     "a }"),
          { "w.conf:2:1: this route leads to \"smtp://a:25\", as the one at "
            "w.conf:1:1 does, so the two must say the same in offline { "
            "}\n" } },
        { PAIR("via = \"lmtp:/x\" offline { login = b }",
               "via = \"lmtp:/x\" offline { login = a }"),
          { "must say the same" } },
        { PAIR("via = mx", PICKUP("")) "route \"c.test\" { " PICKUP(
              "tls = required") " }\n",
          { "w.conf:4:1: this route leads to \"pickup:x\", as the one at "
            "w.conf:2:1 does, so the two must say the same in offline { } and "
            "of TLS, logins and rate" } },
        { PAIR(RELEASED("smtp://a"), RELEASED("smtp://b")),
          { "must say the same" } },
        { PAIR(RELEASED("smtp://a"), "via = \"pickup:x\" offline { login = a "
                                     "}"),
          { "must say the same" } },
        { PAIR(RELEASED("smtps://a"), RELEASED("smtps://a") "account = big"),
          { "must say the same" } },
        { PAIR(RELEASED("smtps://a"), RELEASED("smtps://big@a")),
          { "must say the same" } },
        { PAIR("via = \"pickup:x\" offline { login = a client = \"::1\" }",
               PICKUP("")),
          { "must say the same" } },
        { PAIR("via = \"smtp://x\" offline { client = \"10.0.0.0/8\" }",
               "via = \"smtp://x\" offline { client = \"10.0.0.0/9\" }"),
          { "must say the same" } },
        { PAIR("via = \"smtp://x\" offline { client = \"10.0.0.0/8\" }",
               "via = \"smtp://x\" offline { client = \"10.128.0.0/9\" }"),
          { "must say the same" } },
        { PAIR("via = \"smtp://x\" offline { probe = 1h }",
               "via = \"smtp://x\" offline { probe = 2h }"),
          { "must say the same" } },
        { PAIR("via = \"smtp://x\" offline { window = \"1:00-2:00\" }",
               "via = \"smtp://x\" offline { window = \"1:00-3:00\" }"),
          { "must say the same" } },
        { PAIR("via = \"smtp://x\" offline { certificate = \"a.test\" }",
               "via = \"smtp://x\" offline { certificate = \"*.a.test\" }"),
          { "must say the same" } },
    };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        settings_release(read_well(good[i]));
    CHECK_FAULTS(rows);
}

/* A section where none belongs is not passed over. */
static void sections_inside_others_are_known_or_faults(void **state)
{
    static const struct fault_row rows[] = {
        { "listener { address = 127.0.0.1:25 tls { a = b } }\n",
          { "w.conf:1:35: tls is a key: tls = VALUE" } },
        { "rule \"r\" { action = reject offline { login = a } }\n",
          { "w.conf:1:28: a rule has no section \"offline\" that this version "
            "knows\n" } },
        { "queue { more { } }\n", { "queue has no section \"more\"" } },
        { "route \"*\" { via = mx offline { login = x window { } } }\n",
          { "window is a key: window = VALUE" } },
    };

    (void)state;
    CHECK_FAULTS(rows);
}

/* --- doubts -----------------------------------------------------------------
 */

static void what_is_seldom_meant_of_absences_is_warned_of(void **state)
{
    static const struct fault_row rows[] = {
        { LOGINS RULE "route \"*\" { via = \"pickup:x\" offline { login = a } "
                      "}\n",
          { NULL } },
        { LOGINS RULE "route \"*\" { via = \"pickup:x\" }\n",
          { "w.conf:4:1: warning: mail of route \"*\" waits until it is "
            "fetched, and nobody may fetch it: offline { login = " } },
        /* the operator releases it */
        { LOGINS RULE "route \"*\" { via = \"pickup:x\" offline { deliver-to = "
                      "\"smtp://a\" } }\n",
          { NULL } },
        { "listener { address = 127.0.0.1:25 }\n" RULE
          "route \"*\" { via = \"pickup:x\" offline { login = a } }\n",
          { "w.conf:3:1: warning: nobody gets mail of route \"*\" by its "
            "login: all listeners have auth = none" } },
        { "listener { address = 127.0.0.1:25 }\n" RULE
          "route \"*\" { via = mx offline { login = a } }\n",
          { "by its login: all listeners" } },
        { "listener { address = 127.0.0.1:25 }\n" RULE
          "route \"*\" { via = \"pickup:x\" offline { client = \"10.0.0.1\" } "
          "}\n",
          { "for which one logs in, and all listeners have auth = none" } },
        { LOGINS RULE
          "route \"*\" { via = mx offline { certificate = \"a.test\" } }\n",
          { "by its certificate: all listeners have client-certificate" } },
        { LOGINS RULE
          "route \"*\" { via = mx offline { client = {\"0.0.0.0/0\"} } }\n",
          { "everybody may have the mail of route \"*\" released" } },
        { LOGINS RULE "route \"*\" { via = mx expire = 23h\n"
                      "offline { login = a } }\n",
          { "w.conf:4:1: warning: mail of route \"*\" waits for a host that "
            "is often away, and expires within a day" } },
        { LOGINS RULE "route \"*\" { via = mx expire = 1d offline { login = a "
                      "} }\nroute \"b.test\" { via = mx expire = 1h }\n",
          { NULL } },
        { LOGINS RULE "retry { expire = 2h expire-reports = 1h }\n"
                      "route \"*\" { via = mx offline { login = a } }\n"
                      "route \"b.test\" { via = \"pickup:x\" offline { login = "
                      "a } }\n",
          { "w.conf:5:1: warning: mail of route \"*\" waits" } },
    };

    (void)state;
    CHECK_WARNINGS(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_about_a_branch_office_is_heard),
        cmocka_unit_test(what_waits_for_a_pickup_waits_long_and_silently),
        cmocka_unit_test(pickups_and_maildirs_have_names),
        cmocka_unit_test(all_lanes_of_a_pickup_or_maildir_are_one_destination),
        cmocka_unit_test(
            what_is_released_logs_in_with_its_own_account_or_the_routes),
        cmocka_unit_test(faults_of_pickups_and_maildirs_are_told),
        cmocka_unit_test(faults_of_offline_are_told),
        cmocka_unit_test(a_window_is_two_times_of_the_day),
        cmocka_unit_test(routes_of_one_destination_agree_about_it),
        cmocka_unit_test(sections_inside_others_are_known_or_faults),
        cmocka_unit_test(what_is_seldom_meant_of_absences_is_warned_of),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
