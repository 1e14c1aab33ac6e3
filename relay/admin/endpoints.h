/*
 * endpoints - what can be asked for over HTTP.
 *
 * One table: method, path, who may, what comes back. 404, 405 and the roles come from it, and
 * so does the description that programs read.
 */
#ifndef WAYPOST_ENDPOINTS_H
#define WAYPOST_ENDPOINTS_H

#include "relay/admin/request.h"
#include "relay/admin/role.h"

typedef void endpoint_fn(struct request *r);

/* What an answer is, when it is no error. */
enum endpoint_media {
    MEDIA_JSON,
    MEDIA_LINES,   /* one JSON object a line */
    MEDIA_METRICS, /* text that Prometheus reads */
    MEDIA_EVENTS,  /* server-sent events */
    MEDIA_MESSAGE, /* a message as it is, to be saved */
    MEDIA_FILE,    /* what the file says: see request_answer_file */
};

struct endpoint {
    const char *method, *path; /* a part of "*" stands for any name, a last one of
                                  "**" for one with slashes too */
    endpoint_fn *run;
    enum role role;
    enum endpoint_media media;
    size_t body_most;         /* 0: as all others */
    enum queue_change change; /* of ordering_change, as is the next */
    unsigned states;          /* that a change means when none are named */
};

/* Ended by one without method. */
extern const struct endpoint endpoints[];

/*
 * Finds the endpoint of a request and notes it in the request, or refuses with
 * 404 or 405. path is borrowed until the answer.
 */
bool endpoints_find(struct request *r, const char *method, const char *path);

/* The body is complete: answers, or waits. */
void endpoints_run(struct request *r);

#endif
