/*
 * Hosts that are often away: windows of the day, and who may have the mail.
 */
#include "policy/offline.h"
#include "tests/unit/settings_faults.h"

#include <stdio.h>
#include <stdlib.h>

enum { DAY = 24 * 60, WINDOWS_MOST = 4 };

#define AT(hours, minutes) ((hours)*60 + (minutes))

static void windows_open_and_close_at_their_edges(void **state)
{
    static const struct {
        struct window windows[WINDOWS_MOST];
        size_t count;
        unsigned minute;
        bool is_open;
        unsigned minutes;
    } rows[] = {
        /* none: never */
        { { { 0, 0 } }, 0, 0, false, 0 },
        { { { 0, 0 } }, 0, 1439, false, 0 },
        /* within a day */
        { { { AT(8, 0), AT(9, 0) } }, 1, AT(7, 59), false, 1 },
        { { { AT(8, 0), AT(9, 0) } }, 1, AT(8, 0), true, 60 },
        { { { AT(8, 0), AT(9, 0) } }, 1, AT(8, 59), true, 1 },
        { { { AT(8, 0), AT(9, 0) } }, 1, AT(9, 0), false, AT(23, 0) },
        /* over midnight */
        { { { AT(22, 0), AT(6, 0) } }, 1, AT(21, 59), false, 1 },
        { { { AT(22, 0), AT(6, 0) } }, 1, AT(22, 0), true, AT(8, 0) },
        { { { AT(22, 0), AT(6, 0) } }, 1, AT(0, 0), true, AT(6, 0) },
        { { { AT(22, 0), AT(6, 0) } }, 1, AT(5, 59), true, 1 },
        { { { AT(22, 0), AT(6, 0) } }, 1, AT(6, 0), false, AT(16, 0) },
        /* to its end, and from its beginning */
        { { { AT(22, 0), DAY } }, 1, AT(23, 59), true, 1 },
        { { { AT(22, 0), DAY } }, 1, AT(0, 0), false, AT(22, 0) },
        { { { AT(0, 0), AT(0, 1) } }, 1, AT(0, 0), true, 1 },
        { { { AT(0, 0), AT(0, 1) } }, 1, AT(0, 1), false, DAY - 1 },
        { { { 1439, 0 } }, 1, 1439, true, 1 },
        /* the whole day, in one or in two: it never changes */
        { { { 0, DAY } }, 1, AT(3, 0), true, 0 },
        { { { 0, DAY } }, 1, 0, true, 0 },
        { { { AT(6, 0), AT(18, 0) }, { AT(18, 0), AT(6, 0) } },
          2,
          AT(6, 0),
          true,
          0 },
        /* several: what adjoins or overlaps is one */
        { { { AT(8, 0), AT(9, 0) }, { AT(12, 0), AT(13, 0) } },
          2,
          AT(9, 0),
          false,
          AT(3, 0) },
        { { { AT(12, 0), AT(13, 0) }, { AT(8, 0), AT(9, 0) } },
          2,
          AT(14, 0),
          false,
          AT(18, 0) },
        { { { AT(8, 0), AT(9, 0) }, { AT(9, 0), AT(10, 0) } },
          2,
          AT(8, 30),
          true,
          90 },
        { { { AT(8, 0), AT(12, 0) }, { AT(9, 0), AT(10, 0) } },
          2,
          AT(8, 30),
          true,
          210 },
        { { { AT(22, 0), DAY }, { 0, AT(6, 0) } },
          2,
          AT(23, 0),
          true,
          AT(7, 0) },
        { { { AT(22, 0), AT(2, 0) },
            { AT(1, 0), AT(6, 0) },
            { AT(5, 0), AT(7, 0) } },
          3,
          AT(23, 0),
          true,
          AT(8, 0) },
        /* a minute of the next day is one of a day */
        { { { AT(8, 0), AT(9, 0) } }, 1, DAY + AT(8, 0), true, 60 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct window windows[WINDOWS_MOST];
        struct offline_settings o = { .windows = windows,
                                      .window_count = rows[i].count };
        unsigned minutes = 9999;
        bool open;

        memcpy(windows, rows[i].windows, sizeof windows);
        open = offline_is_open(&o, rows[i].minute, &minutes);
        if (open != rows[i].is_open || minutes != rows[i].minutes)
            fail_msg("row %zu: %d for %u", i, open, minutes);
    }
}

/* Minute by minute, against the plainest way to say it. */
static void what_holds_now_holds_until_it_is_said_to_change(void **state)
{
    struct window windows[WINDOWS_MOST];
    unsigned seed = 1;

    (void)state;
    for (int round = 0; round < 200; round++) {
        struct offline_settings o = { .windows = windows,
                                      .window_count = seed % WINDOWS_MOST + 1 };
        bool open[DAY] = { false };

        for (size_t i = 0; i < o.window_count; i++) {
            unsigned from = (seed = seed * 1103515245u + 12345u) / 65536 % DAY;
            unsigned length =
                (seed = seed * 1103515245u + 12345u) / 65536 % 600 + 1;

            windows[i] = (struct window){ (uint16_t)from,
                                          (uint16_t)((from + length) % DAY) };
            for (unsigned m = from; m < from + length; m++)
                open[m % DAY] = true;
        }
        for (unsigned m = 0; m < DAY; m++) {
            unsigned minutes, expected = 1;

            while (expected < DAY && open[(m + expected) % DAY] == open[m])
                expected++;
            assert_int_equal(offline_is_open(&o, m, &minutes), open[m]);
            assert_int_equal(minutes, expected % DAY);
        }
    }
}

static void who_is_named_may_and_nobody_else(void **state)
{
    static const char print[] = "sha256:00112233445566778899aabbccddeeff"
                                "00112233445566778899aabbccddeeff";
    static const struct {
        const char *offline, *client, *login, *certificate, *name;
        bool may;
    } rows[] = {
        { "probe = 1h", "192.0.2.1", "ann", "", "", false },
        { "login = branch", "192.0.2.1", "branch", "", "", true },
        { "login = branch", "192.0.2.1", "BRANCH", "", "", true },
        { "login = branch", "192.0.2.1", "branch2", "", "", false },
        { "login = branch", "192.0.2.1", "", "", "", false },
        { "login = {\"*@ok.test\", x}", "192.0.2.1", "a@ok.test", "", "",
          true },
        { "login = \"*\"", "192.0.2.1", "", "", "", false },
        { "client = \"192.0.2.0/24\"", "192.0.2.1", "", "", "", true },
        { "client = \"192.0.2.0/24\"", "192.0.3.1", "ann", "", "", false },
        { "client = {\"2001:db8::/32\", \"10.0.0.1\"}", "2001:db8::9", "", "",
          "", true },
        { "certificate = \"b.test\"", "192.0.2.1", "", "", "B.test", true },
        { "certificate = \"b.test\"", "192.0.2.1", "", print, "a.test", false },
        { "certificate = \"sha256:00112233445566778899AABBCCDDEEFF"
          "00112233445566778899AABBCCDDEEFF\"",
          "192.0.2.1", "", print, "", true },
        /* a name is no fingerprint, whatever it looks like */
        { "certificate = \"sha256:00112233445566778899aabbccddeeff"
          "00112233445566778899aabbccddeeff\"",
          "192.0.2.1", "", "", print, false },
        /* any one of the three is enough */
        { "login = x client = \"10.0.0.0/8\" certificate = \"c.test\"",
          "192.0.2.1", "", "", "c.test", true },
        { "login = x client = \"10.0.0.0/8\" certificate = \"c.test\"",
          "192.0.2.1", "x", "", "", true },
        { "login = x client = \"10.0.0.0/8\" certificate = \"c.test\"",
          "10.1.1.1", "", "", "", true },
        { "login = x client = \"10.0.0.0/8\" certificate = \"c.test\"",
          "192.0.2.1", "y", print, "d.test", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct facts facts = { .login = span_of(rows[i].login),
                               .certificate = span_of(rows[i].certificate),
                               .certificate_name = span_of(rows[i].name) };
        struct buffer text = { 0 };
        struct settings *s;

        assert_true(host_address_parse(span_of(rows[i].client), &facts.client));
        buffer_printf(&text, "route \"*\" { via = mx offline { %s } }\n",
                      rows[i].offline);
        s = read_well(buffer_string(&text));
        if (offline_may(&s->routes[0].offline, &facts) != rows[i].may)
            fail_msg("row %zu: %s", i, rows[i].offline);
        settings_release(s);
        buffer_fini(&text);
    }
}

static void an_ordinary_route_is_nobodys_to_release(void **state)
{
    struct settings *s = read_well("route \"*\" { via = mx }\n");
    struct facts facts = { .login = SPAN_INIT("ann") };

    (void)state;
    assert_true(host_address_parse(SPAN("127.0.0.1"), &facts.client));
    assert_false(s->routes[0].offline.is_set);
    assert_false(offline_may(&s->routes[0].offline, &facts));
    settings_release(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_open_and_close_at_their_edges),
        cmocka_unit_test(what_holds_now_holds_until_it_is_said_to_change),
        cmocka_unit_test(who_is_named_may_and_nobody_else),
        cmocka_unit_test(an_ordinary_route_is_nobodys_to_release),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
