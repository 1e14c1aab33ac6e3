/*
 * maildir_copy - one message, written into one maildir.
 *
 *   open --> tmp/NAME --put ... put--> close: fsync, rename to new/NAME, fsync of new
 *     |                   |              |
 *     v                   v              v
 *   no such user        trouble: what is in tmp is removed
 *
 * As Postfix writes it: Return-Path and Delivered-To in front, line ends LF, mode 0600, owned
 * by the process. Where a user's folder is there, the maildir in it is made. Only when close
 * has said yes is the copy durable; what was cut off before is in tmp alone, where readers do
 * not look. maildir(5).
 *
 * Everything here blocks: not for a loop's thread.
 */
#ifndef WAYPOST_MAILDIR_COPY_H
#define WAYPOST_MAILDIR_COPY_H

#include "policy/vocabulary/reply.h"

struct maildir_letter {
    struct span path;      /* the template, see maildir_path.h */
    struct span recipient; /* whose copy it is */
    struct span sender;    /* empty: <> */
    struct span hostname;  /* ours: part of the file's name */
    uint64_t id;           /* of the message */
};

enum maildir_state {
    MAILDIR_NONE, /* nothing is open */
    MAILDIR_OPEN,
    MAILDIR_DONE,    /* it is in new, and durable */
    MAILDIR_NO_USER, /* for good */
    MAILDIR_TROUBLE, /* our own: later */
};

struct maildir_copy {
    enum maildir_state state;
    int tmp_fd, new_fd, fd;
    struct buffer name;   /* in tmp */
    struct buffer out;    /* on its way to the file */
    struct span hostname; /* borrowed while it is open */
    bool has_cr;         /* the latest byte was a CR: what follows it decides */
    bool is_in_box;      /* trouble is this user's, not everybody's */
    int rc;              /* TROUBLE: why */
    struct buffer doing; /* TROUBLE: at what */
};

/* For a zeroed struct. False: state says why. Spans are borrowed until it is closed. */
bool maildir_copy_open(struct maildir_copy *c, const struct maildir_letter *l);
/* The next bytes, in lines that end with CRLF. */
bool maildir_copy_put(struct maildir_copy *c, struct span bytes);
/* That was all. */
bool maildir_copy_close(struct maildir_copy *c);
/* Nothing stays of what was not closed; the struct is zeroed. */
void maildir_copy_fini(struct maildir_copy *c);

/* TROUBLE, in a status (class 4) and words. */
struct status maildir_copy_status(const struct maildir_copy *c);
void maildir_copy_words(const struct maildir_copy *c, struct buffer *out);

#endif
