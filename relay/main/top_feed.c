/*
 * top_feed - what happens, as lines of text, while it happens.
 */
#include "relay/main/top_feed.h"

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/error.h"
#include "policy/vocabulary/memory.h"
#include "relay/main/paper.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <time.h>

enum { LINE_MOST = 256 * 1024 };

struct top_feed {
    CURLM *multi;
    CURL *easy; /* NULL: it does not listen */
    char *socket;
    struct buffer in; /* a line that is not whole yet */
    bool is_event;    /* the lines that come are of a named event */
    json_t *lines;
};

struct top_feed *top_feed_new(struct span socket)
{
    struct top_feed *f = NEW(struct top_feed);

    f->multi = curl_multi_init();
    ASSERT(f->multi);
    f->socket = span_dup(socket);
    f->in.cap = LINE_MOST;
    f->lines = json_array();
    return f;
}

void top_feed_free(struct top_feed *f)
{
    if (!f)
        return;
    top_feed_listen(f, false);
    curl_multi_cleanup(f->multi);
    free(f->socket);
    buffer_fini(&f->in);
    json_decref(f->lines);
    free(f);
}

/* ------------------------------------------------------------------ lines ---- */

static void put_value(struct buffer *b, const char *key, const json_t *v)
{
    char *text;

    if (json_is_null(v))
        return;
    buffer_put_byte(b, ' ');
    buffer_put_escaped(b, span_of(key));
    buffer_put_byte(b, '=');
    if (json_is_string(v)) {
        buffer_put_escaped(b, span_of(json_string_value(v)));
        return;
    }
    text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    buffer_put_escaped(b, span_of(text));
    free(text);
}

/* "2026-11-22T10:24:45Z", or nothing: now. */
static void put_clock(struct buffer *b, const json_t *event)
{
    const char *text = paper_text(event, "time");
    const char *clock = strchr(text, 'T');
    time_t now = time(NULL);
    struct tm tm;

    if (clock && strlen(clock) > 8) {
        buffer_put(b, span_make(clock + 1, 8));
        return;
    }
    (void)localtime_r(&now, &tm);
    buffer_printf(b, "%02d:%02d:%02d", tm.tm_hour, tm.tm_min, tm.tm_sec);
}

json_t *top_feed_line(const json_t *event)
{
    struct buffer b = { 0 };
    const char *key;
    json_t *v, *line;

    put_clock(&b, event);
    buffer_put_byte(&b, ' ');
    buffer_put_escaped(&b, span_of(paper_text(event, "event")));
    json_object_foreach((json_t *)event, key, v)
    {
        if (strcmp(key, "event") != 0 && strcmp(key, "time") != 0)
            put_value(&b, key, v);
    }
    line = json_stringn(b.at, b.len);
    ASSERT(line);
    buffer_fini(&b);
    return line;
}

static void keep(struct top_feed *f, struct span data)
{
    json_error_t why;
    json_t *event = json_loadb(data.at, data.len, 0, &why);

    if (json_is_object(event)) {
        ASSERT(json_array_append_new(f->lines, top_feed_line(event)) == 0);
        if (json_array_size(f->lines) > TOP_FEED_LINES)
            (void)json_array_remove(f->lines, 0);
    }
    json_decref(event);
}

/* An event without a name is one of the log's; the others are figures. */
static void take_line(struct top_feed *f, struct span line)
{
    if (line.len == 0)
        f->is_event = false;
    else if (span_starts_nocase(line, SPAN("event:")))
        f->is_event = true;
    else if (span_starts_nocase(line, SPAN("data:")) && !f->is_event)
        keep(f, span_skip(line, 5));
}

static size_t on_bytes(char *at, size_t size, size_t count, void *user)
{
    struct top_feed *f = user;
    struct span in = { at, size * count }, rest;

    while (in.len) {
        struct span line = span_split(in, '\n', &rest);

        buffer_put(&f->in, line);
        if (rest.at) {
            if (!f->in.overflow)
                take_line(f, buffer_span(&f->in));
            f->in.overflow = false;
            buffer_clear(&f->in);
        }
        in = rest;
    }
    return size * count;
}

/* ---------------------------------------------------------------- waiting ---- */

void top_feed_listen(struct top_feed *f, bool is_on)
{
    if (is_on == (f->easy != NULL))
        return;
    if (is_on) {
        f->easy = curl_easy_init();
        ASSERT(f->easy);
        curl_easy_setopt(f->easy, CURLOPT_URL, "http://waypost/api/v1/events");
        curl_easy_setopt(f->easy, CURLOPT_UNIX_SOCKET_PATH, f->socket);
        curl_easy_setopt(f->easy, CURLOPT_PROXY, "");
        curl_easy_setopt(f->easy, CURLOPT_WRITEFUNCTION, on_bytes);
        curl_easy_setopt(f->easy, CURLOPT_WRITEDATA, f);
        ASSERT(curl_multi_add_handle(f->multi, f->easy) == CURLM_OK);
        return;
    }
    (void)curl_multi_remove_handle(f->multi, f->easy);
    curl_easy_cleanup(f->easy);
    f->easy = NULL;
    f->is_event = false;
    buffer_clear(&f->in);
}

bool top_feed_wait(struct top_feed *f, int fd, int ms)
{
    struct curl_waitfd key = { .fd = fd, .events = CURL_WAIT_POLLIN };
    int running = 0;

    (void)curl_multi_perform(f->multi, &running);
    if (f->easy && running == 0) /* the relay was restarted, perhaps */
        top_feed_listen(f, false);
    (void)curl_multi_poll(f->multi, &key, 1, ms, NULL);
    (void)curl_multi_perform(f->multi, &running);
    return key.revents != 0;
}

const json_t *top_feed_lines(const struct top_feed *f)
{
    return f->lines;
}
