/*
 * maildir: what folder an address means, and what is in it after a copy, whole or cut off.
 */
#include "policy/vocabulary/memory.h"
#include "relay/outbound/maildir_copy.h"
#include "relay/outbound/maildir_path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define X10        "xxxxxxxxxx"
#define X60        X10 X10 X10 X10 X10 X10
#define X250       X60 X60 X60 X60 X10
#define SIXTY_FOUR X60 "xxxx"

/* --------------------------------------------------------------- names ---- */

/* Each component behind its part: "b" must be there, "u" tells who exists, "m" is made. */
static void print_path(const struct maildir_path *p, struct buffer *out)
{
    for (size_t i = 0; i < p->count; i++) {
        buffer_put_string(out, i ? " " : "");
        buffer_put_byte(out, "bum"[p->components[i].part]);
        buffer_put_byte(out, ':');
        buffer_put_string(out, p->components[i].name);
    }
}

/* clang-format off */
static const struct {
    const char *template, *address;
    const char *as_written, *lower; /* NULL: no folder */
} names[] = {
    { "/srv/%d/%u", "bob@Example.ORG",
      "b:srv b:example.org u:bob", "b:srv b:example.org u:bob" },
    { "/srv/%d/%u", "Bob.Roe+x@a.test",
      "b:srv b:a.test u:Bob.Roe+x", "b:srv b:a.test u:bob.roe+x" },
    { "/home/%u/Maildir", "bob@a.test", "b:home u:bob m:Maildir", "" },
    { "//home//%u/m/x/", "bob@a.test", "b:home u:bob m:m m:x", "" },
    { "/srv/%u/%d/m", "bob@a.test", "b:srv u:bob u:a.test m:m", "" },
    { "/srv/%u@%d", "bob@a.test", "b:srv u:bob@a.test", "" },
    { "/srv/%d/all", "bob@a.test", "b:srv b:a.test b:all", "" },
    { "/srv/all", "bob@a.test", "b:srv b:all", "" },
    { "/100%%/%u", "bob@a.test", "b:100% u:bob", "" },
    { "/srv/%d/%u", "j\xc3\xb6rg@b\xc3\xbc\x63her.test",
      "b:srv b:xn--bcher-kva.test u:j\xc3\xb6rg", "" },
    { "/srv/%d/%u", "\"John Doe\"@a.test", "b:srv b:a.test u:John Doe", "" },
    { "/srv/%d/%u", "\"a\\\"b\\\\c\"@a.test", "b:srv b:a.test u:a\"b\\c", "" },
    { "/srv/%d/%u", "a@[192.0.2.1]", "b:srv b:[192.0.2.1] u:a", "" },
    { "/srv/%d/%u", "%u@a.test", "b:srv b:a.test u:%u", "" },
    { "/srv/%d/%u", "a..@a.test", NULL, NULL },
    { "/srv/%d/%u", "../../etc/x@a.test", NULL, NULL },
    { "/srv/%d/%u", "\"../../etc/x\"@a.test", NULL, NULL },
    { "/srv/%d/%u", "\"..\"@a.test", NULL, NULL },
    { "/srv/%d/%u", "\".\"@a.test", NULL, NULL },
    { "/srv/%d/%u", "\"\\.\\.\"@a.test", NULL, NULL },
    { "/srv/%d/%u", "\".hidden\"@a.test", NULL, NULL },
    { "/srv/%d/%u", "a/b@a.test", NULL, NULL },
    { "/srv/%d/%u", "/@a.test", NULL, NULL },
    { "/srv/%d/%u", "\"\"@a.test", NULL, NULL },
    { "/srv/%d/%u", "\"a\tb\"@a.test", NULL, NULL },
    { "/srv/%d/%u", "\"a\nb\"@a.test", NULL, NULL },
    { "/srv/%d/%u", "a\xff@a.test", NULL, NULL },
    { "/srv/%d/%u", "a@[x:../../etc]", NULL, NULL },
    { "/srv/%d/%u", "a@..", NULL, NULL },
    { "/srv/%d/%u", "a", NULL, NULL },
    { "/srv/%u%u%u%u", SIXTY_FOUR "@a.test", NULL, NULL },
    { "/srv/" X250 "%u", "a12345@a.test", NULL, NULL },
    { "/srv/" X250 "%u", "a1234@a.test", "b:srv u:" X250 "a1234", "" },
};
/* clang-format on */

static void an_address_names_one_folder_or_none(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct span template = span_of(names[i].template);
        struct span address = span_of(names[i].address);
        const char *expected[] = { names[i].as_written, names[i].lower };

        for (int spelling = 0; spelling < 2; spelling++) {
            struct arena a = { 0 };
            struct maildir_path path;
            struct buffer text = { 0 };

            if (expected[spelling] && !*expected[spelling])
                continue;
            if (maildir_path_make(&a, template, address,
                                  (enum maildir_case)spelling, &path)) {
                print_path(&path, &text);
                assert_non_null(expected[spelling]);
                assert_string_equal(buffer_string(&text), expected[spelling]);
            } else if (expected[spelling]) {
                fail_msg("no folder for %s", names[i].address);
            }
            buffer_fini(&text);
            arena_reset(&a);
        }
    }
}

static void an_address_with_a_nul_names_no_folder(void **state)
{
    struct arena a = { 0 };
    struct maildir_path path;

    (void)state;
    assert_false(maildir_path_make(&a, SPAN("/srv/%u"), SPAN("a\0b@a.test"),
                                   MAILDIR_AS_WRITTEN, &path));
    assert_false(maildir_path_make(&a, SPAN("/srv/%u"), SPAN("\"a\0b\"@a.test"),
                                   MAILDIR_AS_WRITTEN, &path));
    arena_reset(&a);
}

/* --------------------------------------------------------------- copies ---- */

struct site {
    char root[64];
    char template[128];
    struct maildir_letter letter;
    struct maildir_copy copy;
};

static void make(const struct site *s, const char *below)
{
    char path[512];

    (void)snprintf(path, sizeof path, "%s/%s", s->root, below);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void begin(struct site *s, const char *template)
{
    *s = (struct site){ .root = "/tmp/maildir-XXXXXX" };
    assert_non_null(mkdtemp(s->root));
    (void)snprintf(s->template, sizeof s->template, "%s/%s", s->root, template);
    s->letter = (struct maildir_letter){ .path = span_of(s->template),
                                         .recipient = SPAN("bob@a.test"),
                                         .sender = SPAN("s@from.test"),
                                         .hostname = SPAN("relay.test"),
                                         .id = 77 };
}

static void remove_all(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;

    while (d && (e = readdir(d))) {
        char below[1024];

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        (void)snprintf(below, sizeof below, "%s/%s", path, e->d_name);
        if (unlink(below) < 0)
            remove_all(below);
    }
    if (d)
        (void)closedir(d);
    (void)rmdir(path);
}

static void end(struct site *s)
{
    maildir_copy_fini(&s->copy);
    remove_all(s->root);
}

/* How many files are in this folder; the latest one's text. */
static size_t files(const struct site *s, const char *below,
                    struct buffer *text, char *out_name)
{
    char path[1024];
    size_t count = 0;
    struct dirent *e;
    DIR *d;

    (void)snprintf(path, sizeof path, "%s/%s", s->root, below);
    d = opendir(path);
    while (d && (e = readdir(d))) {
        struct stat st;
        ssize_t n;
        int fd;

        if (e->d_name[0] == '.')
            continue;
        count++;
        if (!text)
            continue;
        fd = openat(dirfd(d), e->d_name, O_RDONLY);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        buffer_clear(text);
        n = read(fd, buffer_room(text, (size_t)st.st_size + 1),
                 (size_t)st.st_size + 1);
        assert_int_equal(n, st.st_size);
        buffer_grew(text, (size_t)n);
        (void)close(fd);
        if (out_name)
            (void)snprintf(out_name, 256, "%s", e->d_name);
    }
    if (d)
        (void)closedir(d);
    return count;
}

#define HEAD "Return-Path: <s@from.test>\nDelivered-To: bob@a.test\n"

static void a_copy_is_in_new_with_lf_and_two_headers(void **state)
{
    static const struct {
        const char *pieces[4], *text;
    } rows[] = {
        { { "a: b\r\n\r\nx\r\n" }, "a: b\n\nx\n" },
        { { "a: b\r", "\n\r", "\nx\r", "\n" }, "a: b\n\nx\n" },
        { { "a\r", "b\r\r\n", "\r" }, "a\rb\r\n\r" },
        { { "From x\r\n.y\r\nlast" }, "From x\n.y\nlast" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buffer text = { 0 };
        char expected[256], name[256];
        unsigned long long v, ino;
        long long time, us;
        struct site s;
        long pid;
        int end_at = 0;

        begin(&s, "%d/%u");
        make(&s, "a.test");
        make(&s, "a.test/bob");
        assert_true(maildir_copy_open(&s.copy, &s.letter));
        for (size_t k = 0; k < 4 && rows[i].pieces[k]; k++)
            assert_true(maildir_copy_put(&s.copy, span_of(rows[i].pieces[k])));
        assert_int_equal(files(&s, "a.test/bob/new", NULL, NULL), 0);
        assert_int_equal(files(&s, "a.test/bob/tmp", NULL, NULL), 1);
        assert_true(maildir_copy_close(&s.copy));
        assert_int_equal(s.copy.state, MAILDIR_DONE);
        assert_int_equal(files(&s, "a.test/bob/new", &text, name), 1);
        assert_int_equal(files(&s, "a.test/bob/tmp", NULL, NULL), 0);
        (void)snprintf(expected, sizeof expected, HEAD "%s", rows[i].text);
        assert_string_equal(buffer_string(&text), expected);
        assert_int_equal(sscanf(name, "%lld.M%6lldP%ldV%llxI%llx.relay.test%n",
                                &time, &us, &pid, &v, &ino, &end_at),
                         5);
        assert_int_equal(end_at, strlen(name));
        assert_int_equal(pid, getpid());
        buffer_fini(&text);
        end(&s);
    }
}

static void large_content_in_parts_is_whole(void **state)
{
    static char part[256 * 1024];
    struct buffer text = { 0 };
    struct site s;

    (void)state;
    memset(part, 'x', sizeof part);
    part[sizeof part - 2] = '\r';
    part[sizeof part - 1] = '\n';
    begin(&s, "%u");
    make(&s, "bob");
    assert_true(maildir_copy_open(&s.copy, &s.letter));
    for (int i = 0; i < 8; i++)
        assert_true(maildir_copy_put(&s.copy, span_make(part, sizeof part)));
    assert_true(maildir_copy_close(&s.copy));
    assert_int_equal(files(&s, "bob/new", &text, NULL), 1);
    assert_int_equal(text.len, sizeof HEAD - 1 + 8 * (sizeof part - 1));
    assert_int_equal(text.at[text.len - 1], '\n');
    buffer_fini(&text);
    end(&s);
}

static void what_is_given_up_leaves_nothing(void **state)
{
    struct site s;

    (void)state;
    begin(&s, "%u");
    make(&s, "bob");
    assert_true(maildir_copy_open(&s.copy, &s.letter));
    assert_true(maildir_copy_put(&s.copy, SPAN("x\r\n")));
    maildir_copy_fini(&s.copy);
    assert_int_equal(files(&s, "bob/tmp", NULL, NULL), 0);
    assert_int_equal(files(&s, "bob/new", NULL, NULL), 0);
    end(&s);
}

static void the_null_sender_and_hostile_ones_make_one_header_each(void **state)
{
    struct buffer text = { 0 };
    struct site s;

    (void)state;
    begin(&s, "%u");
    make(&s, "bob");
    s.letter.sender = SPAN("");
    s.letter.hostname = SPAN("a/b:c");
    assert_true(maildir_copy_open(&s.copy, &s.letter));
    assert_true(maildir_copy_close(&s.copy));
    assert_int_equal(files(&s, "bob/new", &text, NULL), 1);
    assert_string_equal(buffer_string(&text),
                        "Return-Path: <>\nDelivered-To: bob@a.test\n");
    maildir_copy_fini(&s.copy);
    remove_all(s.root);
    begin(&s, "%u");
    make(&s, "bob");
    s.letter.sender = SPAN("\"a\nb\"@c");
    assert_true(maildir_copy_open(&s.copy, &s.letter));
    assert_true(maildir_copy_close(&s.copy));
    assert_int_equal(files(&s, "bob/new", &text, NULL), 1);
    assert_string_equal(buffer_string(&text), "Return-Path: <\"a?b\"@c>\n"
                                              "Delivered-To: bob@a.test\n");
    buffer_fini(&text);
    end(&s);
}

/* What is there decides: nobody, trouble, or a copy. */
static void only_a_users_own_absence_is_for_good(void **state)
{
    static const struct {
        const char *template, *recipient;
        const char *made[3], *file; /* what there is */
        enum maildir_state state;
        struct status status;
    } rows[] = {
        { "%d/%u", "bob@a.test", { "a.test" }, NULL, MAILDIR_NO_USER, { 0 } },
        { "%d/%u", "bob@a.test", { NULL }, NULL, MAILDIR_TROUBLE, { 4, 3, 0 } },
        { "%d/%u",
          "bob@a.test",
          { NULL },
          "a.test",
          MAILDIR_TROUBLE,
          { 4, 3, 0 } },
        { "%d/%u",
          "bob@a.test",
          { "a.test" },
          "a.test/bob",
          MAILDIR_TROUBLE,
          { 4, 2, 0 } },
        { "%d/%u",
          "bob@a.test",
          { "a.test", "a.test/bob" },
          "a.test/bob/new",
          MAILDIR_TROUBLE,
          { 4, 2, 0 } },
        { "%d/%u",
          "Bob@A.test",
          { "a.test", "a.test/bob" },
          NULL,
          MAILDIR_OPEN,
          { 0 } },
        { "%d/%u",
          "Bob@a.test",
          { "a.test", "a.test/Bob" },
          NULL,
          MAILDIR_OPEN,
          { 0 } },
        { "%d/%u",
          "bob@a.test",
          { "a.test", "a.test/Bob" },
          NULL,
          MAILDIR_NO_USER,
          { 0 } },
        { "%d/%u",
          "\"../bob\"@a.test",
          { "a.test", "bob" },
          NULL,
          MAILDIR_NO_USER,
          { 0 } },
        { "%d/%u",
          "\"../../../../../../../../tmp\"@a.test",
          { "a.test" },
          NULL,
          MAILDIR_NO_USER,
          { 0 } },
        { "%u/Maildir", "bob@a.test", { "bob" }, NULL, MAILDIR_OPEN, { 0 } },
        { "%u/Maildir", "bob@a.test", { NULL }, NULL, MAILDIR_NO_USER, { 0 } },
        { "%u/m",
          "bob@a.test",
          { "bob" },
          "bob/m",
          MAILDIR_TROUBLE,
          { 4, 2, 0 } },
        { "%d", "bob@a.test", { NULL }, NULL, MAILDIR_TROUBLE, { 4, 3, 0 } },
        { "%d", "bob@a.test", { "a.test" }, NULL, MAILDIR_OPEN, { 0 } },
        { "all", "bob@a.test", { NULL }, NULL, MAILDIR_TROUBLE, { 4, 3, 0 } },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct site s;
        char path[512];
        bool ok;

        begin(&s, rows[i].template);
        s.letter.recipient = span_of(rows[i].recipient);
        for (size_t k = 0; k < 3 && rows[i].made[k]; k++)
            make(&s, rows[i].made[k]);
        if (rows[i].file) {
            (void)snprintf(path, sizeof path, "%s/%s", s.root, rows[i].file);
            (void)close(open(path, O_CREAT | O_WRONLY, 0600));
        }
        ok = maildir_copy_open(&s.copy, &s.letter);
        assert_int_equal(ok, rows[i].state == MAILDIR_OPEN);
        assert_int_equal(s.copy.state, rows[i].state);
        if (s.copy.state == MAILDIR_TROUBLE) {
            struct status is = maildir_copy_status(&s.copy);
            struct buffer words = { 0 };

            assert_int_equal(is.class, rows[i].status.class);
            assert_int_equal(is.subject, rows[i].status.subject);
            assert_int_equal(is.detail, rows[i].status.detail);
            maildir_copy_words(&s.copy, &words);
            assert_non_null(strstr(buffer_string(&words), "cannot "));
            buffer_fini(&words);
        }
        end(&s);
    }
}

static void each_kind_of_trouble_is_temporary(void **state)
{
    static const struct {
        int error;
        bool in_box;
        const char *status;
    } rows[] = {
        { ENOSPC, true, "4.3.1" },  { ENOSPC, false, "4.3.1" },
        { EDQUOT, true, "4.2.2" },  { EACCES, true, "4.2.0" },
        { EACCES, false, "4.3.0" }, { EIO, true, "4.3.0" },
        { EROFS, true, "4.3.0" },   { EMFILE, true, "4.3.0" },
        { EXDEV, true, "4.3.0" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct maildir_copy c = { .state = MAILDIR_TROUBLE,
                                  .rc = -rows[i].error,
                                  .is_in_box = rows[i].in_box };
        struct buffer b = { 0 };

        status_print(&b, maildir_copy_status(&c));
        assert_string_equal(buffer_string(&b), rows[i].status);
        buffer_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_names_one_folder_or_none),
        cmocka_unit_test(an_address_with_a_nul_names_no_folder),
        cmocka_unit_test(a_copy_is_in_new_with_lf_and_two_headers),
        cmocka_unit_test(large_content_in_parts_is_whole),
        cmocka_unit_test(what_is_given_up_leaves_nothing),
        cmocka_unit_test(the_null_sender_and_hostile_ones_make_one_header_each),
        cmocka_unit_test(only_a_users_own_absence_is_for_good),
        cmocka_unit_test(each_kind_of_trouble_is_temporary),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
