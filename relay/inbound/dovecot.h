/*
 * dovecot - a client of Dovecot's authentication socket.
 *
 * Dovecot speaks SASL itself; we carry its challenges and the client's responses. An
 * exchange has a connection of its own for as long as it lasts; a few that are free are
 * kept. All calls wait (10 s at most) and are for the desk's threads. What goes into a line
 * is base64 or text of ours, so nothing can be smuggled into one; what comes is checked.
 * Dovecot authentication protocol 1.1 and up.
 */
#ifndef WAYPOST_DOVECOT_H
#define WAYPOST_DOVECOT_H

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/error.h"
#include "policy/vocabulary/mechanism.h"
#include "policy/vocabulary/network.h"

/* Those whose every word may go through a third party; what binds the channel may not. */
#define MECHANISMS_CARRIED                                                     \
    (MECHANISM_SCRAM_SHA_256 | MECHANISM_SCRAM_SHA_1 | MECHANISM_OAUTHBEARER | \
     MECHANISM_XOAUTH2 | MECHANISM_PLAIN | MECHANISM_LOGIN)

struct dovecot;
struct dovecot_link;

struct dovecot *dovecot_new(const char *path);
/* Links must have been put back or dropped. NULL is fine. */
void dovecot_free(struct dovecot *take_d);
/* Connects and learns what it can; false: out_why is a sentence. */
bool dovecot_learn(struct dovecot *d, int timeout_ms, struct buffer *out_why);
/* Knows what the old one knew. */
void dovecot_inherit(struct dovecot *d, struct dovecot *old);
/* Of enum mechanism, as far as we carry them; PLAIN and LOGIN until it has said. */
unsigned dovecot_mechanisms(struct dovecot *d);

struct dovecot_question {
    unsigned mechanism;
    bool is_tls;
    struct host_address client;
    bool has_response;
    struct span response;
};

enum dovecot_said {
    DOVECOT_MORE, /* text: the challenge */
    DOVECOT_OK,   /* login; text: last words for the client */
    DOVECOT_WRONG,
    DOVECOT_UNAVAILABLE, /* text: why */
};

/* Begins an exchange; *out_link is set with DOVECOT_MORE alone. */
enum dovecot_said dovecot_begin(struct dovecot *d,
                                const struct dovecot_question *q,
                                struct dovecot_link **out_link,
                                struct buffer *out_text,
                                struct buffer *out_login);
/* Goes on with it; the link is taken back and set to NULL unless there is MORE. */
enum dovecot_said dovecot_go_on(struct dovecot *d, struct dovecot_link **link,
                                struct span response, struct buffer *out_text,
                                struct buffer *out_login);
/* In the middle of an exchange: closes it, and Dovecot forgets the exchange. */
void dovecot_drop(struct dovecot_link *take_link);

#endif
