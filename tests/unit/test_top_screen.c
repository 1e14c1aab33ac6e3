/*
 * test_top_screen - the pages of waypost top, from figures.
 */
#include "relay/main/top_feed.h"
#include "relay/main/top_screen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char status_text[] =
    "{\"version\":\"1.0\",\"uptime\":7300,\"workers\":2,\"sessions\":14,"
    "\"queue\":{\"messages_ready\":3,\"messages_deferred\":5,"
    "\"destinations_down\":1},\"verdicts\":["
    "{\"rule\":\"spam\",\"code\":554,\"count\":40},"
    "{\"rule\":\"staff\",\"code\":250,\"count\":9},"
    "{\"rule\":\"\",\"code\":554,\"count\":2}]}";
static const char before_text[] =
    "{\"verdicts\":[{\"rule\":\"spam\",\"code\":554,\"count\":20}]}";
static const char flow_text[] =
    "{\"series\":{\"accepted\":[null,0,1,2,4,8]},\"now\":{\"accepted\":1.5}}";
static const char destinations_text[] =
    "[{\"name\":\"mx:small.example\",\"state\":\"up\",\"waiting\":1},"
    "{\"name\":\"mx:big\\u001b[2J.example\",\"state\":\"backing-off\","
    "\"waiting\":900,\"due\":1060,\"reason\":\"4.4.1 \\u001b[31mno\","
    "\"delivery_ms\":42}]";

static const char system_text[] =
    "{\"disk\":{\"free_bytes\":1048576,\"reserve_bytes\":20971520},"
    "\"certificates\":[{\"file\":\"/old.pem\",\"days\":-2},"
    "{\"file\":\"/soon.pem\",\"days\":1},{\"file\":\"/new.pem\",\"days\":60}],"
    "\"history_paused\":true,\"webhooks\":["
    "{\"name\":\"crm\",\"behind\":7,\"last_error\":\"no \\u001b[2J\"},"
    "{\"name\":\"mute\",\"behind\":0,\"last_error\":\"earlier\"}]}";

static json_t *load(const char *text)
{
    json_t *o = json_loads(text, 0, NULL);

    assert_non_null(o);
    return o;
}

struct drawn {
    struct buffer text;
    size_t lines, widest;
};

static struct drawn draw(enum top_view view, size_t columns, size_t rows,
                         bool is_utf8)
{
    json_t *status = load(status_text), *before = load(before_text);
    json_t *flow = load(flow_text), *all = load(destinations_text);
    json_t *system = load(system_text);
    json_t *lines = json_array();
    struct drawn d = { 0 };
    struct top_look look = { view, columns, rows, false, is_utf8 };
    struct top_figures f = { .status = status,
                             .flow = flow,
                             .system = system,
                             .destinations = all,
                             .before = before,
                             .seconds = 2,
                             .lines = lines,
                             .now_s = 1000 };
    size_t width = 0;

    for (int i = 0; i < 50; i++)
        assert_int_equal(
            json_array_append_new(lines, json_sprintf("line %d \033[2J", i)),
            0);
    top_screen_put(&d.text, &f, &look);
    for (size_t i = 0; i < d.text.len; i++) {
        unsigned char c = (unsigned char)d.text.at[i];

        assert_true(c == '\n' || c >= ' ');
        d.lines += c == '\n';
        width = c == '\n' ? 0 : width + ((c & 0xc0) != 0x80);
        d.widest = width > d.widest ? width : d.widest;
    }
    json_decref(status);
    json_decref(before);
    json_decref(flow);
    json_decref(system);
    json_decref(all);
    json_decref(lines);
    return d;
}

static void has(enum top_view view, const char *const *wanted)
{
    struct drawn d = draw(view, 200, 0, true);

    for (; *wanted; wanted++)
        if (!strstr(buffer_string(&d.text), *wanted))
            fail_msg("no \"%s\" in:\n%s", *wanted, buffer_string(&d.text));
    buffer_fini(&d.text);
}

static void each_view_shows_its_figures(void **state)
{
    static const char *const flow[] = { "Waypost 1.0, up 2h",
                                        "14 sessions",
                                        "3 ready, 5 waiting",
                                        "[1 flow]",
                                        "WHAT NEEDS YOU",
                                        ".example is down, 900 wait, next "
                                        "attempt in 60s",
                                        "1.5/s",
                                        "█",
                                        "▂",
                                        NULL };
    static const char *const destinations[] = {
        "backing-off",       "60s", "42ms", "mx:big\\x1B[2J.example",
        "4.4.1 \\x1B[31mno", NULL
    };
    static const char *const refusals[] = { "spam", "10.0", "(by no rule)",
                                            NULL };
    static const char *const wrong[] = {
        "! the disk is full: 1.0M free, under the reserve of 20M; no mail is "
        "taken (452)",
        "! certificate /old.pem has ended",
        "! certificate /soon.pem ends in 1 day:",
        "! the history is paused",
        "! webhook crm is behind by 7 events: no \\x1B[2J",
        NULL
    };
    static const char *const live[] = { "line 0 ", "line 49 \\x1B[2J", NULL };

    (void)state;
    has(TOP_FLOW, flow);
    has(TOP_DESTINATIONS, destinations);
    has(TOP_REFUSALS, refusals);
    has(TOP_LIVE, live);
    for (enum top_view v = TOP_FLOW; v <= TOP_ALL; v++)
        has(v, wrong);
    has(TOP_ALL, flow + 6);
    has(TOP_ALL, destinations);
    has(TOP_ALL, refusals);
}

static void what_has_most_mail_stands_first(void **state)
{
    struct drawn d = draw(TOP_DESTINATIONS, 120, 0, true);
    const char *text = buffer_string(&d.text);

    (void)state;
    assert_true(strstr(text, "mx:big") < strstr(text, "mx:small"));
    buffer_fini(&d.text);
}

static void a_page_fits_any_terminal(void **state)
{
    (void)state;
    for (int view = TOP_FLOW; view <= TOP_ALL; view++)
        for (size_t columns = 1; columns < 130; columns += 7)
            for (size_t rows = 1; rows < 40; rows += 3) {
                struct drawn d =
                    draw((enum top_view)view, columns, rows, rows % 2);

                assert_true(d.lines <= rows);
                assert_true(d.widest <= columns);
                buffer_fini(&d.text);
            }
}

static void the_latest_lines_are_seen_when_there_is_little_room(void **state)
{
    struct drawn d = draw(TOP_LIVE, 80, 10, true);

    (void)state;
    assert_non_null(strstr(buffer_string(&d.text), "line 49"));
    assert_null(strstr(buffer_string(&d.text), "line 40 "));
    buffer_fini(&d.text);
}

static void without_any_figures_there_is_a_page_too(void **state)
{
    struct buffer b = { 0 };
    struct top_figures f = { 0 };

    (void)state;
    for (int view = TOP_FLOW; view <= TOP_ALL; view++)
        top_screen_put(
            &b, &f,
            &(struct top_look){ (enum top_view)view, 80, 24, true, false });
    assert_non_null(strstr(buffer_string(&b), "nothing has happened yet"));
    buffer_fini(&b);
}

static void an_event_becomes_one_line(void **state)
{
    json_t *o =
        load("{\"time\":\"2026-11-22T10:24:45Z\",\"event\":\"delivery\","
             "\"to\":\"a\\u001b@b\",\"delay\":1.5,\"none\":null}");
    json_t *line = top_feed_line(o);

    (void)state;
    assert_string_equal(json_string_value(line),
                        "10:24:45 delivery to=a\\x1B@b delay=1.5");
    json_decref(line);
    json_decref(o);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_view_shows_its_figures),
        cmocka_unit_test(what_has_most_mail_stands_first),
        cmocka_unit_test(a_page_fits_any_terminal),
        cmocka_unit_test(the_latest_lines_are_seen_when_there_is_little_room),
        cmocka_unit_test(without_any_figures_there_is_a_page_too),
        cmocka_unit_test(an_event_becomes_one_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
