/*
 * tokencommand: programs that print a token, or do something else.
 */
#include "tokens_world.h"

#include "relay/outbound/tokencommand.h"

#include <signal.h>

/* ------------------------------------------------------------ token-command ---- */

static void a_program_prints_a_token(void **state)
{
    static const struct {
        const char *script, *token, *why;
        int rc;
    } rows[] = {
        { "echo tok-1", "tok-1", NULL, 0 },
        { "printf tok-1", "tok-1", NULL, 0 },
        { "printf 'tok-1\\r\\nmore\\n'", "tok-1", NULL, 0 },
        { "echo '{\"access_token\":\"tok-2\",\"expires_in\":9}'", "tok-2", NULL,
          0 },
        { "cat; echo tok-3", "tok-3", NULL, 0 }, /* nothing to read */
        { "true", NULL, "has an empty first line", ERROR_PROTOCOL },
        { "echo two words", NULL, "a first line that is no token",
          ERROR_PROTOCOL },
        { "echo '{\"error\":1}'", NULL, "has no access_token", ERROR_PROTOCOL },
        { "echo tok-4; exit 7", NULL,
          "token-command /bin/sh ended with exit status 7", ERROR_PROTOCOL },
        { "kill -15 $$", NULL, "was ended by signal 15", ERROR_PROTOCOL },
        { "yes tok-5", NULL, "printed more than 16 KB", ERROR_TOO_BIG },
    };
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct span words[3];
        struct account a = command(words, rows[i].script);

        if (rows[i].token)
            shows(&a, rows[i].token);
        else
            fails(&a, rows[i].rc, rows[i].why);
    }
}

static void a_program_that_is_not_there_is_told_of(void **state)
{
    struct span words[] = { SPAN_INIT("/nowhere/token") };
    struct account a = { .user = SPAN("us"),
                         .token_command = words,
                         .token_command_count = 1 };
    (void)state;

    fails(&a, -ENOENT, "token-command /nowhere/token cannot be started: ");
}

static void a_printed_token_is_kept_five_minutes(void **state)
{
    struct span words[3];
    char script[256];
    struct account a;
    (void)state;

    (void)snprintf(script, sizeof script,
                   "cd %s; echo x >> runs; echo tok-$(wc -l < runs)",
                   here->folder);
    a = command(words, script);
    shows(&a, "tok-1");
    pass(239 * S);
    shows(&a, "tok-1");
    pass(60 * S);
    shows(&a, "tok-2");
}

static void what_a_program_complains_of_is_logged_without_its_token(
    void **state)
{
    struct span words[3];
    struct account a =
        command(words, "echo 'odd \033[1m thing' >&2; set -x; echo tok-1");
    (void)state;

    shows(&a, "tok-1");
    close_desk();
    assert_true(was_logged("token-command: odd \033[1m thing"));
    assert_true(was_logged("(a line that has the token in it)"));
}

static void a_program_sees_little_of_our_environment(void **state)
{
    struct span words[3];
    struct account a = command(
        words, "test -z \"$WAYPOST_TEST\" && test -n \"$PATH\" && "
               "test $(env | grep -c -v -E '^(PATH|HOME|LANG|PWD|SHLVL|_|"
               "OLDPWD)=') = 0 && echo tok-1");
    (void)state;

    (void)setenv("WAYPOST_TEST", "1", 1);
    shows(&a, "tok-1");
    (void)unsetenv("WAYPOST_TEST");
}

static void a_program_that_hangs_is_killed_with_what_it_started(void **state)
{
    struct span words[3];
    char script[512], path[128], why[64];
    struct account a;
    int64_t most_ms = 150;
    (void)state;

    path_of(path, sizeof path, "pid");
    (void)snprintf(script, sizeof script,
                   "sleep 1000 & echo $! > %s.new; mv %s.new %s; echo tok-1; "
                   "wait",
                   path, path, path);
    a = command(words, script);
    /* more time, when it was killed before it had started anything */
    for (; access(path, F_OK) < 0; most_ms *= 2) {
        assert_true(most_ms < PATIENCE_S * 1000);
        if (here->desk)
            close_desk();
        here->options.command_ms = most_ms;
        (void)snprintf(why, sizeof why, "did not end within %d s",
                       (int)(most_ms + 999) / 1000);
        fails(&a, -ETIMEDOUT, why);
    }
    for (size_t i = 0; !is_gone(path); i++) {
        assert_true(i < PATIENCE_S * 1000);
        (void)usleep(1000);
    }
}

static void wait_file(const char *path)
{
    for (size_t i = 0; access(path, F_OK) < 0; i++) {
        assert_true(i < PATIENCE_S * 1000);
        (void)usleep(1000);
    }
}

static void on_end(void *user, const struct tokencommand_end *e)
{
    char *said = user;

    (void)snprintf(said, 16, "%.*s", SPAN_FMT(e->output));
}

/* What was printed before the time was over counts, however late it is read. */
static void a_loop_that_was_held_up_reads_before_it_gives_up(void **state)
{
    char script[800], go[128], done[128], path[128], said[16] = "";
    struct span words[3];
    struct account a = command(words, "");
    uv_loop_t loop;
    long pid = 0;
    FILE *f;
    (void)state;

    path_of(path, sizeof path, "pid");
    path_of(go, sizeof go, "go");
    path_of(done, sizeof done, "done");
    (void)snprintf(script, sizeof script,
                   "(until test -e %s; do sleep 0.01; done; echo tok-1; "
                   "mkdir %s) & echo $$ > %s.new; mv %s.new %s",
                   go, done, path, path, path);
    words[2] = span_of(script);
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_non_null(tokencommand_start(&loop, words, a.token_command_count,
                                       PATIENCE_S * 1000, on_end, said));
    wait_file(path);
    f = fopen(path, "r");
    assert_int_equal(fscanf(f, "%ld", &pid), 1);
    (void)fclose(f);
    while (kill((pid_t)pid, 0) == 0) /* its end was heard of */
        (void)uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(mkdir(go, 0700), 0);
    wait_file(done);
    (void)usleep(600000); /* more than it lingers */
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_string_equal(said, "tok-1\n");
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_program_prints_a_token),
        TEST(a_program_that_is_not_there_is_told_of),
        TEST(a_printed_token_is_kept_five_minutes),
        TEST(what_a_program_complains_of_is_logged_without_its_token),
        TEST(a_program_sees_little_of_our_environment),
        TEST(a_program_that_hangs_is_killed_with_what_it_started),
        TEST(a_loop_that_was_held_up_reads_before_it_gives_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
