/*
 * answer - a next hop's bytes, cut into replies.
 *
 * Pure. Only what RFC 5321 4.2 calls a reply is one: three digits from 200 to
 * 599, then a space, a hyphen or nothing, lines ended by CRLF, continuation
 * lines with the same code. Everything else is ANSWER_BROKEN at once, and so is
 * a reply over LIMIT_REPLY_BYTES or LIMIT_REPLY_LINES. How the bytes were split
 * into reads makes no difference.
 */
#ifndef WAYPOST_ANSWER_H
#define WAYPOST_ANSWER_H

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/reply.h"

enum answer_said {
    ANSWER_MORE, /* all of the input taken, no reply is complete */
    ANSWER_REPLY,
    ANSWER_BROKEN, /* nothing after this can be trusted */
};

/* Zeroed: nothing read yet, no memory taken. */
struct answer {
    struct buffer line;   /* the beginning of an unfinished line */
    struct buffer text;   /* lines of the reply so far, '\n' between them */
    struct status status; /* of its first line; class 0: none */
    short code;           /* of its first line; 0: at the start of a reply */
    size_t bytes, lines;  /* of it so far, without the unfinished line */
    bool is_complete;     /* it was handed out: the next call starts over */
};

/*
 * Takes at most one reply from the front of *in. out_reply is set for
 * ANSWER_REPLY, its text raw but for the codes, valid until the next call and
 * while the input is. For ANSWER_BROKEN its text says what is wrong, in our
 * words and escaped.
 */
enum answer_said answer_read(struct answer *a, struct span *in,
                             struct reply *out_reply);
/* Memory given back; a reply that was not complete is forgotten. */
void answer_fini(struct answer *a);

#endif
