/*
 * report - delivery status notifications.
 *
 *   headers                   ours, before anything a stranger wrote
 *   text/plain                notice.c
 *   message/delivery-status   a block for the message, one for each recipient
 *   message/rfc822            the message, or text/rfc822-headers
 *
 * Everything is ASCII, so that the report passes any next hop, with two
 * exceptions: a report about an internationalised message is itself one (RFC
 * 6533: global types, UTF-8 addresses), and 8-bit content that is enclosed
 * stays as it is and is declared.
 *
 * Owns nothing. RFC 3461 6, RFC 3462, RFC 3464 2, RFC 6533 4 and 5, RFC 3834 3.
 */
#include "relay/outbound/report.h"

#include "policy/vocabulary/id.h"
#include "policy/vocabulary/utf8.h"
#include "relay/net/date.h"
#include "relay/outbound/diagnosis.h"
#include "relay/outbound/mimetext.h"
#include "relay/outbound/notice.h"

enum { ENCLOSE_MOST = 50 * 1024 };

/* What is decided once, before a byte is written. */
struct plan {
    const struct report *r;
    enum mimetext_charset charset;
    bool is_global; /* RFC 6533 */
    bool is_whole;  /* the message is enclosed, not its headers */
    struct span enclosed;
    bool has_8bit; /* in what is enclosed */
    char boundary[32];
};

static const struct kind_row {
    const char *subject, *description;
} kinds[] = {
    [REPORT_FAILED] = { "Undelivered Mail Returned to Sender", "Undelivered" },
    [REPORT_DELAYED] = { "Delayed Mail (still being retried)", "Delayed" },
    [REPORT_SUCCESS] = { "Successful Mail Delivery Report", "Delivered" },
};

static const char *const actions[] = {
    [REPORT_ACTION_FAILED] = "failed",
    [REPORT_ACTION_DELAYED] = "delayed",
    [REPORT_ACTION_DELIVERED] = "delivered",
    [REPORT_ACTION_RELAYED] = "relayed",
};

static bool needs_utf8(const struct report *r)
{
    bool needs = r->envelope->smtputf8 || utf8_has_high(r->envelope->sender);

    for (size_t i = 0; i < r->count; i++)
        needs |= utf8_has_high(r->recipients[i].address) ||
                 utf8_has_high(r->recipients[i].orcpt);
    return needs;
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
    return span_first(s, span_find_last(s, '\n') + 1);
}

static void choose_boundary(struct plan *p)
{
    struct id_text id = id_print(p->r->id);
    unsigned n = 0;

    do {
        struct buffer b = { 0 };

        buffer_printf(&b, "=_%s.%u", id.at, n++);
        memcpy(p->boundary, buffer_string(&b), b.len + 1);
        buffer_fini(&b);
    } while (p->enclosed.len && memmem(p->enclosed.at, p->enclosed.len,
                                       p->boundary, strlen(p->boundary)));
}

static void make_plan(struct plan *p, const struct report *r)
{
    *p = (struct plan){ .r = r, .is_global = needs_utf8(r) };
    p->charset = p->is_global ? MIMETEXT_UTF8 : MIMETEXT_ASCII;
    p->is_whole = r->kind == REPORT_FAILED && r->content_is_whole &&
                  r->content.len <= ENCLOSE_MOST &&
                  !span_is_nocase(r->envelope->ret, SPAN("HDRS"));
    p->enclosed = p->is_whole ? r->content : headers_of(r);
    p->has_8bit = utf8_has_high(p->enclosed);
    choose_boundary(p);
}

/* "Name: value", cleaned and folded; prefix stands in front of the value as it
 * is. */
static void put_field(struct buffer *b, const struct plan *p, const char *name,
                      const char *prefix, struct span value)
{
    struct buffer clean = { 0 };

    buffer_put_string(&clean, prefix);
    mimetext_clean(&clean, p->charset, value);
    buffer_printf(b, "%s: ", name);
    mimetext_fold(b, buffer_span(&clean), strlen(name) + 2, " ");
    buffer_put_string(b, "\r\n");
    buffer_fini(&clean);
}

static void put_date_field(struct buffer *b, const char *name, int64_t ms)
{
    buffer_printf(b, "%s: ", name);
    date_print(b, ms);
    buffer_put_string(b, "\r\n");
}

/* A message-id that may stand in a header of ours: <...>, no space, no stranger
 * byte. */
static bool is_message_id(struct span s)
{
    if (s.len < 3 || s.len > 250 || s.at[0] != '<' || s.at[s.len - 1] != '>')
        return false;
    for (size_t i = 1; i + 1 < s.len; i++)
        if (s.at[i] <= ' ' || s.at[i] >= 0x7f || s.at[i] == '<' ||
            s.at[i] == '>')
            return false;
    return true;
}

static void put_headers(struct buffer *b, const struct plan *p)
{
    const struct report *r = p->r;

    put_date_field(b, "Date", r->now_ms);
    buffer_put_string(b, "From: Mail Delivery System <MAILER-DAEMON@");
    mimetext_clean(b, p->charset, r->hostname);
    buffer_put_string(b, ">\r\nTo: <");
    mimetext_clean(b, p->charset, r->envelope->sender);
    buffer_printf(b, ">\r\nSubject: %s\r\nMessage-ID: <%s@",
                  kinds[r->kind].subject, id_print(r->id).at);
    mimetext_clean(b, p->charset, r->hostname);
    buffer_put_string(b, ">\r\n");
    if (is_message_id(r->envelope->message_id)) {
        put_field(b, p, "In-Reply-To", "", r->envelope->message_id);
        put_field(b, p, "References", "", r->envelope->message_id);
    }
    buffer_put_string(b, "Auto-Submitted: auto-replied\r\n"
                         "Precedence: bulk\r\n"
                         "MIME-Version: 1.0\r\n"
                         "Content-Type: multipart/report; "
                         "report-type=delivery-status;\r\n");
    buffer_printf(b, "    boundary=\"%s\"\r\n", p->boundary);
    if (p->is_global || p->has_8bit)
        buffer_put_string(b, "Content-Transfer-Encoding: 8bit\r\n");
    buffer_put_string(b, "\r\nThis is a MIME-encapsulated message.\r\n");
}

static void put_part(struct buffer *b, const struct plan *p, const char *type,
                     const char *description, bool is_8bit)
{
    buffer_printf(b,
                  "\r\n--%s\r\nContent-Description: %s\r\n"
                  "Content-Type: %s\r\n",
                  p->boundary, description, type);
    if (is_8bit)
        buffer_put_string(b, "Content-Transfer-Encoding: 8bit\r\n");
    buffer_put_string(b, "\r\n");
}

/* "mx.example.org" of "mx.example.org[192.0.2.1]:25" */
static struct span name_of(struct span host)
{
    return span_first(host, span_find(host, '['));
}

/* What the peer said, without our words about when it said so. */
static struct span said_by_peer(struct span reply)
{
    for (int stage = STAGE_CONNECT; stage <= STAGE_IDLE; stage++) {
        struct span words = span_of(stage_words((enum client_stage)stage));

        if (reply.len > words.len && span_ends_nocase(reply, words))
            return span_trim(span_first(reply, reply.len - words.len));
    }
    return reply;
}

/* "rfc822;a@b" as it was given in ORCPT; the type is ours where none was given.
 */
static void put_original(struct buffer *b, const struct plan *p,
                         struct span orcpt)
{
    bool has_type = span_find(orcpt, ';') < span_find(orcpt, '@');

    put_field(b, p, "Original-Recipient",
              has_type               ? ""
              : utf8_has_high(orcpt) ? "utf-8;"
                                     : "rfc822;",
              orcpt);
}

static void put_recipient(struct buffer *b, const struct plan *p,
                          const struct report_recipient *one)
{
    buffer_put_string(b, "\r\n");
    put_field(b, p, "Final-Recipient",
              utf8_has_high(one->address) ? "utf-8; " : "rfc822; ",
              one->address);
    if (one->orcpt.len)
        put_original(b, p, one->orcpt);
    buffer_printf(b, "Action: %s\r\nStatus: ", actions[one->action]);
    status_print(b, one->status);
    buffer_put_string(b, "\r\n");
    if (name_of(one->host).len)
        put_field(b, p, "Remote-MTA", "dns; ", name_of(one->host));
    if (one->reply.len)
        put_field(b, p, "Diagnostic-Code",
                  one->is_remote ? "smtp; " : "X-Waypost; ",
                  one->is_remote ? said_by_peer(one->reply) : one->reply);
    if (one->attempt_ms)
        put_date_field(b, "Last-Attempt-Date", one->attempt_ms);
    if (one->action == REPORT_ACTION_DELAYED && one->until_ms)
        put_date_field(b, "Will-Retry-Until", one->until_ms);
}

static void put_status_part(struct buffer *b, const struct plan *p)
{
    const struct report *r = p->r;

    put_part(b, p,
             p->is_global ? "message/global-delivery-status"
                          : "message/delivery-status",
             "Delivery report", p->is_global);
    put_field(b, p, "Reporting-MTA", "dns; ", r->hostname);
    if (r->envelope->envid.len)
        put_field(b, p, "Original-Envelope-Id", "", r->envelope->envid);
    buffer_printf(b, "X-Waypost-Queue-ID: %s\r\n", id_print(r->about).at);
    put_field(b, p, "X-Waypost-Sender",
              utf8_has_high(r->envelope->sender) ? "utf-8; " : "rfc822; ",
              r->envelope->sender);
    put_date_field(b, "Arrival-Date", r->envelope->received_ms);
    for (size_t i = 0; i < r->count; i++)
        put_recipient(b, p, &r->recipients[i]);
}

static void put_enclosed(struct buffer *b, const struct plan *p)
{
    struct buffer description = { 0 };
    const char *type;

    if (p->is_global)
        type = p->is_whole ? "message/global" : "message/global-headers";
    else
        type = p->is_whole ? "message/rfc822" : "text/rfc822-headers";
    buffer_printf(&description, "%s Message%s", kinds[p->r->kind].description,
                  p->is_whole ? "" : " Headers");
    put_part(b, p, type, buffer_string(&description), p->has_8bit);
    buffer_fini(&description);
    buffer_put(b, p->enclosed);
    if (p->enclosed.len && p->enclosed.at[p->enclosed.len - 1] != '\n')
        buffer_put_string(b, "\r\n");
}

void report_compose(struct buffer *out, const struct report *r)
{
    struct plan p;

    make_plan(&p, r);
    put_headers(out, &p);
    put_part(out, &p,
             p.is_global ? "text/plain; charset=utf-8"
                         : "text/plain; charset=us-ascii",
             "Notification", p.is_global);
    notice_put(out, p.charset, r);
    put_status_part(out, &p);
    put_enclosed(out, &p);
    buffer_printf(out, "\r\n--%s--\r\n", p.boundary);
}
