/*
 * complete - what machines leave out of the mail they submit.
 *
 * New fields go to the end of the header section, so that trace fields stay
 * together at its top.
 */
#include "relay/inbound/complete.h"

#include "policy/vocabulary/address.h"
#include "policy/vocabulary/id.h"
#include "relay/inbound/addresslist.h"
#include "relay/inbound/fields.h"
#include "relay/net/date.h"

/* Which of the fields that must be there are. */
struct found {
    bool date, id, from;
};

static bool has_addresses(struct span name)
{
    static const char *const names[] = { "From", "Sender", "Reply-To",
                                         "To",   "Cc",     "Bcc" };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (span_is_nocase(name, span_of(names[i])))
            return true;
    return false;
}

/* The field with a domain behind each bare address; a list that cannot be
 * followed to its end stays as it is. */
static void put_addresses(const struct field *f, struct span origin,
                          struct buffer *out)
{
    size_t start = out->len, copied = 0;
    size_t before = (size_t)(f->value.at - f->whole.at);
    struct addresslist l;
    struct listed a;

    addresslist_init(&l, f->value);
    while (addresslist_next(&l, &a)) {
        size_t upto = before + a.end;

        if (!a.is_bare)
            continue;
        buffer_put(out, span_skip(span_first(f->whole, upto), copied));
        buffer_put_byte(out, '@');
        buffer_put(out, origin);
        copied = upto;
    }
    if (l.is_broken) {
        out->len = start;
        copied = 0;
    }
    addresslist_fini(&l);
    buffer_put(out, span_skip(f->whole, copied));
}

static void put_field(const struct field *f, const struct completion *c,
                      struct found *found, struct buffer *out)
{
    found->date |= span_is_nocase(f->name, SPAN("Date"));
    found->id |= span_is_nocase(f->name, SPAN("Message-ID"));
    found->from |= span_is_nocase(f->name, SPAN("From"));
    if (has_addresses(f->name))
        put_addresses(f, c->origin, out);
    else
        buffer_put(out, f->whole);
}

/* The reverse-path, else whoever logged in, else nobody who reads answers. */
static void put_author(const struct completion *c, struct buffer *out)
{
    struct buffer text = { 0 };
    struct address a;

    buffer_put(&text, c->sender.len ? c->sender : c->login);
    if (span_find(buffer_span(&text), '@') == text.len) {
        buffer_put_byte(&text, '@');
        buffer_put(&text, c->origin);
    }
    if (address_parse(buffer_span(&text), &a) != ADDRESS_OK) {
        buffer_clear(&text);
        buffer_put(&text, SPAN("MAILER-DAEMON@"));
        buffer_put(&text, c->hostname);
    }
    buffer_put(out, SPAN("From: "));
    buffer_put(out, buffer_span(&text));
    buffer_put(out, SPAN("\r\n"));
    buffer_fini(&text);
}

static void put_id(const struct completion *c, struct buffer *out)
{
    struct id_text id = id_print(c->id);

    buffer_printf(out, "<%.*s.%lld@%.*s>", (int)ID_LENGTH, id.at,
                  (long long)(c->now_ms / 1000), SPAN_FMT(c->hostname));
}

static bool is_line_end(struct span s)
{
    return span_is(s, SPAN("\r\n")) || span_is(s, SPAN("\n"));
}

void complete_header(struct span header, const struct completion *c,
                     struct buffer *out, struct span *out_id)
{
    struct span rest = header;
    size_t id_at = 0, id_end = 0, start = out->len;
    struct found found = { 0 };
    struct field f;

    while (fields_next(&rest, &f))
        put_field(&f, c, &found, out);
    if (out->len > start && out->at[out->len - 1] != '\n')
        buffer_put(out, SPAN("\r\n")); /* binary content may end so */
    if (!found.date) {
        buffer_put(out, SPAN("Date: "));
        date_print(out, c->now_ms);
        buffer_put(out, SPAN("\r\n"));
    }
    if (!found.id) {
        buffer_put(out, SPAN("Message-ID: "));
        id_at = out->len;
        put_id(c, out);
        id_end = out->len;
        buffer_put(out, SPAN("\r\n"));
    }
    if (!found.from)
        put_author(c, out);
    buffer_put(out, rest);
    if (!is_line_end(rest) && c->has_body)
        buffer_put(out, SPAN("\r\n"));
    *out_id = span_skip(span_first(buffer_span(out), id_end), id_at);
}

bool complete_path(struct span path, struct span origin, struct buffer *out)
{
    struct span local, rest;
    size_t end = 0;

    while (path.len && path.at[0] == ' ')
        path = span_skip(path, 1);
    if (path.len == 0 || path.at[0] != '<')
        return false;
    local = span_skip(path, 1);
    /* A quoted local part may hold any of the bytes that end one. */
    if (local.len && local.at[0] == '"') {
        for (end = 1; end < local.len && local.at[end] != '"'; end++)
            end += local.at[end] == '\\';
        end++;
    } else {
        while (end < local.len && !is_one_of(local.at[end], "<>@ ,:"))
            end++;
    }
    rest = span_skip(local, end);
    if (end == 0 || rest.len == 0 || rest.at[0] != '>')
        return false;
    buffer_put(out, span_first(path, end + 1));
    buffer_put_byte(out, '@');
    buffer_put(out, origin);
    buffer_put(out, rest);
    return true;
}
