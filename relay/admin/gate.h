/*
 * gate - may this request come in, as far as its header tells?
 *
 * Against browsers that somebody else's page makes ask: the Host has to be a name of ours
 * (else a name that was turned into our address would be "the same site"), and what
 * changes anything has to be JSON, from no foreign page. Against the unclear: a body whose
 * length is said in two ways.
 *
 * Only facts in, a status out; every text is borrowed for the call.
 */
#ifndef WAYPOST_GATE_H
#define WAYPOST_GATE_H

#include "policy/vocabulary/arena.h"
#include "relay/admin/role.h"

/* What we are called. Zeroed: only localhost, and addresses. */
struct gate {
    struct span hostname;
    struct span *hosts; /* further names */
    size_t host_count;
    struct arena arena; /* that all this lives in */
};

/* NULL: the header has no such field. */
struct gate_request {
    bool is_local;  /* over the unix socket */
    bool is_change; /* not GET or HEAD */
    const char *host, *origin;
    const char *site;  /* Sec-Fetch-Site */
    const char *media; /* Content-Type */
    unsigned lengths, codings,
        names; /* how many Content-Length, Transfer-Encoding, Host */
    const char *coding;
};

/* One that is not let in. */
struct gate_refusal {
    int status; /* HTTP's: 400, 403, 415, 421; 0: it is let in */
    const char *text;
};

/* Before anything of it is looked at. */
struct gate_refusal gate_meet(const struct gate *g,
                              const struct gate_request *q);
/* What would change something: is it of a kind that no form can send? */
struct gate_refusal gate_read(const struct gate_request *q);
/* It has this role, and needs that one: 401, 403. */
struct gate_refusal gate_pass(enum role has, enum role needs);

/* The token of "Bearer TOKEN"; empty: there is none. */
struct span gate_token(const char *authorization);

/* Copies the names. */
void gate_name(struct gate *g, struct span hostname, const struct span *hosts,
               size_t count);
void gate_fini(struct gate *g);

#endif
