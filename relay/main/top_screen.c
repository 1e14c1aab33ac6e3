/*
 * top_screen - what the relay is doing, as a page of text for a terminal.
 *
 * The rows are top_page.c's, the flow is top_flow.c's.
 */
#include "relay/main/top_screen.h"

#include "policy/vocabulary/memory.h"
#include "relay/admin/listing.h"
#include "relay/main/top_flow.h"
#include "relay/main/top_trouble.h"

#include <stdlib.h>

enum { NAME_WIDTH = 34 };

/* ------------------------------------------------------------------- head ---- */

static void put_head(struct top_page *p)
{
    const json_t *s = p->f->status, *q = json_object_get(s, "queue");
    struct buffer t = { 0 };

    buffer_printf(&t, "Waypost %s, up ", paper_text(s, "version"));
    listing_put_duration(&t, paper_number(s, "uptime"));
    buffer_printf(&t, ", %lld workers, %lld sessions, %lld open to next hops%s",
                  (long long)paper_number(s, "workers"),
                  (long long)paper_number(s, "sessions"),
                  (long long)paper_number(q, "slots"),
                  paper_is_so(s, "stopping") ? ", STOPPING" : "");
    top_page_row(p, PAPER_GOOD, &t);
    buffer_printf(&t, "queue: %lld ready, %lld waiting, %lld held; ",
                  (long long)paper_number(q, "messages_ready"),
                  (long long)paper_number(q, "messages_deferred"),
                  (long long)paper_number(q, "messages_held"));
    buffer_printf(&t, "%lld destination%s down; commit %.1f ms, log ",
                  (long long)paper_number(q, "destinations_down"),
                  paper_number(q, "destinations_down") == 1 ? "" : "s",
                  (double)paper_number(q, "commit_us_last") / 1000);
    listing_put_size(&t, paper_number(q, "wal_bytes"));
    buffer_put_string(&t, ", disk ");
    listing_put_size(&t, paper_number(q, "disk_free_bytes"));
    buffer_put_string(&t, " free");
    top_page_row(
        p, paper_number(q, "destinations_down") ? PAPER_DOUBTFUL : PAPER_PLAIN,
        &t);
    buffer_fini(&t);
}

static void put_troubles(struct top_page *p)
{
    json_t *lines = top_trouble_lines(p->f->system);
    struct buffer t = { 0 };
    const json_t *line;
    size_t i;

    json_array_foreach(lines, i, line)
    {
        buffer_printf(&t, "! %s", json_string_value(line));
        top_page_row(p, PAPER_BAD, &t);
    }
    buffer_fini(&t);
    json_decref(lines);
}

static void put_tabs(struct top_page *p)
{
    static const char *const names[2][TOP_VIEWS] = {
        { [TOP_FLOW] = "1 flow",
          [TOP_DESTINATIONS] = "2 destinations",
          [TOP_REFUSALS] = "3 refusals",
          [TOP_LIVE] = "4 live" },
        { "1 flow", "2 dest", "3 rules", "4 live" },
    };
    bool is_narrow = p->look->columns < 60;
    struct buffer t = { 0 };

    for (int i = 0; i < TOP_VIEWS; i++)
        buffer_printf(&t, (int)p->look->view == i ? "[%s] " : " %s  ",
                      names[is_narrow][i]);
    buffer_put_string(&t, is_narrow ? "q" : "  q quits");
    top_page_row(p, PAPER_FAINT, &t);
    buffer_fini(&t);
}

/* ----------------------------------------------------------- destinations ---- */

static int by_waiting(const void *a, const void *b)
{
    const json_t *x = *(const json_t *const *)a, *y = *(const json_t *const *)b;
    int64_t n = paper_number(x, "waiting"), m = paper_number(y, "waiting");

    if (n != m)
        return n > m ? -1 : 1;
    return strcmp(paper_text(x, "name"), paper_text(y, "name"));
}

/* On a narrow terminal it is more important what is wrong than how many sessions there are. */
static bool has_figures(const struct top_page *p)
{
    return p->look->columns >= 76;
}

static size_t name_width(const struct top_page *p)
{
    return p->look->columns >= (size_t)3 * NAME_WIDTH ? NAME_WIDTH
           : has_figures(p)                   ? p->look->columns / 3
                                              : p->look->columns * 2 / 5;
}

static void put_destination(struct top_page *p, const json_t *o,
                            struct buffer *t)
{
    bool is_up = paper_is(o, "state", "up");
    int64_t due = paper_number(o, "due"), now = p->f->now_s;
    struct buffer cell = { 0 };

    top_page_column(t, paper_text(o, "name"), name_width(p));
    buffer_printf(t, " %-11.11s %7lld ", paper_text(o, "state"),
                  (long long)paper_number(o, "waiting"));
    if (has_figures(p))
        buffer_printf(t, "%5lld/%-3lld ", (long long)paper_number(o, "open"),
                      (long long)paper_number(o, "window"));
    if (!is_up && due > now)
        listing_put_duration(&cell, due - now);
    else if (!is_up && due)
        buffer_put_string(&cell, "now");
    buffer_printf(t, "%6s ", buffer_string(&cell));
    buffer_clear(&cell);
    if (json_is_integer(json_object_get(o, "delivery_ms")))
        buffer_printf(&cell, "%lldms",
                      (long long)paper_number(o, "delivery_ms"));
    if (has_figures(p))
        buffer_printf(t, "%8s", buffer_string(&cell));
    buffer_put_string(t, "  ");
    buffer_put_escaped(t, span_of(*paper_text(o, "reason")
                                      ? paper_text(o, "reason")
                                      : paper_text(o, "last_reply")));
    buffer_fini(&cell);
    top_page_row(p,
                 is_up                               ? PAPER_PLAIN
                 : paper_is(o, "state", "offline")   ? PAPER_FAINT
                 : paper_is(o, "state", "suspended") ? PAPER_DOUBTFUL
                                                     : PAPER_BAD,
                 t);
}

static void put_destinations(struct top_page *p)
{
    size_t n = json_array_size(p->f->destinations);
    const json_t **all = NEW_ARRAY(const json_t *, n + 1);
    struct buffer t = { 0 };

    for (size_t i = 0; i < n; i++)
        all[i] = json_array_get(p->f->destinations, i);
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): of pointers they are */
    qsort(all, n, sizeof(*all), by_waiting);
    top_page_column(&t, "DESTINATION", name_width(p));
    buffer_printf(&t, " STATE       WAITING %s  NEXT%s  LAST WORDS",
                  has_figures(p) ? " OPEN     " : " ",
                  has_figures(p) ? "     TIME" : "");
    top_page_row(p, PAPER_FAINT, &t);
    for (size_t i = 0; i < n && top_page_has_room(p); i++)
        put_destination(p, all[i], &t);
    if (n == 0) {
        buffer_put_string(&t, "nothing waits for any, and all are up");
        top_page_row(p, PAPER_PLAIN, &t);
    }
    buffer_fini(&t);
    free(all);
}

/* --------------------------------------------------------------- refusals ---- */

static int64_t count_before(const json_t *before, const json_t *verdict)
{
    const json_t *v;
    size_t i;

    json_array_foreach(json_object_get(before, "verdicts"), i, v)
    {
        if (paper_is(v, "rule", paper_text(verdict, "rule")) &&
            paper_number(v, "code") == paper_number(verdict, "code"))
            return paper_number(v, "count");
    }
    return 0;
}

static void put_refusals(struct top_page *p)
{
    struct buffer t = { 0 };
    const json_t *v;
    size_t i, n = 0;

    top_page_column(&t, "RULE", NAME_WIDTH);
    buffer_put_string(&t, " REPLY      COUNT     PER SECOND");
    top_page_row(p, PAPER_FAINT, &t);
    json_array_foreach(json_object_get(p->f->status, "verdicts"), i, v)
    {
        int64_t count = paper_number(v, "count");
        const char *rule = paper_text(v, "rule");

        if (paper_number(v, "code") < 400)
            continue;
        n++;
        top_page_column(&t, *rule ? rule : "(by no rule)", NAME_WIDTH);
        buffer_printf(&t, " %5lld %10lld", (long long)paper_number(v, "code"),
                      (long long)count);
        if (p->f->before && p->f->seconds > 0)
            buffer_printf(&t, " %14.1f",
                          (double)(count - count_before(p->f->before, v)) /
                              p->f->seconds);
        top_page_row(p, PAPER_PLAIN, &t);
    }
    if (n == 0) {
        buffer_put_string(&t, "nothing was refused by a rule");
        top_page_row(p, PAPER_PLAIN, &t);
    }
    buffer_fini(&t);
}

/* ------------------------------------------------------------------- live ---- */

/* The latest, as many as there is room for. */
static void put_live(struct top_page *p)
{
    size_t n = json_array_size(p->f->lines);
    size_t room = p->look->rows > p->rows ? p->look->rows - p->rows : n;
    struct buffer t = { 0 };

    for (size_t i = n > room ? n - room : 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(p->f->lines, i));

        buffer_put_string(&t, text ? text : "");
        top_page_row(p, PAPER_PLAIN, &t);
    }
    if (n == 0) {
        buffer_put_string(&t, "nothing has happened yet");
        top_page_row(p, PAPER_FAINT, &t);
    }
    buffer_fini(&t);
}

void top_screen_put(struct buffer *b, const struct top_figures *f,
                    const struct top_look *look)
{
    static void (*const views[TOP_VIEWS])(struct top_page * p) = {
        [TOP_FLOW] = top_flow_put,
        [TOP_DESTINATIONS] = put_destinations,
        [TOP_REFUSALS] = put_refusals,
        [TOP_LIVE] = put_live,
    };
    struct top_page p = { b, f, look, 0 };

    put_head(&p);
    put_troubles(&p);
    if (look->view != TOP_ALL) {
        put_tabs(&p);
        top_page_gap(&p);
        views[look->view](&p);
        return;
    }
    for (int i = 0; i < TOP_LIVE; i++) {
        top_page_gap(&p);
        views[i](&p);
    }
}
