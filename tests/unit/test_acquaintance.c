/*
 * test_acquaintance - what is known of destinations.
 */
#include "relay/net/acquaintance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void tls_is(const struct acquaintance_row *r, const char *wanted)
{
    struct buffer b = { 0 };

    acquaintance_put_tls(&b, r);
    assert_string_equal(buffer_string(&b), wanted);
    buffer_fini(&b);
}

static void deliveries_add_up_and_times_are_smoothed(void **state)
{
    struct acquaintance *a = acquaintance_new();
    struct acquaintance_news n = { .sent = 2,
                                   .bounced = 1,
                                   .delivery_ms = 800,
                                   .protocol = "TLSv1.3",
                                   .trust = TLS_VERIFIED,
                                   .is_connected = true,
                                   .reply = SPAN("250 Ok"),
                                   .now_ms = 5000 };
    struct acquaintance_row r;

    (void)state;
    assert_false(acquaintance_find(a, SPAN("mx:a.example"), &r));
    acquaintance_note(a, SPAN("mx:a.example"), &n);
    n.delivery_ms = 1600;
    n.now_ms = 6000;
    acquaintance_note(a, SPAN("mx:a.example"), &n);
    assert_true(acquaintance_find(a, SPAN("mx:a.example"), &r));
    assert_int_equal(r.sent, 4);
    assert_int_equal(r.bounced, 2);
    assert_int_equal(r.deferred, 0);
    assert_int_equal(r.delivery_ms, 900);
    assert_int_equal(r.last_ms, 6000);
    assert_int_equal(r.sent_ms, 6000);
    assert_string_equal(r.reply, "250 Ok");
    tls_is(&r, "Verified TLSv1.3");
    assert_false(acquaintance_find(a, SPAN("mx:b.example"), &r));
    n.sent = 0; /* "later" is no sign that it takes mail */
    n.now_ms = 7000;
    acquaintance_note(a, SPAN("mx:a.example"), &n);
    assert_true(acquaintance_find(a, SPAN("mx:a.example"), &r));
    assert_int_equal(r.last_ms, 7000);
    assert_int_equal(r.sent_ms, 6000);
    acquaintance_free(a);
}

static void what_failed_before_a_connection_leaves_what_was_known(void **state)
{
    struct acquaintance *a = acquaintance_new();
    struct acquaintance_news good = { .sent = 1,
                                      .delivery_ms = 70,
                                      .protocol = "TLSv1.2",
                                      .trust = TLS_UNTRUSTED,
                                      .is_connected = true,
                                      .reply = SPAN("250 Ok") };
    struct acquaintance_news bad = { .deferred = 1, .delivery_ms = -1 };
    struct acquaintance_news clear = { .sent = 1,
                                       .delivery_ms = 70,
                                       .is_connected = true };
    struct acquaintance_row r;

    (void)state;
    acquaintance_note(a, SPAN("x"), &good);
    acquaintance_note(a, SPAN("x"), &bad);
    assert_true(acquaintance_find(a, SPAN("x"), &r));
    assert_int_equal(r.delivery_ms, 70);
    assert_string_equal(r.reply, "250 Ok");
    assert_int_equal(r.deferred, 1);
    tls_is(&r, "Untrusted TLSv1.2");
    acquaintance_note(a, SPAN("x"), &clear);
    assert_true(acquaintance_find(a, SPAN("x"), &r));
    tls_is(&r, "none");
    acquaintance_free(a);
}

static void any_number_of_destinations_needs_no_more_memory(void **state)
{
    struct acquaintance *a = acquaintance_new();
    struct acquaintance_news n = { .sent = 1, .delivery_ms = 1 };
    struct acquaintance_row r;
    struct buffer name = { 0 };
    int known = 0;

    (void)state;
    for (int i = 0; i < 5 * ACQUAINTANCES; i++) {
        buffer_clear(&name);
        buffer_printf(&name, "mx:d%d.example", i);
        n.now_ms = i + 1;
        acquaintance_note(a, buffer_span(&name), &n);
        assert_true(acquaintance_find(a, buffer_span(&name), &r));
    }
    for (int i = 0; i < 5 * ACQUAINTANCES; i++) {
        buffer_clear(&name);
        buffer_printf(&name, "mx:d%d.example", i);
        known += acquaintance_find(a, buffer_span(&name), &r);
    }
    assert_true(known <= ACQUAINTANCES && known > ACQUAINTANCES / 2);
    buffer_fini(&name);
    acquaintance_free(a);
}

static void long_names_and_replies_are_cut(void **state)
{
    struct acquaintance *a = acquaintance_new();
    char name[2000], other[2000];
    struct acquaintance_news n = { .sent = 1, .delivery_ms = -1 };
    struct acquaintance_row r;

    (void)state;
    memset(name, 'a', sizeof name);
    memcpy(other, name, sizeof name);
    other[sizeof other - 1] = 'b';
    n.reply = span_make(name, sizeof name);
    acquaintance_note(a, span_make(name, sizeof name), &n);
    assert_true(acquaintance_find(a, span_make(name, sizeof name), &r));
    assert_int_equal(strlen(r.reply), ACQUAINTANCE_REPLY);
    assert_false(acquaintance_find(a, span_make(other, sizeof other), &r));
    acquaintance_note(NULL, SPAN("x"), &n);
    assert_false(acquaintance_find(NULL, SPAN("x"), &r));
    acquaintance_free(a);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(deliveries_add_up_and_times_are_smoothed),
        cmocka_unit_test(what_failed_before_a_connection_leaves_what_was_known),
        cmocka_unit_test(any_number_of_destinations_needs_no_more_memory),
        cmocka_unit_test(long_names_and_replies_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
