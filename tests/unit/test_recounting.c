/*
 * Questions to the history of an open queue, and those that walk through the queue: answered
 * on the port's thread, in pages, by a thread that comes and goes; and what keeps the file
 * small.
 */
#include "queue/history_index.h"
#include "tests/unit/queue_world.h"

#include <sqlite3.h>
#include <sys/resource.h>

struct answer {
    size_t pages, rows;
    int rc;
    bool is_last;
    struct queue_place next;
    char replies[1000];
};

static struct answer answers[4]; /* by token */

static void on_page(void *user, uint64_t token, int rc,
                    const struct queue_told *rows, size_t count,
                    const struct queue_place *next)
{
    struct answer *a = &answers[token];

    (void)user;
    for (size_t i = 0; i < count; i++) {
        size_t used = strlen(a->replies);

        (void)snprintf(a->replies + used, sizeof a->replies - used, "%.*s ",
                       SPAN_FMT(rows[i].reply));
    }
    a->rc = rc;
    a->rows += count;
    a->is_last = !next;
    if (next)
        a->next = *next;
    a->pages++;
}

static void ask(struct world *w, const struct queue_filter *f, size_t token,
                uint32_t limit)
{
    size_t before = answers[token].pages;

    queue_history(w->p, f, &answers[token].next, limit, on_page, token);
    world_until(w, &answers[token].pages, before + 1);
}

static void refuse(struct world *w, int number)
{
    char reply[20];

    (void)snprintf(reply, sizeof reply, "55%d", number);
    queue_refuse(w->q, &(struct queue_refusal){ .at_ms = 1000 + number,
                                                .sender = SPAN("a@b"),
                                                .recipient = SPAN("c@d"),
                                                .reply = span_of(reply) });
}

/* The historian writes about once a second; at its end, at once. */
static struct world *world_with(int refusals)
{
    struct world *w = world_new(0, false);

    memset(answers, 0, sizeof answers);
    for (int i = 0; i < refusals; i++)
        refuse(w, i);
    world_reopen(w);
    return w;
}

static void a_question_is_answered_in_pages(void **state)
{
    struct queue_filter f = { .from = SPAN("A@B") };
    struct world *w = world_with(5);

    (void)state;
    ask(w, &f, 0, 2);
    assert_string_equal(answers[0].replies, "554 553 ");
    assert_false(answers[0].is_last);
    ask(w, &f, 0, 2);
    ask(w, &f, 0, 2);
    assert_string_equal(answers[0].replies, "554 553 552 551 550 ");
    assert_true(answers[0].is_last);
    assert_int_equal(answers[0].rc, 0);
    world_free(w);
}

static void several_may_ask_at_once(void **state)
{
    struct queue_filter all = { .id = 0 }, none = { .to = SPAN("x*") };
    struct world *w = world_with(3);

    (void)state;
    for (size_t i = 0; i < 4; i++)
        queue_history(w->p, i % 2 ? &none : &all, NULL, 10, on_page, i);
    for (size_t i = 0; i < 4; i++) {
        world_until(w, &answers[i].pages, 1);
        assert_int_equal(answers[i].rows, i % 2 ? 0 : 3);
        assert_true(answers[i].is_last);
    }
    world_free(w);
}

static void who_has_gone_is_not_answered(void **state)
{
    struct queue_filter all = { .id = 0 };
    struct world *w = world_with(3);

    (void)state;
    queue_history(w->p, &all, NULL, 10, on_page, 0);
    world_close_queue(w);
    assert_int_equal(answers[0].pages, 0);
    world_free(w);
}

static void a_question_that_is_too_long_fails_alone(void **state)
{
    static char text[2000];
    struct queue_filter f = { .to = { text, sizeof text } }, all = { .id = 0 };
    struct world *w = world_with(1);

    (void)state;
    memset(text, 'x', sizeof text);
    ask(w, &f, 0, 10);
    assert_int_equal(answers[0].rc, ERROR_TOO_BIG);
    ask(w, &all, 1, 10);
    assert_int_equal(answers[1].rows, 1);
    world_free(w);
}

static void a_history_that_cannot_be_read_says_so(void **state)
{
    struct queue_filter all = { .id = 0 };
    struct world *w = world_with(1);
    char path[120];

    (void)state;
    (void)snprintf(path, sizeof path, "%s/history.db", w->folder);
    assert_int_equal(remove(path), 0);
    ask(w, &all, 0, 10);
    assert_true(answers[0].rc < 0);
    assert_true(answers[0].is_last);
    world_free(w);
}

/* ---------------------------------------------------------- the queue ---- */

static void on_ranks(void *user, uint64_t token, int rc,
                     const struct queue_rank *ranks, size_t count)
{
    (void)user;
    answers[token].rc = rc;
    answers[token].rows = count ? ranks[0].count.messages : 0;
    answers[token].pages++;
}

static void on_rows(void *user, uint64_t token, int rc,
                    const struct queue_row *rows, size_t count, uint64_t next)
{
    (void)user;
    (void)rows;
    answers[token].rc = rc;
    answers[token].rows = count;
    answers[token].is_last = next == 0;
    answers[token].pages++;
}

static void on_preview(void *user, uint64_t token, int rc,
                       const struct queue_preview *p)
{
    (void)user;
    answers[token].rc = rc;
    answers[token].rows = p->count.messages;
    answers[token].pages++;
}

static bool has_thread(struct world *w)
{
    struct recounting *r = &w->q->recounting;
    bool has;

    pthread_mutex_lock(&r->lock);
    has = r->has_thread;
    pthread_mutex_unlock(&r->lock);
    return has;
}

/* Whatever its history is like. */
static void what_walks_through_the_queue_leaves_the_reader_alone(void **state)
{
    struct queue_filter all = { .id = 0 };
    struct world *w = world_with(1);
    char path[120];

    (void)state;
    (void)snprintf(path, sizeof path, "%s/history.db", w->folder);
    assert_int_equal(remove(path), 0);
    for (int i = 0; i < 5; i++)
        (void)world_put(w, "from.test", "a.test", "x");
    world_until(w, &w->puts, 5);
    queue_story(w->p, w->last_id, world_on_story, 0);
    world_until(w, &w->rounds, 1);
    assert_false(has_thread(w));
    queue_history(w->p, &all, NULL, 10, on_page, 0);
    queue_ranks(w->p, &all, RANK_DOMAIN, 10, on_ranks, 1);
    queue_list(w->p, &all, 0, 3, on_rows, 2);
    queue_preview(w->p, &all, on_preview, 3);
    assert_int_equal(world_count(w, 0).messages, 5);
    assert_true(has_thread(w));
    for (size_t i = 0; i < 4; i++)
        world_until(w, &answers[i].pages, 1);
    assert_true(answers[0].rc < 0);
    assert_int_equal(answers[1].rows, 5);
    assert_int_equal(answers[2].rows, 3);
    assert_false(answers[2].is_last);
    assert_int_equal(answers[3].rows, 5);
    world_free(w);
}

static void who_has_gone_is_not_told_of_the_queue(void **state)
{
    struct queue_filter all = { .id = 0 };
    struct world *w = world_with(1);

    (void)state;
    (void)world_put(w, "from.test", "a.test", "x");
    world_until(w, &w->puts, 1);
    queue_ranks(w->p, &all, RANK_DOMAIN, 10, on_ranks, 1);
    queue_list(w->p, &all, 0, 3, on_rows, 2);
    queue_preview(w->p, &all, on_preview, 3);
    world_close_queue(w);
    assert_int_equal(answers[1].pages + answers[2].pages + answers[3].pages, 0);
    world_free(w);
}

/* --------------------------------------------------------------- text ---- */

static int priority; /* of the thread that wrote the row last */

static void put_row(struct buffer *b, const struct queue_row *row)
{
    priority = getpriority(PRIO_PROCESS, (id_t)gettid());
    buffer_put(b, row->sender);
    buffer_put_byte(b, '\n');
}

static void put_told(struct buffer *b, const struct queue_told *row)
{
    priority = getpriority(PRIO_PROCESS, (id_t)gettid());
    buffer_put(b, row->reply);
    buffer_put_byte(b, '\n');
}

static struct buffer told;
static size_t told_pages, told_rows;
static uint64_t told_next;

static void on_list_text(void *user, uint64_t token, int rc,
                         struct buffer *text, size_t count, uint64_t next_id)
{
    (void)user;
    (void)token;
    assert_int_equal(rc, 0);
    buffer_put(&told, buffer_span(text));
    told_rows += count;
    told_next = next_id;
    told_pages++;
}

static void on_history_text(void *user, uint64_t token, int rc,
                            struct buffer *text, size_t count,
                            const struct queue_place *next)
{
    on_list_text(user, token, rc, text, count, next != NULL);
}

static int no_less_than(int nice)
{
    int own = getpriority(PRIO_PROCESS, 0);

    return own > nice ? own : nice;
}

static void a_long_list_is_written_at_a_low_priority(void **state)
{
    static const struct {
        bool is_long;
        int nice;
        size_t pages;
    } rows[] = { { false, RECOUNTING_NICE, 1 }, { true, STREAMING_NICE, 2 } };
    static const char *const senders[] = { "b", "c", "d" };
    struct queue_list_want want = { .filter = &(struct queue_filter){ .id = 0 },
                                    .limit = 2,
                                    .put = put_row };
    struct world *w = world_new(0, false);

    (void)state;
    told_pages = told_rows = 0;
    for (int i = 0; i < 3; i++)
        (void)world_put(w, senders[i], "x.test", "hello");
    world_until(w, &w->puts, 3);
    for (int i = 0; i < 2; i++) {
        want.is_long = rows[i].is_long;
        queue_list_text(w->p, &want, on_list_text, 0);
        world_until(w, &told_pages, rows[i].pages);
        assert_int_equal(priority, no_less_than(rows[i].nice));
        want.after_id = told_next;
    }
    assert_int_equal(told_next, 0);
    assert_int_equal(told_rows, 3);
    assert_string_equal(buffer_string(&told), "a@b\na@c\na@d\n");
    buffer_fini(&told);
    world_free(w);
}

static void so_is_a_long_history(void **state)
{
    struct world *w = world_with(3);
    struct queue_history_want want = {
        .filter = &(struct queue_filter){ .id = 0 },
        .limit = 10,
        .is_long = true,
        .put = put_told,
    };

    (void)state;
    told_pages = told_rows = 0;
    queue_history_text(w->p, &want, on_history_text, 0);
    world_until(w, &told_pages, 1);
    assert_int_equal(told_rows, 3);
    assert_int_equal(told_next, 0);
    assert_int_equal(priority, no_less_than(STREAMING_NICE));
    assert_string_equal(buffer_string(&told), "552\n551\n550\n");
    buffer_fini(&told);
    queue_history_text(w->p, &want, on_history_text, 0);
    world_close_queue(w);
    assert_int_equal(told_pages, 1); /* who has gone is not told */
    world_free(w);
}

/* --------------------------------------------------------------- size ---- */

static int64_t number(struct world *w, const char *sql)
{
    char path[120];
    sqlite3_stmt *st;
    sqlite3 *db;
    int64_t n;

    (void)snprintf(path, sizeof path, "%s/history.db", w->folder);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    n = sqlite3_column_int64(st, 0);
    (void)sqlite3_finalize(st);
    (void)sqlite3_close(db);
    return n;
}

/* 3,000 rows of half a kilobyte, then a cap of half of them. */
static void a_history_over_its_cap_forgets_the_oldest_and_shrinks(void **state)
{
    enum { CAP = 800 * 1024, ROWS = 3000 };
    struct world *w = world_with(0);
    char long_reply[500];
    int64_t before, pages = 0;

    (void)state;
    memset(long_reply, 'r', sizeof long_reply);
    for (int i = 0; i < ROWS; i++)
        queue_refuse(w->q,
                     &(struct queue_refusal){
                         .at_ms = queue_now_ms(w->q) + i,
                         .reply = span_make(long_reply, sizeof long_reply) });
    w->options.history_bytes = CAP;
    world_reopen(w);
    before = number(w, "SELECT min(at_ms) FROM refusal");
    /* patience is world_until's: this waits for the historian */
    for (int i = 0; i < WORLD_PATIENCE_S * 50; i++) {
        pages = number(w, "SELECT page_count*page_size FROM "
                          "pragma_page_count(),pragma_page_size()");
        if (pages <= CAP)
            break;
        (void)usleep(20000);
    }
    assert_in_range(pages, 1, CAP);
    assert_in_range(number(w, "SELECT count(*) FROM refusal"), ROWS / 10,
                    ROWS - 1);
    assert_true(number(w, "SELECT min(at_ms) FROM refusal") > before);
    /* the newest are those that are left */
    assert_int_equal(
        number(w, "SELECT max(id)-min(id)+1-count(*) FROM refusal"), 0);
    assert_int_equal(number(w, "SELECT max(id) FROM refusal"), ROWS);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_is_answered_in_pages),
        cmocka_unit_test(several_may_ask_at_once),
        cmocka_unit_test(who_has_gone_is_not_answered),
        cmocka_unit_test(a_question_that_is_too_long_fails_alone),
        cmocka_unit_test(a_history_that_cannot_be_read_says_so),
        cmocka_unit_test(what_walks_through_the_queue_leaves_the_reader_alone),
        cmocka_unit_test(who_has_gone_is_not_told_of_the_queue),
        cmocka_unit_test(a_long_list_is_written_at_a_low_priority),
        cmocka_unit_test(so_is_a_long_history),
        cmocka_unit_test(a_history_over_its_cap_forgets_the_oldest_and_shrinks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
