/*
 * tokens: bearer tokens from a server, kept, refreshed, refused, and dropped at the end.
 */
#include "tokens_world.h"

#include "relay/outbound/weburl.h"

/* ------------------------------------------------------------- token server ---- */

static void client_credentials_are_shown_by_basic(void **state)
{
    struct account a;
    (void)state;

    SERVE(TOKEN("tok-1", 3600));
    a = application();
    a.client_secret_file = file("secret", "s3cret:/+\n");
    shows(&a, "tok-1");
    /* app%201:s3cret%3A%2F%2B */
    assert_string_equal(server.authorization[0],
                        "Basic YXBwJTIwMTpzM2NyZXQlM0ElMkYlMkI=");
    assert_string_equal(
        server.body[0],
        "grant_type=client_credentials&scope=mail.send%20offline");
    shows(&a, "tok-1");
    assert_int_equal(requests(), 1);
    assert_true(was_logged("new token for big, good for 3600 s"));
    release(a.client_secret_file);
}

static void a_server_that_wants_the_secret_in_the_form_gets_it_there(
    void **state)
{
    static const struct answer refusals[] = {
        { .status = 401, .body = "{\"error\":\"invalid_client\"}" },
        { .status = 400, .body = "{\"error\":\"invalid_client\"}" },
        { .status = 400, .body = "{\"error\":\"invalid_request\"}" },
        { .status = 401, .body = "who?" },
    };
    struct account a;
    (void)state;

    for (size_t i = 0; i < 4; i++) {
        char id[8];
        size_t first = requests();

        SERVE(refusals[i], TOKEN("tok-1", 60), TOKEN("tok-2", 60));
        server.count = first = 0;
        a = application();
        (void)snprintf(id, sizeof id, "app%zu", i);
        a.client_id = span_of(id);
        a.client_secret_file = file("secret", "s3cret&\n");
        shows(&a, "tok-1");
        assert_int_equal(requests(), first + 2);
        assert_string_equal(server.authorization[1], "");
        assert_non_null(strstr(server.body[1], "&client_id=app"));
        assert_non_null(strstr(server.body[1], "&client_secret=s3cret%26"));
        pass(60 * S); /* and it is known the next time */
        shows(&a, "tok-2");
        assert_int_equal(requests(), 3);
        assert_non_null(strstr(server.body[2], "&client_secret=s3cret%26"));
        release(a.client_secret_file);
    }
}

static void a_refresh_token_is_enough_for_a_public_client(void **state)
{
    struct account a;
    (void)state;

    SERVE(TOKEN("tok-1", 3600));
    a = application();
    a.refresh_token_file = file("refresh", "ref-1\n");
    shows(&a, "tok-1");
    assert_string_equal(server.authorization[0], "");
    assert_string_equal(server.body[0],
                        "grant_type=refresh_token&refresh_token=ref-1"
                        "&scope=mail.send%20offline&client_id=app%201");
    holds(a.refresh_token_file, "ref-1\n");
    release(a.refresh_token_file);
}

#define ROTATED(token, refresh)                                                \
    {                                                                          \
        .status = 200,                                                         \
        .body = "{\"access_token\":\"" token "\",\"token_type\":\"bearer\","   \
                "\"expires_in\":\"60\",\"refresh_token\":\"" refresh "\"}"     \
    }

static void a_rotated_refresh_token_takes_the_place_of_the_old(void **state)
{
    char path[128];
    struct account a;
    struct stat st;
    (void)state;

    SERVE(ROTATED("tok-1", "ref-2"), ROTATED("tok-2", "ref-2"));
    a = application();
    release(file("real", "ref-1\n"));
    path_of(path, sizeof path, "link");
    assert_int_equal(symlink("real", path), 0);
    a.refresh_token_file = span_of(path);
    shows(&a, "tok-1");
    holds(a.refresh_token_file, "ref-2\n");
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    pass(60 * S);
    shows(&a, "tok-2");
    assert_non_null(strstr(server.body[1], "refresh_token=ref-2&"));
}

/* No temporary file has room beside a name of the greatest length. */
static void a_rotated_token_that_cannot_be_written_is_kept_in_mind(void **state)
{
    char name[256] = "";
    struct account a;
    (void)state;

    SERVE(ROTATED("tok-1", "ref-2"), ROTATED("tok-2", "ref-3"),
          ROTATED("tok-3", "ref-4"), ROTATED("tok-4", "ref-4"));
    a = application();
    memset(name, 'r', 255);
    a.refresh_token_file = span_of(NULL);
    {
        char path[400];
        FILE *f;

        path_of(path, sizeof path, name);
        f = fopen(path, "w");
        assert_non_null(f);
        (void)fputs("ref-1\n", f);
        (void)fclose(f);
        assert_int_equal(chmod(path, 0600), 0);
        a.refresh_token_file = span_of(path);
        shows(&a, "tok-1");
        assert_true(was_logged("kept in memory only"));
        pass(60 * S);
        shows(&a, "tok-2");
        assert_non_null(strstr(server.body[1], "refresh_token=ref-2&"));
        pass(60 * S);
        shows(&a, "tok-3");
        assert_non_null(strstr(server.body[2], "refresh_token=ref-3&"));
        /* somebody's own new one counts more */
        f = fopen(path, "w");
        assert_non_null(f);
        (void)fputs("ref-own\n", f);
        (void)fclose(f);
        pass(60 * S);
        shows(&a, "tok-4");
        assert_non_null(strstr(server.body[3], "refresh_token=ref-own&"));
    }
}

static void all_who_ask_meanwhile_share_one_fetch(void **state)
{
    struct account a, b;
    char url[64];
    (void)state;

    SERVE({ .status = 200,
            .body = "{\"access_token\":\"tok-1\"}",
            .is_silent = true });
    a = b = application();
    (void)snprintf(url, sizeof url, "%s", here->url);
    b.token_url = span_of(url); /* written alike, of another configuration */
    b.title = SPAN("renamed");
    for (size_t i = 0; i < 20; i++)
        ask(i % 2 ? &a : &b);
    wait_requests(1);
    pthread_mutex_lock(&lock);
    server.lets_go = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    run(20);
    for (size_t i = 0; i < 20; i++) {
        assert_string_equal(here->got[i].secret, "tok-1");
        assert_int_equal(here->got[i].token, here->got[0].token + i);
    }
    assert_int_equal(requests(), 1);
    b.scope = SPAN("other");
    shows(&b, "tok-1");
    assert_int_equal(requests(), 2);
}

static void a_token_is_refreshed_beside_its_use_and_waited_for_at_its_end(
    void **state)
{
    struct account a, b;
    (void)state;

    SERVE(TOKEN("tok-1", 1000), TOKEN("tok-2", 1001), TOKEN("tok-3", 100),
          TOKEN("tok-4", 100));
    a = application();
    shows(&a, "tok-1");
    pass(799 * S);
    shows(&a, "tok-1");
    assert_int_equal(requests(), 1);
    pass(1 * S);
    shows(&a, "tok-1"); /* at once, the old one */
    wait_requests(2);
    wait_logged("big, good for 1001 s");
    shows(&a, "tok-2");
    pass(991 * S); /* so near its end it is not shown any more */
    shows(&a, "tok-3");
    assert_int_equal(requests(), 3);
    /* 60 s before its end is in the first half: not before the second */
    pass(49 * S);
    shows(&a, "tok-3");
    b = a;
    b.scope = SPAN("other"); /* what is asked for later is answered: */
    shows(&b, "tok-4");
    assert_int_equal(requests(), 4); /* nothing came in between */
    pass(1 * S);
    shows(&a, "tok-3");
    wait_requests(5);
}

static void a_failed_refresh_leaves_the_good_token_in_use(void **state)
{
    struct account a;
    (void)state;

    SERVE(TOKEN("tok-1", 1000), OUTAGE, TOKEN("tok-2", 1000));
    a = application();
    shows(&a, "tok-1");
    pass(900 * S);
    shows(&a, "tok-1");
    wait_requests(2);
    wait_logged("no new token for big: token server 127.0.0.1 answered 503");
    shows(&a, "tok-1");
    assert_int_equal(requests(), 2); /* the outage is remembered */
    pass(10 * S);
    shows(&a, "tok-1");
    wait_requests(3);
}

static void a_refused_token_is_fetched_anew_but_not_all_the_time(void **state)
{
    struct account a;
    (void)state;

    SERVE(TOKEN("tok-1", 3600), TOKEN("tok-2", 3600), TOKEN("tok-3", 3600));
    a = application();
    shows(&a, "tok-1");
    tokens_refused(here->desk, &a);
    shows(&a, "tok-2");
    for (size_t i = 0; i < 9; i++) {
        tokens_refused(here->desk, &a);
        shows(&a, "tok-2");
        pass(1 * S);
    }
    assert_int_equal(requests(), 2);
    pass(1 * S);
    tokens_refused(here->desk, &a);
    shows(&a, "tok-3");
    assert_int_equal(requests(), 3);
}

static void an_outage_is_remembered_for_a_growing_moment(void **state)
{
    static const int64_t holds_s[] = { 10, 20, 40, 60, 60 };
    struct account a;
    (void)state;

    SERVE(OUTAGE, OUTAGE, OUTAGE, OUTAGE, OUTAGE, TOKEN("tok-1", 20), OUTAGE);
    a = application();
    for (size_t i = 0; i < sizeof holds_s / sizeof holds_s[0]; i++) {
        fails(&a, ERROR_PROTOCOL, "token server 127.0.0.1 answered 503");
        pass(holds_s[i] * S - 1);
        fails(&a, ERROR_PROTOCOL, "token server 127.0.0.1 answered 503");
        assert_int_equal(requests(), i + 1);
        pass(1);
    }
    shows(&a, "tok-1");
    pass(20 * S);
    fails(&a, ERROR_PROTOCOL, "answered 503");
    pass(10 * S); /* short again */
    fails(&a, ERROR_PROTOCOL, "answered 503");
    assert_int_equal(requests(), 8);
}

static void a_server_that_is_not_there_is_told_of(void **state)
{
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct account a;
    int s, one = 1;
    (void)state;

    SERVE(OUTAGE);
    a = application();
    MHD_stop_daemon(server.daemon);
    server.daemon = NULL;
    in.sin_port = htons(server.port); /* and nobody else's meanwhile */
    s = socket(AF_INET, SOCK_STREAM, 0);
    (void)setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    assert_int_equal(bind(s, (struct sockaddr *)&in, sizeof in), 0);
    fails(&a, -ECONNREFUSED, "token server 127.0.0.1 cannot be asked: ");
    close(s);
}

#define DESCRIPTION_OF_200                                                     \
    "0123456789012345678901234567890123456789012345678901234567890123456789"   \
    "0123456789012345678901234567890123456789012345678901234567890123456789"   \
    "012345678901234567890123456789012345678901234567890123456789"

static void what_is_no_token_is_told_in_a_sentence(void **state)
{
    static const struct {
        struct answer answer;
        int rc;
        const char *why, *not_in_it;
    } rows[] = {
        { { 400, "{\"error\":\"invalid_grant\",\"error_description\":"
                 "\"gone\\r\\n \\\\x\\u0007 ü\\n\"}" },
          ERROR_PROTOCOL,
          "token server 127.0.0.1 answered 400 invalid_grant: gone ?x? ü",
          "\n" },
        { { 400, "{\"error\":\"invalid_scope\",\"error_description\":\"no "
                 "ref-1 here\"}" },
          ERROR_PROTOCOL,
          "answered 400 invalid_scope",
          "here" },
        { { 400, "{\"error\":\"x\",\"error_description\":\"" DESCRIPTION_OF_200
                 "more\"}" },
          ERROR_PROTOCOL,
          "x: " DESCRIPTION_OF_200,
          "more" },
        { { 500, "<html>" }, ERROR_PROTOCOL, "answered 500", "html" },
        { { 200, "" }, ERROR_PROTOCOL, "not a JSON object", NULL },
        { { 200, "garbage" }, ERROR_PROTOCOL, "not a JSON object", "garbage" },
        { { 200, "[1]" }, ERROR_PROTOCOL, "not a JSON object", NULL },
        { { 200, "{\"access_token\":\"tok-1\"" },
          ERROR_PROTOCOL,
          "not a JSON object",
          NULL },
        { { 200, "{}" }, ERROR_PROTOCOL, "has no access_token", NULL },
        { { 200, "{\"access_token\":7}" },
          ERROR_PROTOCOL,
          "has no access_token",
          NULL },
        { { 200, "{\"access_token\":\"tok-1\",\"token_type\":\"mac\"}" },
          ERROR_PROTOCOL,
          "not of type Bearer",
          NULL },
        { { 200, "{\"access_token\":\"tok-1\\u0001auth=x\"}" },
          ERROR_PROTOCOL,
          "no token",
          NULL },
        { { 200, "", .size = WEBPOST_ANSWER_MOST + 1 },
          ERROR_TOO_BIG,
          "larger than 64 KB",
          NULL },
        { { 302, "", .location = "/token" },
          ERROR_PROTOCOL,
          "answered 302",
          NULL },
    };
    struct span refresh = file("refresh", "ref-1\n");
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char scope[8];
        struct account a;

        SERVE(rows[i].answer);
        a = application();
        (void)snprintf(scope, sizeof scope, "%zu", i);
        a.scope = span_of(scope); /* nothing is remembered of it */
        a.refresh_token_file = refresh;
        fails(&a, rows[i].rc, rows[i].why);
        if (rows[i].not_in_it)
            assert_null(
                strstr(here->got[here->count - 1].why, rows[i].not_in_it));
        assert_int_equal(requests(), i + 1);
    }
    release(refresh);
}

static void a_slow_server_is_not_waited_for_longer_than_allowed(void **state)
{
    struct account a;
    (void)state;

    SERVE({ .status = 200, .body = "", .is_silent = true });
    here->options.total_ms = 100;
    a = application();
    fails(&a, -ETIMEDOUT, "cannot be asked: ");
}

static void a_secret_goes_by_https_or_stays_on_this_machine(void **state)
{
    static const struct {
        const char *url, *why; /* NULL: good */
    } rows[] = {
        { "https://login.test/token", NULL },
        { "https://login.test:8443/t?x=y", NULL },
        { "http://127.0.0.1:1/token", NULL },
        { "http://[::1]:1/token", NULL },
        { "http://localhost/token", NULL },
        { "http://login.test/token", "not https" },
        { "http://127.0.0.1.login.test/", "not https" },
        { "http://localhost.login.test/", "not https" },
        { "http://10.0.0.1/token", "not https" },
        { "ftp://127.0.0.1/token", "not https" },
        { "file:///etc/passwd", "not https" },
        { "https://us:s3cret@login.test/", "has a user in it" },
        { "https://us@login.test/", "has a user in it" },
        { "login.test/token", "not the address of a server" },
        { "", "not the address of a server" },
    };
    struct account a = { .user = SPAN("us"),
                         .token_url = SPAN("http://10.0.0.1/token") };
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer why = { 0 };
        int rc = weburl_check(span_of(rows[i].url), "token-url", &why);

        if (!rows[i].why)
            assert_int_equal(rc, 0);
        else if (rc != ERROR_CONFIG ||
                 !strstr(buffer_string(&why), rows[i].why))
            fail_msg("%s: %d %s", rows[i].url, rc, buffer_string(&why));
        buffer_fini(&why);
    }
    fails(&a, ERROR_CONFIG, "token-url is not https");
}

static void a_proxy_of_the_environment_is_not_used(void **state)
{
    struct account a;
    (void)state;

    SERVE(TOKEN("tok-1", 3600));
    (void)setenv("http_proxy", "http://127.0.0.1:1", 1);
    (void)setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    a = application();
    shows(&a, "tok-1");
    (void)unsetenv("http_proxy");
    (void)unsetenv("ALL_PROXY");
}

static void a_missing_secret_is_looked_for_each_time(void **state)
{
    struct account a;
    char path[128];
    (void)state;

    SERVE(TOKEN("tok-1", 3600));
    a = application();
    path_of(path, sizeof path, "later");
    a.client_secret_file = span_of(path);
    fails(&a, -ENOENT, "/later: ");
    assert_int_equal(requests(), 0);
    release(file("later", "s3cret\n"));
    shows(&a, "tok-1");
}

/* ------------------------------------------------------------------ the end ---- */

static void closing_drops_what_is_under_way(void **state)
{
    struct span words[3], more[3];
    char script[512], path[128];
    struct account a, c, quick;
    (void)state;

    SERVE({ .status = 200, .body = "", .is_silent = true });
    a = application();
    path_of(path, sizeof path, "pid");
    (void)snprintf(script, sizeof script,
                   "echo $$ > %s.new; mv %s.new %s; exec sleep 1000", path,
                   path, path);
    c = command(words, script);
    quick = command(more, "echo tok-1");
    ask(&a);
    ask(&a);
    ask(&c);
    shows(&quick, "tok-1");
    wait_requests(1);
    for (size_t i = 0; access(path, F_OK) < 0; i++) {
        assert_true(i < PATIENCE_S * 1000);
        (void)usleep(1000);
    }
    /* one more that has been answered, but whose worker has ended */
    ask(&quick);
    close_desk();
    assert_true(is_gone(path));
    assert_int_equal(here->count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(client_credentials_are_shown_by_basic),
        TEST(a_server_that_wants_the_secret_in_the_form_gets_it_there),
        TEST(a_refresh_token_is_enough_for_a_public_client),
        TEST(a_rotated_refresh_token_takes_the_place_of_the_old),
        TEST(a_rotated_token_that_cannot_be_written_is_kept_in_mind),
        TEST(all_who_ask_meanwhile_share_one_fetch),
        TEST(a_token_is_refreshed_beside_its_use_and_waited_for_at_its_end),
        TEST(a_failed_refresh_leaves_the_good_token_in_use),
        TEST(a_refused_token_is_fetched_anew_but_not_all_the_time),
        TEST(an_outage_is_remembered_for_a_growing_moment),
        TEST(a_server_that_is_not_there_is_told_of),
        TEST(what_is_no_token_is_told_in_a_sentence),
        TEST(a_slow_server_is_not_waited_for_longer_than_allowed),
        TEST(a_secret_goes_by_https_or_stays_on_this_machine),
        TEST(a_proxy_of_the_environment_is_not_used),
        TEST(a_missing_secret_is_looked_for_each_time),
        TEST(closing_drops_what_is_under_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
