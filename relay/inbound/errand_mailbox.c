/*
 * errand_mailbox - the route's host is asked whether it knows a recipient.
 *
 * Who asks it is the outbound side, through the worker's sides; it is not called off, since
 * what it learns is remembered for the next who asks.
 */
#include "relay/inbound/inquest.h"

static const struct route *find_route(const struct settings *s,
                                      struct span title)
{
    for (size_t i = 0; i < s->route_count; i++)
        if (span_is(s->routes[i].title, title))
            return &s->routes[i];
    return NULL;
}

static void on_called_out(void *worker, uint64_t token,
                          enum callout_answer answer, struct span reply)
{
    struct buffer text = { 0 };

    buffer_put_string(&text, answer == CALLOUT_YES ? "yes" : "no ");
    if (answer == CALLOUT_NO)
        buffer_put(&text, reply);
    inquest_answer(worker, token,
                   answer == CALLOUT_UNKNOWN ? EVIDENCE_FAILED
                                             : EVIDENCE_ANSWERED,
                   buffer_span(&text));
    buffer_fini(&text);
}

/* An address has no tab, whatever the route's title has. */
bool errand_mailbox(struct errand *e)
{
    struct worker *w = e->worker;
    struct settings *settings = e->by->settings;
    size_t tab = span_find_last(e->key, '\t');
    struct callout c = {
        .settings = settings,
        .route = find_route(settings, span_first(e->key, tab)),
        .recipient = span_skip(e->key, tab + 1),
        .done = on_called_out,
        .user = w,
        .token = e->token,
    };

    if (!c.route || !w->sides.call_out)
        return false;
    w->sides.call_out(w, &c);
    return true;
}
