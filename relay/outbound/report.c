/*
 * report - delivery status notifications.
 *
 *   headers                   ours, before anything a stranger wrote
 *   text/plain                notice.c
 *   message/delivery-status   a block for the message, one for each recipient
 *   message/rfc822            enclosure.c: the message, or its headers
 *
 * Everything is ASCII, so that the report passes any next hop: addresses in
 * UTF-8 are written as RFC 6533 3 has it, what a person reads and what is
 * enclosed are encoded. Only where the addressee's own address needs SMTPUTF8
 * is the report an internationalised message itself (global types, UTF-8).
 *
 * Owns nothing. RFC 3461 6, RFC 6522, RFC 3464 2, RFC 6533 4 and 5, RFC 3834 3.
 */
#include "relay/outbound/report.h"

#include "policy/vocabulary/id.h"
#include "policy/vocabulary/network.h"
#include "policy/vocabulary/utf8.h"
#include "policy/vocabulary/xtext.h"
#include "relay/net/date.h"
#include "relay/outbound/diagnosis.h"
#include "relay/outbound/enclosure.h"
#include "relay/outbound/mimetext.h"
#include "relay/outbound/notice.h"
#include "relay/outbound/transfer.h"

/* What is decided once, before a byte is written. */
struct plan {
    const struct report *r;
    enum mimetext_charset charset;
    bool is_global; /* RFC 6533 */
    struct enclosure enclosure;
    struct buffer notice;
    bool quotes_notice; /* it names addresses in UTF-8 */
    char boundary[32];
};

static const struct kind_row {
    const char *subject, *description;
} kinds[REPORT_KINDS] = {
    [REPORT_FAILED] = { "Undelivered Mail Returned to Sender", "Undelivered" },
    [REPORT_DELAYED] = { "Delayed Mail (still being retried)", "Delayed" },
    [REPORT_SUCCESS] = { "Successful Mail Delivery Report", "Delivered" },
    [REPORT_DOUBLE] = { "Postmaster Notice: Undelivered Mail from <>",
                        "Undelivered" },
};

static const char *const actions[] = {
    [REPORT_ACTION_FAILED] = "failed",
    [REPORT_ACTION_DELAYED] = "delayed",
    [REPORT_ACTION_DELIVERED] = "delivered",
    [REPORT_ACTION_RELAYED] = "relayed",
};

/* The address it goes to. */
static struct span addressee(const struct report *r)
{
    return r->to.len ? r->to : r->envelope->sender;
}

static bool names_utf8(const struct report *r)
{
    bool does = false;

    for (size_t i = 0; i < r->count; i++)
        does |= utf8_has_high(r->recipients[i].address);
    return does;
}

static bool occurs(const char *text, const struct buffer *in)
{
    return in->len && memmem(in->at, in->len, text, strlen(text));
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
    } while (occurs(p->boundary, &p->enclosure.bytes));
}

static void write_notice(struct plan *p)
{
    struct buffer plain = { 0 };

    p->quotes_notice = !p->is_global && names_utf8(p->r);
    notice_put(&plain, p->quotes_notice ? MIMETEXT_UTF8 : p->charset, p->r);
    if (p->quotes_notice)
        transfer_whole(TRANSFER_QUOTED, &p->notice, buffer_span(&plain));
    else
        buffer_put(&p->notice, buffer_span(&plain));
    buffer_fini(&plain);
}

static void make_plan(struct plan *p, const struct report *r)
{
    *p = (struct plan){ .r = r,
                        .is_global = utf8_has_high(addressee(r)) };
    p->charset = p->is_global ? MIMETEXT_UTF8 : MIMETEXT_ASCII;
    enclosure_make(&p->enclosure, r, p->is_global);
    write_notice(p);
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

/* An address with its type; in UTF-8 as RFC 6533 3 has it. */
static void put_address(struct buffer *b, const struct plan *p,
                        const char *name, struct span address)
{
    struct buffer text = { 0 };
    bool is_utf8 = utf8_has_high(address) && utf8_is_valid(address);

    if (is_utf8)
        xtext_encode_utf8(&text, address, p->is_global);
    else
        buffer_put(&text, address);
    put_field(b, p, name, is_utf8 ? "utf-8; " : "rfc822; ", buffer_span(&text));
    buffer_fini(&text);
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

/* Of message/; report-type repeats it. RFC 6522 3 */
static const char *status_subtype(const struct plan *p)
{
    return p->is_global ? "global-delivery-status" : "delivery-status";
}

static void put_headers(struct buffer *b, const struct plan *p)
{
    const struct report *r = p->r;

    put_date_field(b, "Date", r->now_ms);
    buffer_put_string(b, "From: Mail Delivery System <MAILER-DAEMON@");
    mimetext_clean(b, p->charset, r->hostname);
    buffer_put_string(b, ">\r\nTo: <");
    mimetext_clean(b, p->charset, addressee(r));
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
                         "Content-Type: multipart/report; report-type=");
    buffer_printf(b, "%s;\r\n", status_subtype(p));
    buffer_printf(b, "    boundary=\"%s\"\r\n", p->boundary);
    if (p->is_global)
        buffer_put_string(b, "Content-Transfer-Encoding: 8bit\r\n");
    buffer_put_string(b, "\r\nThis is a MIME-encapsulated message.\r\n");
}

static void put_part(struct buffer *b, const struct plan *p, const char *type,
                     const char *description, const char *coding)
{
    buffer_printf(b,
                  "\r\n--%s\r\nContent-Description: %s\r\n"
                  "Content-Type: %s\r\n",
                  p->boundary, description, type);
    if (coding)
        buffer_printf(b, "Content-Transfer-Encoding: %s\r\n", coding);
    buffer_put_string(b, "\r\n");
}

/* "mx.example.org" of "mx.example.org[192.0.2.1]:25" */
static struct span name_of(struct span host)
{
    return span_first(host, span_find(host, '['));
}

/* A name, or an address as a domain literal. RFC 3464 2.1.2, 2.3.5 */
static void put_remote(struct buffer *b, const struct plan *p, struct span host)
{
    struct span name = name_of(host);
    struct host_address address;
    struct buffer text = { 0 };

    if (host_address_parse(name, &address)) {
        buffer_put_byte(&text, '[');
        host_literal_print(&text, &address);
        buffer_put_byte(&text, ']');
        name = buffer_span(&text);
    }
    if (name.len)
        put_field(b, p, "Remote-MTA", "dns; ", name);
    buffer_fini(&text);
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

/* "rfc822;a@b" as it was given in ORCPT; the type is ours where none was given. */
static void put_original(struct buffer *b, const struct plan *p,
                         struct span orcpt)
{
    size_t semicolon = span_find(orcpt, ';');
    bool has_type = semicolon < span_find(orcpt, '@');
    struct span address = has_type ? span_skip(orcpt, semicolon + 1) : orcpt;
    struct buffer text = { 0 };

    if (utf8_has_high(address) && utf8_is_valid(address)) {
        buffer_put_string(&text, "utf-8;");
        xtext_encode_utf8(&text, address, p->is_global);
    } else {
        buffer_put_string(&text, has_type ? "" : "rfc822;");
        buffer_put(&text, orcpt);
    }
    put_field(b, p, "Original-Recipient", "", buffer_span(&text));
    buffer_fini(&text);
}

static void put_recipient(struct buffer *b, const struct plan *p,
                          const struct report_recipient *one)
{
    buffer_put_string(b, "\r\n");
    put_address(b, p, "Final-Recipient", one->address);
    if (one->orcpt.len)
        put_original(b, p, one->orcpt);
    buffer_printf(b, "Action: %s\r\nStatus: ", actions[one->action]);
    status_print(b, one->status);
    buffer_put_string(b, "\r\n");
    if (one->is_remote)
        put_remote(b, p, one->host);
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
             "Delivery report", p->is_global ? "8bit" : NULL);
    put_field(b, p, "Reporting-MTA", "dns; ", r->hostname);
    if (r->envelope->envid.len)
        put_field(b, p, "Original-Envelope-Id", "", r->envelope->envid);
    buffer_printf(b, "X-Waypost-Queue-ID: %s\r\n", id_print(r->about).at);
    if (r->envelope->sender.len)
        put_address(b, p, "X-Waypost-Sender", r->envelope->sender);
    put_date_field(b, "Arrival-Date", r->envelope->received_ms);
    if (r->envelope->deliver_by_ms)
        put_date_field(b, "Deliver-By-Date", r->envelope->deliver_by_ms);
    for (size_t i = 0; i < r->count; i++)
        put_recipient(b, p, &r->recipients[i]);
}

static void put_notice(struct buffer *b, const struct plan *p)
{
    bool is_utf8 = p->is_global || p->quotes_notice;

    put_part(b, p,
             is_utf8 ? "text/plain; charset=utf-8"
                     : "text/plain; charset=us-ascii",
             "Notification",
             p->quotes_notice ? transfer_name(TRANSFER_QUOTED)
             : p->is_global   ? "8bit"
                              : NULL);
    buffer_put(b, buffer_span(&p->notice));
}

static void put_enclosed(struct buffer *b, const struct plan *p)
{
    const struct enclosure *e = &p->enclosure;
    struct buffer description = { 0 };

    buffer_printf(&description, "%s Message%s", kinds[p->r->kind].description,
                  e->is_whole ? "" : " Headers");
    put_part(b, p, e->type, buffer_string(&description), e->coding);
    buffer_fini(&description);
    buffer_put(b, buffer_span(&e->bytes));
    if (e->bytes.len && e->bytes.at[e->bytes.len - 1] != '\n')
        buffer_put_string(b, "\r\n");
}

void report_compose(struct buffer *out, const struct report *r)
{
    struct plan p;

    make_plan(&p, r);
    put_headers(out, &p);
    put_notice(out, &p);
    put_status_part(out, &p);
    put_enclosed(out, &p);
    buffer_printf(out, "\r\n--%s--\r\n", p.boundary);
    buffer_fini(&p.notice);
    enclosure_fini(&p.enclosure);
}
