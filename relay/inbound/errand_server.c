/*
 * errand_server - a policy server is asked for its action.
 *
 * What fails is logged here: the rule answers 451, and somebody will want to
 * know why.
 */
#include "relay/inbound/inquest.h"

#include "relay/inbound/intake_private.h"
#include "relay/inbound/policyserver.h"
#include "relay/net/log.h"

static struct span server_of(const struct errand *e)
{
    return span_first(e->key, span_find(e->key, '\n'));
}

static void complain(const struct errand *e, const char *why)
{
    log_text(LOG_WARNING, "policy server %.*s: %s", SPAN_FMT(server_of(e)),
             why);
}

static void on_answer(void *user, const char *why, struct span action)
{
    struct errand *e = user;

    if (why)
        complain(e, why);
    inquest_answer(e->worker, e->token,
                   why ? EVIDENCE_FAILED : EVIDENCE_ANSWERED, action);
}

static void cancel(struct errand *e)
{
    if (wall_ms() >= e->until_ms)
        complain(e, "no answer in time");
    policyserver_cancel(e->what);
}

bool errand_server(struct errand *e)
{
    struct span server = server_of(e);

    e->what = policyserver_ask(e->worker->intake->servers, server,
                               span_skip(e->key, server.len + 1), on_answer, e);
    e->cancel = cancel;
    if (!e->what)
        complain(e, "cannot be reached");
    return e->what;
}
