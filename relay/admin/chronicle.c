/*
 * chronicle - what became of mail, over HTTP.
 *
 * A page leaves as soon as something was found. While nothing is, the history says now and
 * then how far it is; then the client is told, if it wants to know, and one that has gone
 * ends the search.
 */
#include "relay/admin/chronicle.h"

#include "relay/admin/chronicle_row.h"
#include "relay/admin/listing.h"

static void ask_page(struct request *r);

static void refuse(struct request *r, int rc)
{
    r->more = NULL;
    if (!r->is_stream) {
        request_refuse(r, 503, "the history cannot answer: %s", error_text(rc));
        return;
    }
    /* The status has gone out already: the last line tells. */
    listing_put_object(
        &r->answer, json_pack("{s:s+}", "error",
                              "the history cannot answer: ", error_text(rc)));
    request_go_on(r);
}

/* Nothing was found yet. */
static void go_on_looking(struct request *r)
{
    if (request_is_left(r)) {
        r->more = NULL;
        request_go_on(r);
    } else if (request_parameter(r, "progress")) {
        listing_put_object(&r->answer,
                           json_pack("{s:{s:I}}", "progress", "at",
                                     (json_int_t)(r->place.at_ms / 1000)));
        r->more = ask_page;
        request_go_on(r);
    } else {
        ask_page(r);
    }
}

static void on_page(void *user, uint64_t token, int rc, struct buffer *text,
                    size_t count, const struct queue_place *next)
{
    struct request *r = request_find(user, token);

    if (!r)
        return;
    if (rc < 0) {
        refuse(r, rc);
        return;
    }
    request_take_text(r, text);
    if (r->limit && (r->limit -= count) == 0)
        next = NULL;
    if (next)
        r->place = *next;
    if (next && count == 0) {
        go_on_looking(r);
        return;
    }
    r->more = next ? ask_page : NULL;
    request_go_on(r);
}

/* All pages but the first belong to a long list. */
static void ask_page(struct request *r)
{
    uint32_t rows = r->page_rows;

    if (r->limit && r->limit < rows)
        rows = (uint32_t)r->limit;
    queue_history_text(request_port(r),
                       &(struct queue_history_want){ .filter = &r->filter.queue,
                                                     .after = &r->place,
                                                     .limit = rows,
                                                     .is_long = r->is_stream,
                                                     .put = chronicle_row_put },
                       on_page, r->token);
    if (r->state != REQUEST_WAITS)
        request_wait(r);
}

void chronicle_list(struct request *r)
{
    r->filter.language = FILTER_HISTORY;
    if (!request_read_query(r))
        return;
    if (r->filter.queue.via.len) {
        request_refuse(r, 400, "via: the history knows hosts, not destinations");
        return;
    }
    if (r->after && !chronicle_row_read_cursor(span_of(r->after), &r->place)) {
        request_refuse(r, 400, "after should be the cursor of a row");
        return;
    }
    r->page_rows = REQUEST_PAGE_FIRST;
    ask_page(r);
}
