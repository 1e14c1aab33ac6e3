/*
 * explain_question - who would send what to whom, as JSON says it.
 *
 *   {"client": "192.0.2.7", "from": "a@example.net", "to": "b@example.org",   these are needed
 *    "listener": "edge", "helo": "mx.example.net", "login": "joe", "tls": true,
 *    "certificate": "sha256:HEX" or a name, "client_name": "mx.example.net", "size": 20480,
 *    "message": "BASE64", "ask": true}
 *
 * "from" may be "<>" or empty. Without "listener" the first is meant that offers logins, if
 * there is a login, else the first. "client_name" is believed instead of being looked up.
 * "ask": policy servers and next hops are asked too.
 */
#ifndef WAYPOST_EXPLAIN_QUESTION_H
#define WAYPOST_EXPLAIN_QUESTION_H

#include "policy/judge.h"

#include <jansson.h>

enum { EXPLAIN_MESSAGE_MOST = 16 * 1024 * 1024 };

struct explain_question {
    struct arena arena;
    struct address sender, recipient;
    struct facts facts;           /* borrows from the rest, and from the settings */
    struct span client_name;      /* at NULL: it is to be looked up */
    bool may_ask, has_message;
    struct buffer message;        /* with CRLF */
    struct span member;           /* that was read last: where there is a fault, it is here */
};

/* False: one sentence in out_why. A copy is taken of what is in o. */
bool explain_question_read(struct explain_question *q, const struct settings *s,
                           const json_t *o, int64_t now_ms,
                           struct buffer *out_why);
void explain_question_fini(struct explain_question *q);

#endif
