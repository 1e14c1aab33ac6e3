/*
 * One draft that became several messages: put together or not at all, large content on
 * disk once, each with a head of its own.
 */
#include "queue_world.h"

#include "policy/vocabulary/id.h"
#include "policy/vocabulary/limits.h"

#include <fcntl.h>
#include <sys/stat.h>

enum { PART = 100000, SPLIT_MOST = 8 };

/* A message of a split, and what it must read as. */
struct piece {
    uint64_t id;
    const char *head;    /* of a large one; NULL: none */
    const char *content; /* of a small one; NULL: it is in the body */
};

struct split {
    size_t parts; /* of the body; 0: it is empty */
    uint64_t body_id;
    struct piece pieces[SPLIT_MOST];
    size_t count;
};

static void on_append(void *user, uint64_t token, int rc)
{
    (void)user;
    (void)token;
    (void)rc;
}

static struct queue_body *make_body(struct world *w, uint64_t id, size_t parts)
{
    struct queue_body *b = queue_body_open(w->p, id);

    for (size_t i = 0; i < parts; i++) {
        char *part = memory_take(PART);

        memset(part, (int)('a' + i), PART);
        queue_body_append(b, part, PART, on_append, i);
    }
    return b;
}

static size_t piece_size(const struct split *s, const struct piece *p)
{
    return p->content ? strlen(p->content)
                      : s->parts * PART + (p->head ? strlen(p->head) : 0);
}

static bool has_large(const struct split *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (!s->pieces[i].content)
            return true;
    return false;
}

/* Each to r@example.org; ids that are 0 are given. */
static void split_put(struct world *w, struct split *s)
{
    struct queue_recipient r = { .address = SPAN("r@example.org"),
                                 .lane = SPAN("example.org"),
                                 .expire_ms = INT64_MAX,
                                 .warn_ms = INT64_MAX };
    struct queue_message all[SPLIT_MOST] = { 0 };
    struct queue_body *body = NULL;

    if (!s->body_id)
        s->body_id = queue_new_id(w->q);
    if (has_large(s))
        body = make_body(w, s->body_id, s->parts);
    for (size_t i = 0; i < s->count; i++) {
        struct piece *p = &s->pieces[i];
        char *head = p->head ? span_dup(span_of(p->head)) : NULL;

        if (!p->id)
            p->id = i ? queue_new_id(w->q) : s->body_id;
        all[i] = (struct queue_message){
            .id = p->id,
            .envelope = { .size_bytes = piece_size(s, p),
                          .header_bytes =
                              p->head ? (uint32_t)strlen(p->head) : 0 },
            .recipients = &r,
            .recipient_count = 1,
            .take_content = p->content ? span_dup(span_of(p->content)) : NULL,
            .take_body = p->content ? NULL : body,
            .head = head ? span_of(head) : (struct span){ 0 },
        };
    }
    queue_put_all(w->p, all, s->count, world_on_put, 0);
    for (size_t i = 0; i < s->count; i++)
        free((char *)all[i].head.at); /* it was borrowed */
}

static void expected(const struct split *s, const struct piece *p,
                     struct buffer *out)
{
    buffer_put_string(out, p->content ? p->content : p->head ? p->head : "");
    for (size_t i = 0; !p->content && i < s->parts; i++)
        for (size_t n = 0; n < PART; n++)
            buffer_put_byte(out, (char)('a' + i));
}

/* ------------------------------------------------------------- reading ---- */

static void on_read(void *user, uint64_t token, int rc, struct span bytes)
{
    struct world *w = user;

    (void)token;
    w->last_rc = rc;
    buffer_put(w->user, bytes);
    w->answers++;
}

/* Content in steps of so many bytes; the rc of the last read. */
static int read_all(struct world *w, const struct queue_work *work, size_t step,
                    struct buffer *out)
{
    uint64_t size = work->envelope.size_bytes;

    buffer_clear(out);
    w->user = out;
    w->last_rc = 0;
    if (work->content.at) {
        buffer_put(out, work->content);
        return 0;
    }
    for (uint64_t at = 0; at < size && w->last_rc == 0; at += step) {
        queue_read(w->p, work, at, step, on_read, 0);
        world_until(w, &w->answers, w->answers + 1);
    }
    return w->last_rc;
}

static void content_is(struct world *w, const struct split *s,
                       const struct piece *p, const struct queue_work *work)
{
    static const size_t steps[] = { CONTENT_PART, 7001, 1 };
    struct buffer got = { 0 }, want = { 0 };

    expected(s, p, &want);
    assert_int_equal(work->envelope.size_bytes, want.len);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (steps[i] == 1 && want.len > 1000)
            continue;
        assert_int_equal(read_all(w, work, steps[i], &got), 0);
        assert_true(span_is(buffer_span(&got), buffer_span(&want)));
    }
    buffer_fini(&got);
    buffer_fini(&want);
}

static const struct piece *piece_of(const struct split *s, uint64_t id)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->pieces[i].id == id)
            return &s->pieces[i];
    fail_msg("%s is none of them", id_print(id).at);
    return NULL;
}

/* All that is due, whole. */
static void all_arrive(struct world *w, const struct split *s)
{
    size_t n = 0, settled = w->settles;

    while (n < s->count) {
        struct queue_work *work;

        world_until(w, &w->slot_count, 1);
        work = queue_slot_next(w->slots[0], 50);
        if (!work) { /* the reader has yet to bring it */
            world_until(w, &w->readies, w->readies + 1);
            continue;
        }
        content_is(w, s, piece_of(s, work->message), work);
        world_settle(w, work, OUTCOME_DELIVERED, 0);
        n++;
    }
    world_until(w, &w->settles, settled + n);
    assert_int_equal(w->removed, n);
}

/* --------------------------------------------------------------- files ---- */

static void content_path(const struct world *w, uint64_t id, char out[160])
{
    (void)snprintf(out, 160, "%s.content/%s", w->path, id_print(id).at);
}

/* How many names its content has; 0: there is none. */
static size_t names_of(const struct world *w, uint64_t id)
{
    char path[160];
    struct stat st;

    content_path(w, id, path);
    return stat(path, &st) == 0 ? st.st_nlink : 0;
}

static size_t file_bytes(const struct world *w, uint64_t id)
{
    char path[160];
    struct stat st;

    content_path(w, id, path);
    assert_int_equal(stat(path, &st), 0);
    return (size_t)st.st_size;
}

static size_t files(const struct world *w)
{
    char command[200];
    FILE *f;
    unsigned n = 0;

    (void)snprintf(command, sizeof(command), "ls %s.content | wc -l", w->path);
    f = popen(command, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%u", &n), 1);
    (void)pclose(f);
    return n;
}

/* ---------------------------------------------------------------- cases ---- */

static const struct split cases[] = {
    { 3, 0, { { 0, "Subject: a\r\n\r\n", NULL } }, 1 },
    { 3, 0, { { 0, NULL, NULL }, { 0, "B: b\r\n\r\n", NULL } }, 2 },
    { 5,
      0,
      { { 0, "A: a\r\n\r\n", NULL },
        { 0, "Longer: than the first\r\n\r\n", NULL },
        { 0, NULL, "small\r\n" },
        { 0, "C: c\r\n\r\n", NULL } },
      4 },
    { 0, 0, { { 0, NULL, "one" }, { 0, NULL, "two" }, { 0, NULL, "" } }, 3 },
    { 0, 0, { { 0, "Only: a head\r\n\r\n", NULL }, { 0, NULL, NULL } }, 2 },
};

static void a_draft_arrives_as_each_of_its_messages(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int again = 0; again < 2; again++) {
            struct world *w = world_new(0, true);
            struct split s = cases[i];

            split_put(w, &s);
            world_until(w, &w->puts, 1);
            assert_int_equal(w->last_rc, 0);
            assert_int_equal(w->puts_ok, 1);
            assert_int_equal(w->last_id, s.pieces[0].id);
            if (again)
                world_reopen(w);
            all_arrive(w, &s);
            world_reopen(w);
            assert_int_equal(files(w), 0);
            world_free(w);
        }
}

static void shared_content_is_on_disk_once_and_goes_with_the_last(void **state)
{
    struct world *w = world_new(0, true);
    struct split s = { 3,
                       0,
                       { { 0, "A: a\r\n\r\n", NULL },
                         { 0, "B: b\r\n\r\n", NULL },
                         { 0, NULL, NULL } },
                       3 };

    (void)state;
    split_put(w, &s);
    world_until(w, &w->puts_ok, 1);
    for (size_t left = 3; left > 0; left--) {
        uint64_t id;
        struct queue_work *work;

        world_until(w, &w->slot_count, 1);
        work = queue_slot_next(w->slots[0], 50);
        id = work->message;
        assert_int_equal(names_of(w, id), left);
        assert_int_equal(file_bytes(w, id), 3 * PART + 16);
        world_settle(w, work, OUTCOME_DELIVERED, 0);
        world_until(w, &w->settles, 4 - left);
        world_reopen(w);
        assert_int_equal(names_of(w, id), 0);
        assert_int_equal(files(w), left - 1);
    }
    world_free(w);
}

static void a_body_may_have_the_name_of_none_of_them(void **state)
{
    struct world *w = world_new(0, true);
    struct split s = { 2,
                       queue_new_id(w->q),
                       { { 0, "A: a\r\n\r\n", NULL }, { 0, NULL, NULL } },
                       2 };

    (void)state;
    s.pieces[0].id = queue_new_id(w->q);
    split_put(w, &s);
    world_until(w, &w->puts_ok, 1);
    assert_int_equal(names_of(w, s.body_id), 0);
    assert_int_equal(names_of(w, s.pieces[0].id), 2);
    all_arrive(w, &s);
    world_free(w);
}

static void a_read_from_within_gives_what_stands_there(void **state)
{
    struct world *w = world_new(0, true);
    struct split s = cases[1];
    struct queue_work *work;
    struct buffer got = { 0 };

    (void)state;
    split_put(w, &s);
    world_until(w, &w->puts_ok, 1);
    world_until(w, &w->slot_count, 1);
    work = queue_slot_next(w->slots[0], 1);
    /* from within: nothing is verified, nothing is refused */
    w->user = &got;
    queue_read(w->p, work, work->envelope.size_bytes - 5, 100, on_read, 0);
    world_until(w, &w->answers, 1);
    assert_int_equal(w->last_rc, 0);
    assert_true(span_is(buffer_span(&got), SPAN("ccccc")));
    world_settle(w, work, OUTCOME_FREED, 0);
    world_until(w, &w->settles, 1);
    all_arrive(w, &s);
    buffer_fini(&got);
    world_free(w);
}

/* --------------------------------------------------------------- trouble ---- */

static void damage(const struct world *w, uint64_t id, long at)
{
    char path[160];
    int fd;

    content_path(w, id, path);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "!", 1, at), 1);
    close(fd);
}

/* at: in the file; hurts: which of the two messages it concerns. */
static const struct {
    long at;
    bool hurts[2];
} damages[] = {
    { 2 * PART, { true, false } },     /* the first head */
    { 2 * PART + 8, { false, true } }, /* the second */
    { 5, { true, true } },             /* what they share */
    { 2 * PART - 1, { true, true } },
};

static void q6_damage_in_head_or_body_is_found(void **state)
{
    struct buffer got = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        struct world *w = world_new(0, true);
        struct split s = { 2,
                           0,
                           { { 0, "A: a\r\n\r\n", NULL },
                             { 0, "B: b\r\n\r\n", NULL } },
                           2 };

        split_put(w, &s);
        world_until(w, &w->puts_ok, 1);
        damage(w, s.pieces[0].id, damages[i].at);
        world_until(w, &w->slot_count, 1);
        for (size_t n = 0; n < 2; n++) {
            struct queue_work *work = queue_slot_next(w->slots[0], 50);
            bool hurts = damages[i].hurts[work->message == s.pieces[1].id];

            assert_int_equal(read_all(w, work, 60000, &got),
                             hurts ? ERROR_CHECKSUM : 0);
            world_settle(w, work, OUTCOME_DELIVERED, 0);
            world_until(w, &w->settles, n + 1);
        }
        world_free(w);
    }
    buffer_fini(&got);
}

static void q6_a_file_that_lost_its_end_is_found(void **state)
{
    struct world *w = world_new(0, true);
    struct split s = cases[0];
    struct buffer got = { 0 };
    struct queue_work *work;
    char path[160];

    (void)state;
    split_put(w, &s);
    world_until(w, &w->puts_ok, 1);
    world_until(w, &w->slot_count, 1);
    content_path(w, s.pieces[0].id, path);
    assert_int_equal(truncate(path, 3 * PART + 3), 0);
    work = queue_slot_next(w->slots[0], 50);
    assert_int_equal(read_all(w, work, 60000, &got), ERROR_CHECKSUM);
    assert_int_equal(got.len, 0);
    world_settle(w, work, OUTCOME_FREED, 0);
    world_until(w, &w->settles, 1);
    buffer_fini(&got);
    world_free(w);
}

/* Neither now nor after a start. */
static void nothing_is_kept(struct world *w)
{
    assert_int_equal(w->puts_ok, 0);
    assert_true(w->last_rc < 0);
    assert_int_equal(world_count(w, 0).messages, 0);
    world_reopen(w);
    assert_int_equal(world_count(w, 0).messages, 0);
    world_close_queue(w); /* what was to be removed is */
    assert_int_equal(files(w), 0);
}

/* A link that cannot be made: here since the name is taken. */
static void q5_without_a_link_nothing_is_kept(void **state)
{
    struct world *w = world_new(0, false); /* the file's id must be old */
    struct split s = { 2, 0, { { 0, "A: a\r\n\r\n", NULL } }, 4 };
    char path[160];

    (void)state;
    s.pieces[2].content = "small";
    s.pieces[3].id = queue_new_id(w->q);
    content_path(w, s.pieces[3].id, path);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    split_put(w, &s);
    world_until(w, &w->puts, 1);
    assert_int_equal(files(w), 1); /* the others' names went at once */
    nothing_is_kept(w);
    world_free(w);
}

static void q5_when_one_cannot_be_put_nothing_is_kept(void **state)
{
    struct world *w = world_new(0, true);
    struct split s = cases[2];

    (void)state;
    s.pieces[3].id = queue_new_id(w->q);
    s.pieces[2].id = s.pieces[3].id; /* the same twice: the store refuses it */
    split_put(w, &s);
    world_until(w, &w->puts, 1);
    nothing_is_kept(w);
    world_free(w);
}

static void q7_when_the_disk_is_full_nothing_is_kept(void **state)
{
    struct world *w;
    struct split s;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        w = world_new(0, true);
        w->options.reserve_bytes = UINT64_MAX / 2;
        world_reopen(w);
        s = cases[i];
        split_put(w, &s);
        world_until(w, &w->puts, 1);
        assert_int_equal(w->last_rc, ERROR_FULL);
        nothing_is_kept(w);
        world_free(w);
    }
}

/* The process died between the links and the commit: as a start finds it. */
static void q5_names_that_no_commit_followed_are_removed(void **state)
{
    struct world *w = world_new(0, true);
    struct split s = cases[2];
    uint64_t half[4];
    char from[160], to[160];

    (void)state;
    for (size_t i = 0; i < 4; i++)
        half[i] = queue_new_id(w->q);
    split_put(w, &s);
    world_until(w, &w->puts_ok, 1);
    content_path(w, s.pieces[0].id, from);
    /* two more of the same file, and two of one that no message has */
    for (size_t i = 0; i < 4; i++) {
        content_path(w, half[i], to);
        if (i == 2) {
            close(open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
            memcpy(from, to, sizeof(from));
            continue;
        }
        assert_int_equal(link(from, to), 0);
    }
    assert_int_equal(files(w), 7);
    world_reopen(w);
    all_arrive(w, &s); /* by then the reader has cleaned up */
    world_close_queue(w);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(names_of(w, half[i]), 0);
    assert_int_equal(files(w), 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_draft_arrives_as_each_of_its_messages),
        cmocka_unit_test(shared_content_is_on_disk_once_and_goes_with_the_last),
        cmocka_unit_test(a_body_may_have_the_name_of_none_of_them),
        cmocka_unit_test(a_read_from_within_gives_what_stands_there),
        cmocka_unit_test(q6_damage_in_head_or_body_is_found),
        cmocka_unit_test(q6_a_file_that_lost_its_end_is_found),
        cmocka_unit_test(q5_without_a_link_nothing_is_kept),
        cmocka_unit_test(q5_when_one_cannot_be_put_nothing_is_kept),
        cmocka_unit_test(q7_when_the_disk_is_full_nothing_is_kept),
        cmocka_unit_test(q5_names_that_no_commit_followed_are_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
