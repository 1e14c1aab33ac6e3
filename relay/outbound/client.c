/*
 * client - our dialogue with a next hop, as an engine.
 *
 * What the host calls; what the peer's replies do is said by dialogue.c's table.
 * All memory of a transaction is its arena, given back by client_next; a
 * connection that is free holds no buffer and no secret.
 */
#include "relay/outbound/client.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/memory.h"
#include "relay/outbound/approach.h"
#include "relay/outbound/dialogue.h"
#include "relay/outbound/login.h"
#include "relay/outbound/obstacle.h"
#include "relay/outbound/outcome.h"
#include "relay/outbound/mailing.h"
#include "relay/outbound/turning.h"

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
    .handshake = LIMIT_HANDSHAKE_S * 1000LL,
};

static struct span keep(char **at, struct span s)
{
    struct span kept = span_make(*at, s.len);

    if (s.len)
        memcpy(*at, s.at, s.len);
    *at += s.len;
    return kept;
}

struct client *client_new(const struct client_options *o, int64_t now_ms)
{
    struct client *c =
        memory_zero(1, sizeof *c + o->hostname.len + o->login.len +
                           o->secret.len + o->host.len);
    char *at = c->storage;

    c->options = *o;
    c->options.hostname = keep(&at, o->hostname);
    c->options.login = keep(&at, o->login);
    c->options.secret = keep(&at, o->secret);
    c->options.host = keep(&at, o->host);
    c->options.timeouts = NULL;
    c->timeouts = *o->timeouts;
    c->now_ms = now_ms;
    c->state = o->begins_secured ? AT_HANDSHAKE : AT_GREETING;
    dialogue_set_timer(c);
    return c;
}

void client_free(struct client *c)
{
    if (!c)
        return;
    dialogue_forget_secret(c);
    answer_fini(&c->answer);
    buffer_fini(&c->output);
    arena_reset(&c->arena);
    arena_reset(&c->trouble_words);
    free(c);
}

/* Until the handshake is done everything in clear text is somebody else's. */
static bool is_in_handshake(const struct client *c)
{
    return c->state == AT_HANDSHAKE || c->state == AT_SECURING;
}

/* Challenges, and what repeats a secret of ours, are not kept. */
static void tape_reply(struct client *c, const struct reply *r)
{
    bool is_secret = c->state == AT_AUTH &&
                     (r->code == 334 ||
                      (c->login && login_is_told_by(c->login, r->text)));

    tape_heard(&c->tape, r->code, r->status,
               is_secret ? SPAN("(withheld)") : r->text);
}

size_t client_feed(struct client *c, struct span in, int64_t now_ms)
{
    size_t len = in.len;
    enum answer_said said;
    struct reply r;

    c->now_ms = now_ms;
    c->has_asked = false;
    while (in.len && c->state != AT_CLOSED && c->state != AT_TURNED) {
        if (is_in_handshake(c)) {
            dialogue_break(c, NONSENSE, SPAN("clear text where TLS begins"));
            return len;
        }
        said = answer_read(&c->answer, &in, &r);
        if (said == ANSWER_MORE)
            return len;
        if (said == ANSWER_REPLY)
            tape_reply(c, &r);
        if (said == ANSWER_REPLY && !c->has_asked) {
            dialogue_show(c, &r);
            dialogue_hear(c, &r);
            continue;
        }
        dialogue_break(
            c, NONSENSE,
            said == ANSWER_BROKEN ? r.text : SPAN("reply before the command"));
        return len;
    }
    return c->state == AT_TURNED ? len - in.len : len;
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
    if (dialogue_wants(c) == CLIENT_SENDS || dialogue_is_past_end(c))
        dialogue_set_timer(c);
}

void client_secured(struct client *c, const struct tls_facts *facts,
                    int64_t now_ms)
{
    ASSERT(is_in_handshake(c));
    c->now_ms = now_ms;
    approach_secured(c, facts);
}

void client_tls_failed(struct client *c, struct span why, bool is_trust,
                       int64_t now_ms)
{
    ASSERT(is_in_handshake(c));
    c->now_ms = now_ms;
    approach_tls_failed(c, why, is_trust);
}

struct login *client_take_login(struct client *c)
{
    struct login *l = c->login;

    ASSERT(c->state == AT_COMPUTING);
    c->login = NULL;
    return l;
}

void client_computed(struct client *c, struct login *take_l, int64_t now_ms)
{
    if (c->state != AT_COMPUTING) {
        login_free(take_l);
        return;
    }
    ASSERT(!c->login);
    c->now_ms = now_ms;
    c->login = take_l;
    approach_computed(c);
}

bool client_tls_was_the_trouble(const struct client *c)
{
    return c->was_tls && !c->options.begins_secured;
}

bool client_login_was_refused(const struct client *c)
{
    return c->was_login;
}

bool client_chunking_was_refused(const struct client *c)
{
    return c->was_chunking;
}

void client_adapt(struct client *c, bool chunking, bool xforward)
{
    ASSERT(c->state == AT_FREE);
    c->options.chunking = chunking;
    c->options.xforward = xforward;
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
    c->after = AT_FREE;
    tape_begin(&c->tape);
    obstacle_choose_way(c);
    obstacle = obstacle_find(c);
    if (!dialogue_is_decided(&obstacle)) {
        mailing_begin(c);
        return;
    }
    if (t->only_asks)
        obstacle.diagnosis = DIAGNOSIS_LATER;
    dialogue_decide_rest(c, &obstacle);
    dialogue_move(c, AT_DONE);
}

void client_turn(struct client *c, const struct span *domains, size_t count,
                 int64_t now_ms)
{
    ASSERT(c->state == AT_FREE);
    c->now_ms = now_ms;
    turning_begin(c, domains, count);
}

short client_turn_code(const struct client *c)
{
    return c->turn_code;
}

enum client_form client_form(const struct client *c)
{
    return c->form;
}

void client_content(struct client *c, struct span bytes, bool last,
                    int64_t now_ms)
{
    c->now_ms = now_ms;
    if (dialogue_wants(c) == CLIENT_SENDS)
        mailing_content(c, bytes, last);
}

void client_content_failed(struct client *c, int64_t now_ms)
{
    struct client_outcome o =
        outcome_of_ours(DIAGNOSIS_LATER, STATUS(4, 3, 0),
                        SPAN("message content cannot be read"));

    client_content_refused(c, &o, now_ms);
}

void client_content_refused(struct client *c, const struct client_outcome *o,
                            int64_t now_ms)
{
    struct client_outcome kept = *o;

    c->now_ms = now_ms;
    if (dialogue_wants(c) != CLIENT_SENDS)
        return;
    kept.reply = arena_copy(&c->arena, o->reply);
    mailing_give_up(c, &kept);
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

bool client_is_logging_in(const struct client *c)
{
    return c->state == AT_AUTH;
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
    return dialogue_is_past_end(c);
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

static struct span domain_of(struct span address)
{
    return span_skip(address, span_find_last(address, '@'));
}

/* Has its domain been seen among the first n? */
static bool is_known(const struct client_recipient *all, size_t n,
                     struct span domain)
{
    for (size_t i = 0; i < n; i++)
        if (span_is_nocase(domain_of(all[i].address), domain))
            return true;
    return false;
}

size_t client_recipients_fit(const struct client *c,
                             const struct client_recipient *all, size_t count)
{
    size_t most = client_recipients_most(c), domains = 0, n;

    for (n = 0; n < count && n < most; n++) {
        if (!c->can.domains || is_known(all, n, domain_of(all[n].address)))
            continue;
        if (domains++ == c->can.domains)
            break;
    }
    return n;
}

void client_dialogue(const struct client *c, struct buffer *out)
{
    tape_print(&c->tape, out);
}
