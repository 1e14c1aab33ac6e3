/*
 * Greylisting: who has to wait, who does not, and what is remembered.
 */
#include "policy/greylist.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

enum { S = 1000 };
static const int64_t now = 1000000 * (int64_t)S;

static struct rule rule(uint32_t clients_after)
{
    return (struct rule){ .greylist = { .delay_ms = 300 * S,
                                        .window_ms = 7200 * S,
                                        .keep_ms = 100000 * S,
                                        .clients_after = clients_after } };
}

/* "pass" or "wait SECONDS", and the notes with how long they live */
static void put(char *out, size_t size, const struct greylist_answer *a)
{
    int n = snprintf(out, size, "%s %lld", a->passes ? "pass" : "wait",
                     (long long)(a->wait_ms / S));

    if (a->pair.is_set)
        n += snprintf(out + n, size - (size_t)n, " pair(%s)%lld", a->pair.text,
                      (long long)((a->pair.expire_ms - now) / S));
    if (a->client.is_set)
        (void)snprintf(out + n, size - (size_t)n, " client(%s)%lld",
                       a->client.text,
                       (long long)((a->client.expire_ms - now) / S));
}

struct row {
    const char *pair, *client;
    uint32_t clients_after;
    const char *expected;
};

static void check(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct rule r = rule(rows[i].clients_after);
        struct greylist_answer a = greylist_ask(&r, span_of(rows[i].pair),
                                                span_of(rows[i].client), now);
        char said[200];

        put(said, sizeof said, &a);
        assert_string_equal(said, rows[i].expected);
    }
}

#define CHECK(rows) check(rows, sizeof(rows) / sizeof(rows)[0])

static void a_pair_waits_once_and_is_known_then(void **state)
{
    static const struct row rows[] = {
        { "", "", 5, "wait 300 pair(1000000000 0 0)7200" },
        /* too early, a moment too early, and just late enough */
        { "999999000 0 0", "", 5, "wait 299" },
        { "999700001 0 0", "", 5, "wait 0" },
        { "999700000 0 0", "", 5,
          "pass 0 pair(999700000 1000000000 1)100000 client(1000000000 1)"
          "100000" },
        { "992800000 0 0", "", 5,
          "pass 0 pair(992800000 1000000000 1)100000 client(1000000000 1)"
          "100000" },
        /* so late that it is a first knock again */
        { "992799999 0 0", "", 5, "wait 300 pair(1000000000 0 0)7200" },
        /* known: written again once an hour */
        { "900000000 999000000 3", "", 5, "pass 0" },
        { "900000000 996400000 3", "", 5,
          "pass 0 pair(900000000 1000000000 4)100000" },
    };

    (void)state;
    CHECK(rows);
}

static void a_network_that_has_passed_often_is_not_asked(void **state)
{
    static const struct row rows[] = {
        { "999700000 0 0", "999000000 4", 5,
          "pass 0 pair(999700000 1000000000 1)100000 client(1000000000 5)"
          "100000" },
        { "", "999000000 5", 5, "pass 0" },
        { "", "990000000 5", 5, "pass 0 client(1000000000 5)100000" },
        { "", "999000000 4", 5, "wait 300 pair(1000000000 0 0)7200" },
        /* 0: always asked, and not remembered */
        { "", "999000000 99", 0, "wait 300 pair(1000000000 0 0)7200" },
        { "999700000 0 0", "", 0, "pass 0 pair(999700000 1000000000 1)100000" },
    };

    (void)state;
    CHECK(rows);
}

static void a_note_that_cannot_be_read_is_none(void **state)
{
    static const struct row rows[] = {
        { "x", "y", 5, "wait 300 pair(1000000000 0 0)7200" },
        { "999700000 0", "", 5, "wait 300 pair(1000000000 0 0)7200" },
        { "999700000 0 0 0", "", 5, "wait 300 pair(1000000000 0 0)7200" },
        { "18446744073709551615 0 0", "", 5,
          "wait 300 pair(1000000000 0 0)7200" },
        /* of tomorrow: a clock was put back */
        { "2000000000 0 0", "", 5, "wait 300 pair(1000000000 0 0)7200" },
        { "", "5 -1", 5, "wait 300 pair(1000000000 0 0)7200" },
    };

    (void)state;
    CHECK(rows);
}

static void address_of(const char *text, struct address *out)
{
    struct span rest;

    assert_int_equal(
        address_parse_path(span_of(text), PATH_REVERSE, true, out, &rest),
        ADDRESS_OK);
}

static void neighbours_are_one_client(void **state)
{
    static const struct {
        const char *client, *from, *to, *pair, *of_client;
    } rows[] = {
        { "192.0.2.77", "<A@Ext.test>", "<b@OK.test>",
          "grey\t192.0.2.0/24 a@ext.test b@ok.test",
          "greyclient\t192.0.2.0/24" },
        { "::ffff:192.0.2.1", "<>", "<b@ok.test>",
          "grey\t192.0.2.0/24 <> b@ok.test", "greyclient\t192.0.2.0/24" },
        { "2001:db8:1:2:3::4", "<a@b.test>", "<c@d.test>",
          "grey\t2001:db8:1:2::/64 a@b.test c@d.test",
          "greyclient\t2001:db8:1:2::/64" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct host_address client;
        struct address from, to;
        struct buffer b = { 0 };

        assert_true(host_address_parse(span_of(rows[i].client), &client));
        address_of(rows[i].from, &from);
        address_of(rows[i].to, &to);
        greylist_pair_key(&b, &client, &from, &to);
        assert_string_equal(buffer_string(&b), rows[i].pair);
        buffer_clear(&b);
        greylist_client_key(&b, &client);
        assert_string_equal(buffer_string(&b), rows[i].of_client);
        buffer_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pair_waits_once_and_is_known_then),
        cmocka_unit_test(a_network_that_has_passed_often_is_not_asked),
        cmocka_unit_test(a_note_that_cannot_be_read_is_none),
        cmocka_unit_test(neighbours_are_one_client),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
