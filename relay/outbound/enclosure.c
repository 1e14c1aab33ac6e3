/*
 * enclosure - the message in its report, or its headers, fit to be sent.
 */
#include "relay/outbound/enclosure.h"

#include "policy/vocabulary/utf8.h"
#include "relay/outbound/convert.h"
#include "relay/outbound/transfer.h"

enum { ENCLOSE_MOST = 50 * 1024 };

static bool wants_whole(const struct report *r)
{
    return (r->kind == REPORT_FAILED || r->kind == REPORT_DOUBLE) &&
           r->content_is_whole && r->content.len <= ENCLOSE_MOST &&
           !span_is_nocase(r->envelope->ret, SPAN("HDRS"));
}

/* The header section without the empty line behind it. When it is not all
 * there, as much as makes whole lines. */
static struct span headers_of(const struct report *r)
{
    struct span s = span_first(r->content, r->envelope->header_bytes);
    const char *end = s.len ? memmem(s.at, s.len, "\r\n\r\n", 4) : NULL;

    if (end)
        return span_first(s, (size_t)(end - s.at) + 2);
    if (s.len >= 2 && memcmp(s.at, "\r\n", 2) == 0)
        return span_first(s, 0);
    if (span_find_last(s, '\n') == s.len)
        return span_first(s, 0);
    return span_first(s, span_find_last(s, '\n') + 1);
}

/* May the bytes not stand in the report as they are? */
static bool is_unfit(const struct report *r, struct span bytes, bool is_global)
{
    return r->envelope->body == BODY_BINARYMIME ||
           (!is_global && utf8_has_high(bytes));
}

static void put_as_it_is(struct enclosure *e, struct span bytes)
{
    e->coding = utf8_has_high(bytes) ? "8bit" : NULL;
    buffer_put(&e->bytes, bytes);
}

static void put_encoded(struct enclosure *e, struct span bytes)
{
    e->coding = transfer_name(TRANSFER_QUOTED);
    transfer_whole(TRANSFER_QUOTED, &e->bytes, bytes);
}

/* A broken signature in a returned message harms nobody. */
static bool put_converted(struct enclosure *e, const struct report *r)
{
    struct convert *c = convert_new(&(struct convert_options){
        .even_signed = true,
        .is_binary = r->envelope->body == BODY_BINARYMIME,
        .to_7bit = true });
    enum convert_said said = convert_feed(c, r->content, true, &e->bytes);

    convert_free(c);
    if (said != CONVERT_FINE)
        buffer_clear(&e->bytes);
    return said == CONVERT_FINE;
}

/* False: its headers have to do. */
static bool enclose_message(struct enclosure *e, const struct report *r,
                            bool is_global)
{
    e->type = is_global ? "message/global" : "message/rfc822";
    if (!is_unfit(r, r->content, is_global)) {
        put_as_it_is(e, r->content);
        return true;
    }
    if (put_converted(e, r))
        return true;
    if (!is_global && !r->envelope->smtputf8)
        return false;
    e->type = "message/global";
    put_encoded(e, r->content);
    return true;
}

static void enclose_headers(struct enclosure *e, const struct report *r,
                            bool is_global)
{
    struct span headers = headers_of(r);
    bool is_high = utf8_has_high(headers);

    if (is_global || (is_high && r->envelope->smtputf8))
        e->type = "message/global-headers";
    else if (!is_high)
        e->type = "text/rfc822-headers";
    else
        e->type = utf8_is_valid(headers)
                      ? "text/rfc822-headers; charset=utf-8"
                      : "text/rfc822-headers; charset=unknown-8bit";
    if (is_unfit(r, headers, is_global))
        put_encoded(e, headers);
    else
        put_as_it_is(e, headers);
}

void enclosure_make(struct enclosure *out_e, const struct report *r,
                    bool is_global)
{
    *out_e = (struct enclosure){ 0 };
    out_e->is_whole = wants_whole(r) && enclose_message(out_e, r, is_global);
    if (!out_e->is_whole)
        enclose_headers(out_e, r, is_global);
}

void enclosure_fini(struct enclosure *e)
{
    buffer_fini(&e->bytes);
}
