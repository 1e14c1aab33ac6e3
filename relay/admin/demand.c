/*
 * demand - what a request's JSON object says, member by member.
 */
#include "relay/admin/demand.h"

#include <stdio.h>

enum { KEY_SHOWN = 200 };

json_t *demand_read(struct request *r)
{
    json_error_t error;
    json_t *o = json_loadb(r->body.len ? r->body.at : "{}",
                           r->body.len ? r->body.len : 2,
                           JSON_REJECT_DUPLICATES, &error);

    if (json_is_object(o))
        return o;
    if (o)
        request_refuse(r, 400, "$: should be a JSON object");
    else
        request_refuse(r, 400, "$: should be a JSON object: line %d: %s",
                       error.line, error.text);
    json_decref(o);
    return NULL;
}

void demand_put_path(struct buffer *b, struct span key)
{
    bool is_word = key.len > 0 && key.len <= KEY_SHOWN;

    for (size_t i = 0; is_word && i < key.len; i++) {
        char c = key.at[i];

        is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  (c >= '0' && c <= '9') || c == '_' || c == '-';
    }
    buffer_put_string(b, is_word ? "$." : "$[\"");
    buffer_put_escaped(b, span_first(key, KEY_SHOWN));
    if (!is_word)
        buffer_put_string(b, "\"]");
}

static void refuse(struct request *r, const char *key, const char *what)
{
    struct buffer path = { 0 };

    demand_put_path(&path, span_of(key));
    request_refuse(r, 400, "%s: %s", buffer_string(&path), what);
    buffer_fini(&path);
}

bool demand_is_only(struct request *r, json_t *body, const char *const *keys)
{
    const char *key;
    json_t *value;

    json_object_foreach(body, key, value)
    {
        size_t i = 0;

        while (keys[i] && strcmp(key, keys[i]) != 0)
            i++;
        if (keys[i])
            continue;
        refuse(r, key, "there is no such member");
        return false;
    }
    return true;
}

bool demand_text(struct request *r, const json_t *body, const char *key,
                 size_t most, const char **out)
{
    const json_t *v = json_object_get(body, key);
    char what[64];

    if (!v)
        return true;
    if (json_is_string(v) && json_string_length(v) <= most &&
        strlen(json_string_value(v)) == json_string_length(v)) {
        *out = json_string_value(v);
        return true;
    }
    (void)snprintf(what, sizeof(what), "should be text of at most %zu bytes",
                   most);
    refuse(r, key, what);
    return false;
}

bool demand_switch(struct request *r, const json_t *body, const char *key,
                   bool *out)
{
    const json_t *v = json_object_get(body, key);

    if (v && !json_is_boolean(v)) {
        refuse(r, key, "should be true or false");
        return false;
    }
    if (v)
        *out = json_is_true(v);
    return true;
}
