/*
 * heatmap - where mail waits and since when, and the routes there are, over HTTP.
 */
#include "relay/admin/heatmap.h"

#include "policy/settings.h"
#include "relay/admin/listing.h"

enum { ROWS = 50, ROWS_MOST = 1000 };

static json_t *cells_json(const uint64_t *cells)
{
    json_t *all = json_array();

    for (size_t i = 0; i < HEAT_COLUMNS; i++)
        ASSERT(json_array_append_new(all, json_integer((json_int_t)cells[i])) ==
               0);
    return all;
}

static json_t *bounds_json(void)
{
    json_t *all = json_array();
    json_int_t minutes = HEAT_FIRST_MIN;

    for (size_t i = 0; i + 1 < HEAT_COLUMNS; i++, minutes *= 2)
        ASSERT(json_array_append_new(all, json_integer(minutes)) == 0);
    return all;
}

static void on_heat(void *user, const struct queue_heat *h)
{
    struct request *r = user;
    json_t *rows = json_array();

    for (size_t i = 0; i < h->count; i++) {
        const struct queue_heat_row *row = &h->rows[i];

        ASSERT(json_array_append_new(
                   rows, json_pack("{s:o, s:I, s:o}", "domain",
                                   row->domain.len ? listing_text(row->domain)
                                                   : json_null(),
                                   "total", (json_int_t)row->total, "cells",
                                   cells_json(row->cells))) == 0);
    }
    request_answer_json(
        r, json_pack("{s:o, s:o, s:I, s:o, s:I, s:b}", "bounds_min",
                     bounds_json(), "rows", rows, "total", (json_int_t)h->total,
                     "cells", cells_json(h->cells), "at_ms",
                     (json_int_t)h->at_ms, "complete", h->is_complete));
}

void heatmap_get(struct request *r)
{
    const char *limit = request_parameter(r, "limit");
    uint64_t rows = ROWS;

    if (limit &&
        (!span_number(span_of(limit), &rows) || rows < 1 || rows > ROWS_MOST)) {
        request_refuse(r, 400, "limit should be a number from 1 to %d",
                       ROWS_MOST);
        return;
    }
    queue_heat(request_queue(r), (size_t)rows, on_heat, r);
}

void heatmap_routes(struct request *r)
{
    const struct settings *s = request_settings(r);

    for (size_t i = 0; s && i < s->route_count; i++) {
        const struct route *route = &s->routes[i];
        json_t *to = json_array(), *via = json_array();

        for (size_t k = 0; k < route->to_count; k++)
            ASSERT(json_array_append_new(to, listing_text(route->to[k])) == 0);
        for (size_t k = 0; k < route->via_count; k++)
            ASSERT(json_array_append_new(
                       via, listing_text(route->via[k].text)) == 0);
        listing_put_object(&r->answer, json_pack("{s:o, s:o, s:o}", "title",
                                                 listing_text(route->title),
                                                 "to", to, "via", via));
    }
    request_go_on(r);
}
