/*
 * probes - "why is it stuck?" over HTTP.
 */
#include "relay/admin/probes.h"

#include "relay/admin/demand.h"

enum { NAME_MOST = 1024, PUSH_MOST = 4 * 1024 * 1024 };

static void on_told(void *admin, uint64_t token, struct span lines,
                    bool is_over)
{
    struct request *r = request_find(admin, token);

    if (!r)
        return;
    (void)request_push(r, lines);
    if (!is_over)
        return;
    r->gone = NULL;
    request_push_end(r);
}

static void on_gone(struct request *r, void *user)
{
    const struct admin_probes *p = request_probes(r);

    (void)user;
    p->cancel(p->user, r->token);
}

void probes_ask(struct request *r)
{
    static const char *const keys[] = { "name", "from", NULL };
    const struct admin_probes *p = request_probes(r);
    const char *name = "", *from = NULL;
    json_t *body = demand_read(r);

    if (!body || !demand_is_only(r, body, keys) ||
        !demand_text(r, body, "name", NAME_MOST, &name) ||
        !demand_text(r, body, "from", NAME_MOST, &from))
        goto done;
    if (!*name) {
        request_refuse(r, 400,
                       "$.name: should be a domain, an address or a "
                       "destination");
    } else if (p && p->begin(p->user, span_of(name), span_of(from), on_told,
                             r->admin, r->token)) {
        r->gone = on_gone;
        request_push_begin(r, PUSH_MOST);
    } else {
        request_refuse(r, 503, "no more can be probed now");
    }
done:
    json_decref(body);
}
