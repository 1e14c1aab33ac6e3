/*
 * session_header - the header section, where it is completed or looked at.
 *
 * On a submission listener what machines leave out is completed; where the
 * configuration binds From: to the login it is held against policy/senders.h;
 * where rules may edit it, it is put apart, into the draft's head, until they
 * have spoken. All need the section whole: until its end it stays in the
 * draft's content (which nobody may take away meanwhile), bounded by
 * limits.header_bytes. All other content passes as it came.
 */
#include "relay/inbound/session_private.h"

#include "policy/digest.h"
#include "policy/vocabulary/utf8.h"
#include "relay/inbound/addresslist.h"
#include "relay/inbound/complete.h"
#include "relay/inbound/fields.h"

static bool binds_author(const struct session *s)
{
    return s->settings->users.from_header && s->settings->senders &&
           s->listener->auth != LISTENER_AUTH_NONE;
}

void session_header_begin(struct session *s)
{
    s->holds_header =
        s->listener->submission || binds_author(s) || s->keeps_head;
    s->bad_author = false;
}

/* May the client write this address into From:? One without a domain is ours. */
static bool may_be_author(const struct session *s, const struct listed *one)
{
    struct buffer text = { .cap = LIMIT_PATH };
    struct address a;
    bool yes;

    buffer_put(&text, one->spec);
    if (one->is_bare) {
        buffer_put_byte(&text, '@');
        buffer_put(&text, s->settings->origin);
    }
    yes = address_parse(buffer_span(&text), &a) == ADDRESS_OK &&
          session_may_send_as(s, &a);
    buffer_fini(&text);
    return yes;
}

/* Does everybody read the same fields? Line ends of one kind only, and an empty
 * line behind them if anything: where one reader sees a body, another goes on
 * looking for a From:. */
static bool is_plain(struct span header, bool has_body)
{
    for (size_t i = 0; i < header.len; i++) {
        bool is_cr = header.at[i] == '\r';

        if (header.at[i] == '\0' ||
            (header.at[i] == '\n' && (i == 0 || header.at[i - 1] != '\r')) ||
            (is_cr && (i + 1 == header.len || header.at[i + 1] != '\n')))
            return false;
    }
    return !has_body || span_is(header, SPAN("\r\n")) ||
           span_ends_nocase(header, SPAN("\r\n\r\n"));
}

/* Nor is a list his that names nobody. */
static bool are_good(const struct session *s, struct span list)
{
    struct addresslist l;
    struct listed one;
    bool good = true, any = false;

    addresslist_init(&l, list);
    while (good && addresslist_next(&l, &one)) {
        good = may_be_author(s, &one);
        any = true;
    }
    good = good && any && !l.is_broken && !l.is_odd;
    addresslist_fini(&l);
    return good;
}

/* What cannot be read cannot be shown to be the login's own. */
static bool has_good_authors(const struct session *s, struct span header,
                             bool has_body)
{
    struct field f;

    if (!is_plain(header, has_body))
        return false;
    while (fields_next(&header, &f))
        if (span_is_nocase(f.name, SPAN("From")) && !are_good(s, f.value))
            return false;
    return true;
}

/* Writes trace line, completed header and what came of the body into new
 * memory. */
static void complete(struct session *s, struct span header, struct span body)
{
    struct draft *d = &s->draft;
    struct span id,
        trace = span_first(buffer_span(&d->content), d->trace_bytes);
    struct buffer out = { .cap = d->content.cap };
    struct completion c = {
        .origin = s->settings->origin,
        .hostname = s->settings->hostname,
        .sender = d->sender.text,
        .login = s->login,
        .id = d->id,
        .now_ms = d->envelope.received_ms,
        .has_body = body.len > 0,
    };

    buffer_put(&out, trace);
    complete_header(header, &c, &out, &id);
    if (id.len)
        d->envelope.message_id = arena_copy(&s->arena, id);
    s->content->header.bytes = out.len - trace.len;
    s->content->has_8bit |= utf8_has_high(buffer_span(&out));
    s->content->header.has_8bit |= utf8_has_high(buffer_span(&out));
    buffer_put(&out, body);
    buffer_fini(&d->content);
    d->content = out;
}

/* The body goes into new memory. */
static void put_apart(struct session *s)
{
    struct draft *d = &s->draft;
    size_t bytes = d->trace_bytes + (size_t)s->content->header.bytes;
    struct buffer body = { .cap = d->content.cap };

    buffer_put(&body, span_skip(buffer_span(&d->content), bytes));
    d->head = d->content;
    d->head.len = bytes;
    d->content = body;
}

void session_header_look(struct session *s)
{
    struct draft *d = &s->draft;
    struct span header, body;

    if (!s->holds_header || content_is_refused(s->content) ||
        !header_scan_is_over(&s->content->header))
        return;
    s->holds_header = false;
    body = span_skip(buffer_span(&d->content), d->trace_bytes);
    header = span_first(body, (size_t)s->content->header.bytes);
    body = span_skip(body, header.len);
    if (binds_author(s))
        s->bad_author = !has_good_authors(s, header, body.len > 0);
    if (s->listener->submission)
        complete(s, header, body);
    if (s->digest)
        digest_feed(s->digest,
                    span_skip(buffer_span(&d->content), d->trace_bytes));
    if (s->keeps_head)
        put_apart(s);
}
