/*
 * test_seal - what a receiver computes with its own HMAC is what we send.
 */
#include "relay/main/seal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void a_seal_is_the_hmac_of_time_and_body(void **state)
{
    /* printf '%s' TIME.BODY | openssl dgst -sha256 -hmac SECRET */
    static const struct {
        const char *secret, *body, *expected;
        int64_t at;
    } rows[] = {
        { "s3cret", "{}",
          "t=1700000000,v1="
          "97926816e98fbb41ccb1673225ff29a2f35369099990e1b1561651e7bd097ebf",
          1700000000 },
        { "s3cret", "{}",
          "t=1700000001,v1="
          "3be6d481d87e34169cfed1028080c7e21bd258bd0b40e32f334c65570a559e5d",
          1700000001 },
        { "another secret that is longer than the sixty-four bytes of one "
          "block of the hash",
          "{\"a\":1}",
          "t=1,v1="
          "069447fe53073ba0eb94eb4de1dc1ab6bb92621728233760e234560e979bff87",
          1 },
        { "s3cret", "",
          "t=0,v1="
          "f8f098a84b2e4238206d750bcb900ff9df6f839db0660fcc115201787a3bb832",
          0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buffer b = { 0 };

        seal_put(&b, span_of(rows[i].secret), rows[i].at,
                 span_of(rows[i].body));
        assert_string_equal(buffer_string(&b), rows[i].expected);
        buffer_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seal_is_the_hmac_of_time_and_body),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
