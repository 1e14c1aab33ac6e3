/*
 * transfer - quoted-printable and base64, written as the bytes come.
 */
#include "relay/outbound/transfer.h"

static const char hex[] = "0123456789ABCDEF";
static const char letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

const char *transfer_name(enum transfer_kind kind)
{
    return kind == TRANSFER_QUOTED ? "quoted-printable" : "base64";
}

void transfer_init(struct transfer *t, enum transfer_kind kind)
{
    *t = (struct transfer){ .kind = kind };
}

/* The line goes out with its end; room for two more characters is kept. */
static void end_line(struct transfer *t, struct buffer *out)
{
    t->line[t->len++] = '\r';
    t->line[t->len++] = '\n';
    buffer_put(out, span_make(t->line, t->len));
    t->len = 0;
}

/* ---------------------------------------------------- quoted-printable ---- */

/* Room for n characters and the "=" of a soft break. */
static void make_room(struct transfer *t, struct buffer *out, unsigned n)
{
    if (t->len + n < TRANSFER_LINE)
        return;
    t->line[t->len++] = '=';
    end_line(t, out);
}

static void put_quoted(struct transfer *t, struct buffer *out, unsigned char c)
{
    make_room(t, out, 3);
    t->line[t->len++] = '=';
    t->line[t->len++] = hex[c >> 4];
    t->line[t->len++] = hex[c & 15];
}

/* May it stand where it would stand now? */
static bool is_safe_here(const struct transfer *t, char c)
{
    bool begins = t->len == 0 || t->len + 1 >= TRANSFER_LINE;

    if (c == '.')
        return !begins;
    if (c == '-')
        return t->len != 1 || t->line[0] != '-';
    if (c == ' ')
        return t->len != 4 || memcmp(t->line, "From", 4) != 0;
    return c == '\t' || (c > ' ' && c < 0x7f && c != '=');
}

/* A space at the end of a line would not survive the way. */
static void quote_last_space(struct transfer *t, struct buffer *out)
{
    char c = t->len ? t->line[t->len - 1] : 'x';

    if (c != ' ' && c != '\t')
        return;
    t->len--;
    put_quoted(t, out, (unsigned char)c);
}

static void put_text_byte(struct transfer *t, struct buffer *out, char c)
{
    if (t->waiting_count) {
        t->waiting_count = 0;
        if (c == '\n') {
            quote_last_space(t, out);
            end_line(t, out);
            return;
        }
        put_quoted(t, out, '\r');
    }
    if (c == '\r') {
        t->waiting_count = 1;
    } else if (is_safe_here(t, c)) {
        make_room(t, out, 1);
        t->line[t->len++] = c;
    } else {
        put_quoted(t, out, (unsigned char)c);
    }
}

/* -------------------------------------------------------------- base64 ---- */

static void put_group(struct transfer *t, struct buffer *out)
{
    unsigned long bits = (unsigned long)t->waiting[0] << 16 |
                         (unsigned long)t->waiting[1] << 8 | t->waiting[2];

    if (t->len == TRANSFER_LINE)
        end_line(t, out);
    for (unsigned i = 0; i < 4; i++)
        t->line[t->len++] =
            i <= t->waiting_count ? letters[bits >> (18 - 6 * i) & 63] : '=';
    t->waiting_count = 0;
    memset(t->waiting, 0, sizeof t->waiting);
}

/* ---------------------------------------------------------------- both ---- */

void transfer_put(struct transfer *t, struct buffer *out, struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (t->kind == TRANSFER_QUOTED) {
            put_text_byte(t, out, s.at[i]);
            continue;
        }
        t->waiting[t->waiting_count++] = (unsigned char)s.at[i];
        if (t->waiting_count == sizeof t->waiting)
            put_group(t, out);
    }
}

bool transfer_end(struct transfer *t, struct buffer *out)
{
    bool is_open;

    if (t->kind == TRANSFER_QUOTED) {
        if (t->waiting_count)
            put_quoted(t, out, '\r');
        t->waiting_count = 0;
        quote_last_space(t, out);
    } else if (t->waiting_count) {
        put_group(t, out);
    }
    is_open = t->len > 0;
    buffer_put(out, span_make(t->line, t->len));
    t->len = 0;
    return is_open;
}

void transfer_whole(enum transfer_kind kind, struct buffer *out, struct span s)
{
    struct transfer t;

    transfer_init(&t, kind);
    transfer_put(&t, out, s);
    if (transfer_end(&t, out))
        buffer_put_string(out, "\r\n");
}
