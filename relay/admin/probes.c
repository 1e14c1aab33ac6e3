/*
 * probes - "why is it stuck?" over HTTP.
 */
#include "relay/admin/probes.h"

#include <jansson.h>

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

/* Text of a sane length, or missing where it may be. */
static bool read_text(struct request *r, const json_t *body, const char *key,
                      bool is_needed, const char **out)
{
    const json_t *v = json_object_get(body, key);

    if (!v && !is_needed)
        return true;
    if (!json_is_string(v) || json_string_length(v) > NAME_MOST ||
        (is_needed && json_string_length(v) == 0) ||
        strlen(json_string_value(v)) != json_string_length(v)) {
        request_refuse(r, 400, "$.%s: should be text of %s%d bytes at most",
                       key, is_needed ? "1 to " : "", NAME_MOST);
        return false;
    }
    *out = json_string_value(v);
    return true;
}

static bool has_strange_keys(struct request *r, json_t *body)
{
    const char *key;
    json_t *value;

    json_object_foreach(body, key, value)
    {
        if (strcmp(key, "name") == 0 || strcmp(key, "from") == 0)
            continue;
        request_refuse(r, 400, "$.%s: there is no such member", key);
        return true;
    }
    return false;
}

void probes_ask(struct request *r)
{
    const struct admin_probes *p = request_probes(r);
    const char *name = NULL, *from = NULL;
    json_error_t error;
    json_t *body = json_loadb(r->body.len ? r->body.at : "{}",
                              r->body.len ? r->body.len : 2,
                              JSON_REJECT_DUPLICATES, &error);

    if (!json_is_object(body)) {
        request_refuse(r, 400, "$: should be a JSON object%s%s",
                       body ? "" : ": ", body ? "" : error.text);
    } else if (!has_strange_keys(r, body) &&
               read_text(r, body, "name", true, &name) &&
               read_text(r, body, "from", false, &from)) {
        if (p && p->begin(p->user, span_of(name), span_of(from), on_told,
                          r->admin, r->token)) {
            r->gone = on_gone;
            request_push_begin(r, PUSH_MOST);
        } else {
            request_refuse(r, 503, "no more can be probed now");
        }
    }
    json_decref(body);
}
