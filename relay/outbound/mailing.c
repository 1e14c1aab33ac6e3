/*
 * mailing - one message to one next hop, from MAIL to the last reply.
 *
 * By DATA the content follows its 354 and ends with a dot; by BDAT each piece is a
 * chunk with its length in front, and the last says so. Delivered is only what was
 * said yes to after all of it was handed over; LMTP says so for each recipient. RFC
 * 5321 4.1.1, RFC 2920 3.1, RFC 3030 2, 4.2, RFC 2033 4.2.
 */
#include "relay/outbound/mailing.h"

#include "policy/vocabulary/error.h"
#include "relay/outbound/commandline.h"
#include "relay/outbound/outcome.h"

static void put_data(struct client *c)
{
    dialogue_put(c, "DATA", SPAN(""), "\r\n");
    tape_said(&c->tape, SPAN("DATA"));
}

/* MAIL, and with PIPELINING all that follows it up to the content. */
static void put_group(struct client *c)
{
    commandline_mail(c);
    if (dialogue_can(c, CAN_PIPELINING)) {
        for (size_t i = 0; i < c->t.count; i++)
            commandline_rcpt(c, i);
        if (!c->by_chunks && !c->t.only_asks)
            put_data(c);
    }
    dialogue_move(c, AT_MAIL);
}

static void forward_or_mail(struct client *c)
{
    if (!c->t.only_asks && commandline_forward(c))
        dialogue_move(c, AT_XFORWARD);
    else
        put_group(c);
}

void mailing_begin(struct client *c)
{
    c->at = c->accepted = c->chunks_open = c->chunks_taken = 0;
    c->forwarded = 0;
    c->stuffing = (struct stuffing){ 0 };
    c->after = AT_FREE;
    c->messages++;
    forward_or_mail(c);
}

/* Yes or no: it was only a courtesy. */
void mailing_forwarded(struct client *c, const struct event *e)
{
    (void)e;
    forward_or_mail(c);
}

/* ----------------------------------------------------------- MAIL, RCPT ---- */

/* All were answered: the content is due where somebody was taken. */
static void go_on_to_content(struct client *c)
{
    static const struct client_outcome taken = { DIAGNOSIS_DELIVERED,
                                                 { 2, 1, 5 },
                                                 SPAN_INIT("accepted") };
    bool pipelined = dialogue_can(c, CAN_PIPELINING);

    if (c->t.only_asks) {
        dialogue_decide_rest(c, &taken);
        dialogue_move(c, AT_DONE);
    } else if (c->by_chunks) {
        dialogue_move(c, c->accepted ? AT_CHUNKS : AT_DONE);
    } else if (c->accepted || pipelined) {
        if (!pipelined)
            put_data(c);
        dialogue_move(c, AT_DATA);
    } else {
        dialogue_move(c, AT_DONE);
    }
}

/* MAIL or a RCPT was answered. In a pipelined group the next reply is on its
 * way; else the next command is due. */
static void go_on(struct client *c)
{
    if (c->at == c->t.count) {
        go_on_to_content(c);
        return;
    }
    if (!dialogue_can(c, CAN_PIPELINING))
        commandline_rcpt(c, c->at);
    dialogue_move(c, AT_RCPT);
}

void mailing_mail(struct client *c, const struct event *e)
{
    (void)e;
    c->after = AT_RESET;
    c->took_mail = true;
    go_on(c);
}

/*
 * Who took the mail before and says "later" to this one may have had enough of the
 * connection (so many messages and no more), and seldom says so: another one tells which
 * of the two it was. What was said on its first MAIL is meant for the message.
 */
void mailing_no_mail(struct client *c, const struct event *e)
{
    struct client_outcome o = dialogue_outcome(c, &c->arena, e);

    if (c->t.only_asks)
        o.diagnosis = DIAGNOSIS_LATER; /* nothing was said of the recipients */
    if (c->took_mail && e->kind == SAID_4XX && !c->options.is_only) {
        o.diagnosis = DIAGNOSIS_AGAIN_NOW;
        c->after = AT_QUIT;
    }
    c->took_mail = false;
    dialogue_decide_rest(c, &o);
    if (dialogue_can(c, CAN_PIPELINING))
        go_on(c);
    else
        dialogue_move(c, AT_DONE);
}

void mailing_rcpt(struct client *c, const struct event *e)
{
    (void)e;
    if (!dialogue_is_decided(&c->outcomes[c->at]))
        c->accepted++;
    c->at++;
    go_on(c);
}

void mailing_no_rcpt(struct client *c, const struct event *e)
{
    struct client_outcome *o = &c->outcomes[c->at++];

    if (!dialogue_is_decided(o))
        *o = dialogue_outcome(c, &c->arena, e);
    go_on(c);
}

/* --------------------------------------------------------- DATA, the dot ---- */

void mailing_data(struct client *c, const struct event *e)
{
    if (e->reply.code != 354) {
        dialogue_end_transaction(c, e);
    } else if (c->accepted) {
        dialogue_move(c, AT_CONTENT);
    } else if (c->options.is_lmtp) {
        /* its dot would be answered by as many replies as it took: none */
        c->after = AT_CLOSED;
        dialogue_move(c, AT_DONE);
    } else {
        dialogue_put(c, ".", SPAN(""), "\r\n");
        tape_said(&c->tape, SPAN("."));
        dialogue_move(c, AT_VOID_DOT);
    }
}

void mailing_void_dot(struct client *c, const struct event *e)
{
    (void)e;
    if (c->after == AT_RESET) /* the dot has ended it */
        c->after = AT_FREE;
    dialogue_move(c, AT_DONE);
}

/* Only what was passed on to somebody who understands it is his to report. */
static void note_passed(struct client *c)
{
    bool knows_by = commandline_tells_by(c);

    for (size_t i = 0; i < c->t.count; i++) {
        struct client_outcome *o = &c->outcomes[i];
        bool is_passed = o->diagnosis == DIAGNOSIS_DELIVERED;

        o->dsn_passed = is_passed && c->t.recipients[i].notify &&
                        dialogue_can(c, CAN_DSN);
        o->by_passed = is_passed && knows_by;
    }
}

/* LMTP: the next of those who were accepted. Answers whether he was the last. */
static bool settle_one(struct client *c, const struct client_outcome *o)
{
    bool is_settled = false;

    for (size_t i = 0; i < c->t.count; i++) {
        if (dialogue_is_decided(&c->outcomes[i]))
            continue;
        if (is_settled)
            return false;
        c->outcomes[i] = *o;
        is_settled = true;
    }
    return true;
}

/* DATA, the dot or LAST was answered: that settles who was accepted. */
void mailing_settle(struct client *c, const struct event *e)
{
    struct client_outcome o = dialogue_outcome(c, &c->arena, e);

    if (!dialogue_is_past_end(c)) {
        dialogue_decide_rest(c, &o);
    } else if (c->options.is_lmtp && !settle_one(c, &o)) {
        dialogue_move(c, c->state);
        return;
    } else {
        dialogue_decide_rest(c, &o);
        c->after = AT_FREE;
        note_passed(c);
    }
    dialogue_move(c, AT_DONE);
}

/* ----------------------------------------------------------------- BDAT ---- */

/* A server that offers CHUNKING, but has never heard of BDAT. */
static bool is_unknown(const struct client *c, const struct event *e)
{
    short code = e->reply.code;

    return c->chunks_taken == 0 && (code == 500 || code == 502 || code == 503);
}

/*
 * A chunk was refused: the message is, and nothing more of it is sent. Replies to
 * what is on its way are awaited, but where their number cannot be known. Where
 * BDAT was not even recognised the chunk may have been read as commands, so that
 * connection is not to be used any more.
 */
static void refuse_chunks(struct client *c, const struct event *e, size_t open)
{
    struct client_outcome o = dialogue_outcome(c, &c->arena, e);
    bool is_lost =
        e->reply.code == 500 || e->reply.code == 502 ||
        (c->options.is_lmtp && c->state == AT_LAST && c->chunks_open);

    if (is_unknown(c, e)) {
        o.diagnosis = DIAGNOSIS_AGAIN_NOW;
        o.status.class = 4;
        c->was_chunking = true;
        c->can.has &= ~(unsigned)CAN_CHUNKING;
    }
    dialogue_decide_rest(c, &o);
    c->chunks_open = open;
    c->after = is_lost ? AT_CLOSED : AT_RESET;
    dialogue_move(c, open && !is_lost ? AT_VOID_CHUNKS : AT_DONE);
}

void mailing_chunk(struct client *c, const struct event *e)
{
    if (c->chunks_open == 0) {
        dialogue_end_transaction(c, e);
        return;
    }
    c->chunks_open--;
    c->chunks_taken++;
    if (c->state == AT_CHUNK)
        dialogue_move(c, AT_CHUNKS);
}

void mailing_no_chunk(struct client *c, const struct event *e)
{
    if (c->chunks_open == 0)
        dialogue_end_transaction(c, e);
    else
        refuse_chunks(c, e, c->chunks_open - 1);
}

void mailing_last(struct client *c, const struct event *e)
{
    if (c->chunks_open && e->kind == SAID_2XX)
        mailing_chunk(c, e);
    else if (c->chunks_open)
        refuse_chunks(c, e, c->chunks_open); /* the others, and LAST */
    else if (e->kind == SAID_5XX && is_unknown(c, e))
        refuse_chunks(c, e, 0);
    else
        mailing_settle(c, e);
}

void mailing_void_chunk(struct client *c, const struct event *e)
{
    (void)e;
    if (--c->chunks_open == 0)
        dialogue_move(c, AT_DONE);
}

/* -------------------------------------------------------------- content ---- */

static void give_up_bare(struct client *c)
{
    struct client_outcome o =
        outcome_of_ours(DIAGNOSIS_LATER, STATUS(4, 6, 0),
                        SPAN("message content has a bare CR or LF"));

    mailing_give_up(c, &o);
}

/* One chunk; what its last line misses belongs to it. */
static void put_chunk(struct client *c, struct span bytes, bool last)
{
    struct stuffing *s = &c->stuffing;
    const char *end = "";
    size_t from;

    if (!c->is_binary) {
        if (!stuffing_check(s, bytes) || (last && s->at == STUFFING_AFTER_CR)) {
            give_up_bare(c);
            return;
        }
        if (last && s->at == STUFFING_IN_LINE)
            end = "\r\n";
    }
    if (!last && bytes.len == 0)
        return;
    from = c->output.len;
    buffer_printf(&c->output, "BDAT %zu%s\r\n", bytes.len + strlen(end),
                  last ? " LAST" : "");
    dialogue_tape(c, from);
    dialogue_put(c, "", bytes, end);
    if (last) {
        dialogue_move(c, AT_LAST);
        return;
    }
    c->chunks_open++;
    if (dialogue_can(c, CAN_PIPELINING))
        dialogue_set_timer(c);
    else
        dialogue_move(c, AT_CHUNK);
}

static void end_content(struct client *c)
{
    tape_said(&c->tape, SPAN("(content) ."));
    dialogue_move(c, AT_DOT);
}

void mailing_content(struct client *c, struct span bytes, bool last)
{
    if (c->state == AT_CHUNKS) {
        put_chunk(c, bytes, last);
        return;
    }
    ASSERT(c->state == AT_CONTENT);
    if (!stuffing_put(&c->stuffing, &c->output, bytes) ||
        (last && !stuffing_end(&c->stuffing, &c->output)))
        give_up_bare(c);
    else if (last)
        end_content(c);
    else
        dialogue_set_timer(c);
}

void mailing_give_up(struct client *c, const struct client_outcome *o)
{
    dialogue_decide_rest(c, o);
    if (c->state == AT_CHUNKS) { /* no LAST: RSET undoes it */
        c->after = AT_RESET;
        dialogue_move(c, c->chunks_open ? AT_VOID_CHUNKS : AT_DONE);
        return;
    }
    ASSERT(c->state == AT_CONTENT);
    buffer_clear(&c->output); /* nothing may follow, above all no dot */
    c->trouble = *o;
    c->trouble.reply = arena_copy(&c->trouble_words, o->reply);
    c->after = AT_CLOSED;
    dialogue_move(c, AT_DONE);
}
