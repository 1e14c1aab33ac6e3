/*
 * session_data - DATA: the content, and the answer once it is stored.
 *
 * Happy path: 354; the Received: line and then the content go into the draft;
 * at the final dot the session waits (STORING) for session_stored, and only
 * then says 250. Whatever is wrong with the content is said once, after its
 * real end; until then the rest is read and thrown away.
 *
 * Time: a purse of at most `silence`, which runs out at the pace of the clock
 * and is filled by each byte with what it may take at the least data rate.
 */
#include "relay/inbound/session_private.h"

#include "policy/digest.h"
#include "policy/vocabulary/id.h"
#include "policy/vocabulary/memory.h"
#include "relay/inbound/received.h"

#include <stdlib.h>

static void refuse_data(struct session *s, struct reply reply)
{
    session_refuse(s, SESSION_DATA_REFUSED, &reply);
}

void session_data_fail(struct session *s, struct reply reply)
{
    refuse_data(s, reply);
    if (s->state == AT_CLOSING)
        return;
    session_reset(s);
    session_move(s, AT_READY);
}

void session_content_trace(const struct session *s, uint64_t id, int64_t now_ms,
                           struct buffer *out)
{
    const struct draft *d = &s->draft;
    struct received r = {
        .helo = s->helo,
        .client_name = s->client_name,
        .client = &s->client,
        .hides_client = s->listener->hides_client,
        .is_local = s->listener->is_local,
        .uid = s->uid,
        .tls = s->tls,
        .hostname = s->settings->hostname,
        .protocol = d->envelope.protocol,
        .id = id,
        .recipient = d->count == 1 ? d->recipients[0].address.text : SPAN(""),
        .priority = d->envelope.priority,
        .now_ms = now_ms,
    };

    received_write(out, &r);
}

void session_content_begin(struct session *s, enum content_form form,
                           int64_t now_ms)
{
    const struct limits *limits = &s->settings->limits;
    struct content_options o = {
        .form = form,
        .normalize = s->listener->normalize,
        .size_most = limits->message_bytes,
        .line_most = LIMIT_LINE,
        .header_most = limits->header_bytes,
        .hops_most = limits->hops,
    };

    s->draft.id = s->world->new_id(s->world->user);
    session_content_trace(s, s->draft.id, now_ms, &s->draft.content);
    s->draft.trace_bytes = (uint32_t)s->draft.content.len;
    s->content = NEW(struct content);
    content_init(s->content, &o);
    s->is_chunked = form != CONTENT_DOTTED;
    session_judge_begin(s);
    session_header_begin(s);
}

void session_data_begin(struct session *s, const struct verb_call *call)
{
    if (s->draft.count == 0 && s->refused_recipients == 0) {
        refuse_data(s, REPLY(503, 5, 5, 1, "Error: need RCPT command"));
    } else if (s->draft.envelope.body == BODY_BINARYMIME) {
        refuse_data(s, REPLY(503, 5, 5, 1, "Error: BINARYMIME needs BDAT"));
    } else if (s->draft.count == 0) {
        session_data_fail(s, REPLY(554, 5, 5, 1, "Error: no valid recipients"));
    } else if (!s->world->has_room(s->world->user, s->declared_bytes)) {
        session_data_fail(s,
                          REPLY(452, 4, 3, 1, "Insufficient system storage"));
    } else {
        session_content_begin(s, CONTENT_DOTTED, call->now_ms);
        session_move(s, AT_CONTENT);
        session_say(s, SPAN("354 End data with <CR><LF>.<CR><LF>"));
    }
}

/* ------------------------------------------------------------- content ---- */

static struct reply fault_reply(enum content_fault fault)
{
    switch (fault) {
    case CONTENT_TOO_LARGE:
        return REPLY(552, 5, 3, 4, "Error: message too large");
    case CONTENT_LINE_TOO_LONG:
        return REPLY(554, 5, 6, 0, "Error: line too long in message");
    case CONTENT_HEADER_TOO_LARGE:
        return REPLY(552, 5, 3, 4, "Error: message header too large");
    case CONTENT_LOOPS:
        return REPLY(554, 5, 4, 6, "Error: too many hops");
    case CONTENT_FINE:
        break;
    }
    ASSERT(!"a fault");
    return REPLY(451, 4, 3, 0, "Error: internal");
}

/* What was learnt of the content goes into the envelope. */
void session_content_store(struct session *s)
{
    struct draft *d = &s->draft;
    struct content *c = s->content;
    struct span id = header_scan_id(&c->header);

    d->envelope.has_8bit = c->has_8bit;
    d->envelope.header_8bit = c->header.has_8bit;
    d->envelope.header_bytes = d->trace_bytes + (uint32_t)c->header.bytes;
    d->envelope.size_bytes = d->head.len + d->taken_bytes + d->content.len;
    if (id.len)
        d->envelope.message_id = arena_copy(&s->arena, id);
    free(s->content);
    s->content = NULL;
    session_move(s, AT_STORING);
}

bool session_content_refuse(struct session *s)
{
    const struct content *c = s->content;

    if (!content_is_refused(c))
        return false;
    if (c->fault == CONTENT_FINE || (c->is_bare && !s->listener->normalize)) {
        session_end(s); /* what follows may be meant for another reader */
        refuse_data(s,
                    REPLY(550, 5, 5, 2, "Error: bare <CR> or <LF> in message"));
    } else {
        session_data_fail(s, fault_reply(c->fault));
    }
    return true;
}

void session_content_end(struct session *s, int64_t now_ms)
{
    s->stage = "END-OF-DATA";
    session_header_look(s);
    if (session_content_refuse(s))
        return;
    if (s->bad_author)
        session_data_fail(
            s, REPLY(553, 5, 7, 1, "Error: From: is not an address of yours"));
    else
        session_judge_end(s, now_ms);
}

void session_extend_deadline(struct session *s, size_t bytes, int64_t now_ms)
{
    const struct limits *limits = &s->settings->limits;
    int64_t most = now_ms + limits->silence_ms;
    int64_t earned = limits->data_rate
                         ? (int64_t)bytes * 1000 / limits->data_rate
                         : limits->silence_ms;

    s->deadline_ms += earned;
    if (s->deadline_ms > most || !limits->data_rate)
        s->deadline_ms = most;
}

size_t session_content_feed(struct session *s, struct span in, int64_t now_ms,
                            bool *out_end)
{
    size_t before = s->draft.content.len;
    size_t n = content_feed(s->content, in, &s->draft.content, out_end);

    session_extend_deadline(s, n, now_ms);
    session_content_came(s, before);
    return n;
}

void session_content_came(struct session *s, size_t before)
{
    if (content_is_refused(s->content)) {
        buffer_fini(&s->draft.content);
        s->holds_header = false;
    } else if (s->holds_header) {
        session_header_look(s);
    } else if (s->digest) {
        digest_feed(s->digest,
                    span_skip(buffer_span(&s->draft.content), before));
    }
}

size_t session_data_feed(struct session *s, struct span in, int64_t now_ms)
{
    bool ended = false;
    size_t n = session_content_feed(s, in, now_ms, &ended);

    if (ended)
        session_content_end(s, now_ms);
    if (ended && s->state == AT_READY)
        s->deadline_ms = now_ms + s->settings->limits.silence_ms;
    return n;
}

/* -------------------------------------------------------------- answer ---- */

static void answer(struct session *s, int rc)
{
    struct id_text id = id_print(s->draft.id);

    if (rc == 0) {
        s->messages++;
        s->errors = 0;
        s->junk = 0;
        buffer_put(&s->output, SPAN("250 2.0.0 Ok: "));
        if (s->is_chunked)
            buffer_printf(&s->output, "%llu bytes ",
                          (unsigned long long)s->chunk.total);
        buffer_put(&s->output, SPAN("queued as "));
        session_say(s, span_make(id.at, ID_LENGTH));
        session_reset(s);
        session_move(s, AT_READY);
    } else if (rc == ERROR_FULL) {
        session_data_fail(s,
                          REPLY(452, 4, 3, 1, "Insufficient system storage"));
    } else {
        session_data_fail(s,
                          REPLY(451, 4, 3, 0, "Error: queue file write error"));
    }
}

void session_stored(struct session *s, int rc, int64_t now_ms)
{
    ASSERT(s->state == AT_STORING);
    answer(s, rc);
    s->deadline_ms = now_ms + s->settings->limits.silence_ms;
    if (s->state == AT_CLOSING)
        return;
    if (s->input_ended)
        session_end_of_input(s, now_ms);
    else if (s->end != SESSION_GOES_ON)
        session_shut_down(s, s->end, now_ms);
}
