/*
 * sendmail_options - what a call of sendmail asks for.
 */
#include "relay/main/sendmail_options.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { WORDS_MOST = 20 };

struct words {
    char *text, *argv[WORDS_MOST];
    int argc;
};

static void split(struct words *w, const char *line)
{
    char *rest;

    w->argc = 0;
    w->text = strdup(line);
    for (char *at = strtok_r(w->text, " ", &rest); at;
         at = strtok_r(NULL, " ", &rest))
        w->argv[w->argc++] = strcmp(at, "''") == 0 ? at + 2 : at;
}

/* "mode flags sender name | recipients" */
static void show(const struct sendmail_options *o, const struct words *w,
                 struct buffer *b)
{
    buffer_printf(b, "%c%s%s%s%s", "mspiq"[o->mode], o -> gathers ? "t" : "",
                  o->ignores_dots ? "i" : "", o->says_8bit ? "8" : "",
                  o->says_7bit ? "7" : "");
    if (o->sender)
        buffer_printf(b, " f=%s", o->sender);
    if (o->full_name)
        buffer_printf(b, " F=%s", o->full_name);
    if (o->config)
        buffer_printf(b, " C=%s", o->config);
    if (o->notify)
        buffer_printf(b, " N=%s", o->notify);
    if (o->ret)
        buffer_printf(b, " R=%s", o->ret);
    if (o->envid)
        buffer_printf(b, " V=%s", o->envid);
    if (o->queue_id)
        buffer_printf(b, " I=%s", o->queue_id);
    if (o->site)
        buffer_printf(b, " S=%s", o->site);
    for (int i = o->first; i < w->argc; i++)
        buffer_printf(b, " <%s>", w->argv[i]);
}

static void a_call_is_understood(void **state)
{
    static const struct {
        const char *line, *meaning;
    } rows[] = {
        { "ann bob", "m <ann> <bob>" },
        { "-t -i", "mti" },
        { "-ti -fjoe", "mti f=joe" },
        { "-tif joe", "mti f=joe" },
        { "-oi -oem -odi ann", "mi <ann>" },
        { "-o i -f '' ann", "mi f= <ann>" },
        { "ann -f joe bob -- -f", "m f=joe <ann> <bob> <-f>" },
        { "-r joe -F Joe -B8BITMIME ann", "m8 f=joe F=Joe <ann>" },
        { "-B 7bit -C x.conf -N never -R hdrs -V id9 ann",
          "m7 C=x.conf N=never R=hdrs V=id9 <ann>" },
        { "-bs", "s" },
        { "-bp", "p" },
        { "-bi", "i" },
        { "-I", "i" },
        { "-bm -G -U -v -n -m -Ac -L tag -h 3 -p x -O a=b ann", "m <ann>" },
        { "-q", "q" },
        { "-q30m", "q" },
        { "-qI0ABC", "q I=0ABC" },
        { "-qRexample.org", "q S=example.org" },
        { "- ann", "m <-> <ann>" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buffer why = { 0 }, shown = { 0 };
        struct sendmail_options o;
        struct words w;

        split(&w, rows[i].line);
        assert_int_equal(sendmail_options_read(&o, w.argc, w.argv, &why),
                         EX_OK);
        show(&o, &w, &shown);
        assert_string_equal(buffer_string(&shown), rows[i].meaning);
        free(w.text);
        buffer_fini(&why);
        buffer_fini(&shown);
    }
}

static void a_wrong_call_is_refused_with_a_sentence(void **state)
{
    static const char *const lines[] = { "-z",      "-f",      "-bd",
                                         "-bD",     "-bz ann", "-B 9BIT",
                                         "-R half", "-qxyz",   "-tf" };

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct buffer why = { 0 };
        struct sendmail_options o;
        struct words w;

        split(&w, lines[i]);
        assert_int_equal(sendmail_options_read(&o, w.argc, w.argv, &why),
                         EX_USAGE);
        assert_true(why.len > 0);
        free(w.text);
        buffer_fini(&why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_is_understood),
        cmocka_unit_test(a_wrong_call_is_refused_with_a_sentence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
