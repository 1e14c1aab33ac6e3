/*
 * secret: what stands in files, alone and as the password of an account.
 */
#include "tokens_world.h"

/* ---------------------------------------------------------------- passwords ---- */

static void a_password_is_the_first_line_of_its_file(void **state)
{
    static const struct {
        const char *content, *secret, *why;
    } rows[] = {
        { "s3cret\n", "s3cret", NULL },
        { "s3cret", "s3cret", NULL },
        { "s3cret\r\nanother\n", "s3cret", NULL },
        { " s3cret with spaces \n", " s3cret with spaces ", NULL },
        { "", NULL, "pw: its first line is empty" },
        { "\ns3cret\n", NULL, "pw: its first line is empty" },
    };
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct account a = { .user = SPAN("us"),
                             .password_file = file("pw", rows[i].content) };

        if (rows[i].secret)
            shows(&a, rows[i].secret);
        else
            fails(&a, ERROR_SYNTAX, rows[i].why);
        release(a.password_file);
    }
    assert_false(was_logged("others may read"));
}

static void what_is_no_password_file_is_told_by_name(void **state)
{
    struct account a = { .user = SPAN("us") };
    char path[128], *large = memory_zero(1, SECRET_FILE_MOST + 2);
    (void)state;

    fails(&a, ERROR_CONFIG, "no password-file");
    a.mechanisms = MECHANISM_EXTERNAL;
    shows(&a, "");
    a.mechanisms = 0;
    path_of(path, sizeof path, "absent");
    a.password_file = span_of(path);
    fails(&a, -ENOENT, "/absent: ");
    a.password_file = span_of(here->folder);
    fails(&a, -EINVAL, "not a regular file");
    path_of(path, sizeof path, "fifo");
    assert_int_equal(mkfifo(path, 0600), 0);
    a.password_file = span_of(path);
    fails(&a, -EINVAL, "not a regular file"); /* and does not wait for it */
    memset(large, 'x', SECRET_FILE_MOST + 1);
    a.password_file = file("large", large);
    fails(&a, ERROR_TOO_BIG, "larger than 64 KB");
    release(a.password_file);
    free(large);
}

static void a_password_file_that_others_may_read_is_told_of_once(void **state)
{
    struct account a = { .user = SPAN("us"),
                         .password_file = file("pw", "s3cret\n") };
    const char *found;
    (void)state;

    assert_int_equal(chmod(a.password_file.at, 0640), 0);
    shows(&a, "s3cret");
    shows(&a, "s3cret");
    found = strstr(logged, "others may read");
    assert_non_null(found);
    assert_null(strstr(found + 1, "others may read"));
    release(file("pw", "s3cret-new\n"));
    shows(&a, "s3cret-new"); /* it is read each time */
    release(a.password_file);
}

static void a_thousand_accounts_are_not_too_many(void **state)
{
    struct account a = { .user = SPAN("us"),
                         .password_file = file("pw", "s3cret\n") };
    (void)state;

    for (size_t i = 0; i < KEYRING_MOST + 100; i++) {
        char user[16];

        (void)snprintf(user, sizeof user, "u%zu", i);
        a.user = span_of(user);
        here->count = 0;
        shows(&a, "s3cret");
    }
    release(a.password_file);
}

/* -------------------------------------------------------------------- check ---- */

static void check_tells_what_is_wrong_with_the_files(void **state)
{
    struct span words[] = { SPAN_INIT("/nowhere/token") };
    struct account good = { .password_file = file("good", "s3cret\n"),
                            .place = { "c", 1, 1 } };
    struct account exposed = { .password_file = file("exposed", "s3cret\n"),
                               .place = { "c", 2, 1 } };
    struct account bad = { .token_url = SPAN("http://10.0.0.1/"),
                           .client_secret_file = SPAN("/nowhere/secret"),
                           .refresh_token_file = SPAN("/nowhere/refresh"),
                           .place = { "c", 3, 1 } };
    struct account program = { .token_command = words,
                               .token_command_count = 1,
                               .place = { "c", 4, 1 } };
    struct account released = { .token_url = SPAN("http://10.0.0.2/"),
                                .place = { "c", 5, 1 } };
    struct hop host = { .account = &released };
    struct hop hops[] = { { .account = &bad }, { .account = &bad } };
    struct route routes[] = { { .account = &good },
                              { .account = &exposed },
                              { .account = &bad, .via = hops, .via_count = 2 },
                              { .account = &program },
                              { .account = NULL },
                              { .offline.deliver_to = &host } };
    struct settings s = { .routes = routes, .route_count = 6 };
    struct buffer faults = { 0 }, warnings = { 0 };
    char expected[256];
    (void)state;

    assert_int_equal(chmod(exposed.password_file.at, 0604), 0);
    tokens_check_files(&s, &faults, &warnings);
    assert_string_equal(
        buffer_string(&faults),
        "c:3:1: client-secret-file: /nowhere/secret: No such file or "
        "directory\n"
        "c:3:1: refresh-token-file: /nowhere/refresh: No such file or "
        "directory\n"
        "c:3:1: token-url is not https: a secret is sent there\n"
        "c:4:1: token-command: /nowhere/token: not a program that we may "
        "run\n"
        "c:5:1: token-url is not https: a secret is sent there\n");
    (void)snprintf(expected, sizeof expected,
                   "c:2:1: warning: password-file: %s: others may read it: "
                   "chmod 600\n",
                   exposed.password_file.at);
    assert_string_equal(buffer_string(&warnings), expected);
    buffer_fini(&faults);
    buffer_fini(&warnings);
    release(good.password_file);
    release(exposed.password_file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_password_is_the_first_line_of_its_file),
        TEST(what_is_no_password_file_is_told_by_name),
        TEST(a_password_file_that_others_may_read_is_told_of_once),
        TEST(a_thousand_accounts_are_not_too_many),
        TEST(check_tells_what_is_wrong_with_the_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
