/*
 * session - one client's SMTP dialogue, as an engine.
 *
 * Bytes in, bytes out; it never waits, reads a clock or touches a socket. Where it
 * needs something from outside it stops consuming input and says what it wants; the
 * answer sets it going again. RFC 5321, 1870, 2920, 3463, 6152, 6531, 2034, 3207, 4954,
 * 3030, 3461, 2852, 4865, 6710, 9422.
 *
 *   feed(bytes) -> output + wants            wants:
 *     SESSION_READS          more input
 *     SESSION_STARTS_TLS     send the output, shake hands, then session_secured
 *     SESSION_AUTHENTICATES  hand session_login to sasl.h, then session_authenticated
 *     SESSION_ASKS           find out what session_questions says, then session_answered
 *     SESSION_WAITS          nothing until session_deadline_ms, then session_timeout
 *     SESSION_STORES         the draft is a finished message: put it, then session_stored
 *     SESSION_TURNS          send the output, then the connection is the outbound side's,
 *                            with what world.turn put aside; the session is over
 *     SESSION_CLOSES         send the output, then close
 *
 * What may be trusted: nothing a client said before its grammar was checked; the draft
 * holds only accepted recipients.
 */
#ifndef WAYPOST_SESSION_H
#define WAYPOST_SESSION_H

#include "policy/destinies.h"
#include "policy/judge.h"
#include "policy/settings.h"
#include "policy/vocabulary/arena.h"
#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/envelope.h"
#include "relay/inbound/sasl.h"
#include "relay/net/tls.h"

enum session_wants {
    SESSION_READS, SESSION_STARTS_TLS, SESSION_AUTHENTICATES, SESSION_ASKS,
    SESSION_WAITS, SESSION_STORES, SESSION_TURNS, SESSION_CLOSES,
};

struct draft_recipient {
    struct address address;       /* completed ("postmaster" got its domain) */
    bool hold, discard;           /* a rule said so */
    unsigned notify;              /* of enum queue_notify's values; RFC 3461 */
    struct span orcpt;            /* "rfc822;a@b" decoded, or empty */
    const struct rule *rule;      /* that granted or discarded */
    struct verdict verdict;       /* all of it, in the draft's arena; zero of our postmaster */
    const struct verdict *at_content; /* with the message, in the arena; perhaps shared with
                                     others; NULL: no rule waited for it */
};

/*
 * A transaction. All spans live in its arena until session_stored or the end of the
 * session. Recipients are unique: an address given twice was accepted twice and stands
 * here once. Discarded ones are here too, marked; when all are, the draft is still to be
 * "stored" (the caller drops what is discarded) and its client hears a 250 with an id.
 */
struct draft {
    uint64_t id;                  /* given when DATA begins */
    struct envelope envelope;
    struct address sender;
    struct draft_recipient *recipients;
    size_t count;
    struct buffer content;        /* what of the content has not been taken away yet;
                                     begins with our Received: line, but where there is a
                                     head. The caller may take the malloc'ed memory,
                                     leaving an empty buffer */
    uint64_t taken_bytes;         /* content that the caller took away before its end */
    struct buffer head;           /* where rules may edit it: Received: line and header
                                     section, and content is what follows; else empty */
    uint32_t trace_bytes;         /* of our Received: line */
    uint64_t *parts;              /* variants.c's: hashes of what recipients ask for */
    size_t part_count;
    struct variants *variants;    /* when it is whole: the messages that it becomes, see
                                     variants.h; NULL: one, for all as they stand */
};

/* A refusal or another event worth a log line. */
enum session_event_kind {
    SESSION_CONNECTED, SESSION_MAIL_REFUSED, SESSION_RCPT_REFUSED,
    SESSION_DATA_REFUSED, SESSION_COMMAND_REFUSED, SESSION_CUT,
    SESSION_DISCONNECTED, SESSION_LOGIN, SESSION_LOGIN_FAILED,
    SESSION_RULE_SAID, SESSION_RULE_WOULD, /* a policy server's words, a rule in shadow mode;
                                              in `why` */
};
struct session_event {
    enum session_event_kind kind;
    const char *stage;            /* CONNECT, MAIL, RCPT, DATA, END-OF-DATA ... */
    struct reply reply;
    struct span sender, recipient;
    const struct rule *rule;      /* NULL when no rule did it */
    const char *mechanism;        /* SESSION_LOGIN, SESSION_LOGIN_FAILED: the one used */
    struct span login;            /* SESSION_LOGIN; a failed one is not told, since
                                     people type passwords there */
    struct span why;              /* SESSION_LOGIN_FAILED with 454: our trouble; of a
                                     recipient that the primary refused: its words; of who
                                     talked before the banner: what */
};

/* ETRN: whose mail is asked for, and what came of it. */
struct session_request {
    enum { REQUEST_DOMAIN, REQUEST_BELOW, REQUEST_QUEUE } kind;
    struct span name;             /* checked grammar */
};
enum session_release {
    RELEASE_STARTED,              /* 250 */
    RELEASE_NOTHING,              /* 251: nothing waits */
    RELEASE_CANNOT,               /* 458: it does not lead anywhere by itself */
    RELEASE_REFUSED,              /* 459: not for this client, or there is no such */
};

enum session_way {
    WAY_OPEN,
    WAY_NONE,                     /* 451 4.3.5: no route */
    WAY_FULL,                     /* 452 4.2.2: as much as may waits for that host */
};

/* ATRN and TURN: the mail for these domains is asked for, over this connection. */
struct session_turn {
    const struct span *domains;   /* folded; each is valid and stands once */
    size_t count;                 /* 0: all that the client may have */
};
enum session_turn_answer {
    TURN_BEGINS,                  /* 250; SESSION_TURNS follows */
    TURN_EMPTY,                   /* 453 */
    TURN_TAKEN,                   /* 450: another has it now, or a person suspended it */
    TURN_REFUSED,                 /* 450: one of them is not his */
    TURN_NOT_NOW,                 /* 451: our trouble */
    TURN_NEEDS_TLS,               /* 530: the route demands it */
};

/* Where a connection goes from and to. */
struct session_ends {
    uint16_t client_port, server_port; /* 0: not known */
    struct host_address server;   /* ours */
};

/* What an engine may ask for without stopping. All quick, none may call back in. */
struct session_world {
    uint64_t (*new_id)(void *user);
    /* Room for so many more bytes? false: 452 4.3.1. */
    bool (*has_room)(void *user, uint64_t bytes);
    /* May mail of so many bytes (0: not said) go there? */
    enum session_way (*way)(void *user, struct span sender,
                            const struct destiny *to, uint64_t bytes);
    /* May have the mail sent, when the client (of the facts) is one who may. */
    enum session_release (*release)(void *user, const struct session_request *r,
                                    const struct facts *facts);
    /* Puts the mail aside for this client, who has logged in. */
    enum session_turn_answer (*turn)(void *user, const struct session_turn *t,
                                     const struct facts *facts);
    /* Of this connection; stays as it is where that cannot be told. */
    void (*ends)(void *user, struct session_ends *out);
    /* To be remembered: of EFFECT_NOTE; key is "KIND\tKEY". */
    void (*note)(void *user, struct span key, struct span value, int64_t expire_ms);
    /* One line for the log; spans borrowed for the call. */
    void (*tell)(void *user, const struct session_event *e);
    void *user;
};

/* Who the client is, as far as it is known from outside: by its connection, a PROXY header
 * or XCLIENT. */
struct session_client {
    struct host_address address;
    struct span name;             /* "unknown" where not looked up; copied */
    uint64_t id;                  /* of the session, from queue_new_id: its name in the log */
    struct session **self;        /* set before the client is judged, so that it may be looked at
                                     when that is told; NULL: not wanted */
    unsigned mechanisms;          /* that can be verified now; see sasl_mechanisms */
    bool has_tls;                 /* there is a certificate for this listener */
    const struct srs_secrets *srs_secrets; /* for rules that rewrite; NULL: none; they outlive
                                              the session */
    struct span login;            /* of a user of this machine; copied */
    uint32_t uid;                 /* his number, where the listener is local */
    const struct tls_facts *tls;  /* TLS was there before the session was, borrowed as by
                                     session_secured; NULL: in clear */
};

struct session;

/*
 * settings are held (by count) until session_free, listener is one of theirs; world is
 * borrowed. The greeting is in the output at once, but where a rule has to ask first
 * (SESSION_ASKS), the listener has a greet-delay (it reads, to hear who talks too early), or the
 * handshake comes first. tell hears SESSION_CONNECTED from within session_new and
 * SESSION_DISCONNECTED from within session_free; nothing else is told without a call.
 */
struct session *session_new(struct settings *settings,
                            const struct listener_settings *listener,
                            const struct session_client *client,
                            const struct session_world *world, int64_t now_ms);
void session_free(struct session *s);

/*
 * The handshake is done. facts are borrowed until session_free. What was said before it is
 * forgotten (RFC 3207 4.2); on an implicit listener the greeting follows.
 */
void session_secured(struct session *s, const struct tls_facts *facts,
                     int64_t now_ms);

/* SESSION_AUTHENTICATES: the step to be taken. */
struct session_login {
    bool begins;                  /* of a new exchange; what there was is dropped */
    unsigned mechanism, offered;  /* of enum mechanism */
    bool has_response;
    struct span response;         /* decoded; wiped by session_authenticated */
};
const struct session_login *session_login(const struct session *s);
void session_authenticated(struct session *s, const struct sasl_result *r,
                           int64_t now_ms);

/*
 * Consumes input; answers how many bytes were taken. Fewer than given means it wants
 * something first; the rest is to be fed again after the answer. Input may be cut
 * anywhere. now_ms: wall clock.
 */
size_t session_feed(struct session *s, struct span in, int64_t now_ms);
/* Had the input of the latest call some of a login in it? Then it is to be wiped. */
bool session_heard_login(const struct session *s);
enum session_wants session_wants(const struct session *s);
/* Bytes to be sent; the caller clears what it took (buffer_fini when that was all, so
 * that an idle session holds no memory). */
struct buffer *session_output(struct session *s);

/* The client has shut its writing side. To be called when all that was read has been
 * fed. Before the final dot nothing is kept; while STORING the answer still comes, and
 * the session closes behind it. */
void session_end_of_input(struct session *s, int64_t now_ms);
/* When session_timeout must be called (it does nothing when called early); INT64_MAX:
 * never (while it waits for us without end, and when it closes). A command must be whole within
 * limits.silence_ms; content has a purse of at most silence_ms, filled by each byte with
 * what it may take at limits.data_rate. */
int64_t session_deadline_ms(const struct session *s);
void session_timeout(struct session *s, int64_t now_ms);
/* Why a session ends though its client did nothing. */
enum session_end {
    SESSION_GOES_ON,
    SESSION_GOING_DOWN, /* the relay: 421 4.3.2 */
    SESSION_LOGIN_OVER, /* what it logged in by is no longer so: 421 4.7.0 */
};
/* The client is told as soon as it would read a command; at once when idle or in the middle of
 * DATA. */
void session_shut_down(struct session *s, enum session_end why, int64_t now_ms);

/* SESSION_ASKS: what is to be found out; borrowed until session_answered. For each an answer
 * is put into session_evidence (or nothing, which counts as EVIDENCE_FAILED), then
 * session_answered; the command goes on, and may ask more. What was not consumed is to be
 * fed again. It waits 30 s at most for one command: session_deadline_ms. */
const struct evidence_question *session_questions(const struct session *s,
                                                  size_t *out_count);
struct evidence *session_evidence(struct session *s);
void session_answered(struct session *s, int64_t now_ms);
/* What it goes by: rules of questions, and routes that they name, are of these. */
struct settings *session_settings(const struct session *s);

/* The message that is being received or wants to be stored; NULL outside DATA. When it is
 * gone, or has another id, without SESSION_STORES, the former one was refused or cut off:
 * what was taken of its content is to be thrown away. */
struct draft *session_draft(struct session *s);
/* Is it in the middle of content, or between two chunks of it? Then the caller may move
 * draft->content away when it grows over CONTENT_SMALL, counting it in taken_bytes. Not so
 * while the header section is held back to be completed (limits.header_bytes at most). */
bool session_in_content(const struct session *s);
/* The answer to SESSION_STORES: 0, or an error from the queue. Then what was not consumed
 * is to be fed again. */
void session_stored(struct session *s, int rc, int64_t now_ms);
/* Takes new settings for the next transaction (a reload). The old ones are released. */
void session_reload(struct session *s, struct settings *settings,
                    const struct listener_settings *listener);
/* For the log: "EHLO", "DATA" ...: what it was doing; and counts. */
const char *session_stage(const struct session *s);
uint32_t session_messages(const struct session *s);
/* MAIL commands, whatever came of them. */
uint32_t session_mails(const struct session *s);
uint32_t session_commands(const struct session *s);
/* Whom rules and log see: XCLIENT may have changed it. */
const struct host_address *session_client(const struct session *s);
struct span session_client_name(const struct session *s);
/* "ESMTPS", as in Received. */
struct span session_said_protocol(const struct session *s);
struct span session_helo(const struct session *s);
/* How it came, for the history. */
struct session_circumstances {
    struct span login, listener;
    uint64_t size_bytes;          /* declared in MAIL; 0: not, or there is none */
};
/* tls: "TLSv1.3 256 FINGERPRINT NAME" is appended, as far as there is any. */
struct session_circumstances
session_circumstances(const struct session *s, struct buffer *tls);
/* What the log and replies call it: 13 characters. */
struct span session_name(const struct session *s);

#endif
