/*
 * What is written as an archive is read again byte for byte, and nothing else is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/vocabulary/memory.h"
#include "relay/main/archive.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LARGE = 700 * 1000 };

/* What was read, as text. */
struct seen {
    struct buffer text;
    uint64_t bytes;
    int stop; /* answered by begin */
};

static int on_begin(void *user, struct span name, uint64_t size)
{
    struct seen *s = user;

    buffer_printf(&s->text, "%.*s=%llu ", SPAN_FMT(name),
                  (unsigned long long)size);
    return s->stop;
}

static int on_bytes(void *user, struct span bytes)
{
    struct seen *s = user;

    for (size_t i = 0; i < bytes.len; i++)
        s->bytes += (unsigned char)bytes.at[i];
    return 0;
}

static int on_end(void *user)
{
    buffer_put_byte(&((struct seen *)user)->text, '.');
    return 0;
}

static int on_link(void *user, struct span name, struct span to)
{
    buffer_printf(&((struct seen *)user)->text, "%.*s->%.*s ", SPAN_FMT(name),
                  SPAN_FMT(to));
    return 0;
}

static const struct archive_events events = { on_begin, on_bytes, on_end,
                                              on_link };

static int temporary(void)
{
    char path[] = "/tmp/waypost-archive-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    (void)unlink(path);
    return fd;
}

static void put_file(struct archive *a, const char *name, struct span bytes)
{
    assert_int_equal(archive_begin(a, span_of(name), bytes.len), 0);
    assert_int_equal(archive_put(a, span_first(bytes, bytes.len / 3)), 0);
    assert_int_equal(archive_put(a, span_skip(bytes, bytes.len / 3)), 0);
    assert_int_equal(archive_end(a), 0);
}

/* A file with three files, one of them empty, and a link. */
static int make(void)
{
    int fd = temporary();
    struct archive *a = archive_new(fd, 1700000000);
    char *large = memory_take(LARGE);

    memset(large, 1, LARGE);
    put_file(a, "queue.db", span_make(large, LARGE));
    put_file(a, "queue.db.content/A", SPAN("hello"));
    assert_int_equal(
        archive_link(a, SPAN("queue.db.content/B"), SPAN("queue.db.content/A")),
        0);
    put_file(a, "empty", SPAN(""));
    assert_int_equal(archive_finish(a), 0);
    assert_int_equal(archive_bytes(a), lseek(fd, 0, SEEK_END));
    archive_free(a);
    free(large);
    return fd;
}

static int look(int fd, struct seen *s, struct buffer *why)
{
    buffer_clear(&s->text);
    buffer_clear(why);
    s->bytes = 0;
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return archive_read(fd, &events, s, why);
}

static void what_was_written_is_read_again(void **state)
{
    struct seen s = { 0 };
    struct buffer why = { 0 };
    int fd = make();

    (void)state;
    assert_int_equal(look(fd, &s, &why), 0);
    assert_string_equal(buffer_string(&s.text),
                        "queue.db=700000 .queue.db.content/A=5 ."
                        "queue.db.content/B->queue.db.content/A empty=0 .");
    assert_int_equal(s.bytes, LARGE + 'h' + 'e' + 'l' + 'l' + 'o');
    close(fd);
    buffer_fini(&s.text);
    buffer_fini(&why);
}

static void any_byte_that_changed_is_found(void **state)
{
    struct seen s = { 0 };
    struct buffer why = { 0 };
    int fd = make();
    off_t size = lseek(fd, 0, SEEK_END);
    /* What fills a block up, and the end after the sums, mean nothing. */
    off_t padding = 512 + LARGE + (512 - LARGE % 512);
    static const off_t step = 41;

    (void)state;
    for (off_t at = 0;
         at<size - 1024; at += at> 5000 && at < padding - 2000 ? 50021 : step) {
        char was, now;

        assert_int_equal(pread(fd, &was, 1, at), 1);
        now = (char)(was ^ 4);
        assert_int_equal(pwrite(fd, &now, 1, at), 1);
        if (look(fd, &s, &why) == 0) {
            /* Only zeros may change unseen: those between the files. */
            assert_int_equal(was, 0);
            assert_true(at >= 512);
        } else {
            assert_true(why.len > 0);
        }
        assert_int_equal(pwrite(fd, &was, 1, at), 1);
    }
    assert_int_equal(look(fd, &s, &why), 0);
    close(fd);
    buffer_fini(&s.text);
    buffer_fini(&why);
}

static void one_that_is_cut_off_is_refused_wherever_it_ends(void **state)
{
    struct seen s = { 0 };
    struct buffer why = { 0 };
    int fd = make();
    off_t size = lseek(fd, 0, SEEK_END);

    (void)state;
    for (off_t at = size - 1024; at >= 0; at -= at > 10000 ? 90001 : 509) {
        assert_int_equal(ftruncate(fd, at), 0);
        assert_int_equal(look(fd, &s, &why), ERROR_DAMAGED);
        assert_string_equal(buffer_string(&why),
                            "it is cut off: its end is missing");
    }
    close(fd);
    buffer_fini(&s.text);
    buffer_fini(&why);
}

static void a_file_of_another_size_than_was_said_is_a_fault(void **state)
{
    int fd = temporary();
    struct archive *a = archive_new(fd, 0);

    (void)state;
    assert_int_equal(archive_begin(a, SPAN("a"), 3), 0);
    assert_int_equal(archive_put(a, SPAN("four")), ERROR_SYNTAX);
    assert_int_equal(archive_put(a, SPAN("tw")), 0);
    assert_int_equal(archive_end(a), ERROR_SYNTAX);
    archive_free(a);
    close(fd);
}

static void no_name_leads_out_of_the_folder(void **state)
{
    static const char *const names[] = { "../x", "a/../../x", ".",
                                         "a//b", "a/",        ".hidden" };
    struct seen s = { 0 };
    struct buffer why = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        int fd = temporary();
        struct archive *a = archive_new(fd, 0);

        put_file(a, names[i], SPAN("x"));
        assert_int_equal(archive_finish(a), 0);
        archive_free(a);
        assert_int_equal(look(fd, &s, &why), ERROR_DAMAGED);
        assert_int_equal(s.text.len, 0);
        close(fd);
    }
    buffer_fini(&s.text);
    buffer_fini(&why);
}

static void an_event_that_fails_ends_it(void **state)
{
    struct seen s = { .stop = -28 };
    struct buffer why = { 0 };
    int fd = make();

    (void)state;
    assert_int_equal(look(fd, &s, &why), -28);
    close(fd);
    buffer_fini(&s.text);
    buffer_fini(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read_again),
        cmocka_unit_test(any_byte_that_changed_is_found),
        cmocka_unit_test(one_that_is_cut_off_is_refused_wherever_it_ends),
        cmocka_unit_test(a_file_of_another_size_than_was_said_is_a_fault),
        cmocka_unit_test(no_name_leads_out_of_the_folder),
        cmocka_unit_test(an_event_that_fails_ends_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
