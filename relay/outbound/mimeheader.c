/*
 * mimeheader - what a header section says about the body behind it.
 *
 *   content-type  = type "/" subtype *( ";" name "=" value )
 *   value         = token / quoted-string
 *
 * with comments and line breaks between. A value without quotes is taken up to
 * the next space or semicolon, since many write "boundary==_x".
 */
#include "relay/outbound/mimeheader.h"

#include "policy/vocabulary/mimetoken.h"

#define CODING SPAN("Content-Transfer-Encoding")

/* ---------------------------------------------------------------- fields ---- */

/* Splits off the first field with its continuation lines and line end. */
static struct span take_field(struct span *rest)
{
    struct span all = *rest;

    do
        *rest = span_skip(*rest, span_find(*rest, '\n') + 1);
    while (rest->len && (rest->at[0] == ' ' || rest->at[0] == '\t'));
    return span_first(all, all.len - rest->len);
}

static struct span split_name(struct span field, struct span *out_value)
{
    size_t n = span_find(field, ':');

    *out_value = span_skip(field, n + 1);
    return n < field.len ? span_trim(span_first(field, n)) : SPAN("");
}

bool mimeheader_is_line(struct span line)
{
    size_t n = 0;

    if (line.len && (line.at[0] == ' ' || line.at[0] == '\t'))
        return true;
    while (n < line.len && line.at[n] > ' ' && line.at[n] < 0x7f &&
           line.at[n] != ':')
        n++;
    if (n == 0)
        return false;
    while (n < line.len && (line.at[n] == ' ' || line.at[n] == '\t'))
        n++;
    return n < line.len && line.at[n] == ':';
}

/* ---------------------------------------------------------------- values ---- */

/* Into b, which has a cap; overflow tells. */
static void take_value(struct span *s, struct buffer *b)
{
    bool is_quoted = mimetoken_take_char(s, '"');

    if (!is_quoted)
        *s = mimetoken_skip(*s);
    for (; s->len; *s = span_skip(*s, 1)) {
        if (is_quoted ? s->at[0] == '"'
                      : s->at[0] == ';' || mimetoken_is_space(s->at[0]))
            break;
        if (is_quoted && (s->at[0] == '\r' || s->at[0] == '\n'))
            continue;
        if (is_quoted && s->at[0] == '\\' && s->len > 1)
            *s = span_skip(*s, 1);
        buffer_put_byte(b, s->at[0]);
    }
    if (is_quoted)
        *s = span_skip(*s, 1);
}

static void keep_boundary(struct mimeheader *h, struct buffer *value)
{
    while (value->len && mimetoken_is_space(value->at[value->len - 1]))
        value->len--;
    if (value->overflow || h->boundary_len || !value->len)
        return;
    memcpy(h->boundary, value->at, value->len);
    h->boundary_len = value->len;
}

static void read_parameters(struct mimeheader *h, struct span s)
{
    while (s.len) {
        struct buffer value = { .cap = MIMEHEADER_BOUNDARY };
        struct span name;

        if (!mimetoken_take_char(&s, ';')) {
            s = span_skip(s, 1);
            continue;
        }
        name = mimetoken_take(&s);
        if (mimetoken_take_char(&s, '=')) {
            take_value(&s, &value);
            if (span_is_nocase(name, SPAN("boundary")))
                keep_boundary(h, &value);
        }
        buffer_fini(&value);
    }
}

static const struct type_row {
    const char *type, *subtype; /* subtype NULL: any */
    enum mimeheader_kind kind;
    bool is_sealed, is_digest;
} types[] = {
    /* clang-format off */
    { "text",        NULL,             MIME_TEXT,      false, false },
    { "multipart",   "signed",         MIME_MULTIPART, true,  false },
    { "multipart",   "encrypted",      MIME_MULTIPART, true,  false },
    { "multipart",   "digest",         MIME_MULTIPART, false, true },
    { "multipart",   NULL,             MIME_MULTIPART, false, false },
    { "message",     "rfc822",         MIME_MESSAGE,   false, false },
    { "message",     "global",         MIME_MESSAGE,   false, false },
    { "message",     "news",           MIME_MESSAGE,   false, false },
    { "message",     NULL,             MIME_REPORT,    false, false },
    { "application", "pkcs7-mime",     MIME_OTHER,     true,  false },
    { "application", "x-pkcs7-mime",   MIME_OTHER,     true,  false },
    /* clang-format on */
};

static void read_type(struct mimeheader *h, struct span s)
{
    struct span type = mimetoken_take(&s), subtype;
    const struct type_row *row = NULL;

    if (h->has_type)
        return;
    h->has_type = true;
    if (type.len == 0 || !mimetoken_take_char(&s, '/'))
        return;
    subtype = mimetoken_take(&s);
    for (size_t i = 0; !row && i < sizeof types / sizeof types[0]; i++)
        if (span_is_nocase(type, span_of(types[i].type)) &&
            (!types[i].subtype ||
             span_is_nocase(subtype, span_of(types[i].subtype))))
            row = &types[i];
    h->kind = row ? row->kind : MIME_OTHER;
    h->is_sealed = row && row->is_sealed;
    h->is_digest = row && row->is_digest;
    read_parameters(h, s);
}

static enum mimeheader_coding read_coding(struct span value)
{
    static const struct {
        const char *name;
        enum mimeheader_coding coding;
    } names[] = {
        { "8bit", CODING_8BIT },
        { "binary", CODING_BINARY },
        { "quoted-printable", CODING_QUOTED },
        { "base64", CODING_BASE64 },
    };
    struct span word = mimetoken_take(&value);

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (span_is_nocase(word, span_of(names[i].name)))
            return names[i].coding;
    return CODING_7BIT;
}

void mimeheader_read(struct mimeheader *out_h, struct span section,
                     bool in_digest)
{
    bool has_coding = false;

    *out_h =
        (struct mimeheader){ .kind = in_digest ? MIME_MESSAGE : MIME_TEXT };
    while (section.len) {
        struct span value, name = split_name(take_field(&section), &value);

        if (span_is_nocase(name, SPAN("Content-Type"))) {
            read_type(out_h, value);
        } else if (span_is_nocase(name, CODING) && !has_coding) {
            out_h->coding = read_coding(value);
            has_coding = true;
        } else if (span_is_nocase(name, SPAN("MIME-Version"))) {
            out_h->has_version = true;
        } else if (span_is_nocase(name, SPAN("DKIM-Signature"))) {
            out_h->has_dkim = true;
        }
    }
}

/* --------------------------------------------------------------- writing ---- */

void mimeheader_write(struct buffer *out, struct span section,
                      const struct mimeheader *h, const char *coding,
                      bool is_message)
{
    bool is_written = false;

    while (section.len) {
        struct span field = take_field(&section), value;

        if (!span_is_nocase(split_name(field, &value), CODING)) {
            buffer_put(out, field);
            continue;
        }
        if (!is_written)
            buffer_printf(out, "%s: %s\r\n", CODING.at, coding);
        is_written = true;
    }
    if (is_message && !h->has_version)
        buffer_put_string(out, "MIME-Version: 1.0\r\n");
    /* Of the charset we know only that nobody named it. RFC 1428 */
    if (!h->has_type && h->kind == MIME_TEXT)
        buffer_put_string(out, "Content-Type: text/plain; "
                               "charset=unknown-8bit\r\n");
    if (!is_written)
        buffer_printf(out, "%s: %s\r\n", CODING.at, coding);
}
