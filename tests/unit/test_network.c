/*
 * Hosts and networks: strict forms, one host behind two spellings, and where
 * mail must never go.
 */
#include "policy/networks.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

static struct host_address host(const char *text)
{
    struct host_address a;

    if (!host_address_parse(span_of(text), &a))
        fail_msg("%s is not an address", text);
    return a;
}

static struct network net(const char *text)
{
    struct network n;

    if (!network_parse(span_of(text), &n))
        fail_msg("%s is not a network", text);
    return n;
}

static void an_address_has_one_strict_form(void **state)
{
    static const char *const bad[] = {
        "",
        "127.1",
        "0x7f.0.0.1",
        "2130706433",
        "127.0.0.01",
        "256.1.1.1",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.4 ",
        " 1.2.3.4",
        "fe80::1%eth0",
        ":::",
        "1::2::3",
        "[::1]",
        "::1/128",
        "12345::",
        "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000",
        "a.b.c.d",
    };
    struct host_address a;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (host_address_parse(span_of(bad[i]), &a))
            fail_msg("%s was taken", bad[i]);
    assert_false(host_address_parse(span_make("1.2.3.4\0", 8), &a));
    a = host("192.0.2.1");
    assert_true(host_address_is_v4(&a));
    a = host("2001:db8::1");
    assert_false(host_address_is_v4(&a));
}

static void a_mapped_address_is_the_plain_one(void **state)
{
    struct host_address a = host("::ffff:192.0.2.1"), b = host("192.0.2.1"),
                        c = host("192.0.2.2");
    struct network nets[] = { net("192.0.2.0/24"),
                              net("::ffff:192.0.2.0/120") };

    (void)state;
    assert_true(host_address_is(&a, &b));
    assert_false(host_address_is(&a, &c));
    for (size_t i = 0; i < 2; i++) {
        struct arena arena = { 0 };
        struct networks set;

        networks_init(&set, &arena, &nets[i], 1);
        assert_true(networks_have(&set, &a));
        assert_true(networks_have(&set, &b));
        arena_reset(&arena);
    }
}

static void addresses_print_as_they_are_read(void **state)
{
    static const struct {
        const char *in, *plain, *literal;
    } rows[] = {
        { "192.0.2.1", "192.0.2.1", "192.0.2.1" },
        { "::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1" },
        { "2001:DB8:0:0::1", "2001:db8::1", "IPv6:2001:db8::1" },
        { "::1", "::1", "IPv6:::1" },
    };
    struct buffer b = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct host_address a = host(rows[i].in);

        buffer_clear(&b);
        host_address_print(&b, &a);
        assert_string_equal(buffer_string(&b), rows[i].plain);
        buffer_clear(&b);
        host_literal_print(&b, &a);
        assert_string_equal(buffer_string(&b), rows[i].literal);
    }
    buffer_fini(&b);
}

static void a_literal_says_its_family(void **state)
{
    static const struct {
        const char *text;
        bool ok;
    } rows[] = {
        { "[192.0.2.1]", true },
        { "192.0.2.1", true },
        { "[IPv6:2001:db8::1]", true },
        { "[ipv6:::1]", true },
        { "[IPv6:::ffff:127.0.0.1]", true },
        { "2001:db8::1", true },
        { "[2001:db8::1]", false },
        { "[IPv6:192.0.2.1]", false },
        { "[0x7f.1]", false },
        { "[2130706433]", false },
        { "[127.1]", false },
        { "[999.1.1.1]", false },
        { "[]", false },
        { "[", false },
        { "[192.0.2.1", false },
        { "[IPv6:]", false },
        { "[192.0.2.1]]", false },
        { "[x:y]", false },
    };
    struct host_address a;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (host_literal_parse(span_of(rows[i].text), &a) != rows[i].ok)
            fail_msg("%s", rows[i].text);
}

static void a_network_has_no_bits_below_its_length(void **state)
{
    static const char *const bad[] = {
        "10.0.0.1/8",   "10.0.0.0/33",   "10.0.0.0/", "10.0.0.0/-1", "10/8",
        "10.0.0.0/8/8", "::1/127",       "::/129",    "x/8",         "",
        "/8",           "10.0.0.0/0008",
    };
    static const char *const good[] = {
        "10.0.0.0/8", "0.0.0.0/0", "192.0.2.1",     "192.0.2.1/32",
        "::/0",       "::1/128",   "2001:db8::/32", "::1",
    };
    struct network n;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (network_parse(span_of(bad[i]), &n))
            fail_msg("%s was taken", bad[i]);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        (void)net(good[i]);
}

static void a_network_has_its_hosts_and_no_others(void **state)
{
    static const struct {
        const char *network, *host;
        bool has;
    } rows[] = {
        { "10.0.0.0/8", "10.255.255.255", true },
        { "10.0.0.0/8", "11.0.0.0", false },
        { "192.0.2.128/25", "192.0.2.128", true },
        { "192.0.2.128/25", "192.0.2.127", false },
        { "192.0.2.1", "192.0.2.1", true },
        { "192.0.2.1", "192.0.2.3", false },
        { "2001:db8::/33", "2001:db8:7fff::1", true },
        { "2001:db8::/33", "2001:db8:8000::1", false },
        { "::/0", "2001:db8::1", true },
        { "::/0", "192.0.2.1", false },
        { "0.0.0.0/0", "192.0.2.1", true },
        { "0.0.0.0/0", "2001:db8::1", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct network n = net(rows[i].network);
        struct host_address a = host(rows[i].host);
        struct arena arena = { 0 };
        struct networks set;

        networks_init(&set, &arena, &n, 1);
        if (networks_have(&set, &a) != rows[i].has)
            fail_msg("%s in %s", rows[i].host, rows[i].network);
        arena_reset(&arena);
    }
}

static void many_networks_are_searched_as_ranges(void **state)
{
    struct network all[] = { net("10.0.2.0/24"),   net("10.0.0.0/24"),
                             net("10.0.1.0/24"),   net("10.0.1.7"),
                             net("172.16.0.0/12"), net("2001:db8::/32"),
                             net("192.0.2.255") };
    static const char *const in[] = { "10.0.0.0",    "10.0.1.7",
                                      "10.0.2.255",  "172.31.255.255",
                                      "2001:db8::1", "192.0.2.255" };
    static const char *const out[] = {
        "9.255.255.255", "10.0.3.0",   "172.32.0.0", "192.0.2.254",
        "192.0.3.0",     "2001:db9::", "::1"
    };
    struct arena arena = { 0 };
    struct networks set;

    (void)state;
    networks_init(&set, &arena, all, sizeof all / sizeof all[0]);
    /* three neighbours and one inside of one became one range */
    assert_int_equal(set.v4_count, 3);
    for (size_t i = 0; i < sizeof in / sizeof in[0]; i++) {
        struct host_address a = host(in[i]);

        assert_true(networks_have(&set, &a));
    }
    for (size_t i = 0; i < sizeof out / sizeof out[0]; i++) {
        struct host_address a = host(out[i]);

        assert_false(networks_have(&set, &a));
    }
    arena_reset(&arena);
}

static void everything_is_seen_in_pieces_too(void **state)
{
    static const struct {
        const char *a, *b;
        bool everything;
    } rows[] = {
        { "0.0.0.0/0", NULL, true },
        { "::/0", NULL, true },
        { "2000::/3", NULL, true },
        { "0.0.0.0/1", "128.0.0.0/1", true },
        { "2000::/4", "3000::/4", true },
        { "0.0.0.0/1", NULL, false },
        { "10.0.0.0/8", "2001:db8::/32", false },
        { "::ffff:0:0/96", NULL, true },
        { "fc00::/7", NULL, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct network all[2] = { net(rows[i].a) };
        struct arena arena = { 0 };
        struct networks set;

        if (rows[i].b)
            all[1] = net(rows[i].b);
        networks_init(&set, &arena, all, rows[i].b ? 2 : 1);
        if (networks_are_everything(&set) != rows[i].everything)
            fail_msg("%s", rows[i].a);
        arena_reset(&arena);
    }
}

static void some_targets_are_never_connected(void **state)
{
    static const char *const unsafe[] = {
        "0.0.0.0",     "0.1.2.3",   "127.0.0.1",        "127.255.0.1",
        "169.254.1.1", "224.0.0.1", "239.255.255.255",  "255.255.255.255",
        "::",          "::1",       "::ffff:127.0.0.1", "::127.0.0.1",
        "fe80::1",     "febf::1",   "ff02::1",
    };
    static const char *const safe[] = { "10.0.0.1", "192.168.1.1",
                                        "1.1.1.1",  "2001:db8::1",
                                        "fd00::1",  "128.0.0.1" };

    (void)state;
    for (size_t i = 0; i < sizeof unsafe / sizeof unsafe[0]; i++) {
        struct host_address a = host(unsafe[i]);

        if (!host_address_is_unsafe_target(&a))
            fail_msg("%s is unsafe", unsafe[i]);
    }
    for (size_t i = 0; i < sizeof safe / sizeof safe[0]; i++) {
        struct host_address a = host(safe[i]);

        if (host_address_is_unsafe_target(&a) || host_address_is_loopback(&a))
            fail_msg("%s is safe", safe[i]);
    }
}

static void loopback_is_both_families(void **state)
{
    struct host_address a = host("127.8.0.1"), b = host("::1"), c = host("::2");

    (void)state;
    assert_true(host_address_is_loopback(&a));
    assert_true(host_address_is_loopback(&b));
    assert_false(host_address_is_loopback(&c));
}

static void an_address_is_written_backwards_for_the_dns(void **state)
{
    static const struct {
        const char *address, *reversed;
    } rows[] = {
        { "192.0.2.10", "10.2.0.192" },
        { "::ffff:192.0.2.10", "10.2.0.192" },
        { "0.0.0.0", "0.0.0.0" },
        { "2001:db8::567:89ab", "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0."
                                "0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2" },
    };
    struct buffer b = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct host_address a = host(rows[i].address);

        buffer_clear(&b);
        host_reversed_print(&b, &a);
        assert_string_equal(buffer_string(&b), rows[i].reversed);
    }
    buffer_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_has_one_strict_form),
        cmocka_unit_test(a_mapped_address_is_the_plain_one),
        cmocka_unit_test(addresses_print_as_they_are_read),
        cmocka_unit_test(a_literal_says_its_family),
        cmocka_unit_test(a_network_has_no_bits_below_its_length),
        cmocka_unit_test(a_network_has_its_hosts_and_no_others),
        cmocka_unit_test(many_networks_are_searched_as_ranges),
        cmocka_unit_test(everything_is_seen_in_pieces_too),
        cmocka_unit_test(some_targets_are_never_connected),
        cmocka_unit_test(loopback_is_both_families),
        cmocka_unit_test(an_address_is_written_backwards_for_the_dns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
