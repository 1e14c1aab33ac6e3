/*
 * session_etrn - a host that was away asks for its mail. RFC 1985.
 *
 *   ETRN domain     the mail for that domain
 *   ETRN @domain    and for all below it
 *   ETRN #name      a pickup's, by its name
 *
 * Who may, and what waits, is asked of the world; nothing comes over this
 * connection: a release leads where the route says.
 */
#include "relay/inbound/session_private.h"

#include "policy/offline.h"
#include "policy/vocabulary/address.h"

bool session_etrn_is_offered(const struct session *s)
{
    for (size_t i = 0; i < s->settings->route_count; i++)
        if (s->settings->routes[i].offline.is_set)
            return !s->listener->is_fetch;
    return false;
}

static bool is_queue_name(struct span name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = ascii_lower(name.at[i]);

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
              c == '-' || c == '_'))
            return false;
    }
    return name.len > 0 && name.len <= LIMIT_DOMAIN;
}

static bool read_request(struct span argument, struct session_request *out)
{
    char first = argument.len ? argument.at[0] : '\0';

    out->kind = first == '#'   ? REQUEST_QUEUE
                : first == '@' ? REQUEST_BELOW
                               : REQUEST_DOMAIN;
    out->name = span_skip(argument, out->kind == REQUEST_DOMAIN ? 0 : 1);
    return out->kind == REQUEST_QUEUE ? is_queue_name(out->name)
                                      : domain_is_valid(out->name, false);
}

/* clang-format off */
static const struct {
    struct reply reply;
    const char *text;
} answers[] = {
    [RELEASE_STARTED] = { { 250, { 2, 0, 0 }, { 0 } },
                          "Ok, delivery to node %.*s started" },
    [RELEASE_NOTHING] = { { 251, { 2, 0, 0 }, { 0 } },
                          "Ok, no messages waiting for node %.*s" },
    [RELEASE_CANNOT]  = { { 458, { 4, 0, 0 }, { 0 } },
                          "Unable to queue messages for node %.*s" },
    [RELEASE_REFUSED] = { { 459, { 4, 7, 1 }, { 0 } },
                          "Node %.*s not allowed" },
};
/* clang-format on */

void session_etrn(struct session *s, const struct verb_call *call)
{
    struct session_request request;
    struct facts facts = session_facts(s);
    struct buffer text = { 0 };
    enum session_release said;
    struct reply reply;

    if (!read_request(call->argument, &request)) {
        session_refuse(s, SESSION_COMMAND_REFUSED,
                       &REPLY(501, 5, 5, 4, "Syntax: ETRN domain"));
        return;
    }
    said = s->world->release(s->world->user, &request, &facts);
    buffer_printf(&text, answers[said].text, SPAN_FMT(call->argument));
    reply = answers[said].reply;
    reply.text = buffer_span(&text);
    if (reply_is_positive(&reply))
        reply_write(&s->output, &reply);
    else
        session_refuse(s, SESSION_COMMAND_REFUSED, &reply);
    buffer_fini(&text);
}
