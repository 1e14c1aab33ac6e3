/*
 * explains - rules explained over HTTP.
 */
#include "relay/admin/explains.h"

static void on_explained(void *admin, uint64_t token, int status,
                         struct span answer)
{
    struct request *r = request_find(admin, token);

    if (!r)
        return;
    buffer_put(&r->answer, answer);
    request_answer(r, status);
    request_soon(r);
}

void explains_ask(struct request *r)
{
    const struct admin_explains *e = request_explains(r);

    if (e && e->begin(e->user, buffer_span(&r->body), on_explained, r->admin,
                      r->token))
        request_wait(r);
    else
        request_refuse(r, 503, "no more can be explained now");
}
