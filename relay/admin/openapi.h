/*
 * openapi - the description of the interface that programs read.
 *
 *   GET /api/v1/openapi.json
 *
 * Paths, methods, roles and media come from the table of endpoints; what they mean and what
 * goes in and out is in openapi.json of this folder, one entry for each row: a row without
 * one is not described, and a test fails. OpenAPI 3.1.
 */
#ifndef WAYPOST_OPENAPI_H
#define WAYPOST_OPENAPI_H

#include "relay/admin/request.h"

void openapi_get(struct request *r);

/* The description; the caller lets go of it. */
json_t *openapi_make(void);

#endif
