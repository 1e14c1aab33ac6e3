/*
 * approach - from the greeting to a connection that is free.
 *
 * EHLO, STARTTLS where it is wanted, EHLO anew, AUTH where there is a login; each
 * alone in its group, and none asked twice. A peer that does not let us is the
 * session's trouble, never the message's. What is said about TLS before there is
 * any can be an attacker's, so it only ever makes us stop or, where that is allowed,
 * go on as if there were no TLS. RFC 5321 3.1, 4.1.4, RFC 3207 4, 6, RFC 4954 4.
 */
#include "relay/outbound/approach.h"

#include "relay/outbound/outcome.h"

enum { AUTH_LINE_MOST = 512 }; /* with CRLF; longer is for after the 334 */

void approach_leave(struct client *c, struct status status, struct span words)
{
    c->trouble = outcome_of_ours(DIAGNOSIS_OTHER_HOST, status, words);
    dialogue_put(c, "QUIT", SPAN(""), "\r\n");
    dialogue_move(c, AT_CLOSED);
}

static void say_ehlo(struct client *c)
{
    size_t from = c->output.len;

    dialogue_put(c, c->options.is_lmtp ? "LHLO " : "EHLO ", c->options.hostname,
                 "\r\n");
    dialogue_tape(c, from);
    dialogue_move(c, AT_EHLO);
}

/* ----------------------------------------------------------------- AUTH ---- */

static bool has_login(const struct client_options *o)
{
    return o->login.len || o->mechanisms == MECHANISM_EXTERNAL;
}

/* Nothing of what a mechanism says is kept, but that it spoke. */
static void tape_auth(struct client *c, struct span name, bool has_initial)
{
    struct buffer line = { .cap = 64 };

    buffer_printf(&line, "AUTH %.*s%s", SPAN_FMT(span_first(name, 40)),
                  has_initial ? " (withheld)" : "");
    tape_said(&c->tape, buffer_span(&line));
    buffer_fini(&line);
}

static void put_auth(struct client *c, unsigned mechanism)
{
    struct span name = span_of(mechanism_name(mechanism));
    struct span initial = login_initial(c->login);
    size_t len;
    bool is_late;

    if (initial.at && initial.len == 0)
        initial = SPAN("="); /* there is one, and it is empty */
    len = strlen("AUTH ") + name.len + 1 + initial.len + 2;
    is_late = initial.at && len > AUTH_LINE_MOST;
    /* at once, so that growing leaves no copies */
    (void)buffer_room(&c->output, len);
    dialogue_put(c, "AUTH ", name, "");
    if (initial.at && !is_late)
        dialogue_put(c, " ", initial, "");
    dialogue_put(c, "", SPAN(""), "\r\n");
    c->is_begun = !is_late;
    tape_auth(c, name, initial.at && !is_late);
}

static void log_in(struct client *c)
{
    unsigned offered = c->can.mechanisms & ~c->unwanted;
    unsigned mechanism;

    if (!c->is_secured && !c->options.login_without_tls) {
        approach_leave(c, STATUS(4, 7, 4),
              SPAN("login needs TLS, which was not to be had from peer"));
        return;
    }
    mechanism =
        login_choose(&c->options, offered, c->is_secured ? c->facts : NULL);
    if (mechanism)
        c->login = login_new(mechanism, &c->options, c->facts);
    if (!c->login) {
        c->was_login = true;
        approach_leave(c, STATUS(4, 7, 8),
              SPAN("login is not possible: peer offers no mechanism that may "
                   "be used"));
        return;
    }
    put_auth(c, mechanism);
    dialogue_move(c, AT_AUTH);
}

static void end_login(struct client *c)
{
    login_free(c->login);
    c->login = NULL;
}

/* The peer's words are the trouble's, with a status that says whose it is. */
static void note_refusal(struct client *c, const struct event *e,
                         struct status status)
{
    struct event shown = *e;

    /* a peer that repeats what we said would put our password into the log */
    if (c->login && login_is_told_by(c->login, e->reply.text))
        shown.reply.text = SPAN("(text withheld)");
    if (c->login && login_is_told_by(c->login, e->words))
        shown.words = SPAN("(text withheld)");
    c->trouble = dialogue_outcome(c, &c->trouble_words, &shown);
    if (status.class)
        c->trouble.status = status;
}

/* Our side cannot go on: RFC 4954 4 says how to cancel. */
static void cancel_login(struct client *c)
{
    c->was_login = true;
    c->trouble = outcome_of_ours(
        DIAGNOSIS_OTHER_HOST, STATUS(4, 7, 8),
        SPAN("login failed: challenge of peer makes no sense, or does not "
             "prove that peer knows us"));
    dialogue_put(c, "*", SPAN(""), "\r\n");
    tape_said(&c->tape, SPAN("*"));
    dialogue_move(c, AT_CLOSED);
}

void approach_break_login(struct client *c, const struct event *e)
{
    note_refusal(c, e, (struct status){ 0 });
    dialogue_end_session(c, e);
}

/* What was computed goes out, or it was found that nothing may. */
static void tell(struct client *c, bool is_fine)
{
    if (!is_fine) {
        cancel_login(c);
        return;
    }
    dialogue_put(c, "", SPAN(""), "\r\n");
    tape_said(&c->tape, SPAN("(withheld)"));
    dialogue_move(c, AT_AUTH);
}

void approach_computed(struct client *c)
{
    tell(c, login_tell(c->login, &c->output));
}

void approach_challenge(struct client *c, const struct event *e)
{
    if (e->reply.code != 334) {
        approach_break_login(c, e);
        return;
    }
    if (!c->is_begun) {
        c->is_begun = true;
        dialogue_put(c, "", login_initial(c->login), "\r\n");
        tape_said(&c->tape, SPAN("(withheld)"));
        dialogue_move(c, AT_AUTH);
    } else if (!login_is_slow(c->login)) {
        tell(c, login_answer(c->login, e->reply.text, &c->output));
    } else if (login_ask(c->login, e->reply.text)) {
        dialogue_move(c, AT_COMPUTING);
    } else {
        cancel_login(c);
    }
}

void approach_logged_in(struct client *c, const struct event *e)
{
    if (e->reply.code != 235) {
        approach_break_login(c, e);
    } else if (!c->is_begun || !login_is_complete(c->login)) {
        c->was_login = true;
        approach_leave(c, STATUS(4, 7, 8),
              SPAN("login failed: peer is content without proof of who it is"));
    } else {
        c->is_logged_in = c->was_greeted = true;
        dialogue_move(c, AT_FREE);
    }
}

void approach_refuse_login(struct client *c, const struct event *e)
{
    if (e->reply.code == 504) {
        c->unwanted |= login_mechanism(c->login);
        if (login_choose(&c->options, c->can.mechanisms & ~c->unwanted,
                         c->facts)) {
            end_login(c);
            log_in(c);
            return;
        }
    }
    c->was_login = e->kind == SAID_5XX;
    note_refusal(c, e, c->was_login ? STATUS(4, 7, 8) : STATUS(4, 7, 0));
    dialogue_end_session(c, e);
}

/* ------------------------------------------------------------------ TLS ---- */

/* The peer has said what it can: on to what is next before it is free. */
static void go_on(struct client *c)
{
    bool is_open = !c->is_secured && !c->goes_in_clear &&
                   c->options.tls != CLIENT_TLS_NEVER;

    if (is_open && dialogue_can(c, CAN_STARTTLS)) {
        dialogue_put(c, "STARTTLS", SPAN(""), "\r\n");
        tape_said(&c->tape, SPAN("STARTTLS"));
        dialogue_move(c, AT_STARTTLS);
    } else if (is_open && c->options.tls == CLIENT_TLS_MUST) {
        c->was_tls = true;
        approach_leave(c, STATUS(4, 7, 4),
              SPAN("TLS is required, but was not offered by peer"));
    } else if (has_login(&c->options) && !c->is_logged_in) {
        log_in(c);
    } else {
        c->was_greeted = true;
        dialogue_move(c, AT_FREE);
    }
}

void approach_secure(struct client *c, const struct event *e)
{
    if (e->reply.code == 220)
        dialogue_move(c, AT_SECURING);
    else
        approach_break_tls(c, e);
}

void approach_refuse_tls(struct client *c, const struct event *e)
{
    if (c->options.tls == CLIENT_TLS_MUST) {
        approach_break_tls(c, e);
        return;
    }
    c->goes_in_clear = true;
    go_on(c);
}

void approach_break_tls(struct client *c, const struct event *e)
{
    c->was_tls = true;
    note_refusal(c, e, STATUS(4, 7, 4));
    dialogue_end_session(c, e);
}

/* "(TLSv1.3, as DANE demands)" */
static void tape_handshake(struct client *c, const struct tls_facts *f)
{
    struct buffer b = { 0 };

    if (f && f->protocol) {
        buffer_printf(&b, "(%s", f->protocol);
        if (f->policy)
            buffer_printf(&b, ", as %s demands", f->policy);
        buffer_put_byte(&b, ')');
        tape_said(&c->tape, buffer_span(&b));
    }
    buffer_fini(&b);
}

void approach_secured(struct client *c, const struct tls_facts *facts)
{
    c->is_secured = true;
    c->facts = facts;
    tape_handshake(c, facts);
    if (c->state == AT_HANDSHAKE) {
        dialogue_move(c, AT_GREETING);
        return;
    }
    c->can = (struct capabilities){ 0 };
    say_ehlo(c);
}

void approach_tls_failed(struct client *c, struct span why, bool is_trust)
{
    struct buffer words = { 0 };

    buffer_put_string(&words, is_trust ? "certificate of peer is not trusted: "
                                       : "TLS handshake failed: ");
    buffer_put_escaped(&words, span_first(why, LIMIT_REPLY_STORED / 8));
    c->was_tls = true;
    c->trouble = outcome_of_ours(
        DIAGNOSIS_OTHER_HOST, is_trust ? STATUS(4, 7, 5) : STATUS(4, 7, 4),
        arena_copy(&c->trouble_words, buffer_span(&words)));
    buffer_fini(&words);
    dialogue_move(c, AT_CLOSED);
}

/* ------------------------------------------------------- greeting, EHLO ---- */

/* RFC 5321 4.2: a greeting is 220 and names the host. */
void approach_greeted(struct client *c, const struct event *e)
{
    if (e->reply.code != 220 || e->reply.text.len == 0)
        dialogue_end_session(c, e);
    else
        say_ehlo(c);
}

/* Nobody has asked to log in yet. */
static bool is_about_login(const struct event *e)
{
    return e->reply.code == 235;
}

void approach_ehlo(struct client *c, const struct event *e)
{
    if (is_about_login(e)) {
        dialogue_end_session(c, e);
        return;
    }
    capabilities_read(&c->can, e->reply.text);
    go_on(c);
}

/* RFC 2033 4.1: LMTP has no HELO. */
void approach_say_helo(struct client *c, const struct event *e)
{
    size_t from;

    if (c->options.is_lmtp) {
        dialogue_end_session(c, e);
        return;
    }
    from = c->output.len;
    dialogue_put(c, "HELO ", c->options.hostname, "\r\n");
    dialogue_tape(c, from);
    dialogue_move(c, AT_HELO);
}

void approach_helo(struct client *c, const struct event *e)
{
    if (is_about_login(e))
        dialogue_end_session(c, e);
    else
        go_on(c);
}
