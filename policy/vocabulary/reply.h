/*
 * reply - one SMTP reply: code, enhanced status code, text.
 *
 * The same shape serves what we say to a client, what policy decides, and what
 * a next hop said to us. RFC 5321 4.2, RFC 3463, RFC 2034.
 */
#ifndef WAYPOST_REPLY_H
#define WAYPOST_REPLY_H

#include "policy/vocabulary/buffer.h"

struct status {
    unsigned char class;      /* 2, 4 or 5; 0: no enhanced status code */
    unsigned short subject;
    unsigned short detail;
};

struct reply {
    short code;               /* 200 to 599; 0: none */
    struct status status;
    struct span text;         /* without codes; may hold '\n' between lines */
};

#define STATUS(c, s, d) ((struct status){ (c), (s), (d) })
#define REPLY(code, c, s, d, literal)                                          \
    ((struct reply){ (code), { (c), (s), (d) }, SPAN_INIT(literal) })

static inline bool reply_is_positive(const struct reply *r)
{
    return r->code >= 200 && r->code < 300;
}

static inline bool reply_is_transient(const struct reply *r)
{
    return r->code >= 400 && r->code < 500;
}

static inline bool reply_is_permanent(const struct reply *r)
{
    return r->code >= 500 && r->code < 600;
}

/*
 * Reads "554 5.7.1 text" or "554 text" as a person writes it in a
 * configuration: code 400 to 599 first; text borrowed. A missing status is
 * filled in as 4.0.0 or 5.0.0. False when not so, or when the classes differ.
 */
bool reply_parse(struct span s, struct reply *out_reply);

/* Reads "5.7.1" at the start of s; length read, or 0. RFC 3463. */
size_t status_parse(struct span s, struct status *out_status);

/* "554 5.7.1 text", one line, no line end; line breaks become " / ". */
void reply_print(struct buffer *b, const struct reply *r);
/* As sent on the wire, with "554-" continuation lines and CRLF. */
void reply_write(struct buffer *b, const struct reply *r);
/* "5.7.1" */
void status_print(struct buffer *b, struct status s);

#endif
