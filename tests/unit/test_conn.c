/*
 * conn: two connections on one loop, over a pair of sockets.
 */
#include "relay/net/conn.h"

#include "tls_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sys/socket.h>

enum { ROUNDS_MOST = 20000 };

/* ------------------------------------------------------------ the scene ---- */

struct end {
    struct conn conn;
    struct buffer got;
    struct buffer out;
    size_t takes; /* bytes that input may still consume */
    int ended, rc;
    int secured, drained, closed;
    struct tls *begins; /* within input, once a line has come */
    bool is_begun;
    bool finishes; /* within secured */
};

struct scene {
    struct tls_world world;
    struct settings *settings;
    struct listener_settings listener;
    struct span certificate, key;
    struct tls_material *material;
    struct worker worker;
    struct end a, b; /* client, server */
};

static size_t on_input(void *user, struct span in)
{
    struct end *e = user;
    struct span part = span_first(in, e->takes);

    if (e->begins) /* as who hears STARTTLS: up to the end of its line */
        part = span_first(part, span_find(part, '\n') + 1);
    buffer_put(&e->got, part);
    e->takes -= part.len;
    if (e->begins && part.len) {
        e->is_begun = conn_start_tls(&e->conn, e->begins);
        e->begins = NULL;
    }
    return part.len;
}

static void on_ended(void *user, int rc)
{
    struct end *e = user;

    e->ended++;
    e->rc = rc;
}

static void on_drained(void *user)
{
    ((struct end *)user)->drained++;
}

static void on_secured(void *user)
{
    struct end *e = user;

    e->secured++;
    if (e->finishes)
        conn_finish(&e->conn);
}

static void on_closed(void *user)
{
    ((struct end *)user)->closed++;
}

static const struct conn_events events = {
    .input = on_input,
    .ended = on_ended,
    .drained = on_drained,
    .secured = on_secured,
    .closed = on_closed,
};

static void scene_open(struct scene *c)
{
    struct settings *s = NEW(struct settings);
    struct buffer faults = { 0 };
    int fds[2];

    memset(c, 0, sizeof *c);
    world_open(&c->world);
    world_order(&c->world,
                &(struct tls_order){ .file = "mx",
                                     .san = "DNS:mx.example",
                                     .by = &c->world.good },
                &c->certificate, &c->key);
    c->settings = s;
    atomic_init(&s->holders, 1);
    c->listener = (struct listener_settings){ .title = SPAN("edge"),
                                              .tls = LISTENER_TLS_OPTIONAL };
    s->listeners = &c->listener;
    s->listener_count = 1;
    s->tls.certificates = &c->certificate;
    s->tls.keys = &c->key;
    s->tls.certificate_count = s->tls.key_count = 1;
    s->tls.authorities = span_of(c->world.authorities);
    c->material = tls_material_new(s, &faults);
    assert_non_null(c->material);
    assert_int_equal(uv_loop_init(&c->worker.loop), 0);
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
        0);
    c->a.takes = c->b.takes = SIZE_MAX;
    assert_int_equal(conn_open(&c->a.conn, &c->worker, fds[0], &events, &c->a),
                     0);
    assert_int_equal(conn_open(&c->b.conn, &c->worker, fds[1], &events, &c->b),
                     0);
}

static void turn(struct scene *c, int times)
{
    for (int i = 0; i < times; i++)
        (void)uv_run(&c->worker.loop, UV_RUN_NOWAIT);
}

static void scene_close(struct scene *c)
{
    conn_close(&c->a.conn);
    conn_close(&c->b.conn);
    (void)uv_run(&c->worker.loop, UV_RUN_DEFAULT);
    assert_int_equal(c->a.closed + c->b.closed, 2);
    assert_int_equal(uv_loop_close(&c->worker.loop), 0);
    buffer_fini(&c->worker.plain);
    buffer_fini(&c->a.got);
    buffer_fini(&c->b.got);
    buffer_fini(&c->a.out);
    buffer_fini(&c->b.out);
    tls_material_release(c->material);
    settings_release(c->settings);
    world_close(&c->world);
}

static struct tls *client_tls(struct scene *c)
{
    return tls_connect(
        c->material,
        &(struct tls_wish){ .name = SPAN("mx.example"), .verify = true });
}

static struct tls *server_tls(struct scene *c)
{
    return tls_accept(c->material, 0, NULL);
}

static void say(struct end *e, struct span what)
{
    buffer_put(&e->out, what);
    assert_int_equal(conn_send(&e->conn, &e->out), 0);
    assert_int_equal(e->out.len, 0);
}

/* Both under TLS. */
static void scene_secure(struct scene *c)
{
    assert_true(conn_start_tls(&c->b.conn, server_tls(c)));
    assert_true(conn_start_tls(&c->a.conn, client_tls(c)));
    turn(c, 20);
    assert_int_equal(c->a.secured, 1);
    assert_int_equal(c->b.secured, 1);
}

static void set_up(struct scene **out_c)
{
    *out_c = NEW(struct scene);
    scene_open(*out_c);
}

static void tear_down(struct scene *c)
{
    scene_close(c);
    free(c);
}

#define assert_got(end, text)                                                  \
    assert_string_equal(buffer_string(&(end)->got), text)

/* --------------------------------------------------------------- tests ---- */

static void clear_text_goes_both_ways(void **state)
{
    struct scene *c;

    (void)state;
    set_up(&c);
    say(&c->a, SPAN("EHLO a\r\n"));
    say(&c->b, SPAN("250 b\r\n"));
    turn(c, 5);
    assert_got(&c->a, "250 b\r\n");
    assert_got(&c->b, "EHLO a\r\n");
    assert_null(conn_tls(&c->a.conn));
    conn_finish(&c->a.conn);
    turn(c, 5);
    assert_int_equal(c->b.ended, 1);
    assert_int_equal(c->b.rc, 0);
    tear_down(c);
}

static void what_was_sent_before_goes_in_clear_and_the_rest_does_not(
    void **state)
{
    struct scene *c;

    (void)state;
    set_up(&c);
    c->a.begins = client_tls(c);
    say(&c->b, SPAN("220 go\r\n"));
    assert_true(conn_start_tls(&c->b.conn, server_tls(c)));
    say(&c->b, SPAN("250 early\r\n")); /* is kept until the handshake is done */
    assert_int_equal(conn_unsent(&c->b.conn), 11);
    turn(c, 20);
    assert_true(c->a.is_begun);
    assert_int_equal(conn_unsent(&c->b.conn), 0);
    assert_got(&c->a, "220 go\r\n250 early\r\n");
    assert_int_equal(tls_facts(conn_tls(&c->a.conn))->trust, TLS_VERIFIED);
    say(&c->a, SPAN("EHLO a\r\n"));
    turn(c, 5);
    assert_got(&c->b, "EHLO a\r\n");
    assert_int_equal(c->a.ended + c->b.ended, 0);
    tear_down(c);
}

static void input_behind_the_last_clear_line_ends_it(void **state)
{
    struct scene *c;

    (void)state;
    set_up(&c);
    c->b.begins = server_tls(c);
    say(&c->a, SPAN("STARTTLS\r\nEHLO injected\r\n"));
    turn(c, 5);
    assert_got(&c->b, "STARTTLS\r\n");
    assert_true(c->b.is_begun);
    assert_int_equal(c->b.ended, 1);
    assert_int_equal(c->b.rc, ERROR_PROTOCOL);
    tear_down(c);
}

static void input_that_waits_forbids_tls(void **state)
{
    struct scene *c;

    (void)state;
    set_up(&c);
    c->b.takes = 10;
    say(&c->a, SPAN("STARTTLS\r\nEHLO injected\r\n"));
    turn(c, 5);
    assert_false(conn_start_tls(&c->b.conn, server_tls(c)));
    assert_null(conn_tls(&c->b.conn));
    tear_down(c);
}

static void a_handshake_with_who_speaks_no_tls_fails(void **state)
{
    struct scene *c;
    struct buffer why = { 0 };

    (void)state;
    set_up(&c);
    assert_true(conn_start_tls(&c->b.conn, server_tls(c)));
    say(&c->a, SPAN("EHLO x\r\nMAIL FROM:<a@b>\r\n"));
    turn(c, 10);
    assert_int_equal(c->b.secured, 0);
    assert_int_equal(c->b.ended, 1);
    assert_int_equal(c->b.rc, ERROR_TLS);
    buffer_put(&why, tls_trouble(conn_tls(&c->b.conn)));
    assert_string_equal(buffer_string(&why), "peer does not speak TLS");
    assert_int_equal(c->b.got.len, 0);
    buffer_fini(&why);
    tear_down(c);
}

static void an_end_in_the_handshake_is_a_failure_of_it(void **state)
{
    struct scene *c;

    (void)state;
    set_up(&c);
    assert_true(conn_start_tls(&c->b.conn, server_tls(c)));
    conn_close(&c->a.conn);
    turn(c, 10);
    assert_int_equal(c->b.rc, ERROR_TLS);
    assert_true(tls_trouble(conn_tls(&c->b.conn)).len > 0);
    tear_down(c);
}

static void a_refused_certificate_ends_both_sides(void **state)
{
    struct scene *c;

    (void)state;
    set_up(&c);
    assert_true(conn_start_tls(&c->b.conn, server_tls(c)));
    assert_true(conn_start_tls(
        &c->a.conn, tls_connect(c->material, &(struct tls_wish){
                                                 .name = SPAN("other.example"),
                                                 .verify = true })));
    turn(c, 20);
    assert_int_equal(c->a.rc, ERROR_TLS);
    assert_true(tls_trouble_is_trust(conn_tls(&c->a.conn)));
    assert_int_equal(c->b.rc, ERROR_TLS); /* by our alert */
    assert_int_equal(c->a.secured + c->b.secured, 0);
    tear_down(c);
}

static void a_close_notify_is_an_end_and_silence_is_not(void **state)
{
    for (int polite = 0; polite < 2; polite++) {
        struct scene *c;

        (void)state;
        set_up(&c);
        scene_secure(c);
        say(&c->a, SPAN("QUIT\r\n"));
        if (polite)
            conn_finish(&c->a.conn);
        else
            conn_close(&c->a.conn);
        turn(c, 10);
        assert_got(&c->b, "QUIT\r\n");
        assert_int_equal(c->b.ended, 1);
        assert_int_equal(c->b.rc, polite ? 0 : ERROR_TRUNCATED);
        tear_down(c);
    }
}

static void the_end_is_told_when_all_was_taken(void **state)
{
    struct scene *c;

    (void)state;
    set_up(&c);
    scene_secure(c);
    c->b.takes = 3;
    say(&c->a, SPAN("DATA of a message"));
    conn_finish(&c->a.conn);
    turn(c, 10);
    assert_got(&c->b, "DAT");
    assert_int_equal(c->b.ended, 0);
    c->b.takes = 5;
    conn_resume(&c->b.conn);
    assert_int_equal(c->b.ended, 0);
    c->b.takes = SIZE_MAX;
    conn_resume(&c->b.conn);
    assert_got(&c->b, "DATA of a message");
    assert_int_equal(c->b.ended, 1);
    assert_int_equal(c->b.rc, 0);
    conn_resume(&c->b.conn);
    assert_int_equal(c->b.ended, 1);
    say(&c->b, SPAN("250 Ok\r\n")); /* one's own side is open still */
    tear_down(c);
}

static void much_goes_through_at_the_pace_of_who_reads(void **state)
{
    enum { MUCH = 3 * 1024 * 1024 };
    struct buffer text = { 0 };
    struct scene *c;

    (void)state;
    set_up(&c);
    scene_secure(c);
    for (unsigned i = 0; text.len < MUCH; i++)
        buffer_printf(&text, "%u\r\n", i);
    c->b.takes = 1000;
    say(&c->a, buffer_span(&text));
    turn(c, 20);
    assert_int_equal(c->b.got.len, 1000);
    assert_true(conn_unsent(&c->a.conn) > 0);
    for (int i = 0; i < ROUNDS_MOST && c->b.got.len < text.len; i++) {
        c->b.takes = 70000;
        conn_resume(&c->b.conn);
        turn(c, 1);
    }
    assert_true(span_is(buffer_span(&c->b.got), buffer_span(&text)));
    turn(c, 5);
    assert_int_equal(conn_unsent(&c->a.conn), 0);
    assert_int_equal(c->a.drained, 1);
    buffer_fini(&text);
    tear_down(c);
}

static void an_owner_may_finish_as_soon_as_it_is_secured(void **state)
{
    struct scene *c;

    (void)state;
    set_up(&c);
    c->b.finishes = true;
    assert_true(conn_start_tls(&c->b.conn, server_tls(c)));
    assert_true(conn_start_tls(&c->a.conn, client_tls(c)));
    turn(c, 20);
    assert_int_equal(c->a.secured, 1);
    assert_int_equal(c->a.ended, 1);
    assert_int_equal(c->a.rc, 0);
    say(&c->b, SPAN("too late")); /* is dropped */
    tear_down(c);
}

static void an_idle_connection_keeps_no_buffer(void **state)
{
    struct scene *c;

    (void)state;
    set_up(&c);
    scene_secure(c);
    say(&c->a, SPAN("NOOP\r\n"));
    turn(c, 5);
    assert_null(c->a.conn.next.at);
    assert_null(c->b.conn.waiting.at);
    assert_null(tls_output(c->a.conn.tls)->at);
    assert_null(tls_output(c->b.conn.tls)->at);
    assert_int_equal(c->worker.plain.len, 0);
    assert_true(c->worker.plain.size >= 6);
    assert_null(memmem(c->worker.plain.at, 6, "NOOP", 4)); /* wiped */
    tear_down(c);
}

/* ------------------------------------------------------- another owner ---- */

/* b's connection goes to another owner, who is answered. */
static void hand_over(struct scene *c, struct end *to, struct span rest)
{
    struct hand h = HAND_NONE;

    assert_int_equal(conn_give(&c->b.conn, &h), 0);
    assert_int_equal(c->b.closed, 0);
    buffer_put(&h.waiting, rest);
    to->takes = SIZE_MAX;
    assert_int_equal(conn_take(&to->conn, &c->worker, &h, &events, to), 0);
    assert_int_equal(h.fd, -1);
    assert_int_equal(to->got.len, 0);
    turn(c, 5);
    assert_int_equal(c->b.closed, 1);
    assert_int_equal(c->a.ended, 0);
}

static void end_free(struct scene *c, struct end *e)
{
    conn_close(&e->conn);
    turn(c, 5);
    assert_int_equal(e->closed, 1);
    buffer_fini(&e->got);
    buffer_fini(&e->out);
}

static void the_same_conversation_goes_on_with_another_owner(void **state)
{
    for (int secure = 0; secure < 2; secure++) {
        struct scene *c;
        struct end other = { 0 };

        (void)state;
        set_up(&c);
        if (secure)
            scene_secure(c);
        c->b.takes = 6;
        say(&c->a, SPAN("ATRN\r\n220 early\r\n"));
        turn(c, 5);
        assert_got(&c->b, "ATRN\r\n");
        hand_over(c, &other, SPAN(""));
        assert_got(&other, "220 early\r\n");
        say(&c->a, SPAN("220 here I am\r\n"));
        say(&other, SPAN("EHLO provider\r\n"));
        turn(c, 5);
        assert_got(&other, "220 early\r\n220 here I am\r\n");
        assert_got(&c->a, "EHLO provider\r\n");
        assert_true((conn_tls(&other.conn) != NULL) == (secure == 1));
        if (secure)
            assert_non_null(tls_facts(conn_tls(&other.conn)));
        conn_finish(&c->a.conn);
        turn(c, 5);
        assert_int_equal(other.ended, 1);
        assert_int_equal(other.rc, 0);
        end_free(c, &other);
        tear_down(c);
    }
}

static void an_owner_that_goes_at_once_is_shown_nothing(void **state)
{
    struct scene *c;
    struct end other = { .takes = SIZE_MAX };
    struct hand h = HAND_NONE;

    (void)state;
    set_up(&c);
    assert_int_equal(conn_give(&c->b.conn, &h), 0);
    buffer_put(&h.waiting, SPAN("220 early\r\n"));
    assert_int_equal(conn_take(&other.conn, &c->worker, &h, &events, &other),
                     0);
    end_free(c, &other);
    assert_int_equal(other.got.len, 0);
    assert_int_equal(c->a.ended, 1);
    tear_down(c);
}

static void a_hand_that_nobody_wants_is_the_end(void **state)
{
    struct scene *c;
    struct hand h = HAND_NONE;

    (void)state;
    set_up(&c);
    hand_drop(&h);
    scene_secure(c);
    assert_int_equal(conn_give(&c->b.conn, &h), 0);
    hand_drop(&h);
    turn(c, 5);
    assert_int_equal(c->a.ended, 1);
    assert_int_equal(c->a.rc, ERROR_TRUNCATED);
    tear_down(c);
}

static void what_is_not_settled_is_not_given(void **state)
{
    struct scene *c;
    struct hand h = HAND_NONE;

    (void)state;
    set_up(&c);
    assert_true(conn_start_tls(&c->b.conn, server_tls(c)));
    assert_int_equal(conn_give(&c->b.conn, &h), -EBUSY);
    say(&c->b, SPAN("250 early\r\n"));
    assert_int_equal(conn_give(&c->b.conn, &h), -EBUSY);
    conn_close(&c->a.conn);
    turn(c, 5);
    assert_int_equal(conn_give(&c->b.conn, &h), ERROR_GONE);
    conn_close(&c->b.conn);
    assert_int_equal(conn_give(&c->b.conn, &h), ERROR_GONE);
    assert_int_equal(h.fd, -1);
    tear_down(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_conversation_goes_on_with_another_owner),
        cmocka_unit_test(an_owner_that_goes_at_once_is_shown_nothing),
        cmocka_unit_test(a_hand_that_nobody_wants_is_the_end),
        cmocka_unit_test(what_is_not_settled_is_not_given),
        cmocka_unit_test(clear_text_goes_both_ways),
        cmocka_unit_test(
            what_was_sent_before_goes_in_clear_and_the_rest_does_not),
        cmocka_unit_test(input_behind_the_last_clear_line_ends_it),
        cmocka_unit_test(input_that_waits_forbids_tls),
        cmocka_unit_test(a_handshake_with_who_speaks_no_tls_fails),
        cmocka_unit_test(an_end_in_the_handshake_is_a_failure_of_it),
        cmocka_unit_test(a_refused_certificate_ends_both_sides),
        cmocka_unit_test(a_close_notify_is_an_end_and_silence_is_not),
        cmocka_unit_test(the_end_is_told_when_all_was_taken),
        cmocka_unit_test(much_goes_through_at_the_pace_of_who_reads),
        cmocka_unit_test(an_owner_may_finish_as_soon_as_it_is_secured),
        cmocka_unit_test(an_idle_connection_keeps_no_buffer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
