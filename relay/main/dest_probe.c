/*
 * dest_probe - a walk to a destination, printed while it is made.
 *
 * A line for each stage; what was said and heard is shown where a stage went wrong.
 */
#include "relay/main/dest_probe.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

struct walk {
    const struct dest_probe *what;
    bool has_ended, is_bad;
};

static const struct look {
    const char *state, *mark;
    enum paper_colour colour;
    bool shows_lines;
} looks[] = {
    { "ok", "ok", PAPER_GOOD, false },
    { "warning", "!", PAPER_DOUBTFUL, true },
    { "bad", "BAD", PAPER_BAD, true },
    { "info", "-", PAPER_PLAIN, false },
};

enum { LOOKS = sizeof(looks) / sizeof(looks[0]) };

static const struct look *look_of(const json_t *o)
{
    size_t i = 0;

    while (i + 1 < LOOKS && !paper_is(o, "state", looks[i].state))
        i++;
    return &looks[i];
}

static void put_lines(struct paper *p)
{
    const json_t *lines =
        json_object_get(json_object_get(p->o, "detail"), "lines");
    const json_t *line;
    size_t i;

    json_array_foreach(lines, i, line)
    {
        const char *text = json_string_value(line);

        buffer_put_string(p->b, "                        ");
        paper_begin(p, PAPER_FAINT);
        paper_put(p, text ? text : "");
        paper_end(p, PAPER_FAINT);
        buffer_put_byte(p->b, '\n');
    }
}

/* One stage, for people. */
static void put_stage(struct paper *p, bool is_verbose)
{
    const struct look *look = look_of(p->o);
    bool is_end = paper_is(p->o, "stage", "end");
    struct buffer stage = { 0 };

    if (is_end)
        buffer_put_byte(p->b, '\n');
    paper_begin(p, look->colour);
    if (is_end)
        paper_put(p, paper_text(p->o, "text"));
    else
        buffer_printf(p->b, "%-4s", look->mark);
    paper_end(p, look->colour);
    if (!is_end) {
        buffer_put_escaped(&stage, span_of(paper_text(p->o, "stage")));
        buffer_printf(p->b, "%-11s %7.1f ms  ", buffer_string(&stage),
                      json_number_value(json_object_get(p->o, "ms")));
        buffer_fini(&stage);
        paper_put(p, paper_text(p->o, "text"));
    }
    buffer_put_byte(p->b, '\n');
    if (is_verbose || look->shows_lines)
        put_lines(p);
}

static bool each_stage(void *user, const json_t *o)
{
    struct walk *w = user;
    struct buffer b = { 0 };
    struct paper p = { &b, o, w->what->is_coloured };

    if (paper_is(o, "stage", "end")) {
        w->has_ended = true;
        w->is_bad = paper_is(o, "state", "bad");
    }
    if (w->what->is_json) {
        paper_print_json(o);
    } else {
        put_stage(&p, w->what->is_verbose);
        (void)fwrite(b.at, 1, b.len, stdout);
        buffer_fini(&b);
    }
    (void)fflush(stdout);
    return !ferror(stdout);
}

int dest_probe_run(struct ask *a, const struct dest_probe *what)
{
    struct walk w = { .what = what };
    json_t *body = json_object();
    int rc;

    (void)json_object_set_new(body, "name", json_string(what->name));
    if (what->from)
        (void)json_object_set_new(body, "from", json_string(what->from));
    rc = ask_stream(a, "/probe", body, each_stage, &w);
    json_decref(body);
    if (ferror(stdout))
        return EX_IOERR;
    if (rc == EX_OK && (!w.has_ended || w.is_bad))
        rc = EX_TEMPFAIL;
    return rc;
}
