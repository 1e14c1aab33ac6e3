/*
 * commandline - XFORWARD, MAIL and RCPT as they go out, with their parameters.
 */
#include "relay/outbound/commandline.h"

#include "policy/vocabulary/utf8.h"
#include "policy/vocabulary/xtext.h"
#include "queue/queue.h"

enum {
    FORWARD_LINE_MOST = 510, /* without CRLF */
    FORWARD_VALUE_MOST = 400,
    BY_MOST_S = 999999999,
};

struct span commandline_sender(const struct client *c)
{
    return c->t.sender.at ? c->t.sender : c->t.envelope->sender;
}

bool commandline_needs_utf8(const struct client *c)
{
    const struct envelope *e = c->t.envelope;
    bool needs = (e->smtputf8 && e->header_8bit) ||
                 utf8_has_high(commandline_sender(c));

    for (size_t i = 0; i < c->t.count; i++)
        needs |= utf8_has_high(c->t.recipients[i].address);
    return needs;
}

/* What was declared goes on wherever it can, needed or not. */
static bool says_utf8(const struct client *c)
{
    return commandline_needs_utf8(c) ||
           (c->t.envelope->smtputf8 && dialogue_can(c, CAN_SMTPUTF8));
}

int64_t commandline_by_s(const struct client *c)
{
    int64_t left_s = (c->t.envelope->deliver_by_ms - c->now_ms) / 1000;

    if (left_s > BY_MOST_S)
        return BY_MOST_S;
    return left_s < -BY_MOST_S ? -BY_MOST_S : left_s;
}

bool commandline_tells_by(const struct client *c)
{
    const struct envelope *e = c->t.envelope;
    int64_t left_s = commandline_by_s(c);

    if (!e->deliver_by_ms || !dialogue_can(c, CAN_DELIVERBY))
        return false;
    return e->deliver_by_mode == DELIVER_BY_RETURN || left_s <= 0 ||
           left_s >= (int64_t)c->can.least_by_s;
}

/* ------------------------------------------------------------- XFORWARD ---- */

static void put_value(struct buffer *b, struct span value)
{
    struct buffer encoded = { 0 };

    xtext_encode(&encoded, span_first(value, FORWARD_VALUE_MOST));
    if (value.len == 0 || encoded.len >= FORWARD_VALUE_MOST)
        buffer_put_string(b, "[UNAVAILABLE]");
    else
        buffer_put(b, buffer_span(&encoded));
    buffer_fini(&encoded);
}

static void put_attribute(struct buffer *b, const struct envelope *e,
                          enum xforward which)
{
    switch (which) {
    case XFORWARD_NAME:
        buffer_put_string(b, " NAME=");
        put_value(b, span_is_nocase(e->client_name, SPAN("unknown"))
                         ? SPAN("")
                         : e->client_name);
        break;
    case XFORWARD_ADDR:
        buffer_put_string(b, " ADDR=");
        if (span_find(e->client, ':') < e->client.len)
            buffer_put_string(b, "IPV6:");
        put_value(b, e->client);
        break;
    case XFORWARD_PROTO: /* it knows these two */
        buffer_put_string(b, " PROTO=");
        buffer_put_string(b, span_is(e->protocol, SPAN("SMTP")) ? "SMTP"
                                                                : "ESMTP");
        break;
    case XFORWARD_HELO:
        buffer_put_string(b, " HELO=");
        put_value(b, e->helo);
        break;
    case XFORWARD_SOURCE:
        buffer_put_string(b, " SOURCE=");
        buffer_put_string(b, e->client.len ? "REMOTE" : "LOCAL");
        break;
    }
}

/* As many as fit into one line. */
bool commandline_forward(struct client *c)
{
    unsigned left = c->can.xforward & ~c->forwarded;
    struct buffer line = { .cap = FORWARD_LINE_MOST };
    bool has_any = false;

    if (!c->options.xforward || left == 0)
        return false;
    buffer_put_string(&line, "XFORWARD");
    for (unsigned bit = 1; bit <= XFORWARD_SOURCE; bit <<= 1) {
        struct buffer one = { 0 };

        if (left & bit) {
            put_attribute(&one, c->t.envelope, (enum xforward)bit);
            if (!has_any || line.len + one.len <= line.cap) {
                buffer_put(&line, buffer_span(&one));
                c->forwarded |= bit;
                has_any = true;
            }
        }
        buffer_fini(&one);
    }
    tape_said(&c->tape, buffer_span(&line));
    dialogue_put(c, "", buffer_span(&line), "\r\n");
    buffer_fini(&line);
    return true;
}

/* ----------------------------------------------------------- MAIL, RCPT ---- */

static void put_body(struct client *c)
{
    const struct envelope *e = c->t.envelope;

    if (c->is_binary)
        buffer_put_string(&c->output, " BODY=BINARYMIME");
    else if (c->form == CLIENT_FORM_ORIGINAL && dialogue_can(c, CAN_8BITMIME) &&
             (e->body != BODY_7BIT || e->has_8bit))
        buffer_put_string(&c->output, " BODY=8BITMIME");
}

/* RFC 2852 4.1.3: what is left goes on, and with R it is more than nothing. */
static void put_deliver_by(struct client *c)
{
    const struct envelope *e = c->t.envelope;
    bool returns = e->deliver_by_mode == DELIVER_BY_RETURN;
    int64_t left_s = commandline_by_s(c);

    if (returns && left_s < 1)
        left_s = 1;
    buffer_printf(&c->output, " BY=%lld;%c%s", (long long)left_s,
                  returns ? 'R' : 'N', e->deliver_by_trace ? "T" : "");
}

void commandline_mail(struct client *c)
{
    const struct envelope *e = c->t.envelope;
    size_t from = c->output.len;

    dialogue_put(c, "MAIL FROM:<", commandline_sender(c), ">");
    /* nobody knows yet how long it becomes when it is converted */
    if (dialogue_can(c, CAN_SIZE) && c->form == CLIENT_FORM_ORIGINAL &&
        !c->t.only_asks)
        buffer_printf(&c->output, " SIZE=%llu",
                      (unsigned long long)e->size_bytes);
    put_body(c);
    if (says_utf8(c))
        buffer_put_string(&c->output, " SMTPUTF8");
    if (dialogue_can(c, CAN_DSN) && e->ret.len) {
        buffer_put_string(&c->output, " RET=");
        buffer_put(&c->output, e->ret);
    }
    if (dialogue_can(c, CAN_DSN) && e->envid.len) {
        buffer_put_string(&c->output, " ENVID=");
        xtext_encode(&c->output, e->envid);
    }
    if (dialogue_can(c, CAN_MT_PRIORITY) && e->priority)
        buffer_printf(&c->output, " MT-PRIORITY=%d", e->priority);
    if (commandline_tells_by(c))
        put_deliver_by(c);
    /* Else the peer might take it for the work of our login. RFC 4954 5 */
    if (c->is_logged_in && e->is_unvouched)
        buffer_put_string(&c->output, " AUTH=<>");
    buffer_put_string(&c->output, "\r\n");
    dialogue_tape(c, from);
}

/* RFC 2852 4.1.4.2: a hop without DELIVERBY is asked to tell of delays in its own time. */
static unsigned notify_for(const struct client *c, unsigned notify)
{
    const struct envelope *e = c->t.envelope;

    if (!e->deliver_by_ms || e->deliver_by_mode != DELIVER_BY_NOTIFY ||
        commandline_tells_by(c) || notify == NOTIFY_NEVER)
        return notify;
    return (notify ? notify : NOTIFY_FAILURE) | NOTIFY_DELAY;
}

static void put_notify(struct buffer *b, unsigned notify)
{
    static const struct {
        unsigned bit;
        const char *word;
    } words[] = {
        { NOTIFY_NEVER, "NEVER" },
        { NOTIFY_SUCCESS, "SUCCESS" },
        { NOTIFY_FAILURE, "FAILURE" },
        { NOTIFY_DELAY, "DELAY" },
    };
    const char *between = " NOTIFY=";

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (!(notify & words[i].bit))
            continue;
        buffer_put_string(b, between);
        buffer_put_string(b, words[i].word);
        between = ",";
    }
}

/* Is it "type;address"? What is no atom in front would end the parameter. */
static bool is_typed(struct span orcpt)
{
    size_t n = span_find(orcpt, ';');

    for (size_t i = 0; i < n; i++) {
        char c = ascii_lower(orcpt.at[i]);

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
            return false;
    }
    return n > 0 && n < orcpt.len;
}

/* RFC 3461 5.2.1: what was given goes on; where only NOTIFY was, the address that
 * we know is the original one. */
static void put_orcpt(struct client *c, const struct client_recipient *r)
{
    struct buffer made = { 0 };
    struct span orcpt = r->orcpt.len ? r->orcpt : r->address;

    if (!is_typed(r->orcpt)) {
        buffer_put_string(&made, utf8_has_high(orcpt) ? "utf-8;" : "rfc822;");
        buffer_put(&made, orcpt);
        orcpt = buffer_span(&made);
    }
    buffer_put_string(&c->output, " ORCPT=");
    xtext_encode_orcpt(&c->output, orcpt, says_utf8(c));
    buffer_fini(&made);
}

void commandline_rcpt(struct client *c, size_t i)
{
    const struct client_recipient *r = &c->t.recipients[i];
    size_t from = c->output.len;

    dialogue_put(c, "RCPT TO:<", r->address, ">");
    if (dialogue_can(c, CAN_DSN)) {
        unsigned notify = notify_for(c, r->notify);

        put_notify(&c->output, notify);
        if (notify || r->orcpt.len)
            put_orcpt(c, r);
    }
    buffer_put_string(&c->output, "\r\n");
    dialogue_tape(c, from);
}
