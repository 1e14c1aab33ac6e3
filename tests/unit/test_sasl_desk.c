/*
 * The desk that judges logins: what a refusal costs, what it remembers and forgets, how many
 * may wait, whom it asks.
 */
#include "sasl_users.h"

#include <fcntl.h>

static void a_wrong_user_costs_what_a_wrong_password_costs(void **state)
{
    static const struct {
        const char *users, *login;
        unsigned crypts, derivations;
    } rows[] = {
        { users, "user", 0, 1 },    { users, "nobody", 0, 1 },
        { users, "\xff", 0, 1 },    { hashes, "old", 1, 0 },
        { hashes, "nobody", 1, 0 }, { hashes, "locked", 1, 0 },
    };
    static const char *const passwords[] = { "wrong", "", "\xff\xfe", "\001" };
    struct talk t;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sasl_desk *d = desk_with(rows[i].users);

        for (unsigned k = 1; k <= 4; k++) {
            assert_int_equal(talk_plain(&t, d, rows[i].login, passwords[k - 1]),
                             SASL_WRONG);
            assert_int_equal(t.text_len, 0);
            assert_int_equal(d->work.crypts, k * rows[i].crypts);
            assert_int_equal(d->work.derivations, k * rows[i].derivations);
        }
        sasl_desk_close(d);
    }
}

static void a_success_is_remembered_for_a_minute_and_a_failure_never(
    void **state)
{
    struct sasl_desk *d = desk_with(users);
    struct talk t;

    (void)state;
    assert_int_equal(talk_plain(&t, d, "user", "pencil"), SASL_OK);
    assert_int_equal(talk_plain(&t, d, "user", "pencil"), SASL_OK);
    assert_string_equal(t.login, "user");
    assert_int_equal(d->work.derivations, 1);
    assert_int_equal(talk_plain(&t, d, "user", "pencils"), SASL_WRONG);
    assert_int_equal(talk_plain(&t, d, "user", "pencils"), SASL_WRONG);
    assert_int_equal(d->work.derivations, 3);
    assert_int_equal(talk_plain(&t, d, "one", "pencil"), SASL_OK);
    assert_int_equal(d->work.derivations, 4);
    atomic_fetch_add(&bench_now_ms, PASSWORD_CACHE_MS - 1);
    assert_int_equal(talk_plain(&t, d, "user", "pencil"), SASL_OK);
    assert_int_equal(d->work.derivations, 4);
    atomic_fetch_add(&bench_now_ms, 1);
    assert_int_equal(talk_plain(&t, d, "user", "pencil"), SASL_OK);
    assert_int_equal(d->work.derivations, 5);
    sasl_desk_close(d);
}

static void a_file_that_changed_is_read_again_a_second_later(void **state)
{
    struct sasl_desk *d = desk_with(users);
    struct talk t;

    (void)state;
    assert_int_equal(talk_plain(&t, d, "user", "pencil"), SASL_OK);
    bench_write("users", hashes);
    assert_int_equal(talk_plain(&t, d, "old", "secret"), SASL_WRONG);
    assert_int_equal(talk_plain(&t, d, "user", "pencil"), SASL_OK);
    atomic_fetch_add(&bench_now_ms, SASL_LOOK_MS);
    assert_int_equal(talk_plain(&t, d, "old", "secret"), SASL_OK);
    /* what was remembered has gone with the file */
    assert_int_equal(talk_plain(&t, d, "user", "pencil"), SASL_WRONG);
    assert_int_equal(sasl_mechanisms(d), MECHANISM_PLAIN | MECHANISM_LOGIN);
    /* a slip of the editor, then no file at all: the former logins stay */
    bench_write("users", "old:secret\n");
    atomic_fetch_add(&bench_now_ms, SASL_LOOK_MS);
    assert_int_equal(talk_plain(&t, d, "old", "secret"), SASL_OK);
    assert_int_equal(unlink(bench_path("users")), 0);
    atomic_fetch_add(&bench_now_ms, SASL_LOOK_MS);
    assert_int_equal(talk_plain(&t, d, "old", "secret"), SASL_OK);
    bench_write("users", users);
    atomic_fetch_add(&bench_now_ms, SASL_LOOK_MS);
    assert_int_equal(talk_plain(&t, d, "user", "pencil"), SASL_OK);
    assert_int_equal(talk_plain(&t, d, "old", "secret"), SASL_WRONG);
    sasl_desk_close(d);
}

static void a_reload_that_fails_leaves_the_former_settings(void **state)
{
    struct sasl_desk *d = desk_with(users), *none = NULL;
    struct settings s = { 0 };
    struct buffer why = { 0 };
    struct talk begun, t;

    (void)state;
    s.users.file = SPAN("/nowhere/users");
    assert_true(sasl_desk_open(&none, &s, &why) < 0);
    assert_null(none);
    assert_non_null(strstr(buffer_string(&why), "/nowhere/users: "));
    buffer_clear(&why);
    assert_true(sasl_desk_reload(d, &s, &why) < 0);
    assert_true(why.len > 0);
    assert_int_equal(talk_plain(&t, d, "user", "pencil"), SASL_OK);
    /* one that has begun ends with what it began with */
    talk_begin(&begun, d,
               &(struct sasl_question){ .mechanism = MECHANISM_LOGIN });
    assert_int_equal(talk_step(&begun, TEXT("user")), SASL_MORE);
    bench_write("others", hashes);
    s.users.file = span_of(bench_path("others"));
    assert_int_equal(sasl_desk_reload(d, &s, &why), 0);
    assert_int_equal(talk_plain(&t, d, "user", "pencil"), SASL_WRONG);
    assert_int_equal(talk_plain(&t, d, "old", "secret"), SASL_OK);
    assert_int_equal(talk_step(&begun, TEXT("pencil")), SASL_OK);
    talk_end(&begun);
    s.users.file = SPAN("");
    assert_int_equal(sasl_desk_reload(d, &s, &why), 0);
    assert_int_equal(sasl_mechanisms(d), 0);
    assert_int_equal(talk_plain(&t, d, "old", "secret"), SASL_UNAVAILABLE);
    sasl_desk_close(d);
    buffer_fini(&why);
}

static void threads_take_work(struct sasl_desk *d, unsigned count)
{
    (void)pthread_mutex_lock(&d->lock);
    d->threads_at_work = count;
    (void)pthread_cond_broadcast(&d->work_is_there);
    (void)pthread_mutex_unlock(&d->lock);
}

static void more_than_the_desk_holds_are_told_so(void **state)
{
    struct sasl_desk *d = desk_with(users);
    struct talk *t = NEW_ARRAY(struct talk, SASL_WAITING_MOST + 1);
    const struct sasl_question q = { .mechanism = MECHANISM_LOGIN };
    struct talk *last = &t[SASL_WAITING_MOST];

    (void)state;
    threads_take_work(d, 0);
    for (unsigned i = 0; i < SASL_WAITING_MOST; i++) {
        talk_begin(&t[i], d, &q);
        sasl_step(t[i].x, false, SPAN(""));
    }
    talk_begin(last, d, &q);
    assert_int_equal(talk_step(last, NULL, 0), SASL_UNAVAILABLE);
    assert_string_equal(last->text, "too many logins wait to be checked");
    talk_end(last);
    threads_take_work(d, 2);
    for (unsigned i = 0; i < SASL_WAITING_MOST; i++) {
        while (!t[i].is_answered)
            bench_run_task();
        assert_int_equal(t[i].said, SASL_MORE);
        talk_end(&t[i]);
    }
    free(t);
    sasl_desk_close(d);
}

/* The secret of the next test, so written that it is nowhere in memory as it is. */
static const char masked[] = { 'k' ^ 1, 'e' ^ 1, 'y' ^ 1, '-' ^ 1, 'o' ^ 1,
                               'f' ^ 1, '-' ^ 1, 't' ^ 1, 'h' ^ 1, 'e' ^ 1,
                               '-' ^ 1, 'd' ^ 1, 'o' ^ 1, 'o' ^ 1, 'r' ^ 1 };

static size_t unmask(char *out)
{
    for (size_t i = 0; i < sizeof masked; i++)
        out[i] = (char)(masked[i] ^ 1);
    return sizeof masked;
}

static unsigned count_secrets(const char *at, size_t len)
{
    unsigned n = 0;

    for (size_t i = 0; i + sizeof masked <= len; i++) {
        size_t k = 0;

        while (k < sizeof masked && at[i + k] == (char)(masked[k] ^ 1))
            k++;
        n += k == sizeof masked;
    }
    return n;
}

/* In all that this process may write to; what a sanitizer keeps for itself is too much. */
static unsigned secrets_in_memory(void)
{
    enum { PIECE = 1 << 20, MOST = 256 << 20 };
    static char piece[PIECE];
    FILE *maps = fopen("/proc/self/maps", "r");
    int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    unsigned long from, to;
    char line[512], mode[8];
    unsigned n = 0;

    assert_true(maps && fd >= 0);
    while (fgets(line, sizeof line, maps)) {
        if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) != 3 ||
            mode[1] != 'w' || to - from > MOST)
            continue;
        for (unsigned long at = from; at < to; at += PIECE - sizeof masked) {
            size_t want = to - at < PIECE ? to - at : PIECE;
            ssize_t got;

            if (at <= (uintptr_t)piece + PIECE && at + want > (uintptr_t)piece)
                continue; /* this is where we look at it */
            got = pread(fd, piece, want, (off_t)at);
            if (got > 0)
                n += count_secrets(piece, (size_t)got);
            explicit_bzero(piece, sizeof piece);
        }
    }
    (void)fclose(maps);
    (void)close(fd);
    return n;
}

/* The first bytes of freed memory are soon overwritten, so the secret stands behind. */
enum { IN_FRONT = 64 };

static void no_password_stays_in_memory(void **state)
{
    static const char *const files[] = { users, hashes };
    static const char *const logins[] = { "user", "old" };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char r[128] = "", *password;
        size_t login = strlen(logins[i]), len;
        struct sasl_desk *d = desk_with(files[i]);
        struct talk t;

        memcpy(r + 1, logins[i], login);
        password = r + login + 2;
        memset(password, 'x', IN_FRONT);
        len = IN_FRONT + unmask(password + IN_FRONT);
        assert_true(secrets_in_memory() >= 1); /* it would be found */
        talk_begin(&t, d,
                   &(struct sasl_question){ .mechanism = MECHANISM_LOGIN });
        assert_int_equal(talk_step(&t, logins[i], login), SASL_MORE);
        assert_int_equal(talk_step(&t, password, len), SASL_WRONG);
        talk_end(&t);
        assert_int_equal(talk_once(&t, d, MECHANISM_PLAIN, r, login + 2 + len),
                         SASL_WRONG);
        explicit_bzero(r, sizeof r);
        assert_int_equal(secrets_in_memory(), 0);
        sasl_desk_close(d);
    }
}

/* A clock at which a thread stands still in the middle of its work. */
static pthread_barrier_t in_the_middle;

static int64_t clock_that_stops(void)
{
    (void)pthread_barrier_wait(&in_the_middle); /* it works now */
    (void)pthread_barrier_wait(&in_the_middle); /* and may go on */
    return bench_clock();
}

static void what_was_dropped_is_not_heard_of_again(void **state)
{
    struct sasl_desk *d = desk_with(users);
    const struct sasl_question q = { .mechanism = MECHANISM_LOGIN };
    struct talk rests, waits[3], works, answered;

    (void)state;
    talk_begin(&rests, d, &q);
    talk_end(&rests);
    talk_begin(&rests, d, &q);
    assert_int_equal(talk_step(&rests, NULL, 0), SASL_MORE);
    talk_end(&rests);

    threads_take_work(d, 0);
    for (size_t i = 0; i < 3; i++) {
        talk_begin(&waits[i], d, &q);
        sasl_step(waits[i].x, false, SPAN(""));
    }
    for (size_t i = 3; i-- > 0;)
        talk_end(&waits[(i + 1) % 3]); /* first, last, the one between */
    assert_int_equal(d->waiting, 0);

    assert_int_equal(pthread_barrier_init(&in_the_middle, NULL, 2), 0);
    d->clock = clock_that_stops;
    talk_begin(&works, d, &q);
    sasl_step(works.x, false, SPAN(""));
    threads_take_work(d, 1);
    (void)pthread_barrier_wait(&in_the_middle);
    talk_end(&works);
    (void)pthread_barrier_wait(&in_the_middle);

    /* the one thread answers in order: this one after it */
    talk_begin(&answered, d, &q);
    sasl_step(answered.x, false, SPAN(""));
    (void)pthread_barrier_wait(&in_the_middle);
    (void)pthread_barrier_wait(&in_the_middle);
    (void)pthread_mutex_lock(&bench_lock);
    while (!bench_first)
        (void)pthread_cond_wait(&bench_posted, &bench_lock);
    (void)pthread_mutex_unlock(&bench_lock);
    talk_end(&answered);
    bench_run_task();
    assert_null(bench_first);
    assert_false(works.is_answered || answered.is_answered);
    (void)pthread_barrier_destroy(&in_the_middle);
    sasl_desk_close(d);
}

/* pam_exec gives the password to a program's standard input. */
static void pam_judges_a_password(void **state)
{
    static const char service[] =
        "auth [success=1 default=ignore] "
        "pam_exec.so quiet expose_authtok /bin/sh %s/judge\n"
        "auth requisite pam_deny.so\n"
        "auth required pam_permit.so\n"
        "account [success=1 default=ignore] "
        "pam_exec.so quiet /bin/sh %s/account\n"
        "account requisite pam_deny.so\n"
        "account required pam_permit.so\n";
    static const char judge[] =
        "test \"$PAM_USER:$PAM_RHOST:$(tr -d '\\000')\" = "
        "'user:192.0.2.7:pencil' ||\n"
        "test \"$PAM_USER\" = expired\n";
    static const struct {
        const char *login, *password;
        enum sasl_said said;
    } rows[] = {
        { "user", "pencil", SASL_OK },       { "user", "pencils", SASL_WRONG },
        { "user", "", SASL_WRONG },          { "nobody", "pencil", SASL_WRONG },
        { "expired", "pencil", SASL_WRONG }, { "us er", "pencil", SASL_WRONG },
    };
    char text[512];
    struct sasl_desk *d =
        bench_desk(&(struct users_settings){ .pam = SPAN("mail") });
    struct talk t;

    (void)state;
    (void)snprintf(text, sizeof text, service, bench_folder, bench_folder);
    bench_write("mail", text);
    bench_write("judge", judge);
    bench_write("account", "test \"$PAM_USER\" != expired\n");
    d->pam_folder = bench_folder;
    assert_int_equal(sasl_mechanisms(d), MECHANISM_PLAIN | MECHANISM_LOGIN);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (talk_plain(&t, d, rows[i].login, rows[i].password) != rows[i].said)
            print_error("row %zu: %d %s\n", i, t.said, t.text);
        assert_int_equal(t.said, rows[i].said);
    }
    /* remembered: PAM is not asked */
    bench_write("mail", "auth required pam_no_such_module.so\n"
                        "account required pam_permit.so\n");
    assert_int_equal(talk_plain(&t, d, "user", "pencil"), SASL_OK);
    assert_int_equal(talk_plain(&t, d, "user", "pencils"), SASL_UNAVAILABLE);
    assert_memory_equal(t.text, "PAM: ", 5);
    assert_null(strstr(t.text, "pencils"));
    sasl_desk_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_user_costs_what_a_wrong_password_costs),
        cmocka_unit_test(
            a_success_is_remembered_for_a_minute_and_a_failure_never),
        cmocka_unit_test(a_file_that_changed_is_read_again_a_second_later),
        cmocka_unit_test(a_reload_that_fails_leaves_the_former_settings),
        cmocka_unit_test(more_than_the_desk_holds_are_told_so),
        cmocka_unit_test(what_was_dropped_is_not_heard_of_again),
        cmocka_unit_test(no_password_stays_in_memory),
        cmocka_unit_test(pam_judges_a_password),
    };

    return cmocka_run_group_tests(tests, bench_setup, bench_teardown);
}
