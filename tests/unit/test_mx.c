/*
 * mx: sorted by preference, shuffled among equals, cut at ourselves, safe.
 */
#include "relay/net/mx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* xorshift32: the same numbers in every run. */
static uint32_t next_random(void *user)
{
    uint32_t *x = user;

    *x ^= *x << 13;
    *x ^= *x >> 17;
    *x ^= *x << 5;
    return *x;
}

static struct mx_set prepare(const struct mx_record *records, size_t count,
                             uint32_t seed)
{
    struct mx_set set;

    mx_prepare(records, count, SPAN("relay.example"), next_random, &seed, &set);
    return set;
}

static void assert_span(struct span got, const char *want)
{
    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.at, want, got.len);
}

static void a_record_is_a_preference_and_a_name(void **state)
{
    struct buffer name = { 0 };
    uint16_t preference = 0;

    (void)state;
    assert_true(mx_record_read(SPAN("\x01\x02\5Mail1\7example\0"), &preference,
                               &name));
    assert_int_equal(preference, 0x102);
    assert_span(buffer_span(&name), "mail1.example");
    assert_true(mx_record_read(SPAN("\0\0\0"), &preference, &name));
    assert_int_equal(preference, 0);
    assert_int_equal(name.len, 0);
    assert_true(mx_record_read(SPAN("\377\377\2""10\1""0\1""0\1""1\0"),
                               &preference, &name));
    assert_int_equal(preference, 65535);
    assert_span(buffer_span(&name), "10.0.0.1");
    buffer_fini(&name);
}

static void a_record_that_is_not_well_formed_is_passed_over(void **state)
{
    static const struct span rows[] = {
        SPAN_INIT(""),
        SPAN_INIT("\0\1"),
        SPAN_INIT("\0\1\4mail"),             /* no root */
        SPAN_INIT("\0\1\5mail\0"),           /* label over the end */
        SPAN_INIT("\0\1\4mail\0\0"),         /* bytes after the root */
        SPAN_INIT("\0\1\300\14"),            /* compressed */
        SPAN_INIT("\0\1\100mail\0"),         /* length 64 */
        SPAN_INIT("\0\1\5ma.il\0"),          /* no host's names: */
        SPAN_INIT("\0\1\5ma il\0"),
        SPAN_INIT("\0\1\5ma\nil\0"),
        SPAN_INIT("\0\1\5ma\\il\0"),
        SPAN_INIT("\0\1\5ma\0il\0"),
        SPAN_INIT("\0\1\5m[1]l\0"),
        SPAN_INIT("\0\1\2\303\244\0"),
    };
    struct buffer name = { 0 };
    uint16_t preference = 7;
    char over[2 + 5 * 62 + 1] = { 0 };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_false(mx_record_read(rows[i], &preference, &name));
    memset(over + 2, 'a', sizeof over - 3);
    for (size_t i = 0; i < 5; i++)
        over[2 + 62 * i] = 61;
    assert_false(mx_record_read(span_make(over, sizeof over), &preference,
                                &name));
    assert_int_equal(preference, 7);
    buffer_fini(&name);
}

static void hosts_are_sorted_by_preference(void **state)
{
    static const struct mx_record records[] = {
        { SPAN_INIT("c"), 65535 }, { SPAN_INIT("b"), 256 },
        { SPAN_INIT("a"), 0 },     { SPAN_INIT("d"), 255 },
    };

    (void)state;
    for (uint32_t seed = 1; seed < 50; seed++) {
        struct mx_set set = prepare(records, COUNT(records), seed);

        assert_int_equal(set.count, 4);
        for (size_t i = 0; i < 4; i++)
            assert_int_equal(set.targets[i].name.at[0], "adbc"[i]);
        assert_int_equal(set.targets[3].preference, 65535);
        assert_false(set.is_cut || set.is_null || set.is_implicit);
    }
}

/* chi-square, 9 degrees of freedom, p = 1e-4: 33.7 */
static void equal_hosts_stand_in_each_place_equally_often(void **state)
{
    enum { HOSTS = 10, ROUNDS = 5000 };
    static const char letters[] = "abcdefghij";
    struct mx_record records[HOSTS];
    unsigned seen[HOSTS][HOSTS] = { { 0 } };
    uint32_t seed = 20240501;

    (void)state;
    for (size_t i = 0; i < HOSTS; i++)
        records[i] = (struct mx_record){ span_make(letters + i, 1), 10 };
    for (size_t n = 0; n < ROUNDS; n++) {
        struct mx_set set;

        mx_prepare(records, HOSTS, SPAN(""), next_random, &seed, &set);
        assert_int_equal(set.count, HOSTS);
        for (size_t i = 0; i < HOSTS; i++)
            seen[i][set.targets[i].name.at[0] - 'a']++;
    }
    for (size_t i = 0; i < HOSTS; i++) {
        double chi = 0, expected = (double)ROUNDS / HOSTS;

        for (size_t k = 0; k < HOSTS; k++)
            chi += (seen[i][k] - expected) * (seen[i][k] - expected) / expected;
        assert_true(chi < 33.7);
    }
}

static void our_own_name_cuts_what_is_not_better(void **state)
{
    static const struct {
        uint16_t ours;
        size_t left;
    } rows[] = { { 0, 0 }, { 5, 0 }, { 7, 1 }, { 10, 1 }, { 15, 3 }, { 99, 4 } };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct mx_record records[] = {
            { SPAN("a"), 5 },
            { SPAN("b1"), 10 },
            { SPAN("Relay.EXAMPLE"), rows[i].ours },
            { SPAN("b2"), 10 },
            { SPAN("c"), 20 },
        };

        for (uint32_t seed = 1; seed < 20; seed++) {
            struct mx_set set = prepare(records, COUNT(records), seed);

            assert_int_equal(set.count, rows[i].left);
            assert_true(set.is_cut);
        }
    }
}

static void a_name_that_stands_twice_counts_once_and_best(void **state)
{
    static const struct mx_record records[] = {
        { SPAN_INIT("a"), 30 },
        { SPAN_INIT("b"), 20 },
        { SPAN_INIT("A"), 10 },
        { SPAN_INIT("a"), 40 },
    };
    struct mx_set set = prepare(records, COUNT(records), 1);

    (void)state;
    assert_int_equal(set.count, 2);
    assert_int_equal(set.targets[0].preference, 10);
    assert_span(set.targets[1].name, "b");
}

static void a_null_mx_is_one_only_when_alone(void **state)
{
    static const struct mx_record records[] = { { SPAN_INIT(""), 0 },
                                                { SPAN_INIT("a"), 10 } };
    struct mx_set set = prepare(records, 1, 1);

    (void)state;
    assert_true(set.is_null);
    assert_int_equal(set.count, 0);
    set = prepare(records, 2, 1);
    assert_false(set.is_null);
    assert_int_equal(set.count, 1);
}

static void a_hundred_records_are_looked_at_and_ten_hosts_kept(void **state)
{
    struct mx_record records[MX_RECORDS + 1];
    char names[MX_RECORDS + 1][8];
    struct mx_set set;

    (void)state;
    for (size_t i = 0; i < COUNT(records); i++) {
        int len = snprintf(names[i], sizeof names[i], "h%zu", i);

        records[i] = (struct mx_record){ span_make(names[i], (size_t)len),
                                         (uint16_t)(1000 - i) };
    }
    set = prepare(records, COUNT(records), 1);
    assert_int_equal(set.count, LIMIT_MX_HOSTS);
    assert_span(set.targets[0].name, "h99");
    assert_span(set.targets[9].name, "h90");
}

/*
 * A target in a line: "PREFERENCE FAMILY...", where a family is addresses with commas, or
 * "nx", "none", "fail"; IPv4 first. The answer: which letters are left and the flags.
 */
struct choice_row {
    const char *targets[4];
    const char *hosts; /* their numbers */
    enum resolver_kind kind;
    bool is_own, is_unsafe;
};

static void read_family(struct span text, struct mx_addresses *out)
{
    *out = (struct mx_addresses){ .kind = RESOLVER_OK };
    if (span_is(text, SPAN("nx")))
        out->kind = RESOLVER_NO_DOMAIN;
    else if (span_is(text, SPAN("none")))
        out->kind = RESOLVER_NO_DATA;
    else if (span_is(text, SPAN("fail")))
        out->kind = RESOLVER_FAILED;
    else
        while (text.len > 0)
            assert_true(host_address_parse(span_split(text, ',', &text),
                                           &out->at[out->count++]));
}

static void read_targets(const char *const *lines, struct mx_set *out)
{
    *out = (struct mx_set){ 0 };
    for (size_t i = 0; i < 4 && lines[i]; i++) {
        struct mx_target *t = &out->targets[out->count++];
        struct span rest = span_of(lines[i]);
        uint64_t preference;

        assert_true(span_number(span_split(rest, ' ', &rest), &preference));
        t->name = span_make(&"0123"[i], 1);
        t->preference = (uint16_t)preference;
        read_family(span_split(rest, ' ', &rest), &t->v4);
        read_family(rest, &t->v6);
    }
}

static void own_and_unsafe_addresses_are_left_out(void **state)
{
    static const struct choice_row rows[] = {
        { { "5 192.0.2.1 none", "10 192.0.2.2 2001:db8::2" }, "01" },
        { { "5 10.0.0.1 none", "10 192.168.1.1 fc00::1" }, "01" },
        { { "5 nx nx", "10 192.0.2.2 none" }, "1" },
        { { "5 fail fail", "10 192.0.2.2 none" }, "1" },
        { { "5 fail 2001:db8::1" }, "0" },
        { { "5 192.0.2.1 fail" }, "0" },
        /* none left, and why */
        { { "5 nx nx", "10 none none" }, "", RESOLVER_NO_DATA },
        { { "5 fail none", "10 none none" }, "", RESOLVER_FAILED },
        { { "5 none none", "10 none fail" }, "", RESOLVER_FAILED },
        /* unsafe */
        { { "5 127.0.0.1 none" }, "", RESOLVER_OK, false, true },
        { { "5 none ::1" }, "", RESOLVER_OK, false, true },
        { { "5 none ::ffff:127.0.0.1" }, "", RESOLVER_OK, false, true },
        { { "5 0.0.0.0,169.254.1.1,224.0.0.1,255.255.255.255 fe80::1,ff02::1" },
          "", RESOLVER_OK, false, true },
        { { "5 127.0.0.1 none", "10 192.0.2.2 none" }, "1" },
        { { "5 127.0.0.1,192.0.2.1 none" }, "0" },
        { { "5 127.0.0.1 none", "10 fail none" }, "", RESOLVER_FAILED },
        { { "5 127.0.0.1 fail" }, "", RESOLVER_FAILED },
        /* ours: 192.0.2.99, 2001:db8::99, and loopback, which does not count */
        { { "5 192.0.2.99 none" }, "", RESOLVER_OK, true },
        { { "5 192.0.2.1 none", "10 192.0.2.99 none", "20 192.0.2.3 none" },
          "0" },
        { { "5 192.0.2.1 none", "5 192.0.2.2,192.0.2.99 none" }, "",
          RESOLVER_OK, true },
        { { "5 192.0.2.1 none", "10 192.0.2.2 none",
            "10 none 2001:db8::99", "10 192.0.2.4 none" }, "0" },
        { { "5 127.0.0.1 none", "10 192.0.2.99 none" }, "", RESOLVER_OK, true },
        { { "5 fail none", "10 192.0.2.99 none" }, "", RESOLVER_FAILED },
        { { "10 192.0.2.99 none", "20 fail none" }, "", RESOLVER_OK, true },
        { { "10 fail none", "10 192.0.2.99 none" }, "", RESOLVER_OK, true },
    };
    struct host_address own[3];
    struct mx_rules rules = { .own = own, .own_count = 3 };

    (void)state;
    assert_true(host_address_parse(SPAN("192.0.2.99"), &own[0]));
    assert_true(host_address_parse(SPAN("2001:db8::99"), &own[1]));
    assert_true(host_address_parse(SPAN("127.0.0.1"), &own[2]));
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct mx_set set;
        struct mx_choice c;

        read_targets(rows[i].targets, &set);
        mx_choose(&set, &rules, &c);
        assert_int_equal(c.answer.kind, rows[i].kind);
        assert_int_equal(c.answer.is_own, rows[i].is_own);
        assert_int_equal(c.answer.is_unsafe, rows[i].is_unsafe);
        assert_int_equal(c.answer.count, strlen(rows[i].hosts));
        for (size_t k = 0; k < c.answer.count; k++) {
            const struct mx_host *h = &c.answer.hosts[k];

            assert_int_equal(h->name.at[0], rows[i].hosts[k]);
            assert_true(h->count > 0);
            for (size_t n = 0; n < h->count; n++)
                assert_false(host_address_is_unsafe_target(&h->addresses[n]));
        }
        assert_int_equal(c.answer.count == 0, c.answer.why.len > 0);
    }
}

static void a_smarthost_may_be_ours_or_loopback(void **state)
{
    static const char *const lines[4] = { "0 127.0.0.1 ::1" };
    struct host_address own;
    struct mx_rules rules = { .own = &own, .own_count = 1, .allow_unsafe = true };
    struct mx_set set;
    struct mx_choice c;

    (void)state;
    assert_true(host_address_parse(SPAN("127.0.0.1"), &own));
    read_targets(lines, &set);
    mx_choose(&set, &rules, &c);
    assert_int_equal(c.answer.kind, RESOLVER_OK);
    assert_int_equal(c.answer.hosts[0].count, 2);
}

static void eight_addresses_of_a_host_families_in_turn(void **state)
{
    struct mx_rules rules = { 0 };
    struct mx_set set = { .count = 1 };
    struct mx_choice c;

    (void)state;
    set.targets[0].name = SPAN("a");
    set.targets[0].v4.count = set.targets[0].v6.count = MX_HOST_ADDRESSES;
    for (unsigned char i = 0; i < MX_HOST_ADDRESSES; i++) {
        set.targets[0].v4.at[i] = (struct host_address){
            { [10] = 0xff, 0xff, 192, 0, 2, i }
        };
        set.targets[0].v6.at[i] = (struct host_address){ { 0x20, 1, [15] = i } };
    }
    mx_choose(&set, &rules, &c);
    assert_int_equal(c.answer.hosts[0].count, MX_HOST_ADDRESSES);
    for (size_t i = 0; i < MX_HOST_ADDRESSES; i++) {
        const struct host_address *a = &c.answer.hosts[0].addresses[i];

        assert_int_equal(host_address_is_v4(a), i % 2);
        assert_int_equal(a->bytes[15], i / 2);
    }
}

static void a_domain_without_records_is_its_own_host(void **state)
{
    struct mx_rules rules = { 0 };
    struct mx_set set;
    struct mx_choice c;

    (void)state;
    mx_prepare_host(SPAN("a.example"), SPAN("relay.example"), &set);
    assert_int_equal(set.count, 1);
    set.targets[0].v4.kind = set.targets[0].v6.kind = RESOLVER_NO_DOMAIN;
    mx_choose(&set, &rules, &c);
    assert_int_equal(c.answer.kind, RESOLVER_NO_DOMAIN);
    set.targets[0].v4.kind = set.targets[0].v6.kind = RESOLVER_NO_DATA;
    mx_choose(&set, &rules, &c);
    assert_int_equal(c.answer.kind, RESOLVER_NO_DATA);
    mx_prepare_host(SPAN("relay.example."), SPAN("relay.example"), &set);
    mx_choose(&set, &rules, &c);
    assert_int_equal(c.answer.kind, RESOLVER_OK);
    assert_true(c.answer.is_own);
    assert_int_equal(c.answer.count, 0);
}

static void it_is_secure_when_all_of_it_is(void **state)
{
    static const char *const lines[4] = { "5 192.0.2.1 2001:db8::1",
                                          "10 192.0.2.2 none" };

    (void)state;
    for (unsigned bits = 0; bits < 16; bits++) {
        struct mx_rules rules = { 0 };
        struct mx_set set;
        struct mx_choice c;

        read_targets(lines, &set);
        set.is_secure = bits & 1;
        set.targets[0].v4.is_secure = bits & 2;
        set.targets[0].v6.is_secure = bits & 4;
        set.targets[1].v4.is_secure = bits & 8;
        mx_choose(&set, &rules, &c);
        assert_int_equal(c.answer.is_secure, bits == 15);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_a_preference_and_a_name),
        cmocka_unit_test(a_record_that_is_not_well_formed_is_passed_over),
        cmocka_unit_test(hosts_are_sorted_by_preference),
        cmocka_unit_test(equal_hosts_stand_in_each_place_equally_often),
        cmocka_unit_test(our_own_name_cuts_what_is_not_better),
        cmocka_unit_test(a_name_that_stands_twice_counts_once_and_best),
        cmocka_unit_test(a_null_mx_is_one_only_when_alone),
        cmocka_unit_test(a_hundred_records_are_looked_at_and_ten_hosts_kept),
        cmocka_unit_test(own_and_unsafe_addresses_are_left_out),
        cmocka_unit_test(a_smarthost_may_be_ours_or_loopback),
        cmocka_unit_test(eight_addresses_of_a_host_families_in_turn),
        cmocka_unit_test(a_domain_without_records_is_its_own_host),
        cmocka_unit_test(it_is_secure_when_all_of_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
