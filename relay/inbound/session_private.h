/*
 * session_private - what the files of the inbound session share.
 *
 * session.c           life, input, deadlines, and the one function that moves
 *                     the state
 * session_facts.c     what policy is told
 * session_line.c      command lines out of a stream of bytes
 * session_verbs.c     the verb table, its dispatcher, verbs without a mail
 * session_hello.c     HELO and EHLO, and the table of what is offered
 * session_mail.c      MAIL: sender and terms
 * session_rcpt.c      RCPT: recipients
 * session_verify.c    are they known where their mail leads?
 * session_consult.c   a command that asks: state CONSULTING
 * session_stages.c    what rules say of who has no recipient yet; the banner;
 *                     states WAITING and DENIED
 * session_effects.c   notes, remarks and charges that rules leave
 * session_data.c      DATA: the content, and the answer after the queue's
 * session_chunk.c     BDAT: the content in chunks
 * session_header.c    the header section, where it is completed or looked at
 * session_judge.c     the rules that waited for the message
 * session_tls.c       STARTTLS
 * session_auth.c      AUTH; its states LOGIN, ASKING and PAUSING
 * session_trust.c     XCLIENT and XFORWARD
 * session_etrn.c      ETRN
 * session_atrn.c      ATRN and TURN
 *
 *   GREETING --EHLO--> READY --MAIL--> MAIL --RCPT--> RCPT --DATA--> CONTENT
 *                      ^ ^ ^            |              |             |  |
 *                      | | +-RSET, EHLO-+--------------+             |  | dot
 *                      | +---------------- refused ------------------+  v
 *                      +---------------- answered -----------------STORING
 *
 *   RCPT --BDAT--> CHUNK <--BDAT, its end--> CHUNKS     CHUNK --LAST--> STORING
 *   READY, MAIL, RCPT --STARTTLS--> SECURING --session_secured--> GREETING
 *   (implicit) -------------------> SECURING
 *   READY --AUTH--> ASKING <--> LOGIN, then READY, or PAUSING and READY
 *   GREETING, READY --XCLIENT--> GREETING
 *   READY --ATRN--> TURNING
 *   any of commands --BDAT, refused--> SKIPPING, then back or READY
 *   any of commands --asks--> CONSULTING, then where the command leads
 *   GREETING --greet-delay--> WAITING --> GREETING
 *   GREETING --not wanted--> DENIED
 *
 * and from each of them to CLOSING. GREETING: nothing is known of the client
 * but its address. READY: it has a name, which proves nothing, and perhaps a
 * login, which was checked. MAIL, RCPT: the draft's sender (and recipients)
 * were checked. CONTENT, CHUNK, CHUNKS (between two chunks): there is an id.
 * SKIPPING: a chunk that nobody wants goes by. STORING: the draft is whole and
 * belongs to the caller until session_stored. SECURING: the bytes are TLS's.
 * LOGIN: the next line is a response. ASKING: somebody else looks at it.
 * PAUSING: a wrong login waits for its answer. TURNING: the 250 is on its way,
 * then the connection is somebody else's. CONSULTING: what a
 * command needs to know is being found out; all that was trusted before still is. WAITING:
 * the banner was not said yet, and nothing is to be heard. DENIED: it said no.
 */
#ifndef WAYPOST_SESSION_PRIVATE_H
#define WAYPOST_SESSION_PRIVATE_H

#include "policy/mailbox.h"
#include "policy/vocabulary/id.h"
#include "relay/inbound/content.h"
#include "relay/inbound/parameters.h"
#include "relay/inbound/session.h"

enum session_state {
    AT_GREETING,
    AT_READY,
    AT_MAIL,
    AT_RCPT,
    AT_CONTENT,
    AT_CHUNK,
    AT_CHUNKS,
    AT_SKIPPING,
    AT_STORING,
    AT_CLOSING,
    AT_SECURING,
    AT_LOGIN,
    AT_ASKING,
    AT_PAUSING,
    AT_TURNING,
    AT_CONSULTING,
    AT_WAITING,
    AT_DENIED,
};

#define IN(state) (1u << AT_##state)

enum {
    SESSION_HELO_KEPT = 255,        /* of what a client calls itself */
    SESSION_LINE_FLOOD = 64 * 1024, /* without a line end: no SMTP client */
    SESSION_ECHO_MOST = 256,        /* of an argument, in a reply */
};

struct session_auth;
struct session_forward;
struct consultation;

struct session {
    enum session_state state; /* changed by session_move alone */
    bool extended;            /* EHLO, not HELO */
    bool input_ended;         /* while STORING: close after the answer */
    enum session_end end;     /* while STORING: 421 after the answer */
    int64_t hello_ms;         /* when it said EHLO or HELO */

    struct settings *settings; /* held */
    const struct listener_settings *listener;
    struct settings *next_settings; /* held; taken when no mail is under way */
    const struct listener_settings *next_listener;
    const struct session_world *world;

    struct host_address client;
    struct host_address peer; /* the same before any XCLIENT */
    struct span client_text, client_name, helo; /* own heap copies */
    struct span login;           /* the same; empty: not logged in */
    const char *mechanism;       /* of it; a literal, or NULL */
    const struct tls_facts *tls; /* borrowed; NULL: in clear */
    const struct srs_secrets *srs_secrets; /* NULL: none */
    unsigned mechanisms;         /* that could be verified */
    struct session_ends ends;    /* where the connection goes, */
    bool has_ends;               /* when that is known */
    struct id_text name;         /* for the log */
    bool has_tls;                /* STARTTLS would succeed */
    bool is_helo_told;           /* helo is by XCLIENT: EHLO does not change it */
    bool is_login_told;          /* login is by XCLIENT, not by AUTH */
    bool is_on_behalf;           /* XCLIENT: the certificate is another's */
    bool skips_login;            /* while skipping: the line is AUTH's */
    bool heard_login;            /* in the input of this session_feed */
    uint32_t login_failures;
    uint32_t uid;                /* of the user, on a local listener */
    struct session_auth *auth;       /* only while one is under way */
    struct session_forward *forward; /* by XFORWARD, for the next transaction */
    struct consultation *consultation; /* only while a command asks */
    struct evidence *evidence;         /* NULL: nothing was answered yet */

    struct buffer output;
    struct buffer line; /* a command line that has not ended yet */
    size_t skipped;     /* bytes of a line that is too long; 0: none */
    int64_t deadline_ms;
    int64_t greet_ms; /* not before then; 0: at once */
    const char *stage; /* verb at hand, a literal */

    uint32_t errors; /* since the last accepted message */
    uint32_t junk;   /* the same, of commands without a mail */
    uint32_t mails, messages, commands;

    struct arena arena; /* of the draft */
    struct draft draft;
    uint32_t *recipient_hashes; /* beside draft.recipients, same room */
    size_t recipient_room;
    uint32_t refused_recipients;
    uint64_t declared_bytes; /* SIZE= */
    struct content *content; /* only while in it */
    struct digest *digest;   /* of it, where rules ask for it; else NULL */
    bool keeps_head;         /* rules may edit it: it goes to draft.head */
    bool holds_header;       /* the draft's content still begins with all of it */
    bool is_chunked;         /* it comes by BDAT */
    bool bad_author;         /* From: is not the login's */

    struct {
        uint64_t left;  /* of the chunk at hand */
        uint64_t size;  /* of it */
        uint64_t total; /* of all whole ones of the draft */
        bool is_last;
        bool drops_mail;            /* with the refusal the draft is gone */
        enum session_state back;    /* from SKIPPING */
        const struct reply *refusal; /* what is said then; static */
    } chunk;
};

/* session.c */
void session_move(struct session *s, enum session_state next);
/* A positive reply, whole lines with their ends left out of the last. */
void session_say(struct session *s, struct span line);
/* Says no, counts it, and tells the world; too many end the session. */
void session_refuse(struct session *s, enum session_event_kind kind,
                    const struct reply *reply);
void session_refuse_for(struct session *s, enum session_event_kind kind,
                        const struct reply *reply, struct span sender,
                        struct span recipient, const struct rule *rule);
/* The same, for one who has more to tell. */
void session_refuse_as(struct session *s, const struct session_event *e);
/* Says why and closes; reply is 221, 4xx or 5xx. */
void session_hang_up(struct session *s, const struct reply *reply);
/* "HOST text" as our 421 lines have it. */
void session_hang_up_as_host(struct session *s, struct reply reply);
void session_count_error(struct session *s);
/* CLOSING, with what was said so far; nobody is told more. */
void session_end(struct session *s);
/* What it called itself and its login: not known any more. */
void session_forget_client(struct session *s);
/* The transaction is over, whatever came of it; new settings are taken. */
void session_reset(struct session *s);

/* session_facts.c */
/* What is known of the client, for policy: no mail, no time. */
struct facts session_facts(const struct session *s);
/* All that is known at this stage but for the recipient and the message itself; borrowed from
 * the session and the draft's arena. */
struct facts session_facts_at(struct session *s, enum stage stage,
                              int64_t now_ms);
/* From now on s->ends are known. */
void session_ends(struct session *s);

/* session_stages.c */
/* The client is judged, then greeted, or not, perhaps later. */
void session_begin(struct session *s, int64_t now_ms);
/* The same with another client on the same connection: it has waited. */
void session_begin_again(struct session *s, int64_t now_ms);
/* OPEN, ASKS (session_consult is the caller's), or REJECT and DEFER with the reply's text as
 * it is to be sent. At HELLO and SENDER s knows what is to be judged. */
struct verdict session_judge(struct session *s, enum stage stage,
                             int64_t now_ms);
/* The verdict's reply with its %{names} expanded, in the draft's arena. */
struct reply session_verdict_reply(struct session *s, const struct verdict *v,
                                   const struct facts *facts);
/* AT_WAITING: the time is over; or there was input, which it should not be. */
void session_waited(struct session *s, int64_t now_ms);
size_t session_waits_feed(struct session *s, struct span in);
/* AT_DENIED: a command that is not QUIT. */
void session_denied(struct session *s);

/* session_effects.c */
/* What is to be remembered, whatever the verdict is. */
void session_effects_note(struct session *s, const struct verdict *v);
/* What the log is told of a verdict that is obeyed now; recipient may be empty. */
void session_effects_remark(struct session *s, struct span recipient,
                            const struct verdict *v);
/* Both. told: whose were told just before; the same verdict is not told twice. */
void session_effects_tell(struct session *s, const struct address *recipient,
                          const struct verdict *v, const struct verdict *told);
/* What is to be taken before it is accepted, as questions in the draft's arena; 0: nothing. */
size_t session_effects_charges(struct session *s, const struct verdict *v,
                               const struct evidence_question **out_all);
/* ... and what came of it; asked once. */
enum session_charged {
    CHARGED,
    CHARGED_OVER, /* another was faster: to be judged again */
    CHARGED_NOT,  /* our trouble: 451 */
};
enum session_charged session_effects_charged(struct session *s,
                                             const struct verdict *v);

/* session_line.c: consumes at least one byte. *out_has: a line is complete; it
 * borrows from in or from s->line, until session_line_done. */
size_t session_line_take(struct session *s, struct span in, int64_t now_ms,
                         struct span *out_line, bool *out_has);
void session_line_done(struct session *s);

/* session_verbs.c; behind: input was already read behind this line */
void session_verbs_run(struct session *s, struct span line, bool behind,
                       int64_t now_ms);

/* What a verb is given. */
struct verb_call {
    struct span argument;
    bool behind;
    int64_t now_ms;
};
typedef void session_verb_fn(struct session *s, const struct verb_call *call);

/* session_hello.c */
session_verb_fn session_helo_alone, session_ehlo;
/* "ESMTPSA", as in a Received: line; RFC 3848, RFC 6531. */
struct span session_protocol(const struct session *s, bool smtputf8);

/* session_etrn.c */
session_verb_fn session_etrn;
bool session_etrn_is_offered(const struct session *s);

/* session_atrn.c: ATRN, and TURN, which takes no argument */
session_verb_fn session_atrn;
bool session_atrn_is_offered(const struct session *s);

/* session_tls.c */
session_verb_fn session_tls_begin;
/* The client's own certificate: "sha256:HEX", or empty. */
struct span session_certificate(const struct session *s);
bool session_tls_is_offered(const struct session *s);
/* The handshake is next. */
void session_tls_wait(struct session *s, int64_t now_ms);

/* session_auth.c */
session_verb_fn session_auth_begin;
bool session_auth_is_offered(const struct session *s);
void session_auth_put_mechanisms(const struct session *s, struct buffer *b);
/* AT_LOGIN: a response, or one that was too long (or an AUTH that was). */
void session_auth_line(struct session *s, struct span line);
void session_auth_too_long(struct session *s);
/* AT_PAUSING, and the time is over. */
void session_auth_paused(struct session *s, int64_t now_ms);
void session_auth_drop(struct session *s);

/* session_trust.c */
session_verb_fn session_trust_xclient, session_trust_xforward;
bool session_trust_has_xclient(const struct session *s);
bool session_trust_has_xforward(const struct session *s);
void session_trust_put_xclient(const struct session *s, struct buffer *b);
void session_trust_put_xforward(const struct session *s, struct buffer *b);
/* Who the envelope names as the client; borrowed until the transaction ends. */
void session_trust_fill(const struct session *s, struct envelope *e);
void session_trust_forget(struct session *s);

/* session_mail.c */
session_verb_fn session_mail_from;
bool session_offers_release(const struct session *s);
bool session_offers_verp(const struct session *s);
struct parameter_terms session_terms(const struct session *s, int64_t now_ms);
struct reply session_parameter_reply(enum parameter_fault fault);
/* As address_parse_path, but where the listener completes what is missing a bare
 * local part gets its domain; then the address borrows from completed. */
enum address_fault session_read_path(struct session *s, struct span path,
                                     enum path_kind kind, bool smtputf8,
                                     struct buffer *completed,
                                     struct address *out_address,
                                     struct span *out_rest);
/* The address again, in memory that lives as long as the draft. */
struct address session_keep_address(struct session *s, struct address a);
/* Whose address is it? See policy/senders.h; not asked where nobody logs in. */
bool session_may_send_as(const struct session *s, const struct address *a);

/* session_rcpt.c */
session_verb_fn session_mail_to;

/* session_verify.c */
/* The questions and what was said live in the draft's arena. */
enum mailbox_answer session_verify(struct session *s,
                                   const struct destiny *all, size_t count,
                                   struct mailbox_verification *out);

/* session_consult.c */
/* The command stops until these are answered; then resume is called in the
 * state that there is now, with what, to do its work again from the top. It may
 * stop again. Questions, keys and what live in the draft's arena. */
typedef void session_resume_fn(struct session *s, void *what, int64_t now_ms);
void session_consult(struct session *s,
                     const struct evidence_question *questions, size_t count,
                     session_resume_fn *resume, void *what, int64_t now_ms);
/* All that is known; NULL: nothing can be asked any more. */
const struct evidence *session_consult_evidence(const struct session *s);
/* A transaction is over: what moves with each is forgotten. */
void session_consult_end_mail(struct session *s);
void session_consult_timeout(struct session *s, int64_t now_ms);
void session_consult_drop(struct session *s);
/* The state, or that which CONSULTING goes back to. */
enum session_state session_consult_place(const struct session *s);

/* session_data.c */
session_verb_fn session_data_begin;
size_t session_data_feed(struct session *s, struct span in, int64_t now_ms);
/* The draft gets an id, our trace line and room for its content. */
void session_content_begin(struct session *s, enum content_form form,
                           int64_t now_ms);
/* Input for the content; how much was taken, whether the end was read. */
size_t session_content_feed(struct session *s, struct span in, int64_t now_ms,
                            bool *out_end);
/* The draft's content has grown, from so many bytes on. */
void session_content_came(struct session *s, size_t before);
/* It is whole, or refused: answers, or goes on to the queue. */
void session_content_end(struct session *s, int64_t now_ms);
/* Nobody objects: the draft is whole and waits to be stored. */
void session_content_store(struct session *s);
/* The trace line that a message of the draft with this id begins with. */
void session_content_trace(const struct session *s, uint64_t id, int64_t now_ms,
                           struct buffer *out);
/* Refuses what was found wrong so far; false: nothing was. */
bool session_content_refuse(struct session *s);
/* So many bytes buy so much time. */
void session_extend_deadline(struct session *s, size_t bytes, int64_t now_ms);
/* The transaction ends with this refusal, whether or not the session does. */
void session_data_fail(struct session *s, struct reply reply);

/* session_chunk.c */
session_verb_fn session_chunk_begin;
size_t session_chunk_feed(struct session *s, struct span in, int64_t now_ms);

/* session_header.c */
/* Begins to hold the header section back, where something is to be done to it. */
void session_header_begin(struct session *s);
/* Has the section ended? Then it is completed, looked at and, where rules may edit it,
 * put apart. */
void session_header_look(struct session *s);

/* session_judge.c */
/* The content begins: what do rules want to know of it? */
void session_judge_begin(struct session *s);
/* The content is whole and good: what the rules say that waited for it. It is refused, goes on
 * to the queue, or that is what its answers are waited for. */
void session_judge_end(struct session *s, int64_t now_ms);
void session_judge_drop(struct session *s);

#endif
