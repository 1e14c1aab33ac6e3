/*
 * client - our dialogue with a next hop, as an engine.
 *
 * What the host calls; what the peer's replies do is dialogue.c's. All memory
 * of a transaction is its arena, given back by client_next; a connection that
 * is free holds no buffer. RFC 5321, 1870, 2920, 6152, 6531.
 */
#include "relay/outbound/client.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/memory.h"
#include "relay/outbound/dialogue.h"
#include "relay/outbound/outcome.h"

#include <stdlib.h>

const struct client_timeouts client_timeouts_default = {
    .greeting = 300000,
    .helo = 300000,
    .mail = 300000,
    .rcpt = 300000,
    .data = 120000,
    .block = 180000,
    .dot = 600000,
    .quit = 5000,
};

struct client *client_new(const struct client_options *o, int64_t now_ms)
{
    struct client *c = memory_zero(1, sizeof *c + o->hostname.len + 1);

    memcpy(c->hostname, o->hostname.at, o->hostname.len);
    c->timeouts = *o->timeouts;
    c->now_ms = now_ms;
    c->state = AT_GREETING;
    dialogue_set_timer(c);
    return c;
}

void client_free(struct client *c)
{
    if (!c)
        return;
    answer_fini(&c->answer);
    buffer_fini(&c->output);
    arena_reset(&c->arena);
    arena_reset(&c->trouble_words);
    free(c);
}

void client_feed(struct client *c, struct span in, int64_t now_ms)
{
    enum answer_said said;
    struct reply r;

    c->now_ms = now_ms;
    c->has_asked = false;
    while (in.len && c->state != AT_CLOSED) {
        said = answer_read(&c->answer, &in, &r);
        if (said == ANSWER_MORE)
            return;
        if (said == ANSWER_REPLY && !c->has_asked) {
            dialogue_hear(c, &r);
            continue;
        }
        dialogue_break(
            c, NONSENSE,
            said == ANSWER_BROKEN ? r.text : SPAN("reply before the command"));
        return;
    }
}

enum client_wants client_wants(const struct client *c)
{
    return dialogue_wants(c);
}

struct buffer *client_output(struct client *c)
{
    return &c->output;
}

void client_sent(struct client *c, int64_t now_ms)
{
    c->now_ms = now_ms;
    if (c->state == AT_CONTENT || c->state == AT_DOT)
        dialogue_set_timer(c);
}

static bool has_control(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.at[i] < ' ' || s.at[i] == 0x7f)
            return true;
    return false;
}

/* What this peer cannot be asked; status of class 0: nothing stands against it.
 */
static struct client_outcome find_obstacle(const struct client *c)
{
    const struct envelope *e = c->t.envelope;

    if (has_control(e->sender))
        return outcome_of_ours(DIAGNOSIS_FAILED, STATUS(5, 1, 7),
                               SPAN("sender address has a control character"));
    for (size_t i = 0; i < c->t.count; i++) {
        if (has_control(c->t.recipients[i].address))
            return outcome_of_ours(
                DIAGNOSIS_FAILED, STATUS(5, 1, 3),
                SPAN("recipient address has a control character"));
    }
    if (dialogue_needs_utf8(c) && !(c->can.has & CAN_SMTPUTF8))
        return outcome_of_ours(
            DIAGNOSIS_FAILED, STATUS(5, 6, 7),
            SPAN("SMTPUTF8 is required, but was not offered by peer"));
    if (c->can.size_bytes && e->size_bytes > c->can.size_bytes)
        return outcome_of_ours(
            DIAGNOSIS_FAILED, STATUS(5, 3, 4),
            SPAN("message is larger than the size limit of peer"));
    if ((e->has_8bit && !(c->can.has & CAN_8BITMIME)) ||
        e->body == BODY_BINARYMIME)
        return outcome_of_ours(
            DIAGNOSIS_OTHER_HOST, STATUS(5, 6, 3),
            SPAN("message needs 8BITMIME or BINARYMIME, but it was not "
                 "offered by peer"));
    return (struct client_outcome){ 0 };
}

void client_start(struct client *c, const struct client_transaction *t,
                  int64_t now_ms)
{
    struct client_outcome obstacle;

    ASSERT(c->state == AT_FREE);
    ASSERT(t->count > 0 && t->count <= client_recipients_most(c));
    c->now_ms = now_ms;
    c->t = *t;
    c->outcomes = arena_take(&c->arena, t->count * sizeof *c->outcomes);
    c->at = c->accepted = 0;
    c->after = AT_FREE;
    obstacle = find_obstacle(c);
    if (dialogue_is_decided(&obstacle)) {
        dialogue_decide_rest(c, &obstacle);
        dialogue_move(c, AT_DONE);
        return;
    }
    c->messages++;
    dialogue_put_group(c);
    dialogue_move(c, AT_MAIL);
}

/* Nothing of what was not sent yet may follow, above all no dot. */
static void give_up_content(struct client *c, struct span words,
                            struct status status)
{
    struct client_outcome o = outcome_of_ours(DIAGNOSIS_LATER, status, words);

    buffer_clear(&c->output);
    dialogue_decide_rest(c, &o);
    c->trouble = o;
    c->after = AT_CLOSED;
    dialogue_move(c, AT_DONE);
}

void client_content(struct client *c, struct span bytes, bool last,
                    int64_t now_ms)
{
    ASSERT(c->state == AT_CONTENT);
    c->now_ms = now_ms;
    if (!stuffing_put(&c->stuffing, &c->output, bytes) ||
        (last && !stuffing_end(&c->stuffing, &c->output))) {
        give_up_content(c, SPAN("message content has a bare CR or LF"),
                        STATUS(4, 6, 0));
        return;
    }
    if (last)
        dialogue_move(c, AT_DOT);
    else
        dialogue_set_timer(c);
}

void client_content_failed(struct client *c, int64_t now_ms)
{
    ASSERT(c->state == AT_CONTENT);
    c->now_ms = now_ms;
    give_up_content(c, SPAN("message content cannot be read"), STATUS(4, 3, 0));
}

const struct client_outcome *client_outcomes(const struct client *c)
{
    ASSERT(c->state == AT_DONE);
    return c->outcomes;
}

void client_next(struct client *c, int64_t now_ms)
{
    ASSERT(c->state == AT_DONE);
    c->now_ms = now_ms;
    arena_reset(&c->arena);
    c->outcomes = NULL;
    c->t = (struct client_transaction){ 0 };
    if (c->after != AT_CLOSED && c->can.messages &&
        c->messages >= c->can.messages)
        c->after = AT_QUIT;
    if (c->after == AT_RESET)
        dialogue_put(c, "RSET", SPAN(""), "\r\n");
    else if (c->after == AT_QUIT)
        dialogue_put(c, "QUIT", SPAN(""), "\r\n");
    dialogue_move(c, c->after);
}

void client_quit(struct client *c, int64_t now_ms)
{
    ASSERT(c->state == AT_FREE);
    c->now_ms = now_ms;
    dialogue_put(c, "QUIT", SPAN(""), "\r\n");
    dialogue_move(c, AT_QUIT);
}

void client_lost(struct client *c, struct span reason, int64_t now_ms)
{
    c->now_ms = now_ms;
    dialogue_break(c, LOST, reason);
}

int64_t client_deadline_ms(const struct client *c)
{
    return c->deadline_ms;
}

void client_timeout(struct client *c, int64_t now_ms)
{
    c->now_ms = now_ms;
    if (now_ms >= c->deadline_ms)
        dialogue_break(c, TIMEOUT, SPAN(""));
}

bool client_is_greeted(const struct client *c)
{
    return c->was_greeted;
}

bool client_is_past_dot(const struct client *c)
{
    return c->state == AT_DOT;
}

const struct client_outcome *client_trouble(const struct client *c)
{
    return &c->trouble;
}

uint32_t client_recipients_most(const struct client *c)
{
    uint32_t most = c->can.recipients;

    return most && most < LIMIT_TRANSACTION_RECIPIENTS
               ? most
               : LIMIT_TRANSACTION_RECIPIENTS;
}

uint32_t client_messages(const struct client *c)
{
    return c->messages;
}
