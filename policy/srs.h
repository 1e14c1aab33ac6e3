/*
 * srs - the sender as one of ours, so that SPF holds where mail is forwarded to.
 *
 *   joe@a.example                       -> SRS0=HHHH=TT=a.example=joe@ours
 *   SRS0=xxxx=yy=a.example=joe@b.example -> SRS1=HHHH=b.example==xxxx=yy=a.example=joe@ours
 *   SRS1=xxxx=b.example==...@c.example  -> SRS1=HHHH=b.example==...@ours
 *
 * and back, for reports: SRS0 to the first sender, SRS1 to who made the SRS0. TT is the day,
 * HHHH a keyed hash: nobody but us can make one, and after three weeks ours are no longer
 * taken. The same on the wire as libsrs2 and postsrsd (HMAC-SHA1, base64, all in lower case),
 * so mail that one of these sent out still finds back with the same secret.
 *
 * Pure: secrets, time and the hash are parameters.
 */
#ifndef WAYPOST_SRS_H
#define WAYPOST_SRS_H

#include "policy/vocabulary/address.h"

enum { SRS_DAYS = 21, SRS_SECRET_LEAST = 8, SRS_HASH = 20 };

/* Never part of the settings: read from `srs-secret-file` by who reads files, one a line. */
struct srs_secrets {
    const struct span *all;   /* the first one signs, each is believed */
    size_t count;             /* at least one */
    /* HMAC-SHA1 of a text, RFC 2104; here is no cryptography. */
    void (*hmac)(struct span secret, struct span text,
                 unsigned char out_hash[SRS_HASH]);
};

enum srs_answer {
    SRS_SAME,                 /* the null sender, one of ours already, too long to be carried
                                 in a local part; or no SRS address of ours */
    SRS_CHANGED,
    SRS_REFUSED,              /* back: nobody here made it, or too long ago */
};

/* ours: a folded domain. A new address is appended to out. */
enum srs_answer srs_forward(const struct srs_secrets *secrets, struct span ours,
                            const struct address *sender, int64_t now_ms,
                            struct buffer *out);
enum srs_answer srs_back(const struct srs_secrets *secrets, struct span ours,
                         const struct address *recipient, int64_t now_ms,
                         struct buffer *out);

#endif
