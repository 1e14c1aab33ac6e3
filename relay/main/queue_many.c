/*
 * queue_many - waypost queue ID ID ..., or with the ids on standard input.
 *
 * Each message is asked about, or changed, by a question of its own, so that each order stands
 * in the history of its message as if it alone had been named. The answers to an order are
 * added up. As for any order, what concerns more than one message is only announced without
 * --yes.
 *
 * Ends where the relay does; what was done until then is told.
 */
#include "policy/vocabulary/id.h"
#include "policy/vocabulary/memory.h"
#include "queue/queue.h"
#include "relay/main/queue_call.h"

#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

enum { UNMATCHED_SHOWN = 20 };

void queue_many_choose(struct queue_call *o, size_t i)
{
    ASSERT(i < o->ids.count);
    (void)json_object_set_new(o->filters, "id",
                              json_string(id_print(o->ids.all[i]).at));
}

int queue_many_look(struct queue_call *o, queue_call_fn *one)
{
    int rc = EX_OK, worst = EX_OK;

    for (size_t i = 0; i < o->ids.count; i++) {
        if (i && rc == EX_OK && !o->json)
            (void)puts("");
        queue_many_choose(o, i);
        rc = one(o);
        if (rc == EX_NOINPUT)
            worst = rc; /* of the others there may be something to say */
        else if (rc != EX_OK)
            return rc;
    }
    return worst;
}

/* ------------------------------------------------------------- orders ---- */

static void add_rows(json_t *sum, const json_t *answer)
{
    json_t *first = json_object_get(sum, "first"), *row;
    size_t i;

    json_array_foreach(json_object_get(answer, "first"), i, row)
    {
        if (!first) {
            first = json_array();
            (void)json_object_set_new(sum, "first", first);
        }
        if (json_array_size(first) < PREVIEW_ROWS)
            (void)json_array_append(first, row);
    }
}

/* Numbers are added; rows stand one behind the other. */
static void add(json_t *sum, const json_t *answer)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)answer, name, value)
    {
        json_int_t before = json_integer_value(json_object_get(sum, name));

        if (json_is_integer(value))
            (void)json_object_set_new(
                sum, name, json_integer(before + json_integer_value(value)));
        else if (json_is_boolean(value))
            (void)json_object_set(sum, name, value);
    }
    /* of one message each: as a sum they would say nothing */
    (void)json_object_del(sum, "destination_count");
    add_rows(sum, answer);
}

static void add_unmatched(json_t *sum, const json_t *answer, uint64_t id)
{
    json_t *all = json_object_get(sum, "unmatched");

    if (paper_number(answer, "messages") || paper_number(answer, "being_sent"))
        return;
    if (!all) {
        all = json_array();
        (void)json_object_set_new(sum, "unmatched", all);
    }
    (void)json_array_append_new(all, json_string(id_print(id).at));
}

static json_t *nothing(void)
{
    return json_pack("{s:i, s:i, s:i}", "messages", 0, "recipients", 0, "bytes",
                     0);
}

int queue_many_order(struct queue_call *o, const char *path, json_t *body)
{
    int rc = EX_OK;

    o->answer = nothing();
    o->expected = (int64_t)o->ids.count;
    for (size_t i = 0; rc == EX_OK && i < o->ids.count; i++) {
        json_t *one = NULL;

        if (o->has_bar)
            queue_act_draw_bar(o, (int64_t)i);
        (void)json_object_set_new(body, "id",
                                  json_string(id_print(o->ids.all[i]).at));
        rc = ask_one(o->ask, path, body, &one);
        if (rc == EX_OK) {
            add(o->answer, one);
            add_unmatched(o->answer, one, o->ids.all[i]);
        }
        json_decref(one);
    }
    return rc;
}

void queue_many_print_unmatched(const struct queue_call *o)
{
    const json_t *all = json_object_get(o->answer, "unmatched"), *id;
    size_t count = json_array_size(all), i;

    json_array_foreach(all, i, id)
    {
        if (i == UNMATCHED_SHOWN)
            break;
        (void)printf("%s%s", i ? ", " : "Left alone: ", json_string_value(id));
    }
    if (count > UNMATCHED_SHOWN)
        (void)printf(" and %zu more", count - UNMATCHED_SHOWN);
    if (count)
        (void)puts(" (waypost queue show tells why.)");
}
