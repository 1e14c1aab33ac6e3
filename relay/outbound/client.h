/*
 * client - our dialogue with a next hop, as an engine.
 *
 * Bytes in, bytes out, no socket, no clock. One client is one connection; it carries
 * one transaction after the other. RFC 5321, 1870, 2920, 6152, 6531, 3207, 4954, 3030,
 * 3461, 2852, 6710, 9422, 2033 (LMTP), 2645 (ATRN, the customer's side).
 *
 *   CLIENT_STARTS_TLS  STARTTLS was answered 220, or the connection begins so (smtps): shake
 *                   hands, then client_secured or client_tls_failed; what the peer said
 *                   before (EHLO's answer included) is forgotten, and nothing that it says
 *                   in clear text now may be fed: it would be a break of the protocol
 *   CLIENT_READS    wants replies (or the connection to be closed by the peer)
 *   CLIENT_FREE     greeted and idle: client_start may be called
 *   CLIENT_SENDS    wants content: client_content with the next bytes
 *   CLIENT_DONE     outcomes are ready: read them, then client_next
 *   CLIENT_TURNED   ATRN was answered 250: the peer is the client from now on, and this
 *                   engine has nothing more to say
 *   CLIENT_CLOSES   nothing more can be done here: send the output, then close
 *
 * Pipelined where offered: MAIL, RCPT..., DATA in one write (never the body before the
 * 354). When every recipient was refused and DATA got 354 all the same, a lone dot is
 * sent and its reply disregarded. Where CHUNKING is used the body goes as BDAT, each
 * client_content a chunk. Delivered means: all of the body was handed over before that
 * 250 was read. STARTTLS and AUTH stand alone; what is not allowed in clear text is not
 * said in it.
 *
 * Times are milliseconds since the epoch (BY= is what is left until a point in time).
 */
#ifndef WAYPOST_CLIENT_H
#define WAYPOST_CLIENT_H

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/envelope.h"
#include "policy/vocabulary/limits.h"
#include "policy/vocabulary/reply.h"
#include "relay/net/tls.h"

enum client_wants {
    CLIENT_READS, CLIENT_STARTS_TLS, CLIENT_COMPUTES, CLIENT_FREE, CLIENT_SENDS,
    CLIENT_DONE, CLIENT_TURNED, CLIENT_CLOSES,
};

/* What kind of trouble a reply is: judged in one place, diagnosis.c. */
enum diagnosis {
    DIAGNOSIS_DELIVERED,
    DIAGNOSIS_LATER,          /* this recipient (or message) again later */
    DIAGNOSIS_OTHER_HOST,     /* the session's trouble: another MX now, else later */
    DIAGNOSIS_FAILED,         /* for good */
    DIAGNOSIS_AGAIN_NOW,      /* not refused, only not taken in this transaction (452
                                 after some were accepted) or on this connection (4xx to
                                 MAIL after it took another's): send the rest again */
    DIAGNOSIS_IN_DOUBT,       /* connection lost after the final dot: later */
};

struct client_outcome {
    enum diagnosis diagnosis;
    struct status status;     /* 4.4.2, 5.1.1 ... never of class 0 */
    struct span reply;        /* cleaned, one line, at most LIMIT_REPLY_STORED: "550
                                 5.1.1 no such user (in reply to RCPT TO command)";
                                 valid until client_next */
    bool dsn_passed;          /* DELIVERED: NOTIFY went with it, the peer reports now */
    bool by_passed;           /* DELIVERED: BY went with the message; RFC 2852 */
};

struct client_recipient {
    struct span address;
    unsigned notify;          /* of enum queue_notify's values; 0: not given */
    struct span orcpt;        /* "rfc822;a@b", not encoded; or empty */
};

struct client_transaction {
    const struct envelope *envelope;
    struct span sender;       /* VERP's reverse-path; at == NULL: the envelope's */
    const struct client_recipient *recipients;
    size_t count;             /* 1 to client_recipients_most */
    bool may_convert;         /* content the peer cannot take may be re-encoded: see
                                 client_form */
    bool only_asks;           /* no mail: over after RCPT. DELIVERED: it would be taken;
                                 FAILED: 5xx to RCPT, and nothing else is */
};

/* In which form the content is to be handed over. */
enum client_form { CLIENT_FORM_ORIGINAL, CLIENT_FORM_7BIT };

struct client_timeouts {      /* ms; behaviour of RFC 5321 4.5.3.2 by default */
    int64_t greeting, helo, mail, rcpt, data, block, dot, quit;
    int64_t handshake;        /* from CLIENT_STARTS_TLS to client_secured */
};
extern const struct client_timeouts client_timeouts_default;

struct witness;

enum client_tls { CLIENT_TLS_NEVER, CLIENT_TLS_IF_OFFERED, CLIENT_TLS_MUST };

/* Spans are copied; the secret is wiped when it was used. */
struct client_options {
    struct span hostname;
    const struct client_timeouts *timeouts;
    bool is_lmtp;             /* LHLO; a reply for each recipient after the content */
    enum client_tls tls;
    bool begins_secured;      /* smtps: CLIENT_STARTS_TLS first, then the greeting */
    bool chunking;            /* BDAT where offered */
    struct span login;        /* empty: no login, unless EXTERNAL is the one mechanism
                                 and the certificate says who we are. MUST log in else:
                                 4.7.8 when it cannot */
    struct span secret;       /* password, or a bearer token */
    bool secret_is_token;
    unsigned mechanisms;      /* of enum mechanism, that may be used; 0: all that the
                                 secret fits (EXTERNAL: where there is none) */
    bool login_without_tls;   /* the route says tls = none */
    struct span host;         /* the next hop's name, for OAUTHBEARER and gsasl */
    uint16_t port;
    bool xforward;            /* XFORWARD before each MAIL, where offered */
    bool is_only;             /* there is no other connection to this peer */
    const struct witness *witness; /* see witness.h; NULL: nobody looks on */
};

struct client;
struct login;

struct client *client_new(const struct client_options *o, int64_t now_ms);
void client_free(struct client *c);

/* Answers how much was read: all of it, but where CLIENT_TURNED stops it. What is left is
 * then said to whoever is the server now. */
size_t client_feed(struct client *c, struct span in, int64_t now_ms);
enum client_wants client_wants(const struct client *c);
/* To be sent; the caller clears what it took. */
struct buffer *client_output(struct client *c);
/* Bytes of ours have left: the block timer starts anew. */
void client_sent(struct client *c, int64_t now_ms);

/* The handshake is done (facts borrowed for the connection's life). */
void client_secured(struct client *c, const struct tls_facts *facts,
                    int64_t now_ms);
/* It failed: why in words; is_trust: because of the certificate (4.7.5). */
void client_tls_failed(struct client *c, struct span why, bool is_trust,
                       int64_t now_ms);
/* CLIENT_COMPUTES: the login that login_compute is due for, on a thread of its own, since that
 * takes long. It is the caller's until client_computed or login_free. NULL: it was taken. */
struct login *client_take_login(struct client *c);
/* It is done. Where the client has stopped waiting it is freed and that is all. */
void client_computed(struct client *c, struct login *take_l, int64_t now_ms);
/* STARTTLS was not offered though it is a must, or was not answered as it should be (the
 * trouble then is 4.7.4), or the handshake failed: worth another connection in clear where
 * that is allowed. Never of smtps. With CLIENT_TLS_IF_OFFERED a peer that refuses STARTTLS
 * and is intact is talked to in clear on the same connection, and that is no trouble. */
bool client_tls_was_the_trouble(const struct client *c);
/* The peer refused our login for good, does not prove that it knows us (SCRAM), or offers
 * no way that we have: the trouble is 4.7.8. */
bool client_login_was_refused(const struct client *c);
/* It offers CHUNKING, but BDAT was 500, 502 or 503: the outcomes are AGAIN_NOW, and another
 * connection to this host wants options.chunking = false. */
bool client_chunking_was_refused(const struct client *c);

/* Only when CLIENT_FREE: the next route thinks otherwise of these options. */
void client_adapt(struct client *c, bool chunking, bool xforward);
/* Only when CLIENT_FREE. Borrowed until client_next. What the peer cannot take (SIZE,
 * SMTPUTF8, 8BITMIME, DELIVERBY mode R) is CLIENT_DONE without a byte sent. */
void client_start(struct client *c, const struct client_transaction *t,
                  int64_t now_ms);
/* From client_start on: what client_content is to be given. */
enum client_form client_form(const struct client *c);
/* The next content bytes, as a BDAT chunk or dot-stuffed into the output (CRLF added where
 * the last is missing); last: the final dot is put behind them, in the same output. Where the
 * client wants none any more (a chunk was refused meanwhile) they are disregarded. */
void client_content(struct client *c, struct span bytes, bool last,
                    int64_t now_ms);
/* The content cannot be read: the connection is dropped before its end (BDAT: RSET). */
void client_content_failed(struct client *c, int64_t now_ms);
/* The same, for a reason that every recipient gets (it cannot be converted, say); the words
 * are copied. */
void client_content_refused(struct client *c, const struct client_outcome *o,
                            int64_t now_ms);
/* Outcomes, one for each recipient. */
const struct client_outcome *client_outcomes(const struct client *c);
/* After the outcomes were read: sends RSET where one is needed. FREE, READS or CLOSES. */
void client_next(struct client *c, int64_t now_ms);

/* ATRN with these domains (none: all of the login's), instead of a transaction. Only when
 * CLIENT_FREE and logged in. CLIENT_TURNED follows, or CLIENT_CLOSES: see client_trouble. */
void client_turn(struct client *c, const struct span *domains, size_t count,
                 int64_t now_ms);
/* What ATRN was answered: 250, 453 (there is no mail) ...; 0: it was not. */
short client_turn_code(const struct client *c);

/* QUIT and wait for 221 a moment. Only when CLIENT_FREE. */
void client_quit(struct client *c, int64_t now_ms);
/* The connection is gone, or could not be made: reason "Connection refused" ... Every open
 * transaction is CLIENT_DONE, then CLIENT_CLOSES. */
void client_lost(struct client *c, struct span reason, int64_t now_ms);
/* Is what was said last part of a login, not to be shown? */
bool client_is_logging_in(const struct client *c);
int64_t client_deadline_ms(const struct client *c);
void client_timeout(struct client *c, int64_t now_ms);

/* Has it once been free (EHLO or HELO answered 2xx, secured and logged in as the options
 * demand)? Until then trouble is the destination's: see client_trouble. */
bool client_is_greeted(const struct client *c);
/* Past the final dot or BDAT LAST, waiting for its reply: must not be cut when going down. */
bool client_is_past_dot(const struct client *c);
/* Why it wants to close before it was greeted (as an outcome), or why it closed. A status
 * of class 0: there was no trouble. Valid as long as the client. */
const struct client_outcome *client_trouble(const struct client *c);
uint32_t client_recipients_most(const struct client *c);
/* How many of these, from the first, may be in one transaction: also the peer's limit of
 * distinct domains is obeyed (RFC 9422 RCPTDOMAINMAX). At least one. */
size_t client_recipients_fit(const struct client *c,
                             const struct client_recipient *all, size_t count);
/* What was said on the way to the outcomes, or to the trouble: "> MAIL ...\n< 250 ...\n", but
 * no content and no secret; see tape.h. */
void client_dialogue(const struct client *c, struct buffer *out);

#endif
