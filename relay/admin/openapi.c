/*
 * openapi - the description of the interface that programs read.
 */
#include "relay/admin/openapi.h"

#include "relay/admin/endpoints.h"
#include "relay/admin/listing.h"
#include "relay/admin/response.h"

/* openapi.json, put into the program by the build. */
extern const char openapi_text[];

static void append(json_t *array, json_t *take_value)
{
    ASSERT(take_value && json_array_append_new(array, take_value) == 0);
}

static json_t *reference(const char *kind, const char *name)
{
    return json_pack("{s:s++}", "$ref", "#/components/", kind, name);
}

/* A schema, or the name of one. */
static json_t *schema_of(json_t *said)
{
    return json_is_string(said) ? reference("schemas/", json_string_value(said))
                                : json_incref(said);
}

/* ----------------------------------------------------- rows and entries -- */

/* "GET /api/v1/queue/{id}/content" is said of the row with "*" in that place. */
static bool is_of(const struct endpoint *row, struct span entry)
{
    struct span path, method = span_split(entry, ' ', &path);
    struct span want = span_of(row->path), rest;
    size_t open = span_find(path, '{'), star = span_find(want, '*');

    if (!span_is(method, span_of(row->method)))
        return false;
    if (open == path.len || star == want.len)
        return span_is(want, path);
    rest = span_skip(want, star);
    while (rest.len && *rest.at == '*')
        rest = span_skip(rest, 1);
    return span_is(span_first(want, star), span_first(path, open)) &&
           span_is(rest, span_skip(path, span_find(path, '}') + 1));
}

static json_t *entry_of(json_t *operations, const struct endpoint *row,
                        struct span *out_path)
{
    const char *key;
    json_t *entry;

    json_object_foreach(operations, key, entry) if (is_of(row, span_of(key)))
    {
        (void)span_split(span_of(key), ' ', out_path);
        return entry;
    }
    return NULL;
}

/* --------------------------------------------------------- an operation -- */

static json_t *parameters_of(json_t *file, json_t *entry, struct span path)
{
    json_t *all = json_deep_copy(json_object_get(entry, "parameters"));
    size_t open = span_find(path, '{'), end = span_find(path, '}');
    const char *name;
    json_t *ignored;

    if (!all)
        all = json_array();
    if (open < path.len)
        append(all,
               json_pack("{s:s%, s:s, s:b, s:{s:s}}", "name",
                         path.at + open + 1, end - open - 1, "in", "path",
                         "required", 1, "schema", "type", "string"));
    if (!json_is_true(json_object_get(entry, "filters")))
        return all;
    json_object_foreach(json_object_get(file, "filters"), name, ignored)
        append(all, reference("parameters/", name));
    json_object_foreach(json_object_get(file, "parameters"), name, ignored)
        append(all, reference("parameters/", name));
    return all;
}

static json_t *answers_of(const struct endpoint *row, json_t *entry)
{
    json_t *media = json_object(), *content = json_object();
    json_t *answer = json_object_get(entry, "answer");

    if (answer)
        listing_set(media, "schema", schema_of(answer));
    listing_set(content, response_media(row->media), media);
    return json_pack("{s:{s:s, s:o}, s:{s:s, s:{s:{s:o}}}}", "200",
                     "description", "it is so", "content", content, "default",
                     "description", "it is not", "content", "application/json",
                     "schema", reference("schemas/", "error"));
}

static json_t *security_of(enum role role)
{
    static const char *const names[] = { [ROLE_READ] = "read",
                                         [ROLE_OPERATOR] = "operator",
                                         [ROLE_LOCAL] = "socket" };

    return role == ROLE_ANYONE ? json_array()
                               : json_pack("[{s:[s]}]", "token", names[role]);
}

static json_t *operation_of(json_t *file, const struct endpoint *row,
                            json_t *entry, struct span path)
{
    json_t *body = json_object_get(entry, "body"), *o = json_object();

    listing_set(o, "summary", json_incref(json_object_get(entry, "summary")));
    listing_set(o, "parameters", parameters_of(file, entry, path));
    if (body)
        listing_set(o, "requestBody",
                    json_pack("{s:b, s:{s:{s:o}}}", "required", 1, "content",
                              "application/json", "schema", schema_of(body)));
    listing_set(o, "responses", answers_of(row, entry));
    listing_set(o, "security", security_of(row->role));
    return o;
}

/* ------------------------------------------------------------- the whole - */

static json_t *paths_of(json_t *file)
{
    json_t *paths = json_object();

    for (const struct endpoint *row = endpoints; row->method; row++) {
        struct span path;
        json_t *entry =
            entry_of(json_object_get(file, "operations"), row, &path);
        json_t *at;

        if (!entry)
            continue;
        at = json_object_getn(paths, path.at, path.len);
        if (!at) {
            at = json_object();
            ASSERT(json_object_setn_new(paths, path.at, path.len, at) == 0);
        }
        listing_set(at, row->method[0] == 'G' ? "get" : "post",
                    operation_of(file, row, entry, path));
    }
    return paths;
}

/* Filters are written as names with what they mean. */
static json_t *shared_parameters(json_t *file)
{
    json_t *all = json_deep_copy(json_object_get(file, "parameters"));
    const char *name;
    json_t *said;

    json_object_foreach(all, name, said)
        listing_set(said, "name", json_string(name));
    json_object_foreach(json_object_get(file, "filters"), name, said)
        listing_set(all, name,
                    json_pack("{s:s, s:s, s:O, s:{s:s}}", "name", name, "in",
                              "query", "description", said, "schema", "type",
                              "string"));
    return all;
}

json_t *openapi_make(void)
{
    json_error_t error;
    json_t *file = json_loads(openapi_text, 0, &error), *whole;

    ASSERT(file);
    listing_set(json_object_get(file, "info"), "version",
                json_string(WAYPOST_VERSION));
    whole = json_pack("{s:s, s:O, s:o, s:{s:O, s:o, s:{s:{s:s, s:s}}}}",
                      "openapi", "3.1.0", "info", json_object_get(file, "info"),
                      "paths", paths_of(file), "components", "schemas",
                      json_object_get(file, "schemas"), "parameters",
                      shared_parameters(file), "securitySchemes", "token",
                      "type", "http", "scheme", "bearer");
    ASSERT(whole);
    json_decref(file);
    return whole;
}

void openapi_get(struct request *r)
{
    request_answer_json(r, openapi_make());
}
