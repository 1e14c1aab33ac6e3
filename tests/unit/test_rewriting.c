/*
 * Rewriting: expressions, tables and SRS, alone and one behind the other, and
 * what strangers make of them.
 */
#include "policy/rewriting.h"
#include "policy/table.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { DAY_MS = 24 * 3600 * 1000 };
#define NOW (20000ll * DAY_MS + 5)

/* No cryptography: enough that another secret or text gives another hash. */
static void weak_hmac(struct span secret, struct span text,
                      unsigned char out[SRS_HASH])
{
    uint64_t h = 14695981039346656037u;

    for (size_t i = 0; i < secret.len + text.len; i++)
        h = (h ^ (unsigned char)(i < secret.len ? secret.at[i]
                                                : text.at[i - secret.len])) *
            1099511628211u;
    for (size_t i = 0; i < SRS_HASH; i++, h = h * 6364136223846793005u + 1)
        out[i] = (unsigned char)(h >> 56);
}

static const struct span old_and_new[] = { SPAN_INIT("new secret"),
                                           SPAN_INIT("old secret") };
static const struct srs_secrets ours = { &old_and_new[1], 1, weak_hmac };
static const struct srs_secrets later = { old_and_new, 2, weak_hmac };
static const struct srs_secrets theirs = { old_and_new, 1, weak_hmac };

/* --- a rewriting and what it makes ----------------------------------------- */

struct bench {
    struct arena arena;
    struct settings settings;
    struct rewriting *w;
    struct table *tables[4];
    size_t table_count;
};

static void bench_start(struct bench *b, bool of_sender)
{
    *b = (struct bench){ .settings.srs.domain = SPAN("ours.test") };
    b->w = rewriting_new(&b->arena, of_sender);
}

static void bench_add(struct bench *b, const char *member)
{
    struct buffer why = { 0 };

    if (!rewriting_add(b->w, &b->arena, span_of(member), &why))
        fail_msg("%s", buffer_string(&why));
    buffer_fini(&why);
}

static void bench_add_table(struct bench *b, const char *lines)
{
    struct buffer text = { 0 }, faults = { 0 }, warnings = { 0 }, why = { 0 };

    buffer_put_string(&text, lines);
    b->tables[b->table_count] = table_new(SPAN("t"), &text, &faults, &warnings);
    assert_string_equal(buffer_string(&faults), "");
    assert_true(rewriting_add_table(b->w, b->tables[b->table_count++], &why));
    buffer_fini(&text);
    buffer_fini(&faults);
    buffer_fini(&warnings);
    buffer_fini(&why);
}

static void bench_end(struct bench *b)
{
    while (b->table_count)
        table_free(b->tables[--b->table_count]);
    arena_reset(&b->arena);
}

/* "=": as it was; "?": cannot be told; "!": refused; else what came out. */
static const char *made(struct bench *b, const char *address)
{
    static char out[2000];
    struct address a = { 0 };
    struct span *all = NULL;
    size_t count = 0;
    enum rewritten rc;

    if (*address)
        assert_int_equal(address_parse(span_of(address), &a), ADDRESS_OK);
    rc = rewriting_apply(b->w, &b->settings, &ours, &a, NOW, &b->arena, &all,
                         &count);
    if (rc != REWRITTEN) {
        assert_int_equal(count, 0);
        return rc == REWRITTEN_NOT ? "=" : rc == REWRITTEN_UNKNOWN ? "?" : "!";
    }
    out[0] = '\0';
    for (size_t i = 0, n = 0; i < count; i++)
        n += (size_t)snprintf(out + n, sizeof out - n, "%s%.*s", i ? " " : "",
                              SPAN_FMT(all[i]));
    return out;
}

static void an_expression_puts_its_groups_into_its_form(void **state)
{
    static const struct {
        const char *member, *address, *expected;
    } rows[] = {
        { "/^(.+)\\+.*@ok\\.test$/ $1@ok.test", "Joe+x@OK.test",
          "Joe@ok.test" },
        { "/^(.+)\\+.*@ok\\.test$/ $1@ok.test", "joe@ok.test", "=" },
        { "/^(.+)@(.+)$/ $2.$1$$@x.test", "a@b.test", "b.test.a$@x.test" },
        { "/^(.*)\\.old$/ $1", "a@b.test.old", "a@b.test" },
        { "/^(a)(b)?@/ $1$2x@c.test", "a@b.test", "ax@c.test" },
        /* quotes that make no difference hide nobody */
        { "/^joe@/ a@c.test", "\"joe\"@b.test", "a@c.test" },
        { "/^(.*)@b.test/ $1@c.test", "\"j e\"@b.test", "\"j e\"@c.test" },
        { "/@xn--bcher-kva.test$/ a@c.test",
          "a@b\xc3\xbc"
          "cher.test",
          "a@c.test" },
        /* no address is no answer */
        { "/^(.*)x@/ $1.y@b.test", "x@b.test", "?" },
        { "/^(a+)@/ $1$1$1$1$1@b.test", "aaaaaaaaaaaaaaaa@b.test", "?" },
        { "/^(x+x+)+y/ a@b.test",
          "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx@y.test", "?" },
        { "/./ a@b.test", "a@b.test", "=" },
        { "/./ a@b.test", "", "=" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bench b;

        bench_start(&b, false);
        bench_add(&b, rows[i].member);
        assert_string_equal(made(&b, rows[i].address), rows[i].expected);
        bench_end(&b);
    }
}

static void a_table_is_asked_again_with_what_came_out(void **state)
{
    struct bench b;

    (void)state;
    bench_start(&b, false);
    bench_add_table(&b, "sales@ok.test  joe@ok.test, Ann@ok.test,joe@ok.test\n"
                        "joe@ok.test    joe@home.test\n"
                        "ann@ok.test    ann@ok.test, copy@ok.test\n"
                        "round@ok.test  about@ok.test\n"
                        "about@ok.test  round@ok.test\n"
                        "old.test       @ok.test\n"
                        "*.old.test     @old.test\n"
                        "all.test       one@all.example\n"
                        "bad@ok.test    nobody\n"
                        "empty@ok.test\n"
                        "comma@ok.test  joe@ok.test,\n");
    assert_string_equal(made(&b, "sales@ok.test"),
                        "joe@home.test ann@ok.test copy@ok.test");
    assert_string_equal(made(&b, "SALES@OK.TEST"),
                        "joe@home.test ann@ok.test copy@ok.test");
    assert_string_equal(made(&b, "else@ok.test"), "=");
    assert_string_equal(made(&b, "joe@a.old.test"), "joe@home.test");
    assert_string_equal(made(&b, "Who@old.test"), "Who@ok.test");
    assert_string_equal(made(&b, "who@all.test"), "one@all.example");
    /* a circle ends where it began */
    assert_string_equal(made(&b, "round@ok.test"), "=");
    assert_string_equal(made(&b, "bad@ok.test"), "?");
    assert_string_equal(made(&b, "empty@ok.test"), "?");
    assert_string_equal(made(&b, "comma@ok.test"), "?");
    bench_end(&b);
}

static void members_stand_one_behind_the_other(void **state)
{
    struct bench b;

    (void)state;
    bench_start(&b, false);
    bench_add(&b, "/^(.+)\\+.*@(.+)$/ $1@$2");
    bench_add_table(&b, "joe@ok.test a@ok.test, b@ok.test\n");
    bench_add_table(&b, "a@ok.test joe@ok.test\n"
                        "joe@ok.test c@ok.test\n");
    bench_add(&b, "/^b@/ d@ok.test");
    assert_string_equal(made(&b, "joe+list@ok.test"), "c@ok.test d@ok.test");
    assert_string_equal(made(&b, "b@ok.test"), "d@ok.test");
    bench_end(&b);
}

static void a_rewriting_ends_whatever_its_tables_say(void **state)
{
    struct buffer lines = { 0 };
    struct bench b;

    (void)state;
    /* too deep */
    for (int i = 0; i < REWRITE_DEPTH + 2; i++)
        buffer_printf(&lines, "a%d@ok.test a%d@ok.test\n", i, i + 1);
    bench_start(&b, false);
    bench_add_table(&b, buffer_string(&lines));
    assert_string_equal(made(&b, "a0@ok.test"), "?");
    assert_string_equal(made(&b, "a2@ok.test"), "a22@ok.test");
    bench_end(&b);
    /* two ways at each of sixteen steps */
    buffer_clear(&lines);
    for (int i = 0; i < 16; i++)
        buffer_printf(&lines,
                      "l%d@ok.test l%d@ok.test,r%d@ok.test\n"
                      "r%d@ok.test l%d@ok.test,r%d@ok.test\n",
                      i, i + 1, i + 1, i, i + 1, i + 1);
    bench_start(&b, false);
    bench_add_table(&b, buffer_string(&lines));
    assert_string_equal(made(&b, "l0@ok.test"), "?");
    bench_end(&b);
    /* too many */
    buffer_clear(&lines);
    buffer_put_string(&lines, "all@ok.test ");
    for (int i = 0; i <= REWRITE_MOST; i++)
        buffer_printf(&lines, "%sa%d@ok.test", i ? "," : "", i);
    buffer_put_string(&lines, "\nfew@ok.test a@ok.test,b@ok.test\n");
    bench_start(&b, false);
    bench_add_table(&b, buffer_string(&lines));
    assert_string_equal(made(&b, "all@ok.test"), "?");
    assert_string_equal(made(&b, "few@ok.test"), "a@ok.test b@ok.test");
    bench_end(&b);
    /* a sender is one */
    bench_start(&b, true);
    bench_add_table(&b, "few@ok.test a@ok.test,b@ok.test\n"
                        "one@ok.test a@ok.test\n");
    assert_string_equal(made(&b, "few@ok.test"), "?");
    assert_string_equal(made(&b, "one@ok.test"), "a@ok.test");
    assert_string_equal(made(&b, ""), "=");
    bench_end(&b);
    buffer_fini(&lines);
}

/* --- SRS ------------------------------------------------------------------- */

static enum srs_answer forward(const char *address, struct buffer *out)
{
    struct address a = { 0 };

    if (*address)
        assert_int_equal(address_parse(span_of(address), &a), ADDRESS_OK);
    buffer_clear(out);
    return srs_forward(&ours, SPAN("ours.test"), &a, NOW, out);
}

static enum srs_answer back(const struct srs_secrets *secrets,
                            const char *address, int64_t now_ms,
                            struct buffer *out)
{
    struct address a;

    assert_int_equal(address_parse(span_of(address), &a), ADDRESS_OK);
    buffer_clear(out);
    return srs_back(secrets, SPAN("ours.test"), &a, now_ms, out);
}

static void a_sender_goes_out_as_ours_and_comes_back(void **state)
{
    static const struct {
        const char *sender, *head, *tail;
    } rows[] = {
        { "Joe@a.test", "SRS0=", "=a.test=Joe@ours.test" },
        { "joe=x@a.test", "SRS0=", "=a.test=joe=x@ours.test" },
        { "\"j e\"@a.test", "\"SRS0=", "=a.test=j e\"@ours.test" },
        { "joe@[192.0.2.1]", "\"SRS0=", "=[192.0.2.1]=joe\"@ours.test" },
        { "SRS0=AbCd=EF=a.test=joe@b.test",
          "SRS1=", "=b.test==AbCd=EF=a.test=joe@ours.test" },
        { "srs0+AbCd=EF=a.test=joe@b.test",
          "SRS1=", "=b.test=+AbCd=EF=a.test=joe@ours.test" },
        { "SRS1=WXyz=b.test==AbCd=EF=a.test=joe@c.test",
          "SRS1=", "=b.test==AbCd=EF=a.test=joe@ours.test" },
        /* only looks like one */
        { "SRS1=x@c.test", "SRS0=", "=c.test=SRS1=x@ours.test" },
        { "srs1x@c.test", "SRS0=", "=c.test=srs1x@ours.test" },
    };
    static const char *const came_back[] = {
        "Joe@a.test",
        "joe=x@a.test",
        "\"j e\"@a.test",
        "\"joe\"@[192.0.2.1]",
        "SRS0=AbCd=EF=a.test=joe@b.test",
        "SRS0+AbCd=EF=a.test=joe@b.test",
        "SRS0=AbCd=EF=a.test=joe@b.test",
        "SRS1=x@c.test",
        "srs1x@c.test",
    };
    struct buffer out = { 0 }, again = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(forward(rows[i].sender, &out), SRS_CHANGED);
        if (!span_starts_nocase(buffer_span(&out), span_of(rows[i].head)) ||
            !span_ends_nocase(buffer_span(&out), span_of(rows[i].tail)))
            fail_msg("%s", buffer_string(&out));
        assert_int_equal(back(&ours, buffer_string(&out), NOW, &again),
                         SRS_CHANGED);
        assert_string_equal(buffer_string(&again), came_back[i]);
        /* the old secret is still believed beside the new one */
        assert_int_equal(back(&later, buffer_string(&out), NOW, &again),
                         SRS_CHANGED);
        assert_int_equal(back(&theirs, buffer_string(&out), NOW, &again),
                         SRS_REFUSED);
    }
    buffer_fini(&out);
    buffer_fini(&again);
}

static void what_cannot_be_carried_stays(void **state)
{
    struct buffer out = { 0 };

    (void)state;
    assert_int_equal(forward("", &out), SRS_SAME);
    assert_int_equal(forward("joe@OURS.test", &out), SRS_SAME);
    assert_int_equal(
        forward("a-very-long-local-part-of-a-mailing-list-bounce=x=y@a.test",
                &out),
        SRS_SAME);
    assert_int_equal(back(&ours, "joe@ours.test", NOW, &out), SRS_SAME);
    assert_int_equal(back(&ours, "srs0@ours.test", NOW, &out), SRS_SAME);
    assert_int_equal(back(&ours, "SRS0=AAAA=AA=a.test=j@b.test", NOW, &out),
                     SRS_SAME);
    assert_int_equal(out.len, 0);
    buffer_fini(&out);
}

static void a_forged_or_old_one_is_refused(void **state)
{
    struct buffer out = { 0 }, sent = { 0 };
    char *text;

    (void)state;
    assert_int_equal(forward("joe@a.test", &sent), SRS_CHANGED);
    text = span_dup(buffer_span(&sent));
    assert_int_equal(back(&ours, text, NOW + 21ll * DAY_MS, &out), SRS_CHANGED);
    assert_int_equal(back(&ours, text, NOW + 22ll * DAY_MS, &out), SRS_REFUSED);
    assert_int_equal(back(&ours, text, NOW - DAY_MS, &out), SRS_REFUSED);
    /* the days go round in a circle */
    assert_int_equal(back(&ours, text, NOW + 1030ll * DAY_MS, &out),
                     SRS_CHANGED);
    /* folded on the way */
    for (char *c = text; *c; c++)
        *c = ascii_lower(*c);
    assert_int_equal(back(&ours, text, NOW, &out), SRS_CHANGED);
    assert_string_equal(buffer_string(&out), "joe@a.test");
    /* another recipient, another hash */
    text[span_find(buffer_span(&sent), '@') - 1] = 'f';
    assert_int_equal(back(&ours, text, NOW, &out), SRS_REFUSED);
    free(text);
    assert_int_equal(back(&ours, "SRS0=@ours.test", NOW, &out), SRS_REFUSED);
    assert_int_equal(back(&ours, "SRS0=aa=bb=cc@ours.test", NOW, &out),
                     SRS_REFUSED);
    assert_int_equal(back(&ours, "SRS0=aaaa=b!=c.test=d@ours.test", NOW, &out),
                     SRS_REFUSED);
    assert_int_equal(back(&ours, "SRS0=aaaa=1b=c.test=d@ours.test", NOW, &out),
                     SRS_REFUSED);
    assert_int_equal(back(&ours, "SRS1=aaaa=c.test==d@ours.test", NOW, &out),
                     SRS_REFUSED);
    assert_int_equal(back(&ours, "SRS1=aaaa@ours.test", NOW, &out),
                     SRS_REFUSED);
    assert_int_equal(out.len, 0);
    buffer_fini(&out);
    buffer_fini(&sent);
}

static void srs_is_a_member_like_others(void **state)
{
    struct address a;
    struct span *all;
    size_t count;
    char *sent;
    struct bench b;

    (void)state;
    bench_start(&b, true);
    bench_add(&b, "srs");
    assert_true(rewriting_is_srs(b.w));
    assert_true(rewriting_is_of_sender(b.w));
    sent = span_dup(span_of(made(&b, "joe@a.test")));
    assert_string_equal(made(&b, "joe@ours.test"), "=");
    assert_string_equal(made(&b, ""), "=");
    /* without a secret nothing is made up */
    assert_int_equal(address_parse(SPAN("joe@a.test"), &a), ADDRESS_OK);
    assert_int_equal(rewriting_apply(b.w, &b.settings, NULL, &a, NOW, &b.arena,
                                     &all, &count),
                     REWRITTEN_UNKNOWN);
    bench_end(&b);
    bench_start(&b, false);
    bench_add_table(&b, "x@ours.test y@ours.test\n");
    bench_add(&b, "srs");
    assert_string_equal(made(&b, sent), "joe@a.test");
    assert_string_equal(made(&b, "x@ours.test"), "y@ours.test");
    assert_string_equal(made(&b, "z@ours.test"), "=");
    assert_string_equal(made(&b, "SRS0=aaaa=bb=c.test=d@ours.test"), "!");
    bench_end(&b);
    free(sent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_expression_puts_its_groups_into_its_form),
        cmocka_unit_test(a_table_is_asked_again_with_what_came_out),
        cmocka_unit_test(members_stand_one_behind_the_other),
        cmocka_unit_test(a_rewriting_ends_whatever_its_tables_say),
        cmocka_unit_test(a_sender_goes_out_as_ours_and_comes_back),
        cmocka_unit_test(what_cannot_be_carried_stays),
        cmocka_unit_test(a_forged_or_old_one_is_refused),
        cmocka_unit_test(srs_is_a_member_like_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
