/*
 * waiting - mail that waits, over HTTP.
 *
 * Lists go out a page at a time, as the client reads them; what would change many messages
 * is only counted unless it says "yes".
 */
#include "relay/admin/waiting.h"

#include "policy/vocabulary/id.h"
#include "relay/admin/endpoints.h"
#include "relay/admin/listing.h"

#include <string.h>

/* --------------------------------------------------------------- list ---- */

static void ask_page(struct request *r);

/* On the thread that reads. */
static void put_row(struct buffer *b, const struct queue_row *row)
{
    listing_put_json(b, row, false);
}

static void refuse_page(struct request *r, int rc)
{
    r->more = NULL;
    if (!r->is_stream) {
        request_refuse_queue(r, rc);
        return;
    }
    /* The status has gone out already: the last line tells. */
    buffer_printf(&r->answer, "{\"error\":\"the queue cannot answer: %s\"}\n",
                  error_text(rc));
    request_go_on(r);
}

static void on_page(void *user, uint64_t token, int rc, struct buffer *text,
                    size_t count, uint64_t next_id)
{
    struct request *r = request_find(user, token);

    if (!r)
        return;
    if (rc < 0) {
        refuse_page(r, rc);
        return;
    }
    request_take_text(r, text);
    r->after_id = next_id;
    r->more = next_id ? ask_page : NULL;
    if (r->limit && (r->limit -= count) == 0)
        r->more = NULL;
    request_go_on(r);
}

/* All pages but the first belong to a long list. */
static void ask_page(struct request *r)
{
    if (r->limit && r->page_rows > r->limit)
        r->page_rows = (uint32_t)r->limit;
    queue_list_text(request_port(r),
                    &(struct queue_list_want){ .filter = &r->filter.queue,
                                               .after_id = r->after_id,
                                               .limit = r->page_rows,
                                               .is_long = r->is_stream,
                                               .put = put_row },
                    on_page, r->token);
    request_wait(r);
}

void waiting_list(struct request *r)
{
    if (!request_read_query(r))
        return;
    if (r->after && !id_parse(span_of(r->after), &r->after_id)) {
        request_refuse(r, 400, "after should be an id of 13 characters");
        return;
    }
    r->page_rows = REQUEST_PAGE_FIRST;
    ask_page(r);
}

/* -------------------------------------------------------------- count ---- */

static void on_count(void *user, uint64_t token, int rc,
                     const struct queue_count *n)
{
    struct request *r = request_find(user, token);

    if (r && rc < 0)
        request_refuse_queue(r, rc);
    else if (r)
        request_answer_json(r, listing_count(n));
}

void waiting_count(struct request *r)
{
    if (!request_read_query(r))
        return;
    queue_count(request_port(r), &r->filter.queue, on_count, r->token);
    request_wait(r);
}

/* ---------------------------------------------------------------- top ---- */

enum { TOP = 20, TOP_MOST = 1000 };

static void on_ranks(void *user, uint64_t token, int rc,
                     const struct queue_rank *ranks, size_t count)
{
    struct request *r = request_find(user, token);

    if (!r)
        return;
    if (rc < 0) {
        request_refuse_queue(r, rc);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        json_t *o = listing_count(&ranks[i].count);

        ASSERT(json_object_set_new(o, "name",
                                   ranks[i].is_named
                                       ? listing_text(ranks[i].name)
                                       : json_null()) == 0);
        listing_put_object(&r->answer, o);
    }
    request_go_on(r);
}

void waiting_top(struct request *r)
{
    static const char *const keys[RANK_KEYS] = {
        [RANK_FROM] = "from",     [RANK_CLIENT] = "client",
        [RANK_LOGIN] = "login",   [RANK_DOMAIN] = "domain",
        [RANK_VIA] = "via",
    };
    const char *by = request_parameter(r, "by");
    int key = by ? 0 : RANK_LOGIN;

    if (!request_read_query(r))
        return;
    while (by && key < RANK_KEYS && strcmp(keys[key], by) != 0)
        key++;
    if (key == RANK_KEYS || r->limit > TOP_MOST) {
        request_refuse(r, 400,
                       key == RANK_KEYS
                           ? "by should be from, client, login, domain or via"
                           : "limit should be a number up to 1000");
        return;
    }
    queue_ranks(request_port(r), &r->filter.queue, (enum queue_rank_key)key,
                r->limit ? (size_t)r->limit : TOP, on_ranks, r->token);
    request_wait(r);
}
