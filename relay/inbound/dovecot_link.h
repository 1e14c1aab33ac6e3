/*
 * dovecot_link - one connection to Dovecot's authentication socket.
 *
 * Lines out, lines in, each call until a given time. Both sides begin with a handshake, in
 * which Dovecot says what it offers.
 */
#ifndef WAYPOST_DOVECOT_LINK_H
#define WAYPOST_DOVECOT_LINK_H

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/error.h"

struct dovecot_link {
    struct dovecot_link *next; /* that is free; for who keeps it */
    int fd;
    unsigned id;               /* of the latest exchange; 0: none yet */
    struct buffer in;
    size_t taken;              /* of it: lines that were read */
};

/* Monotonic ms, the clock of all until_ms. */
int64_t dovecot_link_now_ms(void);

/* out_mechanisms: what it offers, of enum mechanism. */
MUST int dovecot_link_open(const char *path, int64_t until_ms,
                           struct dovecot_link **out_link,
                           unsigned *out_mechanisms);
/* Closes it; NULL is fine. */
void dovecot_link_close(struct dovecot_link *take_link);

/* ERROR_GONE: Dovecot has closed it. */
MUST int dovecot_link_send(struct dovecot_link *k, struct span s,
                           int64_t until_ms);
/* The next line, without its end; good until the next call. */
MUST int dovecot_link_read(struct dovecot_link *k, int64_t until_ms,
                           struct span *out_line);

#endif
