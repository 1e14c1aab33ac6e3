/*
 * queue_look - waypost queue list, show, cat, count, top and shape.
 *
 * Each asks one question and prints the answer: as the relay's objects with --json, else laid
 * out for people. Nothing is changed.
 */
#include "relay/admin/listing.h"
#include "relay/main/queue_call.h"
#include "relay/main/queue_print.h"
#include "relay/net/worker.h"

#include <stdio.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { FRESH_TRIES = 3, FRESH_WAIT_US = 50000 };

static void add_filters(struct queue_call *o)
{
    const char *key;
    json_t *value;

    json_object_foreach(o->filters, key, value)
        ask_add(o->ask, key, json_string_value(value));
}

static bool print_row(void *user, const json_t *message)
{
    struct queue_call *o = user;
    struct buffer b = { 0 };

    if (o->width && o->rows == 0)
        listing_put_head(&b, o->width);
    listing_put_line(&b, message, time(NULL), o->width);
    paper_print(&b);
    o->rows++;
    buffer_fini(&b);
    return !ferror(stdout);
}

static bool pass_on(void *user, struct span line)
{
    (void)user;
    return paper_print_line(line);
}

static int list_some(struct queue_call *o)
{
    add_filters(o);
    return o->json ? ask_lines(o->ask, "/queue", pass_on, o)
                   : ask_stream(o->ask, "/queue", NULL, print_row, o);
}

int queue_look_list(struct queue_call *o)
{
    int rc = EX_OK;

    paper_begin_list();
    if (!queue_call_is_many(o))
        rc = list_some(o);
    for (size_t i = 0; queue_call_is_many(o) && i < o->ids.count; i++) {
        queue_many_choose(o, i);
        if ((rc = list_some(o)) != EX_OK)
            break;
    }
    if (rc == EX_OK && o->width && !o->json) {
        if (o->rows)
            (void)printf("-- %llu message%s\n", (unsigned long long)o->rows,
                         o->rows == 1 ? "" : "s");
        else
            (void)puts(o->ids.is_given || json_object_size(o->filters)
                           ? "Nothing matches."
                           : "The queue is empty.");
    }
    return rc;
}

static int show_one(struct queue_call *o)
{
    const char *id = json_string_value(json_object_get(o->filters, "id"));
    struct buffer b = { 0 };
    json_t *message;
    int rc;

    if (!id || json_object_size(o->filters) != 1)
        return verbs_usage(o->call, "show takes the id of one message");
    buffer_printf(&b, "/queue/%s", id);
    rc = ask_one(o->ask, buffer_string(&b), NULL, &message);
    buffer_clear(&b);
    if (rc == EX_OK) {
        struct paper p = queue_call_paper(o, &b, message);

        if (o->json) {
            paper_print_json(message);
        } else {
            queue_print_story(&p, time(NULL));
            paper_print(&b);
        }
        json_decref(message);
    }
    buffer_fini(&b);
    return rc;
}

int queue_look_show(struct queue_call *o)
{
    return queue_call_is_many(o) ? queue_many_look(o, show_one) : show_one(o);
}

static bool write_bytes(void *user, struct span bytes)
{
    (void)user;
    return fwrite(bytes.at, 1, bytes.len, stdout) == bytes.len;
}

/* To a terminal too: who asks for the bytes gets them. */
int queue_look_cat(struct queue_call *o)
{
    const char *id = json_string_value(json_object_get(o->filters, "id"));
    struct buffer path = { 0 };
    int rc;

    if (!id || json_object_size(o->filters) != 1)
        return verbs_usage(o->call, "cat takes the id of one message");
    buffer_printf(&path, "/queue/%s/content", id);
    if (o->only_header)
        ask_add(o->ask, "part", "header");
    rc = ask_bytes(o->ask, buffer_string(&path), NULL, write_bytes, o);
    buffer_fini(&path);
    return rc;
}

static bool print_rank(void *user, const json_t *rank)
{
    struct queue_call *o = user;
    struct buffer b = { 0 };

    if (o->json) {
        paper_print_json(rank);
    } else {
        queue_print_rank(&b, rank, o->by ? o->by : "login", o->rows == 0);
        paper_print(&b);
    }
    o->rows++;
    buffer_fini(&b);
    return !ferror(stdout);
}

int queue_look_top(struct queue_call *o)
{
    int rc;

    add_filters(o);
    if (o->by)
        ask_add(o->ask, "by", o->by);
    if (o->limit)
        ask_add(o->ask, "limit", o->limit);
    rc = ask_stream(o->ask, "/queue/top", NULL, print_rank, o);
    if (rc == EX_OK && o->rows == 0 && !o->json)
        (void)puts(json_object_size(o->filters) ? "Nothing matches."
                                                : "The queue is empty.");
    return rc;
}

/* Drawn before it was asked for? */
static bool is_old(const json_t *heat, int64_t asked_ms)
{
    return paper_is_so(heat, "complete") &&
           paper_number(heat, "at_ms") < asked_ms;
}

int queue_look_shape(struct queue_call *o)
{
    int64_t asked_ms = wall_ms();
    struct buffer b = { 0 };
    struct paper p;
    json_t *heat;
    int rc;

    if (json_object_size(o->filters))
        return verbs_usage(o->call, "shape takes no filters: it shows all");
    rc = ask_one(o->ask, "/queue/heat", NULL, &heat);
    /* With the question a new picture was begun: of a small queue it is there soon. */
    for (int i = 0; rc == EX_OK && i < FRESH_TRIES && is_old(heat, asked_ms);
         i++) {
        json_decref(heat);
        (void)usleep(FRESH_WAIT_US);
        rc = ask_one(o->ask, "/queue/heat", NULL, &heat);
    }
    if (rc != EX_OK)
        return rc;
    p = queue_call_paper(o, &b, heat);
    if (o->json) {
        paper_print_json(heat);
    } else {
        queue_print_shape(&p, time(NULL));
        paper_print(&b);
    }
    json_decref(heat);
    buffer_fini(&b);
    return EX_OK;
}

int queue_look_count(struct queue_call *o)
{
    struct buffer b = { 0 };
    json_t *count;
    int rc;

    add_filters(o);
    rc = ask_one(o->ask, "/queue/count", NULL, &count);
    if (rc != EX_OK)
        return rc;
    if (o->json) {
        paper_print_json(count);
    } else {
        listing_put_count(&b, count);
        buffer_put_byte(&b, '\n');
        paper_print(&b);
    }
    json_decref(count);
    buffer_fini(&b);
    return EX_OK;
}
