/*
 * logins - the files of users and tokens, read again at once.
 */
#include "relay/admin/logins.h"

#include "relay/admin/admin_private.h"
#include "relay/admin/demand.h"

static void answer(struct request *r, bool is_good)
{
    buffer_printf(&r->answer, "{\"done\":%s}\n", is_good ? "true" : "false");
    request_answer(r, 200);
}

static void on_looked(void *admin, uint64_t token, bool is_good)
{
    struct request *r = request_find(admin, token);

    if (!r)
        return;
    answer(r, is_good);
    request_soon(r);
}

void logins_look(struct request *r)
{
    static const char *const keys[] = { NULL };
    const struct admin_logins *l = &r->admin->logins;
    json_t *body = demand_read(r);

    if (!body || !demand_is_only(r, body, keys))
        goto done;
    admin_look_at_tokens(r->admin, true);
    if (!l->look)
        answer(r, true);
    else if (l->look(l->user, on_looked, r->admin, r->token))
        request_wait(r);
    else
        request_refuse(r, 503, "the relay is going down");
done:
    json_decref(body);
}
