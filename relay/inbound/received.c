/*
 * received - the trace line in front of every message. RFC 5321 4.4.
 *
 * What the client calls itself is a stranger's text in a header: bytes that a
 * domain or an address literal does not have become "?".
 */
#include "relay/inbound/received.h"

#include "policy/vocabulary/id.h"
#include "relay/net/date.h"

static bool is_name_byte(char c)
{
    char l = ascii_lower(c);

    return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_' || c == ':' || c == '[' || c == ']';
}

static void put_name(struct buffer *b, struct span name)
{
    for (size_t i = 0; i < name.len; i++)
        buffer_put_byte(b, is_name_byte(name.at[i]) ? name.at[i] : '?');
}

static void put_client(struct buffer *b, const struct received *r)
{
    buffer_put(b, SPAN("from "));
    put_name(b, r->helo.len ? r->helo : SPAN("unknown"));
    buffer_put(b, SPAN(" ("));
    put_name(b, r->client_name);
    buffer_put(b, SPAN(" ["));
    host_literal_print(b, r->client);
    buffer_put(b, SPAN("])\r\n\t"));
}

static void put_way(struct buffer *b, const struct received *r)
{
    if (!r->hides_client)
        put_client(b, r);
    if (r->tls)
        buffer_printf(b, "(using %s with cipher %s (%d/%d bits))\r\n\t",
                      r->tls->protocol, r->tls->cipher, r->tls->bits,
                      r->tls->bits);
    buffer_put(b, SPAN("by "));
    buffer_put(b, r->hostname);
    buffer_put(b, SPAN(" (Waypost) with "));
    buffer_put(b, r->protocol);
    buffer_put(b, SPAN(" id "));
}

static void put_user(struct buffer *b, const struct received *r)
{
    buffer_put(b, SPAN("by "));
    buffer_put(b, r->hostname);
    buffer_printf(b, " (Waypost, from userid %u)\r\n\tid ", r->uid);
}

void received_write(struct buffer *b, const struct received *r)
{
    struct id_text id = id_print(r->id);

    buffer_put(b, SPAN("Received: "));
    (r->is_local ? put_user : put_way)(b, r);
    buffer_put(b, span_make(id.at, ID_LENGTH));
    if (r->recipient.len && !r->is_local) {
        buffer_put(b, SPAN("\r\n\tfor <"));
        buffer_put(b, r->recipient);
        buffer_put_byte(b, '>');
    }
    if (r->priority)
        buffer_printf(b, " PRIORITY %d", r->priority);
    buffer_put_string(b, r->recipient.len || r->is_local ? "; " : ";\r\n\t");
    date_print(b, r->now_ms);
    buffer_put(b, SPAN("\r\n"));
}
