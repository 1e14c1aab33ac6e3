/*
 * session_chunk - BDAT: the content in chunks of a size that is told.
 *
 * Happy path: the first BDAT begins the content as DATA does; each chunk is
 * answered 250 at its end, and behind the one marked LAST the draft is whole.
 * Nothing is unstuffed; what is not BINARYMIME obeys DATA's rules for lines.
 * Of earlier chunks nothing is kept but their sum.
 *
 *   RCPT, CHUNKS --BDAT--> CHUNK --its end--> CHUNKS, READY when it was bad,
 *                                             STORING when it was the last
 *   anything     --BDAT--> SKIPPING --its end--> where it came from, or READY
 *
 * A chunk that is refused is on its way already: it is read and thrown away
 * (SKIPPING), and the answer comes behind it, so that none of it is ever taken
 * for a command. Where the size cannot be known the session ends. RFC 3030.
 */
#include "relay/inbound/session_private.h"

struct chunk_command {
    uint64_t size;
    bool is_last;
};

/* 1*DIGIT [ SP "LAST" ] */
static bool parse(struct span argument, struct chunk_command *out)
{
    struct span rest, size = span_split(argument, ' ', &rest);

    rest = span_trim(rest);
    out->is_last = span_is_nocase(rest, SPAN("LAST"));
    return span_number(size, &out->size) && (rest.len == 0 || out->is_last);
}

/* ------------------------------------------------------------ refusals ---- */

/* Why this chunk is not taken; NULL: it is. */
static const struct reply *find_refusal(const struct session *s, uint64_t size,
                                        bool *out_drops_mail)
{
    static const struct reply
        helo_first = REPLY(503, 5, 5, 1, "Error: send HELO/EHLO first"),
        ehlo_first = REPLY(503, 5, 5, 1, "Error: BDAT needs EHLO"),
        no_mail = REPLY(503, 5, 5, 1, "Error: need MAIL command"),
        no_rcpt = REPLY(503, 5, 5, 1, "Error: need RCPT command"),
        nobody = REPLY(554, 5, 5, 1, "Error: no valid recipients"),
        too_large = REPLY(552, 5, 3, 4, "Error: message too large"),
        no_room = REPLY(452, 4, 3, 1, "Insufficient system storage");

    *out_drops_mail = false;
    if (s->state == AT_GREETING)
        return &helo_first;
    if (s->state == AT_READY)
        return &no_mail;
    if (!s->extended)
        return &ehlo_first;
    if (s->draft.count == 0 && s->refused_recipients == 0)
        return &no_rcpt;
    *out_drops_mail = true;
    if (s->draft.count == 0)
        return &nobody;
    if (size > s->settings->limits.message_bytes - s->chunk.total)
        return &too_large;
    if (!s->world->has_room(s->world->user, size))
        return &no_room;
    return NULL;
}

static void skipped(struct session *s)
{
    session_refuse(s, SESSION_DATA_REFUSED, s->chunk.refusal);
    if (s->state == AT_CLOSING)
        return;
    if (s->chunk.drops_mail)
        session_reset(s);
    session_move(s, s->chunk.drops_mail ? AT_READY : s->chunk.back);
}

/* -------------------------------------------------------------- chunks ---- */

static void taken(struct session *s, int64_t now_ms)
{
    size_t before = s->draft.content.len;

    s->chunk.total += s->chunk.size;
    if (s->chunk.is_last) {
        content_finish(s->content, &s->draft.content);
        session_content_came(s, before);
        session_content_end(s, now_ms);
    } else if (!session_content_refuse(s)) {
        buffer_printf(&s->output, "250 2.0.0 Ok: %llu bytes",
                      (unsigned long long)s->chunk.size);
        session_say(s, SPAN(""));
        session_move(s, AT_CHUNKS);
    }
}

static void chunk_ended(struct session *s, int64_t now_ms)
{
    if (s->state == AT_SKIPPING)
        skipped(s);
    else
        taken(s, now_ms);
    if (s->state != AT_CONSULTING)
        s->deadline_ms = now_ms + s->settings->limits.silence_ms;
}

void session_chunk_begin(struct session *s, const struct verb_call *call)
{
    struct chunk_command c;
    const struct reply *refusal;
    bool drops_mail;

    if (!parse(call->argument, &c)) {
        session_hang_up(s, &REPLY(501, 5, 5, 4, "Syntax: BDAT size [LAST]"));
        return;
    }
    refusal = find_refusal(s, c.size, &drops_mail);
    s->chunk.left = s->chunk.size = c.size;
    s->chunk.is_last = c.is_last;
    if (refusal) {
        s->chunk.back = s->state;
        s->chunk.refusal = refusal;
        s->chunk.drops_mail = drops_mail;
        if (drops_mail)
            buffer_fini(&s->draft.content);
        session_move(s, AT_SKIPPING);
    } else {
        if (s->state != AT_CHUNKS)
            session_content_begin(s,
                                  s->draft.envelope.body == BODY_BINARYMIME
                                      ? CONTENT_BINARY
                                      : CONTENT_CHUNKED,
                                  call->now_ms);
        session_move(s, AT_CHUNK);
    }
    if (c.size == 0)
        chunk_ended(s, call->now_ms);
}

size_t session_chunk_feed(struct session *s, struct span in, int64_t now_ms)
{
    bool ended;

    if (in.len > s->chunk.left)
        in = span_first(in, (size_t)s->chunk.left);
    if (s->state == AT_SKIPPING)
        session_extend_deadline(s, in.len, now_ms);
    else
        (void)session_content_feed(s, in, now_ms, &ended);
    s->chunk.left -= in.len;
    if (s->chunk.left == 0)
        chunk_ended(s, now_ms);
    return in.len;
}
