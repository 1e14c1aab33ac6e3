/*
 * bearer - what is said to an OAuth 2 token server, and what it says.
 *
 * Bytes in, bytes out: the form of the two grants we use (client credentials and refresh
 * token), the client's own login, the answer in JSON, and what a token-command prints.
 * RFC 6749 2.3.1, 4.4, 5.1, 5.2, 6; RFC 6750 2.1.
 */
#ifndef WAYPOST_BEARER_H
#define WAYPOST_BEARER_H

#include "policy/settings.h"
#include "policy/vocabulary/buffer.h"

enum {
    BEARER_LIFE_MS = 300 * 1000, /* where none is told */
    BEARER_MOST = 16 * 1024,     /* bytes of a token */
};

struct bearer {
    struct buffer token, refresh; /* refresh: rotated, or empty */
    int64_t life_ms;              /* 1 s to 1 day */
};

void bearer_fini(struct bearer *b);

/* application/x-www-form-urlencoded. An empty refresh token: the client credentials grant.
 * The secret stands in the form where secret_in_form says so, else in the header. */
void bearer_put_form(struct buffer *form, const struct account *a,
                     struct span secret, struct span refresh,
                     bool secret_in_form);
/* "Authorization: Basic ..." */
void bearer_put_header(struct buffer *header, struct span client_id,
                       struct span secret);

/* The body of a 200. On failure why says what is wrong with it. */
MUST int bearer_read(struct span body, struct bearer *out, struct buffer *why);
/* What a token-command printed: such a body, or the token alone on the first line. */
MUST int bearer_read_output(struct span output, struct bearer *out,
                            struct buffer *why);

/* Could it be that the server only wants the secret in the other place? */
bool bearer_is_client_refused(unsigned status, struct span body);
/* "answered 400 invalid_grant: the token was revoked", cleaned and cut; a description in
 * which one of the secrets stands is left out. */
void bearer_put_refusal(struct buffer *why, unsigned status, struct span body,
                        const struct span *secrets, size_t count);

#endif
