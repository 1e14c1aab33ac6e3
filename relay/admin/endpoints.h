/*
 * endpoints - what can be asked for over HTTP.
 */
#ifndef WAYPOST_ENDPOINTS_H
#define WAYPOST_ENDPOINTS_H

#include "relay/admin/request.h"

/*
 * Finds the endpoint of a request and notes it in the request, or refuses with
 * 404 or 405. path is borrowed until the answer.
 */
bool endpoints_find(struct request *r, const char *method, const char *path);

/* The body is complete: answers, or waits. */
void endpoints_run(struct request *r);

#endif
