/*
 * test_openapi - the description and the table of endpoints say the same.
 *
 * What fails here when an endpoint was added: it wants an entry in relay/admin/openapi.json,
 * under "operations".
 */
#include "relay/admin/endpoints.h"
#include "relay/admin/openapi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* The operation of a row: its path has "{name}" where the table has "*". */
static json_t *operation_of(json_t *doc, const struct endpoint *e)
{
    size_t fixed = strcspn(e->path, "*");
    const char *path, *method = strcmp(e->method, "GET") == 0 ? "get" : "post";
    json_t *at;

    json_object_foreach(json_object_get(doc, "paths"), path, at)
    {
        size_t open = strcspn(path, "{");

        if (open == fixed && strncmp(path, e->path, fixed) == 0 &&
            (path[open] == '{') == (e->path[fixed] == '*') &&
            json_object_get(at, method))
            return json_object_get(at, method);
    }
    return NULL;
}

static size_t count_operations(json_t *doc)
{
    size_t n = 0;
    const char *path;
    json_t *at;

    json_object_foreach(json_object_get(doc, "paths"), path, at) n +=
        json_object_size(at);
    return n;
}

static void every_endpoint_is_described(void **state)
{
    json_t *doc = openapi_make();
    size_t n = 0;

    (void)state;
    for (const struct endpoint *e = endpoints; e->method; e++, n++) {
        json_t *o = operation_of(doc, e);

        if (!o)
            fail_msg("%s %s is not described in openapi.json", e->method,
                     e->path);
        assert_true(json_string_length(json_object_get(o, "summary")) > 0);
        assert_int_equal(json_array_size(json_object_get(o, "security")),
                         e->role == ROLE_ANYONE ? 0 : 1);
        /* what changes something has a body, which only programs can make */
        assert_int_equal(json_object_get(o, "requestBody") != NULL,
                         strcmp(e->method, "POST") == 0);
    }
    assert_int_equal(n, count_operations(doc));
    json_decref(doc);
}

/* Collects what "$ref" points to and is not there. */
static void look_for_references(json_t *doc, json_t *at)
{
    const char *key;
    json_t *value;
    size_t i;

    json_array_foreach(at, i, value) look_for_references(doc, value);
    json_object_foreach(at, key, value)
    {
        char kind[64], name[64];

        look_for_references(doc, value);
        if (strcmp(key, "$ref") != 0)
            continue;
        assert_int_equal(sscanf(json_string_value(value),
                                "#/components/%63[^/]/%63s", kind, name),
                         2);
        if (!json_object_get(
                json_object_get(json_object_get(doc, "components"), kind),
                name))
            fail_msg("%s is not there", json_string_value(value));
    }
}

static void every_reference_leads_somewhere(void **state)
{
    json_t *doc = openapi_make();

    (void)state;
    look_for_references(doc, doc);
    json_decref(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_endpoint_is_described),
        cmocka_unit_test(every_reference_leads_somewhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
