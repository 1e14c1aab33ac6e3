/*
 * test_tokenfile - tokens are made, found by what they are, and watched.
 */
#include "relay/admin/tokenfile.h"
#include "relay/admin/tokenwatch.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], path[96];

static int folder_open(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/waypost-tokens-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/tokens", folder);
    return 0;
}

static int folder_close(void **state)
{
    (void)state;
    (void)unlink(path);
    assert_int_equal(rmdir(folder), 0);
    return 0;
}

static void write_file(const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
}

static void write_token(const char *name, enum role role, const char *token)
{
    struct buffer b = { 0 };

    buffer_printf(&b, "# of tests\n\n%s:", name);
    tokenfile_print(&b, role, token, 1700000000);
    buffer_put_byte(&b, '\n');
    write_file(buffer_string(&b));
    buffer_fini(&b);
}

static struct tokenfile *read_file(struct buffer *why)
{
    struct stat st;

    return tokenfile_read(path, &st, why);
}

static void tokens_differ_and_are_long(void **state)
{
    char a[TOKENFILE_TOKEN], b[TOKENFILE_TOKEN];

    (void)state;
    assert_int_equal(tokenfile_make(a), 0);
    assert_int_equal(tokenfile_make(b), 0);
    assert_int_equal(strlen(a), TOKENFILE_TOKEN - 1);
    assert_int_equal(strncmp(a, "wp_", 3), 0);
    assert_int_equal(strspn(a + 3, "abcdefghijklmnopqrstuvwxyz234567"), 52);
    assert_string_not_equal(a, b);
}

static void a_token_is_found_by_what_it_is(void **state)
{
    struct buffer why = { 0 };
    const struct tokenfile_entry *e;
    char token[TOKENFILE_TOKEN];
    struct tokenfile *f;

    (void)state;
    assert_int_equal(tokenfile_make(token), 0);
    write_token("ops", ROLE_OPERATOR, token);
    f = read_file(&why);
    assert_non_null(f);
    assert_int_equal(tokenfile_count(f), 1);
    e = tokenfile_find(f, span_of(token));
    assert_non_null(e);
    assert_true(span_is(e->name, SPAN("ops")));
    assert_int_equal(e->role, ROLE_OPERATOR);
    assert_int_equal(e->created_s, 1700000000);
    assert_null(tokenfile_find(f, span_first(span_of(token), 54)));
    assert_null(tokenfile_find(f, SPAN("")));
    token[10] ^= 1;
    assert_null(tokenfile_find(f, span_of(token)));
    tokenfile_free(f);
    buffer_fini(&why);
}

static void a_file_that_is_not_there_holds_nothing(void **state)
{
    struct buffer why = { 0 };
    struct tokenfile *f = read_file(&why);

    (void)state;
    assert_non_null(f);
    assert_int_equal(tokenfile_count(f), 0);
    assert_null(tokenfile_find(f, SPAN("wp_x")));
    tokenfile_free(f);
}

#define HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void faults_are_told_with_their_line(void **state)
{
    /* clang-format off */
    static const struct { const char *text, *why; } rows[] = {
        { "x\n",                                      ":1: has a role" },
        { "\na b:read:" HASH ":1\n",                  ":2: has a name" },
        { ":read:" HASH ":1\n",                       ":1: has a name" },
        { "x:root:" HASH ":1\n",                      ":1: has a role" },
        { "x:local:" HASH ":1\n",                     ":1: has a role" },
        { "x:read:abc:1\n",                           ":1: has a hash" },
        { "x:read:" HASH "\n",                        ":1: should be NAME" },
        { "x:read:" HASH ":now\n",                    ":1: should be NAME" },
        { "x:read:" HASH ":1\nx:read:" HASH ":2\n",   ":2: has a name that is there" },
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buffer why = { 0 };

        write_file(rows[i].text);
        assert_null(read_file(&why));
        if (!strstr(buffer_string(&why), rows[i].why))
            fail_msg("%s", buffer_string(&why));
        buffer_fini(&why);
    }
}

static void a_file_that_others_may_write_is_not_believed(void **state)
{
    struct buffer why = { 0 };

    (void)state;
    write_file("");
    assert_int_equal(chmod(path, 0620), 0);
    assert_null(read_file(&why));
    assert_non_null(strstr(buffer_string(&why), "chmod 600"));
    buffer_fini(&why);
}

static void changes_are_seen_but_not_looked_for_all_the_time(void **state)
{
    struct tokenwatch w;
    struct tokenfile_entry had;

    (void)state;
    tokenwatch_init(&w, span_of(path));
    assert_true(tokenwatch_look(&w, 1000, false));
    assert_null(tokenwatch_find(&w, SPAN("wp_a")));
    write_token("a", ROLE_READ, "wp_a");
    assert_false(tokenwatch_look(&w, 1100, false));
    assert_true(tokenwatch_look(&w, 1100, true));
    assert_non_null(tokenwatch_find(&w, SPAN("wp_a")));
    had = *tokenwatch_find(&w, SPAN("wp_a"));
    had.name = SPAN("a");
    assert_true(tokenwatch_has(&w, &had));
    assert_false(tokenwatch_look(&w, 9000, false));
    /* the same name, another token */
    write_token("a", ROLE_READ, "wp_bb");
    assert_true(tokenwatch_look(&w, 9600, false));
    assert_false(tokenwatch_has(&w, &had));
    assert_null(tokenwatch_find(&w, SPAN("wp_a")));
    write_file("nonsense\n");
    assert_true(tokenwatch_look(&w, 19600, false));
    assert_null(tokenwatch_find(&w, SPAN("wp_bb")));
    tokenwatch_fini(&w);
}

static void names_are_plain(void **state)
{
    static const char *const bad[] = { "",   "a b", "a:b",     "-a",
                                       ".a", "a\n", "\xc3\xa4" };

    (void)state;
    assert_true(tokenfile_name_is_good(SPAN("a")));
    assert_true(tokenfile_name_is_good(SPAN("Grafana-2@host.example_x")));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(tokenfile_name_is_good(span_of(bad[i])));
}

#define IN_FOLDER(test)                                                        \
    cmocka_unit_test_setup_teardown(test, folder_open, folder_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_differ_and_are_long),
        IN_FOLDER(a_token_is_found_by_what_it_is),
        IN_FOLDER(a_file_that_is_not_there_holds_nothing),
        IN_FOLDER(faults_are_told_with_their_line),
        IN_FOLDER(a_file_that_others_may_write_is_not_believed),
        IN_FOLDER(changes_are_seen_but_not_looked_for_all_the_time),
        cmocka_unit_test(names_are_plain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
