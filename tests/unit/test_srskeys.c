/*
 * The secrets of srs: read from a file, replaced while others ask, and HMAC-SHA1.
 */
#include "relay/inbound/srskeys.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[] = "/tmp/srskeys-XXXXXX", path[64];

static void write_file(const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static int start(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof path, "%s/srs", folder);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

static void a_new_secret_takes_the_place_of_the_old(void **state)
{
    struct settings s = { .srs.secret_file = span_of(path) };
    struct srskeys *k = srskeys_new();
    const struct srs_secrets *first, *second;
    struct buffer why = { 0 };
    bool exposed = true;

    (void)state;
    assert_null(srskeys_now(NULL));
    assert_null(srskeys_now(k));
    write_file("first secret\r\n\nsecond secret", 0600);
    assert_int_equal(srskeys_read(k, &s, &exposed, &why), 0);
    assert_false(exposed);
    first = srskeys_now(k);
    assert_int_equal(first->count, 2);
    assert_true(span_is(first->all[0], SPAN("first secret")));
    assert_true(span_is(first->all[1], SPAN("second secret")));
    /* the same again is the same */
    assert_int_equal(srskeys_read(k, &s, NULL, &why), 0);
    assert_ptr_equal(srskeys_now(k), first);
    write_file("third secret\n", 0644);
    assert_int_equal(srskeys_read(k, &s, &exposed, &why), 0);
    assert_true(exposed);
    second = srskeys_now(k);
    assert_int_equal(second->count, 1);
    /* whoever still asks the old ones may */
    assert_true(span_is(first->all[0], SPAN("first secret")));
    /* a bad file leaves what was */
    write_file("short\n", 0600);
    assert_true(srskeys_read(k, &s, NULL, &why) < 0);
    assert_ptr_equal(srskeys_now(k), second);
    s.srs.secret_file = SPAN("");
    assert_int_equal(srskeys_read(k, &s, NULL, &why), 0);
    assert_null(srskeys_now(k));
    srskeys_free(k);
    srskeys_free(NULL);
    buffer_fini(&why);
}

static void a_bad_file_is_named(void **state)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        { "\n\n", "there is no secret in it" },
        { "1234567\n", "a secret has 8 characters or more" },
        { "12345678\n12345678\n12345678\n12345678\n12345678\n12345678\n"
          "12345678\n12345678\n12345678\n12345678\n12345678\n12345678\n"
          "12345678\n12345678\n12345678\n12345678\n12345678\n",
          "more than 16 secrets" },
    };
    struct settings s = { .srs.secret_file = span_of(path) };
    struct srskeys *k = srskeys_new();
    struct buffer why = { 0 };
    char *big = calloc(1, SRSKEYS_FILE_MOST + 2);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        buffer_clear(&why);
        write_file(rows[i].text, 0600);
        assert_true(srskeys_read(k, &s, NULL, &why) < 0);
        assert_non_null(strstr(buffer_string(&why), rows[i].why));
        assert_non_null(strstr(buffer_string(&why), path));
    }
    assert_non_null(big);
    memset(big, 'x', SRSKEYS_FILE_MOST + 1);
    write_file(big, 0600);
    free(big);
    assert_true(srskeys_read(k, &s, NULL, &why) < 0);
    s.srs.secret_file = SPAN("/dev/null");
    assert_true(srskeys_read(k, &s, NULL, &why) < 0);
    s.srs.secret_file = SPAN("/nowhere/srs");
    assert_true(srskeys_read(k, &s, NULL, &why) < 0);
    assert_null(srskeys_now(k));
    srskeys_free(k);
    buffer_fini(&why);
}

/* RFC 2202, test case 2. */
static void the_hash_is_hmac_sha1(void **state)
{
    static const unsigned char expected[SRS_HASH] = {
        0xef, 0xfc, 0xdf, 0x6a, 0xe5, 0xeb, 0x2f, 0xa2, 0xd2, 0x74,
        0x16, 0xd5, 0xf1, 0x84, 0xdf, 0x9c, 0x25, 0x9a, 0x7c, 0x79,
    };
    struct settings s = { .srs.secret_file = span_of(path) };
    struct srskeys *k = srskeys_new();
    unsigned char hash[SRS_HASH];
    struct buffer why = { 0 };

    (void)state;
    write_file("long enough\n", 0600);
    assert_int_equal(srskeys_read(k, &s, NULL, &why), 0);
    srskeys_now(k)->hmac(SPAN("Jefe"), SPAN("what do ya want for nothing?"),
                         hash);
    assert_memory_equal(hash, expected, SRS_HASH);
    srskeys_free(k);
    buffer_fini(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_secret_takes_the_place_of_the_old),
        cmocka_unit_test(a_bad_file_is_named),
        cmocka_unit_test(the_hash_is_hmac_sha1),
    };

    return cmocka_run_group_tests(tests, start, finish);
}
