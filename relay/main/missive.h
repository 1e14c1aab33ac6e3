/*
 * missive - a message that a program of this machine submits: envelope and content.
 *
 *   input -> missive_read -> missive_gather (-t), missive_finish -> the sendmail socket
 *                                                                -> or a file of the drop folder
 *
 * The content has CRLF at the end of each line, and no line is stuffed. As a file it is
 *
 *   waypost-drop 1            lines end with LF here
 *   MAIL FROM:<a@b> BODY=8BITMIME
 *   RCPT TO:<c@d> NOTIFY=NEVER
 *   ...
 *   <empty line>
 *   content, to the end of the file
 *
 * RFC 5321 for the commands, RFC 5322 for the header.
 */
#ifndef WAYPOST_MISSIVE_H
#define WAYPOST_MISSIVE_H

#include "policy/vocabulary/arena.h"
#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/error.h"

enum missive_fate {
    MISSIVE_WAITS,                /* nobody was asked yet */
    MISSIVE_ACCEPTED,
    MISSIVE_PUT_OFF,              /* to be sent in a transaction of its own */
    MISSIVE_LATER,                /* 4xx */
    MISSIVE_REFUSED,              /* 5xx */
    MISSIVE_SENT,                 /* what it is in was accepted */
};

struct missive_recipient {
    struct span path;             /* "<c@d>" */
    struct span parameters;       /* " NOTIFY=NEVER", or empty */
    enum missive_fate fate;
    struct span reply;            /* "550 5.1.1 text" of the last who was asked */
};

struct missive {
    struct arena arena;           /* of all texts */
    struct span sender;           /* "<a@b>", "<joe>", "<>" */
    struct span parameters;       /* " RET=HDRS ENVID=x", or empty */
    struct missive_recipient *recipients; /* each once; heap */
    size_t count, room;
    struct buffer content;
};

void missive_init(struct missive *m);
void missive_fini(struct missive *m);

/* Reads all of fd; a dot alone ends it where dot_ends. Line ends of any kind become CRLF.
 * ERROR_TOO_BIG: more than `most` bytes. */
MUST int missive_read(struct missive *m, int fd, bool dot_ends, uint64_t most);

/* Addresses of a header field or an argument: "joe, Ann <ann@example.org>". False: it cannot be
 * read. parameters: of each of them. */
bool missive_add(struct missive *m, struct span list, struct span parameters);
/* Recipients of To, Cc and Bcc, or of their Resent- forms when there are any. False: a field
 * cannot be read. */
bool missive_gather(struct missive *m, struct span parameters);
/* "<...>" of a sender as it is given with -f; false: it is none. */
bool missive_set_sender(struct missive *m, struct span address);
/* What users do not see: Bcc goes, a line of mbox too; a header without From: gets one of
 * name and sender; and one that is none is parted from the body. */
void missive_finish(struct missive *m, struct span full_name);
/* Has it bytes over 127? */
bool missive_has_8bit(const struct missive *m);

/* With those recipients that it was not sent to yet. */
void missive_put_file(const struct missive *m, struct buffer *out);
/* Reads what a file holds. False: it is no such file. */
bool missive_read_file(struct missive *m, struct span bytes);

#endif
